package api_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/testkit/effort"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/toolset"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// What search says of an endpoint: what it is for, takes, needs and can do.
func TestSearch(t *testing.T) {
	effort.SkipShort(t)
	for _, tt := range []struct {
		name, token, args string
		readOnly          bool
		model             *pvesim.Model
		says, lacks       []string
	}{
		{name: "by words", args: `{"query":"let port 443 through to my VM"}`,
			lacks: []string{"skiplock"}, says: []string{`{"endpoints":[{"method":"POST","path":"/nodes/{node}/qemu/{vmid}/firewall/rules","also":"/nodes/{node}/lxc/{vmid}/firewall/rules"`,
				`"required":["action: text ≤20 characters","type: in|out|`, `"needs":"VM.Config.Network on /vms/{vmid}"`, `"risk":"write","why":"can cut it off"`}},
		{name: "of a container", args: `{"query":"which snapshots has the container"}`, says: []string{`"path":"/nodes/{node}/lxc/{vmid}/snapshot","also":"/nodes/{node}/qemu/{vmid}/snapshot"`, `"better":"pve_list_snapshots"`}},
		{name: "a part of what a tool does", args: `{"query":"list pools"}`, says: []string{`{"endpoints":[{"method":"GET","path":"/pools"`, `"better":"pve_list_guests for guests, pve_list_nodes for nodes, pve_list_storage for storages"`},
			lacks: []string{`"better":"pve_list_guests"`}},
		{name: "misspelt", args: `{"query":"certifcate expiry"}`, says: []string{`"path":"/nodes/{node}/certificates/info"`}},
		{name: "by path and method", args: `{"query":"/cluster/backup/{id}","method":"PUT"}`,
			says: []string{`"schedule: pve-calendar-event ≤128 characters"`, `"mode: snapshot|suspend|stop"`}, lacks: []string{`"method":"GET"`}},
		{name: "by a real path", args: `{"query":"/nodes/pve1/qemu/100/config"}`, says: []string{`"path":"/nodes/{node}/qemu/{vmid}/config"`, `"better":"pve_guest_config"`}},
		{name: "by the start of a path", args: `{"query":"/cluster/ha"}`, says: []string{`"path":"/cluster/ha"`, `"path":"/cluster/ha/resources"`}},
		{name: "by a wrong path", args: `{"query":"/cluster/bakup"}`, says: []string{`"path":"/cluster/backup"`}},
		{name: "a method alone", args: `{"query":"firewall rule","method":"DELETE"}`, says: []string{`"risk":"destructive"`}, lacks: []string{`"method":"GET"`, `"method":"POST"`}},
		{name: "held", token: auditor, args: `{"query":"/access/users","method":"GET"}`, says: []string{`"risk":"read"`}},
		{name: "not held", token: "none@pve!mcp", args: `{"query":"/cluster/backup","method":"GET"}`, says: []string{`"needs":"Sys.Audit on /","held":"no"`}},
		{name: "held on some", token: "none@pve!mcp", args: `{"query":"/nodes/{node}/qemu/{vmid}/config","method":"GET"}`, model: sim.Cluster(sim.Grant("/vms/100", "PVEAuditor")),
			says: []string{`"needs":"VM.Audit on /vms/{vmid}","held":"on some"`}},
		{name: "held of one", token: "none@pve!mcp", args: `{"query":"/nodes/pve1/qemu/100/config","method":"GET"}`, model: sim.Cluster(sim.Grant("/vms/100", "PVEAuditor")),
			says: []string{`"needs":"VM.Audit on /vms/{vmid}","held":"yes"`}},
		{name: "not held of another", token: "none@pve!mcp", args: `{"query":"/nodes/pve1/qemu/101/config","method":"GET"}`, model: sim.Cluster(sim.Grant("/vms/100", "PVEAuditor")),
			says: []string{`"held":"no: VM.Audit on /vms/101 is missing"`}},
		{name: "never sent", args: `{"query":"/nodes/{node}/execute","method":"POST"}`, says: []string{`"off":"`}},
		{name: "no token may", args: `{"query":"/nodes/{node}/qemu/{vmid}/monitor","method":"POST"}`, says: []string{`"off":"QEMU's monitor can read and write files of the node"`}},
		{name: "read-only", readOnly: true, args: `{"query":"/cluster/backup","method":"POST"}`, says: []string{`"off":"this server is read-only (PVE_MCP_READ_ONLY=true)"`}},
		{name: "nothing", args: `{"query":"xyzzy frobnicate"}`, says: []string{`"endpoints":[],"total":0`, "say in other words"}},
		{name: "without a viewer", model: sim.Cluster(func(m *pvesim.Model) { m.NoViewer = true }), args: `{"query":"nightly backup of all guests"}`, says: []string{`"path":"/cluster/backup"`}},
		{name: "what is refused has no parameter", args: `{"query":"/nodes/{node}/qemu/{vmid}/status/stop","method":"POST"}`, says: []string{"overrule-shutdown"}, lacks: []string{"skiplock"}},
		{name: "a tool that is off", readOnly: true, args: `{"query":"/nodes/{node}/qemu/{vmid}/clone","method":"POST"}`, says: []string{`"risk":"write"`}, lacks: []string{"pve_clone_guest"}},
		{name: "PVE 8", model: sim.Cluster(sim.Version("8.4.1")), args: `{"query":"HA groups"}`, says: []string{`"path":"/cluster/ha/groups"`, `"version":"8.4.1"`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := sim.New(t, sim.Options{Model: tt.model, Token: tt.token, Policy: policy.Policy{ReadOnly: tt.readOnly}})
			a := w.Call("pve_api_search", tt.args)
			if a.IsError || len(a.Text) > 4096 {
				t.Errorf("%d bytes: %s", len(a.Text), a.Text)
			}
			for _, part := range tt.says {
				if !strings.Contains(a.Text, part) {
					t.Errorf("no %s in %s", part, a.Text)
				}
			}
			for _, part := range tt.lacks {
				if strings.Contains(a.Text, part) {
					t.Errorf("%s in %s", part, a.Text)
				}
			}
			if n := len(a.Fields["endpoints"].([]any)); n > 8 {
				t.Errorf("%d endpoints", n)
			}
		})
	}
}

// What a node shows is read once in the life of a process, and its words are used.
func TestSearchReadsTheViewerOnce(t *testing.T) {
	w := sim.New(t, sim.Options{})
	for range 3 {
		w.Call("pve_api_search", `{"query":"smart"}`)
	}
	a := w.Call("pve_api_search", `{"query":"/nodes/{node}/disks/smart","method":"GET"}`)
	if !strings.Contains(a.Text, "Health data as the drive reports it.") {
		t.Errorf("not the node's words: %s", a.Text)
	}
	read := 0
	for _, r := range w.Sim.Requests() {
		if strings.HasSuffix(r.Path, "/apidoc.js") {
			read++
		}
	}
	if read != 1 {
		t.Errorf("the viewer's data were read %d times", read)
	}
}

// A tool that is said to do better is one, and in a set that is offered wherever this one is.
func TestBetterTools(t *testing.T) {
	on, _ := toolset.Offered(toolset.Selection{Policy: policy.Policy{Exec: true}})
	var names []string
	for _, tl := range on {
		names = append(names, tl.Name)
	}
	w := sim.New(t, sim.Options{Policy: policy.Policy{Exec: true}})
	for _, query := range []string{"/cluster/resources", "/nodes/{node}/tasks/{upid}", "/nodes/{node}/qemu/{vmid}/status", "/nodes/{node}/qemu", "/nodes/{node}/vzdump", "/nodes/{node}/qemu/{vmid}/agent"} {
		for _, row := range w.Call("pve_api_search", `{"query":"`+query+`"}`).Fields["endpoints"].([]any) {
			better, _ := row.(map[string]any)["better"].(string)
			for part := range strings.SplitSeq(better, ", ") {
				name, _, _ := strings.Cut(part, " for ")
				if name != "" && !slices.Contains(names, name) {
					t.Errorf("%s: there is no tool %s in core", query, name)
				}
			}
		}
	}
}
