package tool

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/exactjson"
)

// Settings are settings by key, as [Values] are. An object among them changes parts of the
// property string under its key, and leaves the others as they are.
type Settings struct {
	Whole Values
	Parts map[string]Values // "" takes a part out
}

// IsZero reports whether nothing is set.
func (s Settings) IsZero() bool { return len(s.Whole) == 0 && len(s.Parts) == 0 }

// Text writes each object as the property string that has its parts alone.
func (s Settings) Text() Values {
	out := maps.Clone(s.Whole)
	for key, parts := range s.Parts {
		var text []string
		for _, name := range slices.Sorted(maps.Keys(parts)) {
			text = append(text, name+"="+parts[name])
		}
		if out == nil {
			out = Values{}
		}
		out[key] = strings.Join(text, ",")
	}
	return out
}

// UnmarshalJSON reads what [Values] read, and keeps objects apart.
func (s *Settings) UnmarshalJSON(data []byte) error {
	var all map[string]any
	if err := exactjson.Unmarshal(data, &all); err != nil {
		return err
	}
	*s = Settings{Whole: Values{}, Parts: map[string]Values{}}
	for _, key := range slices.Sorted(maps.Keys(all)) {
		var problem string
		if object, ok := all[key].(map[string]any); ok && hasParts(key, object) {
			s.Parts[key], problem = partsOf(object)
		} else {
			s.Whole[key], problem = settingOf(key, all[key])
		}
		if problem != "" {
			return fmt.Errorf("the value of %q %s", key, problem)
		}
	}
	return nil
}

// MarshalJSON writes what was read.
func (s Settings) MarshalJSON() ([]byte, error) {
	all := map[string]any{}
	for key, text := range s.Whole {
		all[key] = text
	}
	for key, parts := range s.Parts {
		all[key] = parts
	}
	return json.Marshal(all)
}

// hasParts reports whether PVE has a property string under a key of which an object is a part. The
// parts of tags are the tags themselves.
func hasParts(key string, object map[string]any) bool {
	_, isList := between[key]
	return len(object) > 0 && (!isList || key == "tags") && !slices.Contains(plainKeys, key)
}

func partsOf(object map[string]any) (parts Values, problem string) {
	parts = Values{}
	for name, value := range object {
		if value == nil || value == "" {
			parts[name] = ""
			continue
		}
		text, problem := property(map[string]any{name: value})
		if problem != "" {
			return nil, problem
		}
		_, parts[name], _ = strings.Cut(text, "=")
	}
	return parts, ""
}
