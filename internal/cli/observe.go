package cli

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/config"
	"github.com/pve-mcp/pve-mcp/internal/telemetry"
)

// logger returns a logger to stderr and, if one is wanted, to a file, which stays open.
func (a *app) logger(cfg *config.Config) (*slog.Logger, error) {
	o := telemetry.LogOptions{Level: cfg.Log.Level, JSON: cfg.Log.JSON, Secrets: []string{cfg.Token.Secret.Reveal()}}
	for _, key := range cfg.SealKeys {
		o.Secrets = append(o.Secrets, string(key))
	}
	if a.answers && cfg.Given[config.LogLevel] == "" && cfg.Log.File.IsZero() {
		o.Level = slog.LevelWarn
	}
	to := []io.Writer{a.err}
	if !cfg.Log.File.IsZero() {
		f, err := cfg.Log.File.Open(os.O_APPEND | os.O_CREATE | os.O_WRONLY)
		if err != nil {
			return nil, err
		}
		to = append(to, f)
	}
	return telemetry.NewLogger(o, to...), nil
}

// observe returns what logs and traces requests of MCP, tools and requests to PVE. It must
// be called before host.
func (a *app) observe() *telemetry.Observer {
	o := telemetry.New(a.log, version(), a.env)
	outer := a.wire
	a.wire = func(base http.RoundTripper) http.RoundTripper {
		if base = o.Transport(base); outer != nil {
			base = outer(base)
		}
		return base
	}
	return o
}

// flush sends what was traced until a time, and in any case within a second.
func flush(o *telemetry.Observer, until time.Time) {
	ctx, cancel := context.WithTimeout(context.Background(), max(time.Second, time.Until(until)))
	defer cancel()
	_ = o.Close(ctx) // whatever is wrong was logged when it was found
}
