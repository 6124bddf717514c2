package nodes

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/show"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pve"
)

type listOut struct {
	Nodes []nodeRow `json:"nodes"`
	Total int       `json:"total"`
	rest
	AsOf  string   `json:"as_of" jsonschema:"when PVE was asked; its numbers are up to 20 s older"`
	Notes []string `json:"notes,omitzero"`
}

// rest describes the nodes that an answer leaves out.
type rest struct {
	LeftOut int    `json:"left_out,omitzero" jsonschema:"of these, not in this answer"`
	More    string `json:"more,omitzero" jsonschema:"how to get them"`
}

// mostNodes is the most nodes in an answer.
const mostNodes = 60

// mostRows is the most nodes of a list with all their numbers.
const mostRows = 12

// first returns the nodes of an answer, and a description of the others.
func first(nodes []pve.Resource, most int) ([]pve.Resource, rest) {
	if len(nodes) <= most {
		return nodes, rest{}
	}
	var names []string
	for _, n := range nodes[most:] {
		names = append(names, n.Node.Value)
	}
	slices.SortFunc(names, pve.CompareNames)
	return nodes[:most], rest{
		LeftOut: len(names), More: "pve_node_status, in short without node, or for each by its name: " + render.Text(strings.Join(names, ", "), 3000),
	}
}

// worstFirst are the nodes with those first that are away, in maintenance, or have least left.
func worstFirst(nodes []pve.Resource, maintained map[string]bool) []pve.Resource {
	weight := func(n pve.Resource) float64 {
		switch {
		case n.Status.Value != "online":
			return 3
		case maintained[n.Node.Value]:
			return 2
		}
		used := n.CPU.Value
		for _, p := range []*float64{show.PercentOf(n.Mem, n.MaxMem), show.PercentOf(n.Disk, n.MaxDisk)} {
			if p != nil {
				used = max(used, *p/100)
			}
		}
		return used
	}
	out := slices.Clone(nodes)
	slices.SortStableFunc(out, func(a, b pve.Resource) int { return cmp.Compare(weight(b), weight(a)) })
	return out
}

// nodeRow is one node. An offline node has its status only.
type nodeRow struct {
	Node         string   `json:"node"`
	Status       string   `json:"status" jsonschema:"online, offline or unknown"`
	CPUPercent   *float64 `json:"cpu_percent,omitzero"`
	CPUs         *float64 `json:"cpus,omitzero"`
	Mem          *int64   `json:"mem,omitzero" jsonschema:"bytes"`
	MemHuman     string   `json:"mem_human,omitzero"`
	MaxMem       *int64   `json:"maxmem,omitzero"`
	MaxMemHuman  string   `json:"maxmem_human,omitzero"`
	MemPercent   *float64 `json:"mem_percent,omitzero"`
	Disk         *int64   `json:"disk,omitzero" jsonschema:"bytes in use of the root disk"`
	DiskHuman    string   `json:"disk_human,omitzero"`
	MaxDisk      *int64   `json:"maxdisk,omitzero"`
	MaxDiskHuman string   `json:"maxdisk_human,omitzero"`
	DiskPercent  *float64 `json:"disk_percent,omitzero"`
	Uptime       string   `json:"uptime,omitzero"`
	Maintenance  bool     `json:"ha_maintenance,omitzero" jsonschema:"HA has moved its guests away, and starts none there"`
}

func listNodes() tool.Tool {
	return tool.Read(tool.Spec[struct{}, listOut]{
		Name:  "pve_list_nodes",
		Title: "List nodes",
		Doc:   "All nodes (hosts): online or not, how much CPU, memory and disk is left.",
		Examples: []tool.Example{
			{Arguments: `{}`},
		},
		Needs: []tool.Need{tool.On(tool.OnNode, "Sys.Audit").Else("only the node's status is shown")},
		Run: func(ctx context.Context, c *tool.Call, _ struct{}) (listOut, error) {
			nodes, err := c.Nodes(ctx)
			if err != nil {
				return listOut{}, err
			}
			out := listOut{Total: len(nodes), AsOf: render.Time(c.AsOf())}
			maintained, err := c.NodesInMaintenance(ctx)
			if err != nil {
				return listOut{}, err
			}
			listed := nodes
			if len(nodes) > mostRows {
				listed, out.rest = first(worstFirst(nodes, maintained), mostRows)
			}
			for _, n := range listed {
				out.Nodes = append(out.Nodes, rowOf(n, maintained))
			}
			out.Notes, err = unseen(ctx, c, nodes)
			return out, err
		},
	})
}

func rowOf(n pve.Resource, maintained map[string]bool) nodeRow {
	row := nodeRow{Node: n.Node.Value, Status: n.Status.Or("unknown"), Maintenance: maintained[n.Node.Value]}
	if row.Status != "online" {
		return row
	}
	row.CPUPercent, row.Uptime = show.Percent(n.CPU), show.Seconds(n.Uptime)
	if n.MaxCPU.Set {
		row.CPUs = &n.MaxCPU.Value
	}
	row.Mem, row.MemHuman = show.Bytes(n.Mem)
	row.MaxMem, row.MaxMemHuman = show.Bytes(n.MaxMem)
	row.MemPercent = show.PercentOf(n.Mem, n.MaxMem)
	row.Disk, row.DiskHuman = show.Bytes(n.Disk)
	row.MaxDisk, row.MaxDiskHuman = show.Bytes(n.MaxDisk)
	row.DiskPercent = show.PercentOf(n.Disk, n.MaxDisk)
	return row
}

// unseen names the online nodes whose use PVE does not report, and says why. It reads the
// token's privileges only if there is such a node.
func unseen(ctx context.Context, c *tool.Call, nodes []pve.Resource) ([]string, error) {
	var silent []string
	for _, n := range nodes {
		if n.Status.Value == "online" && !n.MaxCPU.Set {
			silent = append(silent, n.Node.Value)
		}
	}
	if silent == nil {
		return nil, nil
	}
	perms, err := c.PVE.Permissions(ctx)
	if err != nil {
		return nil, err
	}
	var hidden, early []string
	for _, name := range silent {
		if perms.Has("/nodes/"+name, "Sys.Audit") {
			early = append(early, name)
		} else {
			hidden = append(hidden, name)
		}
	}
	var notes []string
	if hidden != nil {
		notes = append(notes, fmt.Sprintf("the use of %s is hidden: this token lacks Sys.Audit there", render.List(hidden)))
	}
	if early != nil {
		notes = append(notes, fmt.Sprintf("%s has not reported its use yet", render.List(early)))
	}
	return notes, nil
}
