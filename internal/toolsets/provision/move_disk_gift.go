package provision

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pve"
	"github.com/pve-mcp/pve-mcp/pve/apischema"
)

// planGift plans that another guest gets the disk.
func (p *movePlan) planGift(ctx context.Context, c *tool.Call) error {
	to, s, err := c.Live(ctx, p.To)
	if err != nil {
		return err
	}
	p.Receiver = fmt.Sprintf("%v (%s)", to, render.Text(s.Name.Value, 60))
	if err := explain.Unlocked(to, s.Lock.Value); err != nil {
		return err
	}
	if err := p.checkPair(to, s); err != nil {
		return err
	}
	if err := p.checkGift(); err != nil {
		return err
	}
	if err := cluster.RequirePrivilege(p.perms, "/vms/"+p.To.String(), "VM.Config.Disk"); err != nil {
		return err
	}
	if err := cluster.RequirePrivilege(p.perms, "/storage/"+p.Original.Storage, "Datastore.AllocateSpace"); err != nil {
		return err
	}
	theirs, err := c.PVE.CurrentConfig(ctx, to)
	if err != nil {
		return err
	}
	p.ToDigest = theirs.Digest
	if p.ToDisk, err = p.chooseKey(theirs); err != nil {
		return err
	}
	if err := p.checkMount(theirs); err != nil {
		return err
	}
	p.sayGift()
	return nil
}

// checkPair returns an error if the other guest cannot get a disk of this one.
func (p *movePlan) checkPair(to pve.GuestRef, s pve.GuestStatus) error {
	switch {
	case to.Kind != p.Guest.Kind:
		return explain.Refusal("Copy what is in it, from inside of the guests.", "%s and %s are not of one kind, and PVE moves no disk from a VM to a container or back. Nothing was sent.", p.Who, p.Receiver)
	case p.status.Template.Value || s.Template.Value:
		return explain.Refusal("Clone the template with pve_clone_guest.", "PVE moves no disk from or to a template. Nothing was sent.")
	case to.Node != p.Guest.Node:
		return explain.Refusal(fmt.Sprintf(`Move one of them first: pve_migrate_guest {"vmid":%v,"target":%q}.`, p.To, p.Guest.Node),
			"%s is on %s and %s on %s, and PVE moves a disk only between guests of one node. Nothing was sent.", p.Who, p.Guest.Node, p.Receiver, to.Node)
	}
	return nil
}

// checkGift returns an error if the disk cannot leave its guest.
func (p *movePlan) checkGift() error {
	switch {
	case p.Disk == "rootfs":
		return explain.Refusal("Clone the container with pve_clone_guest, or move a mount point.", "The root of a container cannot be given to another one. Nothing was sent.")
	case p.disk.IsCloudInit():
		return explain.Refusal("Add one there: pve_update_guest_config, set {\"ide2\": \"STORAGE:cloudinit\"}.", "%s of %s is its cloud-init drive, which PVE makes for it alone. Nothing was sent.", p.Disk, p.Who)
	case p.snapshots != nil:
		return explain.Refusal(fmt.Sprintf(`Delete them first, which loses those states: pve_delete_snapshot {"vmid":%v,"snapname":%q}; or clone the guest.`, p.VMID, p.snapshots[0]),
			"Snapshots of %s need %s: %s. PVE gives no such disk to another guest; nothing was sent.", p.Who, p.Disk, render.List(p.snapshots))
	case p.status.Status != "stopped" && p.disk.Bus != "unused":
		return explain.Refusal(fmt.Sprintf(`Shut it down first: pve_guest_power {"vmid":%v,"action":"shutdown"}; or detach the disk with pve_update_guest_config.`, p.VMID),
			"%s is %s and has %s attached, so it cannot be given away. Nothing was sent.", p.Who, p.status.State(), p.Disk)
	}
	return nil
}

// mostOfBus is the highest number of a key.
var mostOfBus = map[string]int{"ide": 3, "sata": 5, "scsi": 30, "virtio": 15, "unused": 255, "mp": 255, "efidisk": 0, "tpmstate": 0}

// chooseKey returns the key of the disk in the guest that gets it.
func (p *movePlan) chooseKey(theirs pve.GuestConfig) (string, error) {
	wanted := cmp.Or(p.ToDisk, p.Disk)
	bus := strings.TrimRight(wanted, "0123456789")
	free := ""
	for n := 0; n <= mostOfBus[bus] && free == ""; n++ {
		if key := bus + strconv.Itoa(n); theirs.Values[key] == "" {
			free = key
		}
	}
	next := "Free a key there first, or name one of another kind with target_disk."
	if free != "" {
		next = fmt.Sprintf("Leave target_disk out, or give %s, which is free.", free)
	}
	switch {
	case !pve.IsDiskKey(p.Guest.Kind, wanted) || wanted == "rootfs":
		return "", tool.BadArgument("target_disk", fmt.Sprintf("is %q; give the key of a disk, such as scsi1 or mp0", render.Text(wanted, 40)))
	case p.Guest.Kind == pve.LXC && p.disk.Bus == "unused" && bus != "unused":
		return "", explain.Refusal("Leave target_disk out, then attach it there with pve_update_guest_config: set {\"mp0\": \"VOLUME,mp=/path\"}.",
			"A detached volume of a container stays detached in another one. Nothing was sent.")
	case theirs.Values[wanted] == "":
		return wanted, nil
	case p.ToDisk == "" && free != "":
		return free, nil
	}
	return "", explain.Refusal(next, "%s has something as %s already. Nothing was sent.", p.Receiver, wanted)
}

// checkMount returns an error if both volumes of a container would be at one path.
func (p *movePlan) checkMount(theirs pve.GuestConfig) error {
	if p.disk.Mount == "" || strings.HasPrefix(p.ToDisk, "unused") {
		return nil
	}
	for _, d := range theirs.Disks(p.Guest.Kind) {
		if d.Mount == p.disk.Mount {
			return explain.Refusal("Give target_disk: unused0, then attach it there at another path with pve_update_guest_config.",
				"%s has a volume at %s already (%s). Nothing was sent.", p.Receiver, render.Text(d.Mount, 100), d.Key)
		}
	}
	return nil
}

// sayGift says what each of the guests loses and gets.
func (p *movePlan) sayGift() {
	what := render.Text(p.Original.String(), 200)
	if p.disk.Size.Set {
		what += ", " + render.Bytes(p.Size)
	}
	p.say("%s loses %s (%s), with all that is on it", p.Who, p.Disk, what)
	order := apischema.SplitList(strings.TrimPrefix(p.config.Values["boot"], "order="))
	switch {
	case slices.Contains(order, p.Disk) || p.config.Values["bootdisk"] == p.Disk:
		p.say("%s boots from %s, and will not start without it", p.Who, p.Disk)
	case p.disk.Bus == "efidisk":
		p.say("the settings of its firmware go with it, such as what it boots")
	case p.disk.Bus == "tpmstate":
		p.say("the keys in its TPM go with it: what is encrypted by them cannot be read without it")
	}
	p.say("%s gets it as %s", p.Receiver, p.ToDisk)
}
