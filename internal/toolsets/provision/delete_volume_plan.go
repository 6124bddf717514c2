package provision

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/change"
	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pve"
)

// mostVolumes is how many volumes one consent may be about.
const mostVolumes = 50

// kinds say what a volume is, by its content.
var kinds = map[string]string{
	"iso": "an ISO", "import": "an image to import", "vztmpl": "a container template", "backup": "a backup", "images": "a disk", "rootdir": "a disk of a container", "snippets": "a snippet",
}

// found is a volume with where it is.
type found struct {
	pve.Volume
	node string
	on   cluster.Store
}

// removePlan is a deletion of volumes while it is planned.
type removePlan struct {
	removeState
	in      removeIn
	perms   pve.Permissions
	chosen  []found
	content map[string][]found // of a storage on a node
	uses    uses
	lines   []string
}

func planRemove(ctx context.Context, c *tool.Call, in removeIn) (change.Plan, removeState, error) {
	p := removePlan{in: in, content: map[string][]found{}}
	var err error
	if p.perms, err = c.PVE.PermissionsWithGaps(ctx); err != nil {
		return change.Plan{}, p.removeState, err
	}
	if in.KeepNewest != nil {
		err = p.chooseOld(ctx, c)
	} else {
		err = p.chooseNamed(ctx, c)
	}
	if err != nil {
		return change.Plan{}, p.removeState, err
	}
	if len(p.chosen) == 0 {
		return change.Plan{
			Subject: policy.Subject{Kind: policy.StorageKind, ID: in.Storage}, About: "Deletion of old backups", ReadOnly: true,
			Already: fmt.Sprintf("Nothing was deleted: no backup of %v on %s is older than its %d newest.", in.VMID, render.Text(in.Storage, 60), *in.KeepNewest),
		}, p.removeState, nil
	}
	if len(p.chosen) > mostVolumes {
		return change.Plan{}, p.removeState, explain.Refusal("Make it several calls.", "%d volumes are too many for one consent, which may be about %d. Nothing was sent.", len(p.chosen), mostVolumes)
	}
	if err := p.judge(ctx, c); err != nil {
		return change.Plan{}, p.removeState, err
	}
	plan := change.Plan{About: p.Remove[0].about(), Consequences: p.lines, Subject: volumeSubject(p.Remove[0].Volume)}
	if n := len(p.Remove); n > 1 {
		plan.About = fmt.Sprintf("Deletion of %d volumes", n)
		plan.Later = "If the call ends before the last, those that are left stay."
	}
	for _, r := range p.Remove {
		plan.Also = append(plan.Also, volumeSubject(r.Volume))
	}
	return plan, p.removeState, nil
}

func volumeSubject(id pve.VolID) policy.Subject {
	return policy.Subject{Kind: policy.VolumeKind, ID: id.String()}
}

// chooseNamed finds the volumes that the caller has named.
func (p *removePlan) chooseNamed(ctx context.Context, c *tool.Call) error {
	switch {
	case len(p.in.Volumes) == 0:
		return tool.BadArgument("volumes", "is needed, such as [\"local:iso/debian-12.iso\"]; or keep_newest with vmid and storage")
	case p.in.VMID != 0 || p.in.Storage != "":
		return tool.BadArgument("volumes", "names the volumes whole; vmid and storage are for keep_newest")
	}
	for _, text := range p.in.Volumes {
		id, err := pve.ParseVolID(text)
		if err != nil {
			return tool.BadArgument("volumes", fmt.Sprintf("has %q; give whole volids, such as local:iso/debian-12.iso", render.Text(text, 100)))
		}
		if slices.ContainsFunc(p.chosen, func(f found) bool { return f.VolID == id }) {
			continue
		}
		list, err := p.on(ctx, c, id.Storage)
		if err != nil {
			return err
		}
		list = slices.DeleteFunc(slices.Clone(list), func(f found) bool { return f.VolID != id })
		switch len(list) {
		case 0:
			return explain.Refusal("pve_storage_content lists what is there.", "There is no volume %s, or this token may not see it. Nothing was sent.", render.Text(id.String(), 100))
		case 1:
			p.chosen = append(p.chosen, list[0])
		default:
			var nodes []string
			for _, f := range list {
				nodes = append(nodes, f.node)
			}
			return explain.Refusal(fmt.Sprintf("Name one, such as node: %q.", nodes[0]), "%s is on each of %s, as another volume on each. Nothing was sent.", render.Text(id.String(), 100), render.List(nodes))
		}
	}
	return nil
}

// on lists what is on a storage, of each node that has it for itself.
func (p *removePlan) on(ctx context.Context, c *tool.Call, storage string) ([]found, error) {
	if list, ok := p.content[storage]; ok {
		return list, nil
	}
	stores, err := c.Stores(ctx)
	if err != nil {
		return nil, err
	}
	with := slices.DeleteFunc(slices.Clone(stores), func(s cluster.Store) bool {
		return s.Storage.Value != storage || p.in.Node != "" && !slices.Contains(s.Nodes, p.in.Node)
	})
	if len(with) == 0 {
		return nil, cluster.NoStorageError(storage, stores)
	}
	got, notes, err := c.Volumes(ctx, with, pve.VolumeFilter{})
	if err != nil {
		return nil, err
	}
	if len(got) < len(with) && p.in.Node == "" {
		return nil, explain.Refusal("Name the node that has it, or try again later.", "What is on the storage %s is not all known: %s. Nothing was sent.", render.Text(storage, 60), render.Text(strings.Join(notes, "; "), 400))
	}
	list := []found{}
	for _, s := range got {
		for _, v := range s.Value {
			list = append(list, found{v, s.From.Ready[0], s.From})
		}
	}
	p.content[storage] = list
	return list, nil
}

// chooseOld chooses the backups of a guest that are older than its newest. Protected ones stay,
// and do not count, as when PVE itself prunes.
func (p *removePlan) chooseOld(ctx context.Context, c *tool.Call) error {
	switch {
	case len(p.in.Volumes) > 0:
		return tool.BadArgument("keep_newest", "chooses the volumes; leave volumes out")
	case p.in.VMID == 0:
		return tool.BadArgument("vmid", "is needed with keep_newest: whose backups")
	case p.in.Storage == "":
		return tool.BadArgument("storage", "is needed with keep_newest: where the backups are")
	}
	list, err := p.on(ctx, c, p.in.Storage)
	if err != nil {
		return err
	}
	kept, protected := map[string]int{}, 0
	for _, f := range newestFirst(list) {
		owner, _ := ownerOf(f.Volume)
		switch kind := f.Subtype.Value; {
		case f.Content != "backup" || owner != p.in.VMID:
		case f.Protected.Value:
			protected++
		case kept[kind] < *p.in.KeepNewest:
			kept[kind]++
		default:
			p.chosen = append(p.chosen, f)
		}
	}
	if protected > 0 {
		p.Notes = append(p.Notes, fmt.Sprintf("%d protected backups stay besides", protected))
	}
	if len(kept) > 1 {
		p.Notes = append(p.Notes, fmt.Sprintf("there are backups of a VM and of a container with the id %v: the %d newest of each stay", p.in.VMID, *p.in.KeepNewest))
	}
	if len(kept) == 0 && protected == 0 {
		return explain.Refusal("pve_list_backups says which are hidden from this token.", "No backup of %v can be seen on %s. Nothing was sent.", p.in.VMID, render.Text(p.in.Storage, 60))
	}
	return nil
}

// newestFirst returns volumes in the order of their age.
func newestFirst(list []found) []found {
	return slices.SortedStableFunc(slices.Values(list), func(a, b found) int {
		return cmp.Or(cmp.Compare(b.CTime.Value, a.CTime.Value), pve.CompareNames(b.VolID.Name, a.VolID.Name))
	})
}

// judge says of each volume what it is and who uses it, and refuses those that must stay.
func (p *removePlan) judge(ctx context.Context, c *tool.Call) error {
	var ids []pve.VolID
	for _, f := range p.chosen {
		if f.Content != "backup" {
			ids = append(ids, f.VolID)
		}
	}
	var err error
	if ids != nil {
		if p.uses, err = usesOf(ctx, c, p.perms, ids); err != nil {
			return err
		}
	}
	for _, f := range p.chosen {
		r := removal{Volume: f.VolID, Node: f.node, Size: cmp.Or(f.Used.Value, f.Size.Value)}
		var line string
		switch f.Content {
		case "backup":
			line, err = p.judgeBackup(ctx, c, f)
		case "images", "rootdir":
			line, err = p.judgeDisk(ctx, c, f, &r)
		default:
			line, err = p.judgeFile(f)
		}
		if err != nil {
			return err
		}
		what := cmp.Or(kinds[f.Content], "a volume")
		if f.Size.Set {
			what += " of " + render.Bytes(f.Size.Value)
		}
		p.Remove = append(p.Remove, r)
		p.lines = append(p.lines, fmt.Sprintf("%s: %s; %s", render.Text(f.VolID.String(), 200), what, line))
	}
	if len(ids) > 0 && len(p.uses.notes) > 0 {
		p.lines = append(p.lines, "a use that cannot be seen is not excluded: "+render.Text(strings.Join(p.uses.notes, "; "), 400))
	}
	p.lines = append(p.lines, p.Notes...)
	return nil
}

// judgeFile judges what belongs to no guest.
func (p *removePlan) judgeFile(f found) (string, error) {
	if uses := p.uses.of[f.VolID]; len(uses) > 0 {
		return "", inUse(f, uses, "Take it out there first, such as with pve_update_guest_config: set {\"ide2\": \"none,media=cdrom\"}.")
	}
	if err := cluster.RequirePrivilege(p.perms, "/storage/"+f.VolID.Storage, "Datastore.Allocate"); err != nil {
		return "", err
	}
	return "no guest that can be seen uses it", nil
}

// inUse is the error for a volume that guests use.
func inUse(f found, uses []use, next string) error {
	var said []string
	for _, u := range uses[:min(5, len(uses))] {
		said = append(said, u.String())
	}
	if more := len(uses) - len(said); more > 0 {
		said = append(said, fmt.Sprintf("and %d more", more))
	}
	return explain.Refusal(next, "%s is in use: %s. PVE would delete it all the same; nothing was sent.", render.Text(f.VolID.String(), 200), strings.Join(said, "; "))
}

// judgeDisk judges a disk: one that its guest has detached, or that no guest has.
func (p *removePlan) judgeDisk(ctx context.Context, c *tool.Call, f found, r *removal) (string, error) {
	uses := p.uses.of[f.VolID]
	if i := slices.IndexFunc(uses, func(u use) bool { return !u.detached() }); i >= 0 {
		return "", inUse(f, uses, "Detach it first with pve_update_guest_config (delete: its key), or delete the snapshot that needs it.")
	}
	if clones := clonesOn(volumesOf(p.content[f.VolID.Storage], f), f.VolID); clones != nil {
		return "", explain.Refusal("Delete or copy those first.", "Linked clones need %s: %s. Nothing was sent.", render.Text(f.VolID.String(), 200), render.List(clones))
	}
	owner, known := ownerOf(f.Volume)
	r.Unused = len(uses) == 0
	if len(uses) == 1 {
		r.Guest, r.Key = uses[0].guest, uses[0].key
		if err := cluster.RequirePrivilege(p.perms, "/vms/"+owner.String(), "VM.Config.Disk"); err != nil {
			return "", err
		}
		return fmt.Sprintf("%s, which has it detached as %s; with it go its data", c.GuestLabel(ctx, r.Guest.VMID), r.Key), nil
	}
	if err := cluster.RequirePrivilege(p.perms, "/storage/"+f.VolID.Storage, "Datastore.Allocate"); err != nil {
		return "", err
	}
	if !known || owner == 0 {
		return "no guest that can be seen has it; its data are lost", nil
	}
	taken, err := c.PVE.IDTaken(ctx, owner)
	if err != nil {
		return "", err
	}
	if !taken {
		return fmt.Sprintf("of the guest %v, which is not there any more; its data are lost", owner), nil
	}
	if !slices.Contains(p.uses.read, owner) {
		return "", explain.Refusal("Use a token with VM.Audit on that guest, when its node answers.", "Whether guest %v uses its disk %s cannot be seen. Nothing was sent.", owner, render.Text(f.VolID.String(), 200))
	}
	return fmt.Sprintf("of %s, whose configuration does not have it; its data are lost", c.GuestLabel(ctx, owner)), nil
}

// volumesOf are the volumes of the storage as the node of one of them has it.
func volumesOf(list []found, f found) []pve.Volume {
	var out []pve.Volume
	for _, other := range list {
		if other.node == f.node {
			out = append(out, other.Volume)
		}
	}
	return out
}

// judgeBackup judges a backup by the others of its guest.
func (p *removePlan) judgeBackup(ctx context.Context, c *tool.Call, f found) (string, error) {
	label := render.Text(f.VolID.String(), 200)
	if f.Protected.Value {
		return "", explain.Refusal("To delete it all the same, lift its protection first, in the web interface of PVE: Change Protection.", "%s is protected. Nothing was sent.", label)
	}
	age := "of unknown age"
	if f.CTime.Set {
		age = render.Duration(c.Ago(time.Unix(f.CTime.Value, 0)).Round(time.Minute)) + " old"
	}
	owner, known := ownerOf(f.Volume)
	if !known || owner == 0 {
		return age + ", of an unknown guest", cluster.RequirePrivilege(p.perms, "/storage/"+f.VolID.Storage, "Datastore.Allocate")
	}
	whose := fmt.Sprintf("of the guest %v, which is not there any more or cannot be seen", owner)
	if g, err := c.Guest(ctx, owner); err == nil {
		whose = fmt.Sprintf("of %v (%s)", g.Ref(), render.Text(g.Name.Value, 60))
	}
	left, notes, err := p.backupsLeft(ctx, c, owner, f)
	if err != nil {
		return "", err
	}
	line := fmt.Sprintf("%s, %s", whose, age)
	switch {
	case len(left) == 0:
		line += "; NO other backup of it is left that can be seen"
	case left[0].CTime.Value > f.CTime.Value:
		line += fmt.Sprintf("; a newer one stays: %s, %s old", render.Text(left[0].VolID.String(), 200), render.Duration(c.Ago(time.Unix(left[0].CTime.Value, 0)).Round(time.Minute)))
	default:
		line += fmt.Sprintf("; it is the NEWEST; what stays is older: %s", render.Text(left[0].VolID.String(), 200))
	}
	if len(left) > 0 && left[0].Verification["state"] == "failed" {
		line += ", whose verification failed"
	}
	if len(notes) > 0 && len(left) == 0 {
		line += " (" + render.Text(strings.Join(notes, "; "), 200) + ")"
	}
	return line, nil
}

// backupsLeft are the backups of a guest that stay, newest first.
func (p *removePlan) backupsLeft(ctx context.Context, c *tool.Call, owner pve.VMID, of found) ([]found, []string, error) {
	stores, err := c.Stores(ctx)
	if err != nil {
		return nil, nil, err
	}
	stores = cluster.StoresFor("backup", stores)
	got, notes, err := c.Volumes(ctx, stores, pve.VolumeFilter{Content: "backup", VMID: owner})
	if err != nil {
		return nil, nil, err
	}
	var left []found
	for _, s := range got {
		for _, v := range s.Value {
			goes := slices.ContainsFunc(p.chosen, func(f found) bool { return f.VolID == v.VolID && f.node == s.From.Ready[0] })
			if !goes && v.Subtype.Value == of.Subtype.Value {
				left = append(left, found{v, s.From.Ready[0], s.From})
			}
		}
	}
	return newestFirst(left), notes, nil
}
