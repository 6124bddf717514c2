package pvesim_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/testkit/recorded"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

var update = flag.Bool("update", false, "write recorded*.json anew from the recordings")

// recordedAt is when the recording of the first file began, and recorded2At that of the
// first file of the other day.
var (
	recordedAt  = time.Unix(1795370629, 0)
	recorded2At = time.Unix(1795976547, 0)
)

// recordedTokens are the labels of the recordings.
func recordedTokens() map[string]pvesim.Token {
	secret := func(n int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012x", n) }
	return map[string]pvesim.Token{
		"full":  {ID: "root@pam!full", Secret: secret(1)},
		"audit": {ID: "mcp@pve!audit", Secret: secret(2), PrivSep: true},
		"admin": {ID: "mcp@pve!admin", Secret: secret(3), PrivSep: true},
		"ops":   {ID: "mcp@pve!ops", Secret: secret(4), PrivSep: true},
		"none":  {ID: "mcp@pve!none", Secret: secret(5), PrivSep: true},
		"bad":   {ID: "mcp@pve!audit", Secret: secret(0xff)},
		"ghost": {ID: "nobody@pve!x", Secret: secret(0xff)},
	}
}

// initial is initial.json, as far as a model is made of it.
type initial struct {
	ACL []struct {
		Path, RoleID, UGID string
		Propagate          int
	}
	Content map[string]map[string][]struct {
		Content, Format, Notes, Volid string
		CTime, Size, Used             int64
		VMID, Protected               int
	}
	Guests []struct {
		VMID               int
		Type, Node, Status string
		Config             map[string]any
		Snapshots          []struct {
			Name, Description, Parent string
			SnapTime                  int64
			VMState                   int
		}
	}
	Nodes []recordedNode
	Pools []struct {
		PoolID, Comment string
		Members         []struct {
			VMID    int
			Storage string
		}
	}
	Storage []map[string]any
	Users   []struct{ UserID, Comment string }
	at      time.Time // when it was so
}

// own reports whether a guest is the recorder's own.
func own(vmid int) bool { return vmid >= 900 && vmid < 1000 }

type recordedNode struct {
	Node                          string
	MaxCPU                        int
	MaxMem, MaxDisk, Disk, Uptime int64
}

// model leaves out the recorder's own guests.
func (in initial) model() pvesim.Model {
	m := pvesim.Model{Seed: 1, PVE: "8.4.21", Cluster: "rig", HAUsed: true, NoDHCP: true}
	for _, u := range in.Users {
		m.Users = append(m.Users, pvesim.User{ID: u.UserID, Comment: u.Comment})
	}
	slices.SortFunc(m.Users, func(a, b pvesim.User) int { return strings.Compare(b.ID, a.ID) })
	slices.SortFunc(in.Nodes, func(a, b recordedNode) int { return strings.Compare(a.Node, b.Node) })
	for i, n := range in.Nodes {
		node := pvesim.Node{
			Name: n.Node, IP: fmt.Sprintf("10.99.0.%d", i+1), CPUs: n.MaxCPU, Memory: n.MaxMem, Disk: n.MaxDisk,
			Up: time.Duration(n.Uptime) * time.Second, BIOS: true, Contained: true,
		}
		if n.Node == "pve2" {
			node.PVE = "9.2.0"
		}
		m.Nodes = append(m.Nodes, node)
	}
	for _, label := range []string{"full", "audit", "admin", "ops", "none"} {
		m.Tokens = append(m.Tokens, recordedTokens()[label])
	}
	for _, a := range in.ACL {
		m.ACL = append(m.ACL, pvesim.ACL{Path: a.Path, Who: a.UGID, Role: a.RoleID, NoPropagate: a.Propagate == 0})
	}
	for _, s := range in.Storage {
		text := func(key string) string { v, _ := s[key].(string); return v }
		st := pvesim.Storage{
			ID: text("storage"), Type: text("type"), Content: text("content"), Path: text("path"), Disabled: s["disable"] != nil,
			Size: in.Nodes[0].MaxDisk, Used: in.Nodes[0].Disk, Options: map[string]string{},
		}
		for _, key := range []string{"is_mountpoint", "prune-backups"} {
			if text(key) != "" {
				st.Options[key] = text(key)
			}
		}
		m.Storages = append(m.Storages, st)
	}
	for _, p := range in.Pools {
		pool := pvesim.Pool{ID: p.PoolID, Comment: p.Comment}
		for _, member := range p.Members {
			if member.VMID != 0 {
				pool.VMIDs = append(pool.VMIDs, member.VMID)
			} else {
				pool.Storages = append(pool.Storages, member.Storage)
			}
		}
		m.Pools = append(m.Pools, pool)
	}
	in.addVolumes(&m)
	in.addGuests(&m)
	return m
}

func (in initial) addVolumes(m *pvesim.Model) {
	for _, n := range m.Nodes {
		for _, s := range m.Storages {
			for _, v := range in.Content[n.Name][s.ID] {
				if own(v.VMID) || v.VMID == 0 && v.CTime > in.at.Unix() {
					continue
				}
				image := pvesim.Image{NoNetwork: v.Content == "vztmpl" && in.at.Equal(recordedAt)}
				m.Volumes = append(m.Volumes, pvesim.Volume{
					Image: image,
					ID:    v.Volid, Node: n.Name, Content: v.Content, Format: v.Format, Size: v.Size, Used: v.Used, VMID: v.VMID,
					Age: in.at.Sub(time.Unix(v.CTime, 0)), Notes: v.Notes, Protected: v.Protected == 1,
				})
			}
		}
	}
}

func (in initial) addGuests(m *pvesim.Model) {
	for _, g := range in.Guests {
		if own(g.VMID) {
			continue
		}
		guest := pvesim.Guest{VMID: g.VMID, Kind: g.Type, Node: g.Node, Running: g.Status == "running", Config: map[string]string{}}
		for k, v := range g.Config {
			if k != "digest" {
				guest.Config[k] = fmt.Sprint(v)
			}
		}
		if guest.Running {
			guest.Up, guest.Load = time.Hour, 0.02
			guest.IPs = []string{fmt.Sprintf("10.99.0.%d/24", g.VMID), fmt.Sprintf("fe80::%d/64", g.VMID)}
		}
		for _, s := range g.Snapshots {
			if s.Name == "current" {
				continue
			}
			snap := pvesim.Snapshot{Name: s.Name, Description: s.Description, Parent: s.Parent, Age: in.at.Sub(time.Unix(s.SnapTime, 0))}
			if s.VMState == 1 {
				snap.VMState = fmt.Sprintf("local:%d/vm-%d-state-%s.raw", g.VMID, g.VMID, s.Name)
			}
			guest.Snapshots = append(guest.Snapshots, snap)
		}
		m.Guests = append(m.Guests, guest)
	}
}

// The embedded models are what the recordings say.
func TestRecordedModel(t *testing.T) {
	for _, tt := range []struct {
		source, file string
		at           time.Time
		model        func() pvesim.Model
	}{
		{"initial.json", "recorded.json", recordedAt, pvesim.Recorded},
		{"initial-2.json", "recorded-2.json", recorded2At, pvesim.Recorded2},
	} {
		data, err := os.ReadFile(filepath.Join(recorded.Dir(t), tt.source))
		if err != nil {
			t.Fatal(err)
		}
		in := initial{at: tt.at}
		if err := json.Unmarshal(data, &in); err != nil {
			t.Fatal(err)
		}
		want := pvesim.Sparse(in.model())
		if *update {
			if err := os.WriteFile(tt.file, want, 0o644); err != nil {
				t.Fatal(err)
			}
			continue // what is embedded is still the old one
		}
		if got := pvesim.Sparse(tt.model()); string(got) != string(want) {
			t.Errorf("%s is not what the recordings say; run go test ./pvesim -run RecordedModel -update", tt.file)
		}
		if strings.Contains(string(want), "cpuinfo") {
			t.Errorf("%s describes the recorder's own machine", tt.file)
		}
	}
}

// administered is the recorded cluster with a device that can be passed through.
func administered() pvesim.Model {
	m := pvesim.Recorded()
	m.Nodes[0].Devices = []pvesim.Device{{ID: "0000:00:01.0", Class: "0xffff00", VendorID: "0x1af4", DeviceID: "0x1045", Vendor: "Red Hat, Inc.", Name: "Virtio 1.0 memory balloon"}}
	return m
}

// recordedForNine is the recorded cluster as it was when the answers of its 9.2 node were
// recorded: VM 110 was stopped, and its agent reads files.
func recordedForNine() pvesim.Model {
	m := pvesim.Recorded()
	for i := range m.Guests {
		if g := &m.Guests[i]; g.VMID == 110 {
			g.Running, g.Up, g.Files = false, 0, map[string]string{"/etc/passwd": "root:x:0:0:root:/root:/bin/sh\n"}
		}
	}
	return m
}

// handledNine is that cluster as its node of PVE 9 sees it, with other guests of the recorder: VM
// 900 on that node, and CT 902, which has lost its disk.
func handledNine() pvesim.Model {
	m := handled()
	slices.Reverse(m.Nodes)
	m.History = time.Hour
	for i := range m.Guests {
		switch g := &m.Guests[i]; g.VMID {
		case 900:
			g.Node, g.Files = "pve2", map[string]string{"/bin/busybox": strings.Repeat("\x7fELF", 100)}
		case 950:
			g.VMID, g.Running, g.Up, g.Node, g.Config = 902, false, 0, "pve2", map[string]string{
				"hostname": "lost", "memory": "128", "swap": "512", "arch": "amd64", "ostype": "debian", "rootfs": "snap:902/vm-902-disk-0.raw,size=1G",
			}
		}
	}
	m.Missing = append(m.Missing, "snap:902/vm-902-disk-0.raw")
	return m
}

// handled is the cluster of the other day with its bridges, and the recorder's own two guests.
func handled() pvesim.Model {
	m := recorded2WithOwn()
	for i := range m.Nodes {
		m.Nodes[i].Bridges = []string{"vmbr1"}
	}
	for i := range m.Guests {
		if m.Guests[i].VMID == 900 {
			m.Guests[i].Files = map[string]string{"/bin/busybox": "\x7fELF"}
		}
	}
	return m
}
