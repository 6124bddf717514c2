package ha

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pve"
)

// managed finds the guest of the call and its resource, which must be there.
func (p *planner) managed() (g pve.Resource, resource section, err error) {
	if g, err = p.guest("resource", p.in.Resource); err != nil {
		return g, nil, err
	}
	if resource = resourceKind.named(p.resources, sidOf(g)); resource == nil {
		err = explain.Refusal("Add it first: change: add.", "HA does not manage %s. Nothing was sent.", p.names.name(sidOf(g)))
	}
	return g, resource, err
}

// take puts the arguments of a resource into its settings.
func (p *planner) take(after section) error {
	in := p.in
	if in.Failback != nil && p.major < 9 {
		return explain.Refusal("Hold it for the group: change: set_group, name, failback: false; that concerns all its members.",
			"On PVE 8 a resource has no failback: its group (%s) has. Nothing was sent.", cmp.Or(after["group"], "none"))
	}
	if in.Group != "" && groupKind.named(p.groups, in.Group) == nil {
		return p.noGroup(in.Group)
	}
	for _, key := range in.Unset {
		delete(after, key)
	}
	for key, value := range map[string]string{"state": in.State, "group": in.Group, "comment": in.Comment} {
		if value != "" {
			after[key] = value
		}
	}
	for key, n := range map[string]*int{"max_restart": in.MaxRestart, "max_relocate": in.MaxRelocate} {
		if n != nil {
			after[key] = strconv.Itoa(*n)
		}
	}
	if in.Failback != nil {
		after["failback"] = tool.Flag(*in.Failback)
	}
	return nil
}

// noGroup refuses a group that is not there.
func (p *planner) noGroup(name string) error {
	if p.usesRules() {
		return explain.Refusal("Use a rule: change: set_rule, resources and nodes.", "This cluster has no HA groups: they have been migrated to rules. Nothing was sent.")
	}
	var names []string
	for _, g := range p.groups {
		names = append(names, render.Text(g["group"], 60))
	}
	return explain.Refusal(fmt.Sprintf("There is %s.", cmp.Or(render.List(names), "none")), "There is no HA group %q. Nothing was sent.", render.Text(name, 60))
}

// usesRules reports whether rules have taken the place of groups.
func (p *planner) usesRules() bool { return p.major >= 9 && len(p.groups) == 0 }

// noteLocal says what keeps a guest from coming up on another node: disks that only its node has,
// and that no replication copies.
func (p *planner) noteLocal(ctx context.Context, g pve.Resource) error {
	config, err := p.c.PVE.GuestConfig(ctx, g.Ref())
	if err != nil {
		return err
	}
	var local []string
	for _, d := range config.Disks(g.Ref().Kind) {
		if d.Volume.Storage == "" || d.IsCloudInit() { // which PVE makes anew
			continue
		}
		i := slices.IndexFunc(p.store, func(s cluster.Store) bool { return s.Storage.Value == d.Volume.Storage })
		switch what := fmt.Sprintf("%s on %s", d.Key, render.Text(d.Volume.Storage, 60)); {
		case i < 0:
			p.Note = append(p.Note, fmt.Sprintf("whether other nodes have %s is not known to this token (Datastore.Audit)", what))
		case !p.store[i].Shared.Value:
			local = append(local, what)
		}
	}
	jobs, err := jobKind.read(ctx, p.c.PVE)
	if err != nil || local == nil {
		return err
	}
	copied := slices.ContainsFunc(jobs, func(j section) bool { return j["guest"] == g.VMID.String() && !j.flag("disable", false) })
	note := "only its node has %s: it cannot come up elsewhere; move these to shared storage, or replicate it (change: replicate)"
	if copied {
		note = "only its node has %s: elsewhere it comes up with what was replicated last, and only on the target of its replication"
	}
	p.Note = append(p.Note, fmt.Sprintf(note, render.List(render.Few(local, 5))))
	return nil
}

func (p *planner) add(ctx context.Context) error {
	g, err := p.guest("resource", p.in.Resource)
	if err != nil {
		return err
	}
	sid, name := sidOf(g), p.names.name(sidOf(g))
	switch {
	case resourceKind.named(p.resources, sid) != nil:
		return explain.Refusal("Change it: change: update.", "HA manages %s already. Nothing was sent.", name)
	case g.Template.Value:
		return explain.Refusal("Clone it, and add the clone.", "%s is a template: HA cannot start it. Nothing was sent.", name)
	}
	p.begin(http.MethodPost, "resource", sid, nil)
	p.About = fmt.Sprintf("HA for %s", name)
	after := section{"type": strings.Split(sid, ":")[0], "state": "started"}
	if err := p.take(after); err != nil {
		return err
	}
	if len(p.resources) == 0 {
		p.lines = append(p.lines, "it is the first guest of HA: from then on a node that runs one resets itself if it loses quorum")
	}
	if err := p.noteLocal(ctx, g); err != nil {
		return err
	}
	p.sayState(g, "", after["state"])
	p.layout = p.with(sid, after, g)
	p.sayMoves([]string{sid})
	p.settle(after)
	p.Form.Del("type")
	p.Form.Set("sid", sid)
	p.setGoal(sid, after["state"])
	p.undoBy(map[string]any{"change": "remove", "resource": sid})
	return nil
}

// with is the layout with a resource as it would be.
func (p *planner) with(sid string, after section, g pve.Resource) layout {
	l := p.layout
	own := maps.Clone(after)
	own["sid"] = sid
	l.resources = append(slices.DeleteFunc(slices.Clone(l.resources), func(r section) bool { return r["sid"] == sid }), own)
	row := maps.Clone(l.services[sid])
	if row == nil {
		row = section{"node": g.Node.Value}
	}
	row["request_state"] = cmp.Or(after["state"], "started")
	l.services = maps.Clone(l.services)
	l.services[sid] = row
	return l
}

// sayState says what HA does to a guest because another state is wanted.
func (p *planner) sayState(g pve.Resource, before, after string) {
	name, running := p.names.name(sidOf(g)), g.Status.Value == "running"
	switch {
	case before == after:
	case after == "ignored" && before != "":
		p.lost = append(p.lost, fmt.Sprintf("HA does not look after %s any more: it does not come up elsewhere if its node fails", name))
	case after == "ignored":
		p.lines = append(p.lines, fmt.Sprintf("HA does nothing about %s as long as it is ignored", name))
	case after == "started" && !running:
		p.lines = append(p.lines, fmt.Sprintf("HA starts %s", name))
	case (after == "stopped" || after == "disabled") && running:
		p.lost = append(p.lost, fmt.Sprintf("HA shuts down %s, which runs on %s", name, g.Node.Value))
	}
	if after == "disabled" && before != after {
		p.lost = append(p.lost, fmt.Sprintf("if its node fails, %s is not moved", name))
	}
}

// sayMoves says which guests HA would move, by the layout as it would be.
func (p *planner) sayMoves(sids []string) {
	p.lost = append(p.lost, p.moves(sids, p.names)...)
	if len(p.moves(sids, p.names)) > 0 {
		p.Goal.Moves = sids
	}
}

// setGoal is the state that HA is to report.
func (p *planner) setGoal(sid, want string) {
	p.Goal.SID, p.Goal.Guest, p.Goal.State = sid, p.names.name(sid), want
}

func (p *planner) update(context.Context) error {
	g, resource, err := p.managed()
	if err != nil {
		return err
	}
	sid, name := sidOf(g), p.names.name(sidOf(g))
	p.begin(http.MethodPut, "resource", sid, resourceKind.settings(resource))
	p.About = fmt.Sprintf("Change of HA for %s", name)
	after := maps.Clone(p.Before)
	if err := p.take(after); err != nil {
		return err
	}
	service := p.services[sid]
	isError := service["state"] == "error"
	if isError && p.in.State != "disabled" {
		return explain.Refusal("Correct the cause (pve_diagnose), then disable it, which clears the error and stops the guest: state: disabled. After that, state: started.",
			"%s is in error, and PVE changes nothing of it until it is disabled. Nothing was sent.", name)
	}
	if p.in.State != "" {
		p.sayState(g, cmp.Or(p.Before["state"], "started"), after["state"])
		p.setGoal(sid, after["state"])
	}
	if isError && g.Status.Value != "running" {
		p.lines = append(p.lines, "the error is cleared")
	}
	before := p.moves([]string{sid}, p.names)
	p.layout = p.with(sid, after, g)
	if now := p.moves([]string{sid}, p.names); !slices.Equal(before, now) && len(now) > 0 {
		p.sayMoves([]string{sid})
	}
	p.settle(after)
	if isError {
		p.is = ""
	}
	p.undoBy(p.backTo("update", "resource", sid))
	return nil
}

func (p *planner) remove(context.Context) error {
	g, resource, err := p.managed()
	if err != nil {
		return err
	}
	sid, name := sidOf(g), p.names.name(sidOf(g))
	p.begin(http.MethodDelete, "resource", sid, resourceKind.settings(resource))
	p.About = fmt.Sprintf("Removal of %s from HA", name)
	p.lost = []string{fmt.Sprintf("%s does not come up elsewhere if its node fails; the guest itself stays as it is (%s)", name, g.Status.Value)}
	purge := p.in.Purge == nil || *p.in.Purge
	if p.major >= 9 {
		p.Form.Set("purge", tool.Flag(purge))
	}
	isNamed := p.sayRules(sid, purge)
	if len(p.resources) == 1 {
		p.lost = append(p.lost, "it is the last guest of HA: the watchdogs go idle, and no node is fenced any more")
	}
	p.Goal = goal{Gone: sid, Guest: name}
	if !isNamed || !purge {
		p.undoBy(p.backTo("add", "resource", sid))
	}
	return nil
}

// sayRules says what becomes of the rules that name a resource that is removed.
func (p *planner) sayRules(sid string, purge bool) (isNamed bool) {
	for _, r := range p.rules {
		members := r.list("resources")
		if !slices.Contains(members, sid) {
			continue
		}
		isNamed = true
		rule := render.Text(r["rule"], 60)
		switch {
		case !purge:
			p.lines = append(p.lines, fmt.Sprintf("the rule %s goes on naming it, without effect", rule))
		case len(members) == 1:
			p.lost = append(p.lost, fmt.Sprintf("the rule %s is deleted: it names nothing else", rule))
		default:
			p.lost = append(p.lost, fmt.Sprintf("it is taken out of the rule %s (%s)", rule, describe(r, p.names)))
		}
	}
	return isNamed
}

// move plans a migration or a relocation.
func (p *planner) move(ctx context.Context) error {
	g, _, err := p.managed()
	if err != nil {
		return err
	}
	if err := p.checkNode(ctx, "node", p.in.Node); err != nil {
		return err
	}
	sid, name, target := sidOf(g), p.names.name(sidOf(g)), p.in.Node
	service := p.services[sid]
	from := cmp.Or(service["node"], g.Node.Value)
	p.About = fmt.Sprintf("Request to HA to %s %s from %s to %s", p.in.Change, name, from, target)
	switch {
	case service["state"] == "error":
		return explain.Refusal("pve_ha says what to do about that.", "%s is in error, and HA moves it nowhere. Nothing was sent.", name)
	case service["request_state"] == "ignored":
		return explain.Refusal("Use pve_migrate_guest.", "HA ignores %s. Nothing was sent.", name)
	case from == target:
		p.is = fmt.Sprintf("%s is on %s already; nothing was sent.", name, target)
	}
	if a, bound := p.affinityOf(sid); bound && a.strict {
		if _, allowed := a.nodes[target]; !allowed {
			return explain.Refusal("Choose one of its nodes, or change the rule.", "A strict rule or group lets %s run only on %s: HA would not leave it on %s. Nothing was sent.", name, render.List(slices.Sorted(maps.Keys(a.nodes))), target)
		}
	}
	if err := p.checkApart(sid, target); err != nil {
		return err
	}
	p.Method, p.Path, p.Form = http.MethodPost, []string{"cluster", "ha", "resources", sid, p.in.Change}, url.Values{"node": {target}}
	switch running := g.Status.Value == "running"; {
	case running && (p.in.Change == "relocate" || g.Type == string(pve.LXC)):
		p.lost = append(p.lost, fmt.Sprintf("%s is stopped on %s, and started on %s: an outage", name, from, target))
	default:
		p.lost = append(p.lost, fmt.Sprintf("%s moves from %s to %s", name, from, target))
	}
	p.sayTogether(sid, target)
	if a, bound := p.affinityOf(sid); bound && !a.isPlaced(target, p.online) {
		p.Note = append(p.Note, fmt.Sprintf("HA brings %s back to %s by itself, unless failback is held", name, render.List(a.best(p.online))))
	}
	p.setGoal(sid, "")
	p.Goal.Node = target
	if p.in.Change == "migrate" {
		p.undoBy(map[string]any{"change": "migrate", "resource": sid, "node": from})
	}
	return nil
}
