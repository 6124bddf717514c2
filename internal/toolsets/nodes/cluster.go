package nodes

import (
	"context"
	"fmt"

	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
)

type clusterOut struct {
	Cluster    string        `json:"cluster,omitzero" jsonschema:"its name"`
	Standalone bool          `json:"standalone,omitzero" jsonschema:"a single node that is in no cluster"`
	Quorate    *bool         `json:"quorate,omitzero" jsonschema:"whether enough nodes are there to change anything"`
	Online     int           `json:"online" jsonschema:"nodes"`
	Total      int           `json:"total" jsonschema:"nodes"`
	Nodes      []clusterNode `json:"nodes"`
	rest
	Problems []string `json:"problems,omitzero" jsonschema:"of all nodes"`
	AsOf     string   `json:"as_of"`
	Notes    []string `json:"notes,omitzero" jsonschema:"what is hidden from this token"`
}

type clusterNode struct {
	Node        string   `json:"node"`
	Status      string   `json:"status"`
	IP          string   `json:"ip,omitzero"`
	CPUPercent  *float64 `json:"cpu_percent,omitzero"`
	MemPercent  *float64 `json:"mem_percent,omitzero"`
	DiskPercent *float64 `json:"disk_percent,omitzero" jsonschema:"of the root disk"`
	Uptime      string   `json:"uptime,omitzero"`
	Maintenance bool     `json:"ha_maintenance,omitzero"`
}

func clusterStatus() tool.Tool {
	return tool.Read(tool.Spec[struct{}, clusterOut]{
		Name:  "pve_cluster_status",
		Title: "Show the state of the cluster",
		Doc:   "Quorum, and whether all nodes of the cluster are online or nearly full.",
		Examples: []tool.Example{
			{Arguments: `{}`},
		},
		Needs: []tool.Need{
			tool.On(tool.OnRoot, "Sys.Audit").Else("the cluster's name, its quorum and addresses are hidden"),
			tool.On(tool.OnNode, "Sys.Audit").Else("of the node only its status is shown"),
		},
		Run: runCluster,
	})
}

func runCluster(ctx context.Context, c *tool.Call, _ struct{}) (clusterOut, error) {
	nodes, err := c.Nodes(ctx)
	if err != nil {
		return clusterOut{}, err
	}
	out := clusterOut{Total: len(nodes), AsOf: render.Time(c.AsOf())}
	if out.Notes, err = unseen(ctx, c, nodes); err != nil {
		return clusterOut{}, err
	}
	items, err := c.PVE.ClusterStatus(ctx)
	if proxmox.IsDenied(err) {
		out.Notes = append(out.Notes, c.Explain(err).What+" Quorum, name and addresses of the cluster are hidden.")
	} else if err != nil {
		return clusterOut{}, err
	}
	maintained, err := c.NodesInMaintenance(ctx)
	if err != nil {
		return clusterOut{}, err
	}
	ips := out.identify(items)
	for _, n := range nodes {
		if n.Status.Value == "online" {
			out.Online++
		}
		out.Problems = append(out.Problems, troubles(rowOf(n, maintained))...)
	}
	out.Problems = render.Few(out.Problems, mostProblems)
	nodes, out.rest = first(nodes, mostNodes)
	for _, n := range nodes {
		row := rowOf(n, maintained)
		out.Nodes = append(out.Nodes, clusterNode{
			Node: row.Node, Status: row.Status, IP: ips[row.Node],
			CPUPercent: row.CPUPercent, MemPercent: row.MemPercent, DiskPercent: row.DiskPercent, Uptime: row.Uptime,
			Maintenance: row.Maintenance,
		})
	}
	return out, nil
}

// mostProblems is the most problems in an answer.
const mostProblems = 50

// identify fills in what PVE says of the cluster as a whole, and returns the addresses of its
// nodes.
func (out *clusterOut) identify(items []pve.ClusterItem) map[string]string {
	out.Standalone = len(items) > 0
	ips := map[string]string{}
	for _, i := range items {
		if i.Type == "node" {
			ips[i.Name] = i.IP.Value
			continue
		}
		out.Standalone, out.Cluster, out.Quorate = false, i.Name, &i.Quorate.Value
		if !i.Quorate.Value {
			out.Problems = append(out.Problems, "no quorum: PVE refuses every change until enough nodes are back")
		}
	}
	return ips
}

// nearlyFull is the use in percent at which memory and root disk become a problem.
const nearlyFull = 90

func troubles(n nodeRow) []string {
	var out []string
	if n.Status != "online" {
		out = append(out, fmt.Sprintf("node %s is %s", n.Node, n.Status))
	}
	if n.Maintenance {
		out = append(out, fmt.Sprintf("node %s is in HA maintenance: HA has moved its guests away, and starts none there", n.Node))
	}
	for _, u := range []struct {
		what    string
		percent *float64
	}{{"memory", n.MemPercent}, {"root disk", n.DiskPercent}} {
		if u.percent != nil && *u.percent >= nearlyFull {
			out = append(out, fmt.Sprintf("node %s: %s is %g%% full", n.Node, u.what, *u.percent))
		}
	}
	return out
}
