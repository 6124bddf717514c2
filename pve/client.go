package pve

import (
	"context"
	"encoding/json"
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
	// https://pve1.example.lan:8006. A node to which no connection can be made is
	// passed over for the next.
	Endpoints []string
	Token     Token
	// Transport sends the requests; see [NewTransport].
	Transport http.RoundTripper
	// Timeout bounds each request. Those that PVE itself may hold for 30 s get at
	// least 35 s. 0 stands for 40 s.
	Timeout   time.Duration
	UserAgent string
}

// Client calls the API of one cluster. It is safe for concurrent use.
type Client struct {
	endpoints []string
	first     atomic.Int64 // index of the endpoint that answered last with success
	http      http.Client
	token     Token
	timeout   time.Duration
	userAgent string
}

// New returns a client. It connects when it is first used.
func New(o Options) (*Client, error) {
	if len(o.Endpoints) == 0 {
		return nil, errors.New("no PVE endpoint")
	}
	c := &Client{
		http: http.Client{
			Transport: o.Transport,
			// Never follow: a redirect must not carry the token elsewhere.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		token:     o.Token,
		timeout:   o.Timeout,
		userAgent: o.UserAgent,
	}
	if c.timeout == 0 {
		c.timeout = 40 * time.Second
	}
	for _, e := range o.Endpoints {
		u, err := url.Parse(e)
		if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
			return nil, fmt.Errorf("endpoint %q is not a URL such as https://pve.example.lan:8006", e)
		}
		c.endpoints = append(c.endpoints, strings.TrimSuffix(u.Scheme+"://"+u.Host+u.Path, "/"))
	}
	return c, nil
}

// answer is the body of a success.
type answer struct {
	Data  json.RawMessage `json:"data"`
	Total Opt[int64]      `json:"total"` // how many items match, of which Data may hold a part
}

// do sends one request: to the endpoint that answered last, and to the next ones
// where [elsewhere] allows it. The parameters of GET and DELETE go into the query,
// others into a form.
func (c *Client) do(ctx context.Context, method string, p path, params url.Values) (answer, error) {
	if p.err != nil {
		return answer{}, p.err
	}
	start := c.first.Load()
	var errs []error
	for i := range c.endpoints {
		n := (int(start) + i) % len(c.endpoints)
		ans, sent, err := c.send(ctx, c.endpoints[n], method, p, params)
		if err == nil {
			c.first.Store(int64(n))
		}
		if err == nil || ctx.Err() != nil || !elsewhere(method, sent, err) {
			return ans, err
		}
		errs = append(errs, err)
	}
	return answer{}, errors.Join(errs...)
}

// elsewhere reports whether a request that failed at one endpoint may be sent to
// another: one that was not sent, or one that only reads and got no answer. One that
// took all its time is not given it again.
func elsewhere(method string, sent bool, err error) bool {
	var lost *LostError
	var said *Error
	switch {
	case !sent:
		return true
	case method != http.MethodGet || errors.Is(err, context.DeadlineExceeded):
		return false
	}
	return errors.As(err, &lost) || errors.As(err, &said) && said.NoAnswer()
}

// send makes one attempt. sent says that a connection was had, so that PVE may
// have seen the request.
func (c *Client) send(ctx context.Context, endpoint, method string, p path, params url.Values) (ans answer, sent bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeoutOf(method, p))
	defer cancel()
	var connected atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	})
	req, err := c.request(ctx, endpoint, method, p, params)
	if err != nil {
		return answer{}, false, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		err = cause(err)
		if connected.Load() {
			return answer{}, true, &LostError{Method: method, Path: p.text, Err: err}
		}
		return answer{}, false, &ConnectError{Endpoint: endpoint, Err: err}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return answer{}, true, &LostError{Method: method, Path: p.text, Err: err}
	case len(body) > maxAnswer:
		return answer{}, true, &LostError{Method: method, Path: p.text, Err: fmt.Errorf("the answer has over %d bytes", maxAnswer)}
	case resp.StatusCode != http.StatusOK:
		return answer{}, true, errorOf(method, p, resp, body)
	}
	if err := json.Unmarshal(body, &ans); err != nil {
		return answer{}, true, &LostError{Method: method, Path: p.text, Err: fmt.Errorf("the answer is not PVE's: %w", err)}
	}
	return ans, true, nil
}

func (c *Client) timeoutOf(method string, p path) time.Duration {
	if method == http.MethodGet && slices.Contains(atOnce, p.text) {
		return c.timeout
	}
	return max(c.timeout, heldByPVE)
}

func (c *Client) request(ctx context.Context, endpoint, method string, p path, params url.Values) (*http.Request, error) {
	target, query := endpoint+"/api2/json"+p.text, params.Encode()
	var body io.Reader
	if method == http.MethodPost || method == http.MethodPut {
		body, query = strings.NewReader(query), ""
	}
	req, err := http.NewRequestWithContext(ctx, method, target, body)
	if err != nil {
		return nil, err
	}
	req.URL.RawQuery = query
	req.Header.Set("Authorization", c.token.header())
	req.Header.Set("User-Agent", c.userAgent)
	if body != nil {
		// PVE 7 to 9 all take forms; JSON bodies differ between them.
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return req, nil
}

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

// get decodes the data of a GET as T.
func get[T any](ctx context.Context, c *Client, p path, params url.Values) (T, error) {
	v, _, err := list[T](ctx, c, p, params)
	return v, err
}

// list is get with the total that PVE sends beside a part of a list.
func list[T any](ctx context.Context, c *Client, p path, params url.Values) (v T, total int, err error) {
	ans, err := c.do(ctx, http.MethodGet, p, params)
	if err != nil {
		return v, 0, err
	}
	if len(ans.Data) == 0 || string(ans.Data) == "null" {
		return v, 0, fmt.Errorf("GET %s: the answer has no data", p)
	}
	if err := json.Unmarshal(ans.Data, &v); err != nil {
		return v, 0, fmt.Errorf("GET %s: %w", p, err)
	}
	return v, int(ans.Total.Value), nil
}

// start sends a write that PVE answers with a task. After another answer it is open
// what was done.
func (c *Client) start(ctx context.Context, method string, p path, params url.Values) (UPID, error) {
	ans, err := c.do(ctx, method, p, params)
	if err != nil {
		return UPID{}, err
	}
	var upid UPID
	if err := json.Unmarshal(ans.Data, &upid); err != nil || upid.IsZero() {
		return UPID{}, &LostError{Method: method, Path: p.text, Err: fmt.Errorf("the answer names no task: %.100s", ans.Data)}
	}
	return upid, nil
}
