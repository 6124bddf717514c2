package lenient

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"sync"

	"github.com/pve-mcp/pve-mcp/internal/jsonscan"
)

// Extra are the fields of an answer that a type does not name, those that PVE
// sent as null, and those whose value is of another shape than the type's.
type Extra map[string]json.RawMessage

// field is a named field of a struct.
type field struct {
	name     string
	index    int
	omitzero bool
}

// plans remembers the fields of each type, by name: a reflect.Type to a map[string]field.
var plans sync.Map

func planOf(t reflect.Type) map[string]field {
	if plan, ok := plans.Load(t); ok {
		return plan.(map[string]field)
	}
	plan := map[string]field{}
	for i := range t.NumField() {
		name, options, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		if name != "" && name != "-" {
			plan[name] = field{name, i, options == "omitzero"}
		}
	}
	stored, _ := plans.LoadOrStore(t, plan)
	return stored.(map[string]field)
}

// Decode decodes a JSON object into the named fields of the struct that dst
// points to, and the rest into extra. One odd field does not spoil an answer. The data is
// valid JSON, as encoding/json promises to every Unmarshaler.
func Decode(data []byte, dst any, extra *Extra) error {
	switch data = jsonscan.Trim(data); {
	case string(data) == "null":
		return nil
	case data[0] != '{':
		return fmt.Errorf("%.40q where an object was expected", data)
	}
	v := reflect.ValueOf(dst).Elem()
	plan := planOf(v.Type())
	var rest Extra
	for i := jsonscan.Inside(data, 0); data[i] != '}'; {
		m := jsonscan.MemberAt(data, i)
		i = jsonscan.Following(data, m.To)
		value := data[m.From:m.To]
		f, named := plan[string(m.Key(data))]
		if named && value[0] != 'n' && DecodeValue(value, v.Field(f.index).Addr().Interface()) == nil { // null
			delete(rest, f.name)
			continue
		}
		if rest == nil {
			rest = Extra{}
		}
		rest[string(m.Name(data))] = bytes.Clone(value)
	}
	if len(rest) > 0 {
		*extra = rest
	}
	return nil
}

// DecodeValue decodes a value that is valid JSON. Those that decode themselves are asked
// directly, since encoding/json would first read the value once more.
func DecodeValue(value []byte, dst any) error {
	switch dst := dst.(type) {
	case json.Unmarshaler:
		return dst.UnmarshalJSON(value)
	case *string:
		if value[0] == '"' {
			text, err := textOf(value)
			*dst = string(text)
			return err
		}
	}
	if v := reflect.ValueOf(dst).Elem(); value[0] == '[' && v.Kind() == reflect.Slice {
		if _, ok := reflect.New(v.Type().Elem()).Interface().(json.Unmarshaler); ok {
			return decodeList(value, v)
		}
	}
	return json.Unmarshal(value, dst)
}

// decodeList decodes a list of what decodes itself, up to the first that does not.
func decodeList(value []byte, dst reflect.Value) error {
	dst.Set(reflect.MakeSlice(dst.Type(), 0, 0))
	for element := range jsonscan.Elements(value) {
		dst.Grow(1)
		dst.SetLen(dst.Len() + 1)
		last := dst.Index(dst.Len() - 1).Addr().Interface()
		if err := last.(json.Unmarshaler).UnmarshalJSON(element); err != nil {
			return err
		}
	}
	return nil
}

// Encode writes what [Decode] has read.
func Encode(src any, extra Extra) ([]byte, error) {
	v := reflect.ValueOf(src)
	all := map[string]any{}
	for k, raw := range extra {
		all[k] = raw
	}
	for _, f := range planOf(v.Type()) {
		value := v.Field(f.index)
		_, kept := extra[f.name]
		if kept || f.omitzero && isZero(value) {
			continue
		}
		all[f.name] = value.Interface()
	}
	out, err := json.Marshal(all)
	if err != nil {
		return nil, fmt.Errorf("%T: %w", src, err)
	}
	return out, nil
}

func isZero(v reflect.Value) bool {
	if z, ok := v.Interface().(interface{ IsZero() bool }); ok {
		return z.IsZero()
	}
	return v.IsZero()
}
