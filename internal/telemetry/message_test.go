package telemetry

import (
	"context"
	"errors"
	"io"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protopath"
	"google.golang.org/protobuf/reflect/protorange"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/testing/protocmp"
)

// exported returns what a collector reads of spans that our exporter sends it.
func exported(t *testing.T, spans []sdk.ReadOnlySpan) *tracepb.TracesData {
	t.Helper()
	traces := &tracepb.TracesData{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err := errors.Join(err, proto.Unmarshal(body, traces)); err != nil {
			t.Error(err)
		}
	}))
	defer srv.Close()
	c, err := newCollector(func(name string) string {
		return map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": srv.URL}[name]
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(c.ExportSpans(t.Context(), spans), c.Shutdown(t.Context())); err != nil {
		t.Fatal(err)
	}
	return traces
}

// taken is a client of the SDK's exporter, which keeps what it is given.
type taken struct{ *tracepb.TracesData }

func (taken) Start(context.Context) error { return nil }
func (taken) Stop(context.Context) error  { return nil }

func (c taken) UploadTraces(_ context.Context, spans []*tracepb.ResourceSpans) error {
	c.ResourceSpans = append(c.ResourceSpans, spans...)
	return nil
}

// kinds has attributes of every kind, with values that are hard to write.
func kinds(t *testing.T) (attrs []attribute.KeyValue) {
	t.Helper()
	values := []attribute.Value{
		{}, attribute.BoolValue(false), attribute.BoolValue(true), attribute.Int64Value(0), attribute.Int64Value(127), attribute.Int64Value(128),
		attribute.Int64Value(math.MinInt64), attribute.Int64Value(math.MaxInt64), attribute.Float64Value(0), attribute.Float64Value(-1.5),
		attribute.Float64Value(math.NaN()), attribute.Float64Value(math.Inf(-1)), attribute.Float64Value(math.Copysign(0, -1)), attribute.StringValue(""),
		attribute.StringValue("café"), attribute.StringValue(strings.Repeat("a", 127)), attribute.StringValue(strings.Repeat("b", 300)),
		attribute.BoolSliceValue([]bool{true, false}), attribute.Int64SliceValue([]int64{-1, 0, 1}), attribute.Float64SliceValue([]float64{0, 2.5}),
		attribute.StringSliceValue([]string{"", "x"}), attribute.StringSliceValue(nil), attribute.ByteSliceValue([]byte{0xff, 0}), attribute.ByteSliceValue(nil),
		attribute.MapValue(attribute.String("a", "b"), attribute.Map("inner", attribute.Bool("c", false)), attribute.KeyValue{Key: "none"}),
		attribute.SliceValue(attribute.IntValue(7), attribute.Value{}, attribute.SliceValue(attribute.StringValue("deep"))), attribute.MapValue(),
	}
	for kind := attribute.EMPTY; !strings.HasPrefix(kind.String(), "Type("); kind++ {
		if !slices.ContainsFunc(values, func(v attribute.Value) bool { return v.Type() == kind }) {
			t.Errorf("no attribute is a %v", kind)
		}
	}
	for i, v := range values {
		attrs = append(attrs, attribute.KeyValue{Key: attribute.Key(strings.Repeat("k", i+1)), Value: v})
	}
	return attrs
}

// recorded returns spans that have everything that spans can have.
func recorded(t *testing.T) []sdk.ReadOnlySpan {
	t.Helper()
	all, limits := tracetest.NewSpanRecorder(), sdk.NewSpanLimits()
	attrs := kinds(t)
	limits.AttributeCountLimit, limits.EventCountLimit, limits.LinkCountLimit = len(attrs), 2, 2
	limits.AttributePerEventCountLimit, limits.AttributePerLinkCountLimit = 1, 1
	provider := func(schema string, about ...attribute.KeyValue) *sdk.TracerProvider {
		return sdk.NewTracerProvider(sdk.WithSpanProcessor(all), sdk.WithRawSpanLimits(limits), sdk.WithResource(resource.NewWithAttributes(schema, about...)))
	}
	one, two := provider("https://example.com/resource", attrs...), provider("", attribute.String("second", "resource"))
	tracers := []trace.Tracer{
		one.Tracer("a"), two.Tracer("a"), one.Tracer("a", trace.WithInstrumentationVersion("1"), trace.WithInstrumentationAttributes(attrs[:3]...)),
		one.Tracer("b", trace.WithSchemaURL("https://example.com/scope")), one.Tracer("a"),
	}
	state, err := trace.ParseTraceState("vendor=1,other=2")
	if err != nil {
		t.Fatal(err)
	}
	far := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled, TraceState: state, Remote: true})
	ctx := trace.ContextWithRemoteSpanContext(t.Context(), far)
	for i, tracer := range slices.Concat(tracers, tracers) {
		child, span := tracer.Start(ctx, "full", trace.WithAttributes(attrs...), trace.WithSpanKind(trace.SpanKind(i)), trace.WithLinks(
			trace.Link{SpanContext: far}, trace.Link{SpanContext: far}, trace.Link{SpanContext: far.WithRemote(false).WithTraceFlags(0), Attributes: attrs[:3]}))
		span.SetAttributes(attribute.Int("one too many", i))
		for range 3 {
			span.RecordError(errors.New("refused"), trace.WithStackTrace(true))
		}
		span.AddEvent("bare", trace.WithTimestamp(time.Unix(-1, 0)))
		_, bare := tracer.Start(child, "", trace.WithTimestamp(time.Unix(-1, 0)))
		span.SetStatus(codes.Code(i%3), "described where it is an error")
		bare.End()
		span.End()
	}
	_, first := tracers[0].Start(t.Context(), "without a parent")
	first.End()
	return all.Ended()
}

// The collector reads what it would read if the SDK's own exporter had sent it.
func TestMessagesAreThoseOfTheSDK(t *testing.T) {
	spans := recorded(t)
	want := taken{&tracepb.TracesData{}}
	theirs, err := otlptrace.New(t.Context(), want)
	if err != nil {
		t.Fatal(err)
	}
	if err := theirs.ExportSpans(t.Context(), spans); err != nil {
		t.Fatal(err)
	}
	got := exported(t, spans)
	for _, traces := range []*tracepb.TracesData{want.TracesData, got} {
		slices.SortFunc(traces.ResourceSpans, func(a, b *tracepb.ResourceSpans) int { return strings.Compare(a.GetSchemaUrl(), b.GetSchemaUrl()) })
	}
	if !proto.Equal(want.TracesData, got) {
		t.Errorf("(-SDK +ours):\n%s", cmp.Diff(want.TracesData, got, protocmp.Transform(), cmpopts.EquateNaNs()))
	}
	checkEveryField(t, got)
}

// checkEveryField checks that what was compared has every field of every message, except
// those that the SDK's exporter leaves empty too.
func checkEveryField(t *testing.T, traces *tracepb.TracesData) {
	t.Helper()
	missing := map[protoreflect.FullName]bool{}
	var want func(protoreflect.MessageDescriptor)
	want = func(m protoreflect.MessageDescriptor) {
		for i := range m.Fields().Len() {
			f := m.Fields().Get(i)
			if inner := f.Message(); !missing[f.FullName()] {
				missing[f.FullName()] = true
				if inner != nil {
					want(inner)
				}
			}
		}
	}
	want(traces.ProtoReflect().Descriptor())
	if err := protorange.Range(traces.ProtoReflect(), func(p protopath.Values) error {
		if f := p.Path.Index(-1).FieldDescriptor(); f != nil {
			delete(missing, f.FullName())
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	empty := []protoreflect.FullName{
		"opentelemetry.proto.common.v1.AnyValue.string_value_strindex",
		"opentelemetry.proto.common.v1.EntityRef.description_keys",
		"opentelemetry.proto.common.v1.EntityRef.id_keys",
		"opentelemetry.proto.common.v1.EntityRef.schema_url",
		"opentelemetry.proto.common.v1.EntityRef.type",
		"opentelemetry.proto.common.v1.InstrumentationScope.dropped_attributes_count",
		"opentelemetry.proto.common.v1.KeyValue.key_strindex",
		"opentelemetry.proto.resource.v1.Resource.dropped_attributes_count",
		"opentelemetry.proto.resource.v1.Resource.entity_refs",
		"opentelemetry.proto.trace.v1.Span.Link.trace_state",
	}
	if diff := cmp.Diff(empty, slices.Sorted(maps.Keys(missing))); diff != "" {
		t.Errorf("fields that are in no message (-expected +found):\n%s", diff)
	}
}

// A text that is not UTF-8, which OTEL_RESOURCE_ATTRIBUTES can have, does not cost the
// traces: a collector refuses a request with one.
func TestTextThatIsNotUTF8(t *testing.T) {
	all := tracetest.NewSpanRecorder()
	provider := sdk.NewTracerProvider(sdk.WithSpanProcessor(all), sdk.WithResource(resource.NewSchemaless(attribute.String("team", "in\xfffra"))))
	_, span := provider.Tracer("a").Start(t.Context(), "a\xc0name")
	span.End()
	got := exported(t, all.Ended()).GetResourceSpans()[0]
	if name := got.GetScopeSpans()[0].GetSpans()[0].GetName(); name != "a\uFFFDname" {
		t.Errorf("the name is %q", name)
	}
	if team := got.GetResource().GetAttributes()[0].GetValue().GetStringValue(); team != "in\uFFFDfra" {
		t.Errorf("the attribute is %q", team)
	}
}
