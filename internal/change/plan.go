package change

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/exactjson"
	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/tool"
)

const planPurpose = "plan"

// sealedPlan is a plan that was answered, sealed until it is carried out.
type sealedPlan struct {
	ID      string          `json:"n"` // of the change that carries it out
	At      int64           `json:"b"` // when it was made, in seconds
	Owner   string          `json:"o,omitzero"`
	Cluster string          `json:"c"`
	Tool    string          `json:"t"`
	Args    json.RawMessage `json:"i"` // of the call that made the plan
	Digest  string          `json:"d"` // of the plan
}

// openPlan opens the plan that the arguments name, if they do, and takes the plan's arguments
// in place of theirs. The handle may also be that of a change that was begun, which is
// returned then.
func (r *run) openPlan(ctx context.Context) (*Handle, error) {
	if _, ok := r.in.(planner); !ok {
		return nil, nil
	}
	given, err := tool.ParseArguments(r.req.Arguments)
	text, ok := given["plan_handle"].(string)
	if err != nil || !ok || text == "" {
		return nil, nil // what is wrong with them is found when they are read
	}
	keys, err := r.host.Keys(ctx)
	if err != nil {
		return nil, err
	}
	var p sealedPlan
	if err := keys.Open(planPurpose, text, r.host.Now(), &p); err != nil {
		begun, notBegun := Open(ctx, r.host, r.req, text)
		if notBegun == nil && begun.Tool == r.tool.Name {
			return begun, tool.FillArguments(pick(given, "wait", "timeout"), r.in)
		}
		return nil, tool.BadArgument("plan_handle", fmt.Sprintf("is not valid: %v; plan: true makes one", err))
	}
	switch {
	case p.Owner != r.req.Owner:
		return nil, tool.BadArgument("plan_handle", "was given to another caller; plan: true makes one")
	case p.Cluster != r.host.Cluster || p.Tool != r.tool.Name:
		return nil, tool.BadArgument("plan_handle", fmt.Sprintf("is of the tool %s on the cluster %s", p.Tool, p.Cluster))
	}
	if r.req.Arguments, err = r.planArguments(ctx, p.Args, given); err != nil {
		return nil, err
	}
	r.sealedPlan, r.planHandle, r.id = &p, text, p.ID
	return nil, nil
}

// planArguments returns the arguments of a plan with those that were given with its handle and
// do not belong to it. The others may be given again, as they were.
func (r *run) planArguments(ctx context.Context, planned json.RawMessage, given map[string]any) (json.RawMessage, error) {
	args, err := tool.ParseArguments(planned)
	if err != nil {
		return nil, err
	}
	is, err := r.digestArguments(ctx, args)
	if err != nil {
		return nil, err
	}
	out := maps.Clone(args)
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if slices.Contains(sharedArguments, name) {
			out[name] = given[name]
			continue
		}
		again := maps.Clone(args)
		again[name] = given[name]
		switch now, err := r.digestArguments(ctx, again); {
		case err != nil:
			return nil, err
		case now != is:
			return nil, tool.BadArgument(name, "is not that of the plan; leave it out, or make a new plan with plan: true")
		}
	}
	delete(out, "plan_handle")
	if given["plan"] == nil {
		delete(out, "plan")
	}
	return exactjson.Encode(out), nil
}

// digestArguments identifies arguments by what they mean.
func (r *run) digestArguments(ctx context.Context, args map[string]any) (string, error) {
	in, req := r.spec.input(), r.req
	req.Arguments = exactjson.Encode(args)
	err := r.tool.ReadArguments(ctx, r.host, &req, in)
	return exactjson.Digest(in), err
}

// pick returns the entries of a map that have one of some names.
func pick(all map[string]any, names ...string) map[string]any {
	out := map[string]any{}
	for _, name := range names {
		if value, ok := all[name]; ok {
			out[name] = value
		}
	}
	return out
}

// remarkFields are the names of the fields of a state that explain the plan and are no part of
// it, such as how much room there was: those with the tag plan:"-".
func remarkFields(state any) []string {
	var out []string
	for _, f := range reflect.VisibleFields(reflect.TypeOf(state).Elem()) {
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); f.Tag.Get("plan") == "-" {
			out = append(out, name)
		}
	}
	return out
}

// stateWithoutRemarks is the state without what only explains the plan.
func (r *run) stateWithoutRemarks() map[string]json.RawMessage {
	state := fieldsOf(r.state)
	for _, name := range remarkFields(r.state) {
		delete(state, name)
	}
	return state
}

// digestPlan identifies what would be done, and that to which it would be done.
func (r *run) digestPlan(ctx context.Context) (string, error) {
	var abouts []string
	for _, s := range r.steps {
		abouts = append(abouts, s.about)
	}
	if r.plan.Fleet != nil {
		abouts = r.plan.Fleet.abouts()
	}
	prints, err := r.fingerprints(ctx)
	if err != nil {
		return "", err
	}
	state := r.stateWithoutRemarks()
	for _, name := range sharedArguments {
		delete(state, name)
	}
	return exactjson.Digest([]any{r.plan.About, r.plan.Consequences, abouts, prints, state}), nil
}

// checkSealedPlan refuses a call whose plan is no longer the one that was answered.
func (r *run) checkSealedPlan(ctx context.Context) error {
	if r.sealedPlan == nil {
		return nil
	}
	r.call.KeepChosenID()
	is, err := r.digestPlan(ctx)
	if err == nil && is != r.sealedPlan.Digest {
		err = explain.Refusal("Make a new plan with plan: true.", "%s: the plan no longer holds, since what it is about has changed. Nothing was sent.", r.plan.About)
	}
	return err
}

// answerPlanned says what would be done.
func (r *run) answerPlanned(ctx context.Context, risk policy.Risk) output {
	handle, err := r.sealPlan(ctx)
	if err != nil {
		return r.answerFailed(ctx, err)
	}
	a := Answer{
		Outcome: tool.Planned, PlanHandle: handle, Message: "Nothing done yet. Planned: " + r.plan.About + ".",
		Next: fmt.Sprintf("Call %s with this plan_handle to do exactly that.", r.tool.Name),
	}
	if len(r.steps) > 1 && r.plan.Fleet == nil {
		for _, s := range r.steps {
			a.Steps = append(a.Steps, s.about)
		}
	}
	if r.needsConsent(risk) {
		a.Consequences = r.consequences(ctx)
		a.Next += " It needs consent then."
	} else {
		a.Consequences = r.plan.Consequences
	}
	if r.plan.Fleet == nil {
		return r.outputOf(a)
	}
	out, err := r.spec.finishFleet(ctx, r.call, r.state, nil)
	if err != nil {
		return r.outputOf(a)
	}
	*out.answer() = a
	return out
}

// sealPlan makes the handle of the plan.
func (r *run) sealPlan(ctx context.Context) (string, error) {
	digest, err := r.digestPlan(ctx)
	if err != nil {
		return "", err
	}
	args, err := tool.ParseArguments(r.req.Arguments)
	if err != nil {
		return "", err
	}
	for _, name := range sharedArguments {
		if name != "timeout" { // the plan's own counts, if the call that does it has none
			delete(args, name)
		}
	}
	keys, err := r.host.Keys(ctx)
	if err != nil {
		return "", err
	}
	return keys.Seal(planPurpose, sealedPlan{
		ID: r.id, At: r.host.Now().Unix(), Owner: r.req.Owner, Cluster: r.host.Cluster, Tool: r.tool.Name, Args: exactjson.Encode(args), Digest: digest,
	}, r.host.Now().Add(tool.HandleTime))
}
