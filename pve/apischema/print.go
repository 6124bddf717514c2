package apischema

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Normal is a property string as PVE writes it anew: first the value that needs no key, then
// the keys that must be there, then the others, each group sorted. A value that is no property
// string, or a wrong one, stays as it is.
func (a *API) Normal(s *Schema, value string) string {
	if s == nil || s.Format == nil {
		return value
	}
	keys := s.Format.Keys
	if data := a.facts.Formats[s.Format.Name]; keys == nil && data != nil {
		keys = data.Keys
	}
	values, err := splitProperty(keys, value)
	if keys == nil || err != nil {
		return value
	}
	var parts []string
	written := map[string]bool{}
	add := func(key string) {
		if written[key] || values[key] == nil {
			return
		}
		written[key] = true
		text := fmt.Sprint(values[key])
		if combined := combinedWith(keys, key); combined != "" && values[combined] != nil {
			written[combined] = true
			parts = append(parts, fmt.Sprint(text, "=", values[combined]))
			return
		}
		if !keys[key].DefaultKey {
			text = key + "=" + text
		}
		parts = append(parts, text)
	}
	if first := defaultKeyOf(keys); first != "" {
		add(first)
	}
	sorted := slices.Sorted(maps.Keys(values))
	for _, key := range sorted {
		if !keys[key].Optional {
			add(key)
		}
	}
	for _, key := range sorted {
		add(key)
	}
	return strings.Join(parts, ",")
}

// combinedWith is the key whose value PVE writes behind that of another, as a network device
// has its address behind its model: virtio=BC:24:11:00:00:01.
func combinedWith(keys map[string]*Schema, key string) string {
	for _, s := range keys {
		if s.KeyAlias == key {
			return s.Alias
		}
	}
	return ""
}
