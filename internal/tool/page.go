package tool

import (
	"encoding/json"
	"fmt"
	"reflect"
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/pve-mcp/pve-mcp/internal/exactjson"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/lazyregexp"
)

// AnswerBytes is how long an answer is at most where nothing else is said.
const AnswerBytes = 25_000

// Rest is embedded by the answer of a list, and says what is not in it. The field with the
// rows has the tag cut, which says where rows are left out of an answer that would be too
// long: at the end, or at the start.
type Rest struct {
	LeftOut int    `json:"left_out,omitzero" jsonschema:"of these, not in this answer"`
	More    string `json:"more,omitzero" jsonschema:"how to get them"`

	next  int // the offset of what follows the rows of the answer
	total int
}

// Page cuts a part out of a list, and says how many are not in it and, if there are
// later ones, how to get them.
func Page[T any](all []T, limit, offset int) ([]T, Rest) {
	first := min(offset, len(all))
	last := min(first+limit, len(all))
	return all[first:last], RestOf(len(all), first, last-first)
}

// RestOf says what is not in an answer that has some of all rows, from an offset on.
func RestOf(total, offset, rows int) Rest {
	r := Rest{LeftOut: max(0, total-rows), next: offset + rows, total: total}
	if r.next < total {
		r.More = fmt.Sprintf("offset: %d, or a filter", r.next)
	}
	return r
}

// without is the rest where some of the rows are left out as well, because the answer would
// be longer than most.
func (r Rest) without(rows, most int) Rest {
	next := r.next - rows
	return Rest{
		LeftOut: r.LeftOut + rows, next: next, total: r.total,
		More: fmt.Sprintf("offset: %d, or a filter; an answer has at most %d bytes", next, most),
	}
}

// bounded encodes an answer. A list that is longer than most loses rows, down to one. An
// answer that is still too long loses the ends of its longest texts.
func bounded(out any, most int) json.RawMessage {
	data := exactjson.Encode(out)
	if len(data) <= most {
		return data
	}
	answer := reflect.ValueOf(out).Elem()
	if field, end := cuttable(answer); field.Len() > 0 {
		data = fewerRows(out, field, end, most)
	}
	const least = 100 // characters; ids and names are shorter
	for limit := 2000; len(data) > most && limit >= least; limit /= 2 {
		shorten(answer, limit)
		data = exactjson.Encode(out)
	}
	return data
}

// fewerRows encodes an answer with as many rows as it has room for.
func fewerRows(out any, field reflect.Value, end bool, most int) json.RawMessage {
	answer := reflect.ValueOf(out).Elem()
	rows, rest := field.Slice(0, field.Len()), &Rest{} // of an answer that says in other words how much there is
	if f := answer.FieldByName("Rest"); f.IsValid() {
		rest = f.Addr().Interface().(*Rest)
	}
	whole := *rest
	with := func(n int) json.RawMessage {
		over := rows.Len() - n
		*rest = whole.without(over, most)
		if end {
			field.Set(rows.Slice(0, n))
		} else {
			field.Set(rows.Slice(over, rows.Len()))
		}
		return exactjson.Encode(out)
	}
	tooMany := sort.Search(rows.Len(), func(n int) bool { return len(with(n)) > most })
	return with(max(1, tooMany-1))
}

// cuttable is the field of an answer that has its rows, and whether these are left out at
// the end; an empty one where the answer is no list.
func cuttable(answer reflect.Value) (field reflect.Value, end bool) {
	for i := range answer.NumField() {
		if where, ok := answer.Type().Field(i).Tag.Lookup("cut"); ok {
			return answer.Field(i), where == "end"
		}
	}
	return reflect.ValueOf([]struct{}{}), false
}

// shorten cuts all texts of an answer that are longer than some characters; their ends say
// how many are missing.
func shorten(v reflect.Value, limit int) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			shorten(v.Elem(), limit)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				shorten(v.Field(i), limit)
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			shorten(v.Index(i), limit)
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			value := reflect.New(v.Type().Elem()).Elem()
			value.Set(v.MapIndex(key))
			shorten(value, limit)
			v.SetMapIndex(key, value)
		}
	case reflect.Interface:
		if v.Elem().Kind() == reflect.String {
			v.Set(reflect.ValueOf(shorter(v.Elem().String(), limit)))
		} else if k := v.Elem().Kind(); k == reflect.Map || k == reflect.Slice {
			shorten(v.Elem(), limit)
		}
	case reflect.String:
		v.SetString(shorter(v.String(), limit))
	}
}

// cutRE matches the end of a text that was cut before.
var cutRE = lazyregexp.New(`…\(\+(\d+)\)$`)

// shorter is a text with at most limit characters, and how many are missing.
func shorter(s string, limit int) string {
	if utf8.RuneCountInString(s) <= limit+len("…(+12345)") {
		return s
	}
	missing := 0
	if m := cutRE.FindStringSubmatch(s); m != nil {
		s = strings.TrimSuffix(s, m[0])
		missing, _ = strconv.Atoi(m[1])
	}
	runes := []rune(s)
	return fmt.Sprintf("%s…(+%d)", string(runes[:limit]), missing+len(runes)-limit)
}

// FewNotes returns the notes of an answer as far as it has room for them: there may be some
// for each storage and node.
func FewNotes(notes []string) []string { return render.Few(notes, 10) }
