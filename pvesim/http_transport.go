package pvesim

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"time"

	"github.com/pve-mcp/pve-mcp/pvesim/internal/websocket"
)

// idle is how long PVE keeps a connection without a request.
const idle = 5 * time.Second

// Where PVE ends a connection without an answer: a head larger than its buffer,
// or so many lines, with the empty one, or bytes of headers.
const (
	maxHead        = 64 << 10
	tooManyHeaders = 64
	tooLongHeaders = 8 << 10
)

// maxBody is the size of the largest body that PVE takes, since 8.4 and before.
const (
	maxBody       = 512 << 10
	maxBodyBefore = 64 << 10
	maxUpload     = 256 << 20 // of a file; PVE takes what its disk can hold
)

// URL is the address of the first node, for [Sim.Transport]: nothing listens there.
func (s *Sim) URL() string { return s.URLs()[0] }

// URLs are the addresses of all nodes, for [Sim.Transport].
func (s *Sim) URLs() []string {
	var out []string
	for _, n := range s.nodes {
		out = append(out, "https://"+n.Name+":8006")
	}
	return out
}

// Transport returns a transport that calls the simulator in process: no sockets. The
// host of a URL is the node that receives the request. One that is offline cannot
// be connected to, which takes as long as on a real network.
func (s *Sim) Transport() http.RoundTripper { return inProcess{s} }

type inProcess struct{ sim *Sim }

func (t inProcess) RoundTrip(req *http.Request) (*http.Response, error) {
	host := req.URL.Hostname()
	if err := t.sim.dial(req.Context(), host); err != nil {
		if req.Body != nil {
			req.Body.Close()
		}
		return nil, err
	}
	if trace := httptrace.ContextClientTrace(req.Context()); trace != nil && trace.GotConn != nil {
		trace.GotConn(httptrace.GotConnInfo{})
	}
	r, err := requestOf(req)
	if err != nil {
		return nil, err
	}
	r.Node = host
	resp, err := t.sim.Do(req.Context(), r)
	if err != nil {
		return nil, err
	}
	if req.Header.Get("Accept-Encoding") == "" {
		if resp, err = resp.unzipped(); err != nil {
			return nil, err
		}
	}
	answer := resp.http(req)
	if resp.console != nil {
		ours, theirs := net.Pipe()
		go func() {
			t.sim.serveConsole(resp.console, bufio.NewReader(ours), ours)
			ours.Close()
		}()
		answer.Body, answer.ContentLength = theirs, -1
	}
	return answer, nil
}

// requestOf reads the body of req and closes it.
func requestOf(req *http.Request) (Request, error) {
	r := Request{
		Method:  req.Method,
		Path:    req.URL.EscapedPath(),
		Query:   req.URL.RawQuery,
		Header:  req.Header,
		Chunked: req.ContentLength < 0,
	}
	if req.Body == nil {
		return r, nil
	}
	defer req.Body.Close()
	var err error
	most := int64(maxBody)
	if r.isUpload() {
		most = maxUpload
	}
	r.Body, err = io.ReadAll(io.LimitReader(req.Body, most+1))
	return r, err
}

func (r Response) http(req *http.Request) *http.Response {
	body := io.Reader(bytes.NewReader(r.Body))
	if r.Cut > 0 && r.Cut < len(r.Body) {
		body = io.MultiReader(bytes.NewReader(r.Body[:r.Cut]), broken{})
	}
	return &http.Response{
		Status:        strconv.Itoa(r.Status) + " " + r.Reason,
		StatusCode:    r.Status,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        r.Header.Clone(),
		Body:          io.NopCloser(body),
		ContentLength: int64(len(r.Body)),
		Close:         r.Status >= 400, // as PVE does
		Request:       req,
	}
}

// broken is a connection that has ended too soon.
type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// ServeHTTP answers on a connection of HTTP/1.1, which it takes over from the
// server in order to write the reason phrase. It keeps the connection as long as
// PVE would.
func (s *Sim) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	first, err := requestOf(req)
	if err != nil {
		return
	}
	hijacker, ok := w.(http.Hijacker)
	if !ok {
		http.Error(w, "pvesim speaks HTTP/1.1 only", http.StatusHTTPVersionNotSupported)
		return
	}
	conn, rw, err := hijacker.Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	s.serve(req.Context(), "", conn, bufio.NewReaderSize(rw.Reader, maxHead), req, first)
}

// serve answers the requests of a connection, the first of which was read.
func (s *Sim) serve(ctx context.Context, node string, conn net.Conn, in *bufio.Reader, req *http.Request, r Request) {
	for {
		r.Node = node
		resp, err := s.Do(ctx, r)
		if err != nil {
			return
		}
		if resp.console != nil {
			if conn.SetReadDeadline(time.Time{}) == nil && websocket.WriteSwitch(conn, resp.Header) == nil {
				s.serveConsole(resp.console, in, conn)
			}
			return
		}
		out := resp.http(req)
		out.Header.Set("Date", s.receiver(node).time(s.Now()).UTC().Format(http.TimeFormat))
		if out.Write(conn) != nil || out.Close || req.Close {
			return
		}
		if req, r, err = nextRequest(conn, in); err != nil {
			return
		}
	}
}

// await gives the other side as long as PVE does.
func await(conn net.Conn) error { return conn.SetReadDeadline(time.Now().Add(idle)) }

// nextRequest reads a request. PVE ends the connection if that fails.
func nextRequest(conn net.Conn, in *bufio.Reader) (*http.Request, Request, error) {
	if err := await(conn); err != nil {
		return nil, Request{}, err
	}
	if !headFits(in) {
		return nil, Request{}, errors.New("pvesim: no head of a request, or one beyond PVE's limits")
	}
	req, err := http.ReadRequest(in)
	if err != nil {
		return nil, Request{}, err
	}
	r, err := requestOf(req)
	return req, r, err
}

// headFits waits for the head of a request, and reports whether it is within PVE's
// limits.
func headFits(in *bufio.Reader) bool {
	for {
		_, err := in.Peek(in.Buffered() + 1)
		head, _ := in.Peek(in.Buffered())
		if i := bytes.Index(head, []byte("\r\n\r\n")); i >= 0 {
			_, headers, _ := bytes.Cut(head[:i], []byte("\r\n"))
			lines := bytes.Count(headers, []byte("\r\n")) + 1
			return lines+1 < tooManyHeaders && len(headers)-2*(lines-1) < tooLongHeaders
		}
		if err != nil {
			return false
		}
	}
}

// String names the simulated cluster.
func (s *Sim) String() string {
	return fmt.Sprintf("simulated cluster of %d nodes and %d guests", len(s.nodes), len(s.guests))
}
