package pvesim

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pve-mcp/pve-mcp/pve/apischema"
	"github.com/pve-mcp/pve-mcp/pvesim/internal/websocket"
)

// Options are what a model does not say.
type Options struct {
	// Clock is the time that the cluster lives by; nil means the real one.
	Clock Clock
}

// Sim is a simulated cluster. It is safe for concurrent use.
type Sim struct {
	clock Clock
	apis  map[int]*apischema.API // by major version of PVE

	mu       sync.Mutex
	state                   // guarded by mu
	requests []Record       // guarded by mu
	handled  routes         // by functions of [Sim.Handle]; guarded by mu
	foreign  *apischema.API // those endpoints, for nodes that do not have them; guarded by mu
}

// Record is a request that was answered.
type Record struct {
	Node     string // that received it
	Method   string
	Path     string // decoded, below /api2/json
	Endpoint string // the template of the path; "" if there is none
	Params   map[string]any
	User     string // user or token id; "" if it was not accepted
	Status   int    // of the answer, even if a fault kept it from arriving
	Checks   []apischema.PrivCheck
	// Filters are the privileges by which the answer was filtered, such as
	// "VM.Audit on /vms".
	Filters []string
}

// NewSim brings a model to life. The simulated cluster's time starts at the clock's.
func NewSim(m Model, o Options) (*Sim, error) { return newSim(m, o, time.Time{}) }

// newSim brings a model to life that is as the cluster was at a time, which is the
// clock's if it is zero.
func newSim(m Model, o Options, at time.Time) (*Sim, error) {
	if o.Clock == nil {
		o.Clock = Scaled(1)
	}
	s := &Sim{clock: o.Clock, apis: map[int]*apischema.API{}}
	s.sim, s.manageHA = s, s.managesHA
	for _, n := range m.Nodes {
		v := parseVersion(cmp.Or(n.PVE, m.PVE))
		if s.apis[v.schema()] != nil {
			continue
		}
		api, err := apischema.Load(v.schema())
		if err != nil {
			return nil, err
		}
		s.apis[v.schema()] = api
	}
	if at.IsZero() {
		at = o.Clock.Now()
	}
	if err := s.build(m, at); err != nil {
		return nil, err
	}
	s.armJobs(o.Clock.Now())
	if len(s.resources()) > 0 {
		s.wakeHA(at)
		s.watch(at)
	}
	return s, nil
}

// Requests returns the requests that were answered, oldest first. If there were over 20,000,
// it returns at least the last 10,000.
func (s *Sim) Requests() []Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// Now is the simulated cluster's time.
func (s *Sim) Now() time.Time { return s.clock.Now() }

// Do answers one request. The error is ctx's if the caller went away while PVE
// would have kept it waiting, a [*net.OpError] if the receiving node is offline, and
// [io.ErrUnexpectedEOF] if a [Fault] withholds the answer.
func (s *Sim) Do(ctx context.Context, req Request) (Response, error) {
	if resp, ok := s.viewer(req); ok {
		return resp, nil
	}
	c := &call{Sim: s, req: req, receiver: s.receiver(req.Node)}
	for {
		data, err := s.attempt(c)
		var wait *waitError
		if errors.As(err, &wait) {
			if err := s.clock.Sleep(ctx, wait.d); err != nil {
				return Response{}, err
			}
			continue
		}
		if down := (*net.OpError)(nil); errors.As(err, &down) {
			return Response{}, down
		}
		resp := respond(data, err, c.node.version.atLeast(8, 4))
		if resp.console != nil {
			resp.Header, _ = websocket.Upgrade(req.Header)
		}
		c.record.Status = resp.Status
		s.recordRequest(c.record)
		return c.deliver(ctx, resp)
	}
}

// recordRequest remembers a request; of very many, the last ones.
func (s *Sim) recordRequest(r Record) {
	const most = 20_000
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.requests) == most {
		s.requests = slices.Clone(s.requests[most/2:])
	}
	s.requests = append(s.requests, r)
}

// waitError makes Do call the handler again after a pause, in which the lock is
// free.
type waitError struct{ d time.Duration }

func (*waitError) Error() string { return "pvesim: wait" }

// attempt does what can be done at this moment.
func (s *Sim) attempt(c *call) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.now = s.clock.Now()
	s.advance(c.now)
	if c.receiver.Offline {
		return nil, c.receiver.unreachable("read", "read")
	}
	if c.arrived.IsZero() {
		c.arrived = c.now
	}
	return c.run()
}

// The delays that PVE's HTTP server and proxy make.
const (
	unauthorizedDelay = 3 * time.Second
	unreachableDelay  = 3 * time.Second
	proxyWait         = 30 * time.Second // for the daemon or the node that does the work
)

// call is one request under way.
type call struct {
	*Sim
	req      Request
	receiver *node
	arrived  time.Time // or when what delayed it was over
	now      time.Time // of this attempt
	record   Record
	filters  map[[2]string]bool // privilege and top of the path: those in record

	caller   apischema.Caller
	byToken  bool // it authenticates with an API token
	ep       *apischema.Endpoint
	params   apischema.Values
	accepted bool    // as far as privileges go
	fault    Fault   // that befalls it then
	file     *upload // that came with it; nil if none did
	forked   *task   // that an earlier attempt started
	node     *node   // that answers: the receiver, or the one that it hands the call to
}

// methods are those that PVE's server knows.
var methods = []string{"GET", "POST", "PUT", "DELETE"}

// run goes the way of a request through PVE: server, authentication, endpoint,
// privileges, node, parameters, code.
func (c *call) run() (any, error) {
	c.node = c.receiver
	c.record = Record{Node: c.receiver.Name, Method: c.req.Method}
	if !slices.Contains(methods, c.req.Method) {
		return nil, serverRefusal(501, "method '%s' not available", c.req.Method)
	}
	if c.req.Chunked && c.receiver.version.atLeast(8, 0) {
		return nil, serverRefusal(501, "chunked transfer encoding not supported")
	} else if c.req.Chunked { // PVE 7 does not see that there is a body
		c.req.Chunked, c.req.Body = false, nil
	}
	escaped, ok := strings.CutPrefix(c.req.Path, "/api2/json/")
	path, err := url.PathUnescape("/" + escaped)
	if !ok || err != nil {
		return nil, serverRefusal(501, "no such uri")
	}
	c.record.Path = path
	if err := c.authenticate(); err != nil {
		return nil, c.after(unauthorizedDelay, err)
	}
	if err := contentRefusal(c.req); err != nil {
		return nil, err
	}
	if c.req.isUpload() {
		c.params, err = c.multipartForm()
	} else if len(c.req.Body) > maxBody || len(c.req.Body) > maxBodyBefore && !c.receiver.version.atLeast(8, 4) {
		return nil, serverRefusal(501, "for data too large")
	} else {
		c.params, err = parameters(c.req)
	}
	if err != nil {
		return nil, err
	}
	return c.dispatch(path)
}

func (c *call) dispatch(path string) (any, error) {
	ep, uri, ok := c.find(path)
	if !ok {
		return nil, notImplemented(c.req.Method, path)
	}
	c.ep, c.record.Endpoint = ep, ep.Path
	if err := merge(c.params, uri); err != nil {
		return nil, err
	}
	c.record.Params = c.params
	if ep.NoToken && c.byToken {
		return nil, &apischema.PermissionError{What: "URI '" + path + "' not available with API token, need proper ticket.\n"}
	}
	if err := ep.Permissions.Allow(c.caller, c.params); err != nil {
		if c.req.isUpload() { // refused before the file is read
			err = c.after(unauthorizedDelay, &refusal{status: 403, message: err.Error(), plain: true})
		}
		return nil, err
	}
	if err := c.applyFault(); err != nil {
		return nil, err
	}
	if err := c.proxy(path); err != nil {
		return nil, err
	}
	var err error
	if err = c.tooNew(); err != nil {
		return nil, err
	}
	if c.params, err = c.api().Validate(c.ep, c.params); err != nil {
		return nil, err
	}
	key := c.ep.Method + " " + c.ep.Path
	if r, ok := c.handled[key]; ok {
		return r.answer(c)
	}
	if r, ok := simulated()[key]; ok {
		return r.answer(c)
	}
	return nil, c.notSimulated()
}

// find returns the endpoint of a path at the node that executes the call.
func (c *call) find(path string) (*apischema.Endpoint, apischema.Values, bool) {
	ep, uri, ok := c.api().Find(c.req.Method, path)
	if !ok && c.foreign != nil {
		return c.foreign.Find(c.req.Method, path)
	}
	return ep, uri, ok
}

// notSimulated refuses a call of an endpoint that PVE has.
func (c *call) notSimulated() error {
	return &refusal{status: 501, message: "Method '" + c.ep.Method + " " + c.ep.Path + "' not implemented by pvesim"}
}

// proxy hands the call to the node that it names, which checks the parameters by
// its own version's rules.
func (c *call) proxy(path string) error {
	name := c.str(c.ep.ProxyTo)
	if name == "" || name == "localhost" || name == c.receiver.Name {
		return nil
	}
	target := c.nodeNamed(name)
	if target == nil {
		return die("hostname lookup '%s' failed - failed to get address info for: %s: Name or service not known", name, name)
	}
	if target.Offline {
		return c.after(unreachableDelay, &refusal{status: 595, message: "No route to host", plain: true})
	}
	c.node = target
	ep, _, ok := c.find(path)
	if !ok {
		return notImplemented(c.req.Method, path)
	}
	c.ep = ep
	return nil
}

// api is the API of the node that executes the call.
func (c *call) api() *apischema.API { return c.apis[c.node.version.schema()] }

// after returns err when d has passed since the request arrived, and makes it wait
// before.
func (c *call) after(d time.Duration, err error) error {
	if left := c.arrived.Add(d).Sub(c.now); left > 0 {
		return &waitError{left}
	}
	return err
}

// awaitLock makes the call wait for the lock on a guest's configuration, up to the
// 10 s that PVE waits for it.
func (c *call) awaitLock(g *guest) error {
	holder := c.lockHolder(g.VMID)
	if holder == nil {
		return nil
	}
	giveUp := c.arrived.Add(lockWait)
	if !c.now.Before(giveUp) {
		return die("can't lock file '%s' - got timeout", g.lockFile())
	}
	if holder.end.Before(giveUp) {
		giveUp = holder.end
	}
	return &waitError{giveUp.Sub(c.now)}
}

// str returns a parameter, "" if it is absent.
func (c *call) str(name string) string {
	s, _ := c.params[name].(string)
	return s
}

// flag returns a boolean parameter.
func (c *call) flag(name string) bool {
	return c.params[name] == "1" || c.params[name] == true
}
