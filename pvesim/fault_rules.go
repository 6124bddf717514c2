package pvesim

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Fault is a rule by which requests go wrong. It applies to requests that PVE would let in:
// those whose token, endpoint and privileges are in order. The first rule that applies wins.
//
// The fields up to Prob choose the requests. Delay and at most one of the fields after it
// say what happens to them. A rule with Down is about no request. [ParseFault] reads a rule
// from a line of text.
type Fault struct {
	// Match is a method, or *, and a path below /api2/json, in which * matches one
	// element and ** at the end for the rest: "POST /nodes/*/qemu/*/status/start".
	// "" matches every request.
	Match string
	Guest int     // the vmid that the request names; 0 means any
	Node  string  // that does the work; "" means any
	Skip  int     // how many requests pass first
	Max   int     // how often the rule fires at most; 0 means always
	Prob  float64 // probability that it fires, by the model's seed; 0 means always

	// Delay is how much later the work begins, on the clock.
	Delay time.Duration

	// Status refuses before the work, with Message: from 400 in PVE's form, from 595
	// as its proxy does if it reaches no node.
	Status  int
	Message string
	// TaskFails is the exit status with which the task that the request starts fails, after
	// FailsAt percent of its work. The work is undone as PVE undoes it. If FailsAt is 0, the
	// task does nothing.
	TaskFails string
	FailsAt   int
	// TaskIdle makes the task that the request starts end well without having done anything.
	TaskIdle bool
	// TaskSays is an additional line in the log of that task, which does its work and ends well.
	TaskSays string
	// TaskWarns is a warning of that task, which does its work and ends with it.
	TaskWarns string
	// Keeps is why the task that destroys or migrates a guest cannot remove volumes: it says
	// so and, as PVE does, ends well or with migration problems.
	Keeps string
	// Proxy makes another program answer instead of PVE, with Status, and Message as the
	// body: before the work or, with Done, after it.
	Proxy bool
	Done  bool
	// Drop ends the connection without an answer when the work is done.
	Drop bool
	// Truncate is the number of bytes of the answer's body after which the connection ends.
	Truncate int
	// Slow is how much later the answer comes when the work is done, on the clock. PVE's
	// proxy waits no more than 30 s for it, and then answers 596. With Proxy and Done it is when
	// that program answers.
	Slow time.Duration
	// AgentTakes is how long the guest's agent takes to answer. PVE waits no
	// more than 3 s for its first word.
	AgentTakes time.Duration

	// Down takes Node off the network, as [Sim.SetOnline] does, or Storage away from all
	// nodes, which then report Message for it. It does so Delay after the rule is made. What
	// is down from the beginning of a model has never reported its state.
	Down    bool
	Storage string
	// For is how long it is down, 0 for good; Every how long after that began it goes down
	// again, 0 for never.
	For, Every time.Duration
}

// fault is a living [Fault].
type fault struct {
	Fault
	method string   // "" for any
	path   []string // the elements of the pattern; nil for any
	met    int      // requests that it is about
	fired  int
}

// Fault adds a rule, after those that there are.
func (s *Sim) Fault(f Fault) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addFault(f)
}

// Fired returns how often each rule fired: the model's, and then those that were
// added.
func (s *Sim) Fired() []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []int
	for _, f := range s.faults {
		out = append(out, f.fired)
	}
	return out
}

func (s *state) addFault(f Fault) error {
	rule := &fault{Fault: f}
	err := cmp.Or(rule.parse(), f.validate())
	switch {
	case err != nil:
	case f.Node != "" && s.nodeNamed(f.Node) == nil:
		err = fmt.Errorf("there is no node %q", f.Node)
	case f.Storage != "" && s.storageNamed(f.Storage) == nil:
		err = fmt.Errorf("there is no storage %q", f.Storage)
	}
	if err != nil {
		return fmt.Errorf("fault %d (%q): %w", len(s.faults)+1, f.Match, err)
	}
	s.faults = append(s.faults, rule)
	if f.Down {
		s.timers = append(s.timers, timer{s.happens.Add(f.Delay), func(time.Time) { s.takeDown(rule) }, true})
		s.step(s.happens)
	}
	return nil
}

// takeDown takes a node or a storage away.
func (s *state) takeDown(f *fault) {
	f.fired++
	for after, do := range map[time.Duration]func(time.Time){
		f.For: func(time.Time) { s.bringBack(f) }, f.Every: func(time.Time) { s.takeDown(f) },
	} {
		if after > 0 {
			s.timers = append(s.timers, timer{s.happens.Add(after), do, true})
		}
	}
	if f.Storage != "" {
		s.storageNamed(f.Storage).Broken = cmp.Or(f.Message, "storage '"+f.Storage+"' is not online")
		return
	}
	n := s.nodeNamed(f.Node)
	n.cut = true
	s.reach(n, s.happens)
	n.neverHeard = s.happens.Equal(s.built)
}

// bringBack ends what a rule has taken down.
func (s *state) bringBack(f *fault) {
	if f.Storage != "" {
		s.storageNamed(f.Storage).Broken = ""
		return
	}
	n := s.nodeNamed(f.Node)
	n.cut = false
	s.reach(n, s.happens)
}

func (f *fault) parse() error {
	if f.Match == "" {
		return nil
	}
	method, path, ok := strings.Cut(f.Match, " ")
	if !ok || !strings.HasPrefix(path, "/") || strings.Contains(path, " ") {
		return errors.New("a match is a method, or *, and a path")
	}
	if method != "*" {
		if !slices.Contains(methods, method) {
			return fmt.Errorf("PVE knows no method %q", method)
		}
		f.method = method
	}
	f.path = elements(path)
	for i, e := range f.path {
		last := i == len(f.path)-1
		if strings.Contains(e, "*") && e != "*" && (e != "**" || !last) {
			return fmt.Errorf("in a path, * is a whole element and ** the last one, not %q", e)
		}
	}
	return nil
}

// validate says what is wrong with the numbers of a rule and what it does.
func (f Fault) validate() error {
	kinds := 0
	for _, set := range []bool{f.Status != 0, f.TaskFails != "", f.TaskIdle, f.TaskSays != "", f.TaskWarns != "", f.Keeps != "", f.Drop, f.Truncate != 0, f.Slow != 0, f.AgentTakes != 0, f.Down} {
		kinds += bit(set)
	}
	switch {
	case min(f.Guest, f.Skip, f.Max, f.Truncate, f.FailsAt) < 0 || min(f.Delay, f.Slow, f.AgentTakes, f.For, f.Every) < 0:
		return errors.New("a number is negative")
	case !(f.Prob >= 0 && f.Prob <= 1):
		return errors.New("a probability is from 0 to 1")
	case kinds > 1 && !(f.Proxy && f.Done && f.Slow > 0 && kinds == 2):
		return errors.New("it does several things, where one is possible")
	case kinds == 0 && f.Delay == 0:
		return errors.New("it does nothing")
	case f.Proxy && (f.Status < 200 || f.Status > 599), f.Done && !f.Proxy:
		return errors.New("a proxy answers with a status from 200 to 599, and only it does so when the work is done")
	case !f.Proxy && f.Status != 0 && (f.Status < 400 || f.Status > 599):
		return fmt.Errorf("the status %d is no refusal", f.Status)
	case f.Message != "" && f.Status == 0 && f.Storage == "":
		return errors.New("a message needs a status")
	case f.FailsAt > 100 || f.FailsAt > 0 && f.TaskFails == "":
		return errors.New("a task fails at up to 100 percent, in some words")
	case f.Down != ((f.Node == "") != (f.Storage == "")) && (f.Down || f.Storage != ""):
		return errors.New("what goes down is a node or a storage")
	case !f.Down && max(f.For, f.Every) > 0, f.Every > 0 && (f.For == 0 || f.For >= f.Every):
		return errors.New("only what goes down comes back, and before it goes down again")
	case f.Down && (f.Match != "" || max(f.Guest, f.Skip, f.Max) > 0 || f.Prob != 0):
		return errors.New("what goes down does so for all requests")
	}
	return nil
}

func elements(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
}

// matches reports whether the rule is matches a call, whether or not it fires.
func (f *fault) matches(c *call) bool {
	if f.method != "" && f.method != c.req.Method || f.Guest != 0 && f.Guest != c.number("vmid", 0) ||
		f.Node != "" && f.Node != c.worker() {
		return false
	}
	if f.path == nil {
		return true
	}
	path := elements(c.record.Path)
	for i, e := range f.path {
		if e == "**" {
			return true
		}
		if i >= len(path) || e != "*" && e != path[i] {
			return false
		}
	}
	return len(path) == len(f.path)
}

// worker is the name of the node that the call is for.
func (c *call) worker() string {
	if c.ep.ProxyTo == "" || c.str(c.ep.ProxyTo) == "localhost" {
		return c.receiver.Name
	}
	return c.str(c.ep.ProxyTo)
}

// nextFault finds the rule that befalls a call.
func (c *call) nextFault() Fault {
	for i, f := range c.faults {
		if f.Down || f.Max != 0 && f.fired == f.Max || !f.matches(c) {
			continue
		}
		f.met++
		chance := float64(hash(c.model.Seed, "fault", i, f.met)) / math.MaxUint64
		if f.met <= f.Skip || f.Prob != 0 && chance >= f.Prob {
			continue
		}
		f.fired++
		return f.Fault
	}
	return Fault{}
}

// applyFault lets a fault applyFault the call before the work is begun.
func (c *call) applyFault() error {
	if !c.accepted {
		c.accepted, c.fault = true, c.nextFault()
		c.arrived = c.now.Add(c.fault.Delay) // whatever else takes time begins later
	}
	if err := c.after(0, nil); err != nil {
		return err
	}
	switch f := c.fault; {
	case f.Proxy && f.Done:
	case f.Status == http.StatusUnauthorized || f.Status >= 595:
		return &refusal{status: f.Status, message: f.Message, plain: true}
	case f.Status != 0:
		return &refusal{status: f.Status, message: f.Message + "\n"}
	}
	return nil
}

// fork starts the task that the call is for, or with a fault one that fails.
func (c *call) fork(now time.Time, n *node, user, typ, id string, locks int, work func(time.Time) outcome) string {
	switch f := c.fault; {
	case f.TaskFails != "" && f.FailsAt == 0:
		work = func(time.Time) outcome { return failed(failTakes, "%s", f.TaskFails) }
	case f.TaskIdle:
		work = func(time.Time) outcome { return done(failTakes, nil) }
	case f.TaskWarns != "":
		whole := work
		work = func(now time.Time) outcome { return whole(now).warning(f.TaskWarns) }
	case f.TaskSays != "":
		whole := work
		work = func(now time.Time) outcome { return whole(now).saying(f.TaskSays) }
	case f.TaskFails != "":
		whole := work
		work = func(now time.Time) outcome { return whole(now).failing(f.TaskFails, f.FailsAt) }
	}
	return c.state.fork(now, n, user, typ, id, locks, work)
}

// warning is the same outcome with a warning, if the task ends well.
func (o outcome) warning(text string) outcome {
	if then := o.then; then != nil {
		o.then = func(now time.Time) outcome { return then(now).warning(text) }
		return o
	}
	if o.exit == "OK" {
		o = o.saying("WARN: " + text)
		o.exit = "WARNINGS: 1"
	}
	return o
}

// saying is the outcome with a line more at the end of its log.
func (o outcome) saying(line string) outcome {
	if then := o.then; then != nil {
		o.then = func(now time.Time) outcome { return then(now).saying(line) }
		return o
	}
	o.log = append(slices.Clone(o.log), entry{o.took, line})
	return o
}

// failing is the outcome if the work breaks off after some percent of it.
func (o outcome) failing(exit string, percent int) outcome {
	took := o.took * time.Duration(percent) / 100
	broken := failed(took, "%s", exit)
	for _, e := range o.log {
		if e.after <= took {
			broken.log = append(broken.log, e)
		}
	}
	broken.undo, broken.brief, broken.interrupted, broken.last = o.undo, o.brief, o.interrupted, o.last
	if o.undo != nil {
		broken.apply = func(time.Time) { o.undo() }
	}
	return broken
}

// deliver hands over the answer to what was done, or fails to.
func (c *call) deliver(ctx context.Context, resp Response) (Response, error) {
	switch f := c.fault; {
	case f.Drop:
		return Response{}, io.ErrUnexpectedEOF
	case f.Proxy:
		return foreign(f.Status, f.Message), c.clock.Sleep(ctx, f.Slow)
	case f.Slow > proxyWait && (c.ep.Protected || c.ep.ProxyTo != ""):
		return respond(nil, &refusal{status: 596, message: "Connection timed out", plain: true}, false), c.clock.Sleep(ctx, proxyWait)
	case f.Slow > 0:
		return resp, c.clock.Sleep(ctx, f.Slow)
	default:
		resp.Cut = f.Truncate
		return resp, nil
	}
}

// foreign is what a program that is not PVE answers.
func foreign(status int, body string) Response {
	head := http.Header{"Server": {"nginx"}}
	switch {
	case strings.HasPrefix(body, "<"):
		head.Set("Content-Type", "text/html")
	case strings.HasPrefix(body, "{"):
		head.Set("Content-Type", "application/json")
	}
	if status == http.StatusUnauthorized {
		head.Set("WWW-Authenticate", `Basic realm="proxy"`)
	}
	return Response{Status: status, Reason: http.StatusText(status), Header: head, Body: []byte(body)}
}
