package tool

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/seal"
)

// Question is what a client is to ask its human before a change is made.
type Question struct {
	Message string
	// Typed says that the human types a name; otherwise yes or no is enough.
	Typed bool
	// State comes back with the answer.
	State string
}

// The field of a question's form.
const (
	YesField  = "confirm" // a boolean
	NameField = "name"    // text
)

// Reply is a client's answer to a question.
type Reply struct {
	Action  string // accept, decline or cancel
	Content map[string]any
	// Problem says why the human could not be asked, "" where that is not known.
	Problem string
}

// asked is what a question was about, sealed until the answer comes.
type asked struct {
	ID       string `json:"id"`
	Process  string `json:"process"` // that asked
	At       int64  `json:"at"`      // nanoseconds since 1970
	Caller   string `json:"caller"`
	Tool     string `json:"tool"`
	Args     string `json:"args"`     // digest
	Subjects string `json:"subjects"` // as they were: a digest
	Words    string `json:"words"`    // that the human saw, but for what is at stake: a digest
	// Assured is what was said besides that the subjects themselves do not show.
	Assured []assurance `json:"assured,omitempty"`
}

const (
	consentPurpose = "consent"
	// ConsentTime is how long a human may take to answer.
	ConsentTime = 5 * time.Minute
	// mostAsked bounds the characters of a question: what nobody reads to its end is not
	// agreed to.
	mostAsked = 8000
)

// question makes the question.
func (r *change) question(ctx context.Context) (*Question, error) {
	are, err := r.fingerprints(ctx)
	if err != nil {
		return nil, err
	}
	words, err := r.words(ctx)
	if err != nil {
		return nil, err
	}
	keys, err := r.host.keys(ctx)
	if err != nil {
		return nil, err
	}
	state, err := keys.Seal(consentPurpose, asked{
		ID: rand.Text(), Process: r.host.Used.Process(), At: r.call.Now().UnixNano(),
		Caller: r.req.Caller, Tool: r.tool.Name, Args: r.digest, Subjects: are, Words: digestOf(r.wording(r.plan.Consequences)), Assured: r.call.assured,
	}, r.host.Now().Add(ConsentTime))
	if err != nil {
		return nil, err
	}
	return &Question{Message: words, Typed: r.plan.Names != nil, State: state}, nil
}

// words are all that a human is shown: what would be done, what is at stake, and every
// argument as it would be carried out. They are an error where they are too long to be
// read.
func (r *change) words(ctx context.Context) (string, error) {
	words := r.wording(r.consequences(ctx))
	if n := utf8.RuneCountInString(words); n > mostAsked {
		next := "Make it several calls, each with fewer arguments."
		if r.tool.Risk == policy.Exec {
			next = "Write the command or its input to a file in the guest, check the SHA-256 of that file, and run it by its name."
		}
		return "", explain.Refusal(next, "%s needs a human's consent, and is too long to be shown whole: %d characters, of at most %d. Nothing was sent.", r.plan.About, n, mostAsked)
	}
	return words, nil
}

// wording is how a human is asked about consequences.
func (r *change) wording(consequences []string) string {
	lines := []string{r.plan.About + " (cluster " + render.Text(r.host.Cluster, 60) + ")"}
	if len(r.steps) > 1 {
		for i, s := range r.steps {
			lines = append(lines, fmt.Sprintf("%d. %s", i+1, s.about))
		}
	}
	for _, c := range consequences {
		lines = append(lines, "- "+c)
	}
	for i, line := range lines {
		lines[i] = render.Text(line, mostAsked+1) // nothing else begins a line
	}
	lines = append(lines, ArgumentsHeading)
	lines = append(lines, r.arguments()...)
	if r.plan.Names != nil {
		lines = append(lines, "To go on, type "+strings.Join(r.typed(), " or ")+".")
	}
	return strings.Join(lines, "\n")
}

// ArgumentsHeading begins the arguments in a question: a line for each, its name and its
// value in JSON.
const ArgumentsHeading = "Arguments:"

// arguments are what a call was given and, where the state has it, what was decided for it,
// but for what the human is asked.
func (r *change) arguments() []string {
	all, decided := fieldsOf(r.in), fieldsOf(r.state)
	for name := range r.tool.Input().Properties {
		if value, ok := decided[name]; ok {
			all[name] = value
		}
	}
	for _, name := range []string{"confirm", "plan", "plan_handle"} {
		delete(all, name)
	}
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		lines = append(lines, "  "+name+": "+render.VisibleJSON(all[name]))
	}
	return lines
}

func fieldsOf(object any) map[string]json.RawMessage {
	var all map[string]json.RawMessage
	if err := json.Unmarshal(encode(object), &all); err != nil {
		panic(fmt.Sprintf("%T is not written as an object: %v", object, err))
	}
	return all
}

// typed are the names that count as consent: none that is empty, or that could be the id of
// another guest.
func (r *change) typed() []string {
	return slices.DeleteFunc(slices.Clone(r.plan.Names), func(name string) bool {
		return name == "" || strings.Trim(name, "0123456789") == "" && name != r.plan.Subject.ID
	})
}

// consequences are what the change would do, and what is at stake.
func (r *change) consequences(ctx context.Context) []string {
	if r.targets() == nil || r.tool.Risk == policy.Exec {
		return r.plan.Consequences
	}
	out := slices.Clone(r.plan.Consequences)
	for _, s := range r.subjects() {
		impact, err := r.call.impact(ctx, s)
		if err != nil {
			impact = []string{"what else is at stake could not be looked up: " + r.call.Explain(err).What}
		}
		out = append(out, impact...)
	}
	return out
}

// recall opens what came back with an answer. From then on the call's time is that of the
// question, so that the words of an answer that counts are the same.
func (r *change) recall(ctx context.Context) error {
	r.call.at = r.host.Now()
	if r.req.Reply == nil || r.req.Reply.Action != "accept" {
		return nil
	}
	keys, err := r.host.keys(ctx)
	if err != nil {
		return err
	}
	switch err := keys.Open(consentPurpose, r.req.State, r.host.Now(), &r.was); {
	case errors.Is(err, seal.ErrExpired):
		r.void = "it took longer than " + render.Duration(ConsentTime)
	case err != nil:
		r.void = "the state that came with it is not valid: " + err.Error()
	case r.was.Caller != r.req.Caller || r.was.Tool != r.tool.Name || r.was.Args != r.digest:
		r.void = "it was given for another call"
	case !r.host.Used.Knows(r.was.Process):
		r.void = "another process of this server has asked the question, and without PVE_MCP_CONSENT_STORE this one cannot know whether the answer was used"
	default:
		r.call.at = time.Unix(0, r.was.At)
	}
	return nil
}

// answer reads what the human said. reason says why an answer does not count.
func (r *change) answer(ctx context.Context) (a *policy.Answer, reason string, err error) {
	if r.req.Reply == nil {
		return nil, "", nil
	}
	a = &policy.Answer{Action: r.req.Reply.Action}
	if a.Action != "accept" || r.void != "" {
		return a, r.void, nil
	}
	are, err := r.fingerprints(ctx)
	if err != nil {
		return nil, "", err
	}
	if r.was.Subjects != are {
		return nil, fmt.Sprintf("the %s is no longer as it was when the question was asked", cmp.Or(r.plan.Subject.Kind, "subject")), nil
	}
	same := r.was.Words == digestOf(r.wording(r.plan.Consequences))
	for _, told := range r.was.Assured {
		holds, err := r.call.holds(ctx, told)
		if err != nil {
			return nil, "", err
		}
		same = same && holds
	}
	if !same {
		return nil, "what would be done, or what is at stake, is no longer what the question said", nil
	}
	if r.plan.Names == nil {
		a.Agreed = r.req.Reply.Content[YesField] == true
	} else {
		typed, _ := r.req.Reply.Content[NameField].(string)
		a.Agreed = slices.Contains(r.typed(), strings.TrimSpace(typed))
	}
	return a, "", nil
}

// use uses the answer up. reason says why it does not count.
func (r *change) use(ctx context.Context) (reason string, err error) {
	until := time.Unix(0, r.was.At).Add(ConsentTime + time.Minute) // the seal's own end is by the second
	first, err := r.host.Used.Claim(ctx, r.was.ID, r.host.Now(), until)
	switch {
	case err != nil:
		return "", explain.Refusal("See to that store, then call again: the human is asked anew.",
			"Whether the human's answer was used already cannot be told, because PVE_MCP_CONSENT_STORE does not answer: %v. Nothing was sent.", err)
	case !first:
		return "it was used already", nil
	}
	return "", nil
}

// consent decides whether the change may be made. stopped is the answer where not.
func (r *change) consent(ctx context.Context, risk policy.Risk) (given policy.Consent, stopped output) {
	stop := func(out output) (policy.Consent, output) { return given, out }
	answer, reason, err := r.answer(ctx)
	decision, given := r.host.Policy.Decide(policy.Ask{Risk: risk, Confirmed: confirmed(r.in), CanAsk: r.req.CanAsk, Answer: answer})
	if err == nil && reason == "" && decision == policy.Granted && given.By() == "human" {
		reason, err = r.use(ctx)
	}
	switch {
	case err != nil:
		return stop(r.failed(ctx, err))
	case reason != "":
		return stop(r.outcome(Changed{
			Outcome: NeedsConfirmation, Message: "The confirmation does not count: " + reason + ". Nothing was done.",
			Consequences: r.consequences(ctx), Next: "Call again: the human is asked anew.",
		}))
	}
	switch decision {
	case policy.Granted:
		return given, nil
	case policy.AskHuman:
		if r.asks, err = r.question(ctx); err != nil {
			return stop(r.failed(ctx, err))
		}
		return stop(r.outcome(Changed{Outcome: NeedsConfirmation, Message: r.plan.About + ": the human is asked."}))
	case policy.Declined:
		return stop(r.outcome(Changed{Outcome: Declined, Message: r.plan.About + ": the human declined. Nothing was done.", Next: "Do not try again unless the human asks for it."}))
	case policy.Cancelled:
		r.unanswered = true
		if problem := r.req.Reply.Problem; problem != "" {
			return stop(r.outcome(Changed{Outcome: Failed, Message: r.plan.About + ": the human could not be asked: " + render.Text(problem, 300) + ". Nothing was done.", Next: "See to the client's way of asking its human (elicitation), then call again."}))
		}
		return stop(r.outcome(Changed{Outcome: Declined, Message: r.plan.About + ": the human did not answer the question. Nothing was done.", Next: "Call again if the human wants to be asked once more."}))
	case policy.Mismatched:
		return stop(r.outcome(Changed{Outcome: Declined, Message: r.plan.About + ": the human accepted without saying yes, or typed another name. Nothing was done.", Next: "Call again if the human wants to be asked once more."}))
	case policy.Refused:
		return stop(r.failed(ctx, &policy.RefusedError{Reason: "it needs a human's consent (PVE_MCP_CONFIRM=human), and this client cannot ask its human"}))
	}
	return stop(r.outcome(Changed{
		Outcome: NeedsConfirmation, Message: r.plan.About + " loses what cannot be brought back; nothing was done yet.",
		Consequences: r.consequences(ctx), Next: "If this is what the user wants, call again: " + r.tool.Name + " " + r.confirmedCall(),
	}))
}

// confirmedCall are the arguments that would confirm the call.
func (r *change) confirmedCall() string {
	args, err := parse(r.req.Arguments)
	if err != nil {
		return `with confirm: true`
	}
	args["confirm"] = true
	return string(encode(args))
}

// digestOf identifies arguments.
func digestOf(in any) string {
	sum := sha256.Sum256(encode(in))
	return hex.EncodeToString(sum[:])
}
