package change

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/exactjson"
	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/seal"
	"github.com/pve-mcp/pve-mcp/internal/tool"
)

// sealedQuestion is what a question was about, sealed until the answer comes.
type sealedQuestion struct {
	ID       string `json:"id"`
	Process  string `json:"process"` // that asked
	At       int64  `json:"at"`      // nanoseconds since 1970
	Caller   string `json:"caller"`
	Tool     string `json:"tool"`
	Args     string `json:"args"`     // digest
	Subjects string `json:"subjects"` // as they were: a digest
	Words    string `json:"words"`    // that the human saw, without the impact: a digest
	// Assurances are those that the human saw beside what the subjects show.
	Assurances []cluster.Assurance `json:"assured,omitempty"`
}

const (
	consentPurpose = "consent"
	// ConsentTime is how long a human may take to answer.
	ConsentTime = 5 * time.Minute
	// maxQuestion bounds the characters of a question: nobody agrees to what he does not read
	// to its end.
	maxQuestion = 8000
)

// makeQuestion makes the question.
func (r *run) makeQuestion(ctx context.Context) (*tool.Question, error) {
	are, err := r.fingerprints(ctx)
	if err != nil {
		return nil, err
	}
	words, err := r.questionText(ctx)
	if err != nil {
		return nil, err
	}
	keys, err := r.host.Keys(ctx)
	if err != nil {
		return nil, err
	}
	state, err := keys.Seal(consentPurpose, sealedQuestion{
		ID: rand.Text(), Process: r.host.Used.Process(), At: r.call.Now().UnixNano(),
		Caller: r.req.Caller, Tool: r.tool.Name, Args: r.digest, Subjects: are, Words: exactjson.Digest(r.wording(r.plan.Consequences)), Assurances: r.call.Assurances(),
	}, r.host.Now().Add(ConsentTime))
	if err != nil {
		return nil, err
	}
	return &tool.Question{Message: words, Typed: r.plan.Names != nil, State: state, Secrets: r.secretForm(words)}, nil
}

// questionText is all that a human is shown: what would be done, what is lost, and every
// argument as it would be carried out. It is an error if it is too long to be read.
func (r *run) questionText(ctx context.Context) (string, error) {
	words := r.wording(r.consequences(ctx))
	if n := utf8.RuneCountInString(words); n > maxQuestion {
		next := "Make it several calls, each with fewer arguments."
		if r.tool.Risk == policy.Exec {
			next = "Write the command or its input to a file in the guest, check the SHA-256 of that file, and run it by its name."
		}
		return "", explain.Refusal(next, "%s needs a human's consent, and is too long to be shown whole: %d characters, of at most %d. Nothing was sent.", r.plan.About, n, maxQuestion)
	}
	return words, nil
}

// wording is how a human is asked about consequences.
func (r *run) wording(consequences []string) string {
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
		lines[i] = render.Text(line, maxQuestion+1) // nothing else begins a line
	}
	lines = append(lines, ArgumentsHeading)
	lines = append(lines, r.arguments()...)
	if r.plan.Names != nil {
		lines = append(lines, "To go on, type "+strings.Join(r.namesToType(), " or ")+".")
	}
	return strings.Join(lines, "\n")
}

// ArgumentsHeading begins the arguments in a question: a line for each, its name and its
// value in JSON.
const ArgumentsHeading = "Arguments:"

// arguments lists the arguments of the call as they would be carried out: as the state has
// them, or else as they were given. Those that only say how to ask or to plan are left out.
func (r *run) arguments() []string {
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
	if err := json.Unmarshal(exactjson.Encode(object), &all); err != nil {
		panic(fmt.Sprintf("%T is not written as an object: %v", object, err))
	}
	return all
}

// namesToType are the names that count as consent. None is empty, or could be the id of
// another guest.
func (r *run) namesToType() []string {
	return slices.DeleteFunc(slices.Clone(r.plan.Names), func(name string) bool {
		return name == "" || strings.Trim(name, "0123456789") == "" && name != r.plan.Subject.ID
	})
}

// consequences are what the change would do, and what is lost.
func (r *run) consequences(ctx context.Context) []string {
	if r.targets() == nil || r.tool.Risk == policy.Exec || r.plan.Fleet != nil || r.plan.ImpactSaid {
		return r.plan.Consequences
	}
	out := slices.Clone(r.plan.Consequences)
	for _, s := range r.subjects() {
		impact, err := r.call.Impact(ctx, s)
		if err != nil {
			impact = []string{"what else is at stake could not be looked up: " + r.call.Explain(err).What}
		}
		out = append(out, impact...)
	}
	return out
}

// openReply opens the state that came with an answer. If the answer may count, the call's time
// is that of the question from then on, so that the ages in the question read the same.
func (r *run) openReply(ctx context.Context) error {
	r.call.HoldTime(r.host.Now())
	if r.req.Reply == nil || r.req.Reply.Action != "accept" {
		return nil
	}
	keys, err := r.host.Keys(ctx)
	if err != nil {
		return err
	}
	switch err := keys.Open(consentPurpose, r.req.State, r.host.Now(), &r.asked); {
	case errors.Is(err, seal.ErrExpired):
		r.replyProblem = "it took longer than " + render.Duration(ConsentTime)
	case err != nil:
		r.replyProblem = "the state that came with it is not valid: " + err.Error()
	case r.asked.Caller != r.req.Caller || r.asked.Tool != r.tool.Name || r.asked.Args != r.digest:
		r.replyProblem = "it was given for another call"
	case !r.host.Used.Knows(r.asked.Process):
		r.replyProblem = "another process of this server has asked the question, and without PVE_MCP_CONSENT_STORE this one cannot know whether the answer was used"
	default:
		r.call.HoldTime(time.Unix(0, r.asked.At))
	}
	return nil
}

// readReply reads what the human said. reason says why the answer does not count.
func (r *run) readReply(ctx context.Context) (a *policy.Answer, reason string, err error) {
	if r.req.Reply == nil {
		return nil, "", nil
	}
	a = &policy.Answer{Action: r.req.Reply.Action}
	if a.Action != "accept" || r.replyProblem != "" {
		return a, r.replyProblem, nil
	}
	are, err := r.fingerprints(ctx)
	if err != nil {
		return nil, "", err
	}
	if r.asked.Subjects != are {
		return nil, fmt.Sprintf("the %s is no longer as it was when the question was asked", cmp.Or(r.plan.Subject.Kind, "subject")), nil
	}
	same := r.asked.Words == exactjson.Digest(r.wording(r.plan.Consequences))
	for _, a := range r.asked.Assurances {
		holds, err := r.call.Holds(ctx, a)
		if err != nil {
			return nil, "", err
		}
		same = same && holds
	}
	if !same {
		return nil, "what would be done, or what is at stake, is no longer what the question said", nil
	}
	if r.plan.Names == nil {
		a.Agreed = r.req.Reply.Content[tool.YesField] == true
	} else {
		typed, _ := r.req.Reply.Content[tool.NameField].(string)
		a.Agreed = slices.Contains(r.namesToType(), strings.TrimSpace(typed))
	}
	return a, "", nil
}

// claimReply uses the answer up. reason says why the answer does not count.
func (r *run) claimReply(ctx context.Context) (reason string, err error) {
	until := time.Unix(0, r.asked.At).Add(ConsentTime + time.Minute) // the seal's own end is by the second
	first, err := r.host.Used.Claim(ctx, r.asked.ID, r.host.Now(), until)
	switch {
	case err != nil:
		return "", explain.Refusal("See to that store, then call again: the human is asked anew.",
			"It is unknown whether the human's answer was used already, because PVE_MCP_CONSENT_STORE does not answer: %v. Nothing was sent.", err)
	case !first:
		return "it was used already", nil
	}
	return "", nil
}

// consentFor is the consent that a call of some risk needs.
func (r *run) consentFor(risk policy.Risk) policy.Ask {
	return policy.Ask{Risk: risk, Many: r.plan.Destructive && r.plan.Fleet != nil}
}

func (r *run) needsConsent(risk policy.Risk) bool {
	return r.host.Policy.NeedsConsent(r.consentFor(risk))
}

// decideConsent decides whether the change may be made. out is the answer if it may not.
func (r *run) decideConsent(ctx context.Context, risk policy.Risk) (given policy.Consent, out output) {
	stop := func(out output) (policy.Consent, output) { return given, out }
	answer, reason, err := r.readReply(ctx)
	ask := r.consentFor(risk)
	ask.Confirmed, ask.CanAsk, ask.Answer = isConfirmed(r.in), r.req.CanAsk, answer
	decision, given := r.host.Policy.Decide(ask)
	if err == nil && reason == "" && decision == policy.Granted && given.By() == "human" {
		reason, err = r.claimReply(ctx)
	}
	switch {
	case err != nil:
		return stop(r.answerFailed(ctx, err))
	case reason != "":
		return stop(r.outputOf(Answer{
			Outcome: tool.NeedsConfirmation, Message: "The confirmation does not count: " + reason + ". Nothing was done.",
			Consequences: r.consequences(ctx), Next: "Call again: the human is asked anew.",
		}))
	}
	switch decision {
	case policy.Granted:
		return given, nil
	case policy.AskHuman:
		if r.question, err = r.makeQuestion(ctx); err != nil {
			return stop(r.answerFailed(ctx, err))
		}
		return stop(r.outputOf(Answer{Outcome: tool.NeedsConfirmation, Message: r.plan.About + ": the human is asked."}))
	case policy.Declined:
		return stop(r.outputOf(Answer{Outcome: tool.Declined, Message: r.plan.About + ": the human declined. Nothing was done.", Next: "Do not try again unless the human asks for it."}))
	case policy.Cancelled:
		r.unanswered = true
		if problem := r.req.Reply.Problem; problem != "" {
			return stop(r.outputOf(Answer{Outcome: tool.Failed, Message: r.plan.About + ": the human could not be asked: " + render.Text(problem, 300) + ". Nothing was done.", Next: "See to the client's way of asking its human (elicitation), then call again."}))
		}
		return stop(r.outputOf(Answer{Outcome: tool.Declined, Message: r.plan.About + ": the human did not answer the question. Nothing was done.", Next: "Call again if the human wants to be asked once more."}))
	case policy.Mismatched:
		return stop(r.outputOf(Answer{Outcome: tool.Declined, Message: r.plan.About + ": the human accepted without saying yes, or typed another name. Nothing was done.", Next: "Call again if the human wants to be asked once more."}))
	case policy.Refused:
		why := "PVE_MCP_CONFIRM=human"
		if risk == policy.Access {
			why = "so does every change of who may do what"
		}
		return stop(r.answerFailed(ctx, &policy.RefusedError{Reason: "it needs a human's consent (" + why + "), and this client cannot ask its human"}))
	}
	return stop(r.outputOf(Answer{
		Outcome: tool.NeedsConfirmation, Message: r.plan.About + " " + r.whyAsked() + "; nothing was done yet.",
		Consequences: r.consequences(ctx), Next: "If this is what the user wants, call again: " + r.tool.Name + " " + r.confirmedCall(),
	}))
}

// whyAsked says why a call needs consent.
func (r *run) whyAsked() string {
	if r.plan.Asked != "" {
		return r.plan.Asked
	}
	if r.plan.Fleet != nil && r.plan.Fleet.worst() < policy.Destructive {
		return "is a change of many guests, or stops several that run"
	}
	return "loses what cannot be brought back"
}

// confirmedCall returns the arguments that would confirm the call, flags and numbers that came
// as text as they were understood. A plan is confirmed by its handle.
func (r *run) confirmedCall() string {
	args, err := tool.ParseArguments(r.req.Arguments)
	if err != nil {
		return `with confirm: true`
	}
	if r.planHandle != "" { // what it says is confirmed, and not what its arguments mean by then
		args = pick(args, "wait", "timeout")
		args["plan_handle"] = r.planHandle
	}
	given := fieldsOf(r.in)
	for name, value := range args {
		if _, isText := value.(string); !isText {
			continue
		}
		switch read, ok := given[name]; {
		case ok && read[0] != '"':
			args[name] = read
		case !ok && r.tool.Input().Properties[name] != nil && r.tool.Input().Properties[name].Type == "boolean":
			args[name] = false // it was written as text
		}
	}
	args["confirm"] = true
	return string(exactjson.Encode(args))
}
