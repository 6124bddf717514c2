package telemetry

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/http"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// IDHeader is the header with the id of a request.
const IDHeader = "X-Request-Id"

type idKey struct{}

// NewRequest gives a request over HTTP an id: in the context that it returns, and in the
// header of the request, whatever the caller put there, for the SDK to hand on.
func NewRequest(r *http.Request) (_ context.Context, id string) {
	id = rand.Text()
	r.Header.Set(IDHeader, id)
	return Join(context.WithValue(r.Context(), idKey{}, id), propagation.HeaderCarrier(r.Header)), id
}

func requestID(ctx context.Context) string {
	id, _ := ctx.Value(idKey{}).(string)
	return id
}

// Join returns a context at the place in a trace that one of the carriers names in the
// form of W3C's traceparent and tracestate: the first one that does so correctly.
func Join(ctx context.Context, carriers ...propagation.TextMapCarrier) context.Context {
	for _, c := range carriers {
		if at := placeIn(c); at.IsValid() {
			return trace.ContextWithRemoteSpanContext(ctx, at)
		}
	}
	return ctx
}

func placeIn(c propagation.TextMapCarrier) trace.SpanContext {
	return trace.SpanContextFromContext(propagation.TraceContext{}.Extract(context.Background(), c))
}

// Meta is the _meta of a request of MCP, which may name a place in a trace.
type Meta map[string]any

// Get implements [propagation.TextMapCarrier].
func (m Meta) Get(key string) string {
	text, _ := m[key].(string)
	return text
}

// Set implements [propagation.TextMapCarrier].
func (m Meta) Set(key, value string) { m[key] = value }

// Keys implements [propagation.TextMapCarrier].
func (m Meta) Keys() []string { return []string{"traceparent", "tracestate"} }

// Requests gives each request of MCP its id, and its place in a trace: that which its
// _meta names, since that is about the request itself, and only without one that of the
// HTTP request which carried it, to which a span is linked otherwise.
func (o *Observer) Requests(next mcp.MethodHandler) mcp.MethodHandler {
	return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
		header := http.Header{}
		if extra := req.GetExtra(); extra != nil && extra.Header != nil {
			header = extra.Header
		}
		id := header.Get(IDHeader)
		if id == "" {
			id = rand.Text()
		}
		meta, carrier := metaOf(req), propagation.HeaderCarrier(header)
		ctx = Join(context.WithValue(ctx, idKey{}, id), meta, carrier)
		var links []trace.Link
		if at := placeIn(carrier); at.IsValid() && placeIn(meta).IsValid() {
			links = append(links, trace.Link{SpanContext: at})
		}
		begun := time.Now()
		ctx, end := o.beginRequest(ctx, method, req, header, links)
		res, err := next(ctx, method, req)
		end(res, err)
		attrs := []slog.Attr{slog.String("mcp_method", method), slog.Duration("took", time.Since(begun).Round(time.Microsecond))}
		if call, ok := req.(*mcp.CallToolRequest); ok {
			attrs = append(attrs, slog.String("tool", toolIn(call)))
		}
		if err != nil {
			attrs = append(attrs, slog.Any("error", err))
		}
		o.logger.LogAttrs(ctx, slog.LevelDebug, "mcp", attrs...)
		return res, err
	}
}

// metaOf is the _meta of a request, empty if it has no parameters at all.
func metaOf(req mcp.Request) (m Meta) {
	defer func() {
		if recover() != nil { // the parameters are a nil pointer, in an interface
			m = nil
		}
	}()
	return Meta(req.GetParams().GetMeta())
}
