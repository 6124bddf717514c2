package whatif

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/placement"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/selection"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pve"
)

const (
	// mostMoves is how many moves are proposed at a time.
	mostMoves = 10
	// mostMeasured is of how many guests the history is read.
	mostMeasured = 60
	// mostRounds is how often it is planned again because a chosen guest cannot move.
	mostRounds = 4
	// evenEnough is the difference between the busiest and the idlest node up to which nothing
	// is moved.
	evenEnough = 0.10
	// leastGain is by how much a move has to lower the sum of the squares of the differences.
	leastGain = 0.0005
)

// balance is a rebalance while it is planned.
type balance struct {
	*look
	nodes  []placement.Node // by their p95
	use    map[pve.VMID]use
	stuck  map[pve.VMID]string // guests that cannot move, and why
	known  map[pve.VMID]bool   // whose needs were read
	wanted []pve.Resource      // guests that may move, the largest first
	board  *placement.Board
	moves  []chosenMove
}

// use is what a guest or a node used in 95 % of the time.
type use struct {
	memory int64
	busy   float64 // cores
}

// chosenMove are guests that go to another node together.
type chosenMove struct {
	unit     []pve.VMID
	from, to string
}

// rebalance proposes moves that even out memory and processors.
func (l *look) rebalance(ctx context.Context) error {
	if err := l.readFacts(ctx); err != nil {
		return err
	}
	b := &balance{look: l, use: map[pve.VMID]use{}, stuck: map[pve.VMID]string{}, known: map[pve.VMID]bool{}}
	if err := b.measure(); err != nil {
		return err
	}
	for range mostRounds {
		b.plan()
		if b.check(ctx) {
			break
		}
	}
	b.say()
	return nil
}

// measure reads what nodes and guests have used in the last week.
func (b *balance) measure() error {
	nodes := b.facts.Board(nil).Nodes()
	open := slices.DeleteFunc(slices.Clone(nodes), func(n placement.Node) bool { return n.Closed != "" })
	if len(open) < 2 {
		return explain.Refusal("pve_cluster_status shows the nodes.", "There are not two nodes between which guests could be moved.")
	}
	for _, r := range b.nodeUse(open) {
		for i := range nodes {
			if nodes[i].Name == r.From.Name {
				nodes[i].Used, nodes[i].Busy = r.Value.memory, r.Value.busy
			}
		}
	}
	b.nodes = nodes
	mean := meanLoad(nodes)
	for _, g := range b.facts.Guests {
		i := slices.IndexFunc(nodes, func(n placement.Node) bool { return n.Name == g.Node.Value })
		if g.Status.Value != "running" || g.Lock.Value != "" || i < 0 || nodes[i].Closed != "" || loadOf(nodes[i]) <= mean {
			continue
		}
		b.wanted = append(b.wanted, g)
	}
	weight := func(g pve.Resource) float64 {
		i := slices.IndexFunc(nodes, func(n placement.Node) bool { return n.Name == g.Node.Value })
		return max(share(float64(g.Mem.Value), float64(nodes[i].Memory)), share(g.CPU.Value*g.MaxCPU.Value, nodes[i].Cores))
	}
	slices.SortStableFunc(b.wanted, func(x, y pve.Resource) int { return cmp.Compare(weight(y), weight(x)) })
	if over := len(b.wanted) - mostMeasured; over > 0 {
		b.wanted = b.wanted[:mostMeasured]
		b.out.Notes = append(b.out.Notes, fmt.Sprintf("of the guests on busy nodes the %d largest were looked at, and %d smaller ones were not", mostMeasured, over))
	}
	for _, r := range b.guestUse(b.wanted) {
		b.use[r.From.VMID] = r.Value
	}
	return nil
}

// newBoard is the cluster with what was measured.
func (b *balance) newBoard() *placement.Board {
	base := b.facts.Board(nil)
	nodes := b.facts.Board(nil).Nodes()
	for i := range nodes {
		nodes[i].Used, nodes[i].Busy = b.nodes[i].Used, b.nodes[i].Busy
	}
	var all []placement.Guest
	for _, g := range b.facts.Guests {
		one := base.Guest(g.VMID)
		if u, measured := b.use[g.VMID]; measured {
			one.Memory, one.Busy = u.memory, u.busy
		} else {
			one.Memory = g.Mem.Value
		}
		all = append(all, one)
	}
	return placement.NewBoard(nodes, all, b.facts.HA.Rules)
}

// plan chooses moves, each time the one that evens the nodes out most.
func (b *balance) plan() {
	b.board, b.moves = b.newBoard(), nil
	moved := map[pve.VMID]bool{}
	for count := 0; count < mostMoves && spreadOf(b.board.Nodes()) > evenEnough; {
		best, gain := chosenMove{}, leastGain
		for _, g := range b.wanted {
			if moved[g.VMID] || b.stuck[g.VMID] != "" {
				continue
			}
			if m, gains := b.bestMove(g); gains > gain && count+len(m.unit) <= mostMoves {
				best, gain = m, gains
			}
		}
		if best.unit == nil {
			return
		}
		b.board.Move(best.unit, best.to)
		b.moves = append(b.moves, best)
		count += len(best.unit)
		for _, id := range best.unit {
			moved[id] = true
		}
	}
}

// bestMove is the move of a guest, and of those that stay with it, that gains most. What has to
// be copied counts against it.
func (b *balance) bestMove(g pve.Resource) (best chosenMove, gain float64) {
	from := b.board.Guest(g.VMID).Node
	unit := b.board.Unit(g.VMID)
	fit, _ := b.board.Choices(unit, nil)
	for _, to := range fit {
		if slices.ContainsFunc(unit, func(id pve.VMID) bool {
			return b.stuck[id] != "" || b.board.Guest(id).Node != from || b.board.Prefers(id, from, to) // HA would bring it back
		}) {
			continue
		}
		if gains := b.gainOf(unit, from, to); gains > gain {
			best, gain = chosenMove{unit, from, to}, gains
		}
	}
	return best, gain
}

// gainOf is by how much a move lowers the sum of the squares of the loads.
func (b *balance) gainOf(unit []pve.VMID, from, to string) float64 {
	x, y := b.board.Node(from), b.board.Node(to)
	before := loadOf(x)*loadOf(x) + loadOf(y)*loadOf(y)
	copied := int64(0)
	for _, id := range unit {
		g := b.board.Guest(id)
		x.Used, y.Used = x.Used-g.Memory, y.Used+g.Memory
		x.Busy, y.Busy = x.Busy-g.Busy, y.Busy+g.Busy
		copied += b.facts.CopiedBytes(id)
	}
	const perTiB = 0.01 // what is copied has to be worth it
	return before - loadOf(x)*loadOf(x) - loadOf(y)*loadOf(y) - perTiB*float64(copied)/(1<<40)
}

// check reads what the chosen guests need, and asks PVE what it has against their moves. It
// reports whether all of them can move.
func (b *balance) check(ctx context.Context) bool {
	var ask []pve.Resource
	for _, m := range b.moves {
		for _, id := range m.unit {
			if g, _ := b.facts.Guest(id); !b.known[id] {
				b.known[id] = true
				ask = append(ask, g)
			}
		}
	}
	if len(ask) == 0 {
		return true
	}
	to := map[pve.VMID]string{}
	for _, m := range b.moves {
		for _, id := range m.unit {
			to[id] = m.to
		}
	}
	b.readNeedsOf(ctx, ask)
	for _, r := range b.obstacles(ask, func(g pve.Resource) string { return to[g.VMID] }) {
		if r.Value != "" {
			b.stuck[r.From.VMID] = r.Value
		}
	}
	return false // what was read may change the plan
}

// say describes the moves, what they cost and what they are good for.
func (b *balance) say() {
	before := placement.NewBoard(b.nodes, nil, placement.Rules{})
	b.addNodes(before, b.board)
	for _, m := range b.moves {
		for _, id := range m.unit {
			g, _ := b.facts.Guest(id)
			b.out.Moves = append(b.out.Moves, moveRow{
				Guest: cluster.GuestName(g), From: m.from, To: m.to, How: b.howMoves(g),
				Uses: fmt.Sprintf("%s, %.1f CPUs", render.Bytes(b.board.Guest(id).Memory), b.board.Guest(id).Busy),
			})
		}
	}
	for _, id := range slices.Sorted(keysOf(b.stuck)) {
		if len(b.out.Notes) < mostNotes {
			b.out.Notes = append(b.out.Notes, fmt.Sprintf("%s does not move: %s", b.board.Guest(id).Name, b.stuck[id]))
		}
	}
	was, is := spreadOf(b.nodes), spreadOf(b.board.Nodes())
	const of = "of memory or CPU, in 95 %% of the last week"
	switch {
	case was <= evenEnough:
		b.out.Message = fmt.Sprintf("The nodes are even: between the busiest and the idlest are %.0f percentage points "+of+".", 100*was)
	case len(b.moves) == 0:
		b.out.Message = fmt.Sprintf("Between the busiest and the idlest node are %.0f percentage points "+of+", and no move that is possible would even that out.", 100*was)
	default:
		b.out.Message = fmt.Sprintf("%s the busiest and the idlest node from %.0f to %.0f percentage points apart ("+of+"). Nothing was done.", bring(len(b.out.Moves)), 100*was, 100*is)
		b.offer()
	}
	b.noteBlind()
}

// offer is the call that makes the moves.
func (b *balance) offer() {
	targets, ids, list := map[string]any{}, []pve.VMID{}, ""
	copies := false
	for _, m := range b.moves {
		for _, id := range m.unit {
			targets[id.String()] = m.to
			ids = append(ids, id)
			copies = copies || b.facts.CopiedBytes(id) > 0
		}
	}
	slices.Sort(ids)
	for _, id := range ids {
		list = selection.AppendID(list, id)
	}
	args := map[string]any{"action": "migrate", "guests": list, "targets": targets, "plan": true}
	if copies {
		args["with_local_disks"] = true
	}
	next := b.call.Host().Offered(tool.NextCall{Tool: "pve_bulk_action", Arguments: args})
	b.out.Next = &next
}
