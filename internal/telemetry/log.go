package telemetry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"

	"go.opentelemetry.io/otel/trace"

	"github.com/pve-mcp/pve-mcp/internal/render"
)

// LogOptions say what is logged, and where.
type LogOptions struct {
	Level slog.Level
	JSON  bool // or text
	// Secrets are shown nowhere, besides what looks like one.
	Secrets []string
}

// NewLogger returns a logger that writes each line to all writers, in the same order. Lines
// that are logged with the context of a request have its id, and its place in a trace.
func NewLogger(o LogOptions, to ...io.Writer) *slog.Logger {
	ho := &slog.HandlerOptions{Level: o.Level, ReplaceAttr: masking(o.Secrets)}
	if o.JSON {
		return slog.New(ofRequests{slog.NewJSONHandler(writers(to), ho)})
	}
	return slog.New(ofRequests{slog.NewTextHandler(writers(to), ho)})
}

// writers writes to each, whatever becomes of the others.
type writers []io.Writer

// Write implements [io.Writer].
func (all writers) Write(line []byte) (int, error) {
	var errs []error
	for _, w := range all {
		_, err := w.Write(line)
		errs = append(errs, err)
	}
	return len(line), errors.Join(errs...)
}

// isSecret reports whether the attribute of a key is a secret, whatever it looks like.
func isSecret(key string) bool {
	key = strings.ToLower(strings.ReplaceAll(key, "_", ""))
	return strings.HasSuffix(key, "token") || slices.ContainsFunc([]string{"passw", "secret", "authorization", "cookie", "apikey", "sessionid"},
		func(word string) bool { return strings.Contains(key, word) })
}

// masking masks secrets in an attribute, and in the message.
func masking(secrets []string) func([]string, slog.Attr) slog.Attr {
	var pairs []string
	for _, s := range secrets {
		if s != "" {
			pairs = append(pairs, s, render.Mask)
		}
	}
	known := strings.NewReplacer(pairs...)
	return func(_ []string, a slog.Attr) slog.Attr {
		text := a.Value.String()
		switch v := a.Value.Any().(type) {
		case slog.Level:
			return a
		case error:
			text = v.Error()
		default:
			if k := a.Value.Kind(); k != slog.KindString && k != slog.KindAny {
				return a // a number, a time or the like
			}
		}
		if isSecret(a.Key) {
			return slog.String(a.Key, render.Mask)
		}
		return slog.String(a.Key, short(render.MaskSecrets(known.Replace(text))))
	}
}

const (
	// valueBytes are shown of a value; some values come from the caller: enough for a
	// stack.
	valueBytes = 8 << 10
	stateBytes = 512 // of a tracestate, which may be as long as that (W3C)
)

func short(text string) string {
	if len(text) <= valueBytes {
		return text
	}
	return strings.ToValidUTF8(text[:valueBytes], "") + fmt.Sprintf("…(+%d bytes)", len(text)-valueBytes)
}

// ofRequests is a handler that says to which request a line belongs.
type ofRequests struct{ slog.Handler }

// Handle implements [slog.Handler].
func (h ofRequests) Handle(ctx context.Context, r slog.Record) error {
	r = r.Clone()
	if id := requestID(ctx); id != "" {
		r.AddAttrs(slog.String("request_id", id))
	}
	if at := trace.SpanContextFromContext(ctx); at.IsValid() {
		r.AddAttrs(slog.String("trace_id", at.TraceID().String()), slog.String("span_id", at.SpanID().String()))
		if state := at.TraceState().String(); state != "" {
			r.AddAttrs(slog.String("tracestate", render.Text(state, stateBytes)))
		}
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements [slog.Handler].
func (h ofRequests) WithAttrs(attrs []slog.Attr) slog.Handler {
	return ofRequests{h.Handler.WithAttrs(attrs)}
}

// WithGroup implements [slog.Handler].
func (h ofRequests) WithGroup(name string) slog.Handler { return ofRequests{h.Handler.WithGroup(name)} }

// Quiet returns a logger for a library, of which only warnings matter: its other lines say
// nothing of requests, and not to which they belong.
func Quiet(l *slog.Logger) *slog.Logger { return slog.New(quiet{l.Handler()}) }

type quiet struct{ slog.Handler }

// Enabled implements [slog.Handler].
func (q quiet) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && q.Handler.Enabled(ctx, level)
}

// WithAttrs implements [slog.Handler].
func (q quiet) WithAttrs(attrs []slog.Attr) slog.Handler { return quiet{q.Handler.WithAttrs(attrs)} }

// WithGroup implements [slog.Handler].
func (q quiet) WithGroup(name string) slog.Handler { return quiet{q.Handler.WithGroup(name)} }
