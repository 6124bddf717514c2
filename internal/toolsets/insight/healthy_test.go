package insight_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/pve-mcp/pve-mcp/pvesim"
)

const (
	gib = int64(1) << 30
	day = 24 * time.Hour
)

// The tokens of a healthy cluster. That of the pool sees the guests with even ids.
const (
	fullToken     = "root@pam!full"
	operatorToken = "ops@pve!mcp"
	auditorToken  = "audit@pve!mcp"
	poolToken     = "pool@pve!mcp"
)

// healthy is a cluster in which nothing is wrong.
func healthy(seed uint64, nodes int, version string) pvesim.Model {
	vms, cts := 4*nodes+8, 2*nodes+8
	m := pvesim.Sized(seed, nodes, vms, cts)
	m.PVE = version
	if nodes == 1 {
		m.Cluster = ""
	}
	m.Storages = append(m.Storages,
		pvesim.Storage{ID: "pbs", Type: "pbs", Content: "backup", Shared: true, Size: 8000 * gib, Used: 3000 * gib, Options: map[string]string{"server": "10.0.0.9", "datastore": "main", "username": "pve@pbs"}},
		pvesim.Storage{ID: "thin", Type: "lvmthin", Content: "images,rootdir", Size: 400 * gib, Used: 100 * gib, Options: map[string]string{"vgname": "pve", "thinpool": "data"}},
		pvesim.Storage{ID: "tank", Type: "zfspool", Content: "images,rootdir", Size: 400 * gib, Used: 100 * gib, Options: map[string]string{"pool": "tank/data"}},
		pvesim.Storage{ID: "nas", Type: "nfs", Content: "images,iso,backup", Shared: true, Size: 4000 * gib, Used: 1000 * gib, Options: map[string]string{"server": "10.0.0.8", "export": "/nas"}},
	)
	m.Storages[0].Content = "vztmpl,snippets"
	for i, n := range m.Nodes { // each has a thin pool or a ZFS pool, one alone has both
		if local := m.Storages[3+i%2:]; nodes > 1 {
			local[0].Nodes = append(local[0].Nodes, n.Name)
		}
	}
	pool := pvesim.Pool{ID: "mine"}
	for i := range m.Guests {
		g := &m.Guests[i]
		if g.Config["template"] == "1" {
			continue
		}
		if g.VMID%2 == 0 {
			pool.VMIDs = append(pool.VMIDs, g.VMID)
		}
		if g.Running {
			g.Config["onboot"] = "1"
		}
		m.Volumes = append(m.Volumes, backupOf(*g, 9*time.Hour, "ok"))
	}
	m.Pools = []pvesim.Pool{pool}
	m.Jobs = []pvesim.BackupJob{{ID: "nightly", Schedule: "02:00", Options: map[string]string{"all": "1", "mode": "snapshot", "storage": "pbs"}}}
	m.Users = append(m.Users, pvesim.User{ID: "pool@pve"})
	m.Tokens = append(m.Tokens, pvesim.Token{ID: poolToken, Secret: "00000000-0000-4000-8000-000000000099"})
	for i := range m.Tokens {
		m.Tokens[i].Expire, m.Tokens[i].PrivSep = 4102444800, true
	}
	m.Roles = map[string][]string{"Updater": {"Sys.Modify"}}
	for _, role := range []string{"PVEAdmin", "PVEAuditor", "PVEVMAdmin", "PVEDatastoreAdmin", "Updater"} {
		m.ACL = append(m.ACL, pvesim.ACL{Path: "/", Who: fullToken, Role: role})
	}
	for _, who := range []string{"pool@pve", poolToken} {
		m.ACL = append(m.ACL, pvesim.ACL{Path: "/pool/mine", Who: who, Role: "PVEVMUser"}, pvesim.ACL{Path: "/pool/mine", Who: who, Role: "PVEAuditor"})
	}
	return m
}

// backupOf is a backup of a guest on the backup server.
func backupOf(g pvesim.Guest, age time.Duration, verified string) pvesim.Volume {
	kind, format := "vm", "pbs-vm"
	if g.Kind == "lxc" {
		kind, format = "ct", "pbs-ct"
	}
	return pvesim.Volume{
		ID: fmt.Sprintf("pbs:backup/%s/%d/*", kind, g.VMID), Content: "backup", Format: format, Size: gib, VMID: g.VMID, Age: age,
		Verification: verified, Notes: g.Config["name"] + g.Config["hostname"],
	}
}

// planter plants faults into a model, each on nodes and guests of its own.
type planter struct {
	*pvesim.Model
	r     *rand.Rand
	used  map[string]bool
	wants map[string]bool // "id subject", of those that the token can know
	sees  func(need string, g *pvesim.Guest) bool
	blind []string        // checks that the token cannot make
	deep  map[string]bool // as wants, of a deep look alone
}

// want says that a finding is to be there. needs are what a token needs to know it; blind is
// the check that is named if it lacks some. g may be nil.
func (p *planter) want(id, subject, blind string, g *pvesim.Guest, needs ...string) {
	for _, need := range needs {
		if !p.sees(need, g) {
			p.blind = append(p.blind, blind)
			return
		}
	}
	p.wants[id+" "+subject] = true
}

// wantDeep says that only a deep look finds something, and that any other says so.
func (p *planter) wantDeep(id, subject string) {
	p.deep[id+" "+subject] = true
	if p.sees("store", nil) {
		p.blind = append(p.blind, "other volumes")
	}
}

// node returns the index of a node that no other fault has.
func (p *planter) node() int {
	for {
		i := p.r.IntN(len(p.Nodes))
		if name := "node " + p.Nodes[i].Name; !p.used[name] || len(p.Nodes) < 3 {
			p.used[name] = true
			return i
		}
	}
}

// guest returns a guest that no other fault has.
func (p *planter) guest(fits func(pvesim.Guest) bool) *pvesim.Guest {
	order := p.r.Perm(len(p.Guests))
	for _, i := range order {
		g := &p.Guests[i]
		if key := fmt.Sprint("guest ", g.VMID); !p.used[key] && g.Config["template"] != "1" && fits(*g) {
			p.used[key] = true
			return g
		}
	}
	panic("no guest is left")
}

// has reports whether a storage is on a node.
func (p *planter) has(storage, node string) bool {
	s := p.storage(storage)
	return s.Nodes == nil || slices.Contains(s.Nodes, node)
}

// nodeWith returns the index of a node that has a storage.
func (p *planter) nodeWith(storage string) int {
	for {
		if i := p.r.IntN(len(p.Nodes)); p.has(storage, p.Nodes[i].Name) {
			return i
		}
	}
}

// on returns the guests that run on a node.
func (p *planter) on(node string) []*pvesim.Guest {
	var out []*pvesim.Guest
	for i := range p.Guests {
		if g := &p.Guests[i]; g.Node == node && g.Running {
			out = append(out, g)
		}
	}
	return out
}

func (p *planter) running() *pvesim.Guest {
	return p.guest(func(g pvesim.Guest) bool { return g.Running })
}

func (p *planter) vm() *pvesim.Guest {
	return p.guest(func(g pvesim.Guest) bool { return g.Running && g.Kind == "qemu" })
}

func (p *planter) ct() *pvesim.Guest {
	return p.guest(func(g pvesim.Guest) bool { return g.Running && g.Kind == "lxc" })
}

// backup returns the backup of a guest.
func (p *planter) backup(g *pvesim.Guest) *pvesim.Volume {
	i := slices.IndexFunc(p.Volumes, func(v pvesim.Volume) bool { return v.VMID == g.VMID && v.Content == "backup" })
	return &p.Volumes[i]
}

func (p *planter) storage(id string) *pvesim.Storage {
	i := slices.IndexFunc(p.Storages, func(s pvesim.Storage) bool { return s.ID == id })
	return &p.Storages[i]
}

// name is how a guest is named.
func name(g *pvesim.Guest) string {
	return fmt.Sprintf("%d %s%s", g.VMID, g.Config["name"], g.Config["hostname"])
}
