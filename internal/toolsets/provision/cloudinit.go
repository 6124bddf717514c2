package provision

import (
	"cmp"
	"context"
	"path"
	"strconv"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/guestconfig"
	"github.com/pve-mcp/pve-mcp/internal/newguest"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pve"
)

// planCloudInit decides from what the VM learns user, keys and addresses: PVE's own drive, or a
// CD of ours, never both, since cloud-init takes one drive of the two by chance.
func (p *vmPlan) planCloudInit(ctx context.Context, c *tool.Call) error {
	address, fixed := "", false
	if len(p.nics) > 0 {
		address, fixed = p.nics[0].Fixed()
	}
	p.Address, p.User = address, cmp.Or(p.in.User, p.Source.User)
	asks := p.in.User != "" || len(p.in.SSHKeys) > 0 || fixed
	switch {
	case p.in.UserData == "" && !asks && !p.Source.Cloud:
		p.setNICs()
		return nil
	case p.in.UserData == "" && (fixed || p.Source.Agent || !p.Source.Cloud || !p.Run || p.WaitFor == "none"):
		p.setNICs()
		p.ownDrive()
		return nil
	}
	return p.planSeed(ctx, c)
}

func (p *vmPlan) setNICs() {
	for i, n := range p.nics {
		p.Config["net"+strconv.Itoa(i)] = n.OfVM()
	}
}

// ownDrive lets PVE's own drive tell cloud-init user, keys and addresses.
func (p *vmPlan) ownDrive() {
	if p.Source.Kind != fromTemplate {
		p.Config["ide2"] = p.Place.Storage + ":cloudinit"
		if p.ISO.Name != "" {
			p.Config["ide2"], p.Config["ide0"] = p.ISO.String()+",media=cdrom", p.Place.Storage+":cloudinit"
		}
	}
	if p.in.User != "" {
		p.Config["ciuser"] = p.in.User
	}
	if len(p.in.SSHKeys) > 0 {
		p.Config["sshkeys"] = guestconfig.EncodeKeys(strings.Join(p.in.SSHKeys, "\n"))
	}
	for i, n := range p.nics {
		p.Config["ipconfig"+strconv.Itoa(i)] = n.IPConfig()
	}
	if len(p.in.SSHKeys) == 0 && p.Source.Kind != fromTemplate {
		p.note("nobody can log in yet: neither ssh_keys nor user_data was given")
	}
}

// planSeed plans a CD for cloud-init.
func (p *vmPlan) planSeed(ctx context.Context, c *tool.Call) error {
	const write, remove = "Datastore.AllocateTemplate", "Datastore.Allocate"
	storage, ok := newguest.StoreFor(p.stores, p.perms, p.Place.Node, "iso", write, remove)
	p.Removes = ok
	if !ok {
		storage, ok = newguest.StoreFor(p.stores, p.perms, p.Place.Node, "iso", write)
	}
	if !ok && p.in.UserData == "" {
		p.setNICs()
		p.ownDrive()
		p.note("its address will not be known, unless its image has the guest agent: to install that, a CD is needed, and this token has Datastore.AllocateTemplate on no storage of %s for ISOs", p.Place.Node)
		p.WaitFor = "started"
		return nil
	}
	if !ok {
		return explain.Refusal("Grant it Datastore.AllocateTemplate on a storage for ISOs, or leave user_data out and give user and ssh_keys.",
			"user_data goes to the VM on a CD, and this token may put one on no storage of %s. Nothing was made.", p.Place.Node)
	}
	macs := newguest.UseMACs(c, p.nics)
	p.setNICs()
	var err error
	if p.Seed, err = seedOf(c.Unique("instance")[:16], p.in, p.in.UserData, p.nics, macs, strings.Fields(p.in.Set.Whole["nameserver"])); err != nil {
		return err
	}
	p.SeedAt = newguest.SeedVolume(storage, p.VMID, c.Unique("CD"))
	p.Drive = seedDrive
	p.Ejects = p.in.UserData == "" || p.Source.Agent || strings.Contains(p.in.UserData, "qemu-guest-agent")
	if !p.Ejects && p.Run {
		p.note("its agent is not expected, so nothing shows when it has booted: %s", p.removal())
		p.WaitFor = "started"
	}
	if p.in.UserData == "" {
		p.Chosens["cloud-init"] = "a CD that installs the guest agent, without which no address is known; taken out after the first boot"
	}
	if p.Ejects && p.Run && !p.Removes {
		p.note("the CD %s is taken out after the first boot, and stays on the storage, since this token lacks %s on /storage/%s; it may hold credentials: pvesm free %v as root on %s removes it", p.SeedAt, remove, storage, p.SeedAt, p.Place.Node)
	}
	if p.in.UserData == "" && len(p.in.SSHKeys) == 0 {
		p.note("nobody can log in yet: neither ssh_keys nor user_data was given")
	}
	return nil
}

// fileOf is the name of a file on a storage.
func fileOf(id pve.VolID) string { return path.Base(id.Name) }
