package pvesim

import (
	"fmt"
	"slices"
	"time"

	"github.com/pve-mcp/pve-mcp/pvesim/internal/propstring"
)

// Healthy is a cluster as [Sized] makes it, in which nothing is wrong and nothing is at risk.
// A job backs up every guest at night to a backup server, where the backups of the last two
// nights are verified. Guests that run start by themselves, and their agents answer. Nodes
// and storages have room, subscriptions are active, and every token expires some day.
//
// Its tokens are those of [Cluster] without root's. In its place is see@pve!mcp, which has
// the privileges to see everything, backups, journals and updates among it, and some that
// PVE asks for that.
func Healthy(seed uint64, nodes, vms, cts int) Model {
	m := Sized(seed, nodes, vms, cts)
	m.healthyAccess()
	cores, memory := map[string]int{}, map[string]int64{}
	images, backups := int64(0), int64(0)
	for i := range m.Guests {
		g := &m.Guests[i]
		size := propstring.Size(g.Config["scsi0"] + "," + g.Config["rootfs"])
		images += size * 2 / 5
		backups += 2 * m.nightly(i, size)
		if g.Running {
			g.Config["onboot"] = "1"
		}
		living := newGuest(*g, seed)
		cores[g.Node] += int(living.intConfig("cores", 1))
		memory[g.Node] += living.maxMem()
	}
	for i := range m.Nodes {
		n := &m.Nodes[i]
		n.CPUs, n.Memory = max(n.CPUs, cores[n.Name]), max(n.Memory, memory[n.Name]*3/2)
		n.Subscription = Subscription{Status: "active", Level: "c", NextDue: "2034-12-31"}
		n.Repository, n.CertificateLeft, n.Swap = "enterprise", 700*day, 8*gib
		for night := range 2 {
			m.Tasks = append(m.Tasks, PastTask{
				Node: n.Name, Type: "vzdump", User: "root@pam", Ago: 10*hour + time.Duration(night)*day, Took: 2 * hour, Exit: "OK",
				Log: []string{"INFO: starting new backup job: vzdump --all 1 --mode snapshot --storage pbs", "INFO: Backup job finished successfully"},
			})
		}
	}
	m.Storages[1].Used, m.Storages[1].Size = images, images*2+100*gib
	m.Storages = append(m.Storages, Storage{
		ID: "pbs", Type: "pbs", Content: "backup", Shared: true, Used: backups, Size: backups*2 + 100*gib,
		Options: map[string]string{"server": "10.10.255.9", "datastore": "main", "username": "pve@pbs", "prune-backups": "keep-daily=7,keep-weekly=4"},
	})
	m.Jobs = []BackupJob{{ID: "backup-nightly", Schedule: "02:00", Options: map[string]string{"all": "1", "mode": "snapshot", "storage": "pbs"}}}
	return m
}

// nightly adds the backups that a guest has on the backup server, and returns what one of
// them takes.
func (m *Model) nightly(index int, size int64) int64 {
	g, used := m.Guests[index], size/7
	kind := map[string]string{"qemu": "vm", "lxc": "ct"}[g.Kind]
	for night := range 2 {
		m.Volumes = append(m.Volumes, Volume{
			ID: fmt.Sprintf("pbs:backup/%s/%d/*", kind, g.VMID), Content: "backup", Format: "pbs-" + kind, Size: size, Used: used, VMID: g.VMID,
			Age:   10*hour - time.Duration(index%100)*time.Minute + time.Duration(night)*day,
			Notes: g.Config["name"] + g.Config["hostname"], Verification: "ok",
		})
	}
	return used
}

// healthyAccess makes every token expire, and takes from users what makes them administrators.
func (m *Model) healthyAccess() {
	const seeing = "Overseer"
	audit := builtinRoles(parseVersion(m.PVE))["PVEAuditor"]
	m.Roles = map[string][]string{seeing: slices.Concat(audit, []string{"Datastore.AllocateSpace", "Sys.Modify", "Sys.Syslog", "VM.Backup"})}
	m.Users = append(m.Users, User{ID: "see@pve"})
	m.ACL = slices.DeleteFunc(m.ACL, func(a ACL) bool { return a.Who == "ops@pve" })
	for _, a := range slices.Clone(m.ACL) {
		if a.Who == "ops@pve!mcp" {
			m.ACL = append(m.ACL, ACL{Path: a.Path, Who: "ops@pve", Role: a.Role})
		}
	}
	m.Tokens[0] = Token{ID: "see@pve!mcp", Secret: m.uuid("see", 0), PrivSep: true}
	for _, who := range []string{"see@pve", "see@pve!mcp"} {
		m.ACL = append(m.ACL, ACL{Path: "/", Who: who, Role: seeing})
	}
	for i := range m.Tokens {
		m.Tokens[i].Expire = time.Date(2035, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
	}
}
