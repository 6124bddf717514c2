package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"golang.org/x/term"

	"github.com/pve-mcp/pve-mcp/internal/cli/terminal"
	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/config"
	"github.com/pve-mcp/pve-mcp/internal/files"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/internal/toolset"
)

// call calls a tool, unless it is off.
func (a *app) call(ctx context.Context, t tool.Tool, args map[string]any, o *output) error {
	cfg, err := a.config(false)
	if err != nil {
		return err
	}
	if _, off := toolset.Offered(selectionOf(cfg)); off[t.Name] != "" {
		return &exitError{exitRefused, t.Name + " is off: " + off[t.Name]}
	}
	if o.chart || o.file != "" && t.Chart != "" {
		t, _ = toolset.Named(t.Chart)
	}
	if o.optional = asksForPicture(t); o.optional && o.file != "" {
		args[pictureArgument] = true
	}
	if t.Attaches && !o.optional && o.file == "" && isTerminal(a.out) {
		return &exitError{exitUsage, "a terminal shows no picture: name a file with --out, such as --out chart.png"}
	}
	return a.callOffered(ctx, t, args, o)
}

// callOffered calls a tool, and shows a person how it goes.
func (a *app) callOffered(ctx context.Context, t tool.Tool, args map[string]any, o *output) error {
	person := isTerminal(a.in) && isTerminal(a.err)
	report, end := a.reporter()
	defer end()
	host, cfg, err := a.host()
	if err != nil {
		return err
	}
	host.Off = func(name string) string {
		_, off := toolset.Offered(selectionOf(cfg))
		return off[name]
	}
	if cfg.Given[config.TaskWait] == "" {
		host.Wait = tool.HandleTime // nobody here gives up after a minute, as clients do
	}
	data, err := json.Marshal(args)
	if err != nil {
		return failed(err)
	}
	req := tool.Request{Arguments: data, Caller: "command line", Progress: report}
	// --confirm is consent, unless only an answer counts.
	onlyAnswers := cfg.Policy.Confirm == policy.Human || t.RiskOf(data) == policy.Access
	req.CanAsk = person && (args["confirm"] != true || onlyAnswers)
	req.TypeSecrets = func(_ context.Context, form tool.SecretForm) (map[string]string, error) {
		end()
		return a.typeSecrets(form)
	}
	res := t.Call(ctx, host, req)
	if res.Question != nil {
		end()
		if req.Reply, err = a.ask(ctx, res.Question); err != nil {
			return err
		}
		req.State = res.Question.State
		res = t.Call(ctx, host, req)
	}
	end()
	return a.answer(ctx, t, res, o)
}

// reporter returns what shows progress, and what ends that: a bar on a terminal, above
// which everything else on stderr appears, or lines.
func (a *app) reporter() (report func(cluster.Progress), end func()) {
	if !isTerminal(a.err) {
		var mu sync.Mutex
		said := map[string]bool{} // what is done side by side reports in turn
		return func(p cluster.Progress) {
			mu.Lock()
			defer mu.Unlock()
			if !said[p.Message] {
				fmt.Fprintln(a.err, "…", p.Message)
			}
			said[p.Message] = true
		}, func() {}
	}
	stderr := a.err
	bar := terminal.NewBar(stderr, func() int { return columns(stderr) })
	a.err, a.answers = bar, true
	return func(p cluster.Progress) { bar.Show(p.Done, p.Total, p.Message) }, bar.End
}

// columns is the width of a terminal, 0 for what is none.
func columns(stream any) int {
	if f, ok := stream.(*os.File); ok {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil {
			return width
		}
	}
	return 0
}

// ask asks the person at the terminal a question. Nobody answers it for them: an end of
// the input, or of the program, is no answer.
func (a *app) ask(ctx context.Context, q *tool.Question) (*tool.Reply, error) {
	prompt := "Go on? [y/N] "
	if q.Typed {
		prompt = "Its name or vmid: "
	}
	fmt.Fprintf(a.err, "%s\n%s", q.Message, prompt)
	typed := make(chan string, 1)
	go func() {
		defer close(typed)
		if line, err := bufio.NewReader(a.in).ReadString('\n'); err == nil {
			typed <- strings.TrimSpace(line)
		}
	}()
	select {
	case <-ctx.Done():
		fmt.Fprintln(a.err)
		return nil, &exitError{exitRefused, "not answered; nothing was done"}
	case line, answered := <-typed:
		switch {
		case !answered:
			fmt.Fprintln(a.err)
			return &tool.Reply{Action: "cancel"}, nil
		case q.Typed && line != "":
			return &tool.Reply{Action: "accept", Content: map[string]any{tool.NameField: line}}, nil
		case strings.EqualFold(line, "y"), strings.EqualFold(line, "yes"):
			return &tool.Reply{Action: "accept", Content: map[string]any{tool.YesField: true}}, nil
		}
		return &tool.Reply{Action: "decline"}, nil
	}
}

// answer prints the answer, and says how to go on with what is under way.
func (a *app) answer(ctx context.Context, t tool.Tool, res tool.Result, o *output) error {
	status := statusOf(res)
	if res.Structured == nil {
		if ctx.Err() != nil && t.Risk == policy.Read {
			return &exitError{exitFailed, "interrupted; it only reads, and what runs at PVE goes on"}
		}
		return &exitError{status, res.Text}
	}
	if err := a.printAll(t, res, o); err != nil {
		return failed(err)
	}
	if status == exitOK {
		status = severityStatus(t, res.Structured)
	}
	if status == exitRunning {
		a.printFollowUp(ctx, res.Structured)
	}
	if status != exitOK {
		return &exitError{status, ""}
	}
	return nil
}

// printFollowUp says how to follow a change that is under way.
func (a *app) printFollowUp(ctx context.Context, answer json.RawMessage) {
	var task struct{ UPID, Handle string }
	if json.Unmarshal(answer, &task) != nil || task.UPID == "" {
		return
	}
	if ctx.Err() != nil {
		fmt.Fprintln(a.err, "Stopped waiting. The task goes on: "+task.UPID)
	}
	if a.demo {
		fmt.Fprintln(a.err, "The simulated cluster ends with this program.")
		return
	}
	how := "--upid '" + task.UPID + "'"
	if task.Handle != "" {
		how = "--handle " + task.Handle
	}
	fmt.Fprintln(a.err, "Go on waiting: pve-mcp call pve_task_status "+how+" --wait 3600")
}

// printAll prints an answer. A picture goes to the file that --out names. Without one it is all
// that is printed by a tool whose answer is a picture, and left out by one that also has text.
func (a *app) printAll(t tool.Tool, res tool.Result, o *output) error {
	for _, c := range res.Content {
		picture, ok := c.(tool.Image)
		switch {
		case !ok:
		case o.file == "" && o.optional:
			fmt.Fprintln(a.err, "There is a picture: give the name of a file for it, such as --out screen.png.")
		case o.file == "":
			_, err := a.out.Write(picture.Data)
			return err
		default:
			err := files.Replace(o.file, func(w io.Writer) error {
				_, err := w.Write(picture.Data)
				return err
			})
			if err != nil {
				return err
			}
			fmt.Fprintf(a.err, "The picture is %s (%s).\n", o.file, render.Bytes(int64(len(picture.Data))))
		}
	}
	return a.print(t, res.Structured, o)
}

// print prints an answer: for people on a terminal, and as JSON elsewhere, unless one of
// these is asked for.
func (a *app) print(t tool.Tool, answer json.RawMessage, o *output) error {
	if o.format == "table" || o.format == "" && isTerminal(a.out) {
		if t.Name == auditTool {
			return terminal.Findings(a.out, answer, columns(a.out), isTerminal(a.out) && os.Getenv("NO_COLOR") == "")
		}
		return terminal.Answer(a.out, answer, columns(a.out))
	}
	var buf bytes.Buffer
	if !isTerminal(a.out) || json.Indent(&buf, answer, "", "  ") != nil {
		buf.Reset()
		buf.Write(answer)
	}
	_, err := fmt.Fprintln(a.out, buf.String())
	return err
}

func statusOf(res tool.Result) int {
	switch {
	case res.Fault == tool.BadArguments:
		return exitUsage
	case res.Fault == tool.Refused, res.Outcome == tool.NeedsConfirmation, res.Outcome == tool.Declined:
		return exitRefused
	case res.IsError:
		return exitFailed
	case res.Outcome == tool.Running:
		return exitRunning
	}
	return exitOK
}
