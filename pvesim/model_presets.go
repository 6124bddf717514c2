package pvesim

import (
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"
)

const (
	gib  = int64(1) << 30
	hour = time.Hour
	day  = 24 * hour
)

// Lab is a homelab: one node without a cluster, two VMs, two containers, a template.
// Its tokens are those of [Cluster].
func Lab() Model {
	m := Model{
		Seed:  1,
		PVE:   "9.0.11",
		Nodes: []Node{{Name: "pve", IP: "192.168.1.10", CPUs: 8, Memory: 32 * gib, Disk: 100 * gib, Up: 41 * day}},
		Storages: []Storage{
			{ID: "local", Type: "dir", Content: "iso,vztmpl,backup,snippets", Size: 100 * gib, Used: 41 * gib},
			{ID: "local-lvm", Type: "lvmthin", Content: "images,rootdir", Size: 400 * gib, Used: 120 * gib},
		},
	}
	m.access()
	m.add(
		m.vm("pve", 100, "homeassistant", "2", 4096, 32).on(40*day, 0.08).ips("192.168.1.20/24", "fe80::be24:11ff:fe00:100/64").tags("home"),
		m.vm("pve", 101, "nas", "4", 8192, 64).on(12*day, 0.15).ips("192.168.1.21/24"),
		m.ct("pve", 102, "pihole", 512, 8).on(40*day, 0.01).ips("192.168.1.53/24").tags("home;network"),
		m.ct("pve", 103, "jellyfin", 4096, 16),
		m.vm("pve", 900, "debian-12", "2", 2048, 16).template(),
	)
	m.media("pve")
	m.homeBackups()
	m.Tasks = []PastTask{
		{Node: "pve", Type: "vzdump", User: "root@pam", Ago: 9 * hour, Took: 11 * time.Minute, Exit: "OK", Log: []string{
			"INFO: starting new backup job: vzdump --all 1 --mode snapshot --storage local", "INFO: Backup job finished successfully"}},
		{Node: "pve", Type: "qmstart", ID: "101", User: "root@pam", Ago: 12 * day, Took: 2 * time.Second, Exit: "OK"},
	}
	return m
}

// presetPassword is that of the users of the presets, for whom it is no secret.
const presetPassword = "simulated"

// Cluster is a cluster of three nodes with VMs, containers, templates, tags, pools,
// storages and a history of tasks, some of which failed. The start of VM 105 fails
// and that of CT 204 warns, VM 106 ignores a shutdown, VM 107 is locked, VM 108 is
// paused, VM 109 is suspended to disk, VM 103 and CT 201 are managed by HA. Backups
// are on the storage nfs and on the backup server pbs, of all guests but VMs 105 and
// 106 and CT 204; one of VM 103 failed its verification.
//
// Its tokens are root@pam!full, ops@pve!mcp (runs guests), audit@pve!mcp (reads)
// and none@pve!mcp (may do nothing). Their owners log in with the password simulated.
func Cluster() Model {
	m := Model{
		Seed:    1,
		PVE:     "9.0.11",
		Cluster: "demo",
		Storages: []Storage{
			{ID: "local", Type: "dir", Content: "iso,vztmpl,backup,snippets", Size: 94 * gib, Used: 31 * gib},
			{ID: "local-zfs", Type: "zfspool", Content: "images,rootdir", Size: 900 * gib, Used: 412 * gib},
			{ID: "nfs", Type: "nfs", Content: "images,rootdir,iso,backup,import", Shared: true, Size: 4000 * gib, Used: 3310 * gib},
			{ID: "old-nas", Type: "nfs", Content: "backup", Shared: true, Disabled: true},
			{ID: "pbs", Type: "pbs", Content: "backup", Shared: true, Size: 8000 * gib, Used: 5130 * gib, Options: map[string]string{
				"server": "10.10.0.9", "datastore": "main", "username": "pve@pbs", "prune-backups": "keep-daily=7,keep-weekly=4",
			}},
		},
		Pools: []Pool{
			{ID: "web", Comment: "the web shop", VMIDs: []int{100, 101, 200}},
			{ID: "db", VMIDs: []int{102, 103}, Storages: []string{"nfs"}},
		},
		HARules: []HASection{
			{ID: "db-2-home", Type: "node-affinity", Options: map[string]string{"resources": "vm:103", "nodes": "pve3:2,pve2:1", "comment": "near its replica"}},
		},
	}
	for i := range 3 {
		m.Nodes = append(m.Nodes, Node{
			Name: fmt.Sprintf("pve%d", i+1), IP: fmt.Sprintf("10.10.0.%d", i+1),
			CPUs: 32, Memory: 128 * gib, Disk: 94 * gib, Up: time.Duration(63-i*20)*day + 5*hour,
		})
	}
	m.access()
	m.add(
		m.vm("pve1", 100, "web-1", "4", 4096, 32).on(31*day, 0.22).ips("10.10.1.11/24", "fd00:10::11/64").tags("prod;web"),
		m.vm("pve2", 101, "web-2", "4", 4096, 32).on(31*day, 0.19).ips("10.10.1.12/24").tags("prod;web"),
		m.vm("pve2", 102, "db-1", "8", 32768, 200).on(120*day, 0.45).ips("10.10.1.21/24").tags("db;prod").shutdown(25*time.Second).
			snapshot("before-upgrade", "PostgreSQL 15", 26*hour).snapshot("after-upgrade", "PostgreSQL 16", 25*hour),
		m.vm("pve3", 103, "db-2", "8", 32768, 200).on(23*day, 0.12).ips("10.10.1.22/24").tags("db;prod").ha("started"),
		m.vm("pve1", 104, "mail", "2", 8192, 80).on(63*day, 0.05).ips("10.10.1.31/24").tags("prod").shutdown(4*time.Second).
			config("unused0", "local-zfs:vm-104-disk-1"),
		m.vm("pve3", 105, "build-1", "16", 16384, 120).tags("ci").startFails(
			"kvm: -drive file=/dev/zvol/rpool/data/vm-105-disk-0,if=none,id=drive-scsi0: Could not open '/dev/zvol/rpool/data/vm-105-disk-0': No such file or directory",
			"start failed: QEMU exited with code 1"),
		m.vm("pve2", 106, "win-2022", "4", 16384, 100).on(9*day, 0.31).agentDead().deaf().tags("windows"),
		m.vm("pve3", 107, "erp-old", "4", 8192, 64).config("lock", "backup").tags("legacy"),
		m.vm("pve1", 108, "forensics", "2", 4096, 40).on(2*day, 0.02).paused(),
		m.vm("pve2", 109, "desktop", "4", 8192, 60).config("lock", "suspended"),
		m.ct("pve1", 200, "proxy", 1024, 8).on(63*day, 0.09).ips("10.10.1.2/24").tags("prod;web"),
		m.ct("pve2", 201, "dns", 512, 4).on(43*day, 0.01).ips("10.10.1.53/24").tags("prod").ha("started"),
		m.ct("pve3", 202, "gitea", 4096, 50).on(23*day, 0.04).ips("10.10.1.41/24").tags("ci"),
		m.ct("pve1", 203, "grafana", 2048, 20).on(11*day, 0.06).ips("10.10.1.42/24").tags("monitoring").config("cmode", "shell"),
		m.ct("pve3", 204, "sandbox", 1024, 8).startWarns(
			"old systemd (< v232) detected, container won't run in a pure cgroupv2 environment!"),
		m.vm("pve1", 900, "debian-12", "2", 2048, 16).template(),
		m.vm("pve2", 901, "ubuntu-24.04", "2", 2048, 20).config("ide2", "local-zfs:vm-901-cloudinit,media=cdrom").template(),
		m.ct("pve3", 910, "alpine-3.20", 256, 2).template(),
	)
	m.media("pve1", "pve2", "pve3")
	m.clusterBackups()
	m.Tasks = clusterHistory()
	return m
}

func clusterHistory() []PastTask {
	backup := func(node string, ago time.Duration, exit string, log ...string) PastTask {
		return PastTask{Node: node, Type: "vzdump", User: "root@pam", Ago: ago, Took: 34 * time.Minute, Exit: exit,
			Log: append([]string{"INFO: starting new backup job: vzdump --all 1 --mode snapshot --storage nfs --remove 0"}, log...)}
	}
	tasks := []PastTask{
		backup("pve3", 6*hour, "job errors", "INFO: Starting Backup of VM 107 (qemu)",
			"ERROR: Backup of VM 107 failed - vma_queue_write: write error - No space left on device", "INFO: Backup job finished with errors"),
		{Node: "pve3", Type: "qmstart", ID: "105", User: "ops@pve!mcp", Ago: 2 * hour, Took: time.Second, Exit: "start failed: QEMU exited with code 1",
			Log: []string{"kvm: -drive file=/dev/zvol/rpool/data/vm-105-disk-0,if=none,id=drive-scsi0: Could not open '/dev/zvol/rpool/data/vm-105-disk-0': No such file or directory"}},
		{Node: "pve1", Type: "qmigrate", ID: "100", User: "root@pam", Ago: 31 * day, Took: 47 * time.Second, Exit: "OK",
			Log: []string{"migration finished successfully (duration 00:00:47)"}},
		{Node: "pve2", Type: "qmsnapshot", ID: "102", User: "ops@pve!mcp", Ago: 26 * hour, Took: 9 * time.Second, Exit: "OK"},
		{Node: "pve1", Type: "aptupdate", User: "root@pam", Ago: 14 * hour, Took: 6 * time.Second, Exit: "OK"},
		{Node: "pve2", Type: "qmshutdown", ID: "106", User: "ops@pve!mcp", Ago: 5 * day, Took: time.Minute, Exit: "VM quit/powerdown failed - got timeout"},
		{Node: "pve1", Type: "vzstart", ID: "203", User: "root@pam", Ago: 11 * day, Took: 3 * time.Second, Exit: "WARNINGS: 1",
			Log: []string{"WARN: old systemd (< v232) detected, container won't run in a pure cgroupv2 environment!"}},
	}
	for night := range 6 {
		for _, node := range []string{"pve1", "pve2"} {
			tasks = append(tasks, backup(node, 6*hour+time.Duration(night)*day, "OK", "INFO: Backup job finished successfully"))
		}
	}
	return tasks
}

// access gives the model its users and tokens.
func (m *Model) access() {
	m.Users = []User{{ID: rootUser}, {ID: "ops@pve"}, {ID: "audit@pve"}, {ID: "none@pve"}}
	for i := range m.Users {
		m.Users[i].Password = presetPassword
	}
	m.ACL = []ACL{
		{Path: "/", Who: "ops@pve", Role: "PVEAdmin"},
		{Path: "/", Who: "audit@pve", Role: "PVEAuditor"},
	}
	for _, role := range []string{"PVEVMAdmin", "PVEAuditor", "PVEDatastoreUser", "PVESDNUser"} {
		m.ACL = append(m.ACL, ACL{Path: "/", Who: "ops@pve!mcp", Role: role})
	}
	m.ACL = append(m.ACL, ACL{Path: "/", Who: "audit@pve!mcp", Role: "PVEAuditor"})
	for i, id := range []string{"root@pam!full", "ops@pve!mcp", "audit@pve!mcp", "none@pve!mcp"} {
		m.Tokens = append(m.Tokens, Token{
			ID: id, PrivSep: id != "root@pam!full",
			Secret: fmt.Sprintf("%08x-0000-4000-8000-%012x", hash(m.Seed, id)>>32, i+1),
		})
	}
}

// add puts guests into the model.
func (m *Model) add(guests ...*guestBuilder) {
	for _, g := range guests {
		m.Guests = append(m.Guests, g.Guest)
	}
}

// guestBuilder is a guest in the making.
type guestBuilder struct{ Guest }

func (m *Model) mac(id int) string {
	h := hash(m.Seed, "mac", id)
	return fmt.Sprintf("BC:24:11:%02X:%02X:%02X", byte(h), byte(h>>8), byte(h>>16))
}

func (m *Model) uuid(what string, id int) string {
	a, b := hash(m.Seed, what, id, 1), hash(m.Seed, what, id, 2)
	return fmt.Sprintf("%08x-%04x-4%03x-8%03x-%012x", a>>32, a>>16&0xffff, a&0xfff, b>>52, b&0xffffffffffff)
}

func (m *Model) vm(node string, id int, name, cores string, memory, disk int) *guestBuilder {
	return &guestBuilder{Guest{VMID: id, Kind: "qemu", Node: node, Config: map[string]string{
		"name": name, "cores": cores, "memory": strconv.Itoa(memory), "agent": "1", "ostype": "l26",
		"boot": "order=scsi0;net0", "scsihw": "virtio-scsi-single",
		"scsi0":   fmt.Sprintf("%s:vm-%d-disk-0,size=%dG", m.imageStorage().ID, id, disk),
		"net0":    fmt.Sprintf("virtio=%s,bridge=vmbr0", m.mac(id)),
		"smbios1": "uuid=" + m.uuid("smbios", id), "vmgenid": m.uuid("vmgenid", id),
	}}}
}

func (m *Model) ct(node string, id int, hostname string, memory, disk int) *guestBuilder {
	volume := "vm"
	if m.imageStorage().traits().subvols {
		volume = "subvol"
	}
	return &guestBuilder{Guest{VMID: id, Kind: "lxc", Node: node, Config: map[string]string{
		"hostname": hostname, "cores": "2", "memory": strconv.Itoa(memory), "swap": "512", "arch": "amd64",
		"ostype": "debian", "unprivileged": "1",
		"rootfs": fmt.Sprintf("%s:%s-%d-disk-0,size=%dG", m.imageStorage().ID, volume, id, disk),
		"net0":   fmt.Sprintf("name=eth0,bridge=vmbr0,hwaddr=%s,ip=dhcp,type=veth", m.mac(id)),
	}}}
}

func (m *Model) imageStorage() *Storage { return &m.Storages[1] }

func (g *guestBuilder) on(up time.Duration, load float64) *guestBuilder {
	g.Running, g.Up, g.Load = true, up, load
	return g
}

func (g *guestBuilder) config(key, value string) *guestBuilder {
	g.Config = maps.Clone(g.Config)
	g.Config[key] = value
	return g
}

func (g *guestBuilder) tags(tags string) *guestBuilder { return g.config("tags", tags) }

func (g *guestBuilder) template() *guestBuilder {
	g.config("template", "1")
	for _, key := range []string{"scsi0", "rootfs"} {
		if drive := g.Config[key]; drive != "" {
			g.config(key, strings.NewReplacer(":vm-", ":base-", ":subvol-", ":basevol-").Replace(drive))
		}
	}
	return g
}

// snapshot adds one, which comes after those that there are.
func (g *guestBuilder) snapshot(name, description string, ago time.Duration) *guestBuilder {
	config := maps.Clone(g.Config)
	delete(config, "parent")
	g.Snapshots = append(g.Snapshots, Snapshot{Name: name, Description: description, Parent: g.Config["parent"], Age: ago, Config: config})
	return g.config("parent", name)
}

func (g *guestBuilder) ips(cidrs ...string) *guestBuilder          { g.IPs = cidrs; return g }
func (g *guestBuilder) ha(state string) *guestBuilder              { g.HA = state; return g }
func (g *guestBuilder) paused() *guestBuilder                      { g.QMPStatus = "paused"; return g }
func (g *guestBuilder) agentDead() *guestBuilder                   { g.AgentDead = true; return g }
func (g *guestBuilder) deaf() *guestBuilder                        { g.IgnoresShutdown = true; return g }
func (g *guestBuilder) shutdown(takes time.Duration) *guestBuilder { g.ShutdownTakes = takes; return g }
func (g *guestBuilder) startWarns(lines ...string) *guestBuilder   { g.StartWarns = lines; return g }
func (g *guestBuilder) startFails(linesThenReason ...string) *guestBuilder {
	g.StartFails = linesThenReason
	return g
}
