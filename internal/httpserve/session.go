package httpserve

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"

	"pve-mcp/internal/server"
)

const sessionHeader = "Mcp-Session-Id"

// ownSession keeps a session of the handshake versions to the PVE token with which it was
// begun: the id that the client gets ends in what only that token gives. To any other, as in
// another process, there is no such session: 404, as MCP has it, lets the client begin a new
// one. The SDK keeps a session to the caller.
func (h *handler) ownSession(w *stream, r *http.Request) bool {
	if h.OwnTokens == nil {
		return true
	}
	token := r.Header.Get(server.OwnTokenHeader)
	w.session = func(id string) string { return id + "." + h.sessionTag(id, token) }
	named := r.Header.Get(sessionHeader)
	if named == "" {
		return true
	}
	end := max(strings.LastIndexByte(named, '.'), 0) // the name of a replica ends with one, too
	id, tag := named[:end], strings.TrimPrefix(named[end:], ".")
	if !hmac.Equal([]byte(tag), []byte(h.sessionTag(id, token))) {
		w.refuse(http.StatusNotFound, nil, "there is no such session here, with this PVE token; begin a new one")
		return false
	}
	r.Header.Set(sessionHeader, id)
	return true
}

func (h *handler) sessionTag(id, token string) string {
	mac := hmac.New(sha256.New, []byte(h.sessionKey))
	mac.Write([]byte(id + "\x00" + token))
	return hex.EncodeToString(mac.Sum(nil)[:16])
}
