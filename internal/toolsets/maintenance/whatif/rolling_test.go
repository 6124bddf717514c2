package whatif_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// health answers for Ceph, which the simulated cluster does not have.
type health struct{ http.RoundTripper }

func (h health) RoundTrip(req *http.Request) (*http.Response, error) {
	if strings.HasSuffix(req.URL.Path, "/cluster/ceph/status") {
		body := `{"data":{"health":{"status":"HEALTH_WARN"}}}`
		return &http.Response{
			StatusCode: http.StatusOK, Status: "200 OK", Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewReader([]byte(body))), Request: req,
		}, nil
	}
	return h.RoundTripper.RoundTrip(req)
}

// rows are the nodes of an answer, in their order.
func rows(a sim.Answer) (order []string, by map[string]string) {
	by = map[string]string{}
	list, _ := a.Fields["updates"].([]any)
	for _, row := range list {
		row := row.(map[string]any)
		name := row["node"].(string)
		text, _ := json.Marshal(row)
		order, by[name] = append(order, name), string(text)
	}
	return order, by
}

// A rolling update has an order, with what waits, what has to restart and what speaks against it.
func TestRollingUpdate(t *testing.T) {
	for _, tt := range []struct {
		name  string
		token string
		model []func(*pvesim.Model)
		wire  func(http.RoundTripper) http.RoundTripper
		node  string
		says  []string // in its row
		lacks []string
		all   []string // in the answer
	}{
		{name: "nothing waits", node: "pve2", says: []string{`"updates":0`}, lacks: []string{"restart", "blocks"}},
		{name: "kernel and QEMU", node: "pve2", model: []func(*pvesim.Model){node("pve2", func(n *pvesim.Node) {
			n.Updates = map[string]string{"proxmox-kernel-6.14": "6.14.11-5", "pve-qemu-kvm": "10.0.2-4", "vim": "9"}
		})}, says: []string{`"updates":3`, "reboot of the node: proxmox-kernel-6.14", "VMs use the new QEMU after a migration"}, all: []string{
			"updates or a reboot wait on 1, of which 1 need a reboot", `"tool":"pve_drain_node"`, `"command":"apt update && apt full-upgrade"`, "a token cannot install packages",
		}},
		{name: "a kernel waits for a reboot", node: "pve3", model: []func(*pvesim.Model){node("pve3", func(n *pvesim.Node) { n.RunningKernel = "6.2.16-3-pve" })}, says: []string{"6.2.16-3 runs"}},
		{name: "no quorum without it", node: "pve2", model: []func(*pvesim.Model){node("pve3", func(n *pvesim.Node) { n.Offline = true })}, says: []string{"no quorum without it: 1 of 3 votes"}},
		{name: "no room elsewhere", node: "pve2", model: []func(*pvesim.Model){node("pve1", func(n *pvesim.Node) { n.Memory = 20 << 30 }), node("pve3", func(n *pvesim.Node) { n.Memory = 48 << 30 })},
			says: []string{"no other node takes 1 guest: 102 db-1"}},
		{name: "Ceph is not well", node: "pve1", wire: func(rt http.RoundTripper) http.RoundTripper { return health{rt} }, says: []string{"Ceph is HEALTH_WARN"}},
		{name: "locked", node: "pve2", model: []func(*pvesim.Model){sim.Guest(101, func(g *pvesim.Guest) { g.Config["lock"] = "backup" })}, says: []string{"1 guest locked: 101 web-2 (backup)"}},
		{name: "updates are not seen", token: "audit@pve!mcp", node: "pve2", lacks: []string{`"updates"`}, all: []string{"Which updates wait is unknown of all of them", "Sys.Modify"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := sim.Options{Token: full, Model: sim.Cluster(tt.model...), Wire: tt.wire}
				if tt.token != "" {
					o.Token = tt.token
				}
				a := sim.New(t, o).Call("pve_what_if", `{"scenario":"rolling_update"}`)
				order, by := rows(a)
				if len(order) != 3 || order[2] != "pve1" || !strings.Contains(by["pve1"], `"own":true`) {
					t.Errorf("order %v: %s", order, a.Text)
				}
				for _, want := range tt.says {
					if !strings.Contains(by[tt.node], want) {
						t.Errorf("%s does not say %q: %s", tt.node, want, a.Text)
					}
				}
				for _, not := range tt.lacks {
					if strings.Contains(by[tt.node], not) {
						t.Errorf("%s says %q: %s", tt.node, not, a.Text)
					}
				}
				for _, want := range tt.all {
					if !strings.Contains(a.Text, want) {
						t.Errorf("does not say %q: %s", want, a.Text)
					}
				}
			})
		})
	}
}
