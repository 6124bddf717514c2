package insight_test

import (
	"fmt"
	"slices"
	"time"

	"github.com/pve-mcp/pve-mcp/pvesim"
)

// unusualFaults are such as few clusters have, and settings that look like faults and are none.
func unusualFaults() []fault {
	return slices.Concat(unusualFaults1(), unusualFaults2(), unusualFaults3(), unusualFaults4())
}

func on(name string, nodes int, plant func(p *planter)) fault {
	return fault{name: name, nodes: nodes, plant: plant}
}

func unusualFaults1() []fault {
	rep := func(sched string, synced time.Duration, opts map[string]string) func(p *planter) {
		return func(p *planter) {
			g := p.vm()
			o := map[string]string{"schedule": sched}
			for k, v := range opts {
				o[k] = v
			}
			replicate(p, g, pvesim.Replication{Synced: synced, Tried: synced, Options: o})
		}
	}
	return []fault{
		on("replication in office hours", 3, rep("8..17:00/15", 6*time.Hour+15*time.Minute, nil)),
		on("replication every six hours", 3, rep("*/6:00", 5*time.Hour, nil)),
		on("replication twice a day", 3, rep("0/12:00", 11*time.Hour, nil)),
		on("replication is late by days", 3, func(p *planter) {
			g := p.ct()
			s := replicate(p, g, pvesim.Replication{Synced: 3 * day, Tried: 3 * day, Options: map[string]string{"schedule": "02:00"}})
			p.want("replication.late", s, "", g, "guest")
		}),
		on("a backup was broken off", 1, func(p *planter) {
			g := p.vm()
			p.backup(g).Size = 1
			p.want("backup.unfinished", name(g), "backups", g, "guest", "store", "backup", "root")
		}),
		{name: "the backup server is offline", hides: true, plant: func(p *planter) {
			p.storage("pbs").Broken = "connection error"
			p.want("storage.offline", "pbs", "storages", nil, "store")
			p.blind = append(p.blind, "backups")
		}},
		on("a local storage is offline", 1, func(p *planter) {
			n := p.Nodes[p.nodeWith("thin")].Name
			p.storage("thin").BrokenOn = map[string]string{n: "no such vg"}
			p.want("storage.offline", "thin on "+n, "storages", nil, "store")
		}),
		{name: "a pool without a storage is degraded", nodes: 3, clashes: "pool", plant: func(p *planter) {
			for i := range p.Nodes {
				if !p.has("tank", p.Nodes[i].Name) {
					p.Nodes[i].Pools = []pvesim.ZPool{{Name: "rpool", State: "DEGRADED"}}
					p.want("zfs.unhealthy", "rpool of "+p.Nodes[i].Name, "ZFS pools", nil, "root")
					return
				}
			}
		}},
		{name: "a second pool is degraded", nodes: 3, clashes: "pool", plant: func(p *planter) {
			i := p.nodeWith("tank")
			p.Nodes[i].Pools = []pvesim.ZPool{{Name: "rpool", State: "DEGRADED"}, {Name: "tank"}}
			p.want("zfs.unhealthy", "rpool of "+p.Nodes[i].Name, "ZFS pools", nil, "root")
		}},
		{name: "a pool is faulted", nodes: 1, clashes: "pool", plant: func(p *planter) {
			i := p.nodeWith("tank")
			p.Nodes[i].Pools = []pvesim.ZPool{{Name: "tank", State: "FAULTED"}}
			p.want("zfs.unhealthy", "tank of "+p.Nodes[i].Name, "ZFS pools", nil, "root")
		}},
		on("HA has given up a container", 3, func(p *planter) {
			g := p.ct()
			g.HA = "error"
			p.want("ha.error", name(g), "", g, "guest")
		}),
		on("HA recovers a container", 3, func(p *planter) {
			g := p.ct()
			g.HA = "recovery"
			p.want("ha.error", name(g), "", g, "guest")
		}),
	}
}

func unusualFaults2() []fault {
	return []fault{
		on("HA on a disk that is not replicated", 3, func(p *planter) {
			g := p.guest(func(g pvesim.Guest) bool { return g.Running && g.Kind == "qemu" && p.has("tank", g.Node) })
			g.HA = "started"
			g.Config["scsi0"] = fmt.Sprintf("tank:vm-%d-disk-0,replicate=0,size=8G", g.VMID)
			replicate(p, g, pvesim.Replication{Synced: 5 * time.Minute, Tried: 5 * time.Minute})
			p.want("ha.local-storage", name(g), "", g, "guest", "store", "root")
		}),
		on("HA on local storage, replication disabled", 3, func(p *planter) {
			g := p.guest(func(g pvesim.Guest) bool { return g.Running && g.Kind == "qemu" && p.has("tank", g.Node) })
			g.HA = "started"
			g.Config["scsi0"] = fmt.Sprintf("tank:vm-%d-disk-0,size=8G", g.VMID)
			s := replicate(p, g, pvesim.Replication{Synced: 5 * time.Minute, Tried: 5 * time.Minute, Options: map[string]string{"schedule": "*/15", "disable": "1"}})
			p.want("ha.local-storage", name(g), "", g, "guest", "store", "root")
			p.want("replication.disabled", s, "", g, "guest")
		}),
		on("HA starts a guest", 3, func(p *planter) {
			g := p.running()
			g.HA = "started"
			delete(g.Config, "onboot")
		}),
		on("a parked guest under HA", 3, func(p *planter) {
			g := p.running()
			g.HA, g.Running = "disabled", false
			delete(g.Config, "onboot")
			p.backup(g).Age = 100 * day
		}),
		on("an old snapshot with RAM", 1, func(p *planter) {
			g := p.vm()
			snapshot(g, pvesim.Snapshot{Name: "ram", Age: 60 * day, VMState: fmt.Sprintf("ceph:vm-%d-state-ram", g.VMID)})
			p.want("snapshot.with-ram", name(g)+" ram", "", g, "guest")
			p.want("snapshot.old", name(g)+" ram", "", g, "guest")
		}),
		on("an old snapshot of a stopped guest", 1, func(p *planter) {
			g := p.vm()
			g.Running = false
			snapshot(g, pvesim.Snapshot{Name: "s", Age: 60 * day})
			p.want("snapshot.old", name(g)+" s", "", g, "guest")
		}),
		on("a backup left its snapshot", 1, func(p *planter) {
			g := p.ct()
			snapshot(g, pvesim.Snapshot{Name: "vzdump", Age: 2 * day})
			p.want("snapshot.left-over", name(g)+" vzdump", "tasks that run", g, "guest", "root")
		}),
		on("a group of administrators", 1, func(p *planter) {
			p.Groups = append(p.Groups, pvesim.Group{ID: "admins"})
			p.ACL = append(p.ACL, pvesim.ACL{Path: "/", Who: "@admins", Role: "Administrator"})
			p.want("access.administrators", "group admins", "users", nil, "access")
		}),
	}
}

func unusualFaults3() []fault {
	return []fault{
		{name: "a job failed as a whole", clashes: "exclude", hides: true, plant: func(p *planter) {
			p.Tasks = append(p.Tasks, pvesim.PastTask{Node: p.Nodes[0].Name, Type: "vzdump", User: "root@pam", Ago: 3 * time.Hour, Took: time.Second,
				Exit: "could not activate storage 'pbs'", Log: []string{"INFO: starting new backup job: vzdump --all 1 --mode snapshot --storage pbs", "ERROR: could not activate storage 'pbs'"}})
			p.want("backup.job-failed", "job nightly", "runs of backup jobs", nil, "root", "node", "guest")
		}},
		on("a disk of no guest, on a storage that is not listed", 1, func(p *planter) {
			p.Volumes = append(p.Volumes, pvesim.Volume{ID: "ceph:vm-88888-disk-0", Content: "images", Format: "raw", Size: gib, VMID: 88888})
			p.wantDeep("volume.orphaned", "ceph:vm-88888-disk-0")
		}),
		on("a disk is gone, on a storage that is not listed", 1, func(p *planter) {
			g := p.vm()
			g.Config["scsi3"] = fmt.Sprintf("ceph:vm-%d-disk-7,size=8G", g.VMID)
			p.Missing = append(p.Missing, fmt.Sprintf("ceph:vm-%d-disk-7", g.VMID))
			p.wantDeep("guest.volume-missing", name(g)+" scsi3")
		}),
		on("a disk on no storage", 1, func(p *planter) {
			g := p.vm()
			g.Config["scsi3"] = fmt.Sprintf("gone:vm-%d-disk-7,size=8G", g.VMID)
			p.want("guest.volume-missing", name(g)+" scsi3", "", g, "guest", "store", "root")
		}),
		on("a disk on a disabled storage", 1, func(p *planter) {
			g := p.vm()
			p.Storages = append(p.Storages, pvesim.Storage{ID: "off", Type: "nfs", Content: "images", Shared: true, Disabled: true})
			g.Config["scsi3"] = fmt.Sprintf("off:%d/vm-%d-disk-7.qcow2,size=8G", g.VMID, g.VMID)
			p.want("guest.volume-missing", name(g)+" scsi3", "", g, "guest", "store", "root")
		}),
		{name: "a subscription is suspended", clashes: "subscription", plant: func(p *planter) {
			i := p.node()
			for j := range p.Nodes {
				p.Nodes[j].Subscription = pvesim.Subscription{Status: "active", Level: "c", NextDue: "2099-01-01"}
			}
			p.Nodes[i].Subscription = pvesim.Subscription{Status: "suspended", Level: "c"}
			p.want("subscription.expired", p.Nodes[i].Name, "", nil, "any")
		}},
		on("a task of a node failed", 1, func(p *planter) {
			p.Tasks = append(p.Tasks, pvesim.PastTask{Node: p.Nodes[0].Name, Type: "aptupdate", User: "root@pam", Ago: 2 * time.Hour, Took: time.Second, Exit: "command 'apt-get update' failed: exit code 100"})
			p.want("task.failed", "aptupdate on "+p.Nodes[0].Name, "failed tasks", nil, "node")
		}),
		on("a cloud-init drive", 1, func(p *planter) {
			g := p.vm()
			g.Config["ide2"] = fmt.Sprintf("ceph:vm-%d-cloudinit,media=cdrom,size=4M", g.VMID)
		}),
		on("a backup failed its verification, with an older good one", 1, func(p *planter) {
			g := p.vm()
			v := backupOf(*g, 40*time.Hour, "ok")
			p.Volumes = append(p.Volumes, v)
			p.backup(g).Verification = "failed"
			p.want("backup.verify-failed", name(g), "backups", g, "guest", "store", "backup")
		}),
	}
}

func unusualFaults4() []fault {
	return []fault{
		on("a backup failed its verification, with an old good one", 1, func(p *planter) {
			g := p.vm()
			v := backupOf(*g, 40*day, "ok")
			p.backup(g).Verification = "failed"
			p.Volumes = append(p.Volumes, v)
			p.want("backup.verify-failed", name(g), "backups", g, "guest", "store", "backup")
			p.want("backup.old", name(g), "backups", g, "guest", "store", "backup")
		}),
		{name: "two disks fail", nodes: 3, clashes: "disk", plant: func(p *planter) {
			p.Nodes[1].Disks = []pvesim.Disk{{Path: "/dev/nvme0n1", Type: "nvme", Model: "a", Size: 1 << 40, Wear: 99}, {Path: "/dev/sda", Type: "hdd", Model: "b", Size: 1 << 40, Health: "FAILED!"}}
			p.want("disk.worn", "/dev/nvme0n1 of "+p.Nodes[1].Name, "SMART", nil, "node")
			p.want("disk.failed", "/dev/sda of "+p.Nodes[1].Name, "SMART", nil, "node")
		}},
	}
}
