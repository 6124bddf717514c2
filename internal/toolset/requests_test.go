package toolset_test

import (
	"flag"
	"fmt"
	"os"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/internal/toolset"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

var update = flag.Bool("update", false, "write docs/requests.md anew")

const requestsPage = "../../docs/requests.md"

const requestsHead = `# Requests

<!-- Made from what the tools send: go test ./internal/toolset -run Requests -update. -->

How many requests to PVE a call makes, by a process that has read nothing yet: on the simulated cluster of %d nodes, %d storages and
%d guests, and how many more for each further node (which has two storages of its own), each further shared storage for everything, and
each further guest. The last column is for calls that ask a human: the requests of the question and of the call with the answer
together, if the answer comes within 3 s; one more if it comes later. Looks at a task are not counted: there are as many as it takes time.

What PVE's lists do not have, such as a guest's configuration, is asked guest by guest, in calls whose number of requests grows with the
guests: the further guests here run, with a guest agent. Such a call asks 8 guests at a time and ends after 45 s with what it has.
pve_audit looks into 200 guests at most, unless it is asked for all, and pve_metrics ranks 200 at most. pve_what_if asks about 200 at most
of the guests that would move. No other number grows with the guests; a search by name, and a list with guests that were just made, look
at up to 10 guests besides.

The list of the cluster's resources is used again for 3 s, which spares a call one or two of these requests, unless this server has
changed something meanwhile. Calls at the same time share requests that read the same.

| tool | arguments | requests | per node | per storage | per guest | with consent |
|---|---|--:|--:|--:|--:|--:|
`

// more makes a cluster larger by some nodes, storages and guests.
func more(nodes, storages, guests int) func(*pvesim.Model) {
	return func(m *pvesim.Model) {
		for i := range nodes {
			n := m.Nodes[0]
			n.Name, n.IP = fmt.Sprintf("pve%d", i+4), fmt.Sprintf("10.10.0.%d", i+4)
			m.Nodes = append(m.Nodes, n)
		}
		for i := range storages {
			m.Storages = append(m.Storages, pvesim.Storage{
				ID: fmt.Sprintf("more%d", i), Type: "nfs", Content: "images,rootdir,iso,vztmpl,backup", Shared: true, Size: 1 << 42, Used: 1 << 40,
			})
		}
		g := m.Guests[0]
		for i := range guests {
			g.VMID = 1000 + i
			m.Guests = append(m.Guests, g)
		}
	}
}

// How many requests each tool makes, on clusters of several sizes, is what docs/requests.md
// says.
func TestRequests(t *testing.T) {
	t.Parallel()
	const nodes, storages, guests = 2, 3, 150
	base := pvesim.Cluster()
	page := fmt.Sprintf(requestsHead, len(base.Nodes), len(base.Storages), len(base.Guests))
	for _, tl := range toolset.All() {
		for _, e := range tl.Examples {
			if !e.Works(base.PVE) {
				continue
			}
			args := e.Arguments
			count := func(nodes, storages, guests int) (n int) {
				synctest.Test(t, func(t *testing.T) { n = requests(t, tl, e, sim.Cluster(more(nodes, storages, guests))) })
				return n
			}
			n := count(0, 0, 0)
			byNode, byStorage, byGuest := count(nodes, 0, 0)-n, count(0, storages, 0)-n, count(0, 0, guests)-n
			if byGuest%guests != 0 {
				t.Errorf("%s %s: %d more requests for %d more guests", tl.Name, args, byGuest, guests)
			}
			if byNode%nodes != 0 || byStorage%storages != 0 {
				t.Errorf("%s %s: %d more requests for %d more nodes, %d for %d more storages", tl.Name, args, byNode, nodes, byStorage, storages)
			}
			if all := count(nodes, storages, guests); all != n+byNode+byStorage+byGuest {
				t.Errorf("%s %s: %d requests on a cluster that is larger in every way, want %d", tl.Name, args, all, n+byNode+byStorage+byGuest)
			}
			page += fmt.Sprintf("| `%s` | `%s` | %d | %s | %s | %s | %s |\n", tl.Name, args, n, each(byNode/nodes), each(byStorage/storages), each(byGuest/guests), consented(t, tl, e))
		}
	}
	if *update {
		if err := os.WriteFile(requestsPage, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	was, err := os.ReadFile(requestsPage)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(was), page); diff != "" {
		t.Errorf("docs/requests.md (-page +now; go test ./internal/toolset -run Requests -update writes it anew):\n%s", diff)
	}
}

func each(n int) string {
	if n == 0 {
		return "0"
	}
	return fmt.Sprintf("+%d", n)
}

// requests are how many an example of a tool makes.
func requests(t *testing.T, tl tool.Tool, e tool.Example, m *pvesim.Model) int {
	w := sim.New(t, sim.Options{Model: m, Token: "root@pam!full", Policy: policy.Policy{Exec: true}})
	args := w.Arguments(e)
	if a := w.Run(tl, args); a.IsError {
		t.Errorf("%s %s: %s", tl.Name, args, a.Text)
	}
	return len(sim.WithoutTasks(w.Sent()))
}

// consented is how many requests the question of a call makes and the call with the answer,
// "" if no human is asked.
func consented(t *testing.T, tl tool.Tool, e tool.Example) (n string) {
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{Token: "root@pam!full", Policy: policy.Policy{Exec: true}})
		if len(asking(w, tl, w.Arguments(e), func() {})) > 1 {
			n = fmt.Sprint(len(sim.WithoutTasks(w.Sent())))
		}
	})
	return n
}
