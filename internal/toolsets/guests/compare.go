package guests

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pve"
)

// compare finds the keys that read the same after a change that PVE accepted. If PVE may have
// written a value in another form, the answer only warns.
func (in updateState) compare(out *updateOut, g pve.GuestRef, now map[string]pve.PendingValue) {
	untouched := in.Digest != "" && in.Digest == out.Digest
	unchanged := func(key string) bool {
		was, known := in.Before[key]
		return untouched || known && was.Value == now[key].Value && was.Pending == now[key].Pending && was.Delete == now[key].Delete
	}
	var differs []string
	certain := untouched
	for _, key := range slices.Sorted(maps.Keys(in.Set)) {
		is := now[key].Value.Value
		if now[key].Pending.Set {
			is = now[key].Pending.Value
		}
		if !unchanged(key) || alike(key, is, in.Set[key]) {
			continue
		}
		differs = append(differs, fmt.Sprintf("%s is %s, not %s", key, orNothing(shown(key, is)), shown(key, in.Set[key])))
		certain = certain && !strings.ContainsAny(is+in.Set[key], ",=:\n")
	}
	for _, key := range in.Delete {
		if now[key].Value.Set && now[key].Delete.Value == 0 && unchanged(key) {
			differs = append(differs, key+" is still there")
		}
	}
	outcome := tool.Warnings
	if certain {
		outcome = tool.Failed
	}
	if differs != nil {
		out.SetOutcome(outcome, "Read it with pve_guest_config before you try again.", "PVE accepted the change, but the configuration of %v reads as before: %s.", g, render.List(differs))
	}
}

func orNothing(value string) string {
	if value == "" {
		return "not set"
	}
	return value
}

// alike reports whether two values of a key mean the same to PVE.
func alike(key, a, b string) bool {
	switch {
	case a == b:
		return true
	case key == "tags":
		sorted := func(tags string) []string { return slices.Sorted(slices.Values(pve.SplitTags(strings.ToLower(tags)))) }
		return slices.Equal(sorted(a), sorted(b))
	}
	plain := func(v string) string {
		v = strings.TrimSpace(v)
		switch strings.ToLower(v) {
		case "yes", "on", "true":
			return "1"
		case "no", "off", "false":
			return "0"
		}
		parts := strings.Split(v, ",")
		slices.Sort(parts)
		return strings.Join(parts, ",")
	}
	return plain(a) == plain(b)
}
