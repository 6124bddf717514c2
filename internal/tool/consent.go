package tool

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"pve-mcp/internal/guard"
	"pve-mcp/internal/render"
	"pve-mcp/internal/seal"
	"pve-mcp/pve"
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
}

// asked is what a question was about, sealed until the answer comes.
type asked struct {
	Caller string `json:"caller"`
	Tool   string `json:"tool"`
	Args   string `json:"args"`  // digest
	Guest  string `json:"guest"` // as it was: a digest
}

const (
	consentPurpose = "consent"
	// ConsentTime is how long a human may take to answer.
	ConsentTime = 5 * time.Minute
)

// question makes the question, with the consequences in it.
func (r *change) question(ctx context.Context, digest string) (*Question, error) {
	guest, err := r.call.asItIs(ctx, r.plan.Guest)
	if err != nil {
		return nil, err
	}
	keys, err := r.host.keys(ctx)
	if err != nil {
		return nil, err
	}
	state, err := keys.Seal(consentPurpose, asked{r.req.Caller, r.tool.Name, digest, guest}, r.host.Now().Add(ConsentTime))
	if err != nil {
		return nil, err
	}
	lines := []string{r.plan.About + " (cluster " + render.Text(r.host.Cluster, 60) + ")"}
	for _, c := range r.consequences(ctx) {
		lines = append(lines, "- "+c)
	}
	q := &Question{Typed: r.plan.Names != nil, State: state}
	if q.Typed {
		lines = append(lines, "To go on, type "+strings.Join(r.plan.Names, " or ")+".")
	}
	q.Message = strings.Join(lines, "\n")
	return q, nil
}

// consequences are what the change would do, and what is at stake.
func (r *change) consequences(ctx context.Context) []string {
	if r.plan.Target.Method == "" || r.tool.Risk == guard.Exec {
		return r.plan.Consequences
	}
	g, s, err := r.call.Live(ctx, r.plan.Guest)
	var stakes []string
	if err == nil {
		stakes, err = r.call.Stakes(ctx, g, s)
	}
	if err != nil {
		stakes = []string{"what else is at stake could not be looked up: " + r.call.Explain(err).What}
	}
	return slices.Concat(r.plan.Consequences, stakes)
}

// answer reads what the human said. reason says why an answer does not count.
func (r *change) answer(ctx context.Context, digest string) (a *guard.Answer, reason string, err error) {
	if r.req.Reply == nil {
		return nil, "", nil
	}
	a = &guard.Answer{Action: r.req.Reply.Action}
	if a.Action != "accept" {
		return a, "", nil
	}
	keys, err := r.host.keys(ctx)
	if err != nil {
		return nil, "", err
	}
	var was asked
	switch err := keys.Open(consentPurpose, r.req.State, r.host.Now(), &was); {
	case errors.Is(err, seal.ErrExpired):
		return nil, "it took longer than " + render.Duration(ConsentTime), nil
	case err != nil:
		return nil, "the state that came with it is not valid: " + err.Error(), nil
	case was.Caller != r.req.Caller || was.Tool != r.tool.Name || was.Args != digest:
		return nil, "it was given for another call", nil
	}
	is, err := r.call.asItIs(ctx, r.plan.Guest)
	if err != nil {
		return nil, "", err
	}
	if was.Guest != is {
		return nil, "the guest is no longer as it was when the question was asked", nil
	}
	if r.plan.Names == nil {
		a.Agreed = r.req.Reply.Content[YesField] == true
	} else {
		typed, _ := r.req.Reply.Content[NameField].(string)
		a.Agreed = slices.Contains(r.plan.Names, strings.TrimSpace(typed))
	}
	return a, "", nil
}

// consent decides whether the change may be made. stopped is the answer where not.
func (r *change) consent(ctx context.Context, risk guard.Risk, digest string) (given guard.Consent, stopped output) {
	stop := func(out output) (guard.Consent, output) { return given, out }
	answer, reason, err := r.answer(ctx, digest)
	switch {
	case err != nil:
		return stop(r.failed(ctx, err))
	case reason != "":
		return stop(r.outcome(Changed{
			Outcome: NeedsConfirmation, Message: "The confirmation does not count: " + reason + ". Nothing was done.",
			Consequences: r.consequences(ctx), Next: "Call again: the human is asked anew.",
		}))
	}
	decision, given := r.host.Policy.Decide(guard.Ask{Risk: risk, Confirmed: confirmed(r.in), CanAsk: r.req.CanAsk, Answer: answer})
	switch decision {
	case guard.Granted:
		return given, nil
	case guard.AskHuman:
		if r.asks, err = r.question(ctx, digest); err != nil {
			return stop(r.failed(ctx, err))
		}
		return stop(r.outcome(Changed{Outcome: NeedsConfirmation, Message: r.plan.About + ": the human is asked."}))
	case guard.Declined:
		return stop(r.outcome(Changed{Outcome: Declined, Message: r.plan.About + ": the human declined. Nothing was done.", Next: "Do not try again unless the human asks for it."}))
	case guard.Cancelled:
		return stop(r.outcome(Changed{Outcome: Declined, Message: r.plan.About + ": the human did not answer the question. Nothing was done.", Next: "Call again if the human wants to be asked once more."}))
	case guard.Mismatched:
		return stop(r.outcome(Changed{Outcome: Declined, Message: r.plan.About + ": the human accepted without saying yes, or typed another name. Nothing was done.", Next: "Call again if the human wants to be asked once more."}))
	case guard.Refused:
		return stop(r.failed(ctx, &guard.RefusedError{Reason: "it needs a human's consent (PVE_MCP_CONFIRM=human), and this client cannot ask its human"}))
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

// asItIs identifies a guest as it is: its configuration, snapshots, state and newest
// task, so that whatever is done with it makes it another one. PVE remembers that for
// every replica of this server.
func (c *Call) asItIs(ctx context.Context, id pve.VMID) (string, error) {
	g, s, err := c.Live(ctx, id)
	if err != nil {
		return "", err
	}
	config, err := c.PVE.GuestConfig(ctx, g, nil)
	if err != nil {
		return "", err
	}
	snapshots, err := c.PVE.Snapshots(ctx, g)
	if err != nil {
		return "", err
	}
	var names []string
	for _, snap := range snapshots {
		names = append(names, fmt.Sprint(snap.Name, snap.Time.Value))
	}
	slices.Sort(names)
	tasks, _, err := c.PVE.NodeTasks(ctx, g.Node, url.Values{"vmid": {id.String()}, "source": {"all"}, "limit": {"1"}})
	if err != nil {
		return "", err
	}
	newest := ""
	if len(tasks) > 0 {
		newest = tasks[0].UPID.String()
	}
	return digestOf([]any{g, config.Digest, names, s.State(), newest}), nil
}
