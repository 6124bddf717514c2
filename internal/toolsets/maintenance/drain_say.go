package maintenance

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/change"
	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/placement/reading"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
)

// say fills in what would happen: where guests go, what is interrupted and held, what stays, and
// how the nodes are afterwards.
func (p *drainPlan) say(plan *change.Plan) {
	add := func(format string, args ...any) {
		plan.Consequences = append(plan.Consequences, fmt.Sprintf(format, args...))
	}
	byNode := map[string][]string{}
	for _, one := range p.items {
		to := p.board.Guest(one.Guest).Node
		byNode[to] = append(byNode[to], one.Name+p.outage(one))
	}
	for _, n := range p.facts.Nodes {
		if names := byNode[n.Node.Value]; names != nil && n.Node.Value != p.Node {
			add("to %s: %s", n.Node.Value, strings.Join(names, ", "))
		}
	}
	if names := byNode[p.Node]; names != nil && p.isReturn() {
		add("back on %s: %s", p.Node, strings.Join(names, ", "))
	}
	if names := byNode[p.Node]; names != nil && !p.isReturn() {
		add("cannot move, and stay on %s: %s", p.Node, strings.Join(names, ", "))
	}
	if names := p.immovable(); names != nil {
		where := "cannot move, and stay on " + p.Node + " as they are"
		if p.isReturn() {
			where = "cannot come back"
		}
		add("%s: %s", where, strings.Join(render.Few(names, mostNamed), ", "))
	}
	if p.interrupted > 0 {
		add("%s interrupted: containers restart or are shut down, as are VMs that cannot move", plural(p.interrupted, "guest is", "guests are"))
	}
	if p.Off != "" {
		add("shut down, and not started again before return: %s", p.Off)
	}
	for _, line := range p.holds() {
		add("%s", line)
	}
	for _, s := range p.Stays {
		add("stays on %s: %d (%s)", p.Node, len(s.Guests)+s.And, s.Why)
	}
	if p.Left > 0 {
		add("%d more guests of %s are for calls of their own", p.Left, p.Node)
	}
	if !p.isReturn() && p.Immovable == "shutdown" && p.Off != "" {
		p.Notes = append(p.Notes, fmt.Sprintf("What is shut down since it cannot move stays on %s. A drain with stopped: move takes along what can go while it is off.", p.Node))
	}
	p.sayAfter()
}

// outage says in brackets what a guest that runs suffers, "" if it goes on running.
func (p *drainPlan) outage(one change.Item) string {
	g, _ := p.facts.Guest(one.Guest)
	moves := func(call change.PlannedCall) bool { return call.Tool == "pve_migrate_guest" || call.Tool == awaitName }
	switch {
	case slices.Contains(p.off, g.VMID):
		return " (is shut down)"
	case g.Status.Value == "running" && g.Type == string(pve.LXC) && slices.ContainsFunc(one.Calls, moves):
		return " (restarts)"
	}
	return ""
}

// immovable are the guests that are left as they are, since they cannot move.
func (p *drainPlan) immovable() (names []string) {
	for _, one := range p.Cannot {
		names = append(names, one.Guest)
	}
	return names
}

// holds say what HA is kept from, and what not.
func (p *drainPlan) holds() []string {
	var lines []string
	groups := map[string]bool{}
	var single []string
	for _, id := range p.held {
		r := p.facts.HA.Resources[id]
		switch {
		case r.Group == "":
			single = append(single, p.board.Guest(id).Name)
		case !groups[r.Group]:
			groups[r.Group] = true
			var members []string
			for _, m := range p.facts.HA.Groups[r.Group].Members {
				members = append(members, p.board.Guest(m).Name)
			}
			lines = append(lines, fmt.Sprintf("the failback of the HA group %s is held until return, for all its members: %s", render.Text(r.Group, 60), strings.Join(members, ", ")))
		}
	}
	if single != nil {
		lines = append(lines, "the failback of "+strings.Join(single, ", ")+" is held until return")
	}
	if p.unheld != nil {
		why := "hold_ha is false"
		if p.holdsHA() {
			why = "this token lacks Sys.Console on /, which holding them takes"
		}
		lines = append(lines, fmt.Sprintf("HA will bring back by itself, as soon as it can: %s (%s)", strings.Join(p.unheld, ", "), why))
	}
	p.HA = strings.Join(lines, "; ")
	return lines
}

// sayAfter says how the nodes are afterwards, and how much is copied.
func (p *drainPlan) sayAfter() {
	p.After = map[string]string{}
	for _, n := range p.facts.Nodes {
		name := n.Node.Value
		takes := slices.ContainsFunc(p.items, func(i change.Item) bool { return p.board.Guest(i.Guest).Node == name })
		if takes && (name != p.Node || p.isReturn()) {
			p.After[name] = reading.MemoryOf(p.board.Node(name))
		}
	}
	if p.quorum != "" {
		p.After["quorum"] = p.quorum
	}
	if p.copied+p.ram == 0 {
		return
	}
	const perSecond = 110 << 20 // what 1 Gbit/s carries
	p.Takes = fmt.Sprintf("copies %s of disks and up to %s of memory: %s or more at 1 Gbit/s", render.Bytes(p.copied), render.Bytes(p.ram),
		roughly(time.Duration((p.copied+p.ram)/perSecond)*time.Second))
}

// quorumWithout says what becomes of the quorum while a node is off.
func quorumWithout(ctx context.Context, c *tool.Call, node string) string {
	items, err := c.PVE.ClusterStatus(ctx)
	if err != nil {
		return "not known: " + c.Explain(err).What
	}
	q := c.Quorum(ctx, items)
	left := q.Without(node)
	said := q.Remaining(left, "while "+node+" is off")
	if left < q.Needed() {
		return "LOST: " + said
	}
	return "kept: " + said
}

// roughly rounds a duration to what is worth saying.
func roughly(d time.Duration) string {
	unit := time.Minute
	if d > time.Hour {
		unit = 15 * time.Minute
	}
	return render.Duration(max(unit, d.Round(unit)))
}

// describe describes the plan, or how each part has ended and what runs on the node now.
func (s drainState) describe(ctx context.Context, c *tool.Call, parts []change.Part) drainOut {
	out := drainOut{Cannot: s.Cannot, Stays: s.Stays, Notes: s.Notes}
	if parts == nil && s.Moves == nil && s.Cannot != nil {
		out.SetOutcome(tool.Warnings, "", "None of %d guests of %s can move; nothing was sent.", len(s.Cannot), s.Node)
	}
	out.OK, out.NotOK, out.NotBegun, out.LeftOut = sortParts(parts)
	if parts == nil {
		out.Moves, out.LeftOut, out.After, out.About, out.HA = s.Moves, s.LeftOut, s.After, s.Takes, s.HA
	}
	begun, under := parts == nil, false
	for _, p := range parts {
		begun, under = begun || p.Outcome != "", under || p.Outcome == tool.Running
	}
	if begun && !under && !s.Plan {
		if parts != nil {
			ctx = proxmox.ReadAgain(ctx)
		}
		s.sayEnd(ctx, c, parts, &out)
	}
	return out
}

// sayEnd says what PVE lists on the node now, and how to bring guests back.
func (s drainState) sayEnd(ctx context.Context, c *tool.Call, parts []change.Part, out *drainOut) {
	here, err := guestsOn(ctx, c, s.Node)
	if err != nil {
		out.SetOutcome(tool.Warnings, "Look again before you shut the node down.", "What runs on %s now cannot be seen: %s", s.Node, c.Explain(err).What)
		return
	}
	if s.isReturn() {
		s.sayReturned(here, parts, out)
		return
	}
	for id, g := range here {
		if g.Status.Value == "running" {
			g.VMID = id
			out.Still = append(out.Still, cluster.GuestName(g))
		}
	}
	hidden, notCounted := hiddenOn(ctx, c, s.Node, here)
	for _, id := range hidden {
		out.Still = append(out.Still, hiddenName(id))
	}
	slices.SortFunc(out.Still, pve.CompareNames)
	running := len(out.Still)
	if running > mostNamed {
		out.Still = append(out.Still[:mostNamed], fmt.Sprintf("and %d more", running-mostNamed))
	}
	perms, err := c.PVE.PermissionsWithGaps(ctx)
	switch {
	case s.Left > 0:
		out.SetOutcome(tool.Warnings, "then is the call for the next ones.", "%s on %s, and %d are left to move.", plural(running, "guest still runs", "guests still run"), s.Node, s.Left)
		out.Then = s.next()
	case running > 0:
		out.SetOutcome(tool.Warnings, "See to those that still run there before you shut the node down.", "%s on %s.", plural(running, "guest still runs", "guests still run"), s.Node)
	case err != nil:
		out.SetOutcome(tool.Warnings, "Ask somebody who sees all guests before you shut the node down.", "No guest that this token sees runs on %s, and whether it sees all is not known: %s", s.Node, c.Explain(err).What)
	case !perms.OnAll("/vms", "VM.Audit"):
		out.SetOutcome(tool.Warnings, "Ask somebody who sees all guests before you shut the node down.", "No guest that this token sees runs on %s, and it does not see all (%s).", s.Node, missingOnGuests(perms))
	default:
		out.Message = fmt.Sprintf("No guest runs on %s now.", s.Node)
		if line := unnoticed(perms, notCounted == nil); line != "" {
			out.Notes = append(out.Notes, "On "+s.Node+", "+line+".")
		}
	}
	s.sayUndo(ctx, c, here, parts, out)
}

// next is the same call once more, for the guests that are left.
func (s drainState) next() *tool.NextCall {
	args := map[string]any{"node": s.Node, "action": s.Action}
	for name, value := range map[string]string{"stopped": s.Stopped, "containers": s.Containers, "immovable": s.Immovable} {
		if value != "" {
			args[name] = value
		}
	}
	if s.To != nil {
		args["to"] = s.To
	}
	if !s.copiesDisks() {
		args["local_disks"] = false
	}
	if !s.holdsHA() {
		args["hold_ha"] = false
	}
	if s.Parallel > 0 {
		args["parallel"] = s.Parallel
	}
	return &tool.NextCall{Tool: "pve_drain_node", Arguments: args}
}

// sayUndo says what brings back the guests that are gone now.
func (s drainState) sayUndo(ctx context.Context, c *tool.Call, here map[pve.VMID]pve.Resource, parts []change.Part, out *drainOut) {
	var gone []pve.VMID
	for _, p := range parts {
		if _, is := here[p.Guest]; !is && p.Outcome != "" {
			gone = append(gone, p.Guest)
		}
	}
	args := map[string]any{"node": s.Node, "action": "return"}
	if gone != nil {
		args["guests"] = idList(gone)
	}
	if s.Held != "" {
		args["failback"] = s.Held
		out.HA = s.heldNow(ctx, c)
	}
	if s.Off != "" {
		args["start"] = s.Off
	}
	if len(args) > 2 {
		out.Undo = &tool.NextCall{Tool: "pve_drain_node", Arguments: args}
	}
}

// heldNow says whether HA is kept from bringing guests back, as PVE shows it.
func (s drainState) heldNow(ctx context.Context, c *tool.Call) string {
	ha, err := reading.ReadHA(ctx, c.View)
	if err != nil {
		return "Whether HA is kept from bringing guests back cannot be seen: " + c.Explain(err).What
	}
	var held, not []string
	for text := range strings.SplitSeq(s.Held, ",") {
		id, _ := pve.ParseVMID(text)
		if ha.FailsBack(id) {
			not = append(not, text)
		} else {
			held = append(held, text)
		}
	}
	var said []string
	if held != nil {
		said = append(said, "the failback of "+strings.Join(held, ", ")+" is held until return")
	}
	if not != nil {
		said = append(said, "HA may bring back "+strings.Join(not, ", "))
	}
	return strings.Join(said, "; ")
}

// sayReturned says who is back.
func (s drainState) sayReturned(here map[pve.VMID]pve.Resource, parts []change.Part, out *drainOut) {
	var away []string
	for _, p := range parts {
		if _, is := here[p.Guest]; !is {
			away = append(away, p.Name)
		}
	}
	if away == nil && parts != nil {
		out.Message = fmt.Sprintf("All of them are on %s.", s.Node)
	}
	if s.Left > 0 {
		out.SetOutcome(tool.Warnings, "then is the call for the next ones.", "%d more are left to bring back.", s.Left)
		out.Then = s.next()
	}
	if away != nil {
		out.SetOutcome(tool.Warnings, "", "Not on %s now: %s.", s.Node, strings.Join(render.Few(away, mostNamed), ", "))
	}
}
