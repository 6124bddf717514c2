package pvesim

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/pve/apischema"
	"github.com/pve-mcp/pve-mcp/pvesim/internal/perl"
)

// Handle makes a function answer an endpoint: one that is not simulated, one that is, or
// one that PVE does not have. The pattern is a method and a path template, such as
// "GET /nodes/{node}/hardware/pci".
//
// Parameters and privileges are checked before, if the node's version of PVE has the
// endpoint; if not, every authenticated caller may call it, with any parameters. What the
// function returns is the data of the answer, in any type that is JSON. An error is
// PVE's refusal: that of [Refusal], or status 500 with the error's text.
//
// The function must not call methods of [Sim], which wait until it has returned. Handle
// panics if the pattern is malformed.
func (s *Sim) Handle(pattern string, serve func(*Call) (any, error)) {
	method, path, ok := strings.Cut(pattern, " ")
	if !ok || !slices.Contains(methods, method) || !strings.HasPrefix(path, "/") || strings.ContainsAny(path, " ?#") {
		panic(fmt.Sprintf("pvesim: the pattern %q is not a method and a path template, such as %q", pattern, "GET /nodes/{node}/hardware/pci"))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.handled == nil {
		s.handled = routes{}
	}
	s.handled[pattern] = route{check: simulated()[pattern].check, serve: func(c *call) (any, error) { return serve(&Call{c}) }}
	facts := &apischema.Facts{}
	for key := range s.handled {
		method, path, _ := strings.Cut(key, " ")
		ep := &apischema.Endpoint{Method: method, Path: path, Permissions: &apischema.Permissions{User: "all"}}
		if strings.Contains(path, "/{node}") {
			ep.ProxyTo = "node"
		}
		facts.Endpoints = append(facts.Endpoints, ep)
	}
	s.foreign = apischema.New(facts)
}

// Refusal is an error with which PVE refuses a request.
func Refusal(status int, message string) error {
	return &refusal{status: status, message: message}
}

// Call is a request that a function of [Sim.Handle] answers.
type Call struct{ c *call }

// Node is the name of the node that answers.
func (c *Call) Node() string { return c.c.node.Name }

// User is the id of the user or token that asks.
func (c *Call) User() string { return c.c.caller.User }

// Now is the cluster's time.
func (c *Call) Now() time.Time { return c.c.now }

// Param returns a parameter of the path, the query or the body as text; "" if it is
// absent.
func (c *Call) Param(name string) string {
	v, ok := c.c.params[name]
	if !ok || v == nil {
		return ""
	}
	return perl.Text(v)
}

// Simulated returns what pvesim itself answers. If that has to wait, as PVE does for a
// lock, the error makes the function be called again later: return it as it is.
func (c *Call) Simulated() (any, error) {
	r, ok := simulated()[c.c.ep.Method+" "+c.c.ep.Path]
	if !ok {
		return nil, c.c.notSimulated()
	}
	return r.serve(c.c)
}

// StartTask starts a task on the node and returns its UPID, which is what PVE answers to
// most writes. Exit is how it ends: OK, WARNINGS: n, or what went wrong.
func (c *Call) StartTask(kind, id string, takes time.Duration, exit string, log ...string) string {
	o := outcome{took: takes, exit: exit}
	for _, line := range log {
		o.log = append(o.log, entry{text: line})
	}
	return c.c.fork(c.c.now, c.c.node, c.c.caller.User, kind, id, 0, func(time.Time) outcome { return o })
}
