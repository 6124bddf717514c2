package reading

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/placement"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/proxmox/lenient"
	"github.com/pve-mcp/pve-mcp/pve"
	"github.com/pve-mcp/pve-mcp/pve/apischema"
)

// HA is the configuration of HA.
type HA struct {
	Resources map[pve.VMID]HAResource
	// Groups are those of clusters with a node before PVE 9, by name. A cluster has groups or
	// rules.
	Groups map[string]HAGroup
	Rules  placement.Rules
}

// HAResource is a guest under HA.
type HAResource struct {
	SID      string // such as vm:100
	State    string // that it is to have, such as started
	Group    string // before PVE 9
	Failback bool   // HA moves it back to the node that it prefers
}

// HAGroup are the nodes on which its members are to be.
type HAGroup struct {
	Failback bool // of all members
	Members  []pve.VMID
}

// IsManaged reports whether HA takes care of a guest.
func (h HA) IsManaged(id pve.VMID) bool {
	r, is := h.Resources[id]
	return is && r.State != "ignored"
}

// Wants reports whether HA starts a guest that is off.
func (h HA) Wants(id pve.VMID) bool {
	return h.Resources[id].State == "started"
}

// FailsBack reports whether HA may move a guest back to the node that it prefers.
func (h HA) FailsBack(id pve.VMID) bool {
	r, is := h.Resources[id]
	if is && r.Group != "" {
		return h.Groups[r.Group].Failback
	}
	return is && r.Failback
}

// haRow has the keys of resources, groups and rules that matter here.
type haRow struct {
	SID        string              `json:"sid,omitzero"`
	Group      lenient.Opt[string] `json:"group,omitzero"`
	State      lenient.Opt[string] `json:"state,omitzero"`
	Failback   lenient.Opt[bool]   `json:"failback,omitzero"`
	NoFailback lenient.Opt[bool]   `json:"nofailback,omitzero"`
	Restricted lenient.Opt[bool]   `json:"restricted,omitzero"`
	Nodes      lenient.Opt[string] `json:"nodes,omitzero"`
	Rule       lenient.Opt[string] `json:"rule,omitzero"`
	Type       lenient.Opt[string] `json:"type,omitzero"`
	Resources  lenient.Opt[string] `json:"resources,omitzero"`
	Affinity   lenient.Opt[string] `json:"affinity,omitzero"`
	Strict     lenient.Opt[bool]   `json:"strict,omitzero"`
	Disable    lenient.Opt[bool]   `json:"disable,omitzero"`
}

// ReadHA reads the configuration of HA (Sys.Audit on /).
func ReadHA(ctx context.Context, v *cluster.View) (HA, error) {
	h := HA{Resources: map[pve.VMID]HAResource{}, Groups: map[string]HAGroup{}, Rules: placement.Rules{Homes: map[pve.VMID]placement.Home{}}}
	rows, err := readHARows(ctx, v, "resources")
	if err != nil {
		return h, err
	}
	if len(rows) == 0 {
		return h, nil
	}
	for _, r := range rows {
		if id, ok := vmidOf(r.SID); ok {
			state := r.State.Or("started")
			if state == "enabled" { // PVE's other word for it, in old configurations
				state = "started"
			}
			h.Resources[id] = HAResource{SID: r.SID, State: state, Group: r.Group.Value, Failback: !r.Failback.Set || r.Failback.Value}
		}
	}
	if slices.ContainsFunc(rows, func(r haRow) bool { return r.Group.Value != "" }) {
		groups, err := readHARows(ctx, v, "groups")
		if err != nil {
			return h, err
		}
		for _, r := range groups {
			h.addGroup(r)
		}
	}
	version, err := v.PVE.Version(ctx)
	if err != nil || version.Major() < firstWithRules {
		return h, err
	}
	rules, err := readHARows(ctx, v, "rules")
	if err != nil {
		return h, err
	}
	for _, r := range rules {
		if !r.Disable.Value {
			h.addRule(r)
		}
	}
	return h, nil
}

// firstWithRules is the version of PVE in which rules took the place of groups.
const firstWithRules = 9

// readHARows lists what HA has of a kind.
func readHARows(ctx context.Context, v *cluster.View, kind string) ([]haRow, error) {
	return proxmox.Get[[]haRow](ctx, v.PVE.Client, proxmox.Join("cluster", "ha", kind), nil)
}

// vmidOf is the guest that a name such as vm:100 means.
func vmidOf(sid string) (pve.VMID, bool) {
	_, text, _ := strings.Cut(sid, ":")
	id, err := pve.ParseVMID(text)
	return id, err == nil
}

// guestsIn are the guests that a list of resources names and HA takes care of.
func (h HA) guestsIn(list string) []pve.VMID {
	var out []pve.VMID
	for _, sid := range apischema.SplitList(list) {
		if id, ok := vmidOf(sid); ok && h.IsManaged(id) {
			out = append(out, id)
		}
	}
	return out
}

func (h *HA) addRule(r haRow) {
	by := "the HA rule " + render.Text(r.Rule.Value, 60)
	guests := h.guestsIn(r.Resources.Value)
	switch {
	case r.Type.Value == "node-affinity":
		for _, id := range guests {
			h.Rules.Homes[id] = placement.Home{By: by, Nodes: Priorities(r.Nodes.Value), Strict: r.Strict.Value}
		}
	case r.Affinity.Value == "positive":
		h.Rules.Together = append(h.Rules.Together, placement.Group{By: by, Guests: guests})
	case r.Affinity.Value == "negative":
		h.Rules.Apart = append(h.Rules.Apart, placement.Group{By: by, Guests: guests})
	}
}

func (h *HA) addGroup(r haRow) {
	name := r.Group.Value
	g := HAGroup{Failback: !r.NoFailback.Value}
	for id, resource := range h.Resources {
		if resource.Group == name && h.IsManaged(id) {
			g.Members = append(g.Members, id)
			h.Rules.Homes[id] = placement.Home{By: "the HA group " + render.Text(name, 60), Nodes: Priorities(r.Nodes.Value), Strict: r.Restricted.Value}
		}
	}
	slices.Sort(g.Members)
	h.Groups[name] = g
}

// Priorities reads the nodes of a rule or a group with their priorities, such as pve1:2,pve2;
// without a number it is 0.
func Priorities(nodes string) map[string]int {
	out := map[string]int{}
	for _, part := range apischema.SplitList(nodes) {
		name, text, _ := strings.Cut(part, ":")
		out[name], _ = strconv.Atoi(text)
	}
	return out
}
