package apischema

import (
	"net/url"
	"strings"
)

// ReadForm reads a query or the body of a form as PVE's server does: & and ; separate, a
// value ends at a second =, a key without = is undefined, and a repeated key makes a
// list.
func ReadForm(s string) Values {
	params := Values{}
	for part := range strings.FieldsFuncSeq(s, func(r rune) bool { return r == '&' || r == ';' }) {
		fields := strings.SplitN(part, "=", 3)
		key := unescape(fields[0])
		var value any
		if len(fields) > 1 {
			value = unescape(fields[1])
		}
		old, isList := params[key].([]any)
		switch {
		case params[key] == nil || value == nil:
			params[key] = value
		case isList:
			params[key] = append(old, value)
		default:
			params[key] = []any{params[key], value}
		}
	}
	return params
}

func unescape(s string) string {
	if plain, err := url.QueryUnescape(s); err == nil {
		return plain
	}
	return s
}
