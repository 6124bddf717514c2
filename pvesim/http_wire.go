package pvesim

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/pve/apischema"
	"github.com/pve-mcp/pve-mcp/pvesim/internal/perl"
)

// Request is an HTTP request, as far as PVE looks at one.
type Request struct {
	// Node receives it: a node by name or address. The first node receives what
	// names none.
	Node   string
	Method string
	Path   string // escaped, with /api2/json
	Query  string
	Header http.Header
	Body   []byte
	// Chunked says that the body came without a length.
	Chunked bool
}

// Response is an answer. Reason is the text of the status line, through which PVE
// speaks: net/http's ResponseWriter cannot set it.
type Response struct {
	Status int
	Reason string
	Header http.Header
	Body   []byte
	// Cut is the number of bytes of the body after which the connection ends; 0 means
	// after all of them.
	Cut int

	console *console // that the connection becomes
}

// refusal is an error as PVE's code raises it.
type refusal struct {
	status  int
	message string
	errors  map[string]string
	plain   bool   // raised before the formatter, which writes no JSON then
	text    string // the body of a plain one
}

func (r *refusal) Error() string { return r.message }

// die is PVE's ordinary refusal: status 500.
func die(format string, args ...any) error {
	return &refusal{status: 500, message: fmt.Sprintf(format, args...) + "\n"}
}

// badParam refuses a parameter in the code behind an endpoint.
func badParam(name, format string, args ...any) error {
	return &apischema.ParamError{Errors: map[string]string{name: fmt.Sprintf(format, args...)}}
}

func notImplemented(method, path string) error {
	return &refusal{status: 501, message: fmt.Sprintf("Method '%s %s' not implemented", method, path)}
}

// serverRefusal is raised by PVE's HTTP server itself, before the formatter.
func serverRefusal(status int, format string, args ...any) *refusal {
	message := fmt.Sprintf(format, args...)
	return &refusal{status: status, message: message, plain: true, text: message}
}

// unauthorized is a 401, whose body is empty.
func unauthorized(message string) *refusal {
	return &refusal{status: 401, message: message, plain: true}
}

// refusalOf gives the errors of package apischema their status.
func refusalOf(err error) *refusal {
	switch err := err.(type) {
	case *refusal:
		return err
	case *apischema.ParamError:
		return &refusal{status: 400, message: "Parameter verification failed.\n", errors: err.Errors}
	case *apischema.PermissionError:
		return &refusal{status: 403, message: err.Error() + "\n"}
	}
	return &refusal{status: 500, message: err.Error() + "\n"}
}

// page is the data of a list of which only a part is sent.
type page struct {
	data  any
	total int
}

// compressed is data that PVE compresses even if the client has not asked for it.
type compressed struct{ data any }

// zip compresses.
func zip(text []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(text); err != nil {
		panic("pvesim: " + err.Error()) // a buffer takes everything
	}
	if err := w.Close(); err != nil {
		panic("pvesim: " + err.Error())
	}
	return b.Bytes()
}

// unzipped is the answer as a client sees it whose HTTP library has asked for compressed
// answers, and not the client itself.
func (r Response) unzipped() (Response, error) {
	if r.Header.Get("Content-Encoding") != "gzip" {
		return r, nil
	}
	in, err := gzip.NewReader(bytes.NewReader(r.Body))
	if err != nil {
		return r, err
	}
	r.Header = r.Header.Clone()
	r.Header.Del("Content-Encoding")
	r.Body, err = io.ReadAll(in)
	return r, err
}

// respond writes an answer as PVE's JSON formatter does. Before 8.4 the message of
// an error is in the reason phrase alone.
func respond(data any, err error, messageInBody bool) Response {
	head := http.Header{
		"Server":        {"pve-api-daemon/3.0"},
		"Cache-Control": {"max-age=0"},
		"Content-Type":  {"application/json;charset=UTF-8"},
	}
	if con, ok := data.(*console); ok && err == nil {
		return Response{Status: 101, Reason: "Switching Protocols", Header: head, console: con}
	}
	if d, ok := data.(restored); ok && err == nil {
		head.Set("Content-Type", "application/octet-stream")
		return Response{Status: 200, Reason: "OK", Header: head, Body: d}
	}
	if d, ok := data.(taskLog); ok && err == nil {
		head.Set("Content-Type", "text/plain")
		head.Set("Content-Disposition", `attachment; filename="`+d.name+`"`)
		return Response{Status: 200, Reason: "OK", Header: head, Body: []byte(d.text)}
	}
	if z, ok := data.(compressed); ok && err == nil {
		head.Set("Content-Type", "application/json")
		head.Set("Content-Encoding", "gzip")
		return Response{Status: 200, Reason: "OK", Header: head, Body: zip(encode(map[string]any{"data": z.data, "success": 1}))}
	}
	if err == nil {
		body := map[string]any{"data": data}
		if p, ok := data.(page); ok {
			body["data"], body["total"] = p.data, p.total
		}
		return Response{Status: 200, Reason: "OK", Header: head, Body: encode(body)}
	}
	r := refusalOf(err)
	reason, _, _ := strings.Cut(r.message, "\n")
	if strings.Contains(reason, "\r") { // which would break the status line
		return Response{Status: 400, Reason: "Bad Request", Header: head}
	}
	if r.plain {
		head.Del("Content-Type")
		return Response{Status: r.status, Reason: reason, Header: head, Body: []byte(r.text)}
	}
	body := map[string]any{"data": nil}
	if messageInBody {
		body["message"] = r.message
	}
	if r.errors != nil {
		body["errors"] = r.errors
	}
	return Response{Status: r.status, Reason: reason, Header: head, Body: encode(body)}
}

func encode(v any) []byte {
	out, err := json.Marshal(v)
	if err != nil {
		panic("pvesim: an answer that is not JSON: " + err.Error()) // a mistake in a row
	}
	return out
}

// contentRefusal says what PVE's server has against the body of a request.
func contentRefusal(req Request) *refusal {
	if len(req.Body) == 0 || req.isUpload() {
		return nil
	}
	if req.Method != http.MethodPost && req.Method != http.MethodPut {
		return serverRefusal(501, "Unexpected content for method '%s'", req.Method)
	}
	switch typ, _, _ := strings.Cut(req.Header.Get("Content-Type"), ";"); typ {
	case "", "application/x-www-form-urlencoded", "application/json":
		return nil
	default:
		return serverRefusal(506, "upload 'Content-Type '%s' not implemented", typ)
	}
}

// parameters reads query and body. Those of the query win.
func parameters(req Request) (apischema.Values, error) {
	params := apischema.Values{}
	switch {
	case len(req.Body) == 0:
	case strings.HasPrefix(req.Header.Get("Content-Type"), "application/json"):
		var err error
		if params, err = perl.ParseJSON(req.Body); err != nil {
			return nil, err
		}
	default:
		params = apischema.ReadForm(string(req.Body))
	}
	maps.Copy(params, apischema.ReadForm(req.Query))
	delete(params, "_dc")
	return params, nil
}

// merge adds the parameters of the path, which may be repeated with the same value
// only.
func merge(params, uri apischema.Values) error {
	for _, k := range slices.Sorted(maps.Keys(uri)) {
		if given, ok := params[k]; ok && given != uri[k] {
			return badParam(k, "duplicate parameter (already defined in URI) with conflicting values!")
		}
		params[k] = uri[k]
	}
	return nil
}
