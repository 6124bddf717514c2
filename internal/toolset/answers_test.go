package toolset_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/testkit/effort"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/internal/toolset"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// crowded is the cluster of 10,000 guests with a long past: backups and images by the
// thousand, snapshots, notes, tasks with long logs.
func crowded() *pvesim.Model {
	m := pvesim.Huge()
	m.Storages = append(m.Storages, pvesim.Storage{ID: "nfs", Type: "nfs", Content: "backup,iso", Shared: true, Size: 1 << 50, Used: 1 << 48})
	for i := range 1000 {
		m.Volumes = append(m.Volumes, pvesim.Volume{
			ID: fmt.Sprintf("nfs:backup/vzdump-qemu-%d-*.vma.zst", 100+i), Content: "backup", Format: "vma.zst", VMID: 100 + i,
			Size: 8 << 30, Used: 8 << 30, Age: time.Duration(i+1) * time.Hour, Notes: strings.Repeat("a note of somebody, and on it goes. ", 20),
		}, pvesim.Volume{ID: fmt.Sprintf("nfs:iso/some-distribution-and-its-edition-%d.iso", i), Content: "iso", Format: "iso", Size: 1 << 30, Used: 1 << 30})
	}
	g := &m.Guests[0] // VM 100
	g.Config = maps.Clone(g.Config)
	g.Config["description"] = strings.Repeat("a line of notes\n", 500)
	for i := range 32 {
		g.Config[fmt.Sprintf("net%d", i)] = fmt.Sprintf("virtio=BC:24:11:00:00:%02X,bridge=vmbr0,firewall=1,tag=%d", i, i+1)
	}
	for i := range 200 {
		g.Config[fmt.Sprintf("unused%d", i)] = fmt.Sprintf("ceph:vm-100-disk-%d", i+10)
	}
	for i := range 300 {
		name, parent := fmt.Sprintf("before-change-%d", i), g.Config["parent"]
		g.Snapshots = append(g.Snapshots, pvesim.Snapshot{
			Name: name, Parent: parent, Age: time.Duration(301-i) * time.Hour, Description: strings.Repeat("why it was made ", 40), Config: map[string]string{"cores": "2"},
		})
		g.Config["parent"] = name
	}
	g = &m.Guests[1] // VM 101, of whose configuration every part is as long as can be
	g.Config, g.Pending = maps.Clone(g.Config), map[string]string{}
	for _, key := range []string{"description", "args", "hookscript", "smbios1", "cicustom", "searchdomain", "nameserver"} {
		g.Config[key], g.Pending[key] = strings.Repeat("ä", 8_000), strings.Repeat("ö", 8_000)
	}
	log := make([]string, 5_000) // which is more than is read to find out why it failed
	for i := range log {
		log[i] = fmt.Sprintf("INFO: line %d of many", i)
	}
	for i := range 100 {
		log[len(log)-1-i] += ", which say what nobody reads: " + strings.Repeat("x", 200)
	}
	for i := range 400 {
		m.Tasks = append(m.Tasks, pvesim.PastTask{
			Node: fmt.Sprintf("pve%d", i%30+1), Type: "vzdump", User: "root@pam", Ago: time.Duration(i+1) * time.Minute, Took: 30 * time.Second,
			Exit: strings.Repeat("something went wrong, at length; ", 10),
		})
	}
	m.Tasks[0].Log = log
	return &m
}

// bounded runs a tool and holds what it answers to the bound: where something is left out,
// it says how much and how to get it.
func bounded(w *sim.World, tl tool.Tool, args string) sim.Answer {
	w.Helper()
	a := w.Run(tl, args)
	w.Logf("%s %s: %d bytes", tl.Name, args, len(a.Text))
	if len(a.Text) > tool.AnswerBytes {
		w.Errorf("%s %s: %d bytes, over %d: %.300s", tl.Name, args, len(a.Text), tool.AnswerBytes, a.Text)
	}
	if left, _ := a.Fields["left_out"].(float64); left > 0 && a.Fields["more"] == nil && !strings.Contains(args, "offset") {
		w.Errorf("%s %s: %v are left out, and no word of how to get them", tl.Name, args, left)
	}
	return a
}

// Every tool that reads, on a cluster with much of everything. A guest takes at most 230 bytes
// of a list with its usual fields.
func TestAnswersAreBounded(t *testing.T) {
	t.Parallel()
	effort.SkipShort(t)
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{Model: crowded(), Token: "root@pam!full"})
		for _, tl := range toolset.All() {
			for _, e := range tl.Examples {
				if tl.Risk == policy.Read {
					bounded(w, tl, w.Arguments(e))
				}
			}
		}
		upid := w.Call("pve_list_tasks", `{"node":"pve1","limit":1}`).Fields["tasks"].([]any)[0].(map[string]any)["upid"]
		for _, c := range [][2]string{
			{"pve_list_guests", `{"sort":"disk"}`}, {"pve_list_guests", `{"status":"running","sort":"cpu"}`},
			{"pve_guest_status", `{"vmid":99999}`}, {"pve_guest_config", `{"vmid":101}`}, {"pve_list_backups", `{"vmid":100}`},
			{"pve_node_status", `{"node":"pve99"}`}, {"pve_storage_content", `{"storage":"ceph"}`},
			{"pve_task_status", fmt.Sprintf(`{"upid":%q}`, upid)}, {"pve_task_status", fmt.Sprintf(`{"upid":%q,"log":50}`, upid)}, {"pve_task_status", fmt.Sprintf(`{"upid":%q,"log":200}`, upid)},
		} {
			tl, _ := toolset.Named(c[0])
			bounded(w, tl, c[1])
		}
		if a := w.Call("pve_list_snapshots", `{"vmid":100}`); a.Fields["total"] != 300.0 || a.Fields["left_out"] != 250.0 {
			t.Errorf("%v snapshots, of which %v are left out", a.Fields["total"], a.Fields["left_out"])
		}
		w.Host.AnswerBytes = 10_000_000
		a := w.Call("pve_list_guests", `{"limit":500,"status":"running"}`)
		if n := len(a.Fields["guests"].([]any)); n != 500 || len(a.Text) > 230*n {
			t.Errorf("%d bytes for %d guests", len(a.Text), n)
		}
		w.Host.AnswerBytes = 0
		pagesAreWhole(w, "pve_list_guests", "guests", `"node":"pve1"`)
		pagesAreWhole(w, "pve_storage_content", "content", `"storage":"nfs","content":"iso"`)
		pagesAreWhole(w, "pve_list_backups", "backups", `"storage":"nfs"`)
		pagesAreWhole(w, "pve_list_snapshots", "snapshots", `"vmid":100`)
		pagesAreWhole(w, "pve_list_tasks", "tasks", `"since":"7d"`)
	})
}

// pagesAreWhole reads a list with the largest limit that there is, part by part as each says
// how to go on: every part is bounded, and all of them have each row once.
func pagesAreWhole(w *sim.World, name, rows, args string) {
	w.Helper()
	tl, _ := toolset.Named(name)
	most := *tl.Input().Properties["limit"].Maximum
	seen, parts, offset := map[string]bool{}, 0, 0
	for more := true; more; parts++ {
		a := bounded(w, tl, fmt.Sprintf(`{%s,"limit":%v,"offset":%d}`, args, most, offset))
		list, _ := a.Fields[rows].([]any)
		for _, row := range list {
			seen[fmt.Sprint(row)] = true
		}
		if left, _ := a.Fields["left_out"].(float64); a.Fields["total"] != left+float64(len(list)) || len(list) == 0 {
			w.Fatalf("%s at %d: %d rows and %v left out of %v", name, offset, len(list), left, a.Fields["total"])
		}
		if offset += len(list); len(seen) != offset {
			w.Fatalf("%s: %d rows by %d, of which %d differ", name, offset, offset, len(seen))
		}
		next, _ := a.Fields["more"].(string)
		if more = next != ""; more && !strings.HasPrefix(next, fmt.Sprintf("offset: %d, or a filter", offset)) {
			w.Fatalf("%s: %d rows so far, and it goes on at %s", name, offset, next)
		}
		if !more && a.Fields["total"] != float64(offset) {
			w.Errorf("%s: %d rows of %v", name, offset, a.Fields["total"])
		}
	}
	if parts < 2 {
		w.Errorf("%s: all rows in one part", name)
	}
}

// wide is a cluster of many nodes with many storages, some of which are down.
func wide(nodes int) *pvesim.Model {
	m := pvesim.Sized(1, nodes, 20, 10)
	for i := range 60 {
		m.Storages = append(m.Storages, pvesim.Storage{
			ID: fmt.Sprintf("filer-of-a-department-%03d", i), Type: "nfs", Content: "images,rootdir,iso,vztmpl,backup,snippets", Shared: true, Size: 1 << 50, Used: 1 << 48,
		})
	}
	for i := range nodes / 3 {
		m.Nodes[nodes-1-2*i].Offline = true
	}
	return &m
}

// What each list has of a cluster that is larger than any list, and how much it leaves out.
func TestWideClustersAreBounded(t *testing.T) {
	t.Parallel()
	effort.SkipShort(t)
	for _, nodes := range effort.Of(nil, []int{30}, []int{30, 200}) {
		t.Run(fmt.Sprint(nodes), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := wide(nodes)
				w := sim.New(t, sim.Options{Model: m, Token: "root@pam!full"})
				for _, tl := range toolset.All() {
					for _, e := range tl.Examples {
						if tl.Risk == policy.Read && e.Given == nil {
							bounded(w.As("none@pve!mcp"), tl, e.Arguments)
							wideAnswer(bounded(w, tl, e.Arguments), w, tl, m)
						}
					}
				}
				storages, _ := toolset.Named("pve_list_storage")
				wideAnswer(bounded(w, storages, `{"limit":500}`), w, storages, m)
			})
		})
	}
}

// wideAnswer checks that an answer about a wide cluster counts what it leaves out, and has
// a word of each node if it is about them.
func wideAnswer(a sim.Answer, w *sim.World, tl tool.Tool, m *pvesim.Model) {
	w.Helper()
	left, _ := a.Fields["left_out"].(float64)
	total, counts := a.Fields["total"].(float64)
	isWhole := func(rows any) bool {
		list, ok := rows.([]any)
		return ok && float64(len(list))+left == total
	}
	if counts && !slices.ContainsFunc(slices.Collect(maps.Values(a.Fields)), isWhole) {
		w.Errorf("%s: no list lacks exactly %v of %v rows", tl.Name, left, total)
	}
	if _, ofNodes := a.Fields["nodes"].([]any); !ofNodes || left > 0 { // what is left out is counted
		return
	}
	offline := 0
	for _, n := range m.Nodes {
		if n.Offline {
			offline++
		}
		if !strings.Contains(a.Text, n.Name) {
			w.Errorf("%s: no word of %s", tl.Name, n.Name)
		}
	}
	if online := a.Fields["online"]; online != nil && online != float64(len(m.Nodes)-offline) {
		w.Errorf("%v of %d nodes are online, of which %d are offline", online, len(m.Nodes), offline)
	}
}
