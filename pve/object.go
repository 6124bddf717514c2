package pve

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"sync"
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

// plans remembers the fields of each type: a reflect.Type to a []field.
var plans sync.Map

func planOf(t reflect.Type) []field {
	if plan, ok := plans.Load(t); ok {
		return plan.([]field)
	}
	var plan []field
	for i := range t.NumField() {
		name, options, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		if name != "" && name != "-" {
			plan = append(plan, field{name, i, options == "omitzero"})
		}
	}
	stored, _ := plans.LoadOrStore(t, plan)
	return stored.([]field)
}

// decodeObject decodes a JSON object into the named fields of the struct that dst
// points to, and the rest into extra. One odd field does not spoil an answer.
func decodeObject(data []byte, dst any, extra *Extra) error {
	all := Extra{}
	if err := json.Unmarshal(data, &all); err != nil {
		return err
	}
	v := reflect.ValueOf(dst).Elem()
	for _, f := range planOf(v.Type()) {
		raw, ok := all[f.name]
		if !ok || string(raw) == "null" {
			continue
		}
		if json.Unmarshal(raw, v.Field(f.index).Addr().Interface()) == nil {
			delete(all, f.name)
		}
	}
	if len(all) > 0 {
		*extra = all
	}
	return nil
}

// encodeObject writes what decodeObject has read.
func encodeObject(src any, extra Extra) ([]byte, error) {
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
