package provision

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/change"
	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/images"
	"github.com/pve-mcp/pve-mcp/internal/newguest"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pve"
)

const (
	usualRootDisk        = 8 * gib
	usualContainerMemory = gib / 2
)

// containerPlan is a container while it is planned.
type containerPlan struct {
	containerState
	in     containerIn
	perms  pve.Permissions
	stores []cluster.Store
	nodes  []string // that have the template; nil is any
	nics   []newguest.NIC
	disk   int64 // sizes in bytes
	memory int64
	mounts []mount
}

// mount is a disk of a container beside the first.
type mount struct {
	size int64
	at   string
}

func planContainer(ctx context.Context, c *tool.Call, in containerIn) (change.Plan, containerState, error) {
	p := containerPlan{in: in}
	p.Name, p.Pool, p.Keep, p.Env, p.Entrypoint = in.Name, in.Pool, in.Keep, in.Env, in.Entrypoint
	p.Run, p.Keys = in.Start == nil || *in.Start, len(in.SSHKeys) > 0
	p.Chosens, p.Config = map[string]string{}, map[string]string{}
	err := p.plan(ctx, c)
	plan := change.Plan{Subject: policy.Guest(p.VMID), About: p.about()}
	return plan, p.containerState, err
}

func (p *containerPlan) plan(ctx context.Context, c *tool.Call) error {
	err := p.read()
	if err != nil {
		return err
	}
	if p.perms, err = c.PVE.Permissions(ctx); err != nil {
		return err
	}
	if p.stores, err = c.Stores(ctx); err != nil {
		return err
	}
	p.Chosen = p.in.VMID == 0
	if p.VMID, err = c.ChooseID(ctx, p.in.VMID); err != nil {
		return err
	}
	if err := cluster.CheckMayCreate(p.perms, p.VMID, p.in.Pool); err != nil {
		return err
	}
	if err := p.findTemplate(ctx, c); err != nil {
		return err
	}
	if err := p.place(ctx, c); err != nil {
		return err
	}
	if err := p.checkOCI(ctx, c); err != nil {
		return err
	}
	p.MAC = newguest.UseMACs(c, p.nics)[0]
	said, err := newguest.CheckBridges(ctx, c.View, p.Place.Node, p.nics)
	if said != "" {
		p.Chosens["bridge"] = said
	}
	p.configure()
	return err
}

// read reads the words for sizes, mounts and NICs.
func (p *containerPlan) read() error {
	if err := p.in.check(); err != nil {
		return err
	}
	p.nics = []newguest.NIC{{}}
	if len(p.in.NICs) > 0 {
		p.nics = nil
	}
	for _, text := range p.in.NICs {
		n, err := newguest.ReadNIC(text)
		if err != nil {
			return err
		}
		p.nics = append(p.nics, n)
	}
	p.Address, _ = p.nics[0].Fixed()
	p.NoAddress = !slices.ContainsFunc(p.nics, newguest.NIC.WantsAddress)
	p.disk, p.memory = usualRootDisk, usualContainerMemory
	for _, size := range []struct {
		name, text string
		to         *int64
	}{{"disk", p.in.Disk, &p.disk}, {"memory", p.in.Memory, &p.memory}} {
		if size.text == "" {
			continue
		}
		n, err := tool.ReadSize(size.text)
		if err != nil || n < 16*mib {
			return tool.BadArgument(size.name, fmt.Sprintf("is %q; give an amount with its unit of at least 16M, such as 8G", render.Text(size.text, 40)))
		}
		*size.to = n
	}
	for _, text := range p.in.Mounts {
		size, at, _ := strings.Cut(text, ":")
		n, err := tool.ReadSize(size)
		switch {
		case strings.HasPrefix(text, "/"):
			return tool.BadArgument("mounts", fmt.Sprintf("has %q, a folder of the node, which PVE lets root@pam alone mount; a new disk is 8G:/data", render.Text(text, 60)))
		case err != nil, n < mib, !path.IsAbs(at), path.Clean(at) == "/", strings.ContainsAny(at, ","):
			return tool.BadArgument("mounts", fmt.Sprintf("has %q; give size and folder, such as 8G:/data", render.Text(text, 60)))
		}
		p.mounts = append(p.mounts, mount{n, path.Clean(at)})
	}
	return nil
}

// findTemplate finds the template by its volid or by words.
func (p *containerPlan) findTemplate(ctx context.Context, c *tool.Call) error {
	if id, err := pve.ParseVolID(p.in.Template); err == nil && !strings.HasPrefix(id.Name, "vztmpl/") {
		return tool.BadArgument("template", fmt.Sprintf("is %q, which is no container template: those are STORAGE:vztmpl/FILE. pve_create_vm makes a VM of a disk image or a CD, pve_restore_backup a guest of a backup", render.Text(p.in.Template, 80)))
	}
	question := images.WordsOf(p.in.Template)
	if isReference(p.in.Template) {
		_, file, _ := readReference(p.in.Template)
		question = images.WordsOf(file)
	}
	found, nodes, notes, err := filesNamed(ctx, c, p.stores, "vztmpl", p.in.Template, question)
	if err != nil {
		return err
	}
	files := fileNames(found)
	shown := render.Text(p.in.Template, 80)
	switch {
	case len(files) == 1:
		p.Template, p.nodes = found[0], nodes[found[0]]
		p.Chosens["template"] = render.Text(found[0].String(), 120)
		return nil
	case len(files) > 1:
		return explain.Refusal("Give one of them as template: "+listVolumes(found)+".", "%q may mean %d templates. Nothing was made.", shown, len(files))
	case p.in.Download && (isReference(p.in.Template) || len(question) > 0 && !strings.Contains(p.in.Template, ":")):
		return nil // it is looked for when the node is chosen
	}
	return explain.Refusal("Repeat with download: true, which fetches what PVE offers by that name; pve_download lists it, and fetches OCI images.",
		"No storage has a container template %q.%s Nothing was made.", shown, notLookedInto(notes))
}

// place chooses node and storage, and the template that is fetched.
func (p *containerPlan) place(ctx context.Context, c *tool.Call) error {
	need := p.disk
	for _, m := range p.mounts {
		need += m.size
	}
	var err error
	p.Place, err = newguest.ChoosePlace(ctx, c.View, p.perms, newguest.Wanted{
		Node: p.in.Node, Among: p.nodes, Storage: p.in.Storage, Content: "rootdir", Bytes: need, Memory: p.memory, Near: p.Template,
	})
	if err != nil {
		return err
	}
	if p.Place.WhyNode != "" {
		p.Chosens["node"] = p.Place.Node + ": " + p.Place.WhyNode
	}
	if p.Place.WhyStorage != "" {
		p.Chosens["storage"] = p.Place.Storage + ": " + p.Place.WhyStorage
	}
	p.Place.WhyNode, p.Place.WhyStorage = "", ""
	if p.Template.Name != "" {
		return nil
	}
	storage, ok := newguest.StoreFor(p.stores, p.perms, p.Place.Node, "vztmpl", "Datastore.AllocateTemplate")
	if !ok {
		return explain.Refusal("The token needs Datastore.AllocateTemplate on a storage with the content vztmpl.",
			"No storage of %s may hold container templates, on which this token may put one. Nothing was made.", p.Place.Node)
	}
	if isReference(p.in.Template) {
		return p.pull(ctx, c, storage)
	}
	list, err := c.PVE.Appliances(ctx, p.Place.Node)
	if err != nil {
		return err
	}
	offered := matching(list, p.in.Template, images.WordsOf(p.in.Template), false)
	shown := render.Text(p.in.Template, 80)
	switch len(offered) {
	case 0:
		return explain.Refusal("pve_download without arguments lists what is offered.", "No container template %q is offered by PVE. Nothing was made.", shown)
	case 1:
	default:
		var names []string
		for _, t := range offered[:min(8, len(offered))] {
			names = append(names, render.Text(t.Template, 80))
		}
		return explain.Refusal("Give one of them as template: "+render.List(names)+".", "%q may mean %d templates. Nothing was made.", shown, len(offered))
	}
	p.Appliance = offered[0].Template
	p.Template = pve.VolID{Storage: storage, Name: "vztmpl/" + p.Appliance}
	p.Chosens["template"] = render.Text(p.Template.String(), 120) + ", which is fetched first"
	return nil
}

// pull plans that an OCI image is fetched first.
func (p *containerPlan) pull(ctx context.Context, c *tool.Call, storage string) error {
	reference, file, _ := readReference(p.in.Template)
	p.Reference, p.Template = reference, pve.VolID{Storage: storage, Name: "vztmpl/" + file}
	there, err := hasVolume(ctx, c, p.Place.Node, p.Template)
	if there || err != nil {
		p.Reference, p.Chosens["template"] = "", render.Text(p.Template.String(), 120)
		return err
	}
	p.Chosens["template"] = render.Text(p.Template.String(), 120) + ", which is fetched first"
	return mayFetch(ctx, c, p.perms, p.Place.Node)
}

// checkOCI looks whether the node can make a container of an OCI image, and whether what is for
// those alone was given for another template.
func (p *containerPlan) checkOCI(ctx context.Context, c *tool.Call) error {
	isOCI := strings.HasSuffix(p.Template.Name, ".tar")
	p.IsOCI = len(p.Env) > 0 || p.Entrypoint != ""
	if !isOCI && !p.IsOCI {
		return nil
	}
	v, err := c.PVE.NodeVersion(ctx, p.Place.Node)
	switch {
	case err != nil:
		return err
	case pve.CompareNames(v.Version, "9.1") < 0:
		return explain.Refusal("Name a node with PVE 9.1 or later, or take a container template, without env and entrypoint.",
			"The node %s has PVE %s, which makes no containers of OCI images. Nothing was made.", p.Place.Node, render.Text(v.Version, 20))
	case !isOCI:
		return tool.BadArgument("env", "and entrypoint are for OCI images (STORAGE:vztmpl/NAME.tar); this is a template with an init system of its own")
	}
	return nil
}

// configure writes the configuration of the container.
func (p *containerPlan) configure() {
	set := func(key, value string) { p.Config[key] = value }
	set("hostname", p.Name)
	set("ostemplate", p.Template.String())
	set("rootfs", newDisk(p.Place.Storage, p.disk))
	set("cores", strconv.Itoa(cmp.Or(p.in.Cores, 1)))
	set("memory", strconv.FormatInt(p.memory/mib, 10))
	set("unprivileged", "1")
	if p.in.isUnprivileged() {
		set("features", "nesting=1")
	}
	for i, m := range p.mounts {
		set("mp"+strconv.Itoa(i), newDisk(p.Place.Storage, m.size)+",mp="+m.at)
	}
	for i, n := range p.nics {
		set("net"+strconv.Itoa(i), n.OfContainer(i))
	}
	if len(p.in.Tags) > 0 {
		set("tags", strings.Join(p.in.Tags, ";"))
	}
	if p.Keys {
		set("ssh-public-keys", strings.Join(p.in.SSHKeys, "\n"))
	} else {
		p.Notes = append(p.Notes, "nobody can log in yet: no ssh_keys were given, and it has no password")
	}
	maps.Copy(p.Config, p.in.Set)
}
