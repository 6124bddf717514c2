package change

import (
	"context"
	"fmt"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/exactjson"
	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/tool"
)

// secretForm asks for the secrets of the call, nil if it needs none.
func (r *run) secretForm(about string) *tool.SecretForm {
	names := secretsToType(r.in)
	if len(names) == 0 {
		return nil
	}
	return &tool.SecretForm{About: about, Names: names}
}

// checkTyping refuses a call whose secrets nobody can type, and says how the person can make
// it.
func (r *run) checkTyping() error {
	names := secretsToType(r.in)
	if len(names) == 0 || r.req.TypeSecrets != nil {
		return nil
	}
	return explain.Refusal("The user can do it in a terminal, with the settings of this server: "+r.commandLine(),
		"%s needs a secret that the user types (%s), and this client cannot ask for one (elicitation in URL mode, over stdio). Nothing was sent.",
		r.plan.About, render.Text(strings.Join(names, ", "), 200))
}

// commandLine is the command with which a person makes this call.
func (r *run) commandLine() string {
	args, err := tool.ParseArguments(r.req.Arguments)
	if err != nil {
		return "pve-mcp call " + r.tool.Name
	}
	words := []string{"pve-mcp", "call", r.tool.Name}
	for _, name := range r.tool.Input().PropertyOrder {
		value, given := args[name]
		switch v := value.(type) {
		case string:
			words = append(words, "--"+name, quoted(v))
		case bool:
			words = append(words, fmt.Sprintf("--%s=%v", name, v))
		case []any:
			for _, e := range v {
				words = append(words, "--"+name, quoted(fmt.Sprint(e)))
			}
		default:
			if given {
				words = append(words, "--"+name, quoted(string(exactjson.Encode(v))))
			}
		}
	}
	return render.Text(strings.Join(words, " "), 2000)
}

// quoted is a word for a shell.
func quoted(word string) string {
	plain := func(r rune) bool {
		return strings.ContainsRune("@%+=:,./-_", r) || '0' <= r && r <= '9' || 'A' <= r && r <= 'Z' || 'a' <= r && r <= 'z'
	}
	if word != "" && !strings.ContainsFunc(word, func(r rune) bool { return !plain(r) }) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// typeSecrets has the person type the secrets of the call. It returns the answer if the call
// ends with that, or with a question.
func (r *run) typeSecrets(ctx context.Context) output {
	names := secretsToType(r.in)
	if len(names) == 0 {
		return nil
	}
	if r.req.TypedLater && r.req.Reply == nil {
		q, err := r.makeQuestion(ctx)
		if err != nil {
			return r.answerFailed(ctx, err)
		}
		q.OnlySecrets = true
		r.question = q
		return r.outputOf(Answer{Outcome: tool.NeedsConfirmation, Message: r.plan.About + ": the user is asked for " + render.List(names) + "."})
	}
	r.call.Report(cluster.Progress{Message: "Waiting until the user has typed " + render.List(names)})
	typed, err := r.req.TypeSecrets(ctx, *r.secretForm(r.plan.About))
	for _, name := range names {
		if err == nil && typed[name] == "" {
			err = explain.Refusal("Call again: the user is asked anew.", "%s: the user typed no %s. Nothing was sent.", r.plan.About, render.Text(name, 60))
		}
	}
	if err != nil {
		return r.answerFailed(ctx, err)
	}
	r.call.SetTyped(typed)
	return nil
}
