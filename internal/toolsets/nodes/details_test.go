package nodes_test

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// All nodes in one call, each in a row, with what is asked for besides.
func TestStatusOfAllNodes(t *testing.T) {
	for _, version := range []string{"8.4.1", "9.0.11"} {
		sim.Tell(t, "pve_node_status", []sim.Story{
			{Name: "all on " + version, Options: sim.Options{Model: sim.Cluster(sim.Version(version))}, Args: `{}`, Outcome: tool.OK, Sent: 5,
				Says: []string{`{"message":"3 of 3 nodes are online.","nodes":[{"node":"pve1","status":"online","pve_version":"` + version + `","kernel":"`, `"memory_percent":10.9`}, Lacks: []string{"blind", "notes"}},
			{Name: "everything on " + version, Options: sim.Options{Model: sim.Cluster(sim.Version(version)), Token: "root@pam!full"},
				Args: `{"include":["disks","updates","certificates","services","network","subscription"]}`, Outcome: tool.OK, Sent: 26,
				Says: []string{`"disks":["/dev/nvme0n1 nvme 94 GiB`, `"certificates":["pve-root-ca.pem: until 2010-01-01, 3653d left"`, `"updates":[]`, ` run"]`,
					`"network":["eth0 eth","vmbr0 bridge 10.10.0.1/24 ports eth0"]`, `"subscription":["notfound"]`}, Lacks: []string{"blind"}},
		})
	}
	sim.Tell(t, "pve_node_status", []sim.Story{
		{Name: "a node is away", Options: sim.Options{Model: withDown("pve3")}, Args: `{"include":["services"]}`, Outcome: tool.OK,
			Says: []string{`"message":"2 of 3 nodes are online."`, `{"node":"pve3","status":"offline","notes":["the node is offline, so nothing else is known"]}`,
				`"blind":[{"check":"services","on":["pve3"],"missing":"the node is offline"}]`}},
		{Name: "one node", Args: `{"node":"pve2","include":["subscription"]}`, Outcome: tool.OK, Says: []string{`"node":"pve2"`, `"load":[`, `"subscription":["notfound"]`}, Lacks: []string{`"nodes"`}},
		{Name: "an operator does not see updates", Args: `{"node":"pve2","include":["updates"]}`, Outcome: tool.OK,
			Says: []string{`"blind":[{"check":"updates","on":["pve2"],"missing":"Sys.Modify on /nodes/pve2"}]`}, Lacks: []string{`"updates":[`}},
		{Name: "an auditor", Options: sim.Options{Token: "audit@pve!mcp"}, Args: `{"include":["disks","updates"]}`, Outcome: tool.OK,
			Says: []string{`"disks":["/dev/nvme0n1`, `"blind":[{"check":"updates","on":["pve1","pve2","pve3"],"missing":"Sys.Modify on /nodes"}]`}},
		{Name: "no privilege", Options: sim.Options{Token: "none@pve!mcp"}, Args: `{"include":["services"]}`, Outcome: tool.OK,
			Says: []string{`"pve_version":"9.0.11"`, "Only status and version are visible.", `"missing":"Sys.Audit on /nodes"`}},
		{Name: "a service has failed", Options: sim.Options{Model: sim.Cluster(func(m *pvesim.Model) { m.Nodes[1].FailedServices = []string{"pvestatd"} })},
			Args: `{"node":"pve2","include":["services"]}`, Outcome: tool.OK, Says: []string{`"services":["pvestatd: failed","20 run"]`}},
		{Name: "another word", Args: `{"include":["firmware"]}`, Outcome: tool.Failed, Says: []string{"firmware", "certificates"}},
	})
}

// Thirty nodes take a few kilobytes, also with all that may be asked for.
func TestStatusOfManyNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := pvesim.Sized(1, 30, 30, 30)
		w := sim.New(t, sim.Options{Model: &m, Token: "root@pam!full"})
		if a := w.Call("pve_node_status", `{}`); a.IsError || len(a.Text) > 6000 || strings.Count(a.Text, `"node":`) != 30 {
			t.Errorf("%d bytes: %.300s", len(a.Text), a.Text)
		}
		if a := w.Call("pve_node_status", `{"include":["disks","updates","certificates","services","network","subscription"]}`); a.IsError || len(a.Text) > tool.AnswerBytes {
			t.Errorf("%d bytes: %.300s", len(a.Text), a.Text)
		}
	})
}
