package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/exactjson"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
)

// Fingerprint identifies a subject as it is now: it differs after every change of the
// subject. A subject whose state is not read here is identified by what a human is shown of
// it.
func (v *View) Fingerprint(ctx context.Context, s policy.Subject) (string, error) {
	switch s.Kind {
	case policy.GuestKind:
		is, err := v.fingerprintGuest(ctx, pve.VMID(s.VMID()))
		var none *pve.NoGuestError
		if errors.As(err, &none) { // it is about to be made
			return "none", nil
		}
		return is, err
	case policy.NodeKind:
		guests, err := v.guestsOn(ctx, s.ID)
		return exactjson.Digest(guests), err
	case policy.StorageKind, policy.JobKind, policy.PoolKind:
		is, err := v.configured(ctx, s)
		if proxmox.IsAbsent(err) { // it is about to be made
			return "none", nil
		}
		return exactjson.Digest(is), err
	}
	return s.String(), nil
}

// fingerprintGuest identifies a guest by its configuration, whose digest is also that of its
// snapshots, by its state, and by its newest task. PVE keeps these for every replica of this
// server.
func (v *View) fingerprintGuest(ctx context.Context, id pve.VMID) (string, error) {
	g, s, err := v.Live(ctx, id)
	if err != nil {
		return "", err
	}
	config, err := v.PVE.CurrentConfig(ctx, g)
	if err != nil {
		return "", err
	}
	tasks, _, err := v.PVE.NodeTasks(ctx, g.Node, pve.TaskFilter{Source: "all", VMID: id, Limit: 1})
	if err != nil {
		return "", err
	}
	newest := ""
	if len(tasks) > 0 {
		newest = tasks[0].UPID.String()
	}
	return exactjson.Digest([]any{g, config.Digest, s.State(), s.HA.Managed.Value, s.HA.State.Value, newest}), nil
}

// guestsOn lists the guests on a node, with their state.
func (v *View) guestsOn(ctx context.Context, node string) ([]string, error) {
	all, err := v.List(ctx, "")
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
func (v *View) configured(ctx context.Context, s policy.Subject) (any, error) {
	path := map[policy.Kind][]string{policy.StorageKind: {"storage"}, policy.JobKind: {"cluster", "backup"}, policy.PoolKind: {"pools"}}[s.Kind]
	return proxmox.Get[any](ctx, v.PVE.Client, proxmox.Join(append(path, s.ID)...), nil)
}
