package apischema

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// format follows check_format; a returned error is what PVE dies with, without
// the final line break.
func (v *validator) format(path string, f *Format, value string) error {
	if f.Keys != nil {
		return v.property(path, f.Keys, value)
	}
	name, list := strings.CutSuffix(f.Name, "-list")
	name, opt := strings.CutSuffix(name, "-opt")
	if data := v.api.facts.Formats[name]; data != nil {
		return v.property(path, data.Keys, value)
	}
	check, ok := formats()[name]
	if name == "pve-priv" { // the privileges differ from version to version
		check, ok = v.api.privilege, true
	}
	if !ok {
		v.api.count(f.Name)
		return nil
	}
	switch {
	case list:
		for _, item := range SplitList(value) {
			if err := check(item); err != nil {
				return err
			}
		}
		return nil
	case opt && (value == "" || value == "0"): // false in Perl
		return nil
	}
	return check(value)
}

// privilege checks the name of a privilege: those that exist are the keys of a role.
func (a *API) privilege(s string) error {
	role := a.Endpoint("GET", "/access/roles/{roleid}")
	if role == nil || role.Returns == nil || role.Returns.Properties[s] == nil {
		return fmt.Errorf("invalid privilege '%s'", s)
	}
	return nil
}

func (a *API) count(format string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.unchecked[format]++
}

// property follows parse_property_string.
func (v *validator) property(path string, keys map[string]*Schema, value string) error {
	values, err := splitProperty(keys, value)
	if err != nil {
		return err
	}
	inner := validator{api: v.api, errors: map[string]string{}}
	inner.object(path, keys, values, true)
	if len(inner.errors) == 0 {
		return nil
	}
	msg := "format error"
	for _, k := range slices.Sorted(maps.Keys(inner.errors)) {
		msg += "\n" + k + ": " + inner.errors[k]
	}
	return errors.New(msg)
}

func splitProperty(keys map[string]*Schema, value string) (Values, error) {
	const duplicate = "duplicate key in comma-separated list property: %s"
	values, defaultKey := Values{}, ""
	for part := range strings.SplitSeq(value, ",") {
		if strings.TrimFunc(part, isSpace) == "" {
			continue
		}
		key, val, hasKey := strings.Cut(part, "=")
		if hasKey && (key == "" || val == "") {
			return nil, errors.New("missing key in comma-separated list property")
		}
		if !hasKey {
			if defaultKey != "" {
				return nil, fmt.Errorf(duplicate, defaultKey)
			}
			defaultKey = defaultKeyOf(keys)
			if defaultKey == "" {
				return nil, errors.New("value without key, but schema does not define a default key")
			}
			if values[defaultKey] != nil {
				return nil, fmt.Errorf(duplicate, defaultKey)
			}
			values[defaultKey] = part
			continue
		}
		if values[key] != nil {
			return nil, fmt.Errorf(duplicate, key)
		}
		if s := keys[key]; s != nil && s.Alias != "" {
			if s.KeyAlias != "" {
				if values[s.KeyAlias] != nil {
					return nil, fmt.Errorf("key alias '%s' is already defined", s.KeyAlias)
				}
				values[s.KeyAlias] = key
			}
			key = s.Alias
		}
		s := keys[key]
		if s == nil {
			return nil, fmt.Errorf("invalid key in comma-separated list property: %s", key)
		}
		if s.Type == "boolean" {
			val = perlBoolean(val)
		}
		values[key] = val
	}
	return values, nil
}

func defaultKeyOf(keys map[string]*Schema) string {
	for k, s := range keys {
		if s.DefaultKey {
			return k
		}
	}
	return ""
}

// perlBoolean follows parse_boolean: what it does not know stays as it is.
func perlBoolean(s string) string {
	switch strings.ToLower(s) {
	case "1", "on", "yes", "true":
		return "1"
	case "0", "off", "no", "false":
		return "0"
	}
	return s
}
