package proxmox

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/jsonscan"
	"github.com/pve-mcp/pve-mcp/proxmox/lenient"
)

// Answer is what came in answer to a request that was not refused.
type Answer struct {
	Data  json.RawMessage    // null or empty if there is none; read-only, since other callers may share it
	Total lenient.Opt[int64] // how many items match, of which Data may hold a part
	Asked time.Time          // when the request was sent

	method string
	path   Path
}

// IsEmpty reports whether the answer has no data.
func (a Answer) IsEmpty() bool { return len(a.Data) == 0 || string(a.Data) == "null" }

// Decode decodes the data into what v points to. An answer without data is an error.
func (a Answer) Decode(v any) error {
	if a.IsEmpty() {
		return fmt.Errorf("%s %s: the answer has no data", a.method, a.path)
	}
	if err := lenient.DecodeValue(a.Data, v); err != nil {
		return fmt.Errorf("%s %s: %w", a.method, a.path, err)
	}
	return nil
}

// reply is what came in answer to a request.
type reply struct {
	status int
	reason string // of the status line, without the number
	header http.Header
	body   []byte

	said envelope // what its JSON says
}

// envelope is PVE's JSON around every answer. Data is nil if it has none.
type envelope struct {
	Data    json.RawMessage `json:"data"`
	Total   json.RawMessage `json:"total"`
	Message json.RawMessage `json:"message"`
	Errors  json.RawMessage `json:"errors"`
}

// verdict is what a reply says of its request.
type verdict int

const (
	// foreign: the reply is not PVE's, or not the whole of one.
	foreign verdict = iota
	// done: PVE did what was asked.
	done
	// refused: PVE did nothing, and says why.
	refused
	// unreached: PVE's proxy could not connect to the node, so that nothing was done there.
	unreached
	// unsettled: PVE's own failure, which does not say whether something was done.
	unsettled
)

// replyOf reads the body of a response.
func replyOf(resp *http.Response) (reply, error) {
	r := reply{status: resp.StatusCode, header: resp.Header, reason: strings.TrimSpace(strings.TrimPrefix(resp.Status, strconv.Itoa(resp.StatusCode)))}
	var buf bytes.Buffer
	if said := resp.ContentLength; said > 0 && said <= maxAnswer {
		buf.Grow(int(said) + bytes.MinRead) // so that it need not grow again
	}
	_, err := buf.ReadFrom(io.LimitReader(resp.Body, maxAnswer+1))
	r.body = buf.Bytes()
	switch {
	case err != nil:
		return r, err
	case len(r.body) > maxAnswer:
		return r, fmt.Errorf("the answer has over %d bytes", maxAnswer)
	}
	if !jsonscan.Parse(r.body, &r.said) {
		r.said = envelope{}
	}
	return r, nil
}

// verdict judges a reply by what only PVE sends: its JSON always has data, which is null in
// a refusal. What its web server answers before that has no JSON: no body, or the reason
// once more.
func (r reply) verdict() verdict {
	data := string(r.said.Data)
	own := data != "" || r.ownServer()
	switch {
	case r.status == http.StatusOK && data != "" && !r.hasErrors():
		return done
	case r.status == http.StatusOK && own && r.hasErrors(), r.status >= 400 && data == "null":
		return refused
	case !r.bare():
		return foreign
	case r.status == statusUnreachable:
		return unreached
	case r.status == http.StatusUnauthorized, r.status == http.StatusForbidden:
		return refused
	case r.status != http.StatusInternalServerError && len(r.body) > 0:
		return refused
	}
	return unsettled
}

// ownServer reports whether the web server calls itself PVE's. A proxy may rename it.
func (r reply) ownServer() bool { return strings.HasPrefix(r.header.Get("Server"), "pve-api-daemon/") }

// bare reports whether the reply is one of PVE's web server itself: its reasons are no
// standard ones. A 401 of any other server says how to log in, as HTTP demands.
func (r reply) bare() bool {
	standard := http.StatusText(r.status)
	known := standard != "" || r.status >= statusUnreachable && r.status <= lastOfProxy
	own := r.ownServer() || known && r.reason != "" && r.reason != standard
	switch text := strings.TrimSpace(string(r.body)); {
	case r.status < 400 || r.header.Get("WWW-Authenticate") != "":
		return false
	case text != "":
		return own && text == r.reason
	}
	return own || r.status == http.StatusUnauthorized
}

func (r reply) hasErrors() bool {
	errors := strings.TrimSpace(string(r.said.Errors))
	return errors != "" && errors != "null" && errors != "{}" && errors != "[]"
}

// answer makes of a reply what PVE has answered, or the error that it is.
func (r reply) answer(method string, p Path) (ans Answer, err error) {
	ans.method, ans.path = method, p
	switch v := r.verdict(); {
	case v == done:
		ans.Data = r.said.Data
		if r.said.Total != nil {
			err = ans.Total.UnmarshalJSON(r.said.Total)
		}
		return ans, err
	case v == foreign:
		err = r.foreign(method, p)
	default:
		err = r.refusal(method, p)
		if v == refused || v == unreached {
			return ans, err
		}
	}
	if method != http.MethodGet {
		err = &LostError{Method: method, Path: p.text, Err: err}
	}
	return ans, err
}

// refusal is what PVE has said against a request.
func (r reply) refusal(method string, p Path) *Error {
	e := &Error{Method: method, Path: p.text, Status: r.status, Message: r.reason}
	var message string
	if json.Unmarshal(r.said.Message, &message) == nil && strings.TrimSpace(message) != "" {
		e.Message = strings.TrimSpace(message)
	}
	if json.Unmarshal(r.said.Errors, &e.Params) != nil {
		e.Params = nil
	}
	if r.status == http.StatusOK && message == "" {
		e.Message = "it answers with errors"
		if e.Params == nil {
			e.Message += fmt.Sprintf(": %.200s", r.said.Errors)
		}
	}
	e.Message = WithoutSource(e.Message)
	for name, why := range e.Params {
		e.Params[name] = WithoutSource(why)
	}
	return e
}

// foreign is the error of a reply that is not PVE's.
func (r reply) foreign(method string, p Path) error {
	e := &ForeignError{Method: method, Path: p.text, Status: r.status, Reason: r.reason}
	e.Login, _, _ = strings.Cut(r.header.Get("WWW-Authenticate"), " ")
	if r.status < 400 {
		e.Location = r.header.Get("Location")
	}
	text := bytes.TrimSpace(r.body)
	switch {
	case len(text) == 0:
		e.Shape = "without a body"
	case json.Valid(text):
		e.Shape = "JSON that is not PVE's"
	case text[0] == '{':
		e.Shape = "JSON that is cut off"
	case text[0] == '<':
		e.Shape = "a web page"
	default:
		e.Shape = "text"
	}
	return e
}

// ForeignError says that what answered a request is not PVE's API, but a proxy before it or
// another service, or that a part of the answer is missing.
type ForeignError struct {
	Method, Path string
	Status       int
	Reason       string // of the status line
	Shape        string // what the body looks like
	Login        string // the scheme by which it wants a login: Basic
	Location     string // where a redirect leads
}

func (e *ForeignError) Error() string {
	return fmt.Sprintf("%s %s: an answer that is not PVE's: %s", e.Method, e.Path, e.Answer())
}

// Answer describes what was answered: 404 Not Found, a web page.
func (e *ForeignError) Answer() string {
	text := strings.TrimSpace(fmt.Sprintf("%d %s", e.Status, e.Reason)) + ", " + e.Shape
	if e.Login != "" {
		text += ", which wants a login (" + e.Login + ")"
	}
	if e.Location != "" {
		text += ", to " + e.Location + " (redirects are not followed, so that the token stays here)"
	}
	return text
}

// Passing reports whether the same request may be answered by PVE in a moment.
func (e *ForeignError) Passing() bool {
	return e.Status >= 500 || e.Status == http.StatusOK || e.Status == http.StatusRequestTimeout || e.Status == http.StatusTooManyRequests
}

// NothingDone reports whether a response to a write is PVE's own word that nothing was done.
// The body can be read again afterwards.
func NothingDone(resp *http.Response) bool {
	r, err := replyOf(resp)
	body := io.Reader(bytes.NewReader(r.body))
	if err != nil { // the reader is to meet it, too
		body = io.MultiReader(body, failing{err})
	}
	resp.Body = readCloser{body, resp.Body}
	if err != nil {
		return false
	}
	v := r.verdict()
	return v == refused || v == unreached
}

type readCloser struct {
	io.Reader
	io.Closer
}

// failing is a reader that has failed.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// isForeign reports whether err says that something other than PVE answered.
func isForeign(err error) bool {
	var other *ForeignError
	return errors.As(err, &other)
}
