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
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/selection"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pve"
)

// powerPlan is a reboot or shutdown of nodes while it is planned.
type powerPlan struct {
	nodePowerState
	items  []pve.ClusterItem
	nodes  []pve.Resource // of the cluster
	guests []pve.Resource // of the cluster
	chosen map[pve.VMID]bool
	lines  []string // consequences
	hidden bool     // some guests cannot be seen
	// unnamed are the guests that run on the nodes and were not chosen.
	unnamed []string
}

func planNodePower(ctx context.Context, c *tool.Call, in nodePowerIn) (change.Plan, nodePowerState, error) {
	p := powerPlan{nodePowerState: nodePowerState{nodePowerIn: in, Up: map[string]int64{}}, chosen: map[pve.VMID]bool{}}
	if err := p.read(ctx, c); err != nil {
		return change.Plan{}, p.nodePowerState, err
	}
	going, err := p.choose()
	if err != nil {
		return change.Plan{}, p.nodePowerState, err
	}
	if len(going) == 0 {
		return change.Plan{Already: fmt.Sprintf("Node %s is offline by the cluster's view already; nothing was sent.", in.Node)}, p.nodePowerState, nil
	}
	if err := p.checkPrivileges(ctx, c, going); err != nil {
		return change.Plan{}, p.nodePowerState, err
	}
	for _, name := range going {
		n, err := p.planNode(ctx, c, name)
		if err != nil {
			return change.Plan{}, p.nodePowerState, err
		}
		p.Nodes = append(p.Nodes, n)
	}
	if len(p.unnamed) > 0 {
		return change.Plan{}, p.nodePowerState, p.refuseUnnamed()
	}
	p.sort()
	p.sayWho()
	if err := p.sayHA(ctx, c); err != nil {
		return change.Plan{}, p.nodePowerState, err
	}
	plan := change.Plan{
		About: p.about(), Destructive: true, Asked: "interrupts whole nodes", Consequences: append(p.lines, p.votes(ctx, c)...),
		Later: "That PVE has taken the order proves nothing: look whether the node is back.",
	}
	if len(p.Nodes) == 1 {
		plan.Subject = policy.Subject{Kind: policy.NodeKind, ID: p.Nodes[0].Name}
	}
	return plan, p.nodePowerState, nil
}

// read reads the cluster, and chooses the guests that may go down.
func (p *powerPlan) read(ctx context.Context, c *tool.Call) (err error) {
	list, err := c.List(ctx, "")
	if err != nil {
		return err
	}
	for _, g := range list.Resources() {
		if g.IsGuest() {
			p.guests = append(p.guests, g)
		}
	}
	c.KnowGuests(p.guests)
	if p.nodes, err = c.Nodes(ctx); err != nil {
		return err
	}
	if p.items, err = c.PVE.ClusterStatus(ctx); err != nil {
		return err
	}
	p.Alone = !cluster.IsInCluster(p.items)
	if strings.TrimSpace(p.Guests) == "" {
		return nil
	}
	chosen, err := selection.Choose(p.Guests, p.guests)
	for _, g := range chosen {
		p.chosen[g.VMID] = true
	}
	return err
}

// choose returns the nodes that are meant and online; none if the one that is to shut down is
// offline.
func (p *powerPlan) choose() (going []string, err error) {
	var names, off []string
	for _, n := range p.nodes {
		name := n.Node.Value
		names = append(names, name)
		if p.Node != allNodes && p.Node != name {
			continue
		}
		if n.Status.Value == "offline" {
			off = append(off, name)
			continue
		}
		going = append(going, name)
	}
	switch {
	case len(going)+len(off) == 0:
		return nil, explain.Refusal("The nodes are "+render.List(names)+"; all means each of them.", "There is no node %q.", render.Text(p.Node, 60))
	case len(going) == 0 && p.Action == "reboot":
		return nil, explain.Refusal("Somebody has to turn it on: at the machine, or by pve_api_change with POST /nodes/{node}/wakeonlan if it has that.",
			"Node %s is offline, so it cannot reboot. Nothing was sent.", render.List(off))
	case len(off) > 0 && p.Node == allNodes:
		p.lines = append(p.lines, "offline already, and left as they are: "+render.List(off))
	}
	return going, nil
}

// checkPrivileges refuses a call for which the token lacks a privilege, and one whose guests
// it cannot see.
func (p *powerPlan) checkPrivileges(ctx context.Context, c *tool.Call, going []string) error {
	perms, err := c.PVE.PermissionsWithGaps(ctx)
	if err != nil {
		return err
	}
	for _, name := range going {
		if err := cluster.RequirePrivilege(perms, "/nodes/"+name, "Sys.PowerMgmt"); err != nil {
			return err
		}
	}
	p.hidden = !perms.OnAll("/vms", "VM.Audit")
	if p.hidden && strings.TrimSpace(p.Guests) != allNodes {
		return explain.Refusal("Let an administrator grant VM.Audit on /vms. If everything on it may go down, seen or not: guests: \"all\".",
			"%s: this token does not see every guest (%s), so that others may run there. Nothing was sent.", p.about(), missingOnGuests(perms))
	}
	if p.hidden {
		p.lines = append(p.lines, "guests that this token does not see go down as well (it lacks "+missingOnGuests(perms)+")")
	}
	if line := unnoticed(perms, true); line != "" {
		p.lines = append(p.lines, line)
	}
	return nil
}

// planNode looks at a node and its guests.
func (p *powerPlan) planNode(ctx context.Context, c *tool.Call, name string) (nodeToGo, error) {
	n := nodeToGo{Name: name}
	n.Own = slices.ContainsFunc(p.items, func(i pve.ClusterItem) bool { return i.Type == "node" && i.Name == name && i.Local.Value })
	status, err := c.PVE.NodeStatus(ctx, name)
	if err != nil {
		return n, err
	}
	p.Up[name] = status.Uptime.Value
	runs, err := runningOn(ctx, c, name)
	if err != nil {
		return n, err
	}
	if err := p.planHidden(ctx, c, name, runs); err != nil {
		return n, err
	}
	var here []pve.Resource
	for _, g := range p.guests {
		if g.Node.Value == name && !g.Template.Value {
			here = append(here, g)
		}
	}
	for id, is := range runs { // also one that the cluster's list does not have yet
		if is && !slices.ContainsFunc(here, func(g pve.Resource) bool { return g.VMID == id }) {
			p.unnamed = append(p.unnamed, fmt.Sprintf("%v, which has just come to node %s", id, name))
		}
	}
	configs, notes, err := cluster.Ask(c.View, here, cluster.GuestName, func(g pve.Resource) (pve.GuestConfig, error) { return c.PVE.GuestConfig(ctx, g.Ref()) })
	if err != nil {
		return n, err
	}
	for _, note := range notes {
		p.lines = append(p.lines, "whether it starts with the node is unknown: "+note)
	}
	known := map[pve.VMID]pve.GuestConfig{}
	for _, r := range configs {
		known[r.From.VMID] = r.Value
	}
	for _, g := range here {
		p.planGuest(c, &n, g, known[g.VMID], runs[g.VMID])
	}
	return n, p.sayTasks(ctx, c, name)
}

// planHidden takes the guests that run on a node and that this token does not see: nobody has named
// them, and all means them, too.
func (p *powerPlan) planHidden(ctx context.Context, c *tool.Call, node string, seen map[pve.VMID]bool) error {
	hidden, err := hiddenOn(ctx, c, node, seen)
	for _, id := range hidden {
		if strings.TrimSpace(p.Guests) == allNodes {
			p.lines = append(p.lines, "goes down with "+node+": "+hiddenName(id))
			continue
		}
		p.unnamed = append(p.unnamed, hiddenName(id)+" on "+node)
	}
	return err
}

// planGuest sorts a guest by whether it runs and comes back.
func (p *powerPlan) planGuest(c *tool.Call, n *nodeToGo, g pve.Resource, config pve.GuestConfig, runs bool) {
	onboot := config.Values["onboot"] == "1"
	byHA := isUnderHA(g)
	list := &n.Start
	switch {
	case !runs && (byHA || !onboot):
		return
	case runs && byHA:
		list = &n.HA
	case runs && onboot:
		list = &n.Back
	case runs:
		list = &n.Stay
	}
	*list = selection.AppendID(*list, g.VMID)
	if !runs {
		return
	}
	if !p.chosen[g.VMID] {
		p.unnamed = append(p.unnamed, cluster.GuestName(g)+" on "+n.Name)
	}
	macs := c.Host().OwnMACs
	if macs == nil {
		return
	}
	for _, nic := range config.NICs(pve.Kind(g.Type)) {
		if nic.MAC != "" && slices.ContainsFunc(macs(), func(own string) bool { return strings.EqualFold(own, nic.MAC) }) {
			n.Runs = true
			p.lines = append(p.lines, fmt.Sprintf("%s runs this server: it has its MAC address %s. With node %s this server goes down, and sends and sees nothing until the guest runs again", cluster.GuestName(g), nic.MAC, n.Name))
		}
	}
}

// refuseUnnamed refuses because guests run there that were not named.
func (p *powerPlan) refuseUnnamed() error {
	slices.SortFunc(p.unnamed, pve.CompareNames)
	few := p.unnamed[:min(len(p.unnamed), mostNamed)]
	more := ""
	if n := len(p.unnamed) - len(few); n > 0 {
		more = fmt.Sprintf(" and %d more", n)
	}
	next := "Move them away first with pve_drain_node."
	if p.Node == allNodes {
		next = "Shut them down first with pve_bulk_action."
	}
	return explain.Refusal(next+` Or name in guests those that may go down, such as guests: "node:`+p.Nodes[0].Name+`" or "all".`,
		"%s: %s there and %s not named in guests: %s%s. Nothing was sent.",
		p.about(), plural(len(p.unnamed), "guest runs", "guests run"), plural(len(p.unnamed), "is", "are"), strings.Join(few, ", "), more)
}

// sort brings the nodes into their order: the one through which this server talks to the API
// last. The node on which this server runs goes last of all when nodes reboot. When they shut
// down it goes just before, since the last one would not get its order otherwise.
func (p *powerPlan) sort() {
	place := func(n nodeToGo) int {
		switch {
		case n.Runs && !n.Own && p.Action == "reboot":
			return 3
		case n.Own:
			return 2
		case n.Runs:
			return 1
		}
		return 0
	}
	slices.SortStableFunc(p.Nodes, func(a, b nodeToGo) int { return cmp.Compare(place(a), place(b)) })
}
