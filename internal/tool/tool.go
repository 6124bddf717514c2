// Package tool declares tools and runs them. A tool is said once, as a [Spec] for
// one that reads or a [ChangeSpec] for one that changes something; schemas,
// annotations, command line, docs and privileges derive from it, and everything
// that all calls share happens in the one wrapper around them.
package tool

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"runtime/debug"
	"strings"
	"time"

	"github.com/google/jsonschema-go/jsonschema"

	"github.com/pve-mcp/pve-mcp/internal/audit"
	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/once"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/seal"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
)

// Tool is a declared tool.
type Tool struct {
	Name  string
	Title string
	Doc   string // for the model: at most three sentences
	// Examples are calls of the tool.
	Examples []Example
	// Toolset is the set that the tool belongs to, once the registry has it.
	Toolset string
	// Risk is the worst that the tool is known for; a call's own may be less.
	Risk policy.Risk
	// Idempotent says that a repeated call changes nothing more.
	Idempotent bool
	Needs      []Need
	// Long says that an answer is long by nature: a list, a log, or the output of a program.
	Long bool
	// Attaches says that an answer may have content beside its JSON.
	Attaches bool
	// Input and Output are the schemas of arguments and answer, inferred when they are
	// first asked for.
	Input, Output func() *jsonschema.Schema

	spec   spec // of a change
	run    func(ctx context.Context, h Host, req Request) Result
	resume func(ctx context.Context, b *Begun, wait time.Duration) Result // of a change
	// riskOf is the risk of a call by its input.
	riskOf func(arguments json.RawMessage) policy.Risk
}

// RiskOf returns the risk of a call as its input tells it; what the call finds out may
// raise it. Arguments that are not understood, and do nothing, have the least risk of the
// tool.
func (t Tool) RiskOf(arguments json.RawMessage) policy.Risk { return t.riskOf(arguments) }

// Host is what the wrapper needs of the process around it.
type Host struct {
	// Cluster names the cluster for a human.
	Cluster string
	// Client returns the client for a call.
	Client func(ctx context.Context) (*pve.Client, error)
	Policy policy.Policy
	// Guard enforces the policy below the client.
	Guard *policy.Guard
	// Seal seals what a client hands back. Where it has no keys, Secret does.
	Seal    seal.Keys
	Secret  proxmox.Secret
	Audit   *audit.Log
	Explain explain.Explainer
	// Stays says that the process goes on after its calls, so that it takes the steps that
	// are left of a change whose call has ended.
	Stays bool
	// Wait is how long a change waits for its task unless the call says.
	Wait time.Duration
	// AnswerBytes is how long the answer of a tool that reads is at most; 0 stands for the
	// usual.
	AnswerBytes int
	// Recent and Told are shared by all calls of the process; nil forgets.
	Recent *Recent
	Told   *Told
	// Kept is what all calls of the process share of what does not change; nil keeps nothing.
	Kept *Kept
	// Used are the answers of humans that were used; with nil none counts.
	Used *once.Ledger
	// Named finds the tool that answers for a change that was begun.
	Named func(name string) (Tool, bool)
	// Now tells the time; nil stands for the real one.
	Now func() time.Time
	// Logger hears of mistakes in this program; nil stands for nobody.
	Logger *slog.Logger
	// Trace, if not nil, is called when a call begins: it returns the context of the call,
	// and what is told of its end.
	Trace func(context.Context, Tool) (context.Context, func(Result))
}

// usualWait is how long a change waits for its task where nothing else is said.
const usualWait = 20 * time.Second

// Connect returns a host whose tools call one cluster under a policy, which holds
// for everything that the client sends.
func Connect(cluster string, o proxmox.Options, p policy.Policy) (Host, error) {
	g := &policy.Guard{Policy: p}
	o.Transport = g.Transport(o.Transport)
	client, err := pve.New(o)
	if err != nil {
		return Host{}, err
	}
	g.Lookup = lookup(client)
	return Host{
		Cluster: cluster,
		Client:  func(context.Context) (*pve.Client, error) { return client, nil },
		Policy:  p,
		Guard:   g,
		Secret:  o.Token.Secret,
		Explain: explain.Explainer{TokenID: o.Token.ID},
		Wait:    usualWait,
		Recent:  &Recent{},
		Told:    &Told{},
		Kept:    &Kept{},
		Used:    once.NewLedger(nil),
	}, nil
}

// keys returns the keys that seal what a client hands back.
func (h Host) keys(ctx context.Context) (seal.Keys, error) {
	if len(h.Seal) > 0 {
		return h.Seal, nil
	}
	secret, err := h.Secret.Read(ctx)
	if err == nil && secret == "" {
		err = errors.New("there is no secret to seal with") // and anybody could with none
	}
	return seal.Keys{[]byte(secret)}, err
}

// Request is one call.
type Request struct {
	Arguments json.RawMessage // an object, or nothing
	Caller    string
	// Owner is the part of Caller that a change belongs to which goes on after its call.
	Owner string
	// Detach says that the caller follows a change by its handle: the call does not wait
	// for the end of a task, unless it asks for no wait at all.
	Detach bool
	// Refuse, if not nil, says why this caller may not make a call of some risk, "" where
	// it may. The host's policy holds besides.
	Refuse func(policy.Risk) string
	// CanAsk says that the caller can ask its human.
	CanAsk bool
	// Reply is what the human said, nil where nobody was asked, and State what came with
	// the question.
	Reply *Reply
	State string
	// Progress, if not nil, is told how a long call goes. Done only increases.
	Progress func(Progress)
}

// refusal says why a call of some risk is not made, "" where it is.
func (r Request) refusal(p policy.Policy, risk policy.Risk) string {
	if reason := p.Refusal(risk); reason != "" || r.Refuse == nil {
		return reason
	}
	return r.Refuse(risk)
}

// Progress is how far a call is.
type Progress struct {
	Done    float64
	Total   float64 // 0 where it is unknown
	Message string
}

// Result is the answer to a call.
type Result struct {
	// Structured is the answer as minified JSON; nil for an error that has no more
	// than its text.
	Structured json.RawMessage
	// Text is the answer for a reader: the same JSON, or the error.
	Text string
	// Content is what the answer has beside its JSON.
	Content []Content
	// IsError says that the call did not do what was asked.
	IsError bool
	// Outcome is that of a change.
	Outcome Outcome
	// Handle answers for a change that goes on, "" where nothing does ([Open]).
	Handle string
	// Detached says that the call did not wait, since its caller follows the change.
	Detached bool
	// Interrupted says that the change failed because somebody has stopped its task.
	Interrupted bool
	// Question, if not nil, is to be asked before the change is made; then the call is
	// made again, with the reply.
	Question *Question
	// Fault says whose fault an error is, as far as that is clear.
	Fault Fault
}

// Fault is the kind of an error.
type Fault int

// The kinds of errors.
const (
	NoFault      Fault = iota
	BadArguments       // the call was not understood
	Refused            // the policy of this process forbids it
)

func faultOf(err error) Fault {
	var bad *argumentError
	var refused *policy.RefusedError
	switch {
	case errors.As(err, &bad):
		return BadArguments
	case errors.As(err, &refused):
		return Refused
	}
	return NoFault
}

// Call is what a tool's functions see of a call.
type Call struct {
	PVE *pve.Client

	host    Host
	req     Request
	guests  map[pve.VMID]pve.Resource // that were found
	nodes   []pve.Resource            // once they were asked for
	asOf    time.Time                 // of the oldest list of resources
	assured []assurance               // that were given
	at      time.Time                 // of the question that is asked or answered; zero afterwards
}

// Now is the time; while consent is asked for, that of the question.
func (c *Call) Now() time.Time {
	if !c.at.IsZero() {
		return c.at
	}
	return c.host.Now()
}

// Ago is how long ago a time was that PVE has said, by PVE's clock.
func (c *Call) Ago(at time.Time) time.Duration { return c.PVE.Ago(c.Now(), at) }

// maxWait bounds the wait that a call may ask for, since many clients give up
// after 60 s. A longer setting of the host counts.
const maxWait = 45 * time.Second

// Patience is how long a call waits that asks for wait seconds, or for nothing.
func (c *Call) Patience(wait *int) time.Duration {
	if wait == nil {
		return c.host.Wait
	}
	most := max(maxWait, c.host.Wait)
	if *wait > int(most/time.Second) {
		return most
	}
	return time.Duration(*wait) * time.Second
}

// Report tells whoever waits what the call is doing.
func (c *Call) Report(p Progress) {
	if c.req.Progress != nil {
		c.req.Progress(p)
	}
}

// Watch returns what follows the task that is what about names, and reports its progress to
// whoever waits.
func (c *Call) Watch(about string) *Watcher {
	return &Watcher{report: c.Report, about: about, now: c.Now, begun: c.Now()}
}

// Explain returns the explanation of an error that does not fail the call.
func (c *Call) Explain(err error) explain.Explanation { return c.host.Explain.Explain(err) }

// Guest finds a guest by its id, once in a call.
func (c *Call) Guest(ctx context.Context, id pve.VMID) (pve.Resource, error) {
	if g, ok := c.guests[id]; ok {
		return g, nil
	}
	g, err := c.PVE.FindGuest(ctx, id)
	if err == nil {
		c.guests[id] = g
	}
	return g, err
}

// AtGuest finds a guest and does something with it: once more, where PVE says that it is
// not on the node where it was found. Nothing was done there then, so that this is safe
// for a write, too.
func AtGuest[T any](ctx context.Context, c *Call, id pve.VMID, do func(pve.GuestRef) (T, error)) (pve.GuestRef, T, error) {
	var none T
	for again := true; ; again = false {
		g, err := c.Guest(ctx, id)
		if err != nil {
			return pve.GuestRef{}, none, err
		}
		out, err := do(g.Ref())
		if !again || !pve.Elsewhere(err) {
			return g.Ref(), out, err
		}
		delete(c.guests, id)
	}
}

// Live finds a guest and asks its node for its state.
func (c *Call) Live(ctx context.Context, id pve.VMID) (pve.GuestRef, pve.GuestStatus, error) {
	return AtGuest(ctx, c, id, func(g pve.GuestRef) (pve.GuestStatus, error) { return c.PVE.GuestStatus(ctx, g) })
}

// Made is Live for a guest that a task was to make on a node, "" for the task's own. Where
// the lists do not have it, that node is asked: an error of [pve.Elsewhere] says that there
// is none.
func (c *Call) Made(ctx context.Context, id pve.VMID, end End, node string) (pve.GuestRef, pve.GuestStatus, error) {
	g, s, err := c.Live(ctx, id)
	var none *pve.NoGuestError
	if !errors.As(err, &none) || !end.Status.Succeeded() {
		return g, s, err
	}
	g = pve.GuestRef{Node: cmp.Or(node, end.Status.UPID.Node), Kind: pve.QEMU, VMID: id}
	if strings.HasPrefix(end.Status.UPID.Type, "vz") {
		g.Kind = pve.LXC
	}
	s, err = c.PVE.GuestStatus(ctx, g)
	return g, s, err
}

// Ended notes that a task was seen to have ended, and with it perhaps a change of this
// process that was still under way.
func (c *Call) Ended(task proxmox.UPID) {
	if id, ok := pve.GuestOf(task); ok && !pve.EndsEarly(task) {
		c.host.Recent.end(changedGuest{c.host.Cluster, id}, c.Now())
	}
}

// RefuseCommand says why a command, which gets standard input or not, must not be run in a
// guest: the policy may name those that may, and then no shell.
func (c *Call) RefuseCommand(argv []string, stdin, shell bool) error {
	reason := c.host.Policy.RefuseCommand(argv, stdin)
	if shell && len(c.host.Policy.ExecAllow) > 0 {
		reason = "a shell is none of the commands that PVE_MCP_EXEC_ALLOW names"
	}
	if reason == "" {
		return nil
	}
	return &policy.RefusedError{Reason: reason}
}

// Call runs the tool. It returns for every input, valid or not.
func (t Tool) Call(ctx context.Context, h Host, req Request) Result {
	h = h.complete()
	return t.guarded(proxmox.ReadOnce(ctx), h, func(ctx context.Context) Result { return t.run(ctx, h, req) })
}

// complete sets what a host may leave out.
func (h Host) complete() Host {
	if h.AnswerBytes == 0 {
		h.AnswerBytes = AnswerBytes
	}
	if h.Logger == nil {
		h.Logger = slog.New(slog.DiscardHandler)
	}
	if h.Now == nil {
		h.Now = time.Now
	}
	if h.Used == nil {
		h.Used = once.NewLedger(nil)
	}
	if h.Named == nil {
		h.Named = func(string) (Tool, bool) { return Tool{}, false }
	}
	return h
}

// guarded answers for a call that meets a bug, too.
func (t Tool) guarded(ctx context.Context, h Host, call func(context.Context) Result) (res Result) {
	if h.Trace != nil {
		var end func(Result)
		ctx, end = h.Trace(ctx, t)
		defer func() { end(res) }()
	}
	defer func() {
		if p := recover(); p != nil {
			h.Logger.ErrorContext(ctx, "panic", "tool", t.Name, "cause", p, "stack", string(debug.Stack()))
			res = t.broken(p)
		}
	}()
	return call(ctx)
}

// broken is the answer to a call that met a bug in this program.
func (t Tool) broken(cause any) Result {
	text := fmt.Sprintf("%s failed because of a bug in pve-mcp: %v.", t.Name, cause)
	if t.Risk == policy.Read {
		return Result{IsError: true, Text: text}
	}
	res := success(&Changed{Outcome: Unknown, Message: text, Next: "Look at the state before you try again, and report the bug with what the log says."})
	res.IsError, res.Outcome = true, Unknown
	return res
}

// read reads the arguments of a call into in. Those that are not the tool's own are not
// part of the request any more.
func (t Tool) read(ctx context.Context, h Host, req *Request, in any) error {
	r, err := decode(t.Input(), req.Arguments, in, func(name string) (pve.VMID, error) { return h.guestNamed(ctx, name) })
	req.Arguments = r.own
	h.Told.ignored(ctx, h.Logger, t.Name, r.added)
	return err
}

// reading is the tool that runs with an input.
func reading(t Tool, input func() any, run func(ctx context.Context, c *Call, in any) (any, error)) Tool {
	t.riskOf = func(json.RawMessage) policy.Risk { return policy.Read }
	t.run = func(ctx context.Context, h Host, req Request) Result {
		if reason := req.refusal(h.Policy, policy.Read); reason != "" {
			return failure(h, &policy.RefusedError{Reason: reason})
		}
		in := input()
		if err := t.read(ctx, h, &req, in); err != nil {
			return failure(h, err)
		}
		c, err := newCall(ctx, h, req)
		if err != nil {
			return failure(h, err)
		}
		out, err := run(ctx, c, in)
		if err != nil {
			return Result{IsError: true, Text: c.refused(ctx, 0, err).String(), Fault: faultOf(err)}
		}
		fillLists(reflect.ValueOf(out).Elem())
		return resultOf(out, bounded(out, h.AnswerBytes))
	}
	return t
}

func newCall(ctx context.Context, h Host, req Request) (*Call, error) {
	client, err := h.Client(ctx)
	if err != nil {
		return nil, err
	}
	return &Call{PVE: client, host: h, req: req, guests: map[pve.VMID]pve.Resource{}}, nil
}

func failure(h Host, err error) Result {
	return Result{IsError: true, Text: h.Explain.Explain(err).String(), Fault: faultOf(err)}
}

// success is the result that a pointer to an answer makes.
func success(out any) Result {
	fillLists(reflect.ValueOf(out).Elem())
	return resultOf(out, encode(out))
}

func resultOf(out any, data json.RawMessage) Result {
	content, _ := attachmentsOf(out)
	return Result{Structured: data, Text: string(data), Content: content}
}

// fillLists makes the lists of an answer that are nil empty, so that they are not
// written as null; one that is left out where it is empty stays nil.
func fillLists(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			f := v.Field(i)
			if f.Kind() == reflect.Slice && f.IsNil() && f.CanSet() && !strings.Contains(v.Type().Field(i).Tag.Get("json"), ",omit") {
				f.Set(reflect.MakeSlice(f.Type(), 0, 0))
			}
			fillLists(f)
		}
	case reflect.Slice:
		for i := range v.Len() {
			fillLists(v.Index(i))
		}
	}
}

// encode minifies, and leaves <, > and & as they are: nothing here is HTML.
func encode(v any) json.RawMessage {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(fmt.Sprintf("an answer that is not JSON: %v", err))
	}
	return bytes.TrimSpace(buf.Bytes())
}
