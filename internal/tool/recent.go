package tool

import (
	"context"
	"sync"
	"time"

	"pve-mcp/pve"
)

const (
	// lag is how old the numbers of /cluster/resources may be: a node broadcasts
	// them every 10 s, and the broadcast takes its time.
	lag = 20 * time.Second
	// forgotten is how long a change may be under way before nobody waits for its
	// end any more.
	forgotten = 2 * time.Hour
)

// Recent remembers which guests this process is changing or has changed lately,
// because PVE's lists may still show them as they were before. The zero value is
// ready for use; a nil *Recent remembers nothing.
type Recent struct {
	mu    sync.Mutex
	until map[pve.VMID]time.Time // guarded by mu
}

// begin remembers a guest until the end of its change.
func (r *Recent) begin(id pve.VMID, now time.Time) { r.note(id, now.Add(forgotten)) }

// end remembers a guest that is being changed until every list shows it as it is now.
func (r *Recent) end(id pve.VMID, now time.Time) {
	if r.has(id, now) {
		r.note(id, now.Add(lag))
	}
}

func (r *Recent) note(id pve.VMID, until time.Time) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.until == nil {
		r.until = map[pve.VMID]time.Time{}
	}
	r.until[id] = until
}

// has reports whether a guest is being changed or was lately, and forgets the others.
func (r *Recent) has(id pve.VMID, now time.Time) bool {
	if r == nil {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	until, ok := r.until[id]
	if ok && now.After(until) {
		delete(r.until, id)
		return false
	}
	return ok
}

// Listed is [pve.Client.Resources], and notes when PVE was asked.
func (c *Call) Listed(ctx context.Context, kind string) ([]pve.Resource, error) {
	all, asOf, err := c.PVE.Resources(ctx, kind)
	if err == nil && (c.asOf.IsZero() || asOf.Before(c.asOf)) {
		c.asOf = asOf
	}
	return all, err
}

// AsOf is when PVE was asked for the oldest list of this call's, and now where there is
// none.
func (c *Call) AsOf() time.Time {
	if c.asOf.IsZero() {
		return c.Now()
	}
	return c.asOf
}

// Resources lists the cluster's resources, with the live state of the guests that
// this process is changing or has changed in the last 20 s: it does not answer from
// before an own change.
func (c *Call) Resources(ctx context.Context) ([]pve.Resource, error) {
	all, err := c.Listed(ctx, "")
	if err != nil {
		return nil, err
	}
	for i, r := range all {
		if !r.IsGuest() || !c.host.Recent.has(r.VMID, c.Now()) {
			continue
		}
		live, err := c.PVE.GuestStatus(ctx, r.Ref())
		if err != nil {
			all[i].Status = pve.Some("unknown") // it may be anything by now
			continue
		}
		all[i].Status, all[i].Lock, all[i].Uptime = pve.Some(live.State()), live.Lock, live.Uptime
		all[i].CPU, all[i].Mem, all[i].Template = live.CPU, live.Mem, live.Template
	}
	return all, nil
}
