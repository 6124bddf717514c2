// Package placement chooses nodes for guests that have to move: nodes that have what a guest
// needs, that rules of affinity allow, and that still have room once everything else that moves
// is counted. It only computes; who calls it reads the cluster and moves the guests.
package placement

import (
	"cmp"
	"maps"
	"slices"

	"github.com/pve-mcp/pve-mcp/pve"
)

// Reserve is the share of a node's memory that stays free: what runs there grows, and the node
// needs some itself.
const Reserve = 0.05

// Node is a node, and what is used of it.
type Node struct {
	Name   string
	Memory int64 // bytes
	Used   int64 // bytes of memory
	Cores  float64
	Busy   float64 // cores
	// Storages has the free bytes of each storage that the node can use. If it is nil, nothing
	// is known of them.
	Storages map[string]int64
	// Bridges are the bridges and virtual networks of the node. If it is nil, nothing is known of
	// them.
	Bridges map[string]bool
	// Closed says why the node takes no guest, such as "is offline"; "" if it takes some.
	Closed string
}

// MemoryShare is the share of the node's memory that is used, 0 if that is not known.
func (n Node) MemoryShare() float64 { return share(float64(n.Used), float64(n.Memory)) }

// Spare is how much memory the node has for more guests, in bytes.
func (n Node) Spare() int64 {
	if n.Closed != "" {
		return 0
	}
	return max(0, n.Memory-n.Used-int64(Reserve*float64(n.Memory)))
}

// load is the share in use of what the node has least of.
func (n Node) load() float64 { return max(n.MemoryShare(), share(n.Busy, n.Cores)) }

func share(part, whole float64) float64 {
	if whole <= 0 {
		return 0
	}
	return part / whole
}

// Guest is a guest, and what it needs of its node.
type Guest struct {
	ID     pve.VMID
	Name   string // for people, such as 101 web-2
	Node   string // on which it is
	Memory int64  // bytes that it takes there; 0 if it is off
	Busy   float64
	// Storages are those that its node must have. Copied has the bytes that have to be copied to
	// the storage of that name on another node.
	Storages []string
	Copied   map[string]int64
	Bridges  []string
}

// Rules are the rules of affinity that hold.
type Rules struct {
	Together []Group
	Apart    []Group
	Homes    map[pve.VMID]Home
}

// Group are guests that a rule keeps together, or apart.
type Group struct {
	By     string // the rule, for people
	Guests []pve.VMID
}

// Home are the nodes on which a rule wants a guest to be.
type Home struct {
	By     string         // the rule, for people
	Nodes  map[string]int // their priorities; the highest is the best
	Strict bool           // the guest may be on no other node
}

// rank is how well a node suits, more is better. A node that is no home is worse than any that
// is.
func (h Home) rank(node string) int {
	if priority, is := h.Nodes[node]; is {
		return 1 + priority
	}
	return 0
}

// Board is a cluster on which guests are put on other nodes, one after another. Whatever was put
// somewhere counts there from then on.
type Board struct {
	nodes  map[string]*Node
	guests map[pve.VMID]*Guest
	rules  Rules
}

// NewBoard returns a board with the guests where they are. What runs on a node is in the use of
// that node already.
func NewBoard(nodes []Node, guests []Guest, rules Rules) *Board {
	b := &Board{nodes: map[string]*Node{}, guests: map[pve.VMID]*Guest{}, rules: rules}
	for _, n := range nodes {
		n.Storages = maps.Clone(n.Storages)
		b.nodes[n.Name] = &n
	}
	for _, g := range guests {
		b.guests[g.ID] = &g
	}
	return b
}

// Node returns a node as it is after all moves.
func (b *Board) Node(name string) Node {
	if n := b.nodes[name]; n != nil {
		return *n
	}
	return Node{Name: name}
}

// Nodes returns the nodes as they are after all moves, by name.
func (b *Board) Nodes() []Node {
	var out []Node
	for _, name := range slices.SortedFunc(maps.Keys(b.nodes), pve.CompareNames) {
		out = append(out, *b.nodes[name])
	}
	return out
}

// Guest returns a guest, on the node on which it is after all moves.
func (b *Board) Guest(id pve.VMID) Guest {
	if g := b.guests[id]; g != nil {
		return *g
	}
	return Guest{ID: id, Name: id.String()}
}

// Unit returns a guest and all guests that rules keep together with it, by id: they go to the
// same node.
func (b *Board) Unit(id pve.VMID) []pve.VMID {
	unit := []pve.VMID{id}
	for i := 0; i < len(unit); i++ {
		for _, group := range b.rules.Together {
			if !slices.Contains(group.Guests, unit[i]) {
				continue
			}
			for _, other := range group.Guests {
				if b.guests[other] != nil && !slices.Contains(unit, other) {
					unit = append(unit, other)
				}
			}
		}
	}
	slices.Sort(unit)
	return unit
}

// Prefers reports whether a rule wants a guest to be on a node rather than on another one. HA
// moves it back there, if nothing holds it.
func (b *Board) Prefers(id pve.VMID, node, over string) bool {
	home, has := b.rules.Homes[id]
	return has && home.rank(node) > home.rank(over)
}

// Move puts guests on a node.
func (b *Board) Move(unit []pve.VMID, to string) {
	for _, id := range unit {
		g := b.guests[id]
		if g == nil || g.Node == to {
			continue
		}
		if from := b.nodes[g.Node]; from != nil {
			from.add(*g, -1)
		}
		if target := b.nodes[to]; target != nil {
			target.add(*g, 1)
		}
		g.Node = to
	}
}

// add counts a guest that comes, or takes away one that goes. Its disks keep the room that they
// have where it was until they are deleted there.
func (n *Node) add(g Guest, sign int64) {
	n.Used = max(0, n.Used+sign*g.Memory)
	n.Busy = max(0, n.Busy+float64(sign)*g.Busy)
	if sign < 0 {
		return
	}
	for storage, bytes := range g.Copied {
		if _, known := n.Storages[storage]; known {
			n.Storages[storage] -= bytes
		}
	}
}

// Choices returns the nodes that can take guests that stay together, the best first, and why
// each other one cannot. Among are the names of the nodes to choose from; nil is all of them.
// A node on which all of them are already is left out.
//
// A node that a rule prefers is better than another. Else it is better the smaller a share of
// its memory or processors is in use afterwards, whichever is larger.
func (b *Board) Choices(unit []pve.VMID, among []string) (fit []string, refused []Refusal) {
	for _, n := range b.Nodes() {
		isThere := func(id pve.VMID) bool { return b.Guest(id).Node == n.Name }
		if among != nil && !slices.Contains(among, n.Name) || !slices.ContainsFunc(unit, func(id pve.VMID) bool { return !isThere(id) }) {
			continue
		}
		if why := b.refusal(unit, n); why != "" {
			refused = append(refused, Refusal{n.Name, why})
			continue
		}
		fit = append(fit, n.Name)
	}
	slices.SortStableFunc(fit, func(x, y string) int {
		return cmp.Or(cmp.Compare(b.rank(unit, y), b.rank(unit, x)), cmp.Compare(b.loadWith(unit, x), b.loadWith(unit, y)))
	})
	return fit, refused
}

// rank is how well a node suits guests by their rules.
func (b *Board) rank(unit []pve.VMID, node string) (sum int) {
	for _, id := range unit {
		sum += b.rules.Homes[id].rank(node)
	}
	return sum
}

// loadWith is the load of a node with guests on it.
func (b *Board) loadWith(unit []pve.VMID, node string) float64 {
	n := b.Node(node)
	for _, id := range unit {
		if g := b.Guest(id); g.Node != node {
			n.Used += g.Memory
			n.Busy += g.Busy
		}
	}
	return n.load()
}
