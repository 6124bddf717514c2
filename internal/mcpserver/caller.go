package mcpserver

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/pve-mcp/pve-mcp/internal/callers"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/toolset"
	"github.com/pve-mcp/pve-mcp/lazyregexp"
)

// OwnTokenHeader is the header in which a caller may bring its own PVE token, where the
// transport allows it: USER@REALM!NAME=SECRET.
const OwnTokenHeader = "X-PVE-Token"

// caller names who calls, for the record: whom the transport has authenticated, if it
// does that, as whom in PVE, if not as the server, and the client program.
func caller(req mcp.Request) string {
	who := owner(req)
	if extra := req.GetExtra(); extra != nil {
		who = Named(extra.TokenInfo, extra.Header)
	}
	r, ok := req.(interface{ ClientInfo() *mcp.Implementation })
	if !ok || r.ClientInfo() == nil {
		return who
	}
	program := r.ClientInfo().Name + " " + r.ClientInfo().Version
	if who == "" {
		return program
	}
	return who + " with " + program
}

// owner is the part of a caller that stays when its program is updated: whom a change
// belongs to.
func owner(req mcp.Request) string {
	extra := req.GetExtra()
	if extra == nil {
		return ""
	}
	return Caller(extra.TokenInfo, extra.Header)
}

// Caller names who calls over HTTP: whom the transport has authenticated, nil if it
// does not do that, and as whom in PVE, if not as the server. A name that could be
// mistaken for more than one is quoted.
func Caller(who *auth.TokenInfo, h http.Header) string {
	var parts []string
	if who != nil && plainRE.MatchString(who.UserID) {
		parts = append(parts, who.UserID)
	} else if who != nil {
		parts = append(parts, strconv.Quote(who.UserID))
	}
	if id, _, ok := strings.Cut(h.Get(OwnTokenHeader), "="); ok {
		parts = append(parts, "as "+id)
	}
	return strings.Join(parts, " ")
}

// NameKey is where the Extra of a token's info has the name that its issuer vouches for.
const NameKey = "name"

// Named is [Caller] with the name that a caller's token has for people. What belongs to a
// caller never hangs on that: names change, and are given to others.
func Named(who *auth.TokenInfo, h http.Header) string {
	id := Caller(who, h)
	if who == nil {
		return id
	}
	if name, _ := who.Extra[NameKey].(string); name != "" {
		return id + " (" + strconv.Quote(name) + ")"
	}
	return id
}

// plainRE matches a name that ends where it seems to.
var plainRE = lazyregexp.New(`^[!#-~]+$`)

// identity is whom the transport has authenticated, nil if it authenticates nobody.
func identity(req mcp.Request) *auth.TokenInfo {
	if extra := req.GetExtra(); extra != nil {
		return extra.TokenInfo
	}
	return nil
}

// refuse says which calls the caller may not make. It is nil if the transport does not
// authenticate: then anyone who can reach it may do what the policy allows.
func refuse(req mcp.Request) func(policy.Risk) string {
	who := identity(req)
	if who == nil {
		return nil
	}
	return callers.ScopesOf(who.Scopes).Refuse
}

// RiskOf returns the risk of a call by its input, of a tool that exists.
func RiskOf(name string, arguments json.RawMessage) (policy.Risk, bool) {
	t, ok := toolset.Named(name)
	if !ok {
		return policy.Read, false
	}
	return t.RiskOf(arguments), true
}

// OutcomeOf returns the outcome of a change, "" of a call that only reads.
func OutcomeOf(res *mcp.CallToolResult) string {
	var out struct {
		Outcome string `json:"outcome"`
	}
	if len(res.Content) == 0 {
		return ""
	}
	if text, ok := res.Content[0].(*mcp.TextContent); ok { // the same as the structured content, which not every answer has
		_ = json.Unmarshal([]byte(text.Text), &out) // what has none has none
	}
	return out.Outcome
}

// hideForbiddenTools leaves out of the list of tools those of which the caller may make no call.
func hideForbiddenTools(next mcp.MethodHandler) mcp.MethodHandler {
	return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
		res, err := next(ctx, method, req)
		list, ok := res.(*mcp.ListToolsResult)
		refuse := refuse(req)
		if err != nil || !ok || refuse == nil {
			return res, err
		}
		own := *list
		own.Tools = slices.DeleteFunc(slices.Clone(list.Tools), func(t *mcp.Tool) bool {
			least, known := RiskOf(t.Name, nil)
			return known && refuse(least) != ""
		})
		return &own, nil
	}
}

// recoverPanics answers a request that meets a bug with an error, so that it costs nobody else
// anything. A nil logger hears nothing of it.
func recoverPanics(logger *slog.Logger) mcp.Middleware {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	return func(next mcp.MethodHandler) mcp.MethodHandler {
		return func(ctx context.Context, method string, req mcp.Request) (res mcp.Result, err error) {
			defer func() {
				if p := recover(); p != nil {
					logger.ErrorContext(ctx, "panic", "method", method, "cause", p, "stack", string(debug.Stack()))
					res, err = nil, &jsonrpc.Error{Code: jsonrpc.CodeInternalError, Message: fmt.Sprintf("%s failed because of a bug in pve-mcp", method)}
				}
			}()
			return next(ctx, method, req)
		}
	}
}
