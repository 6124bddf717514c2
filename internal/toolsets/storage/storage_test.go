package storage_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

const day = 24 * time.Hour

const (
	iso    = "local:iso/debian-12.11.0-amd64-netinst.iso"
	vztmpl = "local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst"
)

// media makes an image and a template on each node all that there is beside the disks of
// guests.
func media(m pvesim.Model) pvesim.Model {
	m.Volumes = nil
	for _, n := range m.Nodes {
		m.Volumes = append(m.Volumes,
			pvesim.Volume{ID: iso, Node: n.Name, Content: "iso", Format: "iso", Size: 702545920, Used: 702545920, Age: 90 * day},
			pvesim.Volume{ID: vztmpl, Node: n.Name, Content: "vztmpl", Format: "tzst", Size: 126515062, Used: 126515062, Age: 90 * day})
	}
	return m
}

// cluster is the preset one, with four of its storages.
func cluster() pvesim.Model {
	m := media(pvesim.Cluster())
	m.Storages = slices.DeleteFunc(m.Storages, func(st pvesim.Storage) bool { return st.Type == "pbs" })
	return m
}

// model returns a model that was changed.
func model(m pvesim.Model, change func(*pvesim.Model)) *pvesim.Model {
	change(&m)
	return &m
}

// withDown returns the cluster in which pve3 is offline.
func withDown() *pvesim.Model {
	return model(cluster(), func(m *pvesim.Model) { m.Nodes[2].Offline = true })
}

// broken returns the cluster in which no node can use nfs.
func broken() *pvesim.Model {
	return model(cluster(), func(m *pvesim.Model) {
		m.Storages[2].Broken = "mount error: mount.nfs: Connection timed out"
	})
}

// granted returns the cluster in which none@pve!mcp has roles on paths, each
// written ROLE on PATH.
func granted(grants ...string) *pvesim.Model {
	return model(cluster(), func(m *pvesim.Model) {
		for _, g := range grants {
			role, path, _ := strings.Cut(g, " on ")
			for _, who := range []string{"none@pve", "none@pve!mcp"} {
				m.ACL = append(m.ACL, pvesim.ACL{Path: path, Who: who, Role: role})
			}
		}
	})
}

// rows writes a field of each row of a list, with its node or nodes.
func rows(a sim.Answer, list, field string) string {
	var out []string
	all, _ := a.Fields[list].([]any)
	for _, r := range all {
		row := r.(map[string]any)
		text := fmt.Sprint(row[field])
		if nodes := row["nodes"]; nodes != nil {
			text += fmt.Sprintf(" %v", nodes)
		}
		if node := row["node"]; node != nil {
			text += fmt.Sprintf("@%v", node)
		}
		if status := row["status"]; status != nil && status != "available" {
			text += fmt.Sprintf(" %v", status)
		}
		if absent := row["unavailable_on"]; absent != nil {
			text += fmt.Sprintf(" not on %v", absent)
		}
		out = append(out, text)
	}
	return strings.Join(out, ", ")
}

// notes are those of an answer, "" for none.
func notes(a sim.Answer) string {
	if a.Fields["notes"] == nil {
		return ""
	}
	return strings.Trim(fmt.Sprint(a.Fields["notes"]), "[]")
}

func TestListStorage(t *testing.T) {
	lab := media(pvesim.Lab())
	eight := model(cluster(), func(m *pvesim.Model) { m.PVE = "8.4.1" })
	limited := model(cluster(), func(m *pvesim.Model) {
		m.Storages[1].Nodes = []string{"pve2"}
		m.Storages[2].Nodes = []string{"pve1", "pve2"}
	})
	local := "local [pve1], local [pve2], local [pve3]"
	zfs := "local-zfs [pve1], local-zfs [pve2], local-zfs [pve3]"
	for _, tt := range []struct {
		name, token string
		model       *pvesim.Model
		args, want  string
		notes       string
		sent        int
	}{
		{name: "cluster", args: `{}`, want: local + ", " + zfs + ", nfs [pve1 pve2 pve3]", sent: 3},
		{name: "PVE 8", model: eight, args: `{}`, want: local + ", " + zfs + ", nfs [pve1 pve2 pve3]", sent: 3},
		{name: "single node", model: &lab, args: `{}`, want: "local [pve], local-lvm [pve]", sent: 3},
		{name: "for backups", args: `{"content":"backup"}`, want: local + ", nfs [pve1 pve2 pve3]", sent: 3},
		{name: "for disk images", args: `{"content":"import"}`, want: "nfs [pve1 pve2 pve3]", sent: 3},
		{name: "for what none may hold", model: &lab, args: `{"content":"import"}`, want: "", sent: 3},
		{name: "of a node", args: `{"node":"pve2"}`, want: "local [pve2], local-zfs [pve2], nfs [pve2], old-nas [pve2] disabled", sent: 4},
		{name: "of a node, for backups", args: `{"node":"pve2","content":"backup"}`, want: "local [pve2], nfs [pve2], old-nas [pve2] disabled", sent: 4},
		{name: "of a node on PVE 8", model: eight, args: `{"node":"pve2","content":"rootdir"}`, want: "local-zfs [pve2], nfs [pve2]", sent: 4},
		{name: "limited to nodes", model: limited, args: `{}`, want: local + ", local-zfs [pve2], nfs [pve1 pve2]", sent: 3},
		{name: "those of other nodes are not a node's", model: limited, args: `{"node":"pve3"}`, want: "local [pve3], old-nas [pve3] disabled", sent: 4},
		{name: "a node is offline", model: withDown(), args: `{}`, want: "local [pve1], local [pve2], local [pve3] unknown, " +
			"local-zfs [pve1], local-zfs [pve2], local-zfs [pve3] unknown, nfs [pve1 pve2 pve3] not on [pve3]", sent: 3},
		{name: "a storage is broken", model: broken(), args: `{}`, want: local + ", " + zfs + ", nfs [pve1 pve2 pve3] unknown", sent: 3},
		{name: "a storage of a node is broken", model: broken(), args: `{"node":"pve1"}`,
			want: "local [pve1], local-zfs [pve1], nfs [pve1] inactive, old-nas [pve1] disabled", sent: 4},
		{name: "without any privilege", token: "none@pve!mcp", args: `{}`, want: "", sent: 3,
			notes: "this token lacks Datastore.Audit on /storage: there may be storages that it cannot see"},
		{name: "a role for VMs alone", token: "none@pve!mcp", model: granted("PVEVMAdmin on /"), args: `{}`, want: "", sent: 3,
			notes: "this token lacks Datastore.Audit on /storage: there may be storages that it cannot see"},
		{name: "one storage may be seen", token: "none@pve!mcp", model: granted("PVEAuditor on /storage/nfs"), args: `{"node":"pve1"}`, want: "nfs [pve1]", sent: 4,
			notes: "this token lacks Datastore.Audit on /storage: there may be storages that it cannot see"},
		{name: "one storage may not be seen", token: "none@pve!mcp", model: granted("PVEAuditor on /", "PVEVMUser on /storage/local-zfs"), args: `{}`, want: local + ", nfs [pve1 pve2 pve3]", sent: 3,
			notes: "this token lacks Datastore.Audit on /storage/local-zfs: such a storage may be left out"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.model == nil {
				m := cluster()
				tt.model = &m
			}
			w := sim.New(t, sim.Options{Model: tt.model, Token: tt.token})
			a := w.Call("pve_list_storage", tt.args)
			if got := rows(a, "storages", "storage"); a.IsError || got != tt.want || notes(a) != tt.notes {
				t.Errorf("got %s\nwant %s\nnotes %s\nwant %s", got, tt.want, notes(a), tt.notes)
			}
			if sent := w.Sent(); len(sent) != tt.sent {
				t.Errorf("requests %v, want %d", sent, tt.sent)
			}
		})
	}
}

func TestListStorageShowsUse(t *testing.T) {
	w := sim.New(t, sim.Options{Model: broken()})
	for args, want := range map[string]string{
		`{"content":"snippets","limit":1}`: `{"storages":[{"storage":"local","type":"dir","status":"available","nodes":["pve1"],"content":["backup","iso","snippets","vztmpl"],` +
			`"used":33285996544,"used_human":"31 GiB","total":100931731456,"total_human":"94 GiB","percent":33}],"total":3,"left_out":2,"more":"offset: 1, or a filter",`,
		`{"node":"pve2","content":"vztmpl"}`: `"used":33285996544,"used_human":"31 GiB","total":100931731456,"total_human":"94 GiB","percent":33}],"total":1,`,
		`{"limit":1,"offset":1}`:             `"total":7,"left_out":6,"more":"offset: 2, or a filter",`,
		// What cannot be used has no use to show: PVE's zeros are none.
		`{"node":"pve1","content":"backup","limit":500}`: `{"storage":"nfs","type":"nfs","status":"inactive","shared":true,"nodes":["pve1"],"content":["backup","images","import","iso","rootdir"]}`,
		`{"content":"backup"}`:                           `{"storage":"nfs","type":"nfs","status":"unknown","shared":true,"nodes":["pve1","pve2","pve3"],"content":["backup","images","import","iso","rootdir"]}`,
	} {
		if a := w.Call("pve_list_storage", args); !strings.Contains(a.Text, want) {
			t.Errorf("%s: %s\nwant %s", args, a.Text, want)
		}
	}
}

func TestListStorageRefuses(t *testing.T) {
	w := sim.New(t, sim.Options{Model: withDown()})
	for args, want := range map[string]string{
		`{"node":"pve9"}`:       `There is no node "pve9". The nodes are pve1, pve2 and pve3.`,
		`{"node":"pve3"}`:       "The node pve3 is offline. Other nodes still answer.",
		`{"content":"backups"}`: `The argument "content" is "backups", which is none of`,
		`{"limit":0}`:           `The argument "limit" is 0, which is not a whole number from 1 to 500`,
	} {
		if a := w.Call("pve_list_storage", args); !a.IsError || !strings.Contains(a.Text, want) {
			t.Errorf("%s: %s", args, a.Text)
		}
	}
}

// full returns the cluster with all kinds of content.
func full() *pvesim.Model {
	return model(cluster(), func(m *pvesim.Model) {
		m.Storages[0].Content += ",import"
		dump := "nfs:backup/vzdump-qemu-100-2026_11_20-02_00_00.vma.zst"
		m.Volumes = append(m.Volumes,
			pvesim.Volume{ID: dump, Content: "backup", Format: "vma.zst", Size: 9 << 30, Used: 9 << 30, VMID: 100, Age: 2 * day,
				Notes: "web-1\x1b[31m, before\nthe upgrade", Protected: true},
			pvesim.Volume{ID: "nfs:backup/vzdump-lxc-200-2026_11_21-02_00_00.tar.zst", Content: "backup", Format: "tar.zst", Size: 1 << 30, Used: 1 << 30, VMID: 200, Age: day},
			pvesim.Volume{ID: "local:snippets/user.yaml", Node: "pve1", Content: "snippets", Format: "snippet", Size: 812, Used: 812, Age: 3 * day},
			pvesim.Volume{ID: "local:import/appliance.ova", Node: "pve2", Content: "import", Format: "ova", Size: 2 << 30, Used: 2 << 30, Age: 3 * day},
		)
	})
}

func TestStorageContent(t *testing.T) {
	on := func(id string, nodes ...string) string {
		var out []string
		for _, n := range nodes {
			out = append(out, id+"@"+n)
		}
		return strings.Join(out, ", ")
	}
	vm, ct := "nfs:backup/vzdump-qemu-100-2026_11_20-02_00_00.vma.zst", "nfs:backup/vzdump-lxc-200-2026_11_21-02_00_00.tar.zst"
	noSpace := "backups on nfs are not visible to this token: it lacks Datastore.AllocateSpace on /storage/nfs"
	noSnippets := "snippets on local are not visible to this token: it lacks Datastore.Allocate on /storage/local"
	down := withDown()
	lab := media(pvesim.Lab())
	for _, tt := range []struct {
		name, token string
		model       *pvesim.Model
		args, want  string
		notes       string
		sent        int
	}{
		{name: "shared", args: `{"storage":"nfs"}`, want: ct + ", " + vm, sent: 4},
		{name: "of each node", args: `{"storage":"local","content":"iso"}`, want: on(iso, "pve1", "pve2", "pve3"), sent: 6},
		{name: "of one node", args: `{"storage":"local","node":"pve2","content":"import"}`, want: "local:import/appliance.ova@pve2", sent: 4},
		{name: "single node", model: &lab, args: `{"storage":"local"}`, want: on(iso, "pve") + ", " + on(vztmpl, "pve"), notes: noSnippets, sent: 4},
		{name: "snippets", token: "root@pam!full", args: `{"storage":"local","content":"snippets"}`, want: "local:snippets/user.yaml@pve1", sent: 6},
		{name: "snippets, hidden", args: `{"storage":"local","content":"snippets"}`, notes: noSnippets, sent: 6},
		{name: "disks of a guest", args: `{"storage":"local-zfs","vmid":105}`, want: on("local-zfs:vm-105-disk-0", "pve3"), sent: 6},
		{name: "disks of containers", args: `{"storage":"local-zfs","content":"rootdir","node":"pve2"}`, want: on("local-zfs:subvol-201-disk-0", "pve2"), sent: 4},
		{name: "of a guest that is not there", args: `{"storage":"nfs","vmid":999}`, sent: 6, notes: "no guest 999 can be seen, nor anything of it; what there is, is of 100 and 200"},
		{name: "backups of a guest", args: `{"storage":"nfs","content":"backup","vmid":100}`, want: vm, sent: 4},
		{name: "a page", args: `{"storage":"nfs","limit":1,"offset":1}`, want: vm, sent: 4},
		{name: "past the end", args: `{"storage":"nfs","offset":9}`, want: "", sent: 4},
		{name: "an auditor sees no backups", token: "audit@pve!mcp", args: `{"storage":"nfs","content":"backup"}`, notes: noSpace, sent: 4},
		{name: "an auditor sees no disks", token: "audit@pve!mcp", args: `{"storage":"nfs"}`, sent: 4,
			notes: noSpace + " disks on nfs of guests on which this token lacks VM.Config.Disk are not visible"},
		{name: "an auditor sees images", token: "audit@pve!mcp", args: `{"storage":"local","content":"vztmpl","node":"pve1"}`, want: on(vztmpl, "pve1"), sent: 4},
		{name: "backups of one guest", token: "none@pve!mcp", args: `{"storage":"nfs","content":"backup"}`,
			model: granted("PVEDatastoreUser on /storage/nfs", "PVEVMUser on /vms/200"), want: ct, sent: 4,
			notes: "backups on nfs of guests on which this token lacks VM.Backup are not visible"},
		{name: "backups of all guests but one", token: "none@pve!mcp", args: `{"storage":"nfs","content":"backup"}`,
			model: granted("PVEDatastoreUser on /storage/nfs", "PVEVMUser on /vms", "PVEAuditor on /vms/200"), want: vm, sent: 4,
			notes: "backups on nfs of /vms/200 are not visible: this token lacks VM.Backup there"},
		{name: "a node is offline", model: down, args: `{"storage":"local","content":"iso"}`, want: on(iso, "pve1", "pve2"), sent: 5,
			notes: "storage local on pve3 is not available, or its node is not: what it has is left out"},
		{name: "a shared one is asked elsewhere", model: down, args: `{"storage":"nfs"}`, sent: 4},
		{name: "broken", model: broken(), args: `{"storage":"nfs"}`, sent: 3,
			notes: "storage nfs is not available, or its node is not: what it has is left out"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := sim.Options{Model: full(), Token: tt.token}
			if tt.model != nil {
				o.Model = tt.model
				if tt.token == "none@pve!mcp" {
					o.Model.Volumes = full().Volumes
				}
			}
			w := sim.New(t, o)
			a := w.Call("pve_storage_content", tt.args)
			if got := rows(a, "content", "volid"); a.IsError || got != tt.want || notes(a) != tt.notes {
				t.Errorf("got %s\nwant %s\nnotes %s\nwant %s\n%s", got, tt.want, notes(a), tt.notes, a.Text)
			}
			if sent := w.Sent(); len(sent) != tt.sent {
				t.Errorf("requests %v, want %d", sent, tt.sent)
			}
		})
	}
}

func TestStorageContentShowsWhatPVEKnows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := full()
		m.Volumes = append(m.Volumes, pvesim.Volume{ID: "local-zfs:base-900-disk-0/vm-104-disk-1", Node: "pve1", Content: "images", Format: "raw",
			Size: 16 << 30, Used: 1 << 30, VMID: 104, Parent: "local-zfs:base-900-disk-0"},
			pvesim.Volume{ID: "nfs:103/vm-103-disk-7.qcow2", Content: "images", Format: "qcow2", Size: 16 << 30, Used: 1 << 30, VMID: 103, Inactive: true},
			pvesim.Volume{ID: "nfs:backup/vzdump-qemu-109-*.vma.zst", Content: "backup", Format: "vma.zst", Size: 1 << 30, Used: 1 << 30, VMID: 109, Verification: "failed", Encrypted: "1"})
		m.PVE = "9.1.5"
		w := sim.New(t, sim.Options{Model: m})
		for args, want := range map[string]string{
			`{"storage":"nfs","vmid":100}`: `{"content":[{"volid":"nfs:backup/vzdump-qemu-100-2026_11_20-02_00_00.vma.zst","content":"backup","format":"vma.zst",` +
				`"size":9663676416,"size_human":"9 GiB","vmid":100,"created":"1999-12-30T00:00:00Z","notes":"web-1, before","protected":true}],"total":1}`,
			`{"storage":"local-zfs","vmid":104}`: `{"volid":"local-zfs:base-900-disk-0/vm-104-disk-1","content":"images","format":"raw","size":17179869184,"size_human":"16 GiB",` +
				`"used":1073741824,"used_human":"1 GiB","vmid":104,"parent":"base-900-disk-0@__base__","node":"pve1"}`,
			`{"storage":"nfs","vmid":103}`:      `"size":17179869184,"size_human":"16 GiB","size_approximate":true,`,
			`{"storage":"nfs","vmid":109}`:      `"verified":"failed","encrypted":true`,
			`{"storage":"local-zfs","limit":2}`: `"total":21,"left_out":19,"more":"offset: 2, or a filter"`,
		} {
			if a := w.Call("pve_storage_content", args); !strings.Contains(a.Text, want) {
				t.Errorf("%s: %s\nwant %s", args, a.Text, want)
			}
		}
	})
}

func TestStorageContentRefuses(t *testing.T) {
	for _, tt := range []struct{ token, args, want string }{
		{"", `{}`, `The argument "storage" is missing`},
		{"", `{"storage":"nowhere"}`, `There is no storage "nowhere", or it is disabled, or this token may not see it. There are local, local-zfs and nfs.`},
		{"", `{"storage":"old-nas"}`, `There is no storage "old-nas", or it is disabled`},
		{"", `{"storage":"local","node":"pve9"}`, `There is no node "pve9". The nodes are pve1, pve2 and pve3.`},
		{"", `{"storage":"local","content":"images"}`, "The storage local is not for images. It may hold backup, iso, snippets and vztmpl."},
		{"none@pve!mcp", `{"storage":"local"}`, "This token sees no storages at all. Grant it PVEAuditor on /storage."},
	} {
		m := cluster()
		w := sim.New(t, sim.Options{Model: &m, Token: tt.token})
		a := w.Call("pve_storage_content", tt.args)
		if !a.IsError || !strings.Contains(a.Text, tt.want) {
			t.Errorf("%s: %s, want %s", tt.args, a.Text, tt.want)
		}
		if sent := w.Sent(); len(sent) > 2 {
			t.Errorf("%s: requests %v", tt.args, sent)
		}
	}
}

// A node that cannot answer, though the cluster counts it as online, is gone round; where
// nobody else can answer it is named.
func TestStorageContentOfANodeThatDoesNotAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := full()
		m.Faults = []pvesim.Fault{
			{Match: "GET /nodes/pve1/storage/nfs/content", Status: 595, Message: "No route to host"},
			{Match: "GET /nodes/pve2/storage/*/content", Status: 500, Message: "mount point is not responding"},
		}
		w := sim.New(t, sim.Options{Model: m})
		if a := w.Call("pve_storage_content", `{"storage":"nfs"}`); !a.IsError || !strings.Contains(a.Text, "mount point is not responding") {
			t.Errorf("asked elsewhere, which fails: %s", a.Text)
		}
		a := w.Call("pve_storage_content", `{"storage":"local","content":"vztmpl"}`)
		if diff := cmp.Diff("storage local on pve2 could not be asked: PVE refused: mount point is not responding.", notes(a)); a.IsError || a.Fields["total"] != 2.0 || diff != "" {
			t.Errorf("%s\n%s", a.Text, diff)
		}
		m.Faults = m.Faults[:1]
		w = sim.New(t, sim.Options{Model: m})
		if a := w.Call("pve_storage_content", `{"storage":"nfs"}`); a.IsError || a.Fields["total"] != 2.0 || notes(a) != "" {
			t.Errorf("asked elsewhere: %s", a.Text)
		}
	})
}
