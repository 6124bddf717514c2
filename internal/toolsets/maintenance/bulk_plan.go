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

// mostGuests is how many guests one call acts on.
const mostGuests = 100

// From how many guests on a change, or an interruption of running guests, needs consent.
const (
	manyChanged     = 11
	manyInterrupted = 4
)

// bulkPlan is a bulk action while it is planned.
type bulkPlan struct {
	bulkState
	chosen []pve.Resource
	items  []change.Item
	asked  int // guests that were chosen, also those for which there is no node
	others int // guests that were not chosen
	// interrupted are how many that run are interrupted.
	interrupted int
}

func planBulk(ctx context.Context, c *tool.Call, in bulkIn) (change.Plan, bulkState, error) {
	p := bulkPlan{bulkState: bulkState{bulkIn: in}}
	if err := in.check(); err != nil {
		return change.Plan{}, p.bulkState, err
	}
	if err := in.checkCommand(c); err != nil {
		return change.Plan{}, p.bulkState, err
	}
	if err := p.choose(ctx, c); err != nil {
		return change.Plan{}, p.bulkState, err
	}
	parallel, err := c.Parallel(in.Parallel, tool.MostParallel)
	if err != nil {
		return change.Plan{}, p.bulkState, err
	}
	if in.Action == "migrate" && in.Target == "" {
		if err := p.chooseTargets(ctx, c); err != nil {
			return change.Plan{}, p.bulkState, err
		}
	}
	if err := p.planItems(ctx, c); err != nil {
		return change.Plan{}, p.bulkState, err
	}
	plan := p.plan()
	if len(p.Cannot) > 0 && !in.SkipFailed && !in.Plan {
		return plan, p.bulkState, refuseSome(p.title(), "", p.Cannot, p.asked,
			"See to these, leave them out of guests, or go on without them: skip_impossible: true.")
	}
	if len(p.items) == 0 {
		plan.Already = fmt.Sprintf("%s: there is nothing to do for any of %d guests; nothing was sent.", p.title(), p.asked)
		return plan, p.bulkState, nil
	}
	if err := p.sort(ctx, c); err != nil {
		return plan, p.bulkState, err
	}
	plan.Fleet = &change.Fleet{
		Items: p.items, Parallel: parallel, OnePerNode: in.Action == "backup", StopOnError: in.OnError == "stop",
	}
	return plan, p.bulkState, nil
}

// choose finds the guests that are selected.
func (p *bulkPlan) choose(ctx context.Context, c *tool.Call) error {
	list, err := c.List(ctx, "")
	if err != nil {
		return err
	}
	var guests []pve.Resource
	for _, g := range list.Resources() {
		if g.IsGuest() {
			guests = append(guests, g)
		}
	}
	if p.chosen, err = selection.Choose(p.Guests, guests); err != nil {
		return err
	}
	c.KnowGuests(p.chosen)
	p.asked, p.others = len(p.chosen), len(guests)-len(p.chosen)
	switch n := len(p.chosen); {
	case n == 0:
		return explain.Refusal("pve_list_guests shows what there is.", "The selection %q fits none of %d guests. Nothing was sent.", render.Text(p.Guests, 100), len(guests))
	case n > mostGuests:
		return explain.Refusal("Make it several calls, such as one for each node: node:pve1.", "The selection %q fits %d guests, and one call acts on at most %d. Nothing was sent.", render.Text(p.Guests, 100), n, mostGuests)
	}
	return nil
}

// planned is what is planned for a guest.
type planned struct {
	calls []change.PlannedCall
	err   error
}

// planItems plans the calls for each guest, several at a time.
func (p *bulkPlan) planItems(ctx context.Context, c *tool.Call) error {
	got, notes, err := cluster.Ask(c.View, p.chosen, cluster.GuestName, func(g pve.Resource) (planned, error) {
		calls, err := p.planGuest(ctx, c.Fork(c.Request()), g)
		return planned{calls, err}, nil
	})
	if err != nil {
		return err
	}
	for _, note := range notes { // of a bug alone
		p.Cannot = append(p.Cannot, cannot{Guest: "a guest", Why: note})
	}
	for _, r := range got {
		name := cluster.GuestName(r.From)
		switch {
		case tool.FaultOf(r.Value.err) == tool.BadArguments:
			return r.Value.err
		case r.Value.err != nil:
			e := c.ExplainRefusal(ctx, r.From.VMID, r.Value.err)
			p.Cannot = append(p.Cannot, cannot{name, e.What, e.Next})
		case len(r.Value.calls) == 0:
			p.Nothing = append(p.Nothing, name)
		default:
			if p.interruptsGuest(r.From) {
				p.interrupted++
			}
			p.items = append(p.items, change.Item{Guest: r.From.VMID, Node: r.From.Node.Value, Name: name, Calls: r.Value.calls})
		}
	}
	return nil
}

// planGuest plans the calls for a guest that have something to do.
func (p *bulkPlan) planGuest(ctx context.Context, c *tool.Call, g pve.Resource) ([]change.PlannedCall, error) {
	calls, err := p.callsFor(ctx, c, g)
	if err != nil {
		return nil, err
	}
	var out []change.PlannedCall
	for _, call := range calls {
		if err := c.CheckTarget(ctx, p.requestTo(g)); err != nil {
			return nil, err
		}
		call, err := change.PlanCall(ctx, c, call)
		if err != nil {
			return nil, err
		}
		if call.Plan.Already == "" {
			out = append(out, call)
		}
	}
	return out, nil
}

// plan is the plan of the whole, without its fleet.
func (p *bulkPlan) plan() change.Plan {
	calls := 0
	plan := change.Plan{}
	for _, one := range p.items {
		plan.Also = append(plan.Also, policy.Guest(one.Guest))
		calls += len(one.Calls)
	}
	plan.About = fmt.Sprintf("%s %s", p.titleOf(), plural(len(p.items), "guest", "guests"))
	if p.Action == "delete_snapshot" {
		plan.About = fmt.Sprintf("Deletion of %s of %s", plural(calls, "snapshot", "snapshots"), plural(len(p.items), "guest", "guests"))
	}
	isAll := strings.TrimSpace(p.Guests) == "all" || p.others == 0 && len(p.items) >= manyInterrupted
	plan.Destructive = p.interrupted >= manyInterrupted || len(p.items) >= manyChanged || isAll
	if p.Action == "exec" {
		plan.Asked = "runs a command in many guests"
	}
	p.sayWhat(&plan)
	return plan
}

// interrupts reports whether the action interrupts guests that run.
func (p *bulkPlan) interrupts() bool {
	return slices.Contains([]string{"shutdown", "stop", "reboot"}, p.Action)
}

// interruptsGuest reports whether a guest that runs is interrupted: a migration restarts a
// container.
func (p *bulkPlan) interruptsGuest(g pve.Resource) bool {
	return g.Status.Value == "running" && (p.interrupts() || p.Action == "migrate" && g.Type == "lxc")
}

// sayWhat fills in what would happen to whom: first by kind, then by node, then what is not
// touched.
func (p *bulkPlan) sayWhat(plan *change.Plan) {
	var kinds, nodes []string
	byKind, byNode := map[string][]string{}, map[string][]string{}
	add := func(keys *[]string, of map[string][]string, key, name string) {
		if of[key] == nil {
			*keys = append(*keys, key)
		}
		if !slices.Contains(of[key], name) {
			of[key] = append(of[key], name)
		}
	}
	for _, one := range p.items {
		name, notes := one.Name, notesOf(one)
		if notes != nil {
			name += " (" + strings.Join(notes, ", ") + ")"
		}
		add(&nodes, byNode, one.Node, name)
		if p.Action == "delete_snapshot" {
			continue // what each deletion loses is said by the name of the snapshot
		}
		for _, call := range one.Calls {
			for _, line := range call.Plan.Consequences {
				add(&kinds, byKind, line, one.Name)
			}
		}
	}
	if p.Action == "delete_snapshot" {
		plan.Consequences = append(plan.Consequences, "no guest can return to these times any more")
	}
	for _, node := range nodes {
		plan.Consequences = append(plan.Consequences, fmt.Sprintf("on %s: %s", node, strings.Join(byNode[node], ", ")))
		p.Groups = append(p.Groups, groupOf("on "+node, byNode[node]))
	}
	for _, line := range kinds {
		plan.Consequences = append(plan.Consequences, fmt.Sprintf("%s: %s", strings.Join(byKind[line], ", "), line))
	}
	if len(p.Cannot) > 0 {
		var names []string
		for _, one := range p.Cannot {
			names = append(names, one.Guest)
		}
		plan.Consequences = append(plan.Consequences, "left out, since they cannot: "+render.List(names))
	}
	if p.others > 0 {
		plan.Consequences = append(plan.Consequences, plural(p.others, "other guest is", "other guests are")+" not touched")
	}
}

// notesOf are the notes on the calls for a guest.
func notesOf(one change.Item) []string {
	var out []string
	for _, call := range one.Calls {
		if call.Note != "" {
			out = append(out, call.Note)
		}
	}
	return out
}

// mostNamed is how many guests of a group are named.
const mostNamed = 20

func groupOf(what string, names []string) group {
	few := names[:min(len(names), mostNamed)]
	return group{What: what, Guests: few, And: len(names) - len(few)}
}

// sort brings the guests into the order in which they are begun: that of their startup, which is
// turned round for what stops them, or that of their ids.
func (p *bulkPlan) sort(ctx context.Context, c *tool.Call) error {
	places := map[pve.VMID]int{}
	if p.Order != "vmid" && (p.Action == "start" || p.interrupts()) {
		got, notes, err := cluster.Ask(c.View, p.items, func(i change.Item) string { return i.Name }, func(i change.Item) (int, error) {
			_, config, err := cluster.AtGuest(ctx, c.Fork(c.Request()).View, i.Guest, func(g pve.GuestRef) (pve.GuestConfig, error) { return c.PVE.GuestConfig(ctx, g) })
			return startupOrder(config.Values["startup"]), err
		})
		switch {
		case err != nil:
			return err
		case len(notes) > 0:
			return explain.Refusal("Try again, or without it: order: vmid.", "The startup order of some guests is not known: %s. Nothing was sent.", render.List(render.Few(notes, 3)))
		}
		for _, r := range got {
			places[r.From.Guest] = r.Value
		}
	}
	slices.SortStableFunc(p.items, func(a, b change.Item) int {
		order := cmp.Compare(places[a.Guest], places[b.Guest])
		if p.interrupts() {
			order = -order
		}
		return cmp.Or(order, cmp.Compare(a.Guest, b.Guest))
	})
	return nil
}

// lastOfAll is the place of a guest without one.
const lastOfAll = 1 << 30

// startupOrder reads the place from a value such as order=2,up=30, or 2.
func startupOrder(value string) int {
	for part := range strings.SplitSeq(value, ",") {
		key, text, ok := strings.Cut(strings.TrimSpace(part), "=")
		if !ok {
			key, text = "order", key
		}
		n := 0
		if _, err := fmt.Sscan(text, &n); key == "order" && err == nil {
			return n
		}
	}
	return lastOfAll
}
