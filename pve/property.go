package pve

import (
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/pve-mcp/pve-mcp/proxmox/lenient"
)

// Property is a property string, the form of many values in a configuration: parts
// between commas, each key=value or the value of the default key alone, such as
// local:100/vm-100-disk-0.qcow2,discard=on,size=32G. It keeps every part as it was
// written, odd ones too, so that changing one key changes nothing else.
//
// A copy is independent of the original.
type Property struct {
	defaultKey string
	parts      []string
}

// ParseProperty splits a property string. defaultKey is the key of a part without
// one, such as file of scsi0, model of a VM's net0 or enabled of agent; "" if PVE
// knows none.
func ParseProperty(s, defaultKey string) Property {
	p := Property{defaultKey: defaultKey}
	if s != "" {
		p.parts = strings.Split(s, ",")
	}
	return p
}

// String returns what was parsed, with the changes since.
func (p Property) String() string { return strings.Join(p.parts, ",") }

// split returns key and value of a part. PVE passes over blank parts.
func (p Property) split(part string) (key, value string, ok bool) {
	if strings.TrimSpace(part) == "" {
		return "", "", false
	}
	key, value, hasKey := strings.Cut(part, "=")
	if !hasKey {
		return p.defaultKey, part, true
	}
	return key, value, true
}

// All yields keys and values as written. The key of a part without one is the default
// key.
func (p Property) All() iter.Seq2[string, string] {
	return func(yield func(key, value string) bool) {
		for _, part := range p.parts {
			if key, value, ok := p.split(part); ok && !yield(key, value) {
				return
			}
		}
	}
}

func (p Property) index(key string) int {
	return slices.IndexFunc(p.parts, func(part string) bool {
		k, _, ok := p.split(part)
		return ok && k == key
	})
}

// Get returns the first value of a key.
func (p Property) Get(key string) (string, bool) {
	i := p.index(key)
	if i < 0 {
		return "", false
	}
	_, value, _ := p.split(p.parts[i])
	return value, true
}

// Set gives a key one value. It replaces the key's first one, or comes at the end; that of
// the default key comes at the front, without a name. A key or value that a property string
// cannot hold is an error.
func (p *Property) Set(key, value string) error {
	if key == "" || strings.ContainsAny(key, ",=") {
		return fmt.Errorf("%q cannot be a key of a property string", key)
	}
	if value == "" || strings.Contains(value, ",") {
		return fmt.Errorf("%s: %q cannot be a value in a property string", key, value)
	}
	at := p.index(key)
	part := key + "=" + value
	alone := key == p.defaultKey && !strings.Contains(value, "=") && strings.TrimSpace(value) != ""
	if alone && (at < 0 || !strings.Contains(p.parts[at], "=")) {
		part = value
	}
	switch {
	case at >= 0:
		head, tail := p.parts[:at], Property{p.defaultKey, p.parts[at+1:]}
		tail.Delete(key)
		p.parts = slices.Concat(head, []string{part}, tail.parts)
	case alone:
		p.parts = slices.Concat([]string{part}, p.parts)
	default:
		p.parts = slices.Concat(p.parts, []string{part})
	}
	return nil
}

// Delete removes a key.
func (p *Property) Delete(key string) {
	p.parts = slices.DeleteFunc(slices.Clone(p.parts), func(part string) bool {
		k, _, ok := p.split(part)
		return ok && k == key
	})
}

// take removes the first value of a key and returns it as T. A value that is not a T
// stays.
func take[T string | int64 | float64 | bool](p *Property, key string, parse func(string) (T, error)) lenient.Opt[T] {
	text, ok := p.Get(key)
	if !ok || text == "" {
		return lenient.Opt[T]{}
	}
	v, err := parse(text)
	if err != nil {
		return lenient.Opt[T]{}
	}
	i := p.index(key)
	p.parts = slices.Concat(p.parts[:i], p.parts[i+1:])
	return lenient.Some(v)
}

func (p *Property) takeText(key string) string {
	return take(p, key, func(s string) (string, error) { return s, nil }).Value
}

func (p *Property) takeInt(key string) lenient.Opt[int64] {
	return take(p, key, func(s string) (int64, error) { return strconv.ParseInt(s, 10, 64) })
}

func (p *Property) takeFlag(key string) lenient.Opt[bool] { return take(p, key, parseFlag) }

// parseFlag reads a boolean as PVE does in property strings.
func parseFlag(s string) (bool, error) {
	switch strings.ToLower(s) {
	case "1", "on", "yes", "true":
		return true, nil
	case "0", "off", "no", "false":
		return false, nil
	}
	return false, fmt.Errorf("%q is no boolean", s)
}
