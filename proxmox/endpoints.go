package proxmox

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// perEndpoint is how many requests an endpoint is given at a time: a node has three
	// workers for everybody, and each answers one request after the other.
	perEndpoint = 4
	// restTime is how long an endpoint that did not answer is asked only if no other
	// one answers.
	restTime = 30 * time.Second
)

// endpoint is an address of the cluster.
type endpoint struct {
	base  string
	pin   *Fingerprint  // that its certificate has to have; nil is for what the transport knows
	slots chan struct{} // one element for each request under way
}

// newEndpoint reads the base URL of an endpoint.
func newEndpoint(text string) (*endpoint, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		return nil, fmt.Errorf("endpoint %q is not a URL such as https://pve.example.lan:8006", text)
	}
	base := strings.TrimSuffix((&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String(), "/")
	return &endpoint{base: base, slots: make(chan struct{}, perEndpoint)}, nil
}

// enter waits until the endpoint may be given one more request, and returns what to
// call after it.
func (e *endpoint) enter(ctx context.Context) (leave func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case e.slots <- struct{}{}:
		return func() { <-e.slots }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// endpoints decide where a request goes: to the endpoint that answered last, then to
// the others in the order in which they were given, and to those that rest at the end.
type endpoints struct {
	mu     sync.Mutex
	all    []*endpoint             // guarded by mu
	last   *endpoint               // that answered; guarded by mu
	rests  map[*endpoint]time.Time // until when; guarded by mu
	sticky bool                    // the first one that answers is the only one from then on
}

func newEndpoints(all []*endpoint) *endpoints {
	return &endpoints{all: all, rests: map[*endpoint]time.Time{}}
}

// order returns the endpoints in the order in which they are to be tried.
func (p *endpoints) order() []*endpoint {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	rank := func(e *endpoint) int {
		switch {
		case now.Before(p.rests[e]):
			return 2
		case e == p.last:
			return 0
		}
		return 1
	}
	out := slices.Clone(p.all)
	slices.SortStableFunc(out, func(a, b *endpoint) int { return rank(a) - rank(b) })
	return out
}

// answered notes which endpoint answered, after others had not.
func (p *endpoints) answered(e *endpoint, silent []*endpoint) {
	p.rest(silent)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last = e
	delete(p.rests, e)
	if p.sticky {
		p.all = []*endpoint{e}
	}
}

// rest leaves endpoints that did not answer alone for a while.
func (p *endpoints) rest(silent []*endpoint) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range silent {
		p.rests[e] = time.Now().Add(restTime)
	}
}

// Each returns a client for each endpoint, which asks no other, in the order in which the
// endpoints were given.
func (c *Client) Each() []*Client {
	c.endpoints.mu.Lock()
	defer c.endpoints.mu.Unlock()
	var out []*Client
	for _, e := range c.endpoints.all {
		out = append(out, c.only(e))
	}
	return out
}

// At returns a client that asks one other endpoint of the same cluster and no other: a node
// that does some things only for those who connect to it. Its certificate has to have a
// fingerprint, which the cluster itself has to have told; a transport of [NewTransport] checks
// that.
func (c *Client) At(base string, pin Fingerprint) (*Client, error) {
	e, err := newEndpoint(base)
	if err != nil {
		return nil, err
	}
	e.pin = &pin
	return c.only(e), nil
}

// only returns a client that asks one endpoint.
func (c *Client) only(e *endpoint) *Client {
	one := *c
	one.endpoints = newEndpoints([]*endpoint{e})
	return &one
}

// Sticky returns a client whose requests all go to one endpoint: the first one that
// answers it. PVE needs this for a call that continues what another one began on the
// node that received it, such as a console.
func (c *Client) Sticky() *Client {
	one := *c
	one.endpoints = newEndpoints(c.endpoints.order())
	one.endpoints.sticky = true
	return &one
}
