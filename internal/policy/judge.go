package policy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/pve/apischema"
)

// judging looks up for one request what the rules need to know, each thing once.
type judging struct {
	*Guard
	configs map[Where]map[string][]string
	pools   map[string][]int
}

func (g *Guard) judging() judging {
	return judging{g, map[Where]map[string][]string{}, map[string][]int{}}
}

// judge applies the rules about guests to those that a request touches.
func (j judging) judge(ctx context.Context, t touch) string {
	g := j.Guard
	var reasons []string
	add := func(reason string) {
		if reason != "" && !slices.Contains(reasons, reason) {
			reasons = append(reasons, reason)
		}
	}
	if g.Policy.hasRules() {
		if !t.known {
			return "which guests it changes cannot be told, and PVE_MCP_PROTECT or PVE_MCP_ALLOW is set"
		}
		for _, id := range t.changed {
			add(j.refuseGuest(ctx, Where{VMID: id}, t.uses))
			if t.spreads {
				add(j.refuseHolders(ctx, id))
			}
		}
		for _, id := range t.made {
			add(g.refuseNew(id, t.pool))
		}
		for _, w := range t.uses {
			add(j.refuseHeld(ctx, w))
			add(j.refuseTaken(ctx, w, t.takes))
		}
		add(j.refuseVolumes(ctx, "", t.named))
	}
	for _, id := range Owners(t.named) {
		add(g.refuseRunning(ctx, id))
	}
	return strings.Join(reasons, "; ")
}

func (p Policy) hasRules() bool { return len(p.Protect) > 0 || len(p.Allow) > 0 }

// Refuse returns why a request that a plan needs consent for will not be sent, or "", so
// that nobody is asked in vain.
func (g *Guard) Refuse(ctx context.Context, t Target) string {
	id := t.Subject.VMID()
	w := Where{VMID: id, Snapshot: t.Snapshot}
	touched := touch{changed: []int{id}, uses: []Where{w}, spreads: true, known: true}
	for _, id := range t.Also {
		touched.named = append(touched.named, Volume{Owner: id, Known: true})
	}
	if strings.HasPrefix(t.Path, "/nodes/*/tasks/") {
		touched.uses = nil
	}
	return g.judging().judge(ctx, touched)
}

// refuseHeld returns why nothing must be done with the disks of a guest, or "": one of them
// may be another's.
func (j judging) refuseHeld(ctx context.Context, w Where) string {
	held, reason := j.held(ctx, w)
	if reason != "" {
		return reason
	}
	return j.refuseVolumes(ctx, fmt.Sprintf("guest %d has ", w.VMID), held)
}

// held are the volumes among a guest's that are not its own. reason says why they cannot
// be told.
func (j judging) held(ctx context.Context, w Where) (held []Volume, reason string) {
	config, err := j.config(ctx, w)
	if err != nil {
		return nil, fmt.Sprintf("whose volumes guest %d has cannot be told: %v", w.VMID, err)
	}
	return slices.DeleteFunc(Foreign(w.VMID, config), func(v Volume) bool {
		return !v.Known && strings.HasPrefix(v.Source, "/") // a device or folder that root gave it, which PVE itself never changes
	}), ""
}

// refuseVolumes returns why volumes of others must not be touched, or "".
func (j judging) refuseVolumes(ctx context.Context, prefix string, volumes []Volume) string {
	var reasons []string
	for _, v := range volumes {
		reason := fmt.Sprintf("whose volume %s is cannot be told", v.Source)
		if v.Known {
			reason = j.refuseGuest(ctx, Where{VMID: v.Owner}, nil)
		}
		if reason == "" {
			continue
		}
		if prefix != "" {
			reason = fmt.Sprintf("%s%s as %s: %s", prefix, v.Source, v.Key, reason)
		}
		if !slices.Contains(reasons, reason) {
			reasons = append(reasons, reason)
		}
	}
	return strings.Join(reasons, "; ")
}

// refuseHolders returns why the volumes of a guest must not be changed, or "": another one
// may have one of them.
func (j judging) refuseHolders(ctx context.Context, id int) string {
	if j.Lookup.Having == nil {
		return fmt.Sprintf("which guests have volumes of guest %d cannot be told", id)
	}
	holders, err := j.Lookup.Having(ctx, id, j.mayCover)
	if err != nil {
		return fmt.Sprintf("which guests have volumes of guest %d cannot be told: %v", id, err)
	}
	var reasons []string
	for _, h := range holders {
		reason := j.refuseGuest(ctx, Where{VMID: h.VMID}, nil)
		switch {
		case reason == "":
			continue
		case h.Err != nil:
			reason = fmt.Sprintf("whether guest %d has a volume of guest %d cannot be told (%v): %s", h.VMID, id, h.Err, reason)
		default:
			reason = fmt.Sprintf("guest %d has %s as %s: %s", h.VMID, h.Volume.Source, h.Volume.Key, reason)
		}
		reasons = append(reasons, reason)
	}
	return strings.Join(reasons, "; ")
}

// mayCover reports whether the rules may forbid a change of a guest, as far as its id tells.
func (j judging) mayCover(id int) bool {
	byOther := func(rules Rules) bool { return slices.ContainsFunc(rules, func(r Rule) bool { return r.Low == 0 }) }
	_, protected := j.Policy.Protect.byID(id)
	_, allowed := j.Policy.Allow.byID(id)
	return protected || byOther(j.Policy.Protect) || len(j.Policy.Allow) > 0 && !allowed
}

// refuseTaken returns why a guest must not go to a node, or "": HA may take others along.
func (j judging) refuseTaken(ctx context.Context, w Where, target string) string {
	if target == "" {
		return ""
	}
	if j.Lookup.TakenAlong == nil {
		return fmt.Sprintf("which guests HA moves together with guest %d cannot be told", w.VMID)
	}
	taken, err := j.Lookup.TakenAlong(ctx, w, target)
	if err != nil {
		return fmt.Sprintf("which guests HA moves together with guest %d cannot be told: %v", w.VMID, err)
	}
	var reasons []string
	for _, id := range taken {
		if reason := j.refuseGuest(ctx, Where{VMID: id}, nil); reason != "" {
			reasons = append(reasons, fmt.Sprintf("HA moves guest %d, too: %s", id, reason))
		}
	}
	return strings.Join(reasons, "; ")
}

// refuseRunning returns why a volume of a guest must not be given to another, or "".
func (g *Guard) refuseRunning(ctx context.Context, id int) string {
	if g.Lookup.Runs == nil {
		return fmt.Sprintf("whether guest %d runs, whose volume is named, cannot be told", id)
	}
	runs, err := g.Lookup.Runs(ctx, id)
	switch {
	case err != nil:
		return fmt.Sprintf("whether guest %d runs, whose volume is named, cannot be told: %v", id, err)
	case runs:
		return fmt.Sprintf("a volume of guest %d is named, which runs", id)
	}
	return ""
}

// RefuseGuest returns why a guest must not be changed, or "".
func (g *Guard) RefuseGuest(ctx context.Context, id int) string {
	if !g.Policy.hasRules() {
		return ""
	}
	return g.judging().refuseGuest(ctx, Where{VMID: id}, nil)
}

// refuseGuest returns why a guest must not be changed, or "". Where the request says more
// of where it is, uses does.
func (j judging) refuseGuest(ctx context.Context, w Where, uses []Where) string {
	if i := slices.IndexFunc(uses, func(u Where) bool { return u.VMID == w.VMID }); i >= 0 {
		w = uses[i]
	}
	rule, is, err := j.covered(ctx, j.Policy.Protect, w)
	switch {
	case err != nil:
		return fmt.Sprintf("whether guest %d is protected cannot be told: %v", w.VMID, err)
	case is:
		return fmt.Sprintf("guest %d is protected (PVE_MCP_PROTECT: %v)", w.VMID, rule)
	case len(j.Policy.Allow) == 0:
		return ""
	}
	_, is, err = j.covered(ctx, j.Policy.Allow, w)
	switch {
	case err != nil:
		return fmt.Sprintf("whether guest %d may be changed cannot be told: %v", w.VMID, err)
	case !is:
		return fmt.Sprintf("guest %d is not among those that this server may change (PVE_MCP_ALLOW)", w.VMID)
	}
	return ""
}

// covered reports whether a rule names a guest.
func (j judging) covered(ctx context.Context, rules Rules, w Where) (Rule, bool, error) {
	if rule, ok := rules.byID(w.VMID); ok {
		return rule, true, nil
	}
	for _, r := range rules {
		is, err := false, error(nil)
		switch {
		case r.Tag != "":
			is, err = j.tagged(ctx, w, r.Tag)
		case r.Pool != "":
			is, err = j.pooled(ctx, w.VMID, r)
		}
		if err != nil {
			return Rule{}, false, fmt.Errorf("rule %v: %w", r, err)
		}
		if is {
			return r, true, nil
		}
	}
	return Rule{}, false, nil
}

// tagged reports whether a guest has a tag, in lower case. Those that it had when a
// snapshot was taken do not count.
func (j judging) tagged(ctx context.Context, w Where, tag string) (bool, error) {
	w.Snapshot = ""
	config, err := j.config(ctx, w)
	if err != nil || len(config["tags"]) == 0 {
		return false, err
	}
	return slices.ContainsFunc(apischema.SplitList(config["tags"][0]), func(t string) bool { return strings.ToLower(t) == tag }), nil
}

// pooled reports whether a guest is in a pool of a rule, or in one that is in that.
func (j judging) pooled(ctx context.Context, id int, r Rule) (bool, error) {
	if j.Lookup.Members == nil || j.Lookup.Pool == nil {
		return false, errors.New("pools cannot be read")
	}
	members, known := j.pools[r.Pool]
	if !known {
		var err error
		if members, err = j.Lookup.Members(ctx, r.Pool); err != nil {
			return false, err
		}
		j.pools[r.Pool] = members
	}
	if slices.Contains(members, id) {
		return true, nil
	}
	pool, err := j.Lookup.Pool(ctx, id)
	return err == nil && r.inPool(pool), err
}

func (j judging) config(ctx context.Context, w Where) (map[string][]string, error) {
	if config, known := j.configs[w]; known {
		return config, nil
	}
	if j.Lookup.Config == nil {
		return nil, errors.New("configurations cannot be read")
	}
	config, err := j.Lookup.Config(ctx, w)
	if err == nil {
		j.configs[w] = config
	}
	return config, err
}

// refuseNew returns why a guest must not be made, or "": it has no tags yet, and the
// pool that it is made in.
func (g *Guard) refuseNew(id int, pool string) string {
	in := func(rules Rules) (Rule, bool) {
		if rule, ok := rules.byID(id); ok {
			return rule, true
		}
		i := slices.IndexFunc(rules, func(r Rule) bool { return r.inPool(pool) })
		if i < 0 {
			return Rule{}, false
		}
		return rules[i], true
	}
	if rule, is := in(g.Policy.Protect); is {
		return fmt.Sprintf("the new guest %d would be protected (PVE_MCP_PROTECT: %v)", id, rule)
	}
	if _, is := in(g.Policy.Allow); !is && len(g.Policy.Allow) > 0 {
		return fmt.Sprintf("the new guest %d is not among those that this server may change (PVE_MCP_ALLOW)", id)
	}
	return ""
}
