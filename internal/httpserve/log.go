package httpserve

import (
	"crypto/rand"
	"log/slog"
	"net/http"
	"time"
)

// logged makes a stream of the answer, and a line in the log of each request.
func (h *handler) logged(serve func(*stream, *http.Request)) http.HandlerFunc {
	return func(to http.ResponseWriter, r *http.Request) {
		begun, id := time.Now(), rand.Text()
		w := newStream(to)
		w.header.Set("X-Request-Id", id)
		defer func() {
			attrs := []slog.Attr{
				slog.String("request_id", id), slog.String("method", r.Method), slog.Int("status", w.sent()),
				slog.String("caller", w.caller), slog.String("mcp_method", r.Header.Get("Mcp-Method")),
				slog.String("from", r.RemoteAddr), slog.Duration("took", time.Since(begun).Round(time.Millisecond)),
			}
			if trace := r.Header.Get("Traceparent"); trace != "" {
				attrs = append(attrs, slog.String("traceparent", trace))
			}
			h.Logger.LogAttrs(r.Context(), slog.LevelInfo, "request", attrs...)
		}()
		serve(w, r)
	}
}
