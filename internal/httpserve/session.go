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
// begun: the id that the client gets ends in what only that token gives. The SDK keeps it
// to the caller.
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
	id, tag, _ := strings.Cut(named, ".")
	if !hmac.Equal([]byte(tag), []byte(h.sessionTag(id, token))) {
		w.refuse(http.StatusForbidden, nil, "this session was begun with another PVE token, or with another server")
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
