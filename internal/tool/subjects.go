package tool

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
)

// mostSubjects is how many subjects a consent may be about: more are not read.
const mostSubjects = 100

// subjects are those of the change, each once.
func (r *change) subjects() []policy.Subject {
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
func (r *change) fingerprints(ctx context.Context) (string, error) {
	subjects := r.subjects()
	if len(subjects) > mostSubjects {
		return "", explain.Refusal("Make it several calls.", "%s is about %d subjects, and at most %d can be agreed to at once.", r.plan.About, len(subjects), mostSubjects)
	}
	var out []string
	for _, s := range subjects {
		is, err := r.call.fingerprint(ctx, s)
		if err != nil {
			return "", err
		}
		out = append(out, is)
	}
	return digestOf(out), nil
}

// fingerprint identifies a subject as it is, so that whatever is done with it makes it
// another one. What has no state of its own here is identified by what a human is shown of
// it.
func (c *Call) fingerprint(ctx context.Context, s policy.Subject) (string, error) {
	switch s.Kind {
	case policy.GuestKind:
		is, err := c.fingerprintGuest(ctx, pve.VMID(s.VMID()))
		var none *pve.NoGuestError
		if errors.As(err, &none) { // it is about to be made
			return "none", nil
		}
		return is, err
	case policy.NodeKind:
		guests, err := c.guestsOn(ctx, s.ID)
		return digestOf(guests), err
	case policy.StorageKind, policy.JobKind, policy.PoolKind:
		is, err := c.configured(ctx, s)
		return digestOf(is), err
	}
	return s.String(), nil
}

// fingerprintGuest identifies a guest by its configuration, whose digest is that of its
// snapshots, too, its state, and its newest task. PVE remembers that for every replica of
// this server.
func (c *Call) fingerprintGuest(ctx context.Context, id pve.VMID) (string, error) {
	g, s, err := c.Live(ctx, id)
	if err != nil {
		return "", err
	}
	config, err := c.PVE.GuestConfig(ctx, g, url.Values{"current": {"1"}})
	if err != nil {
		return "", err
	}
	tasks, _, err := c.PVE.NodeTasks(ctx, g.Node, url.Values{"vmid": {id.String()}, "source": {"all"}, "limit": {"1"}})
	if err != nil {
		return "", err
	}
	newest := ""
	if len(tasks) > 0 {
		newest = tasks[0].UPID.String()
	}
	return digestOf([]any{g, config.Digest, s.State(), s.HA.Managed.Value, s.HA.State.Value, newest}), nil
}

// impact says what is at stake when a subject is changed for good.
func (c *Call) impact(ctx context.Context, s policy.Subject) ([]string, error) {
	switch s.Kind {
	case policy.GuestKind:
		g, status, err := c.Live(ctx, pve.VMID(s.VMID()))
		if err != nil {
			return nil, err
		}
		return c.Stakes(ctx, g, status)
	case policy.NodeKind:
		guests, err := c.guestsOn(ctx, s.ID)
		if err != nil || guests == nil {
			return nil, err
		}
		return []string{fmt.Sprintf("%d guests are on %s: %s", len(guests), s.ID, render.List(guests))}, nil
	case policy.StorageKind, policy.JobKind, policy.PoolKind:
		is, err := c.configured(ctx, s)
		if err != nil {
			return nil, err
		}
		return []string{fmt.Sprintf("%v is now: %s", s, render.Text(render.VisibleJSON(encode(is)), 1000))}, nil
	}
	return nil, nil
}

// guestsOn lists the guests on a node, with their state.
func (c *Call) guestsOn(ctx context.Context, node string) ([]string, error) {
	all, err := c.Listed(ctx, "")
	if err != nil {
		return nil, err
	}
	var out []string
	for _, r := range all.Resources() {
		if r.IsGuest() && r.Node.Value == node {
			out = append(out, strings.TrimSpace(fmt.Sprintf("%v %s", r.VMID, render.Text(r.Name.Value, 60)))+" ("+render.Text(r.Status.Value, 20)+")")
		}
	}
	slices.Sort(out)
	return out, nil
}

// configured reads a storage, a job or a pool as PVE has it configured.
func (c *Call) configured(ctx context.Context, s policy.Subject) (any, error) {
	path := map[policy.Kind][]string{policy.StorageKind: {"storage"}, policy.JobKind: {"cluster", "backup"}, policy.PoolKind: {"pools"}}[s.Kind]
	return proxmox.Get[any](ctx, c.PVE.Client, proxmox.Join(append(path, s.ID)...), nil)
}
