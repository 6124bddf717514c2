package telemetry

import (
	"encoding/binary"
	"math"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// message is a message of protobuf as it is sent. Its methods return it with one more
// field. Generated messages would set themselves up at every start, traced or not.
type message []byte

// The types of fields, which say where one ends.
const (
	typeVarint  = 0
	typeFixed64 = 1
	typeBytes   = 2
	typeFixed32 = 5
)

func (m message) tag(field, fieldType int) message {
	return binary.AppendUvarint(m, uint64(field<<3|fieldType))
}

func (m message) varint(field int, v uint64) message {
	return binary.AppendUvarint(m.tag(field, typeVarint), v)
}

func (m message) fixed32(field int, v uint32) message {
	return binary.LittleEndian.AppendUint32(m.tag(field, typeFixed32), v)
}

func (m message) fixed64(field int, v uint64) message {
	return binary.LittleEndian.AppendUint64(m.tag(field, typeFixed64), v)
}

// bytes appends bytes, which may be another message.
func (m message) bytes(field int, b []byte) message {
	return append(binary.AppendUvarint(m.tag(field, typeBytes), uint64(len(b))), b...)
}

// number appends a number of 32 bits, unless it is 0.
func (m message) number(field, n int) message {
	if n == 0 {
		return m
	}
	return m.varint(field, uint64(min(max(0, int64(n)), math.MaxUint32)))
}

// text appends a text, unless it is empty.
func (m message) text(field int, s string) message {
	if s == "" {
		return m
	}
	return m.bytes(field, utf8Of(s))
}

// utf8Of is a text as a collector takes it: of one that is not UTF-8 it refuses the whole
// request.
func utf8Of(s string) []byte { return []byte(strings.ToValidUTF8(s, "\uFFFD")) }

func (m message) time(field int, t time.Time) message {
	return m.fixed64(field, uint64(max(0, t.UnixNano())))
}

func (m message) attributes(field int, attrs []attribute.KeyValue) message {
	for _, a := range attrs {
		m = m.bytes(field, message{}.text(1, string(a.Key)).bytes(2, valueOf(a.Value)))
	}
	return m
}

// tracesOf is an ExportTraceServiceRequest. The numbers of the fields, here and below, are
// those of the .proto files of github.com/open-telemetry/opentelemetry-proto; what is put
// into them is what the SDK's own exporter puts there.
func tracesOf(spans []sdk.ReadOnlySpan) (traces message) {
	for _, ofResource := range grouped(spans, func(s sdk.ReadOnlySpan) attribute.Distinct { return s.Resource().Equivalent() }) {
		about := ofResource[0].Resource()
		resourceSpans := message{}.bytes(1, message{}.attributes(1, about.Attributes()))
		for _, ofScope := range grouped(ofResource, sdk.ReadOnlySpan.InstrumentationScope) {
			by := ofScope[0].InstrumentationScope()
			scopeSpans := message{}.bytes(1, message{}.text(1, by.Name).text(2, by.Version).attributes(3, by.Attributes.ToSlice()))
			for _, s := range ofScope {
				scopeSpans = scopeSpans.bytes(2, spanOf(s))
			}
			resourceSpans = resourceSpans.bytes(2, scopeSpans.text(3, by.SchemaURL))
		}
		traces = traces.bytes(1, resourceSpans.text(3, about.SchemaURL()))
	}
	return traces
}

// grouped groups spans by something, in the order in which it first appears.
func grouped[K comparable](spans []sdk.ReadOnlySpan, by func(sdk.ReadOnlySpan) K) (groups [][]sdk.ReadOnlySpan) {
	places := map[K]int{}
	for _, s := range spans {
		at, known := places[by(s)]
		if !known {
			at = len(groups)
			places[by(s)] = at
			groups = append(groups, nil)
		}
		groups[at] = append(groups[at], s)
	}
	return groups
}

func spanOf(s sdk.ReadOnlySpan) message {
	m := message{}.context(s.SpanContext()).text(3, s.SpanContext().TraceState().String())
	if parent := s.Parent().SpanID(); parent.IsValid() {
		m = m.bytes(4, parent[:])
	}
	// The kinds have the same numbers in OTLP.
	m = m.text(5, s.Name()).number(6, int(s.SpanKind())).time(7, s.StartTime()).time(8, s.EndTime()).
		attributes(9, s.Attributes()).number(10, s.DroppedAttributes())
	for _, e := range s.Events() {
		m = m.bytes(11, message{}.time(1, e.Time).text(2, e.Name).attributes(3, e.Attributes).number(4, e.DroppedAttributeCount))
	}
	m = m.number(12, s.DroppedEvents())
	for _, l := range s.Links() {
		m = m.bytes(13, message{}.context(l.SpanContext).attributes(4, l.Attributes).number(5, l.DroppedAttributeCount).
			fixed32(6, flagsOf(l.SpanContext, l.SpanContext)))
	}
	return m.number(14, s.DroppedLinks()).bytes(15, statusOf(s.Status())).fixed32(16, flagsOf(s.SpanContext(), s.Parent()))
}

// context appends the ids of a span, as that itself and a link to it have them.
func (m message) context(at trace.SpanContext) message {
	traceID, spanID := at.TraceID(), at.SpanID()
	return m.bytes(1, traceID[:]).bytes(2, spanID[:])
}

// flagsOf are the flags of a span, or of a link. OTLP adds whether the span's parent, or
// what the link leads to, is in another process.
func flagsOf(at, other trace.SpanContext) uint32 {
	const remoteIsKnown, remote = 1 << 8, 1 << 9
	flags := uint32(at.TraceFlags()) | remoteIsKnown
	if other.IsRemote() {
		flags |= remote
	}
	return flags
}

func statusOf(s sdk.Status) message {
	const ok, failed = 1, 2
	m := message{}.text(2, s.Description)
	switch s.Code {
	case codes.Ok:
		return m.number(3, ok)
	case codes.Error:
		return m.number(3, failed)
	}
	return m
}

// valueOf is an AnyValue, of which the one field that is there says the type.
func valueOf(v attribute.Value) message {
	var m message
	switch v.Type() {
	case attribute.EMPTY:
		return m
	case attribute.STRING:
		return m.bytes(1, utf8Of(v.AsString()))
	case attribute.BOOL:
		if v.AsBool() {
			return m.varint(2, 1)
		}
		return m.varint(2, 0)
	case attribute.INT64:
		return m.varint(3, uint64(v.AsInt64()))
	case attribute.FLOAT64:
		return m.fixed64(4, math.Float64bits(v.AsFloat64()))
	case attribute.BOOLSLICE:
		return m.bytes(5, arrayOf(v.AsBoolSlice(), attribute.BoolValue))
	case attribute.INT64SLICE:
		return m.bytes(5, arrayOf(v.AsInt64Slice(), attribute.Int64Value))
	case attribute.FLOAT64SLICE:
		return m.bytes(5, arrayOf(v.AsFloat64Slice(), attribute.Float64Value))
	case attribute.STRINGSLICE:
		return m.bytes(5, arrayOf(v.AsStringSlice(), attribute.StringValue))
	case attribute.SLICE:
		return m.bytes(5, arrayOf(v.AsSlice(), func(v attribute.Value) attribute.Value { return v }))
	case attribute.MAP:
		return m.bytes(6, message{}.attributes(1, v.AsMap()))
	case attribute.BYTESLICE:
		return m.bytes(7, v.AsByteSlice())
	}
	return m.text(1, "INVALID")
}

// arrayOf is an ArrayValue.
func arrayOf[T any](list []T, value func(T) attribute.Value) (m message) {
	for _, v := range list {
		m = m.bytes(1, valueOf(value(v)))
	}
	return m
}
