package cluster

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/proxmox/lenient"
	"github.com/pve-mcp/pve-mcp/pve"
)

const (
	// lag is how old the numbers of /cluster/resources may be: a node broadcasts them every
	// 10 s, and the broadcast takes some time.
	lag = 20 * time.Second
	// forgotten is how long after its start a change is remembered whose end this process
	// has not seen.
	forgotten = 2 * time.Hour
)

// RecentChanges remembers which guests this process is changing or has changed lately,
// because PVE's lists may still show them as they were before. The zero value is
// ready for use; a nil *RecentChanges remembers nothing.
type RecentChanges struct {
	mu      sync.Mutex
	until   map[changedGuest]time.Time // guarded by mu
	stopped map[string]StoppedStep     // guarded by mu
}

// StoppedStep is how a step of a change has ended that was taken after the call of the change, so
// that no answer has said it.
type StoppedStep struct {
	Outcome, Message, Next string

	until time.Time
}

// changedGuest is a guest of a cluster.
type changedGuest struct {
	cluster string
	id      pve.VMID
}

// begin remembers a guest until the end of its change.
func (r *RecentChanges) begin(g changedGuest, now time.Time) { r.note(g, now.Add(forgotten)) }

// end remembers a guest that is being changed until every list shows it as it is now.
func (r *RecentChanges) end(g changedGuest, now time.Time) {
	if r.has(g, now) {
		r.note(g, now.Add(lag))
	}
}

func (r *RecentChanges) note(g changedGuest, until time.Time) {
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
func (r *RecentChanges) has(g changedGuest, now time.Time) bool {
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
func (r *RecentChanges) ids(cluster string, now time.Time) []pve.VMID {
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

// NoteStoppedStep remembers for a time how a step has ended that no answer has told of.
func (v *View) NoteStoppedStep(step string, how StoppedStep, keep time.Duration) {
	r, now := v.options.Recent, v.options.Now()
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped == nil {
		r.stopped = map[string]StoppedStep{}
	}
	maps.DeleteFunc(r.stopped, func(_ string, s StoppedStep) bool { return now.After(s.until) })
	how.until = now.Add(keep)
	r.stopped[step] = how
}

// StoppedStep returns how a step has ended, if this process remembers that.
func (v *View) StoppedStep(step string) (StoppedStep, bool) {
	r := v.options.Recent
	if r == nil {
		return StoppedStep{}, false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	how, ok := r.stopped[step]
	return how, ok
}

// List is [pve.Client.Resources], and notes when PVE was asked.
func (v *View) List(ctx context.Context, kind string) (*pve.ResourceList, error) {
	all, err := v.PVE.Resources(ctx, kind)
	if err == nil && (v.asOf.IsZero() || all.AsOf().Before(v.asOf)) {
		v.asOf = all.AsOf()
	}
	return all, err
}

// AsOf returns when PVE was asked for the oldest list that the view has, and the time now if
// it has none.
func (v *View) AsOf() time.Time {
	if v.asOf.IsZero() {
		return v.Now()
	}
	return v.asOf
}

// Resources lists the cluster's resources. Beside them it returns the guests in the list that
// this process is changing, or has changed in the last 20 s, with their live state: an answer
// is never from before a change that the same caller has seen made.
func (v *View) Resources(ctx context.Context) (all *pve.ResourceList, changed map[pve.VMID]pve.Resource, err error) {
	if all, err = v.List(ctx, ""); err != nil {
		return nil, nil, err
	}
	v.keepNodes(all)
	var rows []*pve.Row
	for _, id := range v.options.Recent.ids(v.options.Name, v.Now()) {
		if row, ok := all.Guest(id); ok {
			rows = append(rows, row)
		}
	}
	changed = v.LiveStates(ctx, rows)
	for _, row := range rows {
		if _, ok := changed[row.VMID()]; !ok {
			r := row.Resource()
			r.Status = lenient.Some("unknown") // it may be anything by now
			changed[r.VMID] = r
		}
	}
	return all, changed, nil
}

// NoteChangeBegun remembers that this process is changing a guest, 0 for none.
func (v *View) NoteChangeBegun(id pve.VMID) {
	v.options.Recent.begin(changedGuest{v.options.Name, id}, v.options.Now())
}

// NoteChangeEnded remembers that the change of a guest is over, 0 for none.
func (v *View) NoteChangeEnded(id pve.VMID) {
	v.options.Recent.end(changedGuest{v.options.Name, id}, v.options.Now())
}

// NoteTaskEnd remembers that a task was seen to have ended, and with it perhaps a change that
// this process has begun.
func (v *View) NoteTaskEnd(task proxmox.UPID) {
	if id, ok := pve.GuestOf(task); ok && !pve.EndsEarly(task) {
		v.NoteChangeEnded(id)
	}
}
