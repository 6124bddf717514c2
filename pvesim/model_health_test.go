package pvesim_test

import (
	"strings"
	"testing"
	"time"

	"github.com/pve-mcp/pve-mcp/pvesim"
)

// knob is a fault of a model, and what shows it: an answer, without the fault and with it.
type knob struct {
	name      string
	plant     func(m *pvesim.Model)
	ask       string
	well, ill string
}

// Every fault shows where PVE would show it, and without it the answer is another one. What
// was planted is saved.
func TestKnobs(t *testing.T) {
	for _, knobs := range [][]knob{nodeKnobs, diskKnobs, guestKnobs, otherKnobs} {
		for _, k := range knobs {
			t.Run(k.name, func(t *testing.T) {
				well, m := newWorld(t, pvesim.Cluster()), pvesim.Cluster()
				k.plant(&m)
				ill := newWorld(t, m)
				for w, want := range map[*world]string{well: k.well, ill: k.ill, ill.loaded(0): k.ill} {
					if got := w.answer("GET", k.ask); got != want && !(strings.HasSuffix(want, "…") && strings.HasPrefix(got, strings.TrimSuffix(want, "…"))) {
						t.Errorf("%s\n     => %s\nwant => %s", k.ask, got, want)
					}
				}
			})
		}
	}
}

// The first node of the cluster, to which the faults of nodes happen.
func node(change func(*pvesim.Node)) func(*pvesim.Model) {
	return func(m *pvesim.Model) { change(&m.Nodes[0]) }
}

var nodeKnobs = []knob{
	{"ClockAhead", node(func(n *pvesim.Node) { n.ClockAhead = 90 * time.Second }), "/nodes/pve1/time#time", "1.7953488e+09", "1.79534889e+09"},
	{"RunningKernel", node(func(n *pvesim.Node) { n.RunningKernel = "6.8.12-4-pve" }), "/nodes/pve1/status#current-kernel#release", "6.14.11-2-pve", "6.8.12-4-pve"},
	{"RunningKernel in versions", node(func(n *pvesim.Node) { n.RunningKernel = "6.8.12-4-pve" }), "/nodes/pve1/apt/versions#proxmox-ve#RunningKernel", "6.14.11-2-pve", "6.8.12-4-pve"},
	{"RunningKernel, installed", node(func(n *pvesim.Node) { n.RunningKernel = "6.8.12-4-pve" }), "/nodes/pve1/apt/versions#proxmox-kernel-6.8.12-4-pve-signed#Version", "null", "6.8.12-4"},
	{"PVE", node(func(n *pvesim.Node) { n.PVE = "8.4.14" }), "/nodes/pve1/version#version", "9.0.11", "8.4.14"},
	{"FailedServices", node(func(n *pvesim.Node) { n.FailedServices = []string{"pvestatd"} }), "/nodes/pve1/services#pvestatd#active-state", "active", "failed"},
	{"Stopped", node(func(n *pvesim.Node) { n.Stopped = []string{"pvestatd"} }), "/nodes/pve1/services#pvestatd#state", "running", "dead"},
	{"Updates", node(func(n *pvesim.Node) { n.Updates = map[string]string{"pve-manager": "9.0.12"} }), "/nodes/pve1/apt/update#pve-manager#Version", "null", "9.0.12"},
	{"Offline", func(m *pvesim.Model) { m.Nodes[2].Offline = true }, "/cluster/resources?type=node#node/pve3#status", "online", "offline"},
	{"StatusHangs", func(m *pvesim.Model) { m.Nodes[2].StatusHangs = true }, "/cluster/resources?type=node#node/pve3#status", "online", "unknown"},
	{"StatusHangs, guests", func(m *pvesim.Model) { m.Nodes[2].StatusHangs = true }, "/cluster/resources?type=vm#lxc/202#status", "running", "unknown"},
	{"StatusHangs, storages", func(m *pvesim.Model) { m.Nodes[2].StatusHangs = true }, "/cluster/resources?type=storage#storage/pve3/nfs#status", "available", "unknown"},
	{"Maintenance", node(func(n *pvesim.Node) { n.Maintenance = true }), "/cluster/ha/status/manager_status#lrm_status#pve1#mode", "active", "maintenance"},
	{"Maintenance, to the manager", node(func(n *pvesim.Node) { n.Maintenance = true }), "/cluster/ha/status/manager_status#manager_status#node_status#pve1", "online", "maintenance"},
	{"Offline, to HA", func(m *pvesim.Model) { m.Nodes[2].Offline = true }, "/cluster/ha/status/manager_status#manager_status#node_status#pve3", "online", "unknown"},
	{"Fenced", func(m *pvesim.Model) { m.Nodes[2].Offline, m.Nodes[2].Fenced = true, true }, "/cluster/ha/status/manager_status#manager_status#node_status#pve3", "online", "fence"},
	{"NoQuorum", func(m *pvesim.Model) { m.NoQuorum = true }, "/cluster/status#cluster#quorate", "1", "0"},
	{"NoQuorum, to HA", func(m *pvesim.Model) { m.NoQuorum = true }, "/cluster/ha/status/current#quorum#quorate", "1", "0"},
	{"CPU", node(func(n *pvesim.Node) { n.CPU = 1 }), "/nodes/pve1/status#cpu", "0.0…", "1"},
	{"IOWait", node(func(n *pvesim.Node) { n.IOWait = 0.4 }), "/nodes/pve1/status#wait", "0.00…", "0.4"},
	{"MemoryUsed", node(func(n *pvesim.Node) { n.MemoryUsed = n.Memory }), "/nodes/pve1/status#memory#free", "1.2…", "0"},
	{"SwapUsed", node(func(n *pvesim.Node) { n.Swap, n.SwapUsed = 8, 8 }), "/nodes/pve1/status#swap#used", "0", "8"},
	{"RootUsed", node(func(n *pvesim.Node) { n.RootUsed = n.Disk }), "/nodes/pve1/status#rootfs#avail", "7.5698798593e+10", "0"},
}

// disks gives the first node one disk.
func disks(d pvesim.Disk) func(*pvesim.Model) {
	return node(func(n *pvesim.Node) { n.Disks = []pvesim.Disk{d} })
}

// pool changes the ZFS pool of the first node.
func pool(p pvesim.ZPool) func(*pvesim.Model) {
	p.Name = "rpool"
	return node(func(n *pvesim.Node) { n.Pools = []pvesim.ZPool{p} })
}

// storage changes one.
func storage(id string, change func(*pvesim.Storage)) func(*pvesim.Model) {
	return func(m *pvesim.Model) {
		for i := range m.Storages {
			if m.Storages[i].ID == id {
				change(&m.Storages[i])
			}
		}
	}
}

// thin makes the storage local-zfs a thin pool.
func thin(s *pvesim.Storage) { s.Type = "lvmthin" }

var diskKnobs = []knob{
	{"Disk.Health", disks(pvesim.Disk{Path: "/dev/nvme0n1", Health: "FAILED!"}), "/nodes/pve1/disks/list#/dev/nvme0n1#health", "PASSED", "FAILED!"},
	{"Disk.Wear", disks(pvesim.Disk{Path: "/dev/nvme0n1", Wear: 97}), "/nodes/pve1/disks/list#/dev/nvme0n1#wearout", "9…", "3"},
	{"Disk.Wear, as smartctl says it", disks(pvesim.Disk{Path: "/dev/nvme0n1", Wear: 97}), "/nodes/pve1/disks/smart?disk=/dev/nvme0n1#wearout", "9…", "3"},
	{"Disk.NoSMART", disks(pvesim.Disk{Path: "/dev/nvme0n1", NoSMART: true}), "/nodes/pve1/disks/list#/dev/nvme0n1#health", "PASSED", "UNKNOWN"},
	{"skipsmart", disks(pvesim.Disk{Path: "/dev/sda", Health: "FAILED!"}), "/nodes/pve1/disks/list?skipsmart=1#/dev/sda#health", "null", "UNKNOWN"},
	{"Disk.Reallocated", disks(pvesim.Disk{Path: "/dev/sda", Reallocated: 95}), "/nodes/pve1/disks/smart?disk=/dev/sda#attributes#Reallocated_Sector_Ct#fail", "500 not a valid block device", "NOW"},
	{"Disk.Pending", disks(pvesim.Disk{Path: "/dev/sda", Pending: 8}), "/nodes/pve1/disks/smart?disk=/dev/sda#attributes#Current_Pending_Sector#raw", "500 not a valid block device", "8"},
	{"Disk.Used", disks(pvesim.Disk{Path: "/dev/sda", Used: "LVM"}), "/nodes/pve1/disks/list#/dev/sda#used", "null", "LVM"},
	{"ZPool.State", pool(pvesim.ZPool{State: "DEGRADED"}), "/nodes/pve1/disks/zfs#rpool#health", "ONLINE", "DEGRADED"},
	{"ZPool.State, in detail", pool(pvesim.ZPool{State: "DEGRADED"}), "/nodes/pve1/disks/zfs/rpool#children#rpool#children#mirror-0#state", "ONLINE", "DEGRADED"},
	{"ZPool.ScrubErrors", pool(pvesim.ZPool{ScrubErrors: 3}), "/nodes/pve1/disks/zfs/rpool#scan", "scrub repaired 0B in 00:12:07 with 0 errors on Sun Nov 22 00:36:00 2026", "scrub repaired 0B in 00:12:07 with 3 errors on Sun Nov 22 00:36:00 2026"},
	{"ZPool.Scrubbed", pool(pvesim.ZPool{Scrubbed: 90 * 24 * time.Hour}), "/nodes/pve1/disks/zfs/rpool#scan", "scrub repaired 0B in 00:12:07 with 0 errors on Sun Nov 22 00:36:00 2026", "scrub repaired 0B in 00:12:07 with 0 errors on Mon Aug 24 12:00:00 2026"},
	{"ZPool.NeverScrubbed", pool(pvesim.ZPool{NeverScrubbed: true}), "/nodes/pve1/disks/zfs/rpool#scan", "scrub…", "null"},
	{"ZPool.Errors", pool(pvesim.ZPool{Errors: "2 data errors, use '-v' for a list"}), "/nodes/pve1/disks/zfs/rpool#errors", "No known data errors", "2 data errors, use '-v' for a list"},
	{"Storage.Used", storage("nfs", func(s *pvesim.Storage) { s.Used = s.Size }), "/nodes/pve1/storage/nfs/status#avail", "7.40…", "0"},
	{"Storage.UsedOn", storage("local", func(s *pvesim.Storage) { s.UsedOn = map[string]int64{"pve2": s.Size} }), "/cluster/resources#storage/pve2/local#disk", "3.32…", "1.00…"},
	{"Storage.Broken", storage("nfs", func(s *pvesim.Storage) { s.Broken = "storage 'nfs' is not online" }), "/nodes/pve1/storage#nfs#active", "1", "0"},
	{"Storage.BrokenOn", storage("nfs", func(s *pvesim.Storage) { s.BrokenOn = map[string]string{"pve2": "storage 'nfs' is not online"} }), "/nodes/pve2/storage#nfs#active", "1", "0"},
	{"Storage.BrokenOn, in resources", storage("nfs", func(s *pvesim.Storage) { s.BrokenOn = map[string]string{"pve2": "x"} }), "/cluster/resources#storage/pve2/nfs#status", "available", "unknown"},
	{"Storage.BrokenOn, its content", storage("nfs", func(s *pvesim.Storage) { s.BrokenOn = map[string]string{"pve2": "storage 'nfs' is not online"} }), "/nodes/pve2/storage/nfs/content?content=iso", "[]", "500 storage 'nfs' is not online"},
	{"Storage.BrokenOn, not elsewhere", storage("nfs", func(s *pvesim.Storage) { s.BrokenOn = map[string]string{"pve2": "x"}; s.Used = s.Size }), "/nodes/pve1/storage#nfs#used_fraction", "0.8275", "1"},
	{"Storage.MetadataOn", storage("local-zfs", func(s *pvesim.Storage) { thin(s); s.MetadataOn = map[string]float64{"pve1": 0.5} }), "/nodes/pve1/disks/lvmthin#data#metadata_used", "null", "4.831838208e+09"},
	{"Missing", func(m *pvesim.Model) { m.Missing = []string{"local-zfs:vm-105-disk-0"} }, "/nodes/pve3/storage/local-zfs/content#local-zfs:vm-105-disk-0#vmid", "105", "null"},
}

// guest changes one.
func guest(id int, change func(*pvesim.Guest)) func(*pvesim.Model) {
	return func(m *pvesim.Model) {
		for i := range m.Guests {
			if m.Guests[i].VMID == id {
				change(&m.Guests[i])
			}
		}
	}
}

// fails changes the state of a replication job of VM 104.
func fails(r pvesim.Replication) func(*pvesim.Model) {
	r.ID, r.Target = "104-0", "pve2"
	return func(m *pvesim.Model) { m.Replications = []pvesim.Replication{r} }
}

// task adds one to the history of the first node.
func task(t pvesim.PastTask) func(*pvesim.Model) {
	t.Node, t.User = "pve1", "root@pam"
	return func(m *pvesim.Model) { m.Tasks = append(m.Tasks, t) }
}

var guestKnobs = []knob{
	{"lock", guest(100, func(g *pvesim.Guest) { g.Config["lock"] = "backup" }), "/nodes/pve1/qemu/100/status/current#lock", "null", "backup"},
	{"QMPStatus", guest(100, func(g *pvesim.Guest) { g.QMPStatus = "io-error" }), "/nodes/pve1/qemu/100/status/current#qmpstatus", "running", "io-error"},
	{"AgentDead", guest(100, func(g *pvesim.Guest) { g.AgentDead = true }), "/nodes/pve1/qemu/100/agent/get-host-name#result#host-name", "web-1", "500 QEMU guest agent is not running"},
	{"AgentHangs", guest(100, func(g *pvesim.Guest) { g.AgentHangs = true }), "/nodes/pve1/qemu/100/agent/get-host-name#result#host-name", "web-1", "500 VM 100 qga command 'guest-get-host-name' failed - got timeout"},
	{"AgentBlocks", guest(100, func(g *pvesim.Guest) { g.AgentBlocks = []string{"get-host-name"} }), "/nodes/pve1/qemu/100/agent/get-host-name#result#error#desc", "null", "Command guest-get-host-name has been disabled"},
	{"AgentBlocks, files", guest(100, func(g *pvesim.Guest) { g.AgentBlocks = []string{"file-read"} }), "/nodes/pve1/qemu/100/agent/file-read?file=/etc/hostname#content", "web-1\n", "500 Agent error: Command guest-file-read has been disabled"},
	{"FileSystems", guest(100, func(g *pvesim.Guest) { g.FileSystems = []pvesim.FileSystem{{Mount: "/", Total: 100, Used: 99}} }), "/nodes/pve1/qemu/100/agent/get-fsinfo#result#sda1#used-bytes", "1.37…", "99"},
	{"Pressure", guest(100, func(g *pvesim.Guest) { g.Pressure = map[string]float64{"iofull": 42} }), "/nodes/pve1/qemu/100/status/current#pressureiofull", "0", "42"},
	{"HA", guest(103, func(g *pvesim.Guest) { g.HA = "error" }), "/cluster/ha/status/current#service:vm:103#state", "started", "error"},
	{"HA, to the manager", guest(103, func(g *pvesim.Guest) { g.HA = "fence" }), "/cluster/ha/status/manager_status#manager_status#service_status#vm:103#state", "started", "fence"},
	{"Snapshot.Phase", guest(104, func(g *pvesim.Guest) { g.Snapshots = []pvesim.Snapshot{{Name: "old", Phase: "delete"}} }), "/nodes/pve1/qemu/104/snapshot#old#snapstate", "null", "delete"},
	{"Snapshot.VMState", guest(104, func(g *pvesim.Guest) {
		g.Snapshots = []pvesim.Snapshot{{Name: "old", VMState: "local-zfs:vm-104-state-old"}}
	}), "/nodes/pve1/qemu/104/snapshot#old#vmstate", "null", "1"},
}

var otherKnobs = []knob{
	{"Bridges", node(func(n *pvesim.Node) { n.Bridges = []string{"vmbr1"} }), "/nodes/pve1/network#vmbr1#type", "null", "bridge"},
	{"Devices", node(func(n *pvesim.Node) { n.Devices = []pvesim.Device{{ID: "0000:01:00.0", Class: "0x030000", Name: "T4"}} }), "/nodes/pve1/hardware/pci#0000:01:00.0#device_name", "null", "T4"},
	{"Subscription", node(func(n *pvesim.Node) { n.Subscription = pvesim.Subscription{Status: "expired"} }), "/nodes/pve1/subscription#status", "notfound", "expired"},
	{"Repository", node(func(n *pvesim.Node) { n.Repository = "enterprise" }), "/nodes/pve1/apt/repositories#standard-repos#enterprise#status", "null", "1"},
	{"CertificateLeft", node(func(n *pvesim.Node) { n.CertificateLeft = 48 * time.Hour }), "/nodes/pve1/certificates/info#pve-ssl.pem#notafter", "1.8…", "1.7955216e+09"},
	{"Replication.Error", fails(pvesim.Replication{Fails: 3, Error: "no tunnel IP received", Tried: time.Minute}), "/nodes/pve1/replication#104-0#error", "null", "no tunnel IP received"},
	{"Replication.Fails", fails(pvesim.Replication{Fails: 3, Error: "no tunnel IP received", Tried: time.Minute}), "/nodes/pve1/replication#104-0#fail_count", "null", "3"},
	{"Replication.Synced", fails(pvesim.Replication{Synced: 48 * time.Hour, Tried: time.Minute}), "/nodes/pve1/replication#104-0#last_sync", "null", "1.795176e+09"},
	{"PastTask", task(pvesim.PastTask{Type: "vzdump", Ago: time.Hour, Took: time.Minute, Exit: "job errors"}), "/nodes/pve1/tasks?typefilter=vzdump&errors=1#vzdump#status", "null", "job errors"},
	{"PastTask that runs", task(pvesim.PastTask{Type: "qmigrate", ID: "100", Ago: time.Hour, Took: 2 * time.Hour}), "/nodes/pve1/tasks?source=active#qmigrate#status", "null", "RUNNING"},
	{"Lease", func(m *pvesim.Model) { m.Leases = []pvesim.Lease{{Zone: "z", VNet: "v", IP: "10.9.0.4", VMID: 100}} }, "/cluster/sdn/ipams/pve/status#10.9.0.4#vmid", "null", "100"},
	{"Token.Expire", func(m *pvesim.Model) { m.Tokens[1].Expire = 2000000000 }, "/access/users?full=1#ops@pve#tokens#mcp#expire", "0", "2e+09"},
	{"Token.PrivSep", func(m *pvesim.Model) { m.Tokens[1].PrivSep = false }, "/access/users?full=1#ops@pve#tokens#mcp#privsep", "1", "0"},
	{"ACL", func(m *pvesim.Model) { m.ACL = []pvesim.ACL{{Path: "/", Who: "none@pve", Role: "Administrator"}} }, "/access/acl#none@pve#roleid", "null", "Administrator"},
	{"Volume.Verification", func(m *pvesim.Model) {
		m.Volumes = []pvesim.Volume{{ID: "pbs:backup/vm/100/2026-11-22T00:00:00Z", Content: "backup", VMID: 100, Verification: "failed"}}
	}, "/nodes/pve1/storage/pbs/content#pbs:backup/vm/100/2026-11-22T00:00:00Z#verification#state", "null", "failed"},
}
