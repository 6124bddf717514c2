package maintenance

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/change"
	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/exactjson"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pve"
)

// planUnit plans the calls that move guests to a node. It is called by several goroutines.
func (p *drainPlan) planUnit(ctx context.Context, unit []pve.VMID, to string) ([]change.Item, error) {
	var out []change.Item
	for i, id := range unit {
		g, _ := p.facts.Guest(id)
		c := p.c.Fork(p.c.Request())
		if err := c.CheckTarget(ctx, change.GuestTarget(http.MethodPost, g.Ref(), "/migrate")); err != nil {
			return nil, err
		}
		calls := p.callsTo(g, to)
		if i > 0 && p.facts.HA.IsManaged(id) && p.facts.HA.IsManaged(unit[0]) { // it goes along
			calls = append(calls[:len(calls)-1], callOf(awaitName, map[string]any{"vmid": int(id), "node": to, "with": int(unit[0])}, ""))
		}
		item := change.Item{Guest: id, Node: g.Node.Value, Name: cluster.GuestName(g)}
		for _, call := range calls {
			call, err := change.PlanCall(ctx, c, call)
			if err != nil {
				return nil, err
			}
			if call.Plan.Already == "" {
				item.Calls = append(item.Calls, call)
			}
		}
		out = append(out, item)
	}
	return out, nil
}

// callOf is a call that is not planned yet.
func callOf(name string, args map[string]any, task string) change.PlannedCall {
	return change.PlannedCall{Tool: name, Arguments: exactjson.Encode(args), Task: task}
}

// callsTo are the calls that move a guest to a node, not planned yet. The last one moves it.
func (p *drainPlan) callsTo(g pve.Resource, to string) []change.PlannedCall {
	var calls []change.PlannedCall
	if !p.isReturn() && p.mustHold(g, to) && p.mayHold() {
		hold := callOf(holdName, map[string]any{"vmid": int(g.VMID), "hold": true}, "")
		hold.Anew = p.facts.HA.Resources[g.VMID].Group != "" // another member may have done it
		calls = append(calls, hold)
	}
	running, isCT := g.Status.Value == "running", g.Type == string(pve.LXC)
	args := map[string]any{"vmid": int(g.VMID), "target": to}
	if running && isCT {
		args["restart"] = true
	}
	if running && !isCT && p.copiesDisks() && p.facts.CopiedBytes(g.VMID) > 0 {
		args["with_local_disks"] = true
	}
	move := callOf("pve_migrate_guest", args, "migrate")
	if running && isCT && p.Containers == "shutdown" {
		calls = append(calls, p.shutdown(g))
		move.Anew = true // it is off then
	}
	return append(calls, move)
}

// shutdown shuts a guest down. HA does that by a stop.
func (p *drainPlan) shutdown(g pve.Resource) change.PlannedCall {
	task := "shutdown"
	if p.facts.HA.IsManaged(g.VMID) {
		task = "stop"
	}
	return callOf("pve_guest_power", map[string]any{"vmid": int(g.VMID), "action": "shutdown"}, task)
}

// planShutdown plans that a guest which cannot move is shut down where it is.
func (p *drainPlan) planShutdown(ctx context.Context, g pve.Resource) (change.Item, error) {
	c := p.c.Fork(p.c.Request())
	if err := c.CheckTarget(ctx, change.GuestTarget(http.MethodPost, g.Ref(), "/status/shutdown")); err != nil {
		return change.Item{}, err
	}
	call, err := change.PlanCall(ctx, c, p.shutdown(g))
	return change.Item{Guest: g.VMID, Node: g.Node.Value, Name: cluster.GuestName(g), Calls: []change.PlannedCall{call}}, err
}

// mustHold reports whether HA would bring a guest back from a node.
func (p *drainPlan) mustHold(g pve.Resource, to string) bool {
	r, is := p.facts.HA.Resources[g.VMID]
	if !is || r.State != "started" || !p.board.Prefers(g.VMID, p.Node, to) {
		return false
	}
	return p.facts.HA.FailsBack(g.VMID)
}

// mayHold reports whether HA is to be kept from it, and this token may do so.
func (p *drainPlan) mayHold() bool { return p.holdsHA() && p.perms.Has("/", "Sys.Console") }

// take takes guests into the plan.
func (p *drainPlan) take(x placed) {
	p.items = append(p.items, x.items...)
	for i, id := range x.unit {
		g, _ := p.facts.Guest(id)
		running := g.Status.Value == "running"
		p.addMove(g, x.to, p.how(g, i > 0))
		if running && g.Type == string(pve.LXC) {
			p.interrupted++
		}
		if running && p.Containers == "shutdown" && g.Type == string(pve.LXC) {
			p.off = append(p.off, id)
		}
		p.copied += p.facts.CopiedBytes(id)
		if running && g.Type == string(pve.QEMU) {
			p.ram += g.MaxMem.Value
		}
		switch {
		case p.isReturn() || !p.mustHold(g, x.to):
		case p.mayHold():
			p.held = append(p.held, id)
		default:
			p.unheld = append(p.unheld, cluster.GuestName(g))
		}
	}
}

func (p *drainPlan) addMove(g pve.Resource, to, how string) {
	if len(p.Moves) == mostRows {
		p.LeftOut++
		return
	}
	p.Moves = append(p.Moves, drainMove{cluster.GuestName(g), to, how})
}

// how says in a few words how a guest moves.
func (p *drainPlan) how(g pve.Resource, along bool) string {
	var words []string
	if p.facts.HA.IsManaged(g.VMID) {
		words = append(words, "by HA")
	}
	if along && words != nil {
		words = append(words, "along with the one before")
	}
	switch running, isCT := g.Status.Value == "running", g.Type == string(pve.LXC); {
	case !running:
		words = append(words, "while it is off")
	case isCT && p.Containers == "shutdown":
		words = append(words, "shut down, and left off")
	case isCT:
		words = append(words, "restart: an outage meanwhile")
	default:
		words = append(words, "live")
	}
	if bytes := p.facts.CopiedBytes(g.VMID); bytes > 0 {
		words = append(words, "copies "+render.Bytes(bytes))
	}
	return strings.Join(words, ", ")
}

// sortItems puts guests side by side that go to the same node in the same way: a handle keeps them
// as ranges.
func (p *drainPlan) sortItems() {
	key := func(i change.Item) string {
		var parts []string
		for _, call := range i.Calls {
			args, _ := tool.ParseArguments(call.Arguments) // ours
			delete(args, "vmid")
			parts = append(parts, call.Tool+string(exactjson.Encode(args)))
		}
		return strings.Join(parts, " ")
	}
	slices.SortStableFunc(p.items, func(a, b change.Item) int {
		return cmp.Or(strings.Compare(key(a), key(b)), cmp.Compare(a.Guest, b.Guest))
	})
	slices.SortStableFunc(p.items, func(a, b change.Item) int { // who goes along comes after who leads
		return cmp.Compare(p.turn(a), p.turn(b))
	})
}

// turn is when a guest's turn comes: first those that are moved, then those that only go along
// with another one, and last the one that runs this server.
func (p *drainPlan) turn(i change.Item) int {
	switch {
	case p.isOwn(i.Guest):
		return 2
	case i.Calls[len(i.Calls)-1].Tool == awaitName:
		return 1
	}
	return 0
}

// isOwn reports whether a guest runs this server: it has one of its MAC addresses.
func (p *drainPlan) isOwn(id pve.VMID) bool {
	own := p.c.Host().OwnMACs
	return own != nil && slices.ContainsFunc(own(), func(mac string) bool {
		return slices.ContainsFunc(p.facts.MACs(id), func(has string) bool { return has != "" && strings.EqualFold(has, mac) })
	})
}

// ownLine says that this server goes down with a guest that is restarted or shut down, "" if it
// does not.
func (p *drainPlan) ownLine() string {
	for _, one := range p.items {
		g, _ := p.facts.Guest(one.Guest)
		goesDown := g.Status.Value == "running" && (g.Type == string(pve.LXC) || slices.Contains(p.off, g.VMID))
		if goesDown && p.isOwn(g.VMID) {
			return one.Name + " runs this server, which goes down with it: it comes last, and its end is seen only when the server runs again"
		}
	}
	return ""
}

// idList writes ids as an argument takes them.
func idList(ids []pve.VMID) string {
	ids = slices.Clone(ids)
	slices.Sort(ids)
	var out []string
	for _, id := range slices.Compact(ids) {
		out = append(out, fmt.Sprint(id))
	}
	return strings.Join(out, ",")
}
