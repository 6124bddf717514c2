package mcphttp

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/oauthex"

	"github.com/pve-mcp/pve-mcp/internal/callers"
	"github.com/pve-mcp/pve-mcp/internal/mcpserver"
)

// OAuth says whose tokens are taken, for what.
type OAuth struct {
	// Issuer is the authorization server, as its tokens name it.
	Issuer string
	// Resource is the URL by which clients know this server, and for which its tokens
	// are made.
	Resource string
	// Audience, if not empty, is the audience of tokens instead of Resource.
	Audience string
	// AnyJWT takes tokens too that do not say that they are access tokens (typ at+jwt), as
	// long as nothing in them says that they are something else.
	AnyJWT bool
	// NameClaim, if not empty, is the claim with the name of a caller in logs and the record.
	NameClaim string
	// ScopeClaim, if not empty, is a claim whose values give the scopes that ScopesOf has
	// for them, besides those of the token.
	ScopeClaim string
	ScopesOf   map[string]callers.Scopes
	// Client asks the issuer. If it is nil, a client with a timeout is used.
	Client *http.Client
	Logger *slog.Logger
}

const (
	issuerTime  = 10 * time.Second // for an answer of the issuer
	issuerPause = 15 * time.Second // after one that was none
	maxSubject  = 255              // characters, as OpenID has it
)

// ByOAuth authenticates by access tokens that are JWTs of an issuer (RFC 9068), whose keys
// are found by OpenID discovery at the first call.
func ByOAuth(o OAuth) Authenticator {
	if o.Client == nil {
		o.Client = &http.Client{Timeout: issuerTime}
	}
	i := &issuer{OAuth: o}
	return i.authenticate
}

type issuer struct {
	OAuth

	mu    sync.Mutex
	keys  oidc.KeySet // once the issuer has answered; guarded by mu
	until time.Time   // nobody is asked before; guarded by mu
}

// discover asks the issuer where its keys are, once.
func (i *issuer) discover() (oidc.KeySet, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	switch {
	case i.keys != nil:
		return i.keys, nil
	case time.Now().Before(i.until):
		return nil, errors.New("the issuer did not answer lately")
	}
	var found struct {
		Keys string `json:"jwks_uri"`
	}
	provider, err := oidc.NewProvider(oidc.ClientContext(context.Background(), i.Client), i.Issuer)
	if err == nil {
		err = provider.Claims(&found)
	}
	if err != nil {
		i.until = time.Now().Add(issuerPause)
		return nil, err
	}
	i.keys = keysOf(i.Client, found.Keys)
	return i.keys, nil
}

func (i *issuer) authenticate(ctx context.Context, token string) (*auth.TokenInfo, error) {
	keys, err := i.discover()
	if err != nil {
		return nil, err
	}
	look := &attempt{KeySet: keys}
	config := &oidc.Config{ClientID: cmp.Or(i.Audience, i.Resource), SupportedSigningAlgs: signatures}
	t, err := oidc.NewVerifier(i.Issuer, look, config).Verify(ctx, token)
	var expired *oidc.TokenExpiredError
	switch {
	case look.unanswered != nil:
		return nil, look.unanswered
	case errors.As(err, &expired):
		return nil, fmt.Errorf("%w: %w", auth.ErrInvalidToken, callers.ErrExpired)
	case err != nil:
		if i.Logger != nil {
			i.Logger.Warn("a token is refused", "cause", err)
		}
		return nil, fmt.Errorf("%w: it is not one of %s for this server", auth.ErrInvalidToken, i.Issuer)
	}
	var all map[string]json.RawMessage
	if err := t.Claims(&all); err != nil || t.Subject == "" || len(t.Subject) > maxSubject {
		return nil, fmt.Errorf("%w: its claims cannot be read", auth.ErrInvalidToken)
	}
	if why := i.noAccessToken(token, all); why != "" {
		if i.Logger != nil {
			i.Logger.Warn("a token is refused", "cause", why)
		}
		return nil, fmt.Errorf("%w: %s", auth.ErrInvalidToken, why)
	}
	// A name of the file of tokens has no colon.
	who := &auth.TokenInfo{UserID: "oauth:" + t.Subject, Scopes: i.scopes(all), Expiration: t.Expiry}
	if name, ok := textOf(claim(all, i.NameClaim)); ok && i.NameClaim != "" {
		who.Extra = map[string]any{mcpserver.NameKey: name}
	}
	return who, nil
}

// words are a list, or a text with blanks between them.
type words []string

// UnmarshalJSON implements [json.Unmarshaler].
func (w *words) UnmarshalJSON(data []byte) error {
	var list []string
	if json.Unmarshal(data, &list) == nil {
		*w = list
		return nil
	}
	var text string
	err := json.Unmarshal(data, &text)
	*w = strings.Fields(text)
	return err
}

// ByEither authenticates by the file of tokens those that look as if they were of it, and
// all others otherwise.
func ByEither(file, other Authenticator) Authenticator {
	return func(ctx context.Context, token string) (*auth.TokenInfo, error) {
		if callers.LooksLikeToken(token) {
			return file(ctx, token)
		}
		return other(ctx, token)
	}
}

// wellKnown is where clients find out how to get a token (RFC 9728).
const wellKnown = "/.well-known/oauth-protected-resource"

// metadataURL is where the metadata of a resource is.
func metadataURL(resource string) string {
	u, err := url.Parse(resource)
	if err != nil {
		return ""
	}
	u.Path = wellKnown + strings.TrimSuffix(u.Path, "/")
	return u.String()
}

func (h *handler) serveMetadata(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(oauthex.ProtectedResourceMetadata{
		Resource: h.OAuth.Resource, AuthorizationServers: []string{h.OAuth.Issuer}, ResourceName: "pve-mcp",
		ScopesSupported: callers.Scopes(callers.Of(h.Policy)).Strings(), BearerMethodsSupported: []string{"header"},
	})
}
