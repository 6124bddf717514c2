package policy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/pve/apischema"
)

// mayCover reports whether the rules may forbid a change of a guest, judged by its id alone.
func (j judge) mayCover(id int) bool {
	_, allowed := j.Policy.Allow.byID(id)
	return j.mayProtect(id) || len(j.Policy.Allow) > 0 && !allowed
}

// protectedByID reports whether a guest is protected by its id.
func (j judge) protectedByID(id int) bool {
	_, protected := j.Policy.Protect.byID(id)
	return protected
}

// mayProtect reports whether a guest may be protected, judged by its id alone.
func (j judge) mayProtect(id int) bool {
	return j.protectedByID(id) || slices.ContainsFunc(j.Policy.Protect, func(r Rule) bool { return r.Tag != "" || r.Pool != "" })
}

// refuseMovedByHA returns why a guest must not go to a node, or "": HA may move others with it.
func (j judge) refuseMovedByHA(ctx context.Context, w Where, target string) string {
	if target == "" {
		return ""
	}
	if j.Lookup.MovedTogether == nil {
		return fmt.Sprintf("which guests HA moves together with guest %d is unknown", w.VMID)
	}
	moved, err := j.Lookup.MovedTogether(ctx, w, target)
	if err != nil {
		return fmt.Sprintf("which guests HA moves together with guest %d is unknown: %v", w.VMID, err)
	}
	var reasons []string
	for _, id := range moved {
		if reason := j.refuseGuest(ctx, Where{VMID: id}, nil); reason != "" {
			reasons = append(reasons, fmt.Sprintf("HA moves guest %d, too: %s", id, reason))
		}
	}
	return strings.Join(reasons, "; ")
}

// refuseRunning returns why a volume of a guest must not be given to another, or "".
func (g *Guard) refuseRunning(ctx context.Context, id int) string {
	if g.Lookup.Runs == nil {
		return fmt.Sprintf("whether guest %d, whose volume is named, is running is unknown", id)
	}
	runs, err := g.Lookup.Runs(ctx, id)
	switch {
	case err != nil:
		return fmt.Sprintf("whether guest %d, whose volume is named, is running is unknown: %v", id, err)
	case runs:
		return fmt.Sprintf("a volume of guest %d is named, which is running", id)
	}
	return ""
}

// refuseGuest returns why a guest must not be changed, or "". uses has what the request says
// about where the guest is.
func (j judge) refuseGuest(ctx context.Context, w Where, uses []Where) string {
	if i := slices.IndexFunc(uses, func(u Where) bool { return u.VMID == w.VMID }); i >= 0 {
		w = uses[i]
	}
	if reason := j.refuseProtected(ctx, w); reason != "" || len(j.Policy.Allow) == 0 {
		return reason
	}
	_, is, err := j.covered(ctx, j.Policy.Allow, w)
	switch {
	case err != nil:
		return fmt.Sprintf("whether guest %d may be changed is unknown: %v", w.VMID, err)
	case !is:
		return fmt.Sprintf("guest %d is not among those that this server may change (PVE_MCP_ALLOW)", w.VMID)
	}
	return ""
}

// refuseProtected returns why a guest must not be changed because it is protected, or "".
func (j judge) refuseProtected(ctx context.Context, w Where) string {
	rule, is, err := j.covered(ctx, j.Policy.Protect, w)
	switch {
	case err != nil:
		return fmt.Sprintf("whether guest %d is protected is unknown: %v", w.VMID, err)
	case is:
		return fmt.Sprintf("guest %d is protected (PVE_MCP_PROTECT: %v)", w.VMID, rule)
	}
	return ""
}

// covered reports whether a rule names a guest.
func (j judge) covered(ctx context.Context, rules Rules, w Where) (Rule, bool, error) {
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

// tagged reports whether a guest has a tag, in lower case. Tags in its snapshots do not count.
func (j judge) tagged(ctx context.Context, w Where, tag string) (bool, error) {
	w.Snapshot = ""
	config, err := j.config(ctx, w)
	if err != nil || len(config["tags"]) == 0 {
		return false, err
	}
	return slices.ContainsFunc(apischema.SplitList(config["tags"][0]), func(t string) bool { return strings.ToLower(t) == tag }), nil
}

// pooled reports whether a guest is in a pool of a rule, or in a pool below it.
func (j judge) pooled(ctx context.Context, id int, r Rule) (bool, error) {
	if j.Lookup.Pool == nil {
		return false, errors.New("pools cannot be read")
	}
	members, err := j.members(ctx, r.Pool)
	if err != nil {
		return false, err
	}
	if slices.Contains(members, id) {
		return true, nil
	}
	pool, err := j.Lookup.Pool(ctx, id)
	return err == nil && r.inPool(pool), err
}

// members returns the guests in a pool itself.
func (j judge) members(ctx context.Context, pool string) ([]int, error) {
	if members, known := j.pools[pool]; known {
		return members, nil
	}
	if j.Lookup.Members == nil {
		return nil, errors.New("pools cannot be read")
	}
	members, err := j.Lookup.Members(ctx, pool)
	if err == nil {
		j.pools[pool] = members
	}
	return members, err
}

// config is the configuration of a guest.
func (j judge) config(ctx context.Context, w Where) (map[string][]string, error) {
	j.mu.Lock()
	config, known := j.configs[w]
	j.mu.Unlock()
	if known {
		return config, nil
	}
	if j.Lookup.Config == nil {
		return nil, errors.New("configurations cannot be read")
	}
	config, err := j.Lookup.Config(ctx, w)
	if err == nil {
		j.mu.Lock()
		j.configs[w] = config
		j.mu.Unlock()
	}
	return config, err
}

// refuseNew returns why a guest must not be made, or "". A new guest has no tags, and the pool
// that it is made in.
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
