package evals

import (
	"fmt"
	"strconv"

	"github.com/pve-mcp/pve-mcp/lazyregexp"
)

var element = lazyregexp.New(`\["([^"]*)"\]|\[([^\]=]+)=([^\]]*)\]|\[(\d+)\]|([^.\[\]]+)`)

// at is the value at a path in decoded JSON: data.items[0].id, a row by one of its fields as in
// items[name=a].size, and a key with dots in it as in files["/etc/motd"].
func at(v any, path string) (any, error) {
	for _, m := range element.FindAllStringSubmatch(path, -1) {
		var next any
		found := false
		switch in := v.(type) {
		case map[string]any:
			key := m[5]
			if m[1] != "" {
				key = m[1]
			}
			next, found = in[key]
		case []any:
			next, found = row(in, m)
		}
		if !found {
			return nil, fmt.Errorf("%s: there is no %s", path, m[0])
		}
		v = next
	}
	return v, nil
}

func row(in []any, m []string) (any, bool) {
	if m[2] != "" {
		for _, row := range in {
			if fields, ok := row.(map[string]any); ok && shown(fields[m[2]]) == m[3] {
				return row, true
			}
		}
		return nil, false
	}
	digits := m[4] + m[5]
	n, err := strconv.Atoi(digits)
	if err != nil || n >= len(in) {
		return nil, false
	}
	return in[n], true
}

// shown is a value as a text that people compare.
func shown(v any) string {
	if f, ok := v.(float64); ok {
		return strconv.FormatFloat(f, 'f', -1, 64)
	}
	return fmt.Sprint(v)
}

var placeholder = lazyregexp.New(`\$\{(\d+)\.([^}]+)\}`)

// filled returns a text with what calls have answered in the place of ${2.guests.0.name}.
func filled(text string, answers []any) (string, error) {
	var wrong error
	out := placeholder.ReplaceAllStringFunc(text, func(found string) string {
		m := placeholder.FindStringSubmatch(found)
		n, _ := strconv.Atoi(m[1])
		if n < 1 || n > len(answers) {
			wrong = fmt.Errorf("%s: that call was not made", found)
			return ""
		}
		v, err := at(answers[n-1], m[2])
		if err != nil {
			wrong = fmt.Errorf("%s: %w", found, err)
		}
		return shown(v)
	})
	return out, wrong
}

// fill fills the texts of arguments in.
func fill(v any, answers []any) (any, error) {
	var err error
	switch v := v.(type) {
	case string:
		return filled(v, answers)
	case []any:
		out := make([]any, len(v))
		for i := range v {
			if out[i], err = fill(v[i], answers); err != nil {
				return nil, err
			}
		}
		return out, nil
	case map[string]any:
		out := map[string]any{}
		for key, value := range v {
			if out[key], err = fill(value, answers); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	return v, nil
}

// filled are the arguments of a call, with what earlier calls have answered.
func (c Call) filled(answers []any) (map[string]any, error) {
	v, err := fill(c.Arguments, answers)
	if err != nil || v == nil {
		return map[string]any{}, err
	}
	return v.(map[string]any), nil
}
