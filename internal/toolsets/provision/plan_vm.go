package provision

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/change"
	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/newguest"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pve"
)

const (
	mib = 1 << 20
	gib = 1 << 30

	usualDisk   = 32 * gib // of an empty VM
	usualMemory = 2 * gib
	seedDrive   = "ide3"
)

// vmPlan is a VM while it is planned.
type vmPlan struct {
	createState
	in     createIn
	perms  pve.Permissions
	stores []cluster.Store
	nics   []newguest.NIC
	disks  []int64 // sizes in bytes
	memory int64   // in bytes, 0 for the template's

	isoNodes []string // that have the CD
}

func planVM(ctx context.Context, c *tool.Call, in createIn) (change.Plan, createState, error) {
	p := vmPlan{in: in}
	p.Name, p.Pool, p.Keep, p.Full, p.Run = in.Name, in.Pool, in.Keep, in.Full, in.starts()
	p.WaitFor = cmp.Or(in.WaitFor, "address")
	if in.Source == "" {
		p.WaitFor = cmp.Or(in.WaitFor, "started") // no system is there that could answer
	}
	p.Chosens, p.Config = map[string]string{}, map[string]string{}
	if !p.Run {
		p.WaitFor = "none"
	}
	if err := p.read(); err != nil {
		return change.Plan{}, p.createState, err
	}
	var err error
	if p.Source, err = sourceOf(ctx, c, in); err != nil {
		return change.Plan{}, p.createState, err
	}
	if p.perms, err = c.PVE.Permissions(ctx); err != nil {
		return change.Plan{}, p.createState, err
	}
	if p.stores, err = c.Stores(ctx); err != nil {
		return change.Plan{}, p.createState, err
	}
	if err := p.findISO(ctx, c); err != nil {
		return change.Plan{}, p.createState, err
	}
	p.Chosen = in.VMID == 0
	if p.VMID, err = c.ChooseID(ctx, in.VMID); err != nil {
		return change.Plan{}, p.createState, err
	}
	if err := cluster.CheckMayCreate(p.perms, p.VMID, in.Pool); err != nil {
		return change.Plan{}, p.createState, err
	}
	if p.Source.Kind == fromTemplate {
		err = p.planClone(ctx, c)
	} else {
		err = p.planNew(ctx, c)
	}
	if err != nil {
		return change.Plan{}, p.createState, p.named(err)
	}
	p.Label = fmt.Sprintf("%v %s", p.VMID, render.Text(in.Name, 60))
	if p.Source.Name != "" {
		p.Chosens["source"] = p.Source.Name + p.Source.Rather
	}
	plan := change.Plan{Subject: policy.Guest(p.VMID), About: p.about()}
	if p.Source.Template != 0 {
		plan.Also = []policy.Subject{policy.Guest(p.Source.Template)}
	}
	if p.SeedAt.Name != "" {
		plan.Later = fmt.Sprintf("The CD %s may hold credentials: it is to be removed when the VM has booted.", p.SeedAt)
	}
	return plan, p.createState, nil
}

// named returns a refusal that says what was taken for the words of the call.
func (p *vmPlan) named(err error) error {
	var refusal *explain.Explanation
	if p.Source.Name == "" || p.in.Source == p.Source.Volume.String() || !errors.As(err, &refusal) || strings.Contains(refusal.What, p.Source.Name) {
		return err
	}
	said := *refusal
	said.What += fmt.Sprintf(" The source %q was taken for %s.", render.Text(p.in.Source, 60), p.Source.Name+p.Source.Rather)
	return &said
}

// read reads the words for keys, sizes and NICs.
func (p *vmPlan) read() error {
	if err := p.in.check(); err != nil {
		return err
	}
	for _, text := range p.in.NICs {
		n, err := newguest.ReadNIC(text)
		if err != nil {
			return err
		}
		p.nics = append(p.nics, n)
	}
	for _, text := range p.in.Disks {
		size, err := tool.ReadSize(text)
		if err != nil || size < mib {
			return tool.BadArgument("disks", fmt.Sprintf("has %q; give sizes with their unit, such as 32G", render.Text(text, 40)))
		}
		p.disks = append(p.disks, size)
	}
	if p.in.Memory != "" {
		size, err := tool.ReadSize(p.in.Memory)
		if err != nil || size < 16*mib {
			return tool.BadArgument("memory", fmt.Sprintf("is %q; give an amount with its unit of at least 16M, such as 8G", render.Text(p.in.Memory, 40)))
		}
		p.memory = size
	}
	return nil
}

// planNew plans a VM that is no clone.
func (p *vmPlan) planNew(ctx context.Context, c *tool.Call) error {
	if len(p.nics) == 0 {
		p.nics = []newguest.NIC{{}}
	}
	p.MAC = newguest.UseMACs(c, p.nics)[0]
	p.memory = cmp.Or(p.memory, usualMemory)
	if err := p.planDisks(ctx, c); err != nil {
		return err
	}
	said, err := newguest.CheckBridges(ctx, c.View, p.Place.Node, p.nics)
	if err != nil {
		return err
	}
	if said != "" {
		p.Chosens["bridge"] = said
	}
	if err := p.planImages(ctx, c); err != nil {
		return err
	}
	if err := p.hardware(ctx, c); err != nil {
		return err
	}
	return p.planCloudInit(ctx, c)
}

// planDisks chooses the place, and checks that the image fits.
func (p *vmPlan) planDisks(ctx context.Context, c *tool.Call) error {
	first := int64(0)
	if len(p.disks) > 0 {
		first = p.disks[0]
	}
	near, among := p.ISO, p.isoNodes
	var err error
	if p.ISO.Name == "" {
		near = p.Source.Volume
		if among, err = nodesWith(ctx, c, p.stores, near); err != nil {
			return err
		}
	}
	var image int64
	if v := p.Source.Volume; v.Storage != "" && p.Source.Kind == fromImage {
		if image, err = p.imageSize(ctx, c, v, among); err != nil {
			return err
		}
		if first > 0 && first < image {
			return explain.Refusal(fmt.Sprintf("Give at least %s, or leave disks out.", render.Bytes(image)),
				"The image %s needs a disk of %s, and %s are asked for. Nothing was made.", p.Source.Name, render.Bytes(image), render.Bytes(first))
		}
	}
	if p.Source.Kind == fromNothing && first == 0 {
		first, p.Chosens["disk"] = usualDisk, "32G, since disks was left out"
		p.disks = []int64{first}
	}
	if first > image && p.Source.Kind != fromNothing {
		p.Grow, p.Boot = gibibytes(first), "scsi0"
	}
	need := max(first, image)
	for _, d := range p.disks[min(1, len(p.disks)):] {
		need += d
	}
	p.Place, err = newguest.ChoosePlace(ctx, c.View, p.perms, newguest.Wanted{
		Node: p.in.Node, Among: among, Storage: p.in.Storage, Content: "images", Bytes: need, Memory: p.memory, Near: near,
	})
	if p.Place.WhyNode != "" {
		p.Chosens["node"] = p.Place.Node + ": " + p.Place.WhyNode
	}
	if p.Place.WhyStorage != "" {
		p.Chosens["storage"] = p.Place.Storage + ": " + p.Place.WhyStorage
	}
	p.Place.WhyNode, p.Place.WhyStorage = "", ""
	return err
}

// imageSize asks for the size of the disk that an image holds.
func (p *vmPlan) imageSize(ctx context.Context, c *tool.Call, v pve.VolID, among []string) (int64, error) {
	node := p.in.Node
	if among != nil && !slices.Contains(among, node) {
		node = among[0]
	}
	for _, s := range p.stores {
		if among == nil && s.Storage.Value == v.Storage && len(s.Ready) > 0 && (node == "" || !s.UsableOn(node)) {
			node = s.Ready[0]
		}
	}
	if node == "" {
		return 0, cluster.NoStorageError(v.Storage, p.stores)
	}
	info, err := c.PVE.VolumeInfo(ctx, node, v)
	if err != nil {
		return 0, fmt.Errorf("the image %s: %w", v, err)
	}
	return info.Size.Value, nil
}

// planImages chooses the storage to which the image is downloaded.
func (p *vmPlan) planImages(ctx context.Context, c *tool.Call) error {
	if p.Source.URL == "" {
		return nil
	}
	name, ok := newguest.StoreFor(p.stores, p.perms, p.Place.Node, "import", "Datastore.AllocateTemplate")
	if !ok {
		return explain.Refusal("An administrator lets a storage hold it: pvesm set local --content …,import; the token needs Datastore.AllocateTemplate there.",
			"No storage of %s may hold images to import, on which this token may put one. Nothing was made.", p.Place.Node)
	}
	p.Source.Volume.Storage = name
	if reason := c.Host().Policy.RefuseFetch(p.Source.URL); reason != "" {
		return &policy.RefusedError{Reason: reason}
	}
	return mayFetch(ctx, c, p.perms, p.Place.Node)
}

// gibibytes writes a size for PVE, which counts in GiB or in less if that is not whole.
func gibibytes(n int64) string {
	if n%gib == 0 {
		return strconv.FormatInt(n/gib, 10) + "G"
	}
	return strconv.FormatInt((n+mib-1)/mib, 10) + "M"
}

// newDisk writes a new disk for PVE.
func newDisk(storage string, size int64) string {
	return storage + ":" + strconv.FormatFloat(float64(size)/gib, 'f', -1, 64)
}

// hardware writes the configuration of the VM.
func (p *vmPlan) hardware(ctx context.Context, c *tool.Call) error {
	windows := windowsRE.MatchString(p.ISO.Name + " " + p.Source.Name)
	set := func(key, value string) { p.Config[key] = value }
	set("name", p.in.Name)
	set("cores", strconv.Itoa(cmp.Or(p.in.Cores, 2)))
	set("memory", strconv.FormatInt(p.memory/mib, 10))
	set("agent", "enabled=1")
	set("scsihw", "virtio-scsi-single")
	set("ostype", "l26")
	bus := "scsi"
	if windows {
		p.windows(set)
		bus = "sata"
	}
	options := ",iothread=1"
	if bus == "sata" {
		options = ""
	}
	if newguest.Discards(lenientType(p.stores, p.Place.Storage)) {
		options += ",discard=on"
	}
	if err := p.ova(ctx, c, set); err != nil {
		return err
	}
	boot := bus + "0"
	switch p.Source.Kind {
	case fromImage:
		set(boot, p.Place.Storage+":0,import-from="+p.Source.Volume.String()+options)
		set("serial0", "socket")
	case fromNothing:
		set(boot, newDisk(p.Place.Storage, p.disks[0])+options)
	}
	for i, size := range p.disks[min(1, len(p.disks)):] {
		set(bus+strconv.Itoa(i+1), newDisk(p.Place.Storage, size)+options)
	}
	order := p.bootDisks()
	if p.ISO.Name != "" {
		set("ide2", p.ISO.String()+",media=cdrom")
		order = append(order, "ide2")
	}
	set("boot", "order="+strings.Join(order, ";"))
	if p.Grow != "" {
		p.Boot = order[0]
	}
	if len(p.in.Tags) > 0 {
		set("tags", strings.Join(p.in.Tags, ";"))
	}
	maps.Copy(p.Config, p.in.Set.Text())
	return nil
}

// bootDisks returns the first disk of the configuration.
func (p *vmPlan) bootDisks() []string {
	for _, key := range []string{"scsi0", "sata0", "virtio0", "ide0"} {
		if p.Config[key] != "" {
			return []string{key}
		}
	}
	return nil
}

// windows sets what Windows wants: an installer has no drivers for virtio, and Windows 11 needs
// UEFI and a TPM.
func (p *vmPlan) windows(set func(key, value string)) {
	set("ostype", "win11")
	set("machine", "q35")
	set("bios", "ovmf")
	set("efidisk0", p.Place.Storage+":1,efitype=4m,pre-enrolled-keys=1")
	set("tpmstate0", p.Place.Storage+":1,version=v2.0")
	p.Chosens["hardware"] = "q35, UEFI, TPM and SATA, which the installer of Windows needs"
	for i := range p.nics {
		p.nics[i].UseModel("e1000")
	}
}

// ova takes the machine of an OVA over.
func (p *vmPlan) ova(ctx context.Context, c *tool.Call, set func(key, value string)) error {
	if p.Source.Kind != fromOVA {
		return nil
	}
	if p.Source.URL != "" {
		return explain.Refusal("Fetch it with pve_download first, then name its volume as source.", "What is in an OVA is known when it is on a storage. Nothing was made.")
	}
	m, err := c.PVE.ImportMetadata(ctx, p.Place.Node, p.Source.Volume)
	if err != nil {
		return err
	}
	for key, value := range m.CreateArgs {
		if key == "name" || key == "cores" && p.in.Cores > 0 || key == "memory" && p.in.Memory != "" || pve.IsNICKey(key) || pve.IsDiskKey(pve.QEMU, key) {
			continue
		}
		set(key, value.Value)
	}
	for _, key := range slices.Sorted(maps.Keys(m.Disks)) {
		if key == "efidisk0" {
			set(key, p.Place.Storage+":1,efitype=4m")
			continue
		}
		set(key, p.Place.Storage+":0,import-from="+m.Disks[key].Volume.Value)
	}
	for _, w := range m.Warnings {
		p.note("the OVA: %s", render.Text(strings.Join([]string{w.Type.Value, w.Key.Value, w.Value.Value}, " "), 100))
	}
	return nil
}
