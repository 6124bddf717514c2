package guests

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/change"
	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/guestconfig"
	"github.com/pve-mcp/pve-mcp/internal/newguest"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
)

// configures reports whether the clone is to differ from the original.
func (in cloneState) configures() bool {
	return in.Configured || !in.Set.IsZero() || len(in.AddTags) > 0
}

// checkSettings refuses settings that PVE would refuse once the clone is made, or that a clone
// cannot have.
func (in cloneState) checkSettings(ctx context.Context, c *tool.Call, g pve.GuestRef) error {
	if !in.configures() {
		return nil
	}
	given := in.Set.Text()
	if err := guestconfig.Check(given); err != nil {
		return err
	}
	_, config, err := c.CurrentConfig(ctx, in.VMID)
	if err != nil {
		return err
	}
	for _, key := range slices.Sorted(maps.Keys(given)) {
		problem := ""
		switch _, whole := in.Set.Whole[key]; {
		case guestconfig.RootOnly(key):
			problem = "which PVE lets root@pam alone set"
		case key == "name" || key == "hostname":
			problem = "which the argument name gives"
		case key == "template":
			problem = "which pve_make_template does"
		case whole && pve.IsDiskKey(g.Kind, key) && config.Values[key] != "" && !pve.DiskOf(g.Kind, key, config.Values[key]).IsCDROM():
			problem = "which would take that disk from the clone; pve_resize_disk grows it, and an object changes its options"
		}
		if problem != "" {
			return tool.BadArgument("set", fmt.Sprintf("has %q, %s", render.Text(key, 60), problem))
		}
	}
	wanted, err := in.wanted(g.Kind, config)
	if err != nil {
		return err
	}
	lists := map[string][]string{}
	for key, value := range wanted {
		if _, given := in.Set.Whole[key]; given { // of the others, the clone has copies
			lists[key] = []string{value}
		}
	}
	if foreign := policy.Foreign(int(in.NewID), lists); policy.Lend(foreign) {
		return explain.Refusal("Give the clone a new disk (STORAGE:SIZE), or move one to it afterwards with pve_move_disk.",
			"%s names %s, which is not the clone's. Nothing was sent.", foreign[0].Key, render.Text(foreign[0].Source, 100))
	}
	return in.checkBridges(ctx, c, g, wanted)
}

// checkBridges returns an error if the node of the clone has no bridge that the settings name.
func (in cloneState) checkBridges(ctx context.Context, c *tool.Call, g pve.GuestRef, wanted tool.Values) error {
	var nics []newguest.NIC
	for key, value := range wanted {
		if bridge := pve.NICOf(g.Kind, key, value).Bridge; pve.IsNICKey(key) && bridge != "" {
			nics = append(nics, newguest.NIC{Bridge: bridge})
		}
	}
	_, err := newguest.CheckBridges(ctx, c.View, cmp.Or(in.Target, in.Source), nics)
	return err
}

// wanted are the settings as whole values, over what the clone has.
func (in cloneState) wanted(kind pve.Kind, config pve.GuestConfig) (tool.Values, error) {
	out, err := guestconfig.Merge(kind, in.Set, func(key string) string { return config.Values[key] })
	if err != nil {
		return nil, err
	}
	if _, err := guestconfig.Understand(kind, out); err != nil {
		return nil, err
	}
	if len(in.AddTags) > 0 {
		tags, given := out["tags"]
		if !given {
			tags = config.Values["tags"]
		}
		all := pve.SplitTags(tags)
		for _, tag := range in.AddTags {
			if !slices.Contains(all, tag) {
				all = append(all, tag)
			}
		}
		out["tags"] = strings.Join(all, ";")
	}
	return out, nil
}

// useDHCP lets the clone of a template have an address, for which the call waits, if neither
// names any.
func (in *cloneState) useDHCP(ctx context.Context, c *tool.Call) error {
	_, config, err := c.View.CurrentConfig(ctx, in.VMID)
	if err != nil || !slices.ContainsFunc(config.Disks(pve.QEMU), pve.Disk.IsCloudInit) {
		return err
	}
	given, missing := in.Set.Text(), newguest.DHCPFor(config)
	isGiven := func(key string) bool { _, ok := given[key]; return ok }
	if len(missing) == 0 || len(missing) < len(config.NICs(pve.QEMU)) || slices.ContainsFunc(slices.Collect(maps.Keys(missing)), isGiven) {
		return nil
	}
	maps.Copy(missing, in.Set.Whole)
	in.Set.Whole, in.ByDHCP = missing, true
	return nil
}

// sayDHCP says that the clone asks DHCP for its address, in a clause; "" if it does not.
func (in cloneState) sayDHCP() string {
	if !in.ByDHCP {
		return ""
	}
	return ", which names no address, so it asks DHCP for one"
}

func (in cloneState) configureStep() change.Step[cloneState] {
	about := fmt.Sprintf("Configuration of the clone %v", in.NewID)
	if in.ByDHCP {
		about += ", with addresses by DHCP"
	}
	return change.Step[cloneState]{
		About: about, Guest: in.NewID, Task: "config",
		Send: configureClone, Done: cloneIsConfigured,
		Rest: fmt.Sprintf("Then configure the clone with pve_update_guest_config: vmid %v.", in.NewID),
	}
}

// configureClone changes the clone. The settings are cleared then, so that no handle holds a
// password.
func configureClone(ctx context.Context, c *tool.Call, in *cloneState) (change.Job, error) {
	_, upid, err := cluster.AtGuest(ctx, c.View, in.NewID, func(g pve.GuestRef) (proxmox.UPID, error) {
		config, err := c.PVE.GuestConfig(ctx, g)
		if err != nil {
			return proxmox.UPID{}, err
		}
		set, err := in.wanted(g.Kind, config)
		if err != nil {
			return proxmox.UPID{}, err
		}
		return guestconfig.Start(ctx, c, g, pve.ConfigChange{Set: guestconfig.Params(set), Digest: config.Digest})
	})
	if err == nil {
		in.Set, in.AddTags, in.Configured = tool.Settings{}, nil, true
	}
	return change.Job{UPID: upid}, err
}

// cloneIsConfigured reports whether the clone has the settings, which a container gets without
// a task.
func cloneIsConfigured(ctx context.Context, c *tool.Call, in cloneState) (bool, error) {
	g, config, err := c.CurrentConfig(ctx, in.NewID)
	var none *pve.NoGuestError
	if errors.As(err, &none) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	wanted, err := in.wanted(g.Kind, config)
	for key, value := range wanted {
		if !alike(key, config.Values[key], value) {
			return false, nil
		}
	}
	return err == nil, err
}
