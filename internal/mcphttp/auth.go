package mcphttp

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/auth"

	"github.com/pve-mcp/pve-mcp/internal/audit"
	"github.com/pve-mcp/pve-mcp/internal/callers"
	"github.com/pve-mcp/pve-mcp/internal/mcpserver"
	"github.com/pve-mcp/pve-mcp/internal/mcpserver/mcptask"
	"github.com/pve-mcp/pve-mcp/internal/mcpserver/rpc"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/render"
)

// Authenticator finds out whose a bearer token is. An error that wraps
// [auth.ErrInvalidToken] tells the caller what is wrong with the token; any other means
// that nobody could be asked.
type Authenticator func(ctx context.Context, token string) (*auth.TokenInfo, error)

// ByTokens authenticates by a file of tokens.
func ByTokens(f *callers.File) Authenticator {
	return func(_ context.Context, token string) (*auth.TokenInfo, error) {
		t, err := f.Find(token, time.Now())
		switch {
		case errors.Is(err, callers.ErrUnknown), errors.Is(err, callers.ErrExpired):
			return nil, fmt.Errorf("%w: %w", auth.ErrInvalidToken, err)
		case err != nil:
			return nil, err
		}
		return &auth.TokenInfo{UserID: t.Name, Scopes: t.Scopes.Strings(), Expiration: t.Expires}, nil
	}
}

// authenticate finds out who calls; nil if nobody is asked.
func (h *handler) authenticate(w *stream, r *http.Request) (who *auth.TokenInfo, ok bool) {
	if h.Authenticate == nil {
		return nil, true
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	token = strings.TrimSpace(token)
	if !strings.EqualFold(scheme, "Bearer") || token == "" || len(strings.Fields(token)) != 1 {
		if !h.withinRate(w, h.callerOf(r, nil)) {
			return nil, false
		}
		h.challenge(w, "", string(callers.Read))
		w.refuse(http.StatusUnauthorized, nil, "this server wants to know who calls: send Authorization: Bearer TOKEN")
		return nil, false
	}
	who, err := h.Authenticate(r.Context(), token)
	switch {
	case errors.Is(err, auth.ErrInvalidToken):
		if !h.mayFail(w, r) {
			return nil, false
		}
		h.challenge(w, "invalid_token", "")
		w.refuse(http.StatusUnauthorized, nil, err.Error())
		return nil, false
	case err != nil:
		h.Logger.ErrorContext(r.Context(), "callers cannot be authenticated", "cause", err)
		w.header.Set("Retry-After", "15")
		w.refuse(http.StatusServiceUnavailable, nil, "callers cannot be authenticated at the moment")
		return nil, false
	}
	w.caller = mcpserver.Named(who, http.Header{})
	return who, true
}

// challenge says how to get in.
func (h *handler) challenge(w *stream, problem, scope string) {
	params := []string{`realm="pve-mcp"`}
	if problem != "" {
		params = append(params, fmt.Sprintf("error=%q", problem))
	}
	if scope != "" {
		params = append(params, fmt.Sprintf("scope=%q", scope))
	}
	if h.OAuth != nil {
		params = append(params, fmt.Sprintf("resource_metadata=%q", metadataURL(h.OAuth.Resource)))
	}
	w.header.Set("WWW-Authenticate", "Bearer "+strings.Join(params, ", "))
}

// checkScopes refuses calls that the caller's scopes do not cover, and says which scope
// would. A call that turns out to be worse than its input tells is refused by the tool.
func (h *handler) checkScopes(w *stream, r *http.Request, who *auth.TokenInfo, all messages) bool {
	if who == nil {
		return true
	}
	has := callers.ScopesOf(who.Scopes)
	for _, m := range all {
		risk, known, what := policy.Write, true, m.Method
		switch m.Method {
		case mcptask.MethodCancel:
		case "tools/call":
			what = m.Params.Name
			risk, known = mcpserver.RiskOf(m.Params.Name, m.Params.Arguments)
		default:
			continue
		}
		if !known || has.Allow(risk) || risk == policy.Access && h.Policy.Refusal(risk) != "" { // the tool says which setting it needs
			continue
		}
		h.challenge(w, "insufficient_scope", strings.TrimSpace(has.String()+" "+string(callers.For(risk))))
		why := fmt.Sprintf("%s was not called: %s", render.Text(what, loggedBytes), has.Refuse(risk))
		h.recordRefused(r, who, record(m, what, mcpserver.Named(who, r.Header), why))
		w.refuse(http.StatusForbidden, all.id(), why)
		return false
	}
	return true
}

// recordRefused keeps a call that a caller's scopes do not cover. Of a caller that makes
// many they are counted, and the next that is kept says how many.
func (h *handler) recordRefused(r *http.Request, who *auth.TokenInfo, rec audit.Record) {
	n, keep := h.refused.more(h.callerOf(r, who), time.Now())
	if !keep {
		return
	}
	if n > 0 {
		rec.Reason += fmt.Sprintf(" (%d more such calls of this caller were not recorded before)", n)
	}
	if err := h.Audit.Refuse(r.Context(), rec, "refused"); err != nil {
		h.Logger.Error("a refused call is missing in the audit log", "cause", err)
	}
}

// refusedBytes are of the arguments of a call that is refused by its scope, of which
// anybody with a token can make many.
const refusedBytes = 4 << 10

// record is what the audit log gets of a call that is not made.
func record(m rpc.Message, what, caller, why string) audit.Record {
	rec := audit.Record{Tool: what, Caller: caller, Consent: "none", Reason: why}
	if len(m.Params.Arguments) <= refusedBytes {
		rec.Arguments = m.Params.Arguments
	}
	return rec
}
