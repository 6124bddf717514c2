package insight_test

import (
	"fmt"
	"time"

	"github.com/pve-mcp/pve-mcp/pvesim"
)

func backupFaults() []fault {
	of := func(what, id string, g func(p *planter) *pvesim.Guest, change func(*pvesim.Volume)) fault {
		return fault{name: what, plant: func(p *planter) {
			guest := g(p)
			change(p.backup(guest))
			p.want(id, name(guest), "backups", guest, "guest", "store", "backup")
		}}
	}
	remove := func(v *pvesim.Volume) {
		*v = pvesim.Volume{ID: "nas:iso/other.iso", Content: "iso", Format: "iso", Size: 1 << 20}
	}
	return []fault{
		of("no backup of a VM", "backup.none", (*planter).vm, remove),
		of("no backup of a container", "backup.none", (*planter).ct, remove),
		of("an old backup", "backup.old", (*planter).running, func(v *pvesim.Volume) { v.Age = 40 * day }),
		of("a backup that failed its verification", "backup.verify-failed", (*planter).running, func(v *pvesim.Volume) { v.Verification = "failed" }),
		of("a backup that was not verified", "backup.unverified", (*planter).running, func(v *pvesim.Volume) { v.Verification = "" }),
		{name: "a weekly backup", plant: func(p *planter) { p.backup(p.running()).Age = 7*day + time.Hour }},
		{name: "a guest in no job", plant: func(p *planter) {
			g := p.running()
			p.Jobs[0].Options["exclude"] = fmt.Sprint(g.VMID)
			p.want("backup.no-job", name(g), "backup jobs", g, "guest", "root")
		}, clashes: "exclude"},
		{name: "the job is disabled", plant: func(p *planter) {
			g := p.running()
			p.Jobs[0].Options["exclude"] = fmt.Sprint(g.VMID)
			p.Jobs = append(p.Jobs, pvesim.BackupJob{ID: "off", Schedule: "03:00", Disabled: true, Options: map[string]string{"vmid": fmt.Sprint(g.VMID), "storage": "pbs"}})
			p.want("backup.no-job", name(g), "backup jobs", g, "guest", "root")
		}, clashes: "exclude"},
		{name: "a disk is excluded", plant: func(p *planter) {
			g := p.vm()
			g.Config["scsi1"] = fmt.Sprintf("ceph:vm-%d-disk-1,backup=0,size=8G", g.VMID)
			p.want("backup.disk-excluded", name(g)+" scsi1", "backup jobs", g, "guest", "root")
		}},
		{name: "a mount point is not backed up", plant: func(p *planter) {
			g := p.ct()
			g.Config["mp0"] = fmt.Sprintf("ceph:vm-%d-disk-1,mp=/data,size=8G", g.VMID)
			p.want("backup.disk-excluded", name(g)+" mp0", "backup jobs", g, "guest", "root")
		}},
		{name: "a backup failed", plant: func(p *planter) {
			g := p.vm()
			p.Tasks = append(p.Tasks, pvesim.PastTask{Node: g.Node, Type: "vzdump", ID: fmt.Sprint(g.VMID), User: "root@pam", Ago: 3 * time.Hour, Took: time.Minute,
				Exit: "job errors", Log: []string{
					fmt.Sprintf("INFO: starting new backup job: vzdump %d --mode snapshot --storage pbs", g.VMID),
					fmt.Sprintf("INFO: Starting Backup of VM %d (qemu)", g.VMID),
					fmt.Sprintf("ERROR: Backup of VM %d failed - no space left on device", g.VMID), "INFO: Backup job finished with errors"}})
			p.want("backup.failed", name(g), "runs of backup jobs", g, "guest", "root", "node")
		}},
		{name: "a job never ran", plant: func(p *planter) {
			g := p.running()
			p.Jobs = append(p.Jobs, pvesim.BackupJob{ID: "offsite", Schedule: "sun 04:00", Options: map[string]string{"vmid": fmt.Sprint(g.VMID), "storage": "nas"}})
			p.want("backup.job-never-ran", "job offsite", "backup", g, "guest", "root", "node", "backup")
		}},
		{name: "a guest got the tag by which a job was made", plant: func(p *planter) { p.tagged("got-tag", true, false) }, clashes: "tag"},
		{name: "a guest of a job lost the tag by which that was made", plant: func(p *planter) { p.tagged("lost-tag", false, true) }, clashes: "tag"},
		{name: "a job for a tag that its guests have", plant: func(p *planter) { p.tagged("has-tag", true, true) }, clashes: "tag"},
		{name: "a job without its storage", plant: func(p *planter) {
			p.Storages = append(p.Storages, pvesim.Storage{ID: "gone", Type: "nfs", Content: "backup", Shared: true, Disabled: true})
			g := p.running()
			p.Jobs = append(p.Jobs, pvesim.BackupJob{ID: "lost", Schedule: "04:00", Options: map[string]string{"vmid": fmt.Sprint(g.VMID), "storage": "gone"}})
			p.want("backup.job-no-storage", "job lost", "backup jobs", nil, "root", "store")
			p.want("backup.job-never-ran", "job lost", "backup", g, "guest", "root", "node", "backup")
		}},
	}
}

// tagged adds a job that was made for a tag that a guest of it has. Another guest has the tag,
// is in the job, or both.
func (p *planter) tagged(id string, hasTag, isInJob bool) {
	first, second := p.running(), p.running()
	first.Config["tags"] = "nightly"
	ids := fmt.Sprint(first.VMID)
	if hasTag {
		second.Config["tags"] = "nightly"
	}
	if isInJob {
		ids += fmt.Sprintf(",%d", second.VMID)
	}
	p.Jobs = append(p.Jobs, pvesim.BackupJob{ID: id, Schedule: "02:00", Options: map[string]string{"vmid": ids, "storage": "pbs", "comment": "the important ones; guests: tag:nightly"}})
	if hasTag != isInJob {
		p.want("backup.job-selection", "job "+id, "backup jobs", nil, "root")
	}
}

func storageFaults() []fault {
	fill := func(what, storage, id string, share int64, shared bool) fault {
		return fault{name: what, clashes: storage, plant: func(p *planter) {
			s, subject := p.storage(storage), storage
			if shared {
				s.Used = s.Size * share / 100
			} else {
				n := p.Nodes[p.nodeWith(storage)].Name
				s.UsedOn = map[string]int64{n: s.Size * share / 100}
				subject += " on " + n
			}
			p.want(id, subject, "storages", nil, "store")
		}}
	}
	return []fault{
		fill("a shared storage is full", "ceph", "storage.full", 97, true),
		fill("a local storage is full", "thin", "storage.full", 96, false),
		fill("a storage fills up", "pbs", "storage.filling", 90, true),
		{name: "a storage is well used", clashes: "pbs", plant: func(p *planter) { s := p.storage("pbs"); s.Used = s.Size * 80 / 100 }},
		{name: "a storage is offline", clashes: "nas", hides: true, plant: func(p *planter) {
			p.storage("nas").Broken = "mount error: Host is down"
			p.want("storage.offline", "nas", "storages", nil, "store")
		}},
		{name: "a storage is offline on a node", nodes: 3, clashes: "nas", plant: func(p *planter) {
			p.storage("nas").BrokenOn = map[string]string{p.Nodes[p.node()].Name: "mount error: Host is down"}
			p.want("storage.offline", "nas", "storages", nil, "store")
		}},
		{name: "a disabled storage", plant: func(p *planter) {
			p.Storages = append(p.Storages, pvesim.Storage{ID: "old", Type: "nfs", Content: "backup", Shared: true, Disabled: true})
		}},
		{name: "a thin pool is overcommitted", plant: func(p *planter) {
			g := p.guest(func(g pvesim.Guest) bool { return g.Running && g.Kind == "qemu" && p.has("thin", g.Node) })
			g.Config["scsi1"] = fmt.Sprintf("thin:vm-%d-disk-9,size=900G", g.VMID)
			p.want("storage.thin-overcommitted", "thin on "+g.Node, "storages", nil, "store", "root")
		}},
		{name: "the metadata of a thin pool is full", clashes: "metadata", plant: func(p *planter) {
			n := p.Nodes[p.nodeWith("thin")].Name
			p.storage("thin").MetadataOn = map[string]float64{n: 0.93}
			p.want("thin.metadata-full", "pve/data of "+n, "storages", nil, "root")
		}},
		{name: "much on a storage is no volume", clashes: "nas", plant: func(p *planter) {
			s := p.storage("nas")
			s.Used = s.Size * 80 / 100
			p.want("storage.unexplained", "nas", "backups", nil, "store", "backup")
		}},
	}
}

func diskFaults() []fault {
	pool := func(what, id string, z pvesim.ZPool) fault {
		return fault{name: what, clashes: "pool", plant: func(p *planter) {
			i := p.nodeWith("tank")
			z.Name = "tank"
			p.Nodes[i].Pools = []pvesim.ZPool{z}
			p.want(id, "tank of "+p.Nodes[i].Name, "ZFS pools", nil, "root")
		}}
	}
	disk := func(what, id string, d pvesim.Disk) fault {
		return fault{name: what, clashes: "disk", plant: func(p *planter) {
			i := p.node()
			d.Path, d.Type, d.Model, d.Size = "/dev/sdb", "ssd", "Model X", 1<<40
			p.Nodes[i].Disks = []pvesim.Disk{{Path: "/dev/nvme0n1", Size: 1 << 40}, d}
			if id != "" {
				p.want(id, "/dev/sdb of "+p.Nodes[i].Name, "SMART", nil, "node")
			}
		}}
	}
	return []fault{
		pool("a pool is degraded", "zfs.unhealthy", pvesim.ZPool{State: "DEGRADED"}),
		pool("a pool is suspended", "zfs.unhealthy", pvesim.ZPool{State: "SUSPENDED"}),
		pool("a pool has lost data", "zfs.errors", pvesim.ZPool{Errors: "3 data errors, use '-v' for a list"}),
		pool("a scrub found errors", "zfs.errors", pvesim.ZPool{Scrubbed: 3 * day, ScrubErrors: 4}),
		pool("a disk of a pool has errors", "zfs.errors", pvesim.ZPool{Devices: []pvesim.ZDevice{{Name: "/dev/sda", Checksum: 12}, {Name: "/dev/sdb"}}}),
		pool("a pool was never scrubbed", "zfs.scrub-old", pvesim.ZPool{NeverScrubbed: true}),
		pool("a pool was not scrubbed for long", "zfs.scrub-old", pvesim.ZPool{Scrubbed: 90 * day}),
		disk("a disk fails", "disk.failed", pvesim.Disk{Health: "FAILED!"}),
		disk("a disk is worn", "disk.worn", pvesim.Disk{Wear: 95}),
		disk("a disk behind a controller", "", pvesim.Disk{NoSMART: true}),
	}
}

func leftFaults() []fault {
	return []fault{
		{name: "a seed was left behind", plant: func(p *planter) {
			p.Volumes = append(p.Volumes, pvesim.Volume{ID: "nas:iso/seed-99999-abcd2345.iso", Content: "iso", Format: "iso", Size: 1 << 20, Age: 3 * day})
			p.want("volume.seed-left", "nas:iso/seed-99999-abcd2345.iso", "guests", nil, "root", "store")
		}},
		{name: "an ISO image is gone", plant: func(p *planter) {
			g := p.vm()
			g.Config["ide2"] = "nas:iso/installer.iso,media=cdrom"
			p.Missing = append(p.Missing, "nas:iso/installer.iso")
			p.want("guest.volume-missing", name(g)+" ide2", "backups", g, "guest", "store", "backup")
		}},
		{name: "an ISO image that is there", plant: func(p *planter) {
			p.vm().Config["ide2"] = "nas:iso/debian.iso,media=cdrom"
			p.Volumes = append(p.Volumes, pvesim.Volume{ID: "nas:iso/debian.iso", Content: "iso", Format: "iso", Size: 1 << 30})
		}},
		{name: "a disk of no guest", plant: func(p *planter) {
			p.Volumes = append(p.Volumes, pvesim.Volume{ID: "nas:88888/vm-88888-disk-0.qcow2", Content: "images", Format: "qcow2", Size: gib, VMID: 88888})
			p.want("volume.orphaned", "nas:88888/vm-88888-disk-0.qcow2", "backups", nil, "root", "store", "backup")
		}},
	}
}

func otherFaults() []fault {
	job := func(what, id string, r pvesim.Replication) fault {
		return fault{name: what, nodes: 3, plant: func(p *planter) {
			g := p.vm()
			subject := replicate(p, g, r)
			if id != "" {
				p.want(id, subject, "", g, "guest")
			}
		}}
	}
	token := func(what, id string, change func(*pvesim.Token)) fault {
		return fault{name: what, plant: func(p *planter) {
			t := pvesim.Token{ID: "ops@pve!" + id[len("access.token-"):], Secret: "00000000-0000-4000-8000-000000000077", PrivSep: true, Expire: 4102444800}
			change(&t)
			p.Tokens = append(p.Tokens, t)
			p.want(id, t.ID, "users", nil, "access")
		}}
	}
	task := func(what string, ago time.Duration, kind, exit string, bad bool) fault {
		return fault{name: what, plant: func(p *planter) {
			g := p.vm()
			p.Tasks = append(p.Tasks, pvesim.PastTask{Node: g.Node, Type: kind, ID: fmt.Sprint(g.VMID), User: "root@pam", Ago: ago, Took: time.Second, Exit: exit})
			if bad {
				p.want("task.failed", fmt.Sprintf("%s %d on %s", kind, g.VMID, g.Node), "failed tasks", nil, "node")
			}
		}}
	}
	return []fault{
		job("replication fails", "replication.failed", pvesim.Replication{Synced: 2 * day, Tried: 20 * time.Minute, Fails: 4, Error: "command 'zfs send' failed"}),
		job("replication never ran", "replication.never-ran", pvesim.Replication{}),
		job("replication is late", "replication.late", pvesim.Replication{Synced: 2 * day, Tried: 2 * day}),
		job("replication is disabled", "replication.disabled", pvesim.Replication{Synced: time.Hour, Tried: time.Hour, Options: map[string]string{"schedule": "*/15", "disable": "1"}}),
		job("replication is well", "", pvesim.Replication{Synced: 10 * time.Minute, Tried: 10 * time.Minute}),
		job("replication by night", "", pvesim.Replication{Synced: 20 * time.Hour, Tried: 20 * time.Hour, Options: map[string]string{"schedule": "02:00"}}),
		token("a token never expires", "access.token-no-expiry", func(t *pvesim.Token) { t.Expire = 0 }),
		token("a token is not separated", "access.token-not-separated", func(t *pvesim.Token) { t.PrivSep = false }),
		{name: "an administrator", plant: func(p *planter) {
			p.Users = append(p.Users, pvesim.User{ID: "boss@pve"})
			p.ACL = append(p.ACL, pvesim.ACL{Path: "/", Who: "boss@pve", Role: "Administrator"})
			p.want("access.administrators", "boss@pve", "users", nil, "access")
		}},
		task("a start failed", 2*time.Hour, "qmstart", "start failed: QEMU exited with code 1", true),
		task("a migration failed", 20*time.Hour, "qmigrate", "migration aborted", true),
		task("a start failed days ago", 3*day, "qmstart", "start failed: QEMU exited with code 1", false),
		task("a start warned", 2*time.Hour, "qmstart", "WARNINGS: 1", false),
		task("a console was closed", 2*time.Hour, "vncproxy", "connection timed out", false),
	}
}
