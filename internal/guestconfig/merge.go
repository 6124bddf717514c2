// Package guestconfig writes settings of a guest as PVE takes them.
package guestconfig

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pve"
)

// Merge returns settings as whole values: the parts that they change are written over what the
// guest has now under their key. The error is about the argument set.
func Merge(kind pve.Kind, set tool.Settings, now func(key string) string) (tool.Values, error) {
	out := tool.Values{}
	maps.Copy(out, set.Whole)
	for _, key := range slices.Sorted(maps.Keys(set.Parts)) {
		value, err := mergeOne(kind, key, now(key), set.Parts[key])
		if err != nil {
			return nil, tool.BadArgument("set", fmt.Sprintf("has %q: %s", key, render.Text(err.Error(), 200)))
		}
		out[key] = value
	}
	for key, value := range out {
		if kind == pve.LXC && pve.IsNICKey(key) {
			out[key] = named(key, value)
		}
	}
	return out, nil
}

// defaultKeys are those of the parts that PVE writes without a key, by the key of the
// configuration without its number.
var defaultKeys = map[string]string{
	"agent": "enabled", "audio": "device", "cpu": "cputype", "hostpci": "host", "memory": "current", "rng": "source", "usb": "host", "vga": "type", "watchdog": "model",
}

func mergeOne(kind pve.Kind, key, now string, parts tool.Values) (string, error) {
	bus := strings.TrimRight(key, "0123456789")
	first := defaultKeys[bus]
	switch {
	case key == "tags":
		return mergeTags(now, parts)
	case pve.IsDiskKey(kind, key):
		first = pve.SourceKey(kind)
	case kind == pve.QEMU && pve.IsNICKey(key):
		return mergeNIC(key, now, parts)
	}
	return write(pve.ParseProperty(now, first), parts)
}

// mergeTags adds the tags that are on to those of a guest, and takes out the others.
func mergeTags(now string, parts tool.Values) (string, error) {
	tags := pve.SplitTags(now)
	for _, tag := range slices.Sorted(maps.Keys(parts)) {
		tags = slices.DeleteFunc(tags, func(has string) bool { return has == tag })
		switch parts[tag] {
		case "1":
			tags = append(tags, tag)
		case "", "0":
		default:
			return "", fmt.Errorf("the tag %s is on (1) or off (0), not %s", tag, parts[tag])
		}
	}
	return strings.Join(tags, ";"), nil
}

// mergeNIC writes parts over a NIC of a VM, which keeps its address, although PVE writes model
// and address as one.
func mergeNIC(key, now string, parts tool.Values) (string, error) {
	n := pve.NICOf(pve.QEMU, key, now)
	p := pve.ParseProperty(now, "model")
	parts = maps.Clone(parts)
	for _, name := range slices.Sorted(maps.Keys(parts)) {
		if mac := parts[name]; IsModel(name) { // e1000: ADDRESS
			delete(parts, name)
			parts["model"] = name
			if mac != "" {
				parts["macaddr"] = mac
			}
		}
	}
	if _, given := parts["model"]; given || parts["macaddr"] != "" {
		if n.Model != "" {
			p.Delete(n.Model)
		}
		p.Delete("model")
		p.Delete("macaddr")
		for name, is := range map[string]string{"model": n.Model, "macaddr": n.MAC} {
			if parts[name] == "" && is != "" {
				parts[name] = is
			}
		}
	}
	return write(p, parts)
}

// IsModel reports whether a name is that of a card that a VM can have as its NIC.
func IsModel(name string) bool {
	return slices.Contains([]string{"virtio", "e1000", "e1000e", "rtl8139", "vmxnet3"}, name)
}

// write writes parts into a property string.
func write(p pve.Property, parts tool.Values) (string, error) {
	for _, name := range slices.Sorted(maps.Keys(parts)) {
		if parts[name] == "" {
			p.Delete(name)
			continue
		}
		if err := p.Set(name, parts[name]); err != nil {
			return "", err
		}
	}
	return p.String(), nil
}

// named gives the NIC of a container its name, if it has none.
func named(key, value string) string {
	p := pve.ParseProperty(value, "")
	if _, ok := p.Get("name"); ok || value == "" {
		return value
	}
	return "name=eth" + strings.TrimPrefix(key, "net") + "," + value
}
