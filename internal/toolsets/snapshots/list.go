package snapshots

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/survey"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pve"
)

type listIn struct {
	VMID      pve.VMID `json:"vmid,omitzero" jsonschema:"default: all guests"`
	Guests    string   `json:"guests,omitzero" jsonschema:"instead, as tag:prod+!web*"`
	OlderThan string   `json:"older_than,omitzero" jsonschema:"only such, as 30d"`
	Limit     int      `json:"limit,omitzero" min:"1" max:"500" default:"50" jsonschema:"most rows"`
	Offset    int      `json:"offset,omitzero" min:"0" jsonschema:"rows to skip"`
}

type listOut struct {
	Message   string        `json:"message,omitzero"`
	Snapshots []snapshotRow `json:"snapshots" cut:"start" jsonschema:"of one guest the oldest first, of several the oldest last"`
	Total     int           `json:"total"`
	tool.Rest
	WithRAM int            `json:"with_ram,omitzero" jsonschema:"of all"`
	Guests  int            `json:"guests,omitzero" jsonschema:"that have them"`
	Current string         `json:"current_parent,omitzero" jsonschema:"the snapshot that the present state comes after"`
	VMID    pve.VMID       `json:"vmid,omitzero"`
	Node    string         `json:"node,omitzero"`
	Blind   []survey.Blind `json:"blind,omitzero" jsonschema:"guests that are not counted, and why"`
}

type snapshotRow struct {
	Guest       string `json:"guest,omitzero"`
	Name        string `json:"name"`
	Parent      string `json:"parent,omitzero"`
	Created     string `json:"created,omitzero"`
	Age         string `json:"age,omitzero"`
	Description string `json:"description,omitzero"`
	RAM         bool   `json:"ram,omitzero" jsonschema:"with the RAM of a running VM"`
	State       string `json:"state,omitzero" jsonschema:"prepare or delete: under way, or broken off"`
}

func listSnapshots() tool.Tool {
	return tool.Read(tool.Spec[listIn, listOut]{
		Name:  "pve_list_snapshots",
		Title: "List snapshots",
		Doc:   "Show the snapshots of a guest as a tree, or which of all or some guests are older than a week or month, to clean up.",
		Long:  true,
		Examples: []tool.Example{
			{Arguments: `{"vmid":100}`},
			{Arguments: `{"guests":"tag:db","older_than":"12h"}`},
		},
		Needs: []tool.Need{tool.On(tool.OnGuest, "VM.Audit")},
		Run: func(ctx context.Context, c *tool.Call, in listIn) (listOut, error) {
			old, err := olderThan(c, in.OlderThan)
			switch {
			case err != nil:
				return listOut{}, err
			case in.VMID == 0:
				return ofMany(ctx, c, in, old)
			case in.Guests != "":
				return listOut{}, tool.BadArgument("guests", "is used instead of vmid; give one of them")
			}
			return ofOne(ctx, c, in, old)
		},
	})
}

// olderThan tells which snapshots are old enough.
func olderThan(c *tool.Call, text string) (func(pve.Snapshot) bool, error) {
	if text == "" {
		return func(pve.Snapshot) bool { return true }, nil
	}
	age, err := tool.ParseAge("older_than", text)
	return func(s pve.Snapshot) bool { return s.Time.Value > 0 && c.Ago(time.Unix(s.Time.Value, 0)) > age }, err
}

func ofOne(ctx context.Context, c *tool.Call, in listIn, old func(pve.Snapshot) bool) (listOut, error) {
	g, list, err := read(ctx, c, in.VMID)
	out := listOut{VMID: in.VMID, Node: g.Node, Snapshots: []snapshotRow{}}
	if last := len(list) - 1; last >= 0 && list[last].Name == pve.Current {
		out.Current, list = list[last].Parent.Value, list[:last]
	}
	list = slices.DeleteFunc(list, func(s pve.Snapshot) bool { return !old(s) })
	out.Total = len(list)
	slices.Reverse(list) // an answer without room for all leaves out the oldest
	list, out.Rest = tool.Page(list, in.Limit, in.Offset)
	for _, s := range slices.Backward(list) {
		out.Snapshots = append(out.Snapshots, rowOf(c, s))
	}
	return out, err
}

// read lists a guest's snapshots, oldest first, and the present state at the end.
func read(ctx context.Context, c *tool.Call, id pve.VMID) (pve.GuestRef, []pve.Snapshot, error) {
	g, list, err := cluster.AtGuest(ctx, c.View, id, func(g pve.GuestRef) ([]pve.Snapshot, error) { return c.PVE.Snapshots(ctx, g) })
	slices.SortFunc(list, func(a, b pve.Snapshot) int {
		rank := func(s pve.Snapshot) int {
			if s.Name == pve.Current {
				return 1
			}
			return 0
		}
		if order := cmp.Or(rank(a)-rank(b), cmp.Compare(a.Time.Value, b.Time.Value)); order != 0 {
			return order
		}
		return cmp.Or(ancestry(list, a, b), cmp.Compare(a.Name, b.Name))
	})
	return g, list, err
}

// ancestry puts a snapshot after its ancestors, because two of the same second may be parent
// and child.
func ancestry(list []pve.Snapshot, a, b pve.Snapshot) int {
	return depth(list, a) - depth(list, b)
}

func depth(list []pve.Snapshot, s pve.Snapshot) int {
	n := 0
	for n < len(list) && s.Parent.Value != "" {
		i := slices.IndexFunc(list, func(p pve.Snapshot) bool { return p.Name == s.Parent.Value })
		if i < 0 {
			break
		}
		s = list[i]
		n++
	}
	return n
}

func rowOf(c *tool.Call, s pve.Snapshot) snapshotRow {
	row := snapshotRow{
		Name: s.Name, Parent: s.Parent.Value, Description: render.Said(s.Description.Value, 200),
		RAM: s.VMState.Value, State: s.State.Value,
	}
	if s.Time.Value > 0 {
		created := time.Unix(s.Time.Value, 0)
		row.Created, row.Age = render.Time(created), render.Duration(c.Ago(created).Round(time.Second))
	}
	return row
}
