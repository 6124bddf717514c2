package whatif

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"math"
	"net/http"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/forecast"
	"github.com/pve-mcp/pve-mcp/internal/placement"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/survey"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
)

// mostNotes bounds the notes of an answer.
const mostNotes = 12

// moveRow is a move that is proposed.
type moveRow struct {
	Guest string `json:"guest"`
	From  string `json:"from,omitzero"`
	To    string `json:"to"`
	How   string `json:"how"`
	Uses  string `json:"uses,omitzero" jsonschema:"memory and CPU in 95 % of the time"`
}

func keysOf(m map[pve.VMID]string) iter.Seq[pve.VMID] { return maps.Keys(m) }

func share(part, whole float64) float64 {
	if whole <= 0 {
		return 0
	}
	return part / whole
}

// loadOf is the share of memory or of processors of a node that is in use, whichever is larger.
func loadOf(n placement.Node) float64 { return max(n.MemoryShare(), share(n.Busy, n.Cores)) }

func meanLoad(nodes []placement.Node) float64 {
	sum, n := 0.0, 0
	for _, node := range nodes {
		if node.Closed == "" {
			sum, n = sum+loadOf(node), n+1
		}
	}
	return share(sum, float64(n))
}

// spreadOf is how far the loads of nodes are apart.
func spreadOf(nodes []placement.Node) float64 {
	least, most := math.Inf(1), math.Inf(-1)
	for _, n := range nodes {
		if n.Closed == "" && n.Memory > 0 {
			least, most = min(least, loadOf(n)), max(most, loadOf(n))
		}
	}
	return max(0, most-least)
}

// nodeUse reads what nodes used in 95 % of the last week.
func (l *look) nodeUse(nodes []placement.Node) []cluster.Response[placement.Node, use] {
	name := func(n placement.Node) string { return n.Name }
	return survey.Ask(l.Survey, "history of nodes", nodes, name, func(ctx context.Context, n placement.Node) (use, error) {
		h, err := l.PVE.NodeHistory(ctx, n.Name, pve.Week, pve.Averages)
		memory, known := p95(h, "memused")
		busy, ok := p95(h, "cpu")
		if err == nil && (!known || !ok) { // what has no history is not idle
			l.NotSeen("history of nodes", n.Name, "PVE has none of it: what it uses now counts")
			return use{n.Used, n.Busy}, nil
		}
		return use{int64(memory), busy * n.Cores}, err
	})
}

// guestUse reads what guests used in 95 % of the last week. What a VM takes of its host counts, if
// PVE records that.
func (l *look) guestUse(guests []pve.Resource) []cluster.Response[pve.Resource, use] {
	return survey.Ask(l.Survey, "history of guests", guests, cluster.GuestName, func(ctx context.Context, g pve.Resource) (use, error) {
		h, err := l.PVE.GuestHistory(ctx, g.Ref(), pve.Week, pve.Averages)
		memory, ok := p95(h, "memhost")
		if !ok {
			memory, ok = p95(h, "mem")
		}
		busy, known := p95(h, "cpu")
		if err == nil && (!ok || !known) {
			return use{g.Mem.Value, g.CPU.Value * g.MaxCPU.Value}, nil
		}
		return use{int64(memory), busy * g.MaxCPU.Value}, err
	})
}

// p95 is what a field did not exceed in 95 % of the time.
func p95(h pve.History, field string) (float64, bool) {
	values := h.Values(field)
	var points []forecast.Point
	for i, v := range values {
		over := time.Minute
		if i > 0 {
			over = h.Times[i].Sub(h.Times[i-1])
		}
		points = append(points, forecast.Point{At: h.Times[i], Value: v, Over: over})
	}
	s, ok := forecast.Summarize(points, nil)
	return s.P95, ok
}

// howMoves says how a guest moves and what that costs.
func (l *look) howMoves(g pve.Resource) string {
	how := "off"
	switch {
	case g.Status.Value != "running":
	case g.Type == string(pve.LXC):
		how = "restart: it is down for some seconds"
	default:
		how = "live"
	}
	if bytes := l.facts.CopiedBytes(g.VMID); bytes > 0 {
		how += ", copies " + render.Bytes(bytes)
	}
	return how
}

// obstacles asks PVE what it has against the moves of guests, "" if nothing, of those on which
// the token has VM.Migrate.
func (l *look) obstacles(guests []pve.Resource, to func(pve.Resource) string) []cluster.Response[pve.Resource, string] {
	var ask []pve.Resource
	for _, g := range guests {
		if l.May("what PVE itself has against a migration", g.VMID.String(), "VM.Migrate", "/vms/"+g.VMID.String()) {
			ask = append(ask, g)
		}
	}
	return survey.Ask(l.Survey, "what PVE itself has against a migration", ask, cluster.GuestName, func(ctx context.Context, g pve.Resource) (string, error) {
		m, err := l.PVE.CheckMigration(ctx, g.Ref(), to(g))
		var said *proxmox.Error
		switch {
		case errors.As(err, &said) && said.Status == http.StatusNotImplemented: // of containers before PVE 9
			return "", nil
		case said != nil && !said.NodeUnreachable():
			return "PVE refuses to look at it: " + render.Text(said.Message, 100), nil
		}
		return obstacle(g, m, to(g)), err
	})
}

// obstacle is what speaks against a migration.
func obstacle(g pve.Resource, m pve.Migration, to string) string {
	refused := m.NotAllowed[to]
	var rules []string
	for _, b := range append(refused.HA, m.NotAllowedCT[to].HA...) {
		rules = append(rules, b.SID.Value)
	}
	switch {
	case len(m.LocalResources) > 0:
		return "it uses devices of its node: " + render.Text(strings.Join(m.LocalResources, ", "), 100)
	case len(refused.Storages) > 0:
		return fmt.Sprintf("%s lacks its storage %s", to, render.Text(strings.Join(refused.Storages, ", "), 100))
	case len(refused.Resources) > 0:
		return fmt.Sprintf("%s lacks its device %s", to, render.Text(strings.Join(refused.Resources, ", "), 100))
	case len(rules) > 0:
		return "a rule of HA keeps it apart from " + render.Text(strings.Join(rules, ", "), 100)
	}
	for _, d := range m.LocalDisks {
		if isLinkedClone(d.Volume.Value) {
			return "it is a linked clone on a storage of its node: " + render.Text(d.Volume.Value, 100)
		}
		if g.Status.Value == "running" && d.CDROM.Value && !d.IsCloudInit() {
			return "its CD drive holds an image of its node: " + render.Text(d.Volume.Value, 100)
		}
	}
	return ""
}

// isLinkedClone reports whether a volume builds on that of a template.
func isLinkedClone(volume string) bool {
	_, name, _ := strings.Cut(volume, ":")
	return strings.Contains(name, "/") && (strings.Contains(name, "base-") || strings.Contains(name, "basevol-"))
}

// noteBlind notes what the placement could not see.
func (l *look) noteBlind() {
	for _, b := range l.facts.Blind {
		l.NotSeen("HA, disks and networks", "", b)
	}
}
