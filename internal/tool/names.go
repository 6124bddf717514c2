package tool

import (
	"context"
	"fmt"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/pve"
)

// anyGuest stands for the guest of a name where it does not matter which that is.
func anyGuest(string) (pve.VMID, error) { return 0, nil }

// guestNamed finds the id of the one guest that has a name.
func (h Host) guestNamed(ctx context.Context, name string) (pve.VMID, error) {
	client, err := h.Client(ctx)
	if err != nil {
		return 0, err
	}
	return GuestNamed(ctx, client, name)
}

// GuestNamed finds the id of the one guest that has exactly a name. The error lists those that
// may be meant.
func GuestNamed(ctx context.Context, client *pve.Client, name string) (pve.VMID, error) {
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
		return same[0].VMID, nil
	case len(same) > 1:
		return 0, noGuest("Give the id of the one that is meant.", "%d guests have the name %q: %s.", len(same), shown, candidates(same))
	case len(alike) > 0:
		return 0, noGuest("Give the id, or the name as it is written.", "There is no guest %q; there is %s.", shown, candidates(alike))
	}
	return 0, noGuest("pve_list_guests with name finds guests by a part of their name.", "There is no guest %q that this token may see.", shown)
}

func noGuest(next, format string, args ...any) error {
	return &argumentError{explain.Explanation{What: fmt.Sprintf(format, args...), Next: next}}
}

// candidates lists guests by id, name and node.
func candidates(guests []pve.Resource) string {
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
