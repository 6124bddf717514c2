package tool

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/exactjson"
)

// Values are settings by key, as PVE takes them: text, where an argument may have
// numbers, booleans, lists and objects too.
type Values map[string]string

// UnmarshalJSON reads text, numbers and booleans, and writes lists and objects as PVE has
// them under their key.
func (v *Values) UnmarshalJSON(data []byte) error {
	var all map[string]any
	if err := exactjson.Unmarshal(data, &all); err != nil {
		return err
	}
	*v = Values{}
	for _, key := range slices.Sorted(maps.Keys(all)) {
		text, problem := settingOf(key, all[key])
		if problem != "" {
			return fmt.Errorf("the value of %q %s", key, problem)
		}
		(*v)[key] = text
	}
	return nil
}

// between is what PVE has between the elements of a list under its keys.
var between = map[string]string{
	"affinity": ",", "boot": ";", "env": "\x00", "hotplug": ",", "nameserver": " ", "searchdomain": " ", "sshkeys": "\n", "tags": ";",
}

// plainKeys are those whose values have no inner form.
var plainKeys = []string{"args", "ciuser", "cipassword", "description", "hostname", "name"}

// settingOf is a value as PVE takes it under a key, or what is wrong with it.
func settingOf(key string, value any) (text, problem string) {
	switch v := value.(type) {
	case []any:
		return settingOfList(key, v)
	case string:
		if list, isList := listIn(v); isList && between[key] != "" {
			return settingOfList(key, list)
		}
	case map[string]any:
		if _, isList := between[key]; len(v) == 0 || slices.Contains(plainKeys, key) || isList && key != "boot" {
			return "", "is an object; give text"
		}
		return property(v)
	}
	text, ok := PlainText(value)
	if !ok {
		return "", "is neither text nor a number nor true or false"
	}
	return text, ""
}

func settingOfList(key string, list []any) (text, problem string) {
	separator, known := between[key]
	if !known {
		return "", `is a list, which PVE does not have there; give it as PVE writes it, such as "virtio,bridge=vmbr0"`
	}
	text, problem = join(list, separator)
	if key == "boot" {
		text = "order=" + text
	}
	return text, problem
}

// join writes a list; no element may have the separator in it.
func join(list []any, separator string) (text, problem string) {
	var out []string
	for _, e := range list {
		text, ok := PlainText(e)
		text = strings.Trim(text, "\n") // a file with a key in it ends with one
		if !ok || text == "" || strings.Contains(text, separator) {
			return "", fmt.Sprintf("has the element %s, which PVE cannot keep in a list", show(e))
		}
		out = append(out, text)
	}
	if out == nil {
		return "", `is an empty list; name it in "delete" instead`
	}
	return strings.Join(out, separator), ""
}

// property writes an object as the property string that PVE has for it; lists in it have
// semicolons.
func property(options map[string]any) (text, problem string) {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(options)) {
		value, ok := PlainText(options[name])
		if list, isList := options[name].([]any); isList {
			if value, problem = join(list, ";"); problem != "" {
				return "", problem
			}
			ok = true
		}
		if !ok || value == "" || strings.ContainsAny(value, ",\n\x00") || strings.ContainsAny(name, ",=\n\x00") {
			return "", fmt.Sprintf("has %q, which PVE cannot keep in a property string", name)
		}
		out = append(out, name+"="+value)
	}
	return strings.Join(out, ","), ""
}

// PlainText is a text, number or boolean as PVE takes it. ok is false for any other value.
func PlainText(value any) (text string, ok bool) {
	switch v := value.(type) {
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case bool:
		return Flag(v), true
	}
	return "", false
}

// Flag writes a boolean as PVE takes it.
func Flag(b bool) string {
	if b {
		return "1"
	}
	return "0"
}
