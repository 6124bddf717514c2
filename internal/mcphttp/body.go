package mcphttp

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

	"github.com/pve-mcp/pve-mcp/internal/mcpserver"
	"github.com/pve-mcp/pve-mcp/internal/mcpserver/mcptask"
	"github.com/pve-mcp/pve-mcp/internal/mcpserver/rpc"
	"github.com/pve-mcp/pve-mcp/internal/telemetry"
)

type messages []rpc.Message

// inTime gives each request a time within which its body has to arrive where nobody wants
// to see that: the connection is kept until it has. Authenticated callers get more.
func inTime(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(unwantedTime)) // without one, the limit of size remains
		next.ServeHTTP(w, r)
	})
}

// readBody reads the body of a request, which stays readable, and the messages in it. What
// follows has any time. The bytes of a large one are taken before it is read, so that a
// caller cannot make this server hold more than its share.
func (h *handler) readBody(w *stream, r *http.Request, caller string) (all messages, leave func(), ok bool) {
	_ = w.control.SetReadDeadline(time.Now().Add(bodyTime))
	size := r.ContentLength
	if size < 0 || size > bodyBytes {
		size = bodyBytes // or more, which is refused when it has come
	}
	var large *taken
	if size > smallBytes {
		var err error
		if large, err = h.bytes.take(r.Context(), caller, size, callTime); err != nil {
			h.refuseBusy(w, nil, err)
			return nil, nil, false
		}
	}
	defer func() {
		if !ok {
			large.give()
		}
	}()
	data, ok := readAll(w, r)
	if !ok {
		return nil, nil, false
	}
	large.shrink(int64(len(data)))
	_ = w.control.SetReadDeadline(time.Time{})
	r.Body = io.NopCloser(bytes.NewReader(data))
	if r.Method != http.MethodPost {
		return nil, large.give, true
	}
	all, problem := rpc.Read(data)
	if problem == nil && len(data) > helloBytes && messages(all).initialize() {
		problem = &rpc.Error{
			Code: jsonrpc.CodeInvalidRequest, ID: messages(all).id(),
			Message: fmt.Sprintf("a request that begins a session has at most %d bytes", helloBytes),
		}
	}
	if problem != nil {
		w.refuseWith(http.StatusBadRequest, problem)
		return nil, nil, false
	}
	return all, large.give, true
}

// readAll reads a body, into as much memory as it says that it has.
func readAll(w *stream, r *http.Request) ([]byte, bool) {
	var data bytes.Buffer
	data.Grow(int(min(max(r.ContentLength, 0), bodyBytes)) + bytes.MinRead)
	_, err := data.ReadFrom(http.MaxBytesReader(w, r.Body, bodyBytes))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		w.refuse(http.StatusRequestEntityTooLarge, nil, fmt.Sprintf("the request is larger than %d bytes", bodyBytes))
		return nil, false
	case err != nil:
		w.refuse(http.StatusBadRequest, nil, "the body of the request did not arrive")
		return nil, false
	}
	return data.Bytes(), true
}

// calls is how many of the messages want to be carried out, each at the same time as the others.
func (all messages) calls() (n int64) {
	for _, m := range all {
		if m.Call() {
			n++
		}
	}
	return n
}

// called reports whether one of the messages is answered with a stream that may take
// long to begin.
func (all messages) called() bool {
	return slices.ContainsFunc(all, func(m rpc.Message) bool { return m.Call() && m.Method != "initialize" })
}

// endless reports whether the answer to a request ends only when the client goes away.
func (all messages) endless(r *http.Request) bool {
	return r.Method == http.MethodGet || slices.ContainsFunc(all, func(m rpc.Message) bool { return m.Method == "subscriptions/listen" })
}

// id is what an answer to the whole request answers to.
func (all messages) id() json.RawMessage {
	if len(all) != 1 {
		return nil
	}
	return all[0].ID
}

// meta is the _meta of the one message that there is.
func (all messages) meta() telemetry.Meta {
	if len(all) != 1 {
		return nil
	}
	return all[0].Params.Meta
}

// method is that of the messages; what the header says, which may be anything, where they
// were not read.
func (all messages) method(r *http.Request) string {
	switch len(all) {
	case 0:
		return r.Header.Get("Mcp-Method")
	case 1:
		return all[0].Method
	}
	return fmt.Sprintf("batch of %d", len(all))
}

// tool is the one that a call names, "unknown" for one that callers make up.
func (all messages) tool() string {
	if len(all) != 1 || all[0].Method != "tools/call" {
		return ""
	}
	if _, known := mcpserver.RiskOf(all[0].Params.Name, nil); !known {
		return "unknown"
	}
	return all[0].Params.Name
}

// beforeSession reports whether a message asks for what there is only in a session.
func (all messages) beforeSession() bool {
	return !all.initialize() && slices.ContainsFunc(all, func(m rpc.Message) bool {
		_, stateless := m.Params.Meta[mcp.MetaKeyProtocolVersion] // which the SDK refuses better
		return m.Call() && m.Method != "ping" && m.Method != "server/discover" && !stateless
	})
}

// initialize reports whether a session is to begin.
func (all messages) initialize() bool {
	return slices.ContainsFunc(all, func(m rpc.Message) bool { return m.Method == "initialize" })
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
				w.refuseWith(http.StatusBadRequest, &rpc.Error{
					Code: mcp.CodeHeaderMismatch, Message: "the header Mcp-Name is not the taskId of the request", ID: all.id(),
				})
				return false
			}
		}
	}
	return true
}
