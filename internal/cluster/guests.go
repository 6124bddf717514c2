package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/proxmox/lenient"
	"github.com/pve-mcp/pve-mcp/pve"
)

// Guest finds a guest by its id, once in a call.
func (v *View) Guest(ctx context.Context, id pve.VMID) (pve.Resource, error) {
	if g, ok := v.guests.find(id); ok {
		return g, nil
	}
	g, err := v.PVE.FindGuest(ctx, id)
	if err == nil {
		v.guests.add(id, g)
	}
	return g, err
}

// NodeOf returns the node on which a guest was found, "" if it was not looked for or not
// found. It asks nobody.
func (v *View) NodeOf(id pve.VMID) string {
	g, _ := v.guests.find(id)
	return g.Node.Value
}

// KnowGuests keeps guests of a list that was just read, so that none is looked for.
func (v *View) KnowGuests(list []pve.Resource) { v.guests.addList(list) }

// ForgetGuest makes the view look for a guest again, which may have moved.
func (v *View) ForgetGuest(id pve.VMID) { v.guests.forget(id) }

// AtGuest finds a guest and does something with it. It does so once more if PVE says that
// the guest is not on the node where it was found: nothing was done there then, so this is
// safe for a write, too.
func AtGuest[T any](ctx context.Context, v *View, id pve.VMID, do func(pve.GuestRef) (T, error)) (pve.GuestRef, T, error) {
	var none T
	for again := true; ; again = false {
		g, err := v.Guest(ctx, id)
		if err != nil {
			return pve.GuestRef{}, none, err
		}
		out, err := do(g.Ref())
		if !again || !pve.Elsewhere(err) {
			return g.Ref(), out, err
		}
		v.ForgetGuest(id)
	}
}

// Live finds a guest and asks its node for its state.
func (v *View) Live(ctx context.Context, id pve.VMID) (pve.GuestRef, pve.GuestStatus, error) {
	return AtGuest(ctx, v, id, func(g pve.GuestRef) (pve.GuestStatus, error) { return v.PVE.GuestStatus(ctx, g) })
}

// CurrentConfig finds a guest and asks its node for its configuration in force.
func (v *View) CurrentConfig(ctx context.Context, id pve.VMID) (pve.GuestRef, pve.GuestConfig, error) {
	return AtGuest(ctx, v, id, func(g pve.GuestRef) (pve.GuestConfig, error) { return v.PVE.CurrentConfig(ctx, g) })
}

// LiveMadeBy is Live for a guest that a task was to make on a node, "" for the task's own.
// If the lists do not have the guest yet, that node is asked: an error of [pve.Elsewhere]
// says that there is none.
func (v *View) LiveMadeBy(ctx context.Context, task proxmox.TaskStatus, id pve.VMID, node string) (pve.GuestRef, pve.GuestStatus, error) {
	g, s, err := v.Live(ctx, id)
	var none *pve.NoGuestError
	if !errors.As(err, &none) || !task.Succeeded() {
		return g, s, err
	}
	g = pve.GuestRef{Node: cmp.Or(node, task.UPID.Node), Kind: pve.QEMU, VMID: id}
	if strings.HasPrefix(task.UPID.Type, "vz") {
		g.Kind = pve.LXC
	}
	s, err = v.PVE.GuestStatus(ctx, g)
	return g, s, err
}

// LiveStates asks the nodes of guests for their live state, all at a time. Guests whose
// node does not answer are left out.
func (v *View) LiveStates(ctx context.Context, rows []*pve.Row) map[pve.VMID]pve.Resource {
	out := map[pve.VMID]pve.Resource{}
	name := func(r *pve.Row) string { return r.VMID().String() }
	got, _, _ := Ask(v, rows, name, func(r *pve.Row) (pve.GuestStatus, error) { return v.PVE.GuestStatus(ctx, r.Resource().Ref()) })
	for _, g := range got {
		r, live := g.From.Resource(), g.Value
		r.Name, r.Status, r.Lock, r.Uptime = live.Name, lenient.Some(live.State()), live.Lock, live.Uptime
		r.CPU, r.Mem, r.MaxMem, r.Template = live.CPU, live.Mem, live.MaxMem, live.Template
		out[r.VMID] = r
	}
	return out
}

// GuestLabel names a guest for a human, also one that cannot be seen.
func (v *View) GuestLabel(ctx context.Context, id pve.VMID) string {
	g, err := v.Guest(ctx, id)
	if err != nil {
		return fmt.Sprintf("guest %v, which cannot be seen", id)
	}
	return fmt.Sprintf("%v (%s)", g.Ref(), render.Text(g.Name.Value, 60))
}

// GuestName names a guest of a list for people, such as 101 web-2.
func GuestName(g pve.Resource) string {
	return strings.TrimSpace(fmt.Sprintf("%v %s", g.VMID, render.Text(g.Name.Value, 60)))
}

// NameError says that a name is not that of exactly one guest.
type NameError struct{ explained explain.Explanation }

// Error implements [error].
func (e *NameError) Error() string { return e.explained.What }

// Unwrap returns the explanation, which lists the guests that may be meant.
func (e *NameError) Unwrap() error { return &e.explained }

// FindGuestNamed returns the id of the one guest that has exactly a name, now and not only in
// the list. If there is none, or more than one, the error is a [NameError].
func FindGuestNamed(ctx context.Context, client *pve.Client, name string) (pve.VMID, error) {
	all, err := client.Resources(ctx, "")
	if err != nil {
		return 0, err
	}
	name = strings.TrimSpace(name)
	var same, alike []pve.Resource
	for _, r := range all.Resources() {
		switch {
		case !r.IsGuest():
		case r.Name.Value == name:
			same = append(same, r)
		case strings.Contains(strings.ToLower(r.Name.Value), strings.ToLower(name)):
			alike = append(alike, r)
		}
	}
	shown := render.Text(name, 60)
	switch {
	case len(same) == 1:
		return same[0].VMID, checkName(ctx, client, same[0], name)
	case len(same) > 1:
		return 0, nameError("Give the id of the one that is meant.", "%d guests have the name %q: %s.", len(same), shown, listGuests(same))
	case len(alike) > 0:
		return 0, nameError("Give the id, or the name as it is written.", "There is no guest %q; there is %s.", shown, listGuests(alike))
	}
	return 0, nameError("pve_list_guests with name finds guests by a part of their name.", "There is no guest %q that this token may see.", shown)
}

// checkName returns an error if a guest no longer has the name that the list says: nodes
// broadcast names every 10 s. One whose node is not heard cannot have got another.
func checkName(ctx context.Context, client *pve.Client, g pve.Resource, name string) error {
	if g.Status.Value == "unknown" {
		return nil
	}
	w := policy.Where{VMID: int(g.VMID), Node: g.Node.Value, Kind: g.Type}
	s, err := at(ctx, client, w, func(g pve.GuestRef) (pve.GuestStatus, error) { return client.GuestStatus(ctx, g) })
	if err == nil && s.Name.Value != name {
		return nameError("Give the id of the one that is meant, or call again in 20 s.",
			"%v was named %q until a moment ago, and is %q now.", g.Ref(), render.Text(name, 60), render.Text(s.Name.Value, 60))
	}
	return err
}

func nameError(next, format string, args ...any) error {
	return &NameError{explain.Explanation{What: fmt.Sprintf(format, args...), Next: next}}
}

// listGuests lists guests by id, name and node.
func listGuests(guests []pve.Resource) string {
	const most = 10
	var out []string
	for _, g := range guests[:min(most, len(guests))] {
		out = append(out, fmt.Sprintf("%v %s on %s", g.VMID, render.Text(g.Name.Value, 60), g.Node.Value))
	}
	if left := len(guests) - len(out); left > 0 {
		out = append(out, fmt.Sprintf("%d more", left))
	}
	return render.List(out)
}
