package whatif

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/placement"
	"github.com/pve-mcp/pve-mcp/internal/placement/reading"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/survey"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pve"
)

// mostRead is of how many guests the configuration is read.
const mostRead = 200

// fate is what becomes of guests.
type fate struct {
	what   string
	guests []pve.Resource
}

// fates keeps them in the order in which they came up.
type fates []fate

func (f *fates) add(what string, g pve.Resource) {
	i := slices.IndexFunc(*f, func(one fate) bool { return one.what == what })
	if i < 0 {
		i = len(*f)
		*f = append(*f, fate{what: what})
	}
	(*f)[i].guests = append((*f)[i].guests, g)
}

// loseNode says what becomes of the guests of a node that is lost.
func (l *look) loseNode(ctx context.Context) error {
	if l.in.Node == "" {
		return tool.BadArgument("node", "is missing: the node that is lost, such as pve2")
	}
	lost, err := l.Node(ctx, l.in.Node)
	if err != nil {
		return err
	}
	if err := l.readFacts(ctx); err != nil {
		return err
	}
	if len(l.facts.Nodes) < 2 {
		return explain.Refusal("pve_what_if with scenario: lose_storage shows what has a backup elsewhere.", "%s is the only node: if it is lost, all of its guests are.", lost.Node.Value)
	}
	quorum, keeps, known := l.losesQuorum(ctx, lost.Node.Value)
	managed, others, off := l.sortGuests(lost.Node.Value)
	l.readNeedsOf(ctx, managed)
	copies := l.replicas()
	before := l.facts.Board(nil)
	after := l.facts.Board(func(node string) string {
		if node == lost.Node.Value {
			return "is lost"
		}
		return ""
	})
	var comesUp, stays fates
	up, unsure := 0, 0
	if known && !keeps {
		for _, g := range managed {
			stays.add("under HA, and do not come up: the nodes that are left have no quorum", g)
		}
	} else {
		up, unsure = l.recover(after, managed, copies, &comesUp, &stays)
	}
	for _, f := range slices.Concat(comesUp, stays) {
		l.addGroup(f.guests, "%s", f.what)
	}
	l.addGroup(others, "not under HA, and gone until %s is back", lost.Node.Value)
	l.addGroup(off, "off on %s, and out of reach until it is back", lost.Node.Value)
	if n := len(replicated(slices.Concat(others, off), copies)); n > 0 {
		l.out.Notes = append(l.out.Notes, fmt.Sprintf("%d of those that are not under HA are replicated to other nodes, where an administrator can start the copies", n))
	}
	l.addNodes(before, after)
	if n := len(slices.DeleteFunc(slices.Clone(others), func(g pve.Resource) bool { return g.Status.Value != "unknown" })); n > 0 {
		l.out.Notes = append(l.out.Notes, fmt.Sprintf("whether %s without HA run on %s is not known, since it does not report: they are counted as if they do", guests(n), lost.Node.Value))
	}
	l.sayLost(lost.Node.Value, quorum, recovered{len(managed), up, unsure}, len(others))
	return nil
}

// replicated are those guests that have copies of their disks on other nodes.
func replicated(guests []pve.Resource, copies map[pve.VMID][]string) []pve.Resource {
	return slices.DeleteFunc(guests, func(g pve.Resource) bool { return len(copies[g.VMID]) == 0 })
}

// losesQuorum says what becomes of the quorum without a node.
func (l *look) losesQuorum(ctx context.Context, node string) (said string, keeps, known bool) {
	if !l.May("quorum", "", "Sys.Audit", "/") {
		return "", false, false
	}
	items, ok := survey.One(l.Survey, "quorum", l.PVE.ClusterStatus)
	if !ok {
		return "", false, false
	}
	q := l.View.Quorum(ctx, items)
	left := q.Without(node)
	l.out.Notes = append(l.out.Notes, q.Notes...)
	if left >= q.Needed() {
		return fmt.Sprintf("The cluster keeps its quorum: %d of %d votes are left, and %d are needed.", left, q.All, q.Needed()), true, true
	}
	said = fmt.Sprintf("THE CLUSTER LOSES ITS QUORUM: %d of %d votes are left, and %d are needed.", left, q.All, q.Needed())
	if q.All == 2 && len(l.facts.Nodes) == 2 {
		said += " Unless corosync has the setting two_node, which the API does not show."
	}
	return said, false, true
}

// sortGuests returns the guests of a node that HA is to start elsewhere, those that run besides,
// and those that are off.
func (l *look) sortGuests(node string) (managed, others, off []pve.Resource) {
	for _, g := range l.facts.Guests {
		switch {
		case g.Node.Value != node || g.Template.Value:
		case l.facts.HA.Wants(g.VMID):
			managed = append(managed, g)
		case reading.IsOn(g):
			others = append(others, g)
		default:
			off = append(off, g)
		}
	}
	return managed, others, off
}

// readNeedsOf reads what guests need of a node, of as many as are looked at.
func (l *look) readNeedsOf(ctx context.Context, guests []pve.Resource) {
	if over := len(guests) - mostRead; over > 0 {
		l.NotSeen("disks and networks of guests", "", fmt.Sprintf("of %d guests only the first %d were looked at", len(guests), mostRead))
		guests = guests[:mostRead]
	}
	if len(guests) == 0 {
		return
	}
	var nodes []string
	for _, n := range l.facts.Nodes {
		if n.Status.Value == "online" {
			nodes = append(nodes, n.Node.Value)
		}
	}
	l.facts.ReadNeeds(ctx, l.View, guests, nodes)
}

// replicas are the nodes to which guests are replicated.
func (l *look) replicas() map[pve.VMID][]string {
	jobs, _ := survey.One(l.Survey, "replication", l.PVE.ReplicationJobs)
	out := map[pve.VMID][]string{}
	for _, j := range jobs {
		if id := pve.VMID(j.Guest.Value); !j.Disabled.Value {
			out[id] = append(out[id], j.Target.Value)
		}
	}
	return out
}

// recovered are how many guests HA has on a node, and how many of them come up, or may.
type recovered struct{ all, up, unsure int }

// recover puts the guests of HA on other nodes, the largest first, and returns how many come
// up, and of how many that is not known.
func (l *look) recover(board *placement.Board, managed []pve.Resource, copies map[pve.VMID][]string, comesUp, stays *fates) (up, unsure int) {
	slices.SortStableFunc(managed, func(a, b pve.Resource) int { return int((b.MaxMem.Value - a.MaxMem.Value) >> 20) })
	looked := map[pve.VMID]bool{}
	for _, g := range managed {
		if looked[g.VMID] {
			continue // it goes along with another
		}
		unit := l.onSameNode(board, g)
		among, local := l.nodesWithDisks(unit, copies)
		fit, refused := board.Choices(unit, among)
		isKnown := !slices.ContainsFunc(unit, func(id pve.VMID) bool { return !l.facts.Knows(id) })
		for _, id := range unit {
			looked[id] = true
			one, _ := l.facts.Guest(id)
			switch {
			case len(fit) > 0 && !isKnown:
				stays.add("under HA, and whether they come up is not known: their disks or their memory cannot be seen", one)
			case len(fit) > 0 && local:
				comesUp.add(fmt.Sprintf("come up on %s with the data of their last replication: what was written since is lost", fit[0]), one)
			case len(fit) > 0:
				comesUp.add("come up on "+fit[0], one)
			case local && len(among) == 0:
				stays.add("under HA, and do not come up: their disks are on "+g.Node.Value+" alone, and not replicated", one)
			default:
				stays.add("under HA, and do not come up: "+reasonOf(refused), one)
			}
		}
		if len(fit) > 0 {
			board.Move(unit, fit[0])
			if isKnown {
				up += len(unit)
			} else {
				unsure += len(unit)
			}
		}
	}
	return up, unsure
}

// onSameNode are the guests that go with one and are on its node.
func (l *look) onSameNode(board *placement.Board, g pve.Resource) []pve.VMID {
	return slices.DeleteFunc(board.Unit(g.VMID), func(id pve.VMID) bool { return board.Guest(id).Node != g.Node.Value })
}

// nodesWithDisks are the nodes that have copies of the disks of guests with disks on their node
// alone, nil for any node if there are none such.
func (l *look) nodesWithDisks(unit []pve.VMID, copies map[pve.VMID][]string) (among []string, local bool) {
	for _, id := range unit {
		switch {
		case l.facts.CopiedBytes(id) == 0:
		case !local:
			among, local = slices.Clone(copies[id]), true
		default:
			among = slices.DeleteFunc(among, func(n string) bool { return !slices.Contains(copies[id], n) })
		}
	}
	if local && among == nil {
		among = []string{}
	}
	return among, local
}

// reasonOf says why no node takes a guest.
func reasonOf(refused []placement.Refusal) string {
	var out []string
	for _, r := range refused {
		if r.Why != "is lost" {
			out = append(out, r.String())
		}
	}
	if out == nil {
		return "no other node is there"
	}
	return render.Text(strings.Join(out, "; "), 300)
}

// sayLost is the first line of the answer.
func (l *look) sayLost(node, quorum string, ha recovered, others int) {
	l.noteBlind()
	said := fmt.Sprintf("of %s under HA %d come up elsewhere", guests(ha.all), ha.up)
	if ha.unsure > 0 {
		said += fmt.Sprintf(", and of %d that is not known", ha.unsure)
	}
	if len(l.facts.HA.Resources) == 0 && l.facts.Blind != nil {
		said = "what HA would do is not known"
	}
	seen := ""
	if l.hidden {
		seen = ", of the guests that this token sees"
	}
	l.out.Message = strings.TrimSpace(fmt.Sprintf("If %s is lost: %s; what runs without HA is gone until it is back: %s%s. %s", node, said, guests(others), seen, quorum))
	if ha.up > 0 {
		l.out.Notes = append(l.out.Notes, "HA starts them two to three minutes after the loss, and may choose another node of those that can take a guest; the memory of VMs is counted as configured")
	}
}

// guests counts guests.
func guests(n int) string { return plural(n, "guest") }

// bring is the subject of what moves do to the nodes, and its verb.
func bring(n int) string {
	if n == 1 {
		return "1 move brings"
	}
	return fmt.Sprintf("%d moves bring", n)
}

func plural(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %ss", n, one)
}
