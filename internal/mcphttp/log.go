package mcphttp

import (
	"log/slog"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/propagation"

	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/telemetry"
)

// loggedBytes are shown of a header of a request, which anybody can make long.
const loggedBytes = 100

// logged makes a stream of the answer, and a line in the log of each request.
func (h *handler) logged(serve func(*stream, *http.Request)) http.HandlerFunc {
	return func(to http.ResponseWriter, r *http.Request) {
		begun := time.Now()
		ctx, id := telemetry.NewRequest(r)
		w := newStream(to)
		w.header.Set(telemetry.IDHeader, id)
		defer func() {
			h.Logger.LogAttrs(telemetry.Join(ctx, w.about.meta(), propagation.HeaderCarrier(r.Header)), slog.LevelInfo, "request",
				slog.String("method", r.Method), slog.Int("status", w.sent()),
				slog.String("caller", w.caller), slog.String("mcp_method", render.Text(w.about.method(r), loggedBytes)), slog.String("tool", w.about.tool()),
				slog.String("from", h.client(r).String()), slog.Duration("took", time.Since(begun).Round(time.Millisecond)))
		}()
		serve(w, r.WithContext(ctx))
	}
}
