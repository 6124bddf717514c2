package placement_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/pve-mcp/pve-mcp/internal/placement"
	"github.com/pve-mcp/pve-mcp/pve"
)

const gib = 1 << 30

// three are nodes of 100 GiB each, with 20, 40 and 60 GiB in use.
func three() []placement.Node {
	var out []placement.Node
	for i, name := range []string{"pve1", "pve2", "pve3"} {
		out = append(out, placement.Node{
			Name: name, Memory: 100 * gib, Used: int64(20*(i+1)) * gib, Cores: 10, Busy: 1,
			Storages: map[string]int64{"nfs": 1000 * gib, "zfs": 50 * gib}, Bridges: map[string]bool{"vmbr0": true},
		})
	}
	return out
}

func guest(id pve.VMID, node string, change ...func(*placement.Guest)) placement.Guest {
	g := placement.Guest{ID: id, Name: id.String() + " g", Node: node, Memory: 10 * gib, Busy: 0.1, Storages: []string{"nfs"}, Bridges: []string{"vmbr0"}}
	for _, do := range change {
		do(&g)
	}
	return g
}

// The best node comes first, and of each other one the reason is said why it cannot.
func TestChoices(t *testing.T) {
	for _, tt := range []struct {
		name   string
		nodes  func([]placement.Node)
		guest  func(*placement.Guest)
		others []placement.Guest
		rules  placement.Rules
		among  []string
		fit    string
		says   []string
	}{
		{name: "least memory in use", fit: "pve1 pve3"},
		{name: "only some", among: []string{"pve3"}, fit: "pve3"},
		{name: "processors count, too", nodes: func(n []placement.Node) { n[0].Busy = 9 }, fit: "pve3 pve1"},
		{name: "closed", nodes: func(n []placement.Node) { n[0].Closed = "is offline" }, fit: "pve3", says: []string{"pve1 is offline"}},
		{name: "no storage", nodes: func(n []placement.Node) { delete(n[2].Storages, "nfs") }, fit: "pve1", says: []string{"pve3 has no storage nfs, on which 101 g has disks"}},
		{name: "storages that are not known", nodes: func(n []placement.Node) { n[2].Storages = nil }, fit: "pve1 pve3"},
		{name: "no bridge", nodes: func(n []placement.Node) { n[0].Bridges = map[string]bool{} }, fit: "pve3", says: []string{"pve1 has no bridge or virtual network vmbr0"}},
		{name: "bridges that are not known", nodes: func(n []placement.Node) { n[0].Bridges = nil }, fit: "pve1 pve3"},
		{name: "no memory", guest: func(g *placement.Guest) { g.Memory = 36 * gib }, fit: "pve1", says: []string{"pve3 has 35 GiB of memory to spare, and 36 GiB are needed"}},
		{name: "just enough", guest: func(g *placement.Guest) { g.Memory = 35 * gib }, fit: "pve1 pve3"},
		{name: "off, on a full node", guest: func(g *placement.Guest) { g.Memory = 0 }, nodes: func(n []placement.Node) { n[2].Used = 100 * gib }, fit: "pve1 pve3"},
		{name: "no room to copy", guest: func(g *placement.Guest) { g.Copied = map[string]int64{"zfs": 60 * gib} },
			nodes: func(n []placement.Node) { n[2].Storages["zfs"] = 80 * gib }, fit: "pve3", says: []string{"pve1 has 50 GiB free on zfs, and 60 GiB would be copied there"}},
		{name: "kept apart", others: []placement.Guest{guest(102, "pve1")},
			rules: placement.Rules{Apart: []placement.Group{{By: "rule apart", Guests: []pve.VMID{101, 102}}}},
			fit:   "pve3", says: []string{"pve1 has 102 g, from which rule apart keeps 101 g apart"}},
		{name: "strict home", rules: placement.Rules{Homes: map[pve.VMID]placement.Home{101: {By: "rule home", Nodes: map[string]int{"pve2": 2, "pve3": 1}, Strict: true}}},
			fit: "pve3", says: []string{"pve1 is not among the nodes that rule home allows 101 g"}},
		{name: "preferred home", rules: placement.Rules{Homes: map[pve.VMID]placement.Home{101: {Nodes: map[string]int{"pve2": 2, "pve3": 0}}}}, fit: "pve3 pve1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			nodes, g := three(), guest(101, "pve2")
			if tt.nodes != nil {
				tt.nodes(nodes)
			}
			if tt.guest != nil {
				tt.guest(&g)
			}
			b := placement.NewBoard(nodes, append(tt.others, g), tt.rules)
			fit, refused := b.Choices([]pve.VMID{101}, tt.among)
			if got := strings.Join(fit, " "); got != tt.fit {
				t.Errorf("fit %q, want %q", got, tt.fit)
			}
			if len(refused) != len(tt.says) {
				t.Fatalf("refused: %v", refused)
			}
			for i, why := range tt.says {
				if !strings.Contains(refused[i].String(), why) {
					t.Errorf("%q does not say %q", refused[i], why)
				}
			}
		})
	}
}

// What was put on a node counts there, and no longer where it was: memory, room for copies, and
// for rules that keep guests apart.
func TestMovesCount(t *testing.T) {
	copied := func(g *placement.Guest) { g.Copied = map[string]int64{"zfs": 30 * gib} }
	b := placement.NewBoard(three(), []placement.Guest{guest(101, "pve2", copied), guest(102, "pve2", copied), guest(103, "pve2"), guest(104, "pve2")},
		placement.Rules{Apart: []placement.Group{{By: "rule apart", Guests: []pve.VMID{103, 104}}}})
	for _, id := range []pve.VMID{101, 102, 103, 104} {
		fit, refused := b.Choices([]pve.VMID{id}, nil)
		if len(fit) == 0 {
			t.Fatalf("%v: %v", id, refused)
		}
		b.Move([]pve.VMID{id}, fit[0])
	}
	var at []string
	for _, id := range []pve.VMID{101, 102, 103, 104} {
		at = append(at, b.Guest(id).Node)
	}
	if want := []string{"pve1", "pve3", "pve1", "pve3"}; !slices.Equal(at, want) {
		t.Errorf("at %v, want %v", at, want)
	}
	for _, n := range b.Nodes() {
		if want := map[string]int64{"pve1": 40, "pve2": 0, "pve3": 80}[n.Name] * gib; n.Used != want {
			t.Errorf("%s uses %d GiB", n.Name, n.Used/gib)
		}
	}
	if free := b.Node("pve1").Storages["zfs"]; free != 20*gib {
		t.Errorf("%d GiB free", free/gib)
	}
}

// Guests that stay together need room for all of them on one node, where one of them may be
// already.
func TestUnits(t *testing.T) {
	rules := placement.Rules{Together: []placement.Group{{By: "a", Guests: []pve.VMID{101, 102}}, {By: "b", Guests: []pve.VMID{102, 103}}, {By: "c", Guests: []pve.VMID{104, 999}}}}
	big := func(g *placement.Guest) { g.Memory = 30 * gib }
	b := placement.NewBoard(three(), []placement.Guest{guest(101, "pve2", big), guest(102, "pve2", big), guest(103, "pve3", big), guest(104, "pve2")}, rules)
	if unit := b.Unit(103); !slices.Equal(unit, []pve.VMID{101, 102, 103}) {
		t.Errorf("%v", unit)
	}
	if unit := b.Unit(104); !slices.Equal(unit, []pve.VMID{104}) {
		t.Errorf("%v: a guest that is not there counts", unit)
	}
	fit, refused := b.Choices(b.Unit(101), nil)
	if len(fit) != 1 || fit[0] != "pve2" || len(refused) != 2 { // 60 GiB are too many for pve3, 90 for pve1
		t.Errorf("fit %v, refused %v", fit, refused)
	}
}

// HA moves a guest back to the node that its rule prefers.
func TestPrefers(t *testing.T) {
	b := placement.NewBoard(three(), nil, placement.Rules{Homes: map[pve.VMID]placement.Home{
		101: {Nodes: map[string]int{"pve2": 2, "pve3": 1}}, 102: {Nodes: map[string]int{"pve2": 1, "pve3": 1}},
	}})
	for _, tt := range []struct {
		id         pve.VMID
		node, over string
		want       bool
	}{
		{101, "pve2", "pve3", true}, {101, "pve3", "pve2", false}, {101, "pve3", "pve1", true},
		{102, "pve2", "pve3", false}, {102, "pve2", "pve1", true}, {103, "pve2", "pve3", false},
	} {
		if got := b.Prefers(tt.id, tt.node, tt.over); got != tt.want {
			t.Errorf("%v: %s over %s is %v", tt.id, tt.node, tt.over, got)
		}
	}
}
