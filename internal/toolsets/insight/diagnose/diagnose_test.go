package diagnose_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/testkit/live"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// fault is one that is planted, and the cause that is found for it.
type fault struct {
	name  string
	args  string
	wants string // the first cause
	sure  string
	plant []func(*pvesim.Model)
	wire  []string // a path and what it answers, in turn
}

// task plants a task of a guest.
func task(node, typ string, vmid int, exit string, log ...string) func(*pvesim.Model) {
	return func(m *pvesim.Model) {
		m.Tasks = append(m.Tasks, pvesim.PastTask{Node: node, Type: typ, ID: fmt.Sprint(vmid), User: "root@pam", Ago: time.Minute, Took: time.Second, Exit: exit, Log: log})
	}
}

// off stops a guest that would otherwise run.
func off(vmid int) func(*pvesim.Model) {
	return sim.Guest(vmid, func(g *pvesim.Guest) { g.Running = false })
}

func node(i int, change func(n *pvesim.Node)) func(*pvesim.Model) {
	return func(m *pvesim.Model) { change(&m.Nodes[i]) }
}

func storage(id string, change func(s *pvesim.Storage)) func(*pvesim.Model) {
	return func(m *pvesim.Model) {
		change(&m.Storages[slices.IndexFunc(m.Storages, func(s pvesim.Storage) bool { return s.ID == id })])
	}
}

const gib = int64(1) << 30

var faults = []fault{
	{name: "template", args: `{"vmid":900,"symptom":"does not start"}`, wants: "guest.template", sure: "certain"},
	{name: "suspended", args: `{"vmid":109}`, wants: "guest.suspended", sure: "certain"},
	{name: "stale lock", args: `{"vmid":107,"symptom":"locked"}`, wants: "guest.stale-lock", sure: "certain"},
	{name: "lock with a live task", args: `{"vmid":104,"symptom":"locked"}`, wants: "guest.locked", sure: "certain", plant: []func(*pvesim.Model){
		sim.Set(104, "lock=backup"), func(m *pvesim.Model) {
			m.Tasks = append(m.Tasks, pvesim.PastTask{Node: "pve1", Type: "vzdump", ID: "104", User: "root@pam", Ago: time.Minute, Took: time.Hour})
		}}},
	{name: "lock of a backup of all guests", args: `{"vmid":104,"symptom":"locked"}`, wants: "guest.locked", sure: "certain", plant: []func(*pvesim.Model){
		sim.Set(104, "lock=backup"), func(m *pvesim.Model) {
			m.Tasks = append(m.Tasks, pvesim.PastTask{Node: "pve1", Type: "vzdump", User: "root@pam", Ago: time.Minute, Took: time.Hour})
		}}},
	{name: "lock of a clone in the making", args: `{"vmid":104,"symptom":"locked"}`, wants: "guest.locked", sure: "certain", plant: []func(*pvesim.Model){
		sim.Set(104, "lock=clone"), func(m *pvesim.Model) {
			m.Tasks = append(m.Tasks, pvesim.PastTask{Node: "pve1", Type: "qmclone", ID: "900", User: "root@pam", Ago: time.Minute, Took: time.Hour})
		}}},
	{name: "paused", args: `{"vmid":108,"symptom":"does not answer"}`, wants: "guest.paused", sure: "certain"},
	{name: "disk error", args: `{"vmid":104}`, wants: "guest.io-error", sure: "certain", plant: []func(*pvesim.Model){sim.Guest(104, func(g *pvesim.Guest) { g.QMPStatus = "io-error" })}},
	{name: "crash", args: `{"vmid":104}`, wants: "guest.crashed", sure: "certain", plant: []func(*pvesim.Model){sim.Guest(104, func(g *pvesim.Guest) { g.QMPStatus = "guest-panicked" })}},
	{name: "no quorum", args: `{"vmid":105,"symptom":"does not start"}`, wants: "cluster.no-quorum", sure: "certain", plant: []func(*pvesim.Model){func(m *pvesim.Model) { m.NoQuorum = true }}},
	{name: "node down", args: `{"vmid":103,"symptom":"does not answer"}`, wants: "node.offline", sure: "certain", plant: []func(*pvesim.Model){sim.Offline("pve3")}},
	{name: "HA error", args: `{"vmid":103}`, wants: "ha.error", sure: "certain", plant: []func(*pvesim.Model){sim.Guest(103, func(g *pvesim.Guest) { g.HA = "error"; g.Running = false })}},
	{name: "HA keeps it off", args: `{"vmid":103,"symptom":"does not start"}`, wants: "ha.stopped", sure: "likely", plant: []func(*pvesim.Model){sim.Guest(103, func(g *pvesim.Guest) { g.HA = "stopped"; g.Running = false })}},
	{name: "storage inactive", args: `{"vmid":100}`, wants: "storage.inactive", sure: "certain", plant: []func(*pvesim.Model){storage("local-zfs", func(s *pvesim.Storage) { s.Broken = "zfs error: no such pool" })}},
	{name: "storage full", args: `{"vmid":100}`, wants: "storage.full", sure: "likely", plant: []func(*pvesim.Model){storage("local-zfs", func(s *pvesim.Storage) { s.Used = s.Size - gib })}},
	{name: "volume gone", args: `{"vmid":202,"symptom":"does not start"}`, wants: "volume.gone", sure: "certain", plant: []func(*pvesim.Model){off(202), func(m *pvesim.Model) { m.Missing = []string{"local-zfs:subvol-202-disk-0"} }}},
	{name: "ISO gone", args: `{"vmid":104,"symptom":"does not start"}`, wants: "image.gone", sure: "certain", plant: []func(*pvesim.Model){off(104), sim.Set(104, "ide2=local:iso/gone.iso,media=cdrom"), func(m *pvesim.Model) { m.Missing = []string{"local:iso/gone.iso"} }}},
	{name: "bridge gone", args: `{"vmid":104,"symptom":"does not start"}`, wants: "bridge.gone", sure: "certain", plant: []func(*pvesim.Model){off(104), sim.Set(104, "net0=virtio=BC:24:11:00:00:01,bridge=vmbr9")}},
	{name: "memory of the node", args: `{"vmid":104,"symptom":"does not start"}`, wants: "node.memory", sure: "likely", plant: []func(*pvesim.Model){off(104), node(0, func(n *pvesim.Node) { n.MemoryUsed = n.Memory - gib })}},
	{name: "no KVM", args: `{"vmid":104,"symptom":"does not start"}`, wants: "node.no-kvm", sure: "likely", plant: []func(*pvesim.Model){off(104), task("pve1", "qmstart", 104, "KVM virtualisation configured, but not available. Either disable in VM configuration or enable in BIOS.")}},
	{name: "CPU type", args: `{"vmid":104,"symptom":"does not start"}`, wants: "guest.cpu", sure: "likely", plant: []func(*pvesim.Model){off(104), task("pve1", "qmstart", 104, "start failed: QEMU exited with code 1", "kvm: warning: host doesn't support requested feature: CPUID.07H:EBX.avx2 [bit 5]")}},
	{name: "device in use", args: `{"vmid":104,"symptom":"does not start"}`, wants: "device.in-use", sure: "likely", plant: []func(*pvesim.Model){off(104), task("pve1", "qmstart", 104, "PCI device '0000:01:00.0' already in use by VMID '101'")}},
	{name: "device gone", args: `{"vmid":104,"symptom":"does not start"}`, wants: "device.gone", sure: "likely", plant: []func(*pvesim.Model){off(104), task("pve1", "qmstart", 104, "no pci device info for device '0000:01:00.0'")}},
	{name: "lock not got", args: `{"vmid":104,"symptom":"does not start"}`, wants: "task.lock", sure: "likely", plant: []func(*pvesim.Model){off(104), task("pve1", "qmstart", 104, "can't lock file '/var/lock/qemu-server/lock-104.conf' - got timeout")}},
	{name: "task that somebody ended", args: `{"vmid":104,"symptom":"does not finish"}`, wants: "task.ended", sure: "likely", plant: []func(*pvesim.Model){task("pve1", "qmclone", 104, "interrupted by signal")}},
	{name: "start that fails, by its log", args: `{"vmid":105,"symptom":"does not start"}`, wants: "volume.gone", sure: "likely"},
	{name: "unplugged", args: `{"vmid":104,"symptom":"no network"}`, wants: "nic.link-down", sure: "certain", plant: []func(*pvesim.Model){sim.Set(104, "net0=virtio=BC:24:11:00:00:01,bridge=vmbr0,link_down=1")}},
	{name: "no interface", args: `{"vmid":104,"symptom":"no network"}`, wants: "nic.none", sure: "certain", plant: []func(*pvesim.Model){sim.Set(104, "net0=")}},
	{name: "agent silent", args: `{"vmid":106,"symptom":"does not answer"}`, wants: "agent.silent", sure: "possible"},
	{name: "no address", args: `{"vmid":104,"symptom":"no network"}`, wants: "guest.no-address", sure: "likely", plant: []func(*pvesim.Model){sim.Guest(104, func(g *pvesim.Guest) { g.IPs = []string{"fe80::1/64"} })}},
	{name: "full inside", args: `{"vmid":104,"symptom":"slow"}`, wants: "guest.disk-full", sure: "likely", plant: []func(*pvesim.Model){sim.Guest(104, func(g *pvesim.Guest) {
		g.FileSystems = []pvesim.FileSystem{{Mount: "/", Type: "ext4", Total: 80 * gib, Used: 80 * gib}}
	})}},
	{name: "firewall", args: `{"vmid":104,"symptom":"no network"}`, wants: "firewall.drops", sure: "possible", plant: []func(*pvesim.Model){sim.Set(104, "net0=virtio=BC:24:11:00:00:01,bridge=vmbr0,firewall=1")},
		wire: []string{"/cluster/firewall/options", `{"enable":1}`, "/qemu/104/firewall/options", `{"enable":1}`}},
	{name: "pending", args: `{"vmid":104}`, wants: "guest.pending", sure: "possible", plant: []func(*pvesim.Model){sim.Guest(104, func(g *pvesim.Guest) { g.Pending = map[string]string{"memory": "16384"} })}},
	{name: "node waits for disks", args: `{"vmid":104,"symptom":"slow"}`, wants: "node.io-wait", sure: "likely", plant: []func(*pvesim.Model){node(0, func(n *pvesim.Node) { n.IOWait = 0.5 })}},
	{name: "node's CPUs", args: `{"node":"pve1","symptom":"slow"}`, wants: "node.cpu", sure: "likely", plant: []func(*pvesim.Model){node(0, func(n *pvesim.Node) { n.CPU = 1 })}},
	{name: "node's swap", args: `{"node":"pve1"}`, wants: "node.swap", sure: "likely", plant: []func(*pvesim.Model){node(0, func(n *pvesim.Node) { n.Swap, n.SwapUsed = 8*gib, 8*gib })}},
	{name: "node's root", args: `{"node":"pve1"}`, wants: "node.root-full", sure: "likely", plant: []func(*pvesim.Model){node(0, func(n *pvesim.Node) { n.RootUsed = n.Disk })}},
	{name: "node's service", args: `{"node":"pve1"}`, wants: "node.service", sure: "certain", plant: []func(*pvesim.Model){node(0, func(n *pvesim.Node) { n.FailedServices = []string{"pvescheduler"} })}},
	{name: "node's pool", args: `{"node":"pve1"}`, wants: "node.zfs", sure: "likely", plant: []func(*pvesim.Model){node(0, func(n *pvesim.Node) { n.Pools = []pvesim.ZPool{{Name: "rpool", State: "DEGRADED"}} })}},
	{name: "node that is down", args: `{"node":"pve3"}`, wants: "node.offline", sure: "certain", plant: []func(*pvesim.Model){sim.Offline("pve3")}},
	{name: "node that does not report", args: `{"node":"pve3"}`, wants: "node.status-hangs", sure: "certain", plant: []func(*pvesim.Model){node(2, func(n *pvesim.Node) { n.StatusHangs = true })}},
	{name: "storage away", args: `{"storage":"nfs"}`, wants: "storage.inactive", sure: "certain", plant: []func(*pvesim.Model){storage("nfs", func(s *pvesim.Storage) { s.Broken = "mount error" })}},
	{name: "storage that is full", args: `{"storage":"nfs"}`, wants: "storage.full", sure: "certain", plant: []func(*pvesim.Model){storage("nfs", func(s *pvesim.Storage) { s.Used = s.Size })}},
}

// world makes a cluster with a fault.
func (f fault) world(t *testing.T, version, token string) *sim.World {
	m := sim.Cluster(append(slices.Clone(f.plant), sim.Version(version))...)
	return sim.New(t, sim.Options{Model: m, Token: token, Wire: func(rt http.RoundTripper) http.RoundTripper {
		for i := 0; i+1 < len(f.wire); i += 2 {
			rt = sim.Answers(f.wire[i], f.wire[i+1])(rt)
		}
		return rt
	}})
}

// causesIn are the ids of the causes of an answer.
func causesIn(a sim.Answer) (ids []string) {
	list, _ := a.Fields["causes"].([]any)
	for _, c := range list {
		c := c.(map[string]any)
		ids = append(ids, fmt.Sprint(c["id"], " ", c["confidence"]))
	}
	return ids
}

// Each fault is found, first of all, with few requests and in a short answer.
func TestPlantedFaults(t *testing.T) {
	if live.Wanted() {
		t.Skip(live.NoStory)
	}
	for _, version := range []string{"8.4.1", "9.2.0"} {
		for _, f := range faults {
			t.Run(f.name+" on "+version, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := f.world(t, version, "root@pam!full")
					a := w.Call("pve_diagnose", f.args)
					if ids := causesIn(a); a.IsError || len(ids) == 0 || ids[0] != f.wants+" "+f.sure {
						t.Errorf("%q, want %s %s: %s", ids, f.wants, f.sure, a.Text)
					}
					if sent := w.Sent(); len(sent) > 17 || len(a.Text) > 6000 {
						t.Errorf("%d requests, %d bytes:\n%s", len(sent), len(a.Text), strings.Join(sent, "\n"))
					}
				})
			})
		}
	}
}

// Nothing is found on a guest, a node and a storage that are well, whatever is asked, with
// any token. What the token cannot see is named.
func TestNothingIsFoundOnTheHealthy(t *testing.T) {
	if live.Wanted() {
		t.Skip(live.NoStory)
	}
	for _, version := range []string{"8.4.1", "9.2.0"} {
		for _, token := range []string{"root@pam!full", "audit@pve!mcp", "ops@pve!mcp", "none@pve!mcp"} {
			t.Run(token+" on "+version, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := sim.New(t, sim.Options{Token: token, Model: sim.Cluster(sim.Version(version), sim.Grant("/pool/web", "PVEVMUser"))})
					for _, s := range []string{"", "does not start", "does not answer", "no network", "slow", "locked", "does not finish"} {
						for _, what := range []string{`"vmid":100`, `"vmid":200`} {
							a := w.Call("pve_diagnose", fmt.Sprintf(`{%s,"symptom":%q}`, what, s))
							if ids := causesIn(a); a.IsError || len(ids) > 0 {
								t.Errorf("%s %q: %s", what, s, a.Text)
							}
							weak := token == "none@pve!mcp"
							if blind := a.Fields["blind"]; (blind == nil) == weak && !strings.Contains(a.Text, "VM.Monitor on /vms/100") {
								t.Errorf("%s %q: blind %v", what, s, blind)
							}
						}
					}
					if token == "none@pve!mcp" {
						return
					}
					for _, what := range []string{`{"node":"pve1"}`, `{"storage":"nfs"}`} {
						if a := w.Call("pve_diagnose", what); a.IsError || len(causesIn(a)) > 0 {
							t.Errorf("%s: %s", what, a.Text)
						}
					}
				})
			})
		}
	}
}

// A token that may not see disks is not told that they are gone.
func TestUnseenIsNotGone(t *testing.T) {
	if live.Wanted() {
		t.Skip(live.NoStory)
	}
	synctest.Test(t, func(t *testing.T) {
		f := fault{plant: []func(*pvesim.Model){off(104)}}
		a := f.world(t, "9.2.0", "audit@pve!mcp").Call("pve_diagnose", `{"vmid":104,"symptom":"does not start"}`)
		if a.IsError || len(causesIn(a)) > 0 || !strings.Contains(a.Text, "VM.Config.Disk on /vms/104") {
			t.Error(a.Text)
		}
	})
}

// What was asked about a task, and what is refused.
func TestTasksAndArguments(t *testing.T) {
	if live.Wanted() {
		t.Skip(live.NoStory)
	}
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{Token: "root@pam!full"})
		list := w.Call("pve_list_tasks", `{"type":"vzdump","node":"pve3","errors":true,"limit":1}`)
		upid := list.Fields["tasks"].([]any)[0].(map[string]any)["upid"]
		if ids := causesIn(w.Call("pve_diagnose", fmt.Sprintf(`{"upid":%q}`, upid))); len(ids) != 1 || ids[0] != "storage.full likely" {
			t.Errorf("a backup that failed: %q", ids)
		}
		for _, args := range []string{`{}`, `{"vmid":100,"node":"pve1"}`, `{"storage":"nowhere"}`, `{"node":"pve9"}`, `{"vmid":100,"symptom":"odd"}`} {
			if a := w.Call("pve_diagnose", args); !a.IsError {
				t.Errorf("%s: %s", args, a.Text)
			}
		}
	})
}
