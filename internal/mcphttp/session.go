package mcphttp

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"

	"github.com/pve-mcp/pve-mcp/internal/mcpserver"
	"github.com/pve-mcp/pve-mcp/internal/mcpserver/rpc"
)

const sessionHeader = "Mcp-Session-Id"

// useSession lets a request of the handshake versions begin a session, or use one that is
// its caller's, until done is called.
func (h *handler) useSession(w *stream, r *http.Request, caller string, all messages) (done func(), ok bool) {
	token := r.Header.Get(mcpserver.OwnTokenHeader)
	named := r.Header.Get(sessionHeader)
	switch {
	case h.SessionsOff:
		return func() {}, true
	case named == "" && all.beforeSession():
		w.refuseWith(http.StatusBadRequest, &rpc.Error{
			Code: jsonrpc.CodeInvalidRequest, ID: all.id(),
			Message: "there is no session yet: send initialize first, then the header " + sessionHeader + " of its answer with each request",
		})
		return nil, false
	case named == "" && !all.initialize():
		return func() {}, true
	case named == "":
		begin, err := h.sessions.reserve(caller)
		if err != nil {
			h.refuseBusy(w, all.id(), err)
			return nil, false
		}
		w.began = func(id string) string {
			begin.as(id)
			return h.visibleID(id, token)
		}
		return begin.end, true
	}
	id, ok := h.ownID(named, token)
	if !ok {
		w.refuse(http.StatusNotFound, nil, "there is no such session here, with this PVE token; begin a new one")
		return nil, false
	}
	r.Header.Set(sessionHeader, id)
	return h.sessions.use(id), true
}

// visibleID is what a client gets to know of the id of a session, which keeps it to the PVE
// token with which it was begun: it ends in what only that token gives. To any other, as in
// another process, there is no such session: 404, as MCP has it, lets the client begin a
// new one. The SDK keeps a session to the caller.
func (h *handler) visibleID(id, token string) string {
	if h.OwnTokens == nil {
		return id
	}
	return id + "." + h.sessionTag(id, token)
}

// ownID is the id of a session by what its client knows of it.
func (h *handler) ownID(visible, token string) (id string, ok bool) {
	if h.OwnTokens == nil {
		return visible, true
	}
	end := max(strings.LastIndexByte(visible, '.'), 0) // the name of a replica ends with one, too
	id, tag := visible[:end], strings.TrimPrefix(visible[end:], ".")
	return id, hmac.Equal([]byte(tag), []byte(h.sessionTag(id, token)))
}

func (h *handler) sessionTag(id, token string) string {
	mac := hmac.New(sha256.New, []byte(h.sessionKey))
	mac.Write([]byte(id + "\x00" + token))
	return hex.EncodeToString(mac.Sum(nil)[:16])
}
