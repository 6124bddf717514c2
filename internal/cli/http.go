package cli

import (
	"context"
	"crypto/tls"
	"errors"
	"math"
	"net"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pve-mcp/pve-mcp/internal/callers"
	"github.com/pve-mcp/pve-mcp/internal/config"
	"github.com/pve-mcp/pve-mcp/internal/mcphttp"
	"github.com/pve-mcp/pve-mcp/internal/mcpserver"
	"github.com/pve-mcp/pve-mcp/internal/telemetry"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
)

func (a *app) httpCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "http",
		Short: "Serve MCP to many clients over Streamable HTTP",
		Long: "Serves MCP at http://127.0.0.1:8080" + mcphttp.Path + " until it gets the signal to stop. Where other machines can reach it, callers show\n" +
			"a bearer token: see pve-mcp token, and docs/http.md.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.http(cmd.Context()) },
	}
	uses(cmd, config.Groups()...)
	return cmd
}

// memory is what the server strives to stay within, unless GOMEMLIMIT says otherwise: what
// callers may have under way at most needs less, and garbage is collected in time.
const memory = 192 << 20

func (a *app) http(ctx context.Context) error {
	if debug.SetMemoryLimit(-1) == math.MaxInt64 {
		debug.SetMemoryLimit(memory)
	}
	cfg, err := a.settings(config.Sources{CallersTokens: true})
	if err != nil {
		return err
	}
	// A service says at its start what is missing, not to its first caller.
	if _, err := cfg.Token.Secret.Read(ctx); err != nil {
		return &exitError{exitUsage, "PVE_TOKEN_SECRET: not set, nor is PVE_TOKEN_SECRET_FILE: " + err.Error()}
	}
	metrics := &mcphttp.Metrics{}
	a.wire, a.waiting = metrics.Transport, metrics.Waiting
	observer := a.observe()
	host, err := a.hostOf(cfg)
	if err != nil {
		return err
	}
	host.Trace = observer.Tool
	o, err := a.httpOptions(host, cfg.HTTP)
	if err != nil {
		return &exitError{exitUsage, err.Error()}
	}
	o.Metrics, o.Audit = metrics, host.Audit
	so := mcpserver.Options{Version: version(), Host: host, Selection: selectionOf(cfg), Replica: cfg.HTTP.Replica, Logger: telemetry.Quiet(a.log)}
	if cfg.HTTP.OwnTokens != "off" {
		if a.demo {
			return &exitError{exitUsage, "--own-tokens does not go with --demo, whose cluster is simulated"}
		}
		o.OwnTokens = &mcphttp.OwnTokens{Required: cfg.HTTP.OwnTokens == "required", Connect: a.connectAs(host)}
		so.HostOf = func(h http.Header) (tool.Host, error) { return o.OwnTokens.Host(h, host) }
	}
	o.Server = mcpserver.New(so)
	o.Server.AddReceivingMiddleware(observer.Requests)
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", cfg.HTTP.Listen)
	if err != nil {
		return failed(err)
	}
	a.log.Info("pve-mcp http", "cluster", host.Cluster, "read_only", host.Policy.ReadOnly, "version", version())
	if host.Guard == nil {
		a.log.Info("this server has no PVE token of its own: each caller's is used, also to evaluate PVE_MCP_PROTECT and PVE_MCP_ALLOW")
	}
	if cfg.HTTP.Metrics != "" {
		stop, err := a.serveMetrics(ctx, cfg.HTTP.Metrics, metrics)
		if err != nil {
			return errors.Join(failed(err), l.Close())
		}
		defer stop()
	}
	if o.Authenticate != nil && o.TLS == nil {
		a.log.Warn("callers' tokens travel unencrypted unless a proxy with TLS stands before this server (PVE_MCP_TLS_CERT)")
	}
	told := make(chan time.Time, 1)
	defer context.AfterFunc(ctx, func() { told <- time.Now() })()
	defer a.notify(ctx, l.Addr(), cfg.HTTP)()
	err = mcphttp.Serve(ctx, l, o)
	select {
	case at := <-told:
		flush(observer, at.Add(o.Drain))
	default:
		flush(observer, time.Time{})
	}
	if err != nil {
		return failed(err)
	}
	return nil
}

// connectAs returns what connects callers with their own PVE tokens.
func (a *app) connectAs(host tool.Host) func(proxmox.Token) (tool.Host, error) {
	return func(token proxmox.Token) (tool.Host, error) {
		o := a.pve
		o.Token = token
		return host.WithToken(o)
	}
}

// reachable asks PVE for its version. Without a token to ask with, PVE's refusal is an
// answer too.
func (a *app) reachable(host tool.Host) func(context.Context) error {
	if host.Guard != nil {
		return func(ctx context.Context) error {
			client, err := host.Client(ctx)
			if err == nil {
				_, err = client.Version(ctx)
			}
			return err
		}
	}
	client, err := pve.New(a.pve)
	return func(ctx context.Context) error {
		if err != nil {
			return err
		}
		var refused *proxmox.Error
		_, err := client.Version(ctx)
		if errors.As(err, &refused) && refused.Status == http.StatusUnauthorized {
			return nil
		}
		return err
	}
}

// serveMetrics shows metrics on a listener of their own.
func (a *app) serveMetrics(ctx context.Context, addr string, metrics *mcphttp.Metrics) (stop func(), err error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics)
	s := &http.Server{Handler: mux, ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second}
	go func() {
		if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			a.log.Warn("metrics are no longer shown", "cause", err)
		}
	}()
	return func() { _ = s.Close() }, nil
}

func (a *app) httpOptions(host tool.Host, cfg config.HTTP) (mcphttp.Options, error) {
	if host.FilesDir != "" {
		return mcphttp.Options{}, errors.New("PVE_MCP_FILES: pve-mcp http does not take it, because its callers must not read or write files of the machine that it runs on; unset it")
	}
	o := mcphttp.Options{
		Hosts: cfg.Hosts, Origins: cfg.Origins, Proxies: cfg.Proxies, Rate: cfg.Rate, SessionsOff: cfg.SessionsOff,
		Drain: cfg.Drain, Logger: a.log,
		Ready: a.reachable(host), Policy: host.Policy,
	}
	if err := authentication(&o, cfg); err != nil {
		return o, err
	}
	tls, err := certificate(cfg)
	o.TLS = tls
	return o, err
}

// authentication says who may call: those with a token of the file, of the issuer, or
// either.
func authentication(o *mcphttp.Options, cfg config.HTTP) error {
	if !cfg.Tokens.IsZero() {
		file, err := callers.Open(cfg.Tokens)
		if err != nil {
			return errors.New("PVE_MCP_HTTP_TOKENS: " + err.Error() + "; pve-mcp token add makes the file")
		}
		o.Authenticate = mcphttp.ByTokens(file)
	}
	if u, err := url.Parse(cfg.URL); err == nil && cfg.URL != "" {
		o.Hosts = append(o.Hosts, u.Hostname())
	}
	switch {
	case cfg.Issuer == "":
		return nil
	case cfg.URL == "":
		return errors.New("PVE_MCP_HTTP_URL: not set; tokens of PVE_MCP_OAUTH_ISSUER are made for it; for example PVE_MCP_HTTP_URL=https://mcp.example.org/mcp")
	}
	scopes, err := claimScopes(cfg)
	if err != nil {
		return err
	}
	o.OAuth = &mcphttp.OAuth{
		Issuer: cfg.Issuer, Resource: cfg.URL, Audience: cfg.Audience, Logger: o.Logger,
		AnyJWT: cfg.AnyJWT, NameClaim: cfg.NameClaim, ScopeClaim: cfg.ScopeClaim, ScopesOf: scopes,
	}
	byOAuth := mcphttp.ByOAuth(*o.OAuth)
	if o.Authenticate != nil {
		byOAuth = mcphttp.ByEither(o.Authenticate, byOAuth)
	}
	o.Authenticate = byOAuth
	return nil
}

// claimScopes are the scopes that values of a claim give.
func claimScopes(cfg config.HTTP) (map[string]callers.Scopes, error) {
	if (cfg.ScopeClaim == "") != (len(cfg.ClaimScopes) == 0) {
		return nil, errors.New("PVE_MCP_OAUTH_SCOPE_CLAIM and PVE_MCP_OAUTH_CLAIM_SCOPES go together, and one is not set")
	}
	all := map[string]callers.Scopes{}
	for value, words := range cfg.ClaimScopes {
		scopes, err := callers.ParseScopes(strings.Join(words, ","))
		if err != nil {
			return nil, errors.New("PVE_MCP_OAUTH_CLAIM_SCOPES: " + err.Error())
		}
		all[value] = scopes
	}
	return all, nil
}

func certificate(cfg config.HTTP) (*tls.Config, error) {
	if cfg.Cert.IsZero() && cfg.Key.IsZero() {
		return nil, nil
	}
	if cfg.Cert.IsZero() || cfg.Key.IsZero() {
		return nil, errors.New("PVE_MCP_TLS_CERT and PVE_MCP_TLS_KEY go together, and one is not set")
	}
	c, err := mcphttp.TLS(cfg.Cert, cfg.Key)
	if err != nil {
		return nil, errors.New("PVE_MCP_TLS_CERT: " + err.Error())
	}
	return c, nil
}
