package tool

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"

	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/policy"
)

// planner is an In that embeds [Plans].
type planner interface{ plans() bool }

func planning(in any) bool {
	p, ok := in.(planner)
	return ok && p.plans()
}

const planPurpose = "plan"

// planned is a plan that was answered, sealed until it is to be done.
type planned struct {
	Owner   string          `json:"o,omitzero"`
	Cluster string          `json:"c"`
	Tool    string          `json:"t"`
	Args    json.RawMessage `json:"i"` // of the call that made the plan
	Digest  string          `json:"d"` // of the plan
}

// ownArguments are those of a call with a plan that are not the plan's.
var ownArguments = []string{"plan", "plan_handle", "confirm", "wait", "timeout"}

// open opens the plan that the arguments name, if they do, and takes the plan's arguments in
// place of theirs. The handle may also be that of a change that was begun.
func (r *change) open(ctx context.Context) (*Begun, error) {
	if _, ok := r.in.(planner); !ok {
		return nil, nil
	}
	given, err := parse(r.req.Arguments)
	text, ok := given["plan_handle"].(string)
	if err != nil || !ok || text == "" {
		return nil, nil // what is wrong with them is found when they are read
	}
	keys, err := r.host.keys(ctx)
	if err != nil {
		return nil, err
	}
	var p planned
	if err := keys.Open(planPurpose, text, r.host.Now(), &p); err != nil {
		begun, notBegun := Open(ctx, r.host, r.req, text)
		if notBegun == nil && begun.Tool == r.tool.Name {
			return begun, fill(only(given, "wait", "timeout"), r.in)
		}
		return nil, BadArgument("plan_handle", fmt.Sprintf("is not valid: %v; plan: true makes one", err))
	}
	switch {
	case p.Owner != r.req.Owner:
		return nil, BadArgument("plan_handle", "was given to another caller; plan: true makes one")
	case p.Cluster != r.host.Cluster || p.Tool != r.tool.Name:
		return nil, BadArgument("plan_handle", fmt.Sprintf("is of the tool %s on the cluster %s", p.Tool, p.Cluster))
	}
	args, err := parse(p.Args)
	if err != nil {
		return nil, err
	}
	for name, value := range given {
		if slices.Contains(ownArguments, name) {
			args[name] = value
		} else if !reflect.DeepEqual(value, args[name]) {
			return nil, BadArgument(name, "is not that of the plan; leave it out, or make a new plan with plan: true")
		}
	}
	delete(args, "plan_handle")
	if given["plan"] == nil {
		delete(args, "plan")
	}
	r.req.Arguments, r.planned = encode(args), &p
	return nil, nil
}

func only(all map[string]any, names ...string) map[string]any {
	out := map[string]any{}
	for _, name := range names {
		if value, ok := all[name]; ok {
			out[name] = value
		}
	}
	return out
}

// digestPlan identifies what would be done, and that to which it would be done.
func (r *change) digestPlan(ctx context.Context) (string, error) {
	var abouts []string
	for _, s := range r.steps {
		abouts = append(abouts, s.about)
	}
	prints, err := r.fingerprints(ctx)
	if err != nil {
		return "", err
	}
	state := fieldsOf(r.state)
	for _, name := range ownArguments {
		delete(state, name)
	}
	return digestOf([]any{r.plan.About, r.plan.Consequences, abouts, prints, state}), nil
}

// checkPlan refuses a call whose plan is no longer the one that was answered.
func (r *change) checkPlan(ctx context.Context) error {
	if r.planned == nil {
		return nil
	}
	is, err := r.digestPlan(ctx)
	if err == nil && is != r.planned.Digest {
		err = explain.Refusal("Make a new plan with plan: true.", "%s: the plan no longer holds, since what it is about has changed. Nothing was sent.", r.plan.About)
	}
	return err
}

// answerPlan says what would be done.
func (r *change) answerPlan(ctx context.Context, risk policy.Risk) output {
	digest, err := r.digestPlan(ctx)
	if err != nil {
		return r.failed(ctx, err)
	}
	args, err := parse(r.req.Arguments)
	if err != nil {
		return r.failed(ctx, err)
	}
	for _, name := range ownArguments {
		delete(args, name)
	}
	keys, err := r.host.keys(ctx)
	if err != nil {
		return r.failed(ctx, err)
	}
	sealed, err := keys.Seal(planPurpose, planned{
		Owner: r.req.Owner, Cluster: r.host.Cluster, Tool: r.tool.Name, Args: encode(args), Digest: digest,
	}, r.host.Now().Add(HandleTime))
	if err != nil {
		return r.failed(ctx, err)
	}
	ch := Changed{
		Outcome: Planned, PlanHandle: sealed, Message: "Nothing done yet. Planned: " + r.plan.About + ".",
		Next: fmt.Sprintf("Call %s with this plan_handle to do exactly that.", r.tool.Name),
	}
	if len(r.steps) > 1 {
		for _, s := range r.steps {
			ch.Steps = append(ch.Steps, s.about)
		}
	}
	if risk >= policy.Destructive {
		ch.Consequences = r.consequences(ctx)
		ch.Next += " It needs consent then."
	} else {
		ch.Consequences = r.plan.Consequences
	}
	return r.outcome(ch)
}
