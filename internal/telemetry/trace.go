package telemetry

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/pve-mcp/pve-mcp/internal/mcpserver"
	"github.com/pve-mcp/pve-mcp/internal/tool"
)

// Observer sees requests of MCP, calls of tools and requests to PVE: it logs them for
// those who debug, and traces them if that is on. Of what a caller sends and gets, a
// trace has only names of tools and paths of PVE's API.
type Observer struct {
	logger *slog.Logger
	tracer trace.Tracer
	flush  func(context.Context) error
}

// Close sends what was traced, for as long as ctx lasts.
func (o *Observer) Close(ctx context.Context) error { return o.flush(ctx) }

// toolIn is the tool that a call names, or that it is unknown: callers may make up any.
func toolIn(call *mcp.CallToolRequest) string {
	if _, known := mcpserver.RiskOf(call.Params.Name, nil); !known {
		return "unknown"
	}
	return call.Params.Name
}

// beginRequest begins the span of a request of MCP.
func (o *Observer) beginRequest(ctx context.Context, method string, req mcp.Request, header http.Header, links []trace.Link) (context.Context, func(mcp.Result, error)) {
	name := method
	attrs := []attribute.KeyValue{semconv.McpMethodNameKey.String(method), semconv.NetworkTransportPipe}
	if len(header) > 0 {
		attrs[1] = semconv.NetworkTransportTCP
		attrs = append(attrs, semconv.NetworkProtocolName("http"))
	}
	if call, ok := req.(*mcp.CallToolRequest); ok {
		name += " " + toolIn(call)
		attrs = append(attrs, semconv.GenAIOperationNameExecuteTool, semconv.GenAIToolName(toolIn(call)))
	}
	ctx, span := o.tracer.Start(ctx, name, trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(attrs...), trace.WithLinks(links...))
	return ctx, func(res mcp.Result, err error) {
		var wire *jsonrpc.Error
		called, _ := res.(*mcp.CallToolResult)
		switch {
		case errors.As(err, &wire):
			code := strconv.FormatInt(wire.Code, 10)
			fail(span, code)
			span.SetAttributes(semconv.RPCResponseStatusCode(code))
		case err != nil:
			fail(span, errorType(err))
		case called != nil && called.IsError:
			fail(span, "tool_error")
		}
		span.End()
	}
}

// Tool begins the span of a call of a tool, and returns what ends it.
func (o *Observer) Tool(ctx context.Context, t tool.Tool) (context.Context, func(tool.Result)) {
	ctx, span := o.tracer.Start(ctx, "execute_tool "+t.Name, trace.WithAttributes(
		semconv.GenAIOperationNameExecuteTool, semconv.GenAIToolName(t.Name), attribute.Stringer("pve_mcp.tool.risk", t.Risk)))
	return ctx, func(res tool.Result) {
		if res.Outcome != "" {
			span.SetAttributes(attribute.String("pve_mcp.outcome", string(res.Outcome)))
		}
		if res.IsError {
			fail(span, "tool_error")
		}
		span.End()
	}
}

// Transport sees the requests that pass through it to PVE. They get no header of a trace:
// PVE does nothing with one, and who calls whom is not its business.
func (o *Observer) Transport(base http.RoundTripper) http.RoundTripper { return seen{o, base} }

type seen struct {
	*Observer
	base http.RoundTripper
}

func (s seen) RoundTrip(req *http.Request) (*http.Response, error) {
	begun := time.Now()
	ctx, span := s.tracer.Start(req.Context(), req.Method+" "+Endpoint(req),
		trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(attributesOf(req)...))
	resp, err := s.base.RoundTrip(req.WithContext(ctx))
	attrs := []slog.Attr{slog.String("method", req.Method), slog.String("path", req.URL.EscapedPath()), slog.String("to", req.URL.Host)}
	if err != nil {
		fail(span, errorType(err))
		span.End()
		attrs = append(attrs, slog.Any("error", err))
	} else {
		code := strconv.Itoa(resp.StatusCode)
		span.SetAttributes(semconv.HTTPResponseStatusCode(resp.StatusCode))
		if resp.StatusCode >= http.StatusBadRequest {
			fail(span, code)
		}
		if resp.StatusCode == http.StatusSwitchingProtocols {
			span.End() // what follows is no answer, and may be written to
		} else {
			resp.Body = &spanBody{resp.Body, span}
		}
		attrs = append(attrs, slog.String("status", code))
	}
	attrs = append(attrs, slog.Duration("took", time.Since(begun).Round(time.Microsecond)))
	s.logger.LogAttrs(ctx, slog.LevelDebug, "pve", attrs...)
	return resp, err
}

// attributesOf describes a request to PVE, without the parameters that are in a query, and with
// the names of what is on a node, but of nothing else: elsewhere they are those of people.
func attributesOf(req *http.Request) []attribute.KeyValue {
	bare := *req.URL
	bare.User, bare.RawQuery = nil, ""
	if before, after, isAPI := strings.Cut(bare.Path, "/api2/json/"); isAPI && !strings.HasPrefix(after, "nodes/") {
		bare.Path = before + "/api2/json" + Endpoint(req)
		bare.RawPath = bare.Path // with * as it is
	}
	attrs := []attribute.KeyValue{
		semconv.HTTPRequestMethodKey.String(req.Method), semconv.URLFull(bare.String()), semconv.URLTemplate(Endpoint(req)),
		semconv.ServerAddress(req.URL.Hostname()),
	}
	if port, err := strconv.Atoi(req.URL.Port()); err == nil {
		attrs = append(attrs, semconv.ServerPort(port))
	}
	return attrs
}

// spanBody is the body of an answer, with which its span ends.
type spanBody struct {
	io.ReadCloser
	span trace.Span
}

func (b *spanBody) Close() error {
	b.span.End() // a second time does nothing
	return b.ReadCloser.Close()
}

// fail marks a span. What the error says stays out of it.
func fail(span trace.Span, kind string) {
	span.SetStatus(codes.Error, "")
	span.SetAttributes(semconv.ErrorTypeKey.String(kind))
}

func errorType(err error) string {
	switch {
	case errors.Is(err, context.Canceled):
		return "cancelled"
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	}
	return semconv.ErrorTypeOther.Value.AsString()
}
