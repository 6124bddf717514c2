package audit

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"unicode/utf8"

	"github.com/pve-mcp/pve-mcp/internal/exactjson"
)

// What a record has at most, so that nobody fills the disk with a few of them. The length
// and the hash of the whole replace what is cut. With them it can be compared with a text
// that somebody claims it was.
const (
	maxArguments = 32 << 10 // bytes
	maxText      = 4 << 10
	maxName      = 256
	maxItems     = 100
)

// cut is a text that has at most a number of bytes, besides what tells that it was longer.
func cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	kept := s[:most]
	for len(kept) > 0 && !utf8.RuneStart(s[len(kept)]) {
		kept = kept[:len(kept)-1]
	}
	return kept + cutMark(len(s), "bytes", []byte(s))
}

func cutMark(n int, of string, whole []byte) string {
	return fmt.Sprintf("… (cut: %d %s, sha256 %s)", n, of, hashOf(nil, whole))
}

// bounded is a value of JSON without its secrets, as text that is not too long.
func bounded(value any) json.RawMessage {
	text := exactjson.Encode(value)
	if len(text) <= maxArguments && !hasMuch(value) {
		return text
	}
	short := exactjson.Encode(shortened(value))
	if len(short) > maxArguments {
		return exactjson.Encode(map[string]any{"…": cutMark(len(text), "bytes", text)})
	}
	return short
}

// hasMuch reports whether a text, a list or an object in a value is to be cut.
func hasMuch(value any) bool {
	switch v := value.(type) {
	case string:
		return len(v) > maxText
	case []any:
		return len(v) > maxItems || slices.ContainsFunc(v, hasMuch)
	case map[string]any:
		return len(v) > maxItems || slices.ContainsFunc(slices.Collect(maps.Keys(v)), func(name string) bool {
			return len(name) > maxName || hasMuch(v[name])
		})
	}
	return false
}

func shortened(value any) any {
	switch v := value.(type) {
	case string:
		return cut(v, maxText)
	case []any:
		var out []any
		for _, e := range v[:min(len(v), maxItems)] {
			out = append(out, shortened(e))
		}
		if len(v) > maxItems {
			out = append(out, cutMark(len(v), "items", exactjson.Encode(v)))
		}
		return out
	case map[string]any:
		out := map[string]any{}
		names := slices.Sorted(maps.Keys(v))
		for _, name := range names[:min(len(names), maxItems)] {
			out[cut(name, maxName)] = shortened(v[name])
		}
		if len(v) > maxItems {
			out["…"] = cutMark(len(v), "names", exactjson.Encode(v))
		}
		return out
	}
	return value
}
