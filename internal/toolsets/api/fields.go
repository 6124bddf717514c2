package api

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/pve"
)

// selection is a path into data, such as data.*.name, by its elements. In a list, * and a name
// mean each element, a number one of them.
type selection []string

func selectionsOf(fields []string) []selection {
	var out []selection
	for f := range strings.SplitSeq(strings.Join(fields, ","), ",") {
		f = strings.TrimPrefix(strings.TrimSpace(f), "data.")
		if f = strings.Trim(f, "."); f != "" && f != "data" {
			out = append(out, strings.Split(f, "."))
		}
	}
	return out
}

// pick returns the parts of data that the selections name, nil for none. Without selections it
// returns all of it.
func pick(data any, all []selection) any {
	if len(all) == 0 {
		return data
	}
	switch v := data.(type) {
	case map[string]any:
		out := map[string]any{}
		for key, value := range v {
			whole, below := false, []selection(nil)
			for _, s := range all {
				switch matched, _ := path.Match(s[0], key); {
				case matched && len(s) == 1:
					whole = true
				case matched:
					below = append(below, s[1:])
				}
			}
			if whole {
				out[key] = value
			} else if picked := pick(value, below); below != nil && picked != nil {
				out[key] = picked
			}
		}
		if len(out) > 0 {
			return out
		}
	case []any:
		var out []any
		for i, value := range v {
			var below []selection
			whole := false
			for _, s := range all {
				n, err := strconv.Atoi(s[0])
				switch {
				case s[0] == "*" || err == nil && n == i:
					below, whole = append(below, s[1:]), whole || len(s) == 1
				case err != nil:
					below = append(below, s)
				}
			}
			if picked := pick(value, slices.DeleteFunc(below, func(s selection) bool { return len(s) == 0 })); whole {
				out = append(out, value)
			} else if below != nil && picked != nil {
				out = append(out, picked)
			}
		}
		if len(out) > 0 {
			return out
		}
	}
	return nil
}

// keysIn returns the names at the first level of data or, if it is a list, in its rows.
func keysIn(data any) []string {
	found := map[string]bool{}
	switch v := data.(type) {
	case map[string]any:
		for key := range v {
			found[key] = true
		}
	case []any:
		for _, row := range v {
			if object, ok := row.(map[string]any); ok {
				for key := range object {
					found[key] = true
				}
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// sortRows sorts rows by a field: numbers by size, names as people do. A minus sign before the
// field reverses the order. Rows without the field come last.
func sortRows(rows []any, by string) error {
	field, down := strings.CutPrefix(by, "-")
	if field == "" {
		return nil
	}
	value := func(row any) any {
		object, _ := row.(map[string]any)
		return object[field]
	}
	if !slices.ContainsFunc(rows, func(row any) bool { return value(row) != nil }) && len(rows) > 0 {
		return fmt.Errorf("no row has the field %q to sort by; there are %s", render.Text(field, 60), render.List(keysIn(rows)))
	}
	slices.SortStableFunc(rows, func(a, b any) int {
		x, y := value(a), value(b)
		switch {
		case x == nil || y == nil:
			return cmp.Compare(boolToInt(x == nil), boolToInt(y == nil))
		case down:
			return compare(y, x)
		}
		return compare(x, y)
	})
	return nil
}

func boolToInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

func compare(a, b any) int {
	x, errX := strconv.ParseFloat(textOf(a), 64)
	y, errY := strconv.ParseFloat(textOf(b), 64)
	if errX == nil && errY == nil {
		return cmp.Compare(x, y)
	}
	return pve.CompareNames(textOf(a), textOf(b))
}

func textOf(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	}
	return fmt.Sprint(v)
}
