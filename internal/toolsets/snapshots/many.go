package snapshots

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/selection"
	"github.com/pve-mcp/pve-mcp/internal/survey"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pve"
)

// check is what is not known of guests that do not answer.
const check = "snapshots"

// mostAsked is how many guests a call asks: PVE takes a request for each.
const mostAsked = 1000

// ofGuest is a snapshot and the guest that has it.
type ofGuest struct {
	pve.Snapshot
	guest string
}

// ofMany lists the snapshots of several guests, of the oldest ones in an answer without room
// for all.
func ofMany(ctx context.Context, c *tool.Call, in listIn, old func(pve.Snapshot) bool) (listOut, error) {
	s, end, err := survey.Begin(ctx, c.View, survey.Deadline)
	if err != nil {
		return listOut{}, err
	}
	defer end()
	asked, err := chooseGuests(ctx, s, in.Guests)
	if err != nil {
		return listOut{}, err
	}
	got := survey.Ask(s, check, asked, cluster.GuestName, func(ctx context.Context, g pve.Resource) ([]pve.Snapshot, error) {
		return s.PVE.Snapshots(ctx, g.Ref())
	})
	if err := s.Err(); err != nil {
		return listOut{}, err
	}
	out := listOut{Snapshots: []snapshotRow{}}
	var all []ofGuest
	for _, answer := range got {
		before := len(all)
		for _, snap := range answer.Value {
			if snap.Name == pve.Current || !old(snap) {
				continue
			}
			all = append(all, ofGuest{snap, cluster.GuestName(answer.From)})
			if snap.VMState.Value {
				out.WithRAM++
			}
		}
		if len(all) > before {
			out.Guests++
		}
	}
	slices.SortStableFunc(all, func(a, b ofGuest) int {
		return cmp.Or(cmp.Compare(a.Time.Value, b.Time.Value), pve.CompareNames(a.guest, b.guest), cmp.Compare(a.Name, b.Name))
	})
	out.Total, out.Blind = len(all), s.Blind()
	out.Message = message(in, out, len(got))
	all, out.Rest = tool.Page(all, in.Limit, in.Offset)
	for _, snap := range slices.Backward(all) {
		row := rowOf(c, snap.Snapshot)
		row.Guest, row.Parent, row.Description = snap.guest, "", render.Text(row.Description, 60)
		out.Snapshots = append(out.Snapshots, row)
	}
	return out, nil
}

// chooseGuests returns the guests to ask. A template has no snapshots.
func chooseGuests(ctx context.Context, s *survey.Survey, text string) ([]pve.Resource, error) {
	list, err := s.List(ctx, "")
	if err != nil {
		return nil, err
	}
	var guests []pve.Resource
	away := map[string]bool{} // nodes
	for _, r := range list.Resources() {
		if r.IsGuest() {
			guests = append(guests, r)
		}
		if r.Type == "node" && r.Status.Value != "online" {
			away[r.Node.Value] = true
		}
	}
	slices.SortFunc(guests, func(a, b pve.Resource) int { return cmp.Compare(a.VMID, b.VMID) })
	if text != "" {
		if guests, err = selection.Choose(text, guests); err != nil {
			return nil, err
		}
	}
	guests = slices.DeleteFunc(guests, func(g pve.Resource) bool {
		if away[g.Node.Value] && !g.Template.Value {
			s.NotSeen(check, cluster.GuestName(g), "its node is not online")
		}
		return away[g.Node.Value] || g.Template.Value
	})
	s.MayAll("snapshots of guests that cannot be seen", "VM.Audit", "/vms")
	for _, g := range guests[min(mostAsked, len(guests)):] {
		s.NotSeen(check, cluster.GuestName(g), fmt.Sprintf("a call asks %d guests at most: choose some with guests", mostAsked))
	}
	return guests[:min(mostAsked, len(guests))], nil
}

func message(in listIn, out listOut, answered int) string {
	old := ""
	if in.OlderThan != "" {
		old = " older than " + render.Text(in.OlderThan, 20)
	}
	noun := "snapshots"
	if out.Total == 1 {
		noun = "snapshot"
	}
	text := fmt.Sprintf("%d %s%s of %d of the %d guests that were asked", out.Total, noun, old, out.Guests, answered)
	if out.WithRAM > 0 {
		text += fmt.Sprintf(", %d of them with RAM", out.WithRAM)
	}
	if out.Blind != nil {
		text += "; not all guests were: see blind"
	}
	return text + "."
}
