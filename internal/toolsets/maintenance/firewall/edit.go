package firewall

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/tool"
)

// edit is a change while it is planned: what there is, and what there would be.
type edit struct {
	*reader
	setState
	in     setIn
	before setup
	after  setup
	undo   *setIn
	// unseen are those that may name what is changed, and were not read.
	unseen []string
	// always says why the change is destructive whatever it is compared with.
	always string
}

// names are the sets and aliases that rules of the place name first.
func (e *edit) names(s *setup) *section {
	if e.place.Node != "" {
		return &s.Cluster
	}
	return s.sectionOf(e.place)
}

// ruleList is where the rules are that are changed: those of the place, or of a group.
type ruleList struct {
	path []string
	of   string
	get  func(*setup) []entry
	set  func(*setup, []entry)
}

func (e *edit) rules() (ruleList, error) {
	if g := e.in.Group; g != "" {
		if !e.place.isCluster() {
			return ruleList{}, tool.BadArgument("group", "is of the cluster; leave out vmid and node, or use the group here by action: group:"+render.Text(g, 60))
		}
		if err := e.checkGroup(g); err != nil {
			return ruleList{}, err
		}
		return ruleList{
			path: below(groupsPath(), g), of: "the security group " + render.Text(g, 60),
			get: func(s *setup) []entry { return s.Groups[g] },
			set: func(s *setup, all []entry) { s.Groups[g] = all },
		}, nil
	}
	return ruleList{
		path: e.place.path("rules"), of: e.place.whole(),
		get: func(s *setup) []entry { return s.sectionOf(e.place).Rules },
		set: func(s *setup, all []entry) { s.sectionOf(e.place).Rules = all },
	}, nil
}

// send adds a request that makes before, of a list, to after.
func (e *edit) send(about, method string, path []string, form url.Values, guard []string, before []entry, after []entry, digests bool) {
	e.Requests = append(e.Requests, request{
		About: about, Method: method, Path: path, Form: form, Digests: digests,
		Guard: sourceOf(guard, before), Result: sourceOf(guard, after),
	})
}

func formOf(r entry) url.Values {
	out := url.Values{}
	for key, value := range r {
		out.Set(key, value)
	}
	return out
}

// ruleOfCall is the list whose rule the call is about, its rules, and the position of that one.
func (e *edit) ruleOfCall() (l ruleList, all []entry, at int, err error) {
	if l, err = e.rules(); err != nil {
		return ruleList{}, nil, 0, err
	}
	at, err = e.at("position", e.in.Position, l)
	return l, l.get(&e.before), at, err
}

// at is a position that the arguments must give, of a rule that is there.
func (e *edit) at(name string, given *int, l ruleList) (int, error) {
	switch count := len(l.get(&e.before)); {
	case given == nil:
		return 0, tool.BadArgument(name, "is missing: pve_firewall shows the positions")
	case count == 0:
		return 0, explain.Refusal("pve_firewall shows the rules.", "There is no rule at position %d: %s has none. Nothing was sent.", *given, l.of)
	case *given >= count:
		return 0, explain.Refusal("pve_firewall shows the rules.", "There is no rule at position %d: %s has %d, from 0 to %d. Nothing was sent.", *given, l.of, count, count-1)
	}
	return *given, nil
}

// addRule adds a rule. PVE puts it first, wherever it is wanted: so it is made off, then moved,
// and then switched on.
func (e *edit) addRule(ctx context.Context) error {
	l, err := e.rules()
	if err != nil {
		return err
	}
	r, err := e.in.given()
	if err != nil {
		return err
	}
	if r["type"] == "" {
		r["type"] = "in"
	}
	if r["proto"] == "" && (r["dport"] != "" || r["sport"] != "") && r["macro"] == "" {
		r["proto"] = "tcp"
	}
	if r["enable"] == "" {
		r["enable"] = "1"
	}
	if err := e.checkRule(ctx, r); err != nil {
		return err
	}
	old := l.get(&e.before)
	to := 0
	if e.in.Position != nil {
		to = *e.in.Position
	}
	if to > len(old) {
		return explain.Refusal("pve_firewall shows the rules.", "Position %d is out of range: %s has %d rules, so that a new one goes to 0 to %d. Nothing was sent.", to, l.of, len(old), len(old))
	}
	e.About = fmt.Sprintf("New rule %d of %s: %s", to, l.of, r.line())
	if r.isOn() && (r["action"] == drop || r["action"] == reject) {
		e.always = "a rule that drops or rejects can cut access, now or when others change"
	}
	e.insert(l, r, to)
	e.Diff = []string{fmt.Sprintf("+ %d: %s", to, r.line())}
	e.undo = &setIn{Change: "delete_rule", Position: &to}
	return nil
}

func (e *edit) insert(l ruleList, r entry, to int) {
	old := l.get(&e.before)
	final := slices.Insert(slices.Clone(old), to, r)
	l.set(&e.after, final)
	if to == 0 {
		e.send(e.About, http.MethodPost, l.path, formOf(r), l.path, old, final, false)
		return
	}
	off := maps.Clone(r)
	off["enable"] = "0"
	first, moved := slices.Insert(slices.Clone(old), 0, off), slices.Insert(slices.Clone(old), to, off)
	e.send("New rule, off", http.MethodPost, l.path, formOf(off), l.path, old, first, false)
	e.send(fmt.Sprintf("Move of the new rule to %d", to), http.MethodPut, below(l.path, "0"), url.Values{"moveto": {fmt.Sprint(to + 1)}}, l.path, first, moved, true)
	if r.isOn() {
		e.send("Switch of the new rule", http.MethodPut, below(l.path, fmt.Sprint(to)), url.Values{"enable": {"1"}}, l.path, moved, final, true)
	}
}

func below(path []string, rest ...string) []string { return slices.Concat(path, rest) }

func (e *edit) changeRule(ctx context.Context) error {
	l, old, at, err := e.ruleOfCall()
	if err != nil {
		return err
	}
	given, err := e.in.given()
	if err != nil {
		return err
	}
	r := maps.Clone(old[at])
	maps.Copy(r, given)
	form := formOf(given)
	cleared, err := e.clear(r)
	if err != nil {
		return err
	}
	if r["proto"] == "" && r["macro"] == "" && (given["dport"] != "" || given["sport"] != "") {
		r["proto"] = "tcp"
		form.Set("proto", "tcp")
	}
	if err := e.checkRule(ctx, r); err != nil {
		return err
	}
	if r["macro"] != "" && given["macro"] != "" {
		form.Set("macro", r["macro"])
	}
	if len(cleared) > 0 {
		form.Set("delete", strings.Join(cleared, ","))
	}
	final := slices.Clone(old)
	final[at] = r
	l.set(&e.after, final)
	e.About = fmt.Sprintf("Change of rule %d of %s: %s", at, l.of, r.line())
	if maps.Equal(r, old[at]) {
		return nil
	}
	e.send(e.About, http.MethodPut, below(l.path, fmt.Sprint(at)), form, l.path, old, final, true)
	e.Diff = []string{fmt.Sprintf("- %d: %s", at, old[at].line()), fmt.Sprintf("+ %d: %s", at, r.line())}
	e.undo = &setIn{Change: "change_rule", Position: &at}
	back := entry{}
	for _, k := range ruleKeys {
		switch was, is := old[at][k.key], r[k.key]; {
		case was == is:
		case was == "":
			e.undo.Unset = append(e.undo.Unset, k.argument)
		default:
			back[k.key] = was
		}
	}
	if back["type"] == "group" || r["type"] == "group" {
		e.undo = nil
		return nil
	}
	e.undo.take(back)
	return nil
}

// clear removes the fields of a rule that the call clears, and returns them by PVE's names.
func (e *edit) clear(r entry) ([]string, error) {
	var out []string
	for _, name := range e.in.Unset {
		i := slices.IndexFunc(ruleKeys, func(k struct{ argument, key string }) bool { return k.argument == name || k.key == name })
		switch {
		case i < 0:
			return nil, tool.BadArgument("unset", fmt.Sprintf("has %q; a rule has such fields as source, port and comment", render.Text(name, 60)))
		case ruleKeys[i].key == "type" || ruleKeys[i].key == "action":
			return nil, tool.BadArgument("unset", "cannot clear the direction or action of a rule")
		}
		if _, has := r[ruleKeys[i].key]; has {
			delete(r, ruleKeys[i].key)
			out = append(out, ruleKeys[i].key)
		}
	}
	return out, nil
}

// take gives the arguments what a rule has.
func (in *setIn) take(r entry) {
	in.Direction, in.Action = r["type"], strings.ToLower(r["action"])
	if r["type"] == "group" {
		in.Direction, in.Action = "", "group:"+r["action"]
	}
	in.Protocol, in.Port, in.SourcePort, in.Source, in.Dest = r["proto"], r["dport"], r["sport"], r["source"], r["dest"]
	in.Macro, in.ICMPType, in.Iface, in.Log, in.Comment = r["macro"], r["icmp-type"], r["iface"], r["log"], r["comment"]
	if _, has := r["enable"]; has {
		on := r.isOn()
		in.Enable = &on
	}
}

func (e *edit) moveRule(context.Context) error {
	l, old, at, err := e.ruleOfCall()
	if err != nil {
		return err
	}
	to, err := e.at("to", e.in.To, l)
	if err != nil {
		return err
	}
	e.About = fmt.Sprintf("Move of rule %d of %s to %d: %s", at, l.of, to, old[at].line())
	if at == to {
		return nil
	}
	final := slices.Insert(slices.Delete(slices.Clone(old), at, at+1), to, old[at])
	l.set(&e.after, final)
	before := to // PVE moves it before the rule that is there now
	if to > at {
		before++
	}
	e.send(e.About, http.MethodPut, below(l.path, fmt.Sprint(at)), url.Values{"moveto": {fmt.Sprint(before)}}, l.path, old, final, true)
	e.Diff = []string{fmt.Sprintf("- %d: %s", at, old[at].line()), fmt.Sprintf("+ %d: %s", to, old[at].line())}
	e.undo = &setIn{Change: "move_rule", Position: &to, To: &at}
	return nil
}

func (e *edit) deleteRule(context.Context) error {
	l, old, at, err := e.ruleOfCall()
	if err != nil {
		return err
	}
	final := slices.Delete(slices.Clone(old), at, at+1)
	l.set(&e.after, final)
	e.About = fmt.Sprintf("Deletion of rule %d of %s: %s", at, l.of, old[at].line())
	e.send(e.About, http.MethodDelete, below(l.path, fmt.Sprint(at)), nil, l.path, old, final, true)
	e.Diff = []string{fmt.Sprintf("- %d: %s", at, old[at].line())}
	e.undo = &setIn{Change: "add_rule", Position: &at}
	e.undo.take(old[at])
	if !old[at].isOn() {
		off := false
		e.undo.Enable = &off
	}
	return nil
}
