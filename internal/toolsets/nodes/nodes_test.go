package nodes_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// withDown returns the preset cluster with nodes that are offline.
func withDown(names ...string) *pvesim.Model {
	m := pvesim.Cluster()
	for i := range m.Nodes {
		for _, name := range names {
			m.Nodes[i].Offline = m.Nodes[i].Offline || m.Nodes[i].Name == name
		}
	}
	return &m
}

// granted returns the preset cluster in which none@pve!mcp has a role on a path.
func granted(role, path string) *pvesim.Model {
	m := pvesim.Cluster()
	for _, who := range []string{"none@pve", "none@pve!mcp"} {
		m.ACL = append(m.ACL, pvesim.ACL{Path: path, Who: who, Role: role})
	}
	return &m
}

func eight() *pvesim.Model {
	m := pvesim.Cluster()
	m.PVE = "8.4.1"
	return &m
}

func TestClusterStatus(t *testing.T) {
	lab := pvesim.Lab()
	full := pvesim.Cluster()
	full.Nodes[1].Memory = 8 << 30
	resources, permissions := "GET /cluster/resources", "GET /access/permissions"
	for _, tt := range []struct {
		name             string
		model            *pvesim.Model
		token            string
		want             map[string]any
		problems, notes  string
		contains, absent string
		sent             []string
	}{
		{name: "healthy", want: map[string]any{"cluster": "demo", "quorate": true, "online": 3.0, "total": 3.0},
			contains: `{"node":"pve2","status":"online","ip":"10.10.0.2","cpu_percent":`, sent: []string{resources, "GET /cluster/status"}},
		{name: "standalone", model: &lab, want: map[string]any{"cluster": nil, "standalone": true, "quorate": nil, "online": 1.0},
			contains: `"ip":"192.168.1.10"`, sent: []string{resources, "GET /cluster/status"}},
		{name: "one node offline", model: withDown("pve3"), want: map[string]any{"quorate": true, "online": 2.0, "total": 3.0},
			problems: "[node pve3 is offline]", contains: `{"node":"pve3","status":"offline"}`},
		{name: "no quorum", model: withDown("pve2", "pve3"), want: map[string]any{"quorate": false, "online": 1.0},
			problems: "[no quorum: PVE refuses every change until enough nodes are back node pve2 is offline node pve3 is offline]"},
		{name: "nearly full", model: &full, want: map[string]any{"quorate": true}, problems: "[node pve2: memory is 100% full]"},
		{name: "without any privilege", token: "none@pve!mcp", want: map[string]any{"cluster": nil, "standalone": nil, "quorate": nil, "online": 3.0},
			notes: "[the use of pve1, pve2 and pve3 is hidden: this token lacks Sys.Audit there " +
				"The token none@pve!mcp lacks Sys.Audit on /. Quorum, name and addresses of the cluster are hidden.]",
			absent: "cpu_percent", sent: []string{resources, permissions, "GET /cluster/status"}},
		{name: "a role for VMs alone", token: "none@pve!mcp", model: granted("PVEVMAdmin", "/"), want: map[string]any{"cluster": nil, "standalone": nil, "quorate": nil, "online": 3.0},
			notes: "[the use of pve1, pve2 and pve3 is hidden: this token lacks Sys.Audit there " +
				"The token none@pve!mcp lacks Sys.Audit on /. Quorum, name and addresses of the cluster are hidden.]", absent: "cpu_percent"},
		{name: "PVE 8", model: eight(), want: map[string]any{"cluster": "demo", "quorate": true, "online": 3.0, "total": 3.0}, sent: []string{resources, "GET /cluster/status"}},
		{name: "with a privilege on one node", token: "none@pve!mcp", model: granted("PVEAuditor", "/nodes/pve2"), want: map[string]any{"quorate": nil},
			notes: "[the use of pve1 and pve3 is hidden: this token lacks Sys.Audit there " +
				"The token none@pve!mcp lacks Sys.Audit on /. Quorum, name and addresses of the cluster are hidden.]",
			contains: `{"node":"pve2","status":"online","cpu_percent":`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := sim.New(t, sim.Options{Model: tt.model, Token: tt.token})
			a := w.Call("pve_cluster_status", `{}`)
			for k, v := range tt.want {
				if a.IsError || a.Fields[k] != v {
					t.Errorf("%s = %v, want %v: %s", k, a.Fields[k], v, a.Text)
				}
			}
			for field, want := range map[string]string{"problems": tt.problems, "notes": tt.notes} {
				if got := a.Fields[field]; want == "" && got != nil || want != "" && fmt.Sprint(got) != want {
					t.Errorf("%s: %v\nwant %s", field, got, want)
				}
			}
			if !strings.Contains(a.Text, tt.contains) || tt.absent != "" && strings.Contains(a.Text, tt.absent) {
				t.Errorf("want %s and no %s: %s", tt.contains, tt.absent, a.Text)
			}
			if diff := cmp.Diff(tt.sent, w.Sent()); tt.sent != nil && diff != "" {
				t.Errorf("requests (-want +got):\n%s", diff)
			}
		})
	}
}

func TestListNodes(t *testing.T) {
	w := sim.New(t, sim.Options{Model: withDown("pve3")})
	a := w.Call("pve_list_nodes", `{}`)
	list := a.Fields["nodes"].([]any)
	if a.Fields["total"] != 3.0 || len(list) != 3 || a.Fields["notes"] != nil {
		t.Fatalf("%s", a.Text)
	}
	first := list[0].(map[string]any)
	for _, field := range []string{"cpu_percent", "cpus", "mem", "mem_human", "maxmem", "mem_percent", "disk", "maxdisk_human", "disk_percent", "uptime"} {
		if first[field] == nil {
			t.Errorf("no %s: %v", field, first)
		}
	}
	if diff := cmp.Diff(map[string]any{"node": "pve3", "status": "offline"}, list[2]); diff != "" {
		t.Errorf("an offline node (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"GET /cluster/resources"}, w.Sent()); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	a = sim.New(t, sim.Options{Token: "none@pve!mcp"}).Call("pve_list_nodes", `{}`)
	if strings.Contains(a.Text, "maxmem") || fmt.Sprint(a.Fields["notes"]) != "[the use of pve1, pve2 and pve3 is hidden: this token lacks Sys.Audit there]" {
		t.Errorf("without privileges: %s", a.Text)
	}
}

// silent hides what a node told of its use, as after its start.
type silent struct{ http.RoundTripper }

func (s silent) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := s.RoundTripper.RoundTrip(req)
	if err == nil && strings.HasSuffix(req.URL.Path, "/cluster/resources") {
		resp.Body = io.NopCloser(strings.NewReader(`{"data":[{"id":"node/pve1","type":"node","node":"pve1","status":"online"}]}`))
	}
	return resp, err
}

func TestANodeThatHasToldNothingYet(t *testing.T) {
	w := sim.New(t, sim.Options{Wire: func(rt http.RoundTripper) http.RoundTripper { return silent{rt} }})
	if a := w.Call("pve_list_nodes", `{}`); fmt.Sprint(a.Fields["notes"]) != "[pve1 has not reported its use yet]" {
		t.Errorf("%s", a.Text)
	}
}

// cutOff lets nobody reach a node that the cluster still counts as online.
type cutOff struct{ http.RoundTripper }

func (c cutOff) RoundTrip(req *http.Request) (*http.Response, error) {
	if strings.HasSuffix(req.URL.Path, "/nodes/pve2/status") {
		return &http.Response{Status: "595 No route to host", StatusCode: 595, Header: http.Header{}, Body: http.NoBody}, nil
	}
	return c.RoundTripper.RoundTrip(req)
}

func TestNodeStatus(t *testing.T) {
	for _, tt := range []struct {
		name             string
		o                sim.Options
		want             map[string]any
		notes            string
		contains, absent string
		sent             int
	}{
		{name: "online", want: map[string]any{"status": "online", "pve_version": "9.0.11", "boot": "efi", "uptime": "43d 5h"},
			contains: `"memory":{"used":`, absent: "notes", sent: 2},
		{name: "PVE 8", o: sim.Options{Model: eight()}, want: map[string]any{"pve_version": "8.4.1", "kernel": "6.8.12-9-pve"}, sent: 2},
		{name: "offline", o: sim.Options{Model: withDown("pve2")}, want: map[string]any{"status": "offline", "uptime": nil, "cpu": nil},
			notes: "[the node is offline, so nothing else is known]", sent: 1},
		{name: "cut off", o: sim.Options{Wire: func(rt http.RoundTripper) http.RoundTripper { return cutOff{rt} }}, want: map[string]any{"status": "unknown"},
			notes: "[the cluster counts it as online; PVE could not get an answer from the node for /nodes/pve2/status: No route to host (595).]", sent: 1},
		{name: "without any privilege", o: sim.Options{Token: "none@pve!mcp"}, want: map[string]any{"status": "online", "pve_version": "9.0.11", "kernel": nil},
			notes: "[The token none@pve!mcp lacks Sys.Audit on /nodes/pve2. Only status and version are visible.]", sent: 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := sim.New(t, tt.o)
				a := w.Call("pve_node_status", `{"node":"pve2"}`)
				for k, v := range tt.want {
					if a.IsError || a.Fields[k] != v {
						t.Errorf("%s = %v, want %v: %s", k, a.Fields[k], v, a.Text)
					}
				}
				if got := a.Fields["notes"]; tt.notes != "" && fmt.Sprint(got) != tt.notes {
					t.Errorf("notes %v\nwant %s", got, tt.notes)
				}
				if !strings.Contains(a.Text, tt.contains) || tt.absent != "" && strings.Contains(a.Text, tt.absent) {
					t.Errorf("want %s and no %s: %s", tt.contains, tt.absent, a.Text)
				}
				if sent := w.Sent(); len(sent) != tt.sent {
					t.Errorf("requests %v, want %d", sent, tt.sent)
				}
			})
		})
	}
}

func TestUnknownNode(t *testing.T) {
	a := sim.New(t, sim.Options{}).Call("pve_node_status", `{"node":"PVE2"}`)
	if !a.IsError || a.Text != `There is no node "PVE2". The nodes are pve1, pve2 and pve3.` {
		t.Errorf("%s", a.Text)
	}
}

// Nodes in HA maintenance are shown as such, by every version: PVE has it in its list from 8.3
// on. Before that, HA is asked if there are several nodes.
func TestMaintenance(t *testing.T) {
	lab := pvesim.Lab()
	for _, tt := range []struct {
		version string
		asks    int
	}{{"9.0.11", 0}, {"8.2.4", 1}} {
		m := pvesim.Cluster()
		m.PVE, m.Nodes[1].Maintenance = tt.version, true
		for name, want := range map[string]string{
			"pve_list_nodes {}":               `{"node":"pve2","status":"online",`,
			"pve_cluster_status {}":           `node pve2 is in HA maintenance: HA has moved its guests away, and starts none there`,
			`pve_node_status {"node":"pve2"}`: `"node":"pve2","status":"online","ha_maintenance":true`,
			`pve_node_status {"node":"pve1"}`: `"node":"pve1"`,
		} {
			w := sim.New(t, sim.Options{Model: &m})
			call, args, _ := strings.Cut(name, " ")
			a := w.Call(call, args)
			if is := strings.Contains(a.Text, `"ha_maintenance":true`); is == strings.Contains(args, "pve1") || !strings.Contains(a.Text, want) {
				t.Errorf("PVE %s: %s: %s", tt.version, name, a.Text)
			}
			asked := 0
			for _, s := range w.Sent() {
				if s == "GET /cluster/ha/status/current" {
					asked++
				}
			}
			if asked != tt.asks {
				t.Errorf("PVE %s: %s: HA is asked %d times, want %d", tt.version, name, asked, tt.asks)
			}
			if a := sim.New(t, sim.Options{Model: &m, Token: "none@pve!mcp"}).Call(call, args); a.IsError {
				t.Errorf("PVE %s: %s: without privileges: %s", tt.version, name, a.Text)
			}
		}
	}
	w := sim.New(t, sim.Options{Model: &lab})
	if a := w.Call("pve_list_nodes", `{}`); a.IsError || len(w.Sent()) != 1 {
		t.Errorf("a single node: %s", a.Text)
	}
}

// Nodes are listed as people count.
func TestNodesInTheirOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := pvesim.Sized(1, 12, 4, 4)
		w := sim.New(t, sim.Options{Model: &m})
		for tool, list := range map[string]string{"pve_list_nodes": "nodes", "pve_cluster_status": "nodes"} {
			var names []string
			for _, row := range w.Call(tool, `{}`).Fields[list].([]any) {
				names = append(names, row.(map[string]any)["node"].(string))
			}
			if got := strings.Join(names, " "); got != "pve1 pve2 pve3 pve4 pve5 pve6 pve7 pve8 pve9 pve10 pve11 pve12" {
				t.Errorf("%s: %s", tool, got)
			}
		}
	})
}
