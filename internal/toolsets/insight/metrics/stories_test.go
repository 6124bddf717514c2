package metrics_test

import (
	"testing"

	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// granted is the cluster in which none@pve!mcp has a role on a path.
func granted(role, path string, change ...func(*pvesim.Model)) *pvesim.Model {
	return sim.Cluster(append(change, func(m *pvesim.Model) {
		for _, who := range []string{"none@pve", "none@pve!mcp"} {
			m.ACL = append(m.ACL, pvesim.ACL{Path: path, Who: who, Role: role})
		}
	})...)
}

// What a token may not see is named, and is no figure.
func TestTokens(t *testing.T) {
	nine := sim.Version("9.2.0")
	none := func(m *pvesim.Model) sim.Options { return sim.Options{Token: "none@pve!mcp", Model: m} }
	sim.Tell(t, "pve_metrics", []sim.Story{
		{
			Name: "an auditor, and the agent of 8", Options: sim.Options{Token: "audit@pve!mcp", Model: sim.Cluster(sim.Version("8.4.1"))}, Args: `{"of":"100"}`, Outcome: tool.OK,
			Says: []string{`"figure":"cpu"`, `"blind":[{"check":"file systems"`, "VM.Monitor on /vms/100", "What could not be seen is in blind."}, Lacks: []string{"file_systems"},
		},
		{
			Name: "an auditor, and the cluster", Options: sim.Options{Token: "audit@pve!mcp", Model: sim.Cluster(nine)}, Args: `{}`, Outcome: tool.OK,
			Says: []string{"The cluster over 30d: cpu", `"what":"storage nfs"`}, Lacks: []string{`"blind"`},
		},
		{
			Name: "a token that may do nothing", Options: none(sim.Cluster(nine)), Args: `{}`, Outcome: tool.OK,
			Says:  []string{"Nothing of the nodes can be seen.", `{"check":"history of nodes","on":["pve1","pve2","pve3"],"missing":"Sys.Audit on /nodes"}`, "Datastore.Audit"},
			Lacks: []string{`"figures"`, `"forecasts"`, "trend to fill"},
		},
		{
			Name: "a token of a pool ranks what it sees", Options: none(granted("PVEAuditor", "/pool/web", nine)), Args: `{"top":"memory"}`, Outcome: tool.OK,
			Says: []string{"of 3 guests that were looked at", `{"check":"other guests","missing":"VM.Audit on /vms"}`}, Lacks: []string{"106"},
		},
		{
			Name: "a token of a pool, and a guest outside", Options: none(granted("PVEAuditor", "/pool/web", nine)), Args: `{"of":"106"}`, Outcome: tool.Failed,
			Says: []string{`There is no guest, node or storage "106" that this token may see.`},
		},
		{
			Name: "a node whose figures it may not see", Options: none(granted("PVEAuditor", "/vms", nine)), Args: `{"of":"pve1"}`, Outcome: tool.Failed,
			Says: []string{"Sys.Audit", "/nodes/pve1"},
		},
		{
			Name: "a storage and no node", Options: none(granted("PVEDatastoreUser", "/storage/nfs", nine)), Args: `{}`, Outcome: tool.OK,
			Says: []string{`"what":"storage nfs"`, "Sys.Audit on /nodes"}, Lacks: []string{"pbs"},
		},
	})
}

// Each word that means nothing is refused with what there is, and asks nothing more.
func TestRefusals(t *testing.T) {
	twin := sim.Cluster(func(m *pvesim.Model) { m.Guests[1].Config["name"] = "pve2" })
	sim.Tell(t, "pve_metrics", []sim.Story{
		{Name: "no such thing", Args: `{"of":"web-9"}`, Outcome: tool.Failed, Says: []string{`no guest, node or storage "web-9"`, "pve_list_guests"}},
		{Name: "two things of a name", Options: sim.Options{Model: twin}, Args: `{"of":"pve2"}`, Outcome: tool.Failed, Says: []string{`"pve2" is guest:101 and node:pve2.`}},
		{Name: "one of them", Options: sim.Options{Model: twin}, Args: `{"of":"guest:pve2"}`, Outcome: tool.OK, Says: []string{`"of":"101 pve2"`}},
		{Name: "a storage of one node", Args: `{"of":"pve1/local"}`, Outcome: tool.OK, Says: []string{"Storage local on pve1: "}, Lacks: []string{"pve2"}},
		{Name: "a period that is none", Args: `{"period":"fortnight"}`, Outcome: tool.Failed, Says: []string{`The period "fortnight" is not understood.`, "24h or 30d"}},
		{Name: "a period that is too long", Args: `{"period":"9y"}`, Outcome: tool.Failed, Says: []string{`"9y"`, "of a year at most"}},
		{Name: "words for a period", Args: `{"of":"101","period":"last 3 days"}`, Outcome: tool.OK, Says: []string{"over 3d"}},
		{Name: "a ranking of one", Args: `{"top":"cpu","of":"100"}`, Outcome: tool.Failed, Says: []string{"100 web-1 is neither"}},
		{Name: "guests without a ranking", Args: `{"guests":"tag:prod"}`, Outcome: tool.Failed, Says: []string{"The argument guests is for top alone."}},
		{Name: "a guest that never ran", Args: `{"of":"pve3","figures":["swap"]}`, Outcome: tool.OK, Says: []string{"PVE has recorded no such figures of node pve3 in the last 7d."}},
	})
}

// A node that is down still has its history, which the others keep; its storages do not.
func TestNodeDown(t *testing.T) {
	down := sim.Cluster(sim.Version("9.2.0"), func(m *pvesim.Model) { m.Nodes[2].Offline = true })
	sim.Tell(t, "pve_metrics", []sim.Story{
		{Name: "the node", Options: sim.Options{Model: down}, Args: `{"of":"pve3","period":"24h"}`, Outcome: tool.OK, Says: []string{`"figure":"cpu"`}},
		{
			Name: "its storages", Options: sim.Options{Model: down}, Args: `{}`, Outcome: tool.OK,
			Says: []string{`{"check":"forecast","on":["storage local on pve3","storage local-zfs on pve3"],"missing":"it is not available, or its node is not"}`},
		},
	})
}
