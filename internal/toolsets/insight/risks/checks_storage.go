package risks

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/proxmox/lenient"
	"github.com/pve-mcp/pve-mcp/pve"
)

// How full something is, in percent.
const (
	full    = 95
	filling = 85
)

func diskChecks() []check {
	return []check{
		{"disk.failed", "disks", Critical, "SMART says that the disk fails", []string{readDisks}, findFailedDisks},
		{"zfs.unhealthy", "disks", Critical, "The ZFS pool has lost disks or data: one more failure may lose it", []string{readZFS, readOtherPools}, findPools},
		{"zfs.errors", "disks", Critical, "The ZFS pool has read or written wrong data", []string{readZFS}, findZFSErrors},
		{"thin.metadata-full", "disks", Critical, "The metadata of the thin pool is nearly full: all its volumes fail when it is", []string{readThin}, findMetadata},
		{"zfs.scrub-old", "disks", Low, "The ZFS pool was not scrubbed for long: silent errors stay undetected", []string{readZFS}, findOldScrubs},
		{"disk.worn", "disks", Medium, "The disk is nearly worn out", []string{readDisks}, findWornDisks},
	}
}

func findFailedDisks(f *facts, found found) {
	for _, n := range f.nodes {
		for _, d := range n.disks {
			switch strings.ToUpper(strings.TrimRight(d.Health.Value, "!")) {
			case "", "PASSED", "OK", "UNKNOWN":
			default:
				found(diskName(n, d), render.Text(d.Health.Value+" "+d.Model.Value+" "+d.Serial.Value, 100), command("smartctl -a "+render.Text(d.Path, 40)+", then replace it", rootOn(n.name)))
			}
		}
	}
}

func diskName(n *node, d pve.PhysicalDisk) string { return render.Text(d.Path, 40) + " of " + n.name }

func findWornDisks(f *facts, found found) {
	const worn = 10 // percent that are left
	for _, n := range f.nodes {
		for _, d := range n.disks {
			if left, err := strconv.Atoi(d.Left.Value); err == nil && left <= worn {
				found(diskName(n, d), fmt.Sprintf("%d %% of its life are left, %s", left, render.Text(d.Model.Value, 40)), command("replace the disk", rootOn(n.name)))
			}
		}
	}
}

func findPools(f *facts, found found) {
	for _, n := range f.nodes {
		for _, p := range slices.Concat(n.pools, n.otherPools) {
			if h := p.Health.Value; h != "" && h != "ONLINE" {
				found(render.Text(p.Name, 40)+" of "+n.name, render.Text(h, 30), command("zpool status -v "+render.Text(p.Name, 40), rootOn(n.name)))
			}
		}
	}
}

func findMetadata(f *facts, found found) {
	for _, n := range f.nodes {
		for _, p := range n.thin {
			if used, ok := percent(p.MetadataUsed, p.MetadataSize); ok && used >= filling {
				name := render.Text(p.VG+"/"+p.LV, 60)
				found(name+" of "+n.name, fmt.Sprintf("%.0f %% of its metadata", used), command("lvextend --poolmetadatasize +1G "+name, rootOn(n.name)))
			}
		}
	}
}

// percent is how much of something is used.
func percent(used, total lenient.Opt[int64]) (share float64, ok bool) {
	if !used.Set || total.Value <= 0 {
		return 0, false
	}
	return 100 * float64(used.Value) / float64(total.Value), true
}

func storageChecks() []check {
	list := []string{readStorageList}
	return []check{
		{"storage.full", "storage", Critical, "The storage is full or nearly so: guests on it stop at write errors, backups to it fail", list, findFull},
		{"storage.offline", "storage", High, "The storage cannot be used, though it is enabled", list, findOfflineStorages},
		{"node.root-full", "storage", High, "The root file system of the node is nearly full: PVE stops working when it is", []string{readUse}, findFullRoots},
		{"storage.filling", "storage", Medium, "The storage fills up", list, findFilling},
	}
}

// storeName names a storage, with the node unless it is shared.
func storeName(s cluster.Store) string {
	if s.Shared.Value {
		return s.Storage.Value
	}
	return s.Storage.Value + " on " + s.Node.Value
}

// fullness finds storages that are used to some percent.
func fullness(f *facts, found found, from, below float64) {
	for _, s := range f.stores {
		used, ok := percent(s.Disk, s.MaxDisk)
		if !ok || s.Ready == nil || used < from || used >= below {
			continue
		}
		free := s.MaxDisk.Value - s.Disk.Value
		found(storeName(s), fmt.Sprintf("%.1f %% used, %s free", used, render.Bytes(max(0, free))),
			call("pve_storage_content", map[string]any{"storage": s.Storage.Value, "node": s.Node.Value}))
	}
}

func findFull(f *facts, found found)    { fullness(f, found, full, 1000) }
func findFilling(f *facts, found found) { fullness(f, found, filling, full) }

func findOfflineStorages(f *facts, found found) {
	for _, s := range f.stores {
		var bad []string
		for _, n := range s.Nodes {
			if f.reports(n) && !s.UsableOn(n) {
				bad = append(bad, n)
			}
		}
		if bad != nil {
			found(storeName(s), "on "+render.List(bad), command("pvesm status --storage "+s.Storage.Value, rootOn(bad[0])))
		}
	}
}

func findFullRoots(f *facts, found found) {
	const most = 90
	for _, n := range f.nodes {
		if used, ok := percent(n.Disk, n.MaxDisk); ok && n.Status.Value == "online" && used >= most {
			found(n.name, fmt.Sprintf("%.1f %% used, %s free", used, render.Bytes(max(0, n.MaxDisk.Value-n.Disk.Value))), command("df -h /; du -xh --max-depth=2 / | sort -h | tail", rootOn(n.name)))
		}
	}
}
