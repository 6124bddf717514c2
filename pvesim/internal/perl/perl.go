// Package perl turns values into what PVE's code in Perl makes of them.
package perl

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// ErrJSON is the error of a text that is no JSON object.
var ErrJSON = errors.New("malformed JSON string")

// ParseJSON reads a JSON object. Its numbers are strings, as Perl's checks see them.
func ParseJSON(text []byte) (map[string]any, error) {
	dec := json.NewDecoder(strings.NewReader(string(text)))
	dec.UseNumber()
	var all map[string]any
	if err := dec.Decode(&all); err != nil {
		return nil, ErrJSON
	}
	for k, v := range all {
		all[k] = withTextNumbers(v)
	}
	return all, nil
}

func withTextNumbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		return v.String()
	case []any:
		for i := range v {
			v[i] = withTextNumbers(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = withTextNumbers(v[k])
		}
	}
	return v
}

// Text writes a value as Perl writes it into a text: booleans are 1 and 0, and the items
// of a list stand between commas.
func Text(v any) string {
	switch v := v.(type) {
	case bool:
		if v {
			return "1"
		}
		return "0"
	case []any:
		var items []string
		for _, item := range v {
			items = append(items, Text(item))
		}
		return strings.Join(items, ",")
	}
	return fmt.Sprint(v)
}
