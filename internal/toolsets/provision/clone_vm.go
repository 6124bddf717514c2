package provision

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/newguest"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/proxmox/lenient"
	"github.com/pve-mcp/pve-mcp/pve"
)

// planClone plans a VM that is a clone of a template.
func (p *vmPlan) planClone(ctx context.Context, c *tool.Call) error {
	g, s, err := c.Live(ctx, p.Source.Template)
	if err != nil {
		return err
	}
	if err := explain.Unlocked(g, s.Lock.Value); err != nil {
		return err
	}
	config, err := c.PVE.CurrentConfig(ctx, g)
	if err != nil {
		return err
	}
	p.Template = g
	if err := p.placeClone(ctx, c, config); err != nil {
		return err
	}
	said, err := newguest.CheckBridges(ctx, c.View, p.Place.Node, p.nics)
	if err != nil {
		return err
	}
	if said != "" {
		p.Chosens["bridge"] = said
	}
	p.resizeClone(config)
	if p.in.Cores > 0 {
		p.Config["cores"] = strconv.Itoa(p.in.Cores)
	}
	if p.memory > 0 {
		p.Config["memory"] = strconv.FormatInt(p.memory/mib, 10)
	}
	if len(p.in.Tags) > 0 {
		p.Config["tags"] = strings.Join(p.in.Tags, ";")
	}
	maps.Copy(p.Config, p.in.Set.Whole)
	p.Parts = p.in.Set.Parts
	if _, err := p.merged(config); err != nil {
		return err
	}
	if err := p.growClone(config); err != nil {
		return err
	}
	return p.cloneCloudInit(ctx, c, config)
}

// placeClone checks that the clone can be where it is wanted.
func (p *vmPlan) placeClone(ctx context.Context, c *tool.Call, config pve.GuestConfig) error {
	p.Place = newguest.Place{Node: p.Template.Node}
	if p.in.Storage != "" {
		p.Full, p.Place.Storage = true, p.in.Storage
		if !slices.ContainsFunc(p.stores, func(s cluster.Store) bool {
			return s.Storage.Value == p.in.Storage && s.Holds("images") && s.UsableOn(p.Template.Node)
		}) {
			return cluster.NoStorageError(p.in.Storage, p.stores)
		}
	}
	if p.in.Node == "" || p.in.Node == p.Template.Node {
		return nil
	}
	if _, err := c.OnlineNode(ctx, p.in.Node); err != nil {
		return err
	}
	for _, d := range config.Disks(pve.QEMU) {
		shared := slices.ContainsFunc(p.stores, func(s cluster.Store) bool { return s.Storage.Value == d.Volume.Storage && s.Shared.Value })
		if d.Volume.Storage != "" && !shared {
			return explain.Refusal(fmt.Sprintf("Leave node out, and move it afterwards with pve_migrate_guest; or pve_clone_guest with target: %q, which does both.", p.in.Node),
				"%s is on %s with disks of that node alone, so its clone cannot be made on %s. Nothing was made.", p.Source.Name, p.Template.Node, p.in.Node)
		}
	}
	p.Place.Node = p.in.Node
	return nil
}

// resizeClone gives NICs to the clone in the place of the template's.
func (p *vmPlan) resizeClone(config pve.GuestConfig) {
	for i, n := range p.nics {
		p.Config["net"+strconv.Itoa(i)] = n.OfVM()
	}
	for _, n := range config.NICs(pve.QEMU) {
		if at, err := strconv.Atoi(strings.TrimPrefix(n.Key, "net")); err == nil && len(p.nics) > 0 && at >= len(p.nics) {
			p.Unset = append(p.Unset, n.Key)
		}
	}
}

// growClone plans the disks: the first is grown, the others are new.
func (p *vmPlan) growClone(config pve.GuestConfig) error {
	if len(p.disks) == 0 {
		return nil
	}
	disks := slices.DeleteFunc(config.Disks(pve.QEMU), func(d pve.Disk) bool {
		return d.IsCDROM() || d.IsCloudInit() || d.Bus == "efidisk" || d.Bus == "tpmstate" || d.Bus == "unused"
	})
	if len(disks) == 0 {
		return explain.Refusal("Leave disks out.", "%s has no disk that could be grown. Nothing was made.", p.Source.Name)
	}
	first := disks[0]
	if order, ok := config.Values["boot"]; ok {
		for key := range strings.SplitSeq(strings.TrimPrefix(order, "order="), ";") {
			if i := slices.IndexFunc(disks, func(d pve.Disk) bool { return d.Key == key }); i >= 0 {
				first = disks[i]
				break
			}
		}
	}
	switch {
	case p.disks[0] < first.Size.Value:
		return explain.Refusal(fmt.Sprintf("Give at least %s, or leave disks out.", render.Bytes(first.Size.Value)),
			"The disk %s of %s has %s, and PVE shrinks none. Nothing was made.", first.Key, p.Source.Name, render.Bytes(first.Size.Value))
	case p.disks[0] > first.Size.Value:
		p.Grow, p.Boot = gibibytes(p.disks[0]), first.Key
	}
	storage := p.Place.Storage
	if storage == "" {
		storage = first.Volume.Storage
	}
	free := 1
	for _, size := range p.disks[1:] {
		for config.Values["scsi"+strconv.Itoa(free)] != "" {
			free++
		}
		p.Config["scsi"+strconv.Itoa(free)] = newDisk(storage, size)
		free++
	}
	return nil
}

// cloneCloudInit tells the clone user, keys and addresses by the drive that the template has,
// or by a CD in its place.
func (p *vmPlan) cloneCloudInit(ctx context.Context, c *tool.Call, config pve.GuestConfig) error {
	address := ""
	if len(p.nics) > 0 {
		address, _ = p.nics[0].Fixed()
	}
	p.Address, p.User = address, p.in.User
	if p.in.User == "" {
		p.User = config.Values["ciuser"]
	}
	p.unsetSeeds(config)
	switch {
	case p.in.UserData == "" && p.Source.Cloud:
		p.ownDrive()
		p.useDHCP(config)
		p.noteLogin(config)
		return nil
	case p.in.UserData == "" && !p.in.tellsCloudInit():
		return nil
	case p.in.UserData == "":
		return explain.Refusal("Leave user, ssh_keys and addresses out, or take a template with a cloud-init drive; pve_update_guest_config adds one to the template: ide2: STORAGE:cloudinit.",
			"%s has no cloud-init drive, by which its clone could learn user, keys or addresses. Nothing was made.", p.Source.Name)
	}
	for _, d := range config.Disks(pve.QEMU) {
		if d.IsCloudInit() {
			p.Unset = append(p.Unset, d.Key)
		}
	}
	return p.planSeed(ctx, c)
}

// noteLogin says who can log in, where the answer does not show it otherwise.
func (p *vmPlan) noteLogin(config pve.GuestConfig) {
	switch hasKeys := len(p.in.SSHKeys) > 0 || config.Values["sshkeys"] != ""; {
	case !hasKeys && config.Values["cipassword"] == "":
		p.note("nobody can log in yet, unless a login is inside the template: no ssh_keys were given, and it has neither keys nor a password for cloud-init")
	case p.User != "":
	case p.Source.User != "":
		p.note("the login is the default user of its image, which is usually %s: no user was given", p.Source.User)
	default:
		p.note("the login is the default user of its image: no user was given")
	}
}

// unsetSeeds takes CDs out of the clone that were made for the first boot of another VM.
func (p *vmPlan) unsetSeeds(config pve.GuestConfig) {
	for _, d := range config.Disks(pve.QEMU) {
		if _, isSeed := newguest.GuestOfSeed(d.Volume); isSeed {
			p.Unset = append(p.Unset, d.Key)
			p.note("the template has the CD %s of another VM's first boot in %s, and the clone has not", d.Volume, d.Key)
		}
	}
}

// useDHCP lets the NICs of the template have an address, if nobody has said which.
func (p *vmPlan) useDHCP(config pve.GuestConfig) {
	if len(p.nics) > 0 {
		return
	}
	for key, value := range newguest.DHCPFor(config) {
		if p.Config[key] == "" {
			p.Config[key] = value
		}
	}
}

// lenientType is the type of a storage.
func lenientType(stores []cluster.Store, name string) lenient.Opt[string] {
	return lenient.Some(cluster.StorageType(stores, name))
}
