package backups

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/coverage"
	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/render"
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
	stores, err := c.Stores(ctx)
	if err != nil {
		return err
	}
	stores = slices.DeleteFunc(slices.Clone(stores), func(s cluster.Store) bool { return !s.Holds("backup") })
	found, unseen, err := backups(ctx, c, stores, in.Source)
	if err != nil {
		return err
	}
	unseen = append(hidden(perms, stores, ""), unseen...)
	node, kind := in.Node, ""
	whose := fmt.Sprintf("guest %v, which is not there or cannot be seen", in.Source)
	if g, err := c.Guest(ctx, in.Source); err == nil {
		kind, whose = g.Type, fmt.Sprintf("%v (%s)", g.Ref(), render.Text(g.Name.Value, 60))
	}
	if in.Overwrite {
		if g, err := c.Guest(ctx, in.VMID); err == nil {
			node = g.Node.Value
		}
	}
	var passed []string
	for _, s := range found {
		b := coverage.BackupOf(s.Volume, s.on)
		why := reasonPassed(b, s, kind, node)
		label := fmt.Sprintf("%s, made %s", render.Text(b.Volume.String(), 200), render.Time(b.Made))
		if why != "" {
			passed = append(passed, label+": "+why)
			continue
		}
		in.Archive = b.Volume
		if b.Node != "" && in.Node == "" && !in.Overwrite {
			in.Node = b.Node
		}
		in.note("the backup is %s, the newest good one of %s%s", label, whose, verification(b))
		in.noteAll("a newer one was passed over: ", passed)
		in.noteAll("a newer one may be there: ", unseen)
		return nil
	}
	next := "pve_list_backups shows what there is."
	if len(unseen) > 0 {
		next = "What is not seen: " + render.Text(strings.Join(unseen, "; "), 600) + "."
	}
	if passed != nil {
		return explain.Refusal("To restore one of them all the same, give it as archive. "+next, "No backup of %s is good that can be restored here: %s. Nothing was sent.", whose, render.Text(strings.Join(passed, "; "), 800))
	}
	return explain.Refusal(next, "There is no backup of %s that this token can see. Nothing was sent.", whose)
}

// reasonPassed says why a backup is not taken, "" if it is.
func reasonPassed(b coverage.Backup, s stored, kind, node string) string {
	switch {
	case b.Verified == "failed":
		return "it failed its verification"
	case b.Unfinished:
		return "it is not finished"
	case kind != "" && b.Kind != "unknown" && b.Kind != kind:
		return "it is of another guest, which had the id before"
	case node != "" && !slices.Contains(s.on.Nodes, node):
		return node + " does not reach it"
	}
	return ""
}

// verification says what is known of a good backup on a server.
func verification(b coverage.Backup) string {
	switch {
	case b.Verified == "ok":
		return " (verified)"
	case b.OnServer:
		return " (never verified)"
	}
	return ""
}

// mostPassed is how many backups are named that were passed over.
const mostPassed = 5

func (in *restoreState) noteAll(what string, all []string) {
	for _, one := range all[:min(mostPassed, len(all))] {
		in.note("%s%s", what, one)
	}
	if more := len(all) - mostPassed; more > 0 {
		in.note("%s%d more", what, more)
	}
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
