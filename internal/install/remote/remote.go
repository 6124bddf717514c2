// Package remote asks a URL whether pve-mcp answers MCP there, and how callers get in.
package remote

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"

	"github.com/pve-mcp/pve-mcp/internal/render"
)

// serverName is what pve-mcp calls itself, in MCP and as the realm of a challenge.
const serverName = "pve-mcp"

// ErrNoToken is that of a server that lets nobody in without a bearer token.
var ErrNoToken = errors.New("the server wants a bearer token, and knows no OAuth issuer that could give one")

// patience is how long a server may take to answer.
const patience = 10 * time.Second

// Check reports what keeps a client that has a URL and a bearer token, "" for none, from
// working: nil for nothing. With OAuth, issuer is who gives the client its token.
func Check(ctx context.Context, endpoint, token, version string) (issuer string, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	w := &witness{token: token}
	client := &http.Client{Transport: w, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	session, err := mcp.NewClient(&mcp.Implementation{Name: "pve-mcp-install", Version: version}, nil).Connect(ctx,
		&mcp.StreamableClientTransport{Endpoint: endpoint, HTTPClient: client, MaxRetries: -1, DisableStandaloneSSE: true}, nil)
	if err == nil {
		defer session.Close()
		if is := session.InitializeResult().ServerInfo; is == nil || is.Name != serverName {
			return "", errors.New("another MCP server answers there, not pve-mcp")
		}
		return "", nil
	}
	if w.status != http.StatusUnauthorized {
		return "", w.problem(ctx, err)
	}
	return issuerOf(ctx, endpoint, token, w)
}

// issuerOf is who gives tokens for a server that wants to know who calls.
func issuerOf(ctx context.Context, endpoint, token string, w *witness) (issuer string, err error) {
	challenges, err := oauthex.ParseWWWAuthenticate(w.header.Values("WWW-Authenticate"))
	if err != nil || len(challenges) == 0 || challenges[0].Params["realm"] != serverName {
		return "", errors.New("something that is not pve-mcp answers there, and wants to know who calls")
	}
	metadata := challenges[0].Params["resource_metadata"]
	switch {
	case token != "":
		return "", errors.New("the server does not accept the token")
	case metadata == "":
		return "", ErrNoToken
	}
	found, err := oauthex.GetProtectedResourceMetadata(ctx, metadata, endpoint, http.DefaultClient)
	switch {
	case err != nil:
		return "", fmt.Errorf("what the server says about OAuth does not fit this URL (PVE_MCP_HTTP_URL is its own setting): %w", err)
	case len(found.AuthorizationServers) == 0:
		return "", errors.New("the server names no OAuth issuer")
	}
	return found.AuthorizationServers[0], nil
}

// witness sends the token, and remembers the last answer.
type witness struct {
	token  string
	status int // 0 for no answer
	header http.Header
	said   string // the first line of a refusal
	to     string // where a redirect leads
}

// RoundTrip implements [http.RoundTripper].
func (w *witness) RoundTrip(r *http.Request) (*http.Response, error) {
	if w.token != "" {
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", "Bearer "+w.token)
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		w.status = 0
		return nil, err
	}
	w.status, w.header, w.said, w.to = resp.StatusCode, resp.Header, "", ""
	if to, err := resp.Location(); err == nil {
		w.to = to.Redacted()
	}
	if resp.StatusCode >= http.StatusMultipleChoices {
		const enough = 4 << 10
		body, _ := io.ReadAll(io.LimitReader(resp.Body, enough))
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.MultiReader(bytes.NewReader(body), resp.Body), resp.Body}
		w.said, _, _ = strings.Cut(strings.TrimSpace(string(body)), "\n")
	}
	return resp, nil
}

// problem says why there is no connection.
func (w *witness) problem(ctx context.Context, err error) error {
	var sent *url.Error
	switch {
	case w.to != "":
		return fmt.Errorf("the server sends callers on to %s; give that URL if it is right", render.Text(w.to, 200))
	case w.status == http.StatusNotFound:
		return errors.New("there is no MCP server at this URL (404); that of pve-mcp ends in /mcp")
	case w.status >= http.StatusBadRequest:
		return fmt.Errorf("the server refuses: %d %s", w.status, render.Text(w.said, 200))
	case w.status != 0:
		return errors.New("what answers there is not an MCP server")
	case ctx.Err() != nil:
		return fmt.Errorf("it could not be reached: no answer within %v", patience)
	case errors.As(err, &sent):
		return fmt.Errorf("it could not be reached: %w", sent.Err)
	}
	return fmt.Errorf("it could not be reached: %w", cmp.Or(errors.Unwrap(err), err))
}
