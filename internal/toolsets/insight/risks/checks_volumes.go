package risks

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/coverage"
	"github.com/pve-mcp/pve-mcp/internal/newguest"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/survey"
	"github.com/pve-mcp/pve-mcp/lazyregexp"
	"github.com/pve-mcp/pve-mcp/pve"
	"github.com/pve-mcp/pve-mcp/pve/apischema"
)

func volumeChecks() []check {
	reads := []string{readStorageList, readGuestList, coverage.CheckBackups}
	return []check{
		{"guest.volume-missing", "guests", High, "A volume that the guest's configuration names is not there: it cannot start", append(reads, readInside, readConfigs, readOtherContents), findMissingVolumes},
		{"storage.thin-overcommitted", "storage", Medium, "The disks on the thin pool may grow larger than it: when it is full, all of them fail", []string{readStorageList, readGuestList, readInside}, findThinOvercommit},
		{"storage.unexplained", "storage", Low, "Much of what is used on the storage is no volume of PVE", reads, findUnexplained},
		{"volume.seed-left", "storage", Medium, "A CD with the user data of a first boot was left behind; it may hold credentials", append(reads, readInside), findSeeds},
		{"volume.orphaned", "storage", Low, "The disk belongs to no guest", append(reads, readOtherContents), findOrphans},
	}
}

// readContents takes up what is on storages. On those with backups it costs no request:
// coverage has asked the same. Others are asked by a deep look.
func (f *facts) readContents() {
	if !f.reads[coverage.CheckBackups] {
		return
	}
	var withBackups, others []cluster.Store
	for _, s := range f.stores {
		switch {
		case s.Ready == nil:
		case s.Holds("backup"):
			withBackups = append(withBackups, s)
		case !f.reads[readOtherContents], !s.Holds("images") && !s.Holds("rootdir") && !s.Holds("iso"):
		case f.scope.Deep:
			others = append(others, s)
		default:
			f.NotSeen(readOtherContents, s.Name(), "they are listed with deep: true")
		}
	}
	f.contents = slices.Concat(survey.Ask(f.Survey, coverage.CheckBackups, withBackups, cluster.Store.Name, f.volumesOn),
		survey.Ask(f.Survey, readOtherContents, others, cluster.Store.Name, f.volumesOn))
}

func (f *facts) volumesOn(ctx context.Context, s cluster.Store) ([]pve.Volume, error) {
	return f.VolumesOn(ctx, s, pve.VolumeFilter{})
}

func isDisk(v pve.Volume) bool { return v.Content == "images" || v.Content == "rootdir" }

// findThinOvercommit sums up the disks of guests on thin pools. Where not every guest is
// known, the sum is at least that.
func findThinOvercommit(f *facts, found found) {
	sums := map[string]int64{} // by storage and node
	for _, g := range f.everyone {
		in := f.inside[g.VMID]
		if in == nil {
			continue
		}
		for _, d := range in.config.Disks(pve.Kind(g.Type)) {
			if d.Volume.Storage != "" && !d.IsCDROM() {
				sums[d.Volume.Storage+" on "+g.Node.Value] += d.Size.Value
			}
		}
	}
	for _, s := range f.stores {
		sum, size := sums[s.Storage.Value+" on "+s.Node.Value], s.MaxDisk.Value
		if s.PluginType.Value == "lvmthin" && size > 0 && sum > size {
			found(storeName(s), fmt.Sprintf("disks of %s on %s, %.0f %%", render.Bytes(sum), render.Bytes(size), 100*float64(sum)/float64(size)),
				call("pve_storage_content", map[string]any{"storage": s.Storage.Value, "node": s.Node.Value}))
		}
	}
}

// findMissingVolumes looks for the volumes of guests on the storages whose whole contents are
// known, and for those on storages that cannot be used.
func findMissingVolumes(f *facts, found found) {
	f.findUnusableStorages(found)
	for _, on := range f.contents {
		if cluster.HiddenVolumes(f.Permissions, on.From, "") != nil {
			continue
		}
		there := map[string]bool{}
		for _, v := range on.Value {
			there[v.VolID.String()] = true
		}
		for _, g := range f.guests {
			in := f.inside[g.VMID]
			if in == nil || !on.From.Shared.Value && g.Node.Value != on.From.Node.Value {
				continue
			}
			for _, d := range in.config.Disks(pve.Kind(g.Type)) {
				if d.Volume.Storage == on.From.Storage.Value && !d.IsCloudInit() && d.Bus != "unused" && on.From.Holds(contentOf(g, d)) && !there[d.Volume.String()] {
					found(guestName(g)+" "+d.Key, render.Text(d.Volume.String(), 100), call("pve_guest_config", map[string]any{"vmid": int(g.VMID)}))
				}
			}
		}
	}
}

// findUnusableStorages finds volumes on storages that do not exist, are disabled, or are not
// for the node of their guest.
func (f *facts) findUnusableStorages(found found) {
	all, except := f.Permissions.Below("/storage", "Datastore.Audit")
	if !all || len(except) > 0 || f.configs == nil {
		return
	}
	for _, g := range f.guests {
		in := f.inside[g.VMID]
		if in == nil {
			continue
		}
		for _, d := range in.config.Disks(pve.Kind(g.Type)) {
			if why := f.whyUnusable(d.Volume.Storage, g.Node.Value); why != "" && d.Bus != "unused" {
				found(guestName(g)+" "+d.Key, render.Text(d.Volume.String(), 80)+": "+why, call("pve_guest_config", map[string]any{"vmid": int(g.VMID)}))
			}
		}
	}
}

// whyUnusable returns why the settings of a storage keep a node from it, or "".
func (f *facts) whyUnusable(storage, node string) string {
	if storage == "" {
		return ""
	}
	i := slices.IndexFunc(f.configs, func(s pve.StorageConfig) bool { return s.Storage == storage })
	switch {
	case i < 0:
		return "there is no storage " + render.Text(storage, 60)
	case f.configs[i].Disabled.Value:
		return "the storage " + storage + " is disabled"
	case f.configs[i].Nodes.Value != "" && !slices.Contains(apischema.SplitList(f.configs[i].Nodes.Value), node):
		return "the storage " + storage + " is not for " + node
	}
	return ""
}

// contentOf is the kind of content that a guest's disk is. PVE lists no kinds that a storage
// is not meant for.
func contentOf(g pve.Resource, d pve.Disk) string {
	switch {
	case d.IsCDROM():
		return "iso"
	case g.Type == string(pve.LXC):
		return "rootdir"
	}
	return "images"
}

// A storage of which much is no volume.
const (
	wellUsed = 70 // percent of it that is in use
	mostElse = 40 // percent of it that no volume explains
)

func findUnexplained(f *facts, found found) {
	for _, on := range f.contents {
		s := on.From
		used, ok := percent(s.Disk, s.MaxDisk)
		if !ok || used < wellUsed || s.PluginType.Value == "pbs" || cluster.HiddenVolumes(f.Permissions, s, "") != nil {
			continue
		}
		var sum int64
		for _, v := range on.Value {
			sum += v.Used.Or(v.Size.Value)
		}
		rest := s.Disk.Value - sum
		if 100*float64(rest) > mostElse*float64(s.MaxDisk.Value) {
			found(storeName(s), fmt.Sprintf("%s of %s in use", render.Bytes(rest), render.Bytes(s.Disk.Value)), command("du -xh --max-depth=2 of its path | sort -h | tail", rootOn(s.Node.Value)))
		}
	}
}

// seedUse is how long a CD for cloud-init may be of use.
const seedUse = 24 * time.Hour

func findSeeds(f *facts, found found) {
	if !f.seesAllGuests() {
		return
	}
	for _, on := range f.contents {
		s := on.From
		for _, v := range on.Value {
			id, isSeed := newguest.GuestOfSeed(v.VolID)
			if !isSeed {
				continue
			}
			name := v.VolID.String() + nodeSuffix(s)
			arguments := map[string]any{"volumes": []string{v.VolID.String()}}
			if !s.Shared.Value {
				arguments["node"] = s.Node.Value
			}
			g, exists := f.guest(id)
			if !exists {
				found(name, fmt.Sprintf("of guest %v, which does not exist", id), call("pve_delete_volume", arguments))
				continue
			}
			drive := f.driveWith(g, v.VolID)
			old := v.CTime.Value > 0 && f.Ago(time.Unix(v.CTime.Value, 0)) > seedUse
			switch {
			case !old && (drive != "" || f.inside[g.VMID] == nil || g.Uptime.Value < int64(time.Hour/time.Second)):
			case drive != "":
				found(name, fmt.Sprintf("in %s of %s, which has booted long ago; take it out, then delete it", drive, guestName(g)),
					call("pve_update_guest_config", map[string]any{"vmid": int(g.VMID), "set": map[string]any{drive: "none,media=cdrom"}}))
			default:
				found(name, fmt.Sprintf("of %s, which has booted long ago", guestName(g)), call("pve_delete_volume", arguments))
			}
		}
	}
}

// driveWith returns the drive of a guest that has a volume in it, or "".
func (f *facts) driveWith(g pve.Resource, id pve.VolID) string {
	in := f.inside[g.VMID]
	if in == nil {
		return ""
	}
	for _, d := range in.config.Disks(pve.Kind(g.Type)) {
		if d.Volume == id {
			return d.Key
		}
	}
	return ""
}

func nodeSuffix(s cluster.Store) string {
	if s.Shared.Value {
		return ""
	}
	return " on " + s.Node.Value
}

func findOrphans(f *facts, found found) {
	if !f.seesAllGuests() {
		return
	}
	known := map[int64]bool{}
	for _, g := range f.everyone {
		known[int64(g.VMID)] = true
	}
	for _, on := range f.contents {
		s := on.From
		for _, v := range on.Value {
			if !isDisk(v) || !v.VMID.Set || v.VMID.Value == 0 || known[v.VMID.Value] {
				continue
			}
			evidence := fmt.Sprintf("%s; there is no guest %d", render.Bytes(v.Size.Value), v.VMID.Value)
			if s.Shared.Value {
				evidence += ", unless another cluster uses the storage"
			}
			found(render.Text(v.VolID.String(), 80)+nodeSuffix(s), evidence, command("pvesm free "+v.VolID.String()+", if nobody needs it", rootOn(s.Node.Value)))
		}
	}
}

// scrubErrorsRE finds the number of errors that a scrub did not repair.
var scrubErrorsRE = lazyregexp.New(`with ([1-9]\d*) errors`)

func findZFSErrors(f *facts, found found) {
	for _, n := range f.nodes {
		for _, p := range n.poolStates {
			var bad []string
			if e := p.Errors.Value; e != "" && e != "No known data errors" {
				bad = append(bad, render.Text(e, 80))
			}
			if m := scrubErrorsRE.FindStringSubmatch(p.Scan.Value); m != nil {
				bad = append(bad, m[1]+" errors in the last scrub")
			}
			bad = append(bad, deviceErrors(p.Children)...)
			if healthy := p.State.Or("ONLINE") == "ONLINE"; bad != nil && healthy {
				found(render.Text(p.Name, 40)+" of "+n.name, render.List(bad[:min(3, len(bad))]), command("zpool status -v "+render.Text(p.Name, 40), rootOn(n.name)))
			}
		}
	}
}

// deviceErrors lists the devices of a pool that have had errors.
func deviceErrors(devices []pve.ZFSDevice) []string {
	var out []string
	for _, d := range devices {
		if d.Read.Value+d.Write.Value+d.Checksum.Value > 0 && d.Children == nil {
			out = append(out, fmt.Sprintf("%s: %g read, %g write, %g checksum errors", render.Text(d.Name, 60), d.Read.Value, d.Write.Value, d.Checksum.Value))
		}
		out = append(out, deviceErrors(d.Children)...)
	}
	return slices.Clip(out)
}

// scrubRE finds when a scrub ended.
var scrubRE = lazyregexp.New(`scrub repaired .* errors on (\w{3} \w{3} [ \d]?\d \d\d:\d\d:\d\d \d{4})`)

// mostScrub is how long ago the last scrub may be: PVE's nodes make one each month.
const mostScrub = 40 * 24 * time.Hour

func findOldScrubs(f *facts, found found) {
	for _, n := range f.nodes {
		for _, p := range n.poolStates {
			scan, evidence := p.Scan.Value, ""
			if m := scrubRE.FindStringSubmatch(scan); m != nil {
				at, err := time.Parse("Mon Jan _2 15:04:05 2006", m[1])
				if err == nil && f.Ago(at) > mostScrub {
					evidence = render.Duration(f.Ago(at)) + " ago"
				}
			} else if scan == "" || strings.Contains(scan, "none requested") {
				evidence = "never"
			}
			if evidence != "" {
				found(render.Text(p.Name, 40)+" of "+n.name, evidence, command("zpool scrub "+render.Text(p.Name, 40), rootOn(n.name)))
			}
		}
	}
}
