package maintenance

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/change"
	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/placement"
	"github.com/pve-mcp/pve-mcp/internal/placement/reading"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
)

// drainPlan is a drain, or the way back, while it is planned.
type drainPlan struct {
	drainState
	c     *tool.Call
	facts *reading.Facts
	perms pve.Permissions
	board *placement.Board
	items []change.Item

	interrupted int        // running guests that are restarted or shut down
	copied, ram int64      // bytes
	held, off   []pve.VMID // those whose failback is held, and those that are shut down
	unheld      []string   // that HA will bring back
	quorum      string     // what becomes of it while the node is off
}

// read reads the cluster, and what runs on the node by the node's own lists.
func (p *drainPlan) read(ctx context.Context) (err error) {
	if _, err = p.c.OnlineNode(ctx, p.Node); err != nil {
		return err
	}
	for _, to := range p.To {
		if _, err = p.c.OnlineNode(ctx, to); err != nil {
			return err
		}
	}
	if items, err := p.c.PVE.ClusterStatus(ctx); err == nil && lacksQuorum(items) { // of a shutdown there would be no way back
		return explain.Refusal("pve_cluster_status shows which nodes are missing: bring them back first.", "The cluster has lost its quorum, and PVE moves and starts no guest without it. Nothing was sent.")
	}
	if p.facts, err = reading.Read(ctx, p.c.View); err != nil {
		return err
	}
	p.Notes = append(p.Notes, p.facts.Blind...)
	if p.perms, err = p.c.PVE.PermissionsWithGaps(ctx); err != nil {
		return err
	}
	if !p.isReturn() {
		p.quorum = quorumWithout(ctx, p.c, p.Node)
		if !p.perms.OnAll("/vms", "VM.Audit") {
			p.Notes = append(p.Notes, "This token does not see every guest ("+missingOnGuests(p.perms)+"): others may run on "+p.Node+", and stay.")
		}
	}
	live, err := guestsOn(ctx, p.c, p.Node)
	if err != nil {
		return err
	}
	if !p.isReturn() {
		p.noteHidden(ctx, live)
	}
	for i := range p.facts.Guests {
		if is, ok := live[p.facts.Guests[i].VMID]; ok {
			p.facts.Guests[i].Status.Value, p.facts.Guests[i].Lock = is.Status.Value, is.Lock
		}
	}
	p.c.KnowGuests(p.facts.Guests)
	return nil
}

// noteHidden notes the guests that run on the node and that this token does not see.
func (p *drainPlan) noteHidden(ctx context.Context, live map[pve.VMID]pve.Resource) {
	hidden, err := hiddenOn(ctx, p.c, p.Node, live)
	for _, id := range hidden {
		p.Cannot = append(p.Cannot, cannot{
			Guest: id.String(), Why: "It runs on " + p.Node + ", and this token does not see it.",
			Next: fmt.Sprintf("Let somebody who sees it move it, or grant VM.Audit and VM.Migrate on /vms/%v.", id),
		})
	}
	if line := unnoticed(p.perms, err == nil); line != "" {
		p.Notes = append(p.Notes, "On "+p.Node+", "+line+".")
	}
}

// guestsOn are the guests on a node that the token sees, as the node itself lists them: the list
// of the cluster may be 20 s old.
func guestsOn(ctx context.Context, c *tool.Call, node string) (map[pve.VMID]pve.Resource, error) {
	out := map[pve.VMID]pve.Resource{}
	for _, kind := range []pve.Kind{pve.QEMU, pve.LXC} {
		list, err := proxmox.Get[[]pve.Resource](ctx, c.PVE.Client, proxmox.Join("nodes", node, string(kind)), nil)
		if err != nil {
			return nil, err
		}
		for _, g := range list {
			g.Type, g.Node.Set, g.Node.Value = string(kind), true, node
			out[g.VMID] = g
		}
	}
	return out, nil
}

// targets are the nodes to which guests may go.
func (p *drainPlan) targets() []string {
	var out []string
	for _, n := range p.facts.Nodes {
		name := n.Node.Value
		if name != p.Node && (p.To == nil || slices.Contains(p.To, name)) {
			out = append(out, name)
		}
	}
	return out
}

// chooseLeaving chooses the guests that leave the node, and a place for each.
func (p *drainPlan) chooseLeaving(ctx context.Context) error {
	targets := p.targets()
	if len(targets) == 0 {
		return explain.Refusal("Shut its guests down with pve_bulk_action instead.", "There is no other node to which the guests of %s could go. Nothing was sent.", p.Node)
	}
	leaving := p.sort()
	units := p.units(leaving)
	chosen := map[pve.VMID]bool{}
	for i, unit := range units {
		if len(chosen)+len(unit) > mostGuests && len(chosen) > 0 {
			for _, later := range units[i:] {
				p.Left += len(later)
			}
			units = units[:i]
			break
		}
		for _, id := range unit {
			chosen[id] = true
		}
	}
	leaving = slices.DeleteFunc(leaving, func(g pve.Resource) bool { return !chosen[g.VMID] })
	online := slices.DeleteFunc(slices.Clone(targets), func(n string) bool { return !p.isOnline(n) })
	p.facts.ReadNeeds(ctx, p.c.View, leaving, append(online, p.Node))
	p.board = p.facts.Board(nil)
	if err := p.place(ctx, units, targets); err != nil {
		return err
	}
	p.noteRoomForRest(targets)
	return nil
}

// noteRoomForRest notes if the guests that are for later calls need more memory than is left.
func (p *drainPlan) noteRoomForRest(targets []string) {
	var needed, spare int64
	for _, g := range p.facts.Guests {
		if is := p.board.Guest(g.VMID); is.Node == p.Node {
			needed += is.Memory
		}
	}
	for _, name := range targets {
		spare += p.board.Node(name).Spare()
	}
	if p.Left > 0 && needed > spare {
		p.Notes = append(p.Notes, fmt.Sprintf("The guests that stay on %s after this call need %s of memory, and the other nodes have %s to spare then.", p.Node, render.Bytes(needed), render.Bytes(spare)))
	}
}

func (p *drainPlan) isOnline(node string) bool {
	return slices.ContainsFunc(p.facts.Nodes, func(n pve.Resource) bool { return n.Node.Value == node && n.Status.Value == "online" })
}

// sort says which guests of the node leave it, and why the others stay.
func (p *drainPlan) sort() (leaving []pve.Resource) {
	stay := map[string][]string{}
	for _, g := range p.facts.Guests {
		if g.Node.Value != p.Node {
			continue
		}
		why := ""
		switch running := g.Status.Value == "running"; {
		case g.Template.Value:
			why = "template"
		case !running && g.Lock.Value == "suspended" && p.Stopped != "move":
			why = "suspended to disk"
		case g.Status.Value == "stopped" && p.Stopped != "move":
			why = "off"
		case running && g.Type == string(pve.LXC) && p.Containers == "leave":
			why = "running container, left as asked"
		}
		if why == "" {
			leaving = append(leaving, g)
			continue
		}
		stay[why] = append(stay[why], cluster.GuestName(g))
	}
	for _, why := range []string{"running container, left as asked", "suspended to disk", "off", "template"} {
		if names := stay[why]; names != nil {
			few := names[:min(len(names), mostNamed)]
			p.Stays = append(p.Stays, drainGroup{Why: why, Guests: few, And: len(names) - len(few)})
		}
	}
	return leaving
}

// units are guests that go to the same node, those that need most memory first.
func (p *drainPlan) units(leaving []pve.Resource) [][]pve.VMID {
	board := p.facts.Board(nil)
	var out [][]pve.VMID
	memory, known := map[pve.VMID]int64{}, map[pve.VMID]bool{}
	for _, g := range leaving {
		if known[g.VMID] {
			continue
		}
		unit := slices.DeleteFunc(board.Unit(g.VMID), func(id pve.VMID) bool {
			return !slices.ContainsFunc(leaving, func(g pve.Resource) bool { return g.VMID == id })
		})
		for _, id := range unit {
			known[id] = true
			memory[unit[0]] += board.Guest(id).Memory
		}
		out = append(out, unit)
	}
	slices.SortStableFunc(out, func(a, b []pve.VMID) int { return cmp.Compare(memory[b[0]], memory[a[0]]) })
	return out
}

// placed are guests that go to a node together, with the calls that move each.
type placed struct {
	unit  []pve.VMID
	to    string
	items []change.Item
	err   error
}

// place finds a node for each unit: the best as far as the lists tell, and another one if PVE
// refuses that.
func (p *drainPlan) place(ctx context.Context, units [][]pve.VMID, targets []string) error {
	var first []placed
	for _, unit := range units {
		fit, refused := p.board.Choices(unit, targets)
		if len(fit) == 0 {
			p.cannotMove(ctx, unit, noTarget(refused))
			continue
		}
		p.board.Move(unit, fit[0])
		first = append(first, placed{unit: unit, to: fit[0]})
	}
	got, notes, err := cluster.Ask(p.c.View, first, func(x placed) string { return x.unit[0].String() }, func(x placed) (placed, error) {
		x.items, x.err = p.planUnit(ctx, x.unit, x.to)
		return x, nil
	})
	if err != nil {
		return err
	}
	for _, note := range notes { // of a bug alone
		p.Cannot = append(p.Cannot, cannot{Guest: "a guest", Why: note})
	}
	for _, r := range got {
		x := r.Value
		if x.err != nil {
			x = p.placeAgain(ctx, x, targets)
		}
		switch {
		case tool.FaultOf(x.err) == tool.BadArguments:
			return x.err
		case x.err != nil:
			p.cannotMove(ctx, x.unit, x.err)
		default:
			p.take(x)
		}
	}
	p.sortItems()
	return nil
}

// placeAgain tries the other nodes for guests that PVE does not let go to the first one.
func (p *drainPlan) placeAgain(ctx context.Context, x placed, targets []string) placed {
	reason := x.err
	p.board.Move(x.unit, p.Node)
	others := slices.DeleteFunc(slices.Clone(targets), func(n string) bool { return n == x.to })
	fit, _ := p.board.Choices(x.unit, others)
	for _, to := range fit {
		items, err := p.planUnit(ctx, x.unit, to)
		if err == nil {
			p.board.Move(x.unit, to)
			return placed{unit: x.unit, to: to, items: items}
		}
	}
	return placed{unit: x.unit, err: reason}
}

// noTarget is the error for guests that fit on no node.
func noTarget(refused []placement.Refusal) error {
	var why []string
	for _, r := range refused {
		why = append(why, r.String())
	}
	if why == nil {
		why = []string{"there is none"}
	}
	return explain.Refusal("Make room, or leave it (immovable: leave), or let it be shut down (immovable: shutdown).", "No node can take it: %s.", render.Text(strings.Join(why, "; "), 600))
}

// cannotMove notes why guests cannot move. If it is asked for, those that run are shut down.
func (p *drainPlan) cannotMove(ctx context.Context, unit []pve.VMID, err error) {
	e := p.c.Explain(err)
	for _, id := range unit {
		g, _ := p.facts.Guest(id)
		if p.Immovable == "shutdown" && g.Status.Value == "running" {
			item, refused := p.planShutdown(ctx, g)
			if refused == nil {
				p.items = append(p.items, item)
				p.interrupted++
				p.off = append(p.off, id)
				p.addMove(g, p.Node, "shut down, and stays here off: "+e.What)
				continue
			}
			e = p.c.Explain(refused)
		}
		p.Cannot = append(p.Cannot, cannot{cluster.GuestName(g), e.What, e.Next})
	}
}

func (p *drainPlan) about() string {
	if p.isReturn() {
		return "Return of guests to " + p.Node
	}
	return "Drain of " + p.Node
}

// plan is the plan of the whole, without its fleet.
func (p *drainPlan) plan() change.Plan {
	slices.Sort(p.held)
	slices.SortFunc(p.unheld, pve.CompareNames)
	p.Held, p.Off = idList(p.held), idList(p.off)
	plan := change.Plan{About: fmt.Sprintf("%s (%s)", p.about(), plural(len(p.items), "guest", "guests"))}
	for _, one := range p.items {
		plan.Also = append(plan.Also, policy.Guest(one.Guest))
	}
	plan.Destructive = p.interrupted >= manyInterrupted || len(p.items) >= manyChanged || p.Held != ""
	p.say(&plan)
	if own := p.ownLine(); own != "" {
		plan.Destructive = true
		plan.Consequences = append(plan.Consequences, own)
	}
	if p.Held != "" {
		plan.Asked = "holds HA back, so that these guests stay where they go"
	}
	return plan
}

// nothingToDo says that no guest is to move.
func (p *drainPlan) nothingToDo() string {
	return fmt.Sprintf("%s: there is nothing to move; nothing was sent.", p.about())
}
