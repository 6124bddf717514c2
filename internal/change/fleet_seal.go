package change

import (
	"encoding/json"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/exactjson"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/selection"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pve"
)

// sealedFleet is a fleet in a handle: guests with the same calls together.
type sealedFleet struct {
	Parallel    int           `json:"p,omitzero"`
	OnePerNode  bool          `json:"n,omitzero"`
	StopOnError bool          `json:"s,omitzero"`
	Consent     bool          `json:"c,omitzero"` // it needed one
	Process     string        `json:"m,omitzero"` // that makes the calls, if they are untraced
	Groups      []sealedGroup `json:"g"`
}

// sealedGroup are guests that follow one another, with the same calls.
type sealedGroup struct {
	Node   string       `json:"n"`
	Guests string       `json:"g"` // such as 100-104,107
	Calls  []sealedCall `json:"c"`
}

type sealedCall struct {
	Tool      string          `json:"t"`
	Arguments json.RawMessage `json:"a"` // without the guest
	Task      string          `json:"k,omitzero"`
	Untraced  bool            `json:"x,omitzero"`
	Risk      policy.Risk     `json:"r,omitzero"` // if it is worse than write
}

func (f *Fleet) sealed() *sealedFleet {
	if f == nil {
		return nil
	}
	out := &sealedFleet{Parallel: f.Parallel, OnePerNode: f.OnePerNode, StopOnError: f.StopOnError}
	key := ""
	for _, one := range f.Items {
		group := sealedGroup{Node: one.Node}
		for _, c := range one.Calls {
			args, _ := tool.ParseArguments(c.Arguments) // ours
			delete(args, "vmid")
			call := sealedCall{Tool: c.Tool, Arguments: exactjson.Encode(args), Task: c.Task, Untraced: c.Untraced}
			if c.Risk > policy.Write {
				call.Risk = c.Risk
			}
			group.Calls = append(group.Calls, call)
		}
		last := len(out.Groups) - 1
		if is := exactjson.Digest(group); last < 0 || is != key {
			key = is
			group.Guests = one.Guest.String()
			out.Groups = append(out.Groups, group)
			continue
		}
		out.Groups[last].Guests = selection.AppendID(out.Groups[last].Guests, one.Guest)
	}
	return out
}

// open returns the fleet of a handle, with the names that its guests have now.
func (s *sealedFleet) open(now []pve.Resource) *Fleet {
	guests := map[pve.VMID]pve.Resource{}
	for _, g := range now {
		if g.IsGuest() {
			guests[g.VMID] = g
		}
	}
	f := &Fleet{Parallel: s.Parallel, OnePerNode: s.OnePerNode, StopOnError: s.StopOnError}
	for _, g := range s.Groups {
		for _, id := range selection.IDs(g.Guests) {
			is := guests[id]
			is.VMID = id // also of one that is gone
			one := Item{Guest: id, Node: g.Node, Name: cluster.GuestName(is)}
			for _, c := range g.Calls {
				args, _ := tool.ParseArguments(c.Arguments)
				args["vmid"] = int(id)
				one.Calls = append(one.Calls, PlannedCall{
					Tool: c.Tool, Arguments: exactjson.Encode(args), Task: c.Task, Untraced: c.Untraced, Risk: max(policy.Write, c.Risk),
				})
			}
			f.Items = append(f.Items, one)
		}
	}
	return f
}
