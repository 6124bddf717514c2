package tool

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/pve-mcp/pve-mcp/proxmox/lenient"
	"github.com/pve-mcp/pve-mcp/pve"
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
	until map[changedGuest]time.Time // guarded by mu
}

// changedGuest is a guest of a cluster.
type changedGuest struct {
	cluster string
	id      pve.VMID
}

// recent is the guest of the change, as the process remembers it.
func (r *change) recent() changedGuest { return changedGuest{r.host.Cluster, r.plan.guest()} }

// begin remembers a guest until the end of its change.
func (r *Recent) begin(g changedGuest, now time.Time) { r.note(g, now.Add(forgotten)) }

// end remembers a guest that is being changed until every list shows it as it is now.
func (r *Recent) end(g changedGuest, now time.Time) {
	if r.has(g, now) {
		r.note(g, now.Add(lag))
	}
}

func (r *Recent) note(g changedGuest, until time.Time) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.until == nil {
		r.until = map[changedGuest]time.Time{}
	}
	r.until[g] = until
}

// has reports whether a guest is being changed or was lately, and forgets the others.
func (r *Recent) has(g changedGuest, now time.Time) bool {
	if r == nil {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	until, ok := r.until[g]
	if ok && now.After(until) {
		delete(r.until, g)
		return false
	}
	return ok
}

// ids are the guests of a cluster that are being changed or were lately. It forgets those
// that are not.
func (r *Recent) ids(cluster string, now time.Time) []pve.VMID {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	maps.DeleteFunc(r.until, func(_ changedGuest, until time.Time) bool { return now.After(until) })
	var out []pve.VMID
	for g := range r.until {
		if g.cluster == cluster {
			out = append(out, g.id)
		}
	}
	slices.Sort(out)
	return out
}

// Listed is [pve.Client.Resources], and notes when PVE was asked.
func (c *Call) Listed(ctx context.Context, kind string) (*pve.ResourceList, error) {
	all, err := c.PVE.Resources(ctx, kind)
	if err == nil && (c.asOf.IsZero() || all.AsOf().Before(c.asOf)) {
		c.asOf = all.AsOf()
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

// Resources lists the cluster's resources, and has beside them, with their live state, the
// guests in it that this process is changing or has changed in the last 20 s: an answer
// does not tell of the time before an own change.
func (c *Call) Resources(ctx context.Context) (all *pve.ResourceList, changed map[pve.VMID]pve.Resource, err error) {
	if all, err = c.Listed(ctx, ""); err != nil {
		return nil, nil, err
	}
	c.keepNodes(all)
	var rows []*pve.Row
	for _, id := range c.host.Recent.ids(c.host.Cluster, c.Now()) {
		if row, ok := all.Guest(id); ok {
			rows = append(rows, row)
		}
	}
	changed = c.Look(ctx, rows)
	for _, row := range rows {
		if _, ok := changed[row.VMID()]; !ok {
			r := row.Resource()
			r.Status = lenient.Some("unknown") // it may be anything by now
			changed[r.VMID] = r
		}
	}
	return all, changed, nil
}

// Look asks the nodes of guests for their live state, all at a time. Guests whose node does
// not answer are left out.
func (c *Call) Look(ctx context.Context, rows []*pve.Row) map[pve.VMID]pve.Resource {
	out := map[pve.VMID]pve.Resource{}
	name := func(r *pve.Row) string { return r.VMID().String() }
	got, _, _ := Ask(c, rows, name, func(r *pve.Row) (pve.GuestStatus, error) { return c.PVE.GuestStatus(ctx, r.Resource().Ref()) })
	for _, g := range got {
		r, live := g.From.Resource(), g.Value
		r.Name, r.Status, r.Lock, r.Uptime = live.Name, lenient.Some(live.State()), live.Lock, live.Uptime
		r.CPU, r.Mem, r.MaxMem, r.Template = live.CPU, live.Mem, live.MaxMem, live.Template
		out[r.VMID] = r
	}
	return out
}
