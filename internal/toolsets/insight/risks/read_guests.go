package risks

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/survey"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
)

// MostInside is how many guests are looked into, unless a look is deep.
const MostInside = 200

// readGuests looks into guests: first those that a finding names or that HA manages, then
// those that run, then others.
func (f *facts) readGuests(checks []check) {
	if !f.reads[readInside] && !f.reads[readAgents] && !f.reads[readSnapshots] {
		return
	}
	chosen := f.toLookInto(checks)
	if len(chosen) > MostInside && !f.scope.Deep {
		for _, g := range chosen[MostInside:] {
			f.NotSeen(readInside, guestName(*g), "200 guests are looked into; deep: true looks into all")
		}
		chosen = chosen[:MostInside]
	}
	name := func(g *pve.Resource) string { return guestName(*g) }
	for _, answer := range survey.Ask(f.Survey, readInside, chosen, name, func(ctx context.Context, g *pve.Resource) (pve.GuestConfig, error) {
		return f.PVE.CurrentConfig(ctx, g.Ref())
	}) {
		f.inside[answer.From.VMID] = &inside{config: answer.Value}
	}
	var wg sync.WaitGroup
	wg.Go(f.readAgents)
	wg.Go(f.readSnapshots)
	wg.Wait()
}

// toLookInto are the guests on nodes that answer, in the order of [facts.readGuests].
func (f *facts) toLookInto(checks []check) []*pve.Resource {
	named := map[string]bool{}
	for _, c := range checks {
		if !c.needsInside() {
			c.find(f, func(subject, _ string, _ Fix) { named[subject] = true })
		}
	}
	answers := map[string]bool{}
	for _, n := range f.nodes {
		answers[n.name] = n.answers
	}
	var first, running, others, templates []*pve.Resource
	for i := range f.guests {
		g := &f.guests[i]
		switch {
		case !answers[g.Node.Value]:
		case f.managed(*g), len(named) > 0 && named[guestName(*g)]:
			first = append(first, g)
		case g.Status.Value == "running":
			running = append(running, g)
		case g.Template.Value:
			templates = append(templates, g)
		default:
			others = append(others, g)
		}
	}
	return slices.Concat(first, running, others, templates)
}

// readAgents asks the agents of the VMs that are configured to have one.
func (f *facts) readAgents() {
	if !f.reads[readAgents] {
		return
	}
	const boots = 5 * time.Minute
	var ask []pve.Resource
	for _, g := range f.guests {
		in := f.inside[g.VMID]
		running := g.Type == string(pve.QEMU) && g.Status.Value == "running" && g.Lock.Value == ""
		young := g.Uptime.Set && time.Duration(g.Uptime.Value)*time.Second < boots
		if in == nil || !running || young || !hasAgent(in.config) {
			continue
		}
		if !f.MayAskAgent(readAgents, guestName(g), g.VMID) {
			continue
		}
		ask = append(ask, g)
	}
	for _, answer := range survey.Ask(f.Survey, readAgents, ask, guestName, func(ctx context.Context, g pve.Resource) (bool, error) {
		err := f.PVE.CheckAgent(ctx, g.Ref())
		var said *proxmox.Error
		if errors.As(err, &said) && !said.NodeUnreachable() && !proxmox.IsDenied(err) {
			return true, nil
		}
		return false, err
	}) {
		f.inside[answer.From.VMID].mute = answer.Value
	}
}

// hasAgent reports whether a VM is configured to have an agent.
func hasAgent(c pve.GuestConfig) bool {
	on, _ := pve.ParseProperty(c.Values["agent"], "enabled").Get("enabled")
	return on == "1" || on == "on" || on == "yes" || on == "true"
}

// readSnapshots reads the snapshots of the guests that were looked into: one that a task has
// broken off shows nowhere else.
func (f *facts) readSnapshots() {
	if !f.reads[readSnapshots] {
		return
	}
	var ask []pve.Resource
	for _, g := range f.guests {
		if f.inside[g.VMID] != nil && !g.Template.Value {
			ask = append(ask, g)
		}
	}
	for _, answer := range survey.Ask(f.Survey, readSnapshots, ask, guestName, func(ctx context.Context, g pve.Resource) ([]pve.Snapshot, error) {
		return f.PVE.Snapshots(ctx, g.Ref())
	}) {
		f.inside[answer.From.VMID].snapshots = answer.Value
	}
}

// managed reports whether HA manages a guest.
func (f *facts) managed(g pve.Resource) bool {
	if g.HAState.Set && g.HAState.Value != "" && g.HAState.Value != "ignored" {
		return true
	}
	_, ok := f.service(g)
	return ok
}

// recovers reports whether HA starts a guest elsewhere if its node fails.
func (f *facts) recovers(g pve.Resource) bool {
	state := g.HAState.Value
	if s, ok := f.service(g); ok {
		state = s.State.Or(state)
	}
	return f.managed(g) && state != "stopped" && state != "disabled"
}

// service returns what HA says of a guest.
func (f *facts) service(g pve.Resource) (pve.HAItem, bool) {
	if len(f.services) == 0 {
		return pve.HAItem{}, false
	}
	kind := "vm:"
	if g.Type == string(pve.LXC) {
		kind = "ct:"
	}
	item, ok := f.services[kind+g.VMID.String()]
	return item, ok
}
