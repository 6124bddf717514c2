package tool

import (
	"context"
	"sync"
	"time"

	"pve-mcp/pve"
)

// lag is how old the numbers of /cluster/resources may be: a node broadcasts them
// every 10 s, and the broadcast takes its time.
const lag = 20 * time.Second

// Recent remembers which guests this process has changed lately, because PVE's
// lists may still show them as they were before. The zero value is ready for use; a
// nil *Recent remembers nothing.
type Recent struct {
	mu      sync.Mutex
	changed map[pve.VMID]time.Time // guarded by mu
}

func (r *Recent) note(id pve.VMID, now time.Time) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.changed == nil {
		r.changed = map[pve.VMID]time.Time{}
	}
	r.changed[id] = now
}

// has reports whether a guest was changed lately, and forgets those that were not.
func (r *Recent) has(id pve.VMID, now time.Time) bool {
	if r == nil {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	at, ok := r.changed[id]
	if ok && now.Sub(at) > lag {
		delete(r.changed, id)
		return false
	}
	return ok
}

// Resources lists the cluster's resources, with the live state of the guests whose
// change this process began or saw the end of in the last 20 s: it does not answer
// from before an own change.
func (c *Call) Resources(ctx context.Context) ([]pve.Resource, error) {
	all, err := c.PVE.Resources(ctx, "")
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
