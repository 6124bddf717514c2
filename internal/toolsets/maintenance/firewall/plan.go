package firewall

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/change"
	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/exactjson"
	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/survey"
	"github.com/pve-mcp/pve-mcp/internal/tool"
)

func planSet(ctx context.Context, c *tool.Call, in setIn) (change.Plan, setState, error) {
	none := func(err error) (change.Plan, setState, error) { return change.Plan{}, setState{}, err }
	p, err := placeOf(ctx, c, in.VMID, in.Node)
	if err != nil {
		return none(err)
	}
	s, end, err := survey.Begin(ctx, c.View, survey.Deadline)
	if err != nil {
		return none(err)
	}
	defer end()
	if err := mayChange(s, p); err != nil {
		return none(err)
	}
	e := &edit{reader: read(s, p), in: in.written()}
	if err := e.checkSeen(); err != nil {
		return none(err)
	}
	if p.isCluster() {
		e.unseen = append(e.readUsers(ctx, e.changesNames()), e.leftOut...)
	}
	e.before, e.after = e.setup, copyOf(e.setup)
	if err := e.apply(ctx); err != nil {
		return none(err)
	}
	if err := e.checkDigest(ctx, c); err != nil {
		return none(err)
	}
	if why := e.obstaclesAfter(); len(why) > 0 {
		e.Idle = why[0]
	}
	plan := e.plan()
	if e.undo != nil {
		e.undo.VMID, e.undo.Node, e.undo.Group = p.Guest.VMID, p.Node, e.in.Group
		e.Undo = &tool.NextCall{Tool: "pve_set_firewall", Arguments: argumentsOf(*e.undo)}
	}
	return plan, e.setState, nil
}

func argumentsOf(in setIn) map[string]any {
	var out map[string]any
	if exactjson.Unmarshal(exactjson.Encode(in), &out) != nil {
		return nil
	}
	return out
}

// mayChange refuses what the token may not do.
func mayChange(s *survey.Survey, p place) error {
	path, look, write := "/", "Sys.Audit", "Sys.Modify"
	switch {
	case p.isGuest():
		path, look, write = "/vms/"+p.Guest.VMID.String(), "VM.Audit", "VM.Config.Network"
	case p.Node != "":
		path = "/nodes/" + p.Node
	}
	if err := cluster.RequirePrivilege(s.Permissions, path, look); err != nil {
		return err
	}
	return cluster.RequirePrivilege(s.Permissions, path, write)
}

// checkSeen refuses a change of what could not be read.
func (e *edit) checkSeen() error {
	if err := e.Err(); err != nil {
		return err
	}
	for _, b := range e.Blind() {
		if e.needs(b.Check) {
			return explain.Refusal("Try again when it can be read.", "%s could not be read, so nothing was changed: %s.", e.place.title(), render.Text(fmt.Sprint(b.Check, ": ", b.Missing), 300))
		}
	}
	return nil
}

// needs reports whether a change needs what a check reads: of a guest, its own firewall.
func (e *edit) needs(check string) bool {
	switch {
	case e.place.isGuest():
		return slices.Contains([]string{guestOptions, guestRules, setsOf(e.place), aliasesOf(e.place)}, check)
	case e.place.Node != "":
		return e.sectionOf(e.place) == nil
	}
	return true
}

// changesNames reports whether the change is of a set or an alias that any rule may name. PVE lets
// no rule name a set that is not there, so that a new one is in none.
func (e *edit) changesNames() bool {
	return strings.Contains(e.in.Change, "alias") || strings.Contains(e.in.Change, "addresses") || e.in.Change == "delete_set"
}

func (e *edit) apply(ctx context.Context) error {
	return map[string]func(context.Context) error{
		"add_rule": e.addRule, "change_rule": e.changeRule, "move_rule": e.moveRule, "delete_rule": e.deleteRule, "add_group": e.addGroup, "delete_group": e.deleteGroup,
		"add_set": e.addSet, "delete_set": e.deleteSet, "add_addresses": e.addAddresses, "remove_addresses": e.removeAddresses,
		"set_alias": e.setAlias, "delete_alias": e.deleteAlias, "set_options": e.setOptions,
	}[e.in.Change](ctx)
}

// checkDigest refuses a change of what is not as the caller has seen it.
func (e *edit) checkDigest(ctx context.Context, c *tool.Call) error {
	if e.in.Digest == "" || len(e.Requests) == 0 {
		return nil
	}
	if e.in.Digest == e.digest && !slices.Equal(e.Requests[0].Guard.Path, e.place.path("rules")) {
		return tool.BadArgument("digest", "is that of the rules, which this does not change; leave it out")
	}
	now, _, err := e.Requests[0].Guard.read(ctx, c)
	if err != nil || now.Digest == e.in.Digest {
		return err
	}
	return explain.Refusal("Look at it with pve_firewall, and make the call anew.", "%s: it has changed since that digest was read. Nothing was sent.", e.About)
}

// switches are the options that can cut off.
var switches = []string{"enable", "policy_in", "policy_out", "policy_forward", "macfilter", "ipfilter", "dhcp", "ndp", "radv", "ebtables", "nftables", "tcpflags", "nosmurfs", "protection_synflood"}

// notOptions are parameters of PVE's call for options that are none: delete would clear options
// that the plan does not know of.
var notOptions = []string{"delete", "digest", "node", "vmid"}

func (e *edit) setOptions(context.Context) error {
	if len(e.in.Options) == 0 && len(e.in.Unset) == 0 {
		return tool.BadArgument("options", `is missing: such as {"enable":1,"policy_in":"DROP"}`)
	}
	was, form := e.own().Options, url.Values{}
	final := maps.Clone(was)
	e.undo = &setIn{Change: "set_options", Options: tool.Values{}}
	for _, name := range slices.Sorted(maps.Keys(e.in.Options)) {
		value := e.in.Options[name]
		switch {
		case slices.Contains(notOptions, name):
			return tool.BadArgument("options", fmt.Sprintf("has %q, which is no option of a firewall; unset clears an option, and digest is an argument of its own", name))
		case strings.HasPrefix(name, "policy_"):
			value = strings.ToUpper(value)
			if !slices.Contains([]string{accept, drop, reject}, value) || name == "policy_forward" && value == reject {
				return tool.BadArgument("options", fmt.Sprintf("has %s %q; a policy is ACCEPT, DROP or REJECT", name, render.Text(value, 30)))
			}
		case value == "true" || value == "on" || value == "yes":
			value = "1"
		case value == "false" || value == "off" || value == "no":
			value = "0"
		}
		final[name] = value
		form.Set(name, value)
	}
	var removed []string
	for _, name := range e.in.Unset {
		if _, has := final[name]; has {
			delete(final, name)
			removed = append(removed, name)
		}
	}
	if removed != nil {
		form.Set("delete", strings.Join(removed, ","))
	}
	e.About = "Options of " + e.place.whole() + ":"
	for _, name := range keysOf(both(was, final)) {
		if was[name] == final[name] {
			continue
		}
		e.compareOption(name, was, final)
	}
	e.About = strings.TrimSuffix(e.About, ",")
	e.after.sectionOf(e.place).Options = final
	if !maps.Equal(was, final) {
		path := e.place.path("options")
		object := func(options entry) source {
			return source{Path: path, Object: true, Is: identify(path, []entry{options})}
		}
		e.Requests = []request{{About: e.About, Method: http.MethodPut, Path: path, Form: form, Guard: object(was), Result: object(final), Digests: true}}
	}
	return nil
}

func both(a, b entry) entry {
	out := maps.Clone(a)
	maps.Copy(out, b)
	return out
}

// compareOption says how an option changes, and how that is undone.
func (e *edit) compareOption(name string, was, final entry) {
	old, had := was[name]
	value, has := final[name]
	if had {
		e.Diff = append(e.Diff, fmt.Sprintf("- %s: %s", name, old))
		e.undo.Options[name] = old
	} else {
		e.undo.Unset = append(e.undo.Unset, name)
	}
	if has {
		e.Diff = append(e.Diff, fmt.Sprintf("+ %s: %s", name, value))
		e.About += fmt.Sprintf(" %s=%s,", name, value)
	} else {
		e.About += fmt.Sprintf(" %s unset,", name)
	}
	if slices.Contains(switches, name) {
		e.always = name
	}
}

// obstaclesAfter are why the firewall has no effect after the change, if it has none before: a
// change that switches it off has one.
func (e *edit) obstaclesAfter() []string {
	now := *e.reader
	now.setup = e.after
	if now.works() != idle || e.works() != idle {
		return nil
	}
	return now.obstacles()
}

// mostDiffLines bounds what a question shows of the change.
const mostDiffLines = 20

// plan says what the change would do, and whether it could lock somebody out.
func (e *edit) plan() change.Plan {
	plan := change.Plan{About: e.About}
	if len(e.Requests) == 0 {
		plan.Already = e.About + ": it is so already; nothing was sent."
		return plan
	}
	first := e.Requests[0]
	plan.Target, _ = policy.TargetOf(first.Method, first.Path, first.Form)
	plan.Subject, plan.Also = plan.Target.Subject, plan.Target.Also
	plan.Consequences = slices.Clone(e.Diff[:min(len(e.Diff), mostDiffLines)])
	narrow := narrowed(e.before, e.after)
	cuts := len(narrow) > 0 || e.always != ""
	switch {
	case e.place.isGuest():
		plan.Destructive = cuts
	case e.changesNames():
		plan.Destructive = cuts || len(e.unseen) > 0
	default:
		plan.Destructive = cuts || e.in.Change == "set_options"
	}
	if e.Idle != "" {
		plan.Consequences = append(plan.Consequences, "no effect now: "+e.Idle)
	}
	if !plan.Destructive && riskOf(e.in) < policy.Destructive {
		return plan
	}
	plan.Asked = e.whyAsked(cuts)
	e.sayRisk(&plan, narrow, cuts)
	return plan
}

// whyAsked says what the change needs consent for: it can be taken back, unless that is too late.
func (e *edit) whyAsked(cuts bool) string {
	switch {
	case e.switchesOff():
		return "opens what is blocked"
	case e.place.isGuest():
		return "can cut connections"
	case cuts:
		return "can lock people out"
	}
	return "changes who gets in"
}

// sayRisk says what the change could cut off, and what is not known about that.
func (e *edit) sayRisk(plan *change.Plan, narrow []string, cuts bool) {
	say := func(format string, args ...any) {
		plan.Consequences = append(plan.Consequences, fmt.Sprintf(format, args...))
	}
	switch {
	case e.always == "":
	case e.Idle != "":
		say("the option %s cuts nothing off now, and can once the firewall works", e.always)
	default:
		say("the option %s can cut off", e.always)
	}
	if len(narrow) > 0 {
		say("it is not proven that all that passes now passes afterwards: %s", render.List(narrow[:min(len(narrow), 5)]))
	}
	if len(e.unseen) > 0 && e.changesNames() {
		say("not seen, and they may name it: %s", render.List(e.unseen[:min(len(e.unseen), 5)]))
	}
	if e.place.isGuest() {
		if cuts {
			say("connections to or from %s can be cut", e.place)
		}
		return
	}
	if e.switchesOff() {
		say("nothing is blocked any more: every port of the nodes and guests is open to their networks")
		return
	}
	nodes, more := e.fewNodes()
	if more > 0 {
		say("%d more nodes have rules of their own, which are not said here; pve_firewall shows each", more)
	}
	if !e.switchesOn() {
		for _, line := range changedAccess(e.before, e.after, nodes) {
			say("%s", line)
		}
	} else {
		for _, node := range nodes {
			for _, line := range e.after.accessTo(node) {
				say("remains%s: %s", ofNode(node), line)
			}
		}
		say("remains: connections that exist already, and corosync among the nodes")
	}
	if cuts {
		say("this server may be among those locked out: it reaches PVE by port 8006, perhaps through NAT, so the address that the nodes see is not known here")
		say("if all are locked out: root runs pve-firewall stop on the console of each node")
	}
}

// fewNodes are the nodes whose access is said: those that a question has room for, and how many
// are left out.
func (e *edit) fewNodes() (few []string, more int) {
	nodes := e.after.nodesWithOwn()
	if e.place.Node != "" {
		nodes = []string{e.place.Node}
	}
	few = nodes[:min(len(nodes), mostNodesNamed)]
	return few, len(nodes) - len(few)
}

func ofNode(node string) string {
	if node == allNodes {
		return ""
	}
	return " on " + node
}

// switchesOn reports whether the change switches the firewall of nodes on.
func (e *edit) switchesOn() bool { return !e.isOnFor(&e.before) && e.isOnFor(&e.after) }

// switchesOff reports whether the change switches it off.
func (e *edit) switchesOff() bool { return e.isOnFor(&e.before) && !e.isOnFor(&e.after) }

// isOnFor reports whether the firewall of the nodes that the change is about is switched on.
func (e *edit) isOnFor(s *setup) bool { return s.isOn(e.place.Node) }
