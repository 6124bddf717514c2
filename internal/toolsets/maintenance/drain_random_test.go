package maintenance_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/testkit/effort"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// randomCluster is a cluster of three nodes with guests on pve2 that differ in what keeps them
// there.
func randomCluster(r *rand.Rand) *pvesim.Model {
	m := pvesim.Cluster()
	m.PVE = []string{"8.4.1", "9.2.0"}[r.IntN(2)]
	m.HARules, m.Tasks = nil, nil
	var sids []string
	for i := range m.Guests {
		g := &m.Guests[i]
		template := g.Config["template"] == "1"
		if template || r.IntN(4) == 0 {
			continue
		}
		onNode("pve2", g.VMID)(&m)
		g.Running = r.IntN(5) > 0
		delete(g.Config, "lock")
		switch r.IntN(8) {
		case 0:
			g.Config["lock"] = []string{"backup", "snapshot", "clone"}[r.IntN(3)]
		case 1:
			if g.Kind == "qemu" {
				g.Config["ide2"] = "local:iso/debian-12.11.0-amd64-netinst.iso,media=cdrom"
			}
		case 2, 3:
			g.HA = "started"
			if !g.Running {
				g.HA = "stopped"
			}
			sids = append(sids, map[string]string{"qemu": "vm", "lxc": "ct"}[g.Kind]+fmt.Sprint(":", g.VMID))
		}
	}
	if m.PVE > "9" && len(sids) > 1 {
		affinity := []string{"positive", "negative"}[r.IntN(2)]
		m.HARules = []pvesim.HASection{{ID: "some", Type: "resource-affinity", Options: map[string]string{"resources": strings.Join(sids[:2], ","), "affinity": affinity}}}
	}
	return &m
}

// drainMishap is what goes wrong in the middle.
type drainMishap struct {
	name string
	wire func(http.RoundTripper) http.RoundTripper
	do   func(w *sim.World)
}

func randomMishap(r *rand.Rand) drainMishap {
	switch r.IntN(5) {
	case 0:
		return drainMishap{name: "a migration fails", do: func(w *sim.World) {
			_ = w.Sim.Fault(pvesim.Fault{Match: "POST /nodes/*/*/*/migrate", Skip: r.IntN(3), Max: 1, TaskFails: "migration aborted", FailsAt: r.IntN(100)})
		}}
	case 1:
		return drainMishap{name: "an answer is lost", do: func(w *sim.World) {
			_ = w.Sim.Fault(pvesim.Fault{Match: "POST /nodes/*/*/*/migrate", Skip: r.IntN(3), Max: 1, Drop: true})
		}}
	case 2:
		node, after := []string{"pve2", "pve3"}[r.IntN(2)], time.Duration(1+r.IntN(300))*time.Second
		return drainMishap{name: node + " dies after " + after.String(), do: func(w *sim.World) {
			time.AfterFunc(after, func() { _ = w.Sim.SetOnline(node, false) })
		}}
	case 3:
		writes := 1 + r.IntN(4)
		return drainMishap{name: fmt.Sprint("the server is killed after ", writes), wire: sim.Killed(writes, r.IntN(2) == 0)}
	}
	return drainMishap{name: "nothing"}
}

// Whatever the cluster is like and whatever goes wrong, no guest is lost, none is begun twice, each
// that ran on the node is named, and the node is called empty only if nothing runs there.
func TestDrainRandom(t *testing.T) {
	for seed := range effort.Of[uint64](2, 25, 1000) {
		r := rand.New(rand.NewPCG(seed, 1))
		m, mishap := randomCluster(r), randomMishap(r)
		t.Run(fmt.Sprint(seed, " ", mishap.name), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := sim.New(t, sim.Options{Model: m, Token: full, Wire: mishap.wire})
				defer time.Sleep(3 * tool.HandleTime)
				if mishap.do != nil {
					mishap.do(w)
				}
				w.Host.Stays = true
				begun := w.Call("pve_drain_node", `{"node":"pve2","action":"drain","immovable":"leave","confirm":true,"wait":0}`)
				handle, _ := begun.Fields["handle"].(string)
				time.Sleep(8 * time.Hour)
				checkDrain(t, w, m, begun, handle)
			})
		})
	}
}

// checkDrain holds what is answered hours later, by a process that knows nothing of the drain, to
// what the simulated cluster has.
func checkDrain(t *testing.T, w *sim.World, m *pvesim.Model, begun sim.Answer, handle string) {
	t.Helper()
	if err := w.Sim.SetOnline("pve3", true); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Hour) // its guests start
	other := w.As(full)
	said := begun.Text
	if handle != "" {
		said += other.Call("pve_task_status", fmt.Sprintf(`{"handle":%q,"wait":1}`, handle)).Text
	}
	if err := w.Sim.SetOnline("pve2", true); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Hour)
	now, err := w.Sim.Model()
	if err != nil {
		t.Fatal(err)
	}
	runsThere := 0
	for _, g := range now.Guests {
		if g.Node == "pve2" && g.Running {
			runsThere++
		}
	}
	if strings.Contains(said, "No guest runs on pve2 now.") && runsThere > 0 {
		t.Errorf("%d run there: %s", runsThere, said)
	}
	for _, g := range m.Guests {
		is := slices.IndexFunc(now.Guests, func(n pvesim.Guest) bool { return n.VMID == g.VMID })
		if is < 0 || len(now.Guests) != len(m.Guests) {
			t.Errorf("%d is lost", g.VMID)
		}
		if named := strings.Contains(said, fmt.Sprint(g.VMID, " ")); g.Node == "pve2" && g.Running && !named {
			t.Errorf("%d is not named: %s", g.VMID, said)
		}
	}
	twice := map[int]bool{}
	for _, id := range migrations(w) {
		if twice[id] {
			t.Errorf("the migration of %d was begun twice", id)
		}
		twice[id] = true
	}
}
