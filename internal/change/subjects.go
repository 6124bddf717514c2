package change

import (
	"context"
	"slices"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/exactjson"
	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/policy"
)

// mostSubjects is how many subjects a consent may be about: more are not read.
const mostSubjects = 100

// subjects are those of the change, each once.
func (r *run) subjects() []policy.Subject {
	all := slices.Concat([]policy.Subject{r.plan.Subject}, r.plan.Also)
	for _, t := range r.targets() {
		all = append(all, t.Subject)
	}
	var out []policy.Subject
	for _, s := range all {
		if s != (policy.Subject{}) && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// fingerprints identifies the subjects as they are.
func (r *run) fingerprints(ctx context.Context) (string, error) {
	subjects := r.subjects()
	if len(subjects) > mostSubjects {
		return "", explain.Refusal("Make it several calls.", "%s is about %d subjects, and at most %d can be agreed to at once.", r.plan.About, len(subjects), mostSubjects)
	}
	if r.plan.Fleet != nil {
		return r.fingerprintsOfMany(ctx, subjects)
	}
	var out []string
	for _, s := range subjects {
		is, err := r.call.Fingerprint(ctx, s)
		if err != nil {
			return "", err
		}
		out = append(out, is)
	}
	return exactjson.Digest(out), nil
}

// fingerprintsOfMany looks at several subjects at a time.
func (r *run) fingerprintsOfMany(ctx context.Context, subjects []policy.Subject) (string, error) {
	got, notes, err := cluster.Ask(r.call.View, subjects, policy.Subject.String, func(s policy.Subject) (string, error) {
		return r.call.Fork(r.req).Fingerprint(ctx, s)
	})
	if err != nil {
		return "", err
	}
	if notes != nil {
		return "", explain.Refusal("Call again.", "%s: %s", r.plan.About, notes[0])
	}
	var out []string
	for _, answer := range got {
		out = append(out, answer.Value)
	}
	return exactjson.Digest(out), nil
}
