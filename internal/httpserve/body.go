package httpserve

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"pve-mcp/internal/mcptask"
	"pve-mcp/internal/obs"
)

// message is what is looked at of a message before the SDK reads it. What is not as it
// should be is left out here, and refused by the SDK.
type message struct {
	ID     json.RawMessage
	Method string
	Params struct {
		Name      string
		Arguments json.RawMessage
		TaskID    string
		Meta      obs.Meta
	}
}

// UnmarshalJSON implements [json.Unmarshaler]. Names count as they are written, as they do
// for the SDK: it must not see another message than is looked at here.
func (m *message) UnmarshalJSON(data []byte) error {
	var fields, params map[string]json.RawMessage
	_ = json.Unmarshal(data, &fields)
	_ = json.Unmarshal(fields["method"], &m.Method)
	_ = json.Unmarshal(fields["params"], &params)
	_ = json.Unmarshal(params["name"], &m.Params.Name)
	_ = json.Unmarshal(params["taskId"], &m.Params.TaskID)
	_ = json.Unmarshal(params["_meta"], &m.Params.Meta)
	m.ID, m.Params.Arguments = fields["id"], params["arguments"]
	return nil
}

type messages []message

// inTime gives each request a time within which its body has to arrive, also where nobody
// wants to see that: the connection is kept until it has.
func inTime(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTime)) // where there is none, the limit of size remains
		next.ServeHTTP(w, r)
	})
}

// readBody reads the body of a request, which stays readable, and the messages in it. What
// follows has any time.
func readBody(w *stream, r *http.Request) (messages, bool) {
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, bodyBytes))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		w.refuse(http.StatusRequestEntityTooLarge, nil, fmt.Sprintf("the request is larger than %d bytes", bodyBytes))
		return nil, false
	case err != nil:
		w.refuse(http.StatusBadRequest, nil, "the body of the request did not arrive")
		return nil, false
	}
	_ = w.control.SetReadDeadline(time.Time{})
	r.Body = io.NopCloser(bytes.NewReader(data))
	if r.Method != http.MethodPost {
		return nil, true
	}
	if !json.Valid(data) {
		w.refuseAs(http.StatusBadRequest, jsonrpc.CodeParseError, nil, "the body of the request is not JSON, or is nested too deeply")
		return nil, false
	}
	all := make(messages, 1)
	if json.Unmarshal(data, &all) != nil {
		_ = json.Unmarshal(data, &all[0]) // never fails
	}
	return all, true
}

// called reports whether one of the messages is answered with a stream that may take
// long to begin.
func (all messages) called() bool {
	return slices.ContainsFunc(all, func(m message) bool { return m.ID != nil && m.Method != "" && m.Method != "initialize" })
}

// endless reports whether the answer to a request ends only when the client goes away.
func (all messages) endless(r *http.Request) bool {
	return r.Method == http.MethodGet || slices.ContainsFunc(all, func(m message) bool { return m.Method == "subscriptions/listen" })
}

// id is what an answer to the whole request answers to.
func (all messages) id() json.RawMessage {
	if len(all) != 1 {
		return nil
	}
	return all[0].ID
}

// initialize reports whether a session is to begin.
func (all messages) initialize() bool {
	return slices.ContainsFunc(all, func(m message) bool { return m.Method == "initialize" })
}

// checkTask refuses a request about a task whose header does not name it, as the SDK does
// for the methods that it knows.
func (all messages) checkTask(w *stream, r *http.Request) bool {
	if r.Header.Get("Mcp-Protocol-Version") < stateless {
		return true
	}
	for _, m := range all {
		switch m.Method {
		case mcptask.MethodGet, mcptask.MethodUpdate, mcptask.MethodCancel:
			if r.Header.Get("Mcp-Name") != m.Params.TaskID {
				w.refuseAs(http.StatusBadRequest, mcp.CodeHeaderMismatch, all.id(), "the header Mcp-Name is not the taskId of the request")
				return false
			}
		}
	}
	return true
}
