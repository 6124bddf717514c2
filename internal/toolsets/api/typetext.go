package api

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/pve/apischema"
)

// mostWords is how many words of an enumeration are named.
const mostWords = 10

// typeText describes in few words what a parameter takes.
func typeText(s *apischema.Schema) string {
	switch {
	case len(s.Enum) > 0:
		words := s.Enum
		if len(words) > mostWords {
			words = append(slices.Clone(words[:mostWords]), fmt.Sprintf("%d more", len(words)-mostWords))
		}
		return strings.Join(words, "|")
	case s.Format != nil && s.Format.Keys != nil:
		return "k=v,…: " + keysOf(s.Format.Keys)
	}
	text := map[string]string{"integer": "int", "boolean": "bool", "string": "text", "array": "list"}[s.Type]
	if text == "" {
		text = s.Type
	}
	if s.Format != nil && s.Format.Name != "" {
		text = s.Format.Name
	}
	return text + bounds(s)
}

func bounds(s *apischema.Schema) string {
	number := func(n float64) string { return strconv.FormatFloat(n, 'f', -1, 64) }
	switch {
	case s.Minimum != nil && s.Maximum != nil:
		return fmt.Sprintf(" %s..%s", number(*s.Minimum), number(*s.Maximum))
	case s.Minimum != nil:
		return " ≥" + number(*s.Minimum)
	case s.Maximum != nil:
		return " ≤" + number(*s.Maximum)
	case s.MaxLength != nil:
		return fmt.Sprintf(" ≤%d characters", *s.MaxLength)
	}
	return ""
}

// keysOf are the keys of a property string, the one without a name first.
func keysOf(keys map[string]*apischema.Schema) string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(keys)) {
		switch {
		case keys[name].Alias != "":
		case keys[name].DefaultKey:
			names = append([]string{"[" + name + "=]…"}, names...)
		default:
			names = append(names, name)
		}
	}
	if len(names) > mostWords {
		names = append(names[:mostWords], fmt.Sprintf("%d more", len(names)-mostWords))
	}
	return strings.Join(names, ",")
}

// examples are right values by format.
var examples = map[string]string{
	"pve-vmid": "100", "pve-node": "pve1", "pve-storage-id": "local", "pve-calendar-event": "02:00, or mon..fri 02:30", "pve-poolid": "prod",
	"pve-userid": "alice@pve", "pve-tokenid": "alice@pve!name", "pve-groupid": "admins", "pve-roleid": "PVEAuditor", "pve-realm": "pve",
	"pve-configid": "before-upgrade", "pve-volume-id": "local-zfs:vm-100-disk-0", "pve-storage-content": "iso", "pve-iface": "vmbr0",
	"CIDR": "10.0.0.0/24", "CIDRv4": "10.0.0.0/24", "ip": "10.0.0.5", "ipv4": "10.0.0.5", "ipv6": "fd00::5", "address": "nas.example.lan", "dns-name": "web-1",
	"mac-addr": "BC:24:11:00:00:01", "email": "admin@example.com", "pve-ha-resource-id": "vm:100", "pve-ha-resource-or-vm-id": "vm:100",
	"pve-fw-addr-spec": "10.0.0.0/24", "pve-fw-dport-spec": "443, or 8000:8100", "pve-fw-sport-spec": "443", "pve-fw-protocol-spec": "tcp",
	"pve-replication-job-id": "100-0", "pve-tag": "prod", "pve-priv": "VM.Audit", "pve-acme-domain": "pve1.example.com", "disk-size": "32G",
	"pve-bridge-id": "vmbr0", "IPorCIDR": "10.0.0.5", "IPorCIDRorAlias": "10.0.0.0/24", "storage-pair": "local-zfs", "bridge-pair": "vmbr0",
	"pve-storage-server": "nas.example.lan", "pve-storage-path": "/mnt/backup", "pve-startup-order": "order=1,up=30", "prune-backups": "keep-last=7",
}

// example is a right value of a parameter, by its own description: of its enumeration, in its
// bounds, or in its format.
func example(name string, s *apischema.Schema) string {
	switch {
	case len(s.Enum) > 0:
		return "one of " + render.List(s.Enum[:min(len(s.Enum), mostWords)])
	case s.Type == "boolean":
		return "1 or 0"
	case s.Format != nil && s.Format.Keys != nil:
		return "such as " + propertyExample(s.Format.Keys)
	case s.Format != nil:
		format := strings.TrimSuffix(strings.TrimSuffix(s.Format.Name, "-list"), "-opt")
		if value := examples[format]; value != "" {
			return "such as " + value
		}
	}
	switch s.Type {
	case "integer", "number":
		least := 1.0
		if s.Minimum != nil {
			least = *s.Minimum
		}
		if s.Maximum != nil {
			least = min(least, *s.Maximum)
		}
		return "a number" + bounds(s) + ", such as " + strconv.FormatFloat(least, 'f', -1, 64)
	case "array":
		return `a list, such as ["a","b"]`
	}
	if s.Pattern != "" {
		return "text of the form " + render.Text(s.Pattern, 80)
	}
	return "text" + bounds(s)
}

// propertyExample is a property string with what it must have.
func propertyExample(keys map[string]*apischema.Schema) string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(keys)) {
		s := keys[name]
		if s.Alias != "" || s.Optional && len(out) > 0 && !s.DefaultKey {
			continue
		}
		if s.Optional && !s.DefaultKey && len(keys) > 1 && slices.ContainsFunc(slices.Collect(maps.Values(keys)), func(k *apischema.Schema) bool { return !k.Optional && k.Alias == "" }) {
			continue
		}
		value := strings.TrimPrefix(example(name, s), "such as ")
		value, _, _ = strings.Cut(strings.TrimPrefix(value, "one of "), ",")
		switch {
		case s.Type == "boolean":
			value = "1"
		case s.Type == "integer" || s.Type == "number":
			_, value, _ = strings.Cut(value, "such as ")
			if value == "" {
				value = "1"
			}
		}
		out = append(out, name+"="+value)
	}
	return strings.Join(out[:min(3, len(out))], ",")
}
