// Package sparsejson writes structs as JSON that people read and edit.
package sparsejson

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"
	"reflect"
)

// Write writes the fields of a struct: one a line, in a list one element a line, and
// nothing that is a zero value. It panics if a value cannot be JSON, as NaN cannot.
func Write(b *bytes.Buffer, v any) {
	separator := "{\n"
	for name, field := range fieldsOf(reflect.ValueOf(v)) {
		fmt.Fprintf(b, "%s %q: ", separator, name)
		separator = ",\n"
		if field.Kind() != reflect.Slice {
			writeValue(b, field)
			continue
		}
		for i, element := range field.Seq2() {
			b.WriteString(map[bool]string{true: "[\n  ", false: ",\n  "}[i.Int() == 0])
			writeValue(b, element)
		}
		b.WriteString("\n ]")
	}
	b.WriteString("\n}\n")
}

func writeValue(b *bytes.Buffer, v reflect.Value) {
	if _, itself := v.Interface().(json.Marshaler); v.Kind() == reflect.Struct && !itself {
		b.WriteByte('{')
		separator := ""
		for name, field := range fieldsOf(v) {
			fmt.Fprintf(b, "%s%q:", separator, name)
			writeValue(b, field)
			separator = ","
		}
		b.WriteByte('}')
		return
	}
	if v.Kind() == reflect.Slice && v.Type().Elem().Kind() != reflect.Uint8 { // bytes are text
		b.WriteByte('[')
		for i, element := range v.Seq2() {
			if i.Int() > 0 {
				b.WriteByte(',')
			}
			writeValue(b, element)
		}
		b.WriteByte(']')
		return
	}
	enc := json.NewEncoder(b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v.Interface()); err != nil {
		panic(fmt.Sprintf("sparsejson: %v cannot be written: %v", v, err))
	}
	b.Truncate(b.Len() - 1) // the encoder ends each value with a newline
}

// fieldsOf are the fields of a struct that say something, those of embedded structs
// among them.
func fieldsOf(v reflect.Value) iter.Seq2[string, reflect.Value] {
	return func(yield func(string, reflect.Value) bool) {
		for _, f := range reflect.VisibleFields(v.Type()) {
			field := v.FieldByIndex(f.Index)
			empty := field.IsZero() || field.Kind() == reflect.Slice && field.Len() == 0
			if !f.Anonymous && !empty && !yield(f.Name, field) {
				return
			}
		}
	}
}
