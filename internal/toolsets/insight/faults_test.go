package insight_test

import (
	"fmt"
	"slices"
	"time"

	"github.com/pve-mcp/pve-mcp/pvesim"
)

// fault is something that is wrong.
type fault struct {
	name  string
	nodes int // at least
	// hides says that others cannot be seen beside it.
	hides bool
	// clashes names what two faults cannot both be about.
	clashes string
	plant   func(p *planter)
}

func faults() []fault {
	return slices.Concat(nodeFaults(), updateFaults(), loadFaults(), guestFaults(), settingFaults(), haFaults(), snapshotFaults(),
		backupFaults(), storageFaults(), diskFaults(), leftFaults(), otherFaults(), unusualFaults())
}

func nodeFaults() []fault {
	return []fault{
		{name: "no quorum", nodes: 3, hides: true, plant: func(p *planter) {
			p.NoQuorum = true
			p.want("cluster.no-quorum", "cluster sized", "quorum", nil, "root")
		}},
		{name: "a node is offline", nodes: 3, hides: true, plant: func(p *planter) {
			i := 1 + p.r.IntN(len(p.Nodes)-1)
			p.Nodes[i].Offline, p.Nodes[i].Silent = true, time.Hour
			p.want("node.offline", p.Nodes[i].Name, "", nil, "any")
		}},
		{name: "a node was fenced", nodes: 3, hides: true, plant: func(p *planter) {
			i := 1 + p.r.IntN(len(p.Nodes)-1)
			p.Nodes[i].Offline, p.Nodes[i].Fenced, p.Nodes[i].Silent = true, true, time.Hour
			p.want("node.offline", p.Nodes[i].Name, "", nil, "any")
		}},
		{name: "the status daemon hangs", nodes: 3, hides: true, plant: func(p *planter) {
			i := p.node()
			p.Nodes[i].StatusHangs = true
			p.want("node.silent", p.Nodes[i].Name, "", nil, "any")
		}},
		{name: "maintenance", nodes: 3, plant: func(p *planter) {
			i := p.node()
			p.HAUsed, p.Nodes[i].Maintenance = true, true
			p.want("node.maintenance", p.Nodes[i].Name, "", nil, "any")
		}},
		{name: "a clock is ahead", plant: func(p *planter) { clock(p, 90*time.Second) }},
		{name: "a clock is far behind", nodes: 3, plant: func(p *planter) { clock(p, -20*time.Minute) }},
		{name: "a clock is a little off", nodes: 1, plant: func(p *planter) { p.Nodes[p.node()].ClockAhead = 3 * time.Second }},
		{name: "a service failed", plant: func(p *planter) {
			i := p.node()
			p.Nodes[i].FailedServices = []string{"pvescheduler"}
			p.want("node.service-failed", p.Nodes[i].Name, "services", nil, "node")
		}},
		{name: "a service was stopped", plant: func(p *planter) {
			i := p.node()
			p.Nodes[i].Stopped = []string{"pvestatd"}
			p.want("node.service-failed", p.Nodes[i].Name, "services", nil, "node")
		}},
	}
}

func updateFaults() []fault {
	return []fault{
		{name: "a node has an older version", nodes: 3, plant: func(p *planter) {
			i := p.node()
			p.Nodes[i].PVE = p.PVE[:1] + ".0.4"
			p.want("node.versions-differ", p.Nodes[i].Name, "versions", nil, "node")
		}},
		{name: "a node was not rebooted", plant: func(p *planter) {
			i := p.node()
			p.Nodes[i].RunningKernel = "6.8.4-2-pve"
			p.want("node.reboot-needed", p.Nodes[i].Name, "versions", nil, "node")
		}},
		{name: "updates wait", plant: func(p *planter) {
			i := p.node()
			p.Nodes[i].Updates = map[string]string{"openssl": "3.0.17-1", "pve-qemu-kvm": "10.9.9-1"}
			p.want("node.updates", p.Nodes[i].Name, "updates", nil, "modify")
		}},
		{name: "a subscription has expired", nodes: 1, plant: func(p *planter) {
			for i := range p.Nodes {
				p.Nodes[i].Subscription = pvesim.Subscription{Status: "active", Level: "c", NextDue: "2099-01-01"}
			}
			i := p.node()
			p.Nodes[i].Subscription = pvesim.Subscription{Status: "expired", Level: "c", NextDue: "1999-01-01"}
			p.want("subscription.expired", p.Nodes[i].Name, "", nil, "any")
		}, clashes: "subscription"},
		{name: "one node has no subscription", nodes: 3, plant: func(p *planter) {
			for i := range p.Nodes {
				p.Nodes[i].Subscription = pvesim.Subscription{Status: "active", Level: "b", NextDue: "2099-01-01"}
			}
			i := p.node()
			p.Nodes[i].Subscription = pvesim.Subscription{}
			p.want("subscription.differs", p.Nodes[i].Name, "", nil, "any")
		}, clashes: "subscription"},
		{name: "a certificate has expired", plant: func(p *planter) {
			i := p.node()
			p.Nodes[i].CertificateLeft = -2 * day
			p.want("certificate.expired", "pve-ssl.pem of "+p.Nodes[i].Name, "", nil, "any")
		}},
		{name: "a certificate expires", plant: func(p *planter) {
			i := p.node()
			p.Nodes[i].CertificateLeft = 9 * day
			p.want("certificate.expiring", "pve-ssl.pem of "+p.Nodes[i].Name, "", nil, "any")
		}},
		{name: "a certificate that is good for weeks", plant: func(p *planter) { p.Nodes[p.node()].CertificateLeft = 45 * day }},
	}
}

func loadFaults() []fault {
	return []fault{
		{name: "memory is full", plant: func(p *planter) {
			i := p.node()
			p.Nodes[i].MemoryUsed = p.Nodes[i].Memory * 97 / 100
			p.want("node.memory-full", p.Nodes[i].Name, "use of nodes", nil, "node")
		}},
		{name: "the CPUs are busy", plant: func(p *planter) {
			i := p.node()
			p.Nodes[i].CPU = 0.99
			p.want("node.cpu-busy", p.Nodes[i].Name, "use of nodes", nil, "node")
		}},
		{name: "the root file system is full", plant: func(p *planter) {
			i := p.node()
			p.Nodes[i].RootUsed = p.Nodes[i].Disk * 96 / 100
			p.want("node.root-full", p.Nodes[i].Name, "use of nodes", nil, "node")
		}},
		{name: "memory is overcommitted", plant: func(p *planter) {
			i := p.node()
			here := p.on(p.Nodes[i].Name)
			for _, g := range here {
				g.Config["memory"] = fmt.Sprint((p.Nodes[i].Memory >> 20) * 11 / 10 / int64(len(here)))
			}
			p.want("node.memory-overcommitted", p.Nodes[i].Name, "use of nodes", nil, "node")
		}, clashes: "memory", hides: true},
		{name: "CPUs are overcommitted", plant: func(p *planter) {
			i := p.node()
			here := p.on(p.Nodes[i].Name)
			for _, g := range here {
				g.Config["cores"] = fmt.Sprint(p.Nodes[i].CPUs * 5 / len(here))
				g.Load = 0.01
			}
			p.want("node.cpu-overcommitted", p.Nodes[i].Name, "use of nodes", nil, "node")
		}, hides: true},
	}
}

func clock(p *planter, ahead time.Duration) {
	i := p.node()
	p.Nodes[i].ClockAhead = ahead
	p.want("node.clock", p.Nodes[i].Name, "clocks", nil, "node")
}

func guestFaults() []fault {
	var out []fault
	for _, lock := range []string{"backup", "clone", "create", "migrate", "rollback", "snapshot", "snapshot-delete", "suspending"} {
		out = append(out, fault{name: "a dead lock: " + lock, plant: func(p *planter) {
			g := p.vm()
			g.Config["lock"] = lock
			p.want("guest.stale-lock", name(g), "tasks that run", g, "guest", "root")
		}})
	}
	state := func(what, status, id string) fault {
		return fault{name: what, plant: func(p *planter) {
			g := p.vm()
			g.QMPStatus = status
			p.want(id, name(g), "", g, "guest")
		}}
	}
	return append(out,
		state("a VM is paused", "paused", "guest.paused"),
		state("a VM has no room to write", "io-error", "guest.io-error"),
		state("a VM has crashed", "internal-error", "guest.crashed"),
		state("a VM has panicked", "guest-panicked", "guest.crashed"),
		fault{name: "a VM sleeps", plant: func(p *planter) { p.vm().QMPStatus = "suspended" }},
		fault{name: "a VM is suspended to disk", plant: func(p *planter) {
			g := p.vm()
			g.Running, g.Config["lock"] = false, "suspended"
		}},
		fault{name: "a dead lock of a container", plant: func(p *planter) {
			g := p.ct()
			g.Config["lock"] = "snapshot-delete"
			p.want("guest.stale-lock", name(g), "tasks that run", g, "guest", "root")
		}},
		fault{name: "a lock whose task runs", plant: func(p *planter) {
			g := p.vm()
			g.Config["lock"] = "migrate"
			p.Tasks = append(p.Tasks, pvesim.PastTask{Node: g.Node, Type: "qmigrate", ID: fmt.Sprint(g.VMID), User: "root@pam", Ago: time.Minute, Took: time.Hour, Exit: "OK"})
		}},
		fault{name: "a copy in the making", plant: func(p *planter) {
			g, original := p.vm(), p.vm()
			g.Config["lock"] = "clone"
			p.Tasks = append(p.Tasks, pvesim.PastTask{Node: g.Node, Type: "qmclone", ID: fmt.Sprint(original.VMID), User: "root@pam", Ago: time.Minute, Took: time.Hour, Exit: "OK"})
		}},
		fault{name: "two dead locks", plant: func(p *planter) {
			for range 2 {
				g := p.running()
				g.Config["lock"] = "backup"
				p.want("guest.stale-lock", name(g), "tasks that run", g, "guest", "root")
			}
		}},
	)
}

func settingFaults() []fault {
	return []fault{
		{name: "onboot is off", plant: func(p *planter) {
			g := p.running()
			delete(g.Config, "onboot")
			p.want("guest.onboot-off", name(g), "", g, "guest")
		}},
		{name: "a parked guest", plant: func(p *planter) {
			g := p.running()
			delete(g.Config, "onboot")
			g.Running = false
			p.backup(g).Age = 300 * day
		}},
		{name: "an agent is dead", plant: func(p *planter) {
			g := p.vm()
			g.AgentDead = true
			p.want("guest.no-agent", name(g), "agents", g, "guest", "agent")
		}},
		{name: "a VM without an agent", plant: func(p *planter) {
			g := p.vm()
			delete(g.Config, "agent")
		}},
	}
}

func haFaults() []fault {
	return []fault{
		{name: "HA has given up", nodes: 3, plant: func(p *planter) {
			g := p.running()
			g.HA = "error"
			p.want("ha.error", name(g), "", g, "guest")
		}},
		{name: "HA on local storage", nodes: 3, plant: func(p *planter) {
			g := p.guest(func(g pvesim.Guest) bool { return g.Running && g.Kind == "qemu" && p.has("tank", g.Node) })
			g.HA = "started"
			g.Config["scsi0"] = fmt.Sprintf("tank:vm-%d-disk-0,size=8G", g.VMID)
			p.want("ha.local-storage", name(g), "", g, "guest", "store", "root")
		}},
		{name: "HA on local storage, a container", nodes: 3, plant: func(p *planter) {
			g := p.guest(func(g pvesim.Guest) bool { return g.Running && g.Kind == "lxc" && p.has("tank", g.Node) })
			g.HA = "started"
			g.Config["rootfs"] = fmt.Sprintf("tank:subvol-%d-disk-0,size=8G", g.VMID)
			p.want("ha.local-storage", name(g), "", g, "guest", "store", "root")
		}},
		{name: "HA on local storage, replicated", nodes: 3, plant: func(p *planter) {
			g := p.guest(func(g pvesim.Guest) bool { return g.Running && g.Kind == "qemu" && p.has("tank", g.Node) })
			g.HA = "started"
			g.Config["scsi0"] = fmt.Sprintf("tank:vm-%d-disk-0,size=8G", g.VMID)
			replicate(p, g, pvesim.Replication{Synced: 5 * time.Minute, Tried: 5 * time.Minute})
		}},
	}
}

func snapshotFaults() []fault {
	return []fault{
		{name: "an old snapshot", plant: func(p *planter) {
			g := p.vm()
			snapshot(g, pvesim.Snapshot{Name: "before", Age: 60 * day})
			p.want("snapshot.old", name(g)+" before", "", g, "guest")
		}},
		{name: "an old snapshot of a container", plant: func(p *planter) {
			g := p.ct()
			snapshot(g, pvesim.Snapshot{Name: "before", Age: 31 * day})
			p.want("snapshot.old", name(g)+" before", "", g, "guest")
		}},
		{name: "a fresh snapshot", plant: func(p *planter) { snapshot(p.running(), pvesim.Snapshot{Name: "today", Age: 20 * time.Hour}) }},
		{name: "a snapshot with RAM", plant: func(p *planter) {
			g := p.vm()
			snapshot(g, pvesim.Snapshot{Name: "ram", Age: 3 * day, VMState: fmt.Sprintf("ceph:vm-%d-state-ram", g.VMID)})
			p.want("snapshot.with-ram", name(g)+" ram", "", g, "guest")
		}},
		{name: "a snapshot that was not removed", plant: func(p *planter) {
			g := p.vm()
			snapshot(g, pvesim.Snapshot{Name: "half", Age: 2 * day, Phase: "delete"})
			p.want("snapshot.left-over", name(g)+" half", "tasks that run", g, "guest", "root")
		}},
		{name: "a snapshot that was not made", plant: func(p *planter) {
			g := p.ct()
			g.Snapshots = append(g.Snapshots, pvesim.Snapshot{Name: "half", Age: 2 * day, Phase: "prepare"})
			p.want("snapshot.left-over", name(g)+" half", "tasks that run", g, "guest", "root")
		}},
	}
}

func snapshot(g *pvesim.Guest, s pvesim.Snapshot) {
	g.Snapshots = append(g.Snapshots, s)
	g.Config["parent"] = s.Name
}

// replicate makes a replication job of a guest to another node.
func replicate(p *planter, g *pvesim.Guest, r pvesim.Replication) string {
	for _, n := range p.Nodes {
		if n.Name != g.Node {
			r.Target = n.Name
		}
	}
	r.ID = fmt.Sprintf("%d-0", g.VMID)
	if r.Options == nil {
		r.Options = map[string]string{"schedule": "*/15"}
	}
	p.Replications = append(p.Replications, r)
	return name(g) + " to " + r.Target
}
