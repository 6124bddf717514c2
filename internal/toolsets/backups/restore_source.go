package backups

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/storedbackups"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pve"
)

// chooseArchive takes the newest good backup of the guest that the caller has named, and notes
// which it is and which newer ones it has passed over.
func (in *restoreState) chooseArchive(ctx context.Context, c *tool.Call, perms pve.Permissions) error {
	switch none := (pve.VolID{}); {
	case in.Source == 0 && in.Archive == none:
		return tool.BadArgument("archive", "is needed, as pve_list_backups has it; or source_guest, whose newest good backup is taken")
	case in.Source == 0:
		return nil
	case in.Archive != none:
		return tool.BadArgument("source_guest", "chooses the backup; leave archive out")
	}
	wanted := in.Node
	if in.Overwrite {
		if g, err := c.Guest(ctx, in.VMID); err == nil {
			wanted = g.Node.Value
		}
	}
	b, notes, err := storedbackups.NewestGood(ctx, c, perms, in.Source, func(on cluster.Store) string {
		if wanted != "" && !slices.Contains(on.Nodes, wanted) {
			return wanted + " does not reach it"
		}
		return ""
	})
	if err != nil {
		return err
	}
	in.Archive = b.Volume
	if b.Node != "" && in.Node == "" && !in.Overwrite {
		in.Node = b.Node
	}
	in.Notes = append(in.Notes, notes...)
	return nil
}

// checkTwin notes what the guest would share with its original, which still exists. The error
// says that both would run with one address.
func (in *restoreState) checkTwin(ctx context.Context, c *tool.Call) (warnings []string, err error) {
	g, err := c.Guest(ctx, in.Original)
	if err != nil || in.VMID == in.Original || g.Type != string(in.Kind) {
		return nil, nil
	}
	label := fmt.Sprintf("%v (%s)", g.Ref(), render.Text(g.Name.Value, 60))
	if !in.Unique {
		warnings = append(warnings, fmt.Sprintf("it has the MAC addresses of %s, which still exists: do not run both in one network; unique: true makes new ones", label))
	}
	if in.Disconnect {
		return warnings, nil
	}
	config, err := c.PVE.BackupConfig(ctx, in.Node, in.Archive)
	if err != nil {
		in.note("whether it has a fixed address that %s has as well is not known: %s", label, c.Explain(err).What)
		return warnings, nil
	}
	fixed := fixedAddresses(in.Kind, config)
	switch {
	case fixed == nil:
		return warnings, nil
	case in.Run && g.Status.Value == "running":
		return nil, explain.Refusal("Give disconnect_nics: true, so that it starts without a network; or leave start out, and give it another address first with pve_update_guest_config.",
			"The copy would start with the fixed address %s of %s, which runs. Nothing was sent.", render.List(fixed), label)
	}
	return append(warnings, fmt.Sprintf("it has the fixed address %s of %s, which still exists: change it with pve_update_guest_config before both run", render.List(fixed), label)), nil
}

// fixedAddresses are those that a configuration gives to the guest: a container's own, and what
// cloud-init tells a VM.
func fixedAddresses(kind pve.Kind, config pve.GuestConfig) []string {
	var out []string
	add := func(ip string) {
		if p, err := netip.ParsePrefix(ip); err == nil {
			out = append(out, p.Addr().String())
		}
	}
	for _, n := range config.NICs(kind) {
		c := n.IPConfig
		if kind == pve.QEMU {
			c, _ = pve.IPConfigOf(config.Values["ipconfig"+strings.TrimPrefix(n.Key, "net")])
		}
		add(c.IP)
		add(c.IP6)
	}
	return out
}
