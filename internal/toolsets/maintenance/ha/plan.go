package ha

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
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

// planner is a change while it is planned.
type planner struct {
	setState
	layout
	state state
	in    setIn
	c     *tool.Call
	major int // of PVE
	perms pve.Permissions
	all   []pve.Resource // guests
	store []cluster.Store
	names guestNames
	lost  []string // what stops, moves or is protected no more
	lines []string // what else would happen
	is    string   // "" or why there is nothing to do
	also  []policy.Subject
}

func planSet(ctx context.Context, c *tool.Call, in setIn) (change.Plan, setState, error) {
	p := &planner{in: in, c: c}
	if err := p.read(ctx); err != nil {
		return change.Plan{}, p.setState, err
	}
	plan := map[string]func(context.Context) error{
		"add": p.add, "update": p.update, "remove": p.remove, "migrate": p.move, "relocate": p.move, "set_rule": p.setRule, "remove_rule": p.removeRule,
		"set_group": p.setGroup, "remove_group": p.removeGroup, "replicate": p.replicate, "remove_replication": p.removeReplication,
		"run_replication": p.runReplication, "disarm": p.disarm, "arm": p.arm,
	}[in.Change]
	if err := plan(ctx); err != nil {
		return change.Plan{}, p.setState, err
	}
	if p.is != "" {
		p.Goal, p.Undo = goal{}, nil
	}
	p.Asks = len(p.lost) > 0 || riskOf(in) == policy.Destructive
	target := p.target()
	out := change.Plan{
		Subject: target.Subject, Also: slices.Concat(target.Also, p.also), About: p.About, Already: p.is, Destructive: p.Asks,
		Consequences: slices.Concat(p.lost, p.lines, p.Note), ImpactSaid: true, Asked: "can stop or move guests, or leave them without protection",
	}
	return out, p.setState, nil
}

// isReplication reports whether the change is of replication, which is not HA's.
func (p *planner) isReplication() bool { return strings.Contains(p.in.Change, "replicat") }

// read reads what every plan needs, and refuses what the token may not do.
func (p *planner) read(ctx context.Context) (err error) {
	if p.perms, err = p.c.PVE.Permissions(ctx); err != nil {
		return err
	}
	version, err := p.c.PVE.Version(ctx)
	if err != nil {
		return err
	}
	p.major = version.Major()
	if err := p.mayChange(); err != nil {
		return err
	}
	list, err := p.c.List(ctx, "")
	if err != nil {
		return err
	}
	p.names, p.store = namesOf(list.Resources()), cluster.StoresIn(list.Resources())
	for _, r := range list.Resources() {
		if r.IsGuest() {
			p.all = append(p.all, r)
		}
	}
	p.c.KnowGuests(p.all)
	if p.isReplication() {
		return nil
	}
	p.layout, p.state, err = readLayout(ctx, p.c.PVE, list.Resources())
	return err
}

func (p *planner) mayChange() error {
	if p.isReplication() {
		if p.major < 9 {
			return cluster.RequirePrivilege(p.perms, "/storage", "Datastore.Allocate")
		}
		return nil // that of the guest, which is not known yet
	}
	if err := cluster.RequirePrivilege(p.perms, "/", "Sys.Console"); err != nil {
		return err
	}
	return cluster.RequirePrivilege(p.perms, "/", "Sys.Audit")
}

// guest finds the guest that an argument names: 101, vm:101, or its name.
func (p *planner) guest(argument, text string) (pve.Resource, error) {
	name := strings.TrimSpace(text)
	if name == "" {
		return pve.Resource{}, tool.BadArgument(argument, "is missing: which guest, such as vm:101, 101 or its name")
	}
	if id := vmid(name); id != 0 {
		if g, ok := p.names[id]; ok && (!strings.Contains(name, ":") || sidOf(g) == name) {
			return g, nil
		}
		if _, ok := p.names[id]; ok {
			return pve.Resource{}, tool.BadArgument(argument, fmt.Sprintf("is %q, and %d is %s", render.Text(name, 60), id, sidOf(p.names[id])))
		}
		return pve.Resource{}, &pve.NoGuestError{VMID: id, Have: p.all}
	}
	found, err := selection.Choose(name, p.all)
	switch {
	case err != nil:
		return pve.Resource{}, err
	case len(found) != 1:
		return pve.Resource{}, tool.BadArgument(argument, fmt.Sprintf("is %q, which fits %d guests; give the id of one", render.Text(name, 60), len(found)))
	}
	return found[0], nil
}

// sids are those of the guests that the argument resources names.
func (p *planner) sids() ([]string, error) {
	var out []string
	for _, text := range p.in.Resources {
		g, err := p.guest("resources", text)
		if err != nil {
			return nil, err
		}
		if sid := sidOf(g); !slices.Contains(out, sid) {
			out = append(out, sid)
		}
	}
	slices.Sort(out)
	return out, nil
}

// checkNode refuses a node that is not there.
func (p *planner) checkNode(ctx context.Context, argument, name string) error {
	if name == "" {
		return tool.BadArgument(argument, "is missing, such as pve2")
	}
	_, err := p.c.OnlineNode(ctx, name)
	return err
}

// settle finishes the plan of a change of a section: what is sent, what is said, and its undo.
func (p *planner) settle(after section) {
	k := kinds(p.Kind)
	after = k.settings(after)
	if p.Before != nil && maps.Equal(p.Before, after) {
		p.is = fmt.Sprintf("%s: it is so already; nothing was sent.", p.About)
	}
	p.sendDifferences(after)
	was, is := differences(p.Before, after)
	for _, key := range union(slices.Collect(maps.Keys(was)), slices.Collect(maps.Keys(is))) {
		line := key + ": " + cmp.Or(is[key], "by default")
		if p.Before != nil {
			line += ", before " + cmp.Or(was[key], "by default")
		}
		p.lines = append(p.lines, line)
	}
}

// undoBy names the call that takes the change back; nil is for none.
func (p *planner) undoBy(args map[string]any) {
	p.Undo = nil
	if args == nil {
		return
	}
	p.Undo = &tool.NextCall{Tool: "pve_set_ha", Arguments: args}
}

// disarm and arm are for the time of a maintenance of the cluster.
func (p *planner) disarm(context.Context) error {
	mode := cmp.Or(p.in.Mode, "freeze")
	if err := p.checkDisarming(); err != nil {
		return err
	}
	if is := p.state.fencing["armed-state"]; is == "disarmed" || is == "disarming" {
		p.is = fmt.Sprintf("HA is %s already; nothing was sent.", is)
	}
	p.About = "Disarming of HA in the whole cluster"
	p.Method, p.Path, p.Form = http.MethodPost, []string{"cluster", "ha", "status", "disarm-ha"}, url.Values{"resource-mode": {mode}}
	p.lost = []string{fmt.Sprintf("no node is fenced, and none of %d guests of HA comes up elsewhere, until it is armed again", len(p.state.services))}
	p.lines = []string{map[string]string{
		"freeze": "freeze: guests stay as they are, and requests to HA wait", "ignore": "ignore: guests are started, stopped and moved as if HA did not manage them",
	}[mode]}
	p.Goal.Armed = "disarmed"
	p.undoBy(map[string]any{"change": "arm"})
	return nil
}

func (p *planner) arm(context.Context) error {
	if err := p.checkDisarming(); err != nil {
		return err
	}
	p.About = "Arming of HA"
	mode := p.state.fencing["resource_mode"]
	if is := p.state.fencing["armed-state"]; is == "armed" || is == "standby" {
		p.is = fmt.Sprintf("HA is not disarmed (%s); nothing was sent.", is)
	}
	p.Method, p.Path = http.MethodPost, []string{"cluster", "ha", "status", "arm-ha"}
	p.lines = []string{"failed nodes are fenced again, and HA starts, stops and moves its guests to what is configured"}
	if mode == "ignore" {
		p.lost = []string{"guests that were started, stopped or moved by hand meanwhile may be stopped or moved by HA"}
	}
	p.Goal.Armed = "armed"
	p.undoBy(map[string]any{"change": "disarm", "mode": cmp.Or(mode, "freeze")})
	return nil
}

func (p *planner) checkDisarming() error {
	if p.state.fencing == nil {
		return explain.Refusal("Before that, failback: false of a resource (PVE 9) or group (8) keeps its guests where they are during a maintenance.",
			"This cluster's HA cannot be disarmed: PVE can do that from 9.2 on. Nothing was sent.")
	}
	return nil
}
