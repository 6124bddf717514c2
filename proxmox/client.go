package proxmox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// heldByPVE is the least time to wait for an answer that PVE itself may hold: its
// proxy gives a node, or its own privileged daemon, 30 s, then answers 596 while the
// other goes on.
const heldByPVE = 35 * time.Second

// atOnce are the reads that PVE's proxy answers by itself.
var atOnce = []string{"/access/permissions", "/cluster/nextid", "/cluster/resources", "/cluster/tasks", "/version"}

// maxAnswer bounds the bytes of an answer. /cluster/resources of 10,000 guests
// has about 4 MiB; an agent's file has at most 16 MiB before JSON escapes it.
const maxAnswer = 128 << 20

// Options configure a [Client].
type Options struct {
	// Endpoints are base URLs of nodes of one cluster, such as
	// https://pve1.example.lan:8006. One that does not answer is passed over for the
	// next, and left alone for 30 s.
	Endpoints []string
	// Token is sent with each request; the zero value sends none, and PVE answers 401.
	Token Token
	// Transport sends the requests; see [NewTransport].
	Transport http.RoundTripper
	// Timeout bounds each request, counted from the moment at which it may be sent:
	// an endpoint is given four at a time. Those that PVE itself may hold for 30 s get
	// at least 35 s. 0 means 40 s.
	Timeout   time.Duration
	UserAgent string
	// Waiting, if not nil, is called with 1 when the client begins to wait for a task,
	// however many wait for it, and with -1 when it no longer does.
	Waiting func(change int)
	// Outdates, if not nil, reports whether the error of a read says that what was read
	// before it no longer holds. It is for packages that describe an API.
	Outdates func(err error) bool
	// Measure, if not nil, begins to measure how far a task is. It is for packages that
	// describe an API.
	Measure func() Measure
}

// Measure returns how far a task is, after lines that its log has gained.
type Measure func(lines []LogLine) Progress

// Client calls the API of one cluster. It is safe for concurrent use.
//
// A read that got no answer is repeated, at other endpoints and then with growing
// pauses. Identical reads at the same time are one request, as the package says. A write
// is sent to another endpoint only if no connection could be made, so that it cannot
// have been carried out twice; after anything else its outcome is a [LostError].
type Client struct {
	endpoints *endpoints
	shared    *share[any]
	changes   *atomic.Int64
	waits     *waits
	http      *http.Client
	token     Token
	timeout   time.Duration
	userAgent string
	outdates  func(error) bool
	measure   func() Measure
	clock     *clock
}

// New returns a client. It connects when it is first used.
func New(o Options) (*Client, error) {
	if len(o.Endpoints) == 0 {
		return nil, errors.New("no PVE endpoint")
	}
	c := &Client{
		shared:  &share[any]{},
		changes: &atomic.Int64{},
		clock:   &clock{},
		waits:   &waits{polls: map[string]*poll{}, count: o.Waiting},
		http: &http.Client{
			Transport: o.Transport,
			// Never follow: a redirect must not carry the token elsewhere.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		token:     o.Token,
		timeout:   o.Timeout,
		userAgent: o.UserAgent,
		outdates:  o.Outdates,
		measure:   o.Measure,
	}
	if c.timeout == 0 {
		c.timeout = 40 * time.Second
	}
	if o.Waiting == nil {
		c.waits.count = func(int) {}
	}
	if o.Outdates == nil {
		c.outdates = func(error) bool { return false }
	}
	var all []*endpoint
	for _, text := range o.Endpoints {
		e, err := newEndpoint(text)
		if err != nil {
			return nil, err
		}
		all = append(all, e)
	}
	c.endpoints = newEndpoints(all)
	return c, nil
}

// Close closes the connections that no request uses. The client can be used again.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Do sends a request to an endpoint, and returns its answer. A refusal is an *[Error]. The
// parameters of GET and DELETE go into the query, others into a form.
func (c *Client) Do(ctx context.Context, method string, p Path, params url.Values) (Answer, error) {
	if p.err != nil {
		return Answer{}, p.err
	}
	if method != http.MethodGet {
		defer c.changed()
		defer memoOf(ctx).end() // what the transport looks up before it sends may be known
		return c.round(ctx, method, p, params)
	}
	return Shared(ctx, c, p.text+"?"+params.Encode(), func(ctx context.Context) (Answer, error) { return c.read(ctx, p, params) })
}

// Shared calls read once for all callers that ask by the same key while it runs, and
// returns its result to each of them. Nobody joins after a write was answered or a task was
// seen to have ended. In the context of [ReadOnce], the result is also returned to later
// calls. read gets the values of the first caller's context. Shared is for packages that
// describe an API, and decode an answer once for all callers.
func Shared[T any](ctx context.Context, c *Client, key string, read func(context.Context) (T, error)) (T, error) {
	key = fmt.Sprintf("%p %T %s", c.endpoints, *new(T), key)
	known, asked, changes := memoOf(ctx), time.Now(), c.Changes()
	if v, ok := known.get(key, changes); ok {
		return v.(T), ctx.Err()
	}
	v, err := c.shared.get(ctx, key, func(ctx context.Context) (any, error) {
		if v, ok := known.get(key, changes); ok { // another goroutine has read it meanwhile
			return v, nil
		}
		v, err := read(ReadAgain(ctx))
		if err == nil { // before anybody can ask anew
			known.keep(key, remembered{v, asked, changes})
		}
		return v, err
	})
	switch {
	case err == nil:
		known.keep(key, remembered{v, asked, changes})
	case !isRefusal(err): // something may have changed
		known.forget()
	}
	if v == nil {
		return *new(T), err
	}
	return v.(T), err
}

// Changes returns how often earlier reads were found to be outdated: by the client's own
// writes, and by tasks that have ended. A caller that keeps an answer has to ask again when
// the number has grown.
func (c *Client) Changes() int64 { return c.changes.Load() }

// changed makes everything outdated that was read, or is being read, before a change that
// is known now.
func (c *Client) changed() {
	c.changes.Add(1)
	c.shared.drop()
}

// send makes one attempt. sent says that a connection was had, so that PVE may
// have seen the request.
func (c *Client) send(ctx context.Context, e *endpoint, method string, p Path, params url.Values) (ans Answer, sent bool, err error) {
	leave, err := e.enter(ctx)
	if err != nil {
		return Answer{}, false, err
	}
	defer leave()
	ctx, cancel := context.WithTimeout(ctx, c.timeoutOf(method, p))
	defer cancel()
	asked := time.Now()
	req, err := c.request(ctx, e.base, method, p, params)
	if err != nil {
		return Answer{}, false, err
	}
	resp, sent, err := c.exchange(req, e, p)
	if err != nil {
		return Answer{}, sent, err
	}
	defer resp.Body.Close()
	r, err := replyOf(resp)
	if err != nil {
		return Answer{}, true, &LostError{Method: method, Path: p.text, Err: err}
	}
	ans, err = r.answer(method, p)
	ans.Asked = asked
	return ans, true, err
}

// exchange sends a request and returns what answers it. sent is that of [Client.send].
func (c *Client) exchange(req *http.Request, e *endpoint, p Path) (resp *http.Response, sent bool, err error) {
	ctx, connected := traced(e.pinned(req.Context()))
	resp, err = c.http.Do(req.WithContext(ctx))
	if err == nil {
		c.clock.hear(resp.Header)
		return resp, true, nil
	}
	err = cause(err)
	if connected.Load() {
		return nil, true, &LostError{Method: req.Method, Path: p.text, Err: err}
	}
	return nil, false, &ConnectError{Endpoint: e.base, Err: err}
}

// traced returns a context of a request, and whether there is a connection for it, so that the
// server may have seen it.
func traced(ctx context.Context) (context.Context, *atomic.Bool) {
	connected := &atomic.Bool{}
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	}), connected
}

func (c *Client) timeoutOf(method string, p Path) time.Duration {
	if method == http.MethodGet && slices.Contains(atOnce, p.text) {
		return c.timeout
	}
	return max(c.timeout, heldByPVE)
}

func (c *Client) request(ctx context.Context, endpoint, method string, p Path, params url.Values) (*http.Request, error) {
	query := params.Encode()
	var body io.Reader
	if method == http.MethodPost || method == http.MethodPut {
		body, query = strings.NewReader(query), ""
	}
	req, err := http.NewRequestWithContext(ctx, method, endpoint+"/api2/json"+p.text, body)
	if err != nil {
		return nil, err
	}
	req.URL.RawQuery = query
	if body != nil {
		// PVE 7 to 9 all take forms; JSON bodies differ between them.
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return req, c.identify(ctx, req.Header)
}

// identify says in the header of a request who makes it.
func (c *Client) identify(ctx context.Context, head http.Header) error {
	token, err := c.token.header(ctx)
	if err != nil {
		return &SecretError{err}
	}
	if token != "" {
		head.Set("Authorization", token)
	}
	head.Set("User-Agent", c.userAgent)
	return nil
}

// SecretError says that the secret of the token could not be read: nothing was sent.
type SecretError struct{ Err error }

func (e *SecretError) Error() string { return e.Err.Error() }

func (e *SecretError) Unwrap() error { return e.Err }

// ConnectError says that no connection to an endpoint could be made: the request
// was not sent.
type ConnectError struct {
	Endpoint string
	Err      error
}

func (e *ConnectError) Error() string {
	return fmt.Sprintf("no connection to %s: %v", e.Endpoint, e.Err)
}

func (e *ConnectError) Unwrap() error { return e.Err }

// cause strips the *url.Error, whose text repeats method and URL.
func cause(err error) error {
	var ue *url.Error
	if errors.As(err, &ue) {
		return ue.Err
	}
	return err
}
