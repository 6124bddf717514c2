package mcphttp

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/mcpserver"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/proxmox"
)

// OwnTokens lets each caller bring its own PVE token in a header, so that PVE's own ACLs
// decide. It is no authentication to this server.
type OwnTokens struct {
	// Required refuses callers who bring none; others call with the server's own.
	Required bool
	// Connect returns a host that calls PVE with a token.
	Connect func(proxmox.Token) (tool.Host, error)

	mu    sync.Mutex
	hosts map[[sha256.Size]byte]*own // by token; guarded by mu
}

// own is the host of a caller.
type own struct {
	host tool.Host
	used time.Time
}

// maxOwn is how many hosts are kept; the one that was not used for the longest time goes.
const maxOwn = 256

// Host returns the host of a caller by the header of its request; the server's own where
// the caller brings no token.
func (o *OwnTokens) Host(h http.Header, servers tool.Host) (tool.Host, error) {
	text := h.Get(mcpserver.OwnTokenHeader)
	if text == "" && !o.Required {
		return servers, nil
	}
	token, err := parseOwn(text)
	if err != nil {
		return tool.Host{}, err
	}
	key := sha256.Sum256([]byte(text))
	o.mu.Lock()
	defer o.mu.Unlock()
	if kept := o.hosts[key]; kept != nil {
		kept.used = time.Now()
		return kept.host, nil
	}
	host, err := o.Connect(token)
	if err != nil {
		return tool.Host{}, err
	}
	if o.hosts == nil {
		o.hosts = map[[sha256.Size]byte]*own{}
	}
	if len(o.hosts) >= maxOwn {
		delete(o.hosts, o.oldest())
	}
	o.hosts[key] = &own{host, time.Now()}
	return host, nil
}

// oldest is called with mu held.
func (o *OwnTokens) oldest() (key [sha256.Size]byte) {
	least := time.Now()
	for k, kept := range o.hosts {
		if !kept.used.After(least) {
			key, least = k, kept.used
		}
	}
	return key
}

// parseOwn reads ID=SECRET. Its error does not show it.
func parseOwn(text string) (proxmox.Token, error) {
	id, secret, _ := strings.Cut(text, "=")
	t := proxmox.Token{ID: id, Secret: proxmox.NewSecret(secret)}
	if err := errors.Join(proxmox.CheckTokenID(id), t.Secret.Check()); err != nil {
		return t, fmt.Errorf("the header %s is not of the form USER@REALM!NAME=SECRET", mcpserver.OwnTokenHeader)
	}
	return t, nil
}

// checkOwn refuses a PVE token that is missing, or not wanted, or was sent in the clear.
func (h *handler) checkOwn(w *stream, r *http.Request) bool {
	text, why := r.Header.Get(mcpserver.OwnTokenHeader), ""
	switch {
	case text == "" && (h.OwnTokens == nil || !h.OwnTokens.Required):
		return true
	case text == "":
		why = "each caller brings its own PVE token here: the header " + mcpserver.OwnTokenHeader + " is missing"
	case h.OwnTokens == nil:
		why = "this server does not take PVE tokens of its callers (PVE_MCP_OWN_TOKENS)"
	case r.TLS == nil && !h.trusts(remote(r)):
		why = "the PVE token came unencrypted, and is known to others now: replace it, and use TLS, or a proxy that PVE_MCP_TRUSTED_PROXIES names"
	default:
		if _, err := parseOwn(text); err != nil {
			why = err.Error()
		}
	}
	if why == "" {
		return true
	}
	w.refuse(http.StatusBadRequest, nil, why)
	return false
}
