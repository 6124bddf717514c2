package guests_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// ids returns the vmids of a list.
func ids(a sim.Answer) string {
	var out []string
	list, _ := a.Fields["guests"].([]any)
	for _, g := range list {
		out = append(out, fmt.Sprint(g.(map[string]any)["vmid"]))
	}
	return strings.Join(out, " ")
}

func TestListFilters(t *testing.T) { synctest.Test(t, listFilters) }

func listFilters(t *testing.T) {
	w := sim.New(t, sim.Options{})              // whose time is the bubble's, and stands still
	first := []string{"GET /cluster/resources"} // at the same time as the token's privileges
	look := "GET /nodes/{node}/qemu/{vmid}/status/current"
	for _, tt := range []struct {
		args, want string
		looks      int // at guests whose name the list may not have any more
	}{
		{`{}`, "100 101 102 103 104 105 106 107 108 109 200 201 202 203 204 900 901 910", 0},
		{`{"node":"pve3"}`, "103 105 107 202 204 910", 0},
		{`{"type":"lxc","status":"stopped"}`, "204 910", 0},
		{`{"status":"paused"}`, "108", 0},
		{`{"status":"suspended"}`, "109", 0},
		{`{"name":"WEB"}`, "100 101", 2},
		{`{"name":"W*1"}`, "100", 1},
		{`{"name":"eb-*"}`, "", 0},
		{`{"tag":"Db"}`, "102 103", 0},
		{`{"pool":"web"}`, "100 101 200", 0},
		{`{"sort":"name","limit":3}`, "910 105 102", 0},
		{`{"sort":"uptime","limit":2}`, "102 104", 0},
		{`{"sort":"mem","limit":2}`, "102 103", 0},
		{`{"sort":"mem_percent","limit":2}`, "102 101", 0},
		{`{"sort":"disk","limit":2}`, "102 103", 0},
		{`{"limit":3,"offset":16}`, "901 910", 0},
		{`{"offset":99}`, "", 0},
		{`{"name":"nothing like it"}`, "", 0},
	} {
		if got := ids(w.Call("pve_list_guests", tt.args)); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.args, got, tt.want)
		}
		requests := slices.Concat([]string{"GET /access/permissions"}, first, slices.Repeat([]string{look}, tt.looks))
		if diff := cmp.Diff(requests, slices.Sorted(slices.Values(w.Sent()))); diff != "" {
			t.Errorf("%s: requests (-want +got):\n%s", tt.args, diff)
		}
		first = nil // the list is used again for a moment
	}
}

func TestListSaysWhatIsLeftOut(t *testing.T) {
	w := sim.New(t, sim.Options{})
	a := w.Call("pve_list_guests", `{"limit":5,"offset":5}`)
	if a.Fields["total"] != 18.0 || a.Fields["left_out"] != 13.0 || a.Fields["more"] != "offset: 10, or a filter" {
		t.Errorf("%s", a.Text)
	}
	if a := w.Call("pve_list_guests", `{"fields":["name","mem","disk"],"limit":11}`); strings.Contains(a.Text, `"vmid"`) ||
		!strings.Contains(a.Text, `"mem_human"`) || strings.Count(a.Text, `"disk"`) != 1 {
		t.Errorf("fields: want names, memory in use, and the one container's disk, since PVE knows no VM's: %s", a.Text)
	}
}

// mostOfRow is how many bytes a guest takes of a list with its usual fields.
const mostOfRow = 230

func TestListIsThrifty(t *testing.T) {
	a := sim.New(t, sim.Options{}).Call("pve_list_guests", `{}`)
	list := a.Fields["guests"].([]any)
	if each := len(a.Structured) / len(list); each > mostOfRow {
		t.Errorf("%d bytes for each guest, want at most %d", each, mostOfRow)
	}
}

// Of 10,000 guests the answer has some, says how many there are, and how to get the rest.
func TestListOfManyIsBounded(t *testing.T) {
	m := pvesim.Cluster()
	g := m.Guests[0]
	for g.VMID = 1000; len(m.Guests) < 10_000; g.VMID++ {
		m.Guests = append(m.Guests, g)
	}
	w := sim.New(t, sim.Options{Model: &m})
	for _, tt := range []struct {
		args        string
		total, rows int
		more        string
		bytes       int
	}{
		{`{}`, 10_000, 50, "offset: 50, or a filter", 50*mostOfRow + 500},
		{`{"limit":500,"offset":9900}`, 10_000, 100, "", 100*mostOfRow + 500},
	} {
		a := w.Call("pve_list_guests", tt.args)
		more, _ := a.Fields["more"].(string)
		if rows := len(a.Fields["guests"].([]any)); a.Fields["total"] != float64(tt.total) || rows != tt.rows || more != tt.more || len(a.Structured) > tt.bytes {
			t.Errorf("%s: total %v, %d listed in %d bytes, more: %q", tt.args, a.Fields["total"], rows, len(a.Structured), more)
		}
		if left, _ := a.Fields["left_out"].(float64); int(left) != tt.total-tt.rows {
			t.Errorf("%s: %v left out", tt.args, left)
		}
		if sent := w.Sent(); len(sent) == 0 || len(sent) > 2 { // the list may still be kept
			t.Errorf("%s: requests %v", tt.args, sent)
		}
	}
}

func TestListSaysWhatIsHidden(t *testing.T) {
	a := sim.New(t, sim.Options{Token: "none@pve!mcp"}).Call("pve_list_guests", `{}`)
	if a.Fields["total"] != 0.0 || !strings.Contains(a.Text, "there may be guests that it cannot see") {
		t.Errorf("a token without privileges: %s", a.Text)
	}
	a = sim.New(t, sim.Options{}).Call("pve_list_guests", `{"pool":"web"}`)
	if a.Fields["notes"] != nil {
		t.Errorf("a token that sees everything: %s", a.Text)
	}
	for _, tt := range []struct {
		acl        []pvesim.ACL
		args, want string
	}{
		{[]pvesim.ACL{{Path: "/vms", Role: "PVEAuditor", NoPropagate: true}}, `{}`, "this token lacks VM.Audit on /vms: there may be guests that it cannot see"},
		{[]pvesim.ACL{{Path: "/vms", Role: "PVEAuditor"}, {Path: "/vms/105", Role: "PVEDatastoreUser"}}, `{}`, "this token lacks VM.Audit on /vms/105: such a guest is not listed"},
		{[]pvesim.ACL{{Path: "/vms", Role: "PVEAuditor"}}, `{"pool":"web"}`, "this token lacks Pool.Audit on /pool/web: which guests are in it cannot be seen"},
	} {
		m := pvesim.Cluster()
		for _, acl := range tt.acl {
			for _, acl.Who = range []string{"none@pve", "none@pve!mcp"} {
				m.ACL = append(m.ACL, acl)
			}
		}
		a := sim.New(t, sim.Options{Model: &m, Token: "none@pve!mcp"}).Call("pve_list_guests", tt.args)
		if got := fmt.Sprint(a.Fields["notes"]); got != "["+tt.want+"]" {
			t.Errorf("notes %s, want %s", got, tt.want)
		}
	}
}

// What is sorted by is shown, and what is not known comes last.
func TestListIsSortedByWhatItShows(t *testing.T) {
	m := pvesim.Cluster()
	m.Nodes[2].Offline = true
	w := sim.New(t, sim.Options{Model: &m})
	for sort, field := range map[string]string{"cpu": "cpu_percent", "mem": "mem", "mem_percent": "mem_percent", "disk": "maxdisk"} {
		last, ended := math.Inf(1), false
		for _, g := range w.Call("pve_list_guests", fmt.Sprintf(`{"sort":%q}`, sort)).Fields["guests"].([]any) {
			value, known := g.(map[string]any)[field].(float64)
			if known && (ended || value > last) {
				t.Errorf("%s: %v after %v, or after one that is not known", sort, g, last)
			}
			last, ended = value, !known
		}
	}
}

func TestListWithAnOfflineNode(t *testing.T) {
	m := pvesim.Cluster()
	m.Nodes[2].Offline = true
	a := sim.New(t, sim.Options{Model: &m}).Call("pve_list_guests", `{"node":"pve3"}`)
	row := a.Fields["guests"].([]any)[0].(map[string]any)
	if row["status"] != "unknown" || row["last_seen"] != "running" || row["cpu_percent"] != nil {
		t.Errorf("a guest of an offline node: %v", row)
	}
	if !strings.Contains(a.Text, "offline nodes: pve3") {
		t.Errorf("%s", a.Text)
	}
}

// PVE's own list shows the state before a change for up to 20 s.
func TestListAfterAnOwnChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{})
		time.Sleep(11 * time.Second) // between two broadcasts
		if a := w.Call("pve_guest_power", `{"vmid":104,"action":"stop"}`); a.Outcome != tool.OK {
			t.Fatalf("%s", a.Text)
		}
		w.Sent()
		if got := ids(w.Call("pve_list_guests", `{"status":"stopped","tag":"prod"}`)); got != "104" {
			t.Errorf("stopped after it was stopped: %q", got)
		}
		if n := len(w.Sent()); n != 3 {
			t.Errorf("%d requests, want one more for the guest that was changed", n)
		}
		time.Sleep(30 * time.Second)
		if got := ids(w.Call("pve_list_guests", `{"status":"stopped","tag":"prod"}`)); got != "104" || len(w.Sent()) != 2 {
			t.Errorf("later: %q", got)
		}
	})
}

func TestHostileNames(t *testing.T) {
	m := pvesim.Cluster()
	m.Guests[0].Config["name"] = "ok\x1b[31m\u202e" + strings.Repeat("x", 100)
	m.Guests[0].Config["tags"] = "a\u200bb"
	w := sim.New(t, sim.Options{Model: &m})
	for _, a := range []sim.Answer{
		w.Call("pve_list_guests", `{"limit":1}`),
		w.Call("pve_guest_status", `{"vmid":100}`),
	} {
		if strings.ContainsAny(a.Text, "\u202e\u200b") || strings.Contains(a.Text, "u001b") || !strings.Contains(a.Text, "…(+") {
			t.Errorf("%s", a.Text)
		}
	}
}

func TestStatus(t *testing.T) {
	for _, tt := range []struct {
		name     string
		vmid     int
		want     map[string]any
		contains []string
		absent   []string
		sent     int
	}{
		{"running VM", 100, map[string]any{"status": "running", "type": "qemu", "agent": "answers", "addresses_from": "guest agent"},
			[]string{`"10.10.1.11/24"`, `"fd00:10::11/64"`, `"disk":{"used":13743895347,"used_human":"12.8 GiB","total":34359738368,"total_human":"32 GiB","percent":40,"note":"of /, as the guest agent reports"}`},
			[]string{`"lo"`, `"addresses_unknown"`, "file_systems"}, 4},
		{"running CT", 200, map[string]any{"status": "running", "type": "lxc", "addresses_from": "the container's network namespace"},
			[]string{`"10.10.1.2/24"`, `"used_human"`}, []string{`"agent"`}, 3},
		{"stopped", 105, map[string]any{"status": "stopped", "addresses_unknown": "the guest is not running"},
			nil, []string{`"uptime"`, `"addresses"`, `"used"`}, 2},
		{"agent does not answer", 106, map[string]any{"agent": "QEMU guest agent is not running", "addresses_unknown": "QEMU guest agent is not running"},
			[]string{`PVE does not know how full a VM's disk is`}, []string{`"addresses":`, `"addresses_from"`}, 3},
		{"locked", 107, map[string]any{"status": "stopped", "lock": "backup"}, []string{"locked by backup"}, nil, 2},
		{"paused", 108, map[string]any{"status": "paused"}, []string{"resume continues it"}, nil, 3},
		{"suspended", 109, map[string]any{"status": "suspended"}, []string{"suspended to disk"}, nil, 2},
		{"managed by HA", 103, map[string]any{"ha": "started"}, []string{"managed by HA"}, nil, 4},
		{"template", 900, map[string]any{"template": true}, []string{"only cloned"}, nil, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := sim.New(t, sim.Options{})
				a := w.Call("pve_guest_status", fmt.Sprintf(`{"vmid":%d}`, tt.vmid))
				for k, v := range tt.want {
					if a.Fields[k] != v {
						t.Errorf("%s = %v, want %v", k, a.Fields[k], v)
					}
				}
				for _, s := range tt.contains {
					if !strings.Contains(a.Text, s) {
						t.Errorf("no %s in %s", s, a.Text)
					}
				}
				for _, s := range tt.absent {
					if strings.Contains(a.Text, s) {
						t.Errorf("%s in %s", s, a.Text)
					}
				}
				if sent := w.Sent(); len(sent) != tt.sent {
					t.Errorf("requests %v, want %d", sent, tt.sent)
				}
			})
		})
	}
}

// A guest may have any number of tags.
func TestManyTags(t *testing.T) {
	m := pvesim.Cluster()
	var tags []string
	for i := range 50 {
		tags = append(tags, fmt.Sprintf("tag%02d", i))
	}
	m.Guests[0].Config["tags"] = strings.Join(tags, ";")
	w := sim.New(t, sim.Options{Model: &m})
	for _, call := range []string{"pve_list_guests", "pve_guest_status"} {
		args := fmt.Sprintf(`{"vmid":%d}`, m.Guests[0].VMID)
		if call == "pve_list_guests" {
			args = `{"tag":"TAG49"}`
		}
		if a := w.Call(call, args); !strings.Contains(a.Text, `"tag19","and 30 more like these"]`) {
			t.Errorf("%s: %s", call, a.Text)
		}
	}
}

// told is an interface as a guest agent tells of it.
func told(name, mac string, ips int) string {
	list := strings.TrimSuffix(strings.Repeat(`{"ip-address":"fe80::42:ff:fe00:1","prefix":64},`, ips), ",")
	return fmt.Sprintf(`{"name":%q,"hardware-address":%q,"ip-addresses":[%s]}`, name, mac, list)
}

func interfaces(list ...string) sim.Options {
	return sim.Options{Wire: sim.Answers("/agent/network-get-interfaces", `{"result":[`+strings.Join(list, ",")+"]}")}
}

// A guest may tell of any number of interfaces and addresses.
func TestManyAddresses(t *testing.T) {
	var list []string
	for i := range 200 {
		list = append(list, told(fmt.Sprintf("eth%d", i), "02:42:00:00:00:01", 20))
	}
	a := sim.New(t, interfaces(list...)).Call("pve_guest_status", `{"vmid":100}`)
	shown := strings.Count(a.Text, "fe80::")
	if left, _ := a.Fields["addresses_left_out"].(float64); shown == 0 || shown+int(left) != 200*20 || len(a.Text) > 25_000 {
		t.Errorf("%d addresses are shown and %v left out, in %d bytes", shown, left, len(a.Text))
	}
}

// A VM full of containers shows its own interfaces, wherever it tells of them and whatever
// they are called, and counts those of the containers.
func TestOwnInterfacesComeFirst(t *testing.T) {
	own := sim.Set(100, "net0=virtio=BC:24:11:00:00:01,bridge=vmbr0", "net1=virtio=BC:24:11:00:00:02,bridge=vmbr1")
	var list []string
	for i := range 248 {
		list = append(list, told(fmt.Sprintf("veth%07x", i), "02:42:00:00:00:01", 1))
	}
	list = append(list, told("docker0", "02:42:00:00:00:02", 1), told("wg0", "", 1), told("br-lan", "bc:24:11:00:00:02", 1), told("ens18", "bc:24:11:00:00:01", 2))
	o := interfaces(list...)
	o.Model = sim.Cluster(own)
	w := sim.New(t, o)
	a := w.Call("pve_guest_status", `{"vmid":100}`)
	var names []string
	for _, i := range a.Fields["addresses"].([]any) {
		names = append(names, i.(map[string]any)["interface"].(string))
	}
	if got := strings.Join(names, " "); got != "br-lan ens18 wg0" || a.Fields["container_interfaces"] != 249.0 || a.Fields["addresses_left_out"] != nil {
		t.Errorf("%s: %s", got, a.Text)
	}
	if sent := w.Sent(); len(sent) != 4 { // and the one for interfaces, which does not reach the simulator
		t.Errorf("requests %v", sent)
	}
}

// What the file systems of a VM hold, each device once.
func TestFileSystemsOfAVM(t *testing.T) {
	for answer, want := range map[string]string{
		`{"result":[{"name":"sda1","mountpoint":"/","type":"ext4","used-bytes":1073741824,"total-bytes":4294967296,"disk":[]},
			{"name":"sdb1","mountpoint":"/srv","type":"xfs","used-bytes":3221225472,"total-bytes":4294967296},
			{"name":"sdb1","mountpoint":"/srv/again","type":"xfs","used-bytes":3221225472,"total-bytes":4294967296},
			{"name":"loop0","mountpoint":"/snap/core","type":"squashfs","used-bytes":1,"total-bytes":1},
			{"name":"sdc1","mountpoint":"/old","type":"ext4"}]}`: `"disk":{"used":4294967296,"used_human":"4 GiB","total":8589934592,"total_human":"8 GiB","percent":50,` +
			`"note":"the sum of its file systems, as the guest agent reports"},"file_systems":[{"mount":"/srv","used":3221225472,"used_human":"3 GiB",` +
			`"total":4294967296,"total_human":"4 GiB","percent":75},{"mount":"/","used":1073741824,"used_human":"1 GiB","total":4294967296,"total_human":"4 GiB","percent":25}]`,
		`{"result":[]}`: `"disk":{"total":34359738368,"total_human":"32 GiB","note":"the boot disk's size; PVE does not know how full a VM's disk is"}`,
		`{"result":{"error":{"class":"CommandNotFound","desc":"The command guest-get-fsinfo has been disabled"}}}`: `PVE does not know how full a VM's disk is`,
	} {
		a := sim.New(t, sim.Options{Wire: sim.Answers("/agent/get-fsinfo", answer)}).Call("pve_guest_status", `{"vmid":100}`)
		if a.IsError || !strings.Contains(a.Text, want) || a.Fields["agent"] != "answers" {
			t.Errorf("%s\nwant %s", a.Text, want)
		}
	}
}

// Where the token may not ask the agent, the answer has the commands that let it.
func TestStatusWithoutAgentPrivilege(t *testing.T) {
	m := pvesim.Cluster()
	m.PVE = "8.4.1" // where an auditor may not ask the agent
	w := sim.New(t, sim.Options{Model: &m, Token: "audit@pve!mcp"})
	a := w.Call("pve_guest_status", `{"vmid":100}`)
	const lacks = "The token audit@pve!mcp lacks VM.Monitor on /vms/100."
	if a.IsError || a.Fields["agent"] != lacks || !strings.HasPrefix(fmt.Sprint(a.Fields["addresses_unknown"]),
		lacks+" Grant it: pveum role add mcp-extra --privs VM.Monitor; pveum acl modify /vms/100 --roles mcp-extra --users audit@pve;") {
		t.Errorf("%s", a.Text)
	}
	if sent := w.Sent(); len(sent) != 3 {
		t.Errorf("requests %v", sent)
	}
}

func TestUnknownGuest(t *testing.T) {
	w := sim.New(t, sim.Options{})
	a := w.Call("pve_guest_status", `{"vmid":111}`)
	if !a.IsError || !strings.Contains(a.Text, "There is no guest 111") || !strings.Contains(a.Text, "109 (desktop), 108 (forensics)") {
		t.Errorf("%s", a.Text)
	}
	a = sim.New(t, sim.Options{Token: "none@pve!mcp"}).Call("pve_guest_status", `{"vmid":100}`)
	if !a.IsError || !strings.Contains(a.Text, "This token sees no guests at all") {
		t.Errorf("%s", a.Text)
	}
}
