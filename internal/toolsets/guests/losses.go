package guests

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/guestconfig"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/lazyregexp"
	"github.com/pve-mcp/pve-mcp/pve"
	"github.com/pve-mcp/pve-mcp/pve/apischema"
)

var unusedRE = lazyregexp.New(`^unused\d+$`)

// destroys reports whether the removal of a key removes data.
func destroys(key string) bool { return unusedRE.MatchString(key) || key == "vmstate" }

// makesTemplate reports whether the guest becomes a template.
func (in updateState) makesTemplate() bool {
	value := in.Set["template"]
	return value != "" && value != "0"
}

// namesOthers reports whether the change names a volume of another or of an unknown guest.
func (in updateState) namesOthers() bool {
	return slices.ContainsFunc(slices.Collect(maps.Keys(in.Set)), func(key string) bool {
		value, _, _ := guestconfig.InGiB(pve.QEMU, key, in.Set[key]) // a new disk's size may have a unit
		return policy.Lend(policy.Foreign(int(in.VMID), map[string][]string{key: {value}}))
	})
}

// runs reports whether the guest is running. It asks only if the change depends on it.
func (in *update) runs(ctx context.Context, c *tool.Call, kind pve.Kind) (bool, error) {
	matters := func(key string) bool {
		value := in.before[key].Value.Value
		switch {
		case value == "" || !pve.IsDiskKey(kind, key) || unusedRE.MatchString(key):
			return false
		case slices.Contains(in.Delete, key):
			return !in.Force && !pve.DiskOf(kind, key, value).IsCDROM()
		}
		return in.replaces(kind, key) && in.reasonKept(ctx, c, kind, key) != ""
	}
	if !slices.ContainsFunc(slices.Concat(in.Delete, slices.Collect(maps.Keys(in.Set))), matters) {
		return false, nil
	}
	_, s, err := c.Live(ctx, in.VMID)
	return s.Status == "running", err
}

// losses lists what the change destroys or exposes.
func (in *update) losses(ctx context.Context, c *tool.Call, kind pve.Kind, runs bool) []string {
	var out []string
	for _, key := range in.Delete {
		if loss := in.lossWithout(ctx, c, kind, key, runs); loss != "" {
			out = append(out, loss)
		}
	}
	now := func(key string) string { return in.before[key].Value.Value }
	if now("protection") == "1" && (slices.Contains(in.Delete, "protection") || in.Set["protection"] == "0") {
		out = append(out, "its protection against removal ends")
	}
	if in.makesTemplate() && now("template") != "1" {
		out = append(out, "it becomes a template, which cannot run and cannot become a guest again")
	}
	for _, key := range slices.Sorted(maps.Keys(in.Set)) {
		if in.replaces(kind, key) && (runs || in.reasonKept(ctx, c, kind, key) == "") {
			out = append(out, fmt.Sprintf("the disk %s (%s) is replaced by another volume, and detached", key, render.Text(now(key), 100)))
		}
	}
	return out
}

// lossWithout says what the removal of a key destroys, or takes from a guest that needs it; ""
// for nothing.
func (in *update) lossWithout(ctx context.Context, c *tool.Call, kind pve.Kind, key string, runs bool) string {
	value := in.before[key].Value.Value
	disk, now := pve.IsDiskKey(kind, key), render.Text(value, 100)
	kept := in.reasonKept(ctx, c, kind, key)
	switch {
	case key == "vmstate":
		return "the suspended state is discarded: the VM will boot from scratch"
	case !disk || value == "":
		return ""
	case kept != "" && (in.Force || unusedRE.MatchString(key)):
		return fmt.Sprintf("%s (%s) is only detached: %s", key, now, kept)
	case unusedRE.MatchString(key):
		return fmt.Sprintf("the detached volume %s (%s) is destroyed", key, now)
	case in.Force:
		return fmt.Sprintf("the disk %s (%s) is destroyed", key, now)
	case pve.DiskOf(kind, key, value).IsCDROM():
		return ""
	case runs:
		return fmt.Sprintf("the disk %s (%s) is detached while the guest runs", key, now)
	case kept == "" && in.boots(key):
		return fmt.Sprintf("the disk %s (%s), from which it boots, is detached", key, now)
	}
	return ""
}

// reasonKept says why PVE keeps the volume when its key is removed; "" if it is destroyed.
func (in *update) reasonKept(ctx context.Context, c *tool.Call, kind pve.Kind, key string) string {
	return c.ReasonKept(ctx, in.VMID, pve.DiskOf(kind, key, in.before[key].Value.Value))
}

// boots reports whether the guest boots from a disk.
func (in *update) boots(key string) bool {
	order := strings.TrimPrefix(in.before["boot"].Value.Value, "order=")
	return in.before["bootdisk"].Value.Value == key || slices.Contains(apischema.SplitList(order), key)
}

// replaces reports whether another volume takes the place of a disk with data.
func (in *update) replaces(kind pve.Kind, key string) bool {
	before, after := in.before[key].Value.Value, in.Set[key]
	if before == "" || after == "" || !pve.IsDiskKey(kind, key) {
		return false
	}
	old, next := pve.DiskOf(kind, key, before), pve.DiskOf(kind, key, after)
	return !old.IsCDROM() && !old.IsCloudInit() && old.Source != next.Source
}
