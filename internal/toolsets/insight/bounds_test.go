package insight_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/testkit/effort"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// An audit makes at most 12 requests, 8 for each node, one for each storage with backups and
// one for each job. Those to guests are at most three for each of 200.
func TestAuditRequests(t *testing.T) {
	for _, nodes := range []int{1, 2, 3, 10, 30} {
		t.Run(fmt.Sprint(nodes, " nodes"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := healthy(3, nodes, "9.0.11")
				for i := range m.Storages { // the most that there may be to ask
					if s := &m.Storages[i]; s.ID == "thin" || s.ID == "tank" {
						s.Nodes = nil
					}
				}
				w := sim.New(t, sim.Options{Model: &m, Token: fullToken})
				auditOf(t, w, `{}`)
				all, guests := w.Sent(), 0
				for _, r := range all {
					if strings.Contains(r, "{vmid}") {
						guests++
					}
				}
				const storages, jobs = 2, 1
				if most := 12 + 8*nodes + storages + jobs; len(all)-guests > most || guests > 600 {
					slices.Sort(all)
					t.Errorf("%d requests, at most %d, and %d to guests: %v", len(all)-guests, most, guests, all)
				}
			})
		})
	}
}

// An audit of nodes that hang ends in time, with what it has, and calls nothing well that it did
// not see.
func TestAuditEndsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := healthy(5, 3, "9.0.11")
		m.Faults = []pvesim.Fault{{Match: "GET /nodes/**", Delay: time.Hour}}
		m.NoQuorum = true
		w := sim.New(t, sim.Options{Model: &m, Token: fullToken})
		begun := time.Now()
		got := auditOf(t, w, `{}`)
		if took := time.Since(begun); took > 46*time.Second {
			t.Errorf("it took %v", took)
		}
		if len(got.Findings) == 0 || got.Findings[0].ID != "cluster.no-quorum" {
			t.Errorf("findings: %+v", got.Findings)
		}
		var missing []string
		for _, b := range got.Blind {
			missing = append(missing, b.Missing)
		}
		if !slices.Contains(missing, "the time of 45s was over") || !slices.Contains(missing, "no answer within 15s") {
			t.Errorf("blind: %+v", got.Blind)
		}
		for _, area := range []string{"nodes", "guests", "backups", "disks", "certificates", "updates"} {
			if slices.Contains(got.Well, area) {
				t.Errorf("well: %v", got.Well)
			}
		}
	})
}

// An answer about 10,000 guests on 30 nodes with whatever is wrong has at most 6 kB.
func TestAuditOfManyIsShort(t *testing.T) {
	effort.SkipShort(t)
	synctest.Test(t, func(t *testing.T) {
		m := pvesim.Huge()
		for i := range m.Guests {
			g := &m.Guests[i]
			g.Config["name"] = strings.Repeat("long-name-", 6) + fmt.Sprint(g.VMID)
			if i%3 == 0 {
				g.Config["lock"] = "snapshot-delete"
			}
			if g.AgentDead = i%2 == 0; i%5 == 0 && g.Kind == "qemu" && g.Running {
				g.QMPStatus = "io-error"
			}
			snapshot(g, pvesim.Snapshot{Name: "before-the-great-upgrade", Age: 400 * day})
		}
		for i := range m.Nodes {
			n := &m.Nodes[i]
			n.CertificateLeft, n.FailedServices, n.RunningKernel = -day, []string{"pvestatd", "pveproxy"}, "6.8.4-2-pve"
			n.Updates = map[string]string{"openssl": "3"}
			n.Pools = []pvesim.ZPool{{Name: "rpool", State: "DEGRADED"}}
			n.RootUsed = n.Disk
		}
		m.Nodes[7].Offline = true
		for _, token := range []string{fullToken, auditorToken, "none@pve!mcp"} {
			w := sim.New(t, sim.Options{Model: &m, Token: token})
			a := w.Call("pve_audit", `{}`)
			if a.IsError || len(a.Text) > 6000 {
				t.Errorf("%s: %d bytes: %s", token, len(a.Text), a.Text)
			}
		}
	})
}
