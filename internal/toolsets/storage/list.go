package storage

import (
	"context"
	"fmt"
	"slices"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/show"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pve"
)

type listIn struct {
	Node    string `json:"node,omitzero" jsonschema:"as it sees them, live"`
	Content string `json:"content,omitzero" enum:"images,rootdir,iso,vztmpl,backup,snippets,import" jsonschema:"only those that may hold this"`
	Limit   int    `json:"limit,omitzero" min:"1" max:"500" default:"50" jsonschema:"most rows"`
	Offset  int    `json:"offset,omitzero" min:"0" jsonschema:"rows to skip"`
}

type listOut struct {
	Storages []storageRow `json:"storages" cut:"end"`
	Total    int          `json:"total"`
	tool.Rest
	AsOf  string   `json:"as_of" jsonschema:"when PVE was asked; without node its numbers are up to 20 s older"`
	Notes []string `json:"notes,omitzero"`
}

type storageRow struct {
	Storage string   `json:"storage"`
	Type    string   `json:"type"`
	Status  string   `json:"status" jsonschema:"available, unknown, inactive or disabled"`
	Shared  bool     `json:"shared,omitzero" jsonschema:"the same on all its nodes"`
	Nodes   []string `json:"nodes"`
	Further int      `json:"further_nodes,omitzero" jsonschema:"that have it; with node, their storages are listed"`
	Absent  []string `json:"unavailable_on,omitzero" jsonschema:"its nodes that cannot use it now, or are offline"`
	Lacking int      `json:"unavailable_on_further,omitzero" jsonschema:"nodes"`
	Content []string `json:"content" jsonschema:"what it may hold"`
	show.Use
}

func listStorage() tool.Tool {
	return tool.Read(tool.Spec[listIn, listOut]{
		Name:  "pve_list_storage",
		Title: "List storages",
		Doc:   "Which storages there are, how full, and for what (ISO, backups).",
		Examples: []tool.Example{
			{Arguments: `{"node":"pve1"}`},
			{Arguments: `{}`},
		},
		Needs: []tool.Need{tool.On(tool.OnStorage, "Datastore.Audit").Else("the storage is not listed")},
		Run:   runList,
	})
}

func runList(ctx context.Context, c *tool.Call, in listIn) (listOut, error) {
	out := listOut{Storages: []storageRow{}}
	read := ofCluster
	if in.Node != "" {
		read = ofNode
	}
	rows, err := read(ctx, c, in)
	if err != nil {
		return out, err
	}
	out.AsOf, out.Total = render.Time(c.AsOf()), len(rows)
	rows, out.Rest = tool.Page(rows, in.Limit, in.Offset)
	for _, row := range rows {
		row.Nodes, row.Further = named(row.Nodes)
		row.Absent, row.Lacking = named(row.Absent)
		out.Storages = append(out.Storages, row)
	}
	perms, err := c.PVE.Permissions(ctx)
	if err != nil {
		return out, err
	}
	switch all, except := perms.Below("/storage", "Datastore.Audit"); {
	case !all:
		out.Notes = append(out.Notes, "this token lacks Datastore.Audit on /storage: there may be storages that it cannot see")
	case len(except) > 0:
		out.Notes = append(out.Notes, fmt.Sprintf("this token lacks Datastore.Audit on %s: such a storage may be left out", render.Text(render.List(except), 200)))
	}
	return out, nil
}

// mostNamed is the most nodes that are named for a storage.
const mostNamed = 6

func named(nodes []string) (some []string, further int) {
	n := min(mostNamed, len(nodes))
	return nodes[:n], len(nodes) - n
}

func ofCluster(ctx context.Context, c *tool.Call, in listIn) ([]storageRow, error) {
	stores, err := c.Stores(ctx)
	var rows []storageRow
	for _, s := range stores {
		if in.Content != "" && !s.Holds(in.Content) {
			continue
		}
		row := storageRow{
			Storage: s.Storage.Value, Type: s.PluginType.Value, Status: s.Status.Or("unknown"), Shared: s.Shared.Value,
			Nodes: s.Nodes, Content: s.Contents(),
		}
		if s.Ready != nil {
			row.Use = show.UseOf(s.Disk, s.MaxDisk)
		}
		for _, node := range s.Nodes {
			if s.Ready != nil && !s.UsableOn(node) {
				row.Absent = append(row.Absent, node)
			}
		}
		rows = append(rows, row)
	}
	return rows, err
}

func ofNode(ctx context.Context, c *tool.Call, in listIn) ([]storageRow, error) {
	if _, err := c.OnlineNode(ctx, in.Node); err != nil {
		return nil, err
	}
	stores, err := c.Stores(ctx)
	if err != nil {
		return nil, err
	}
	list, err := c.PVE.NodeStorages(ctx, in.Node, pve.StorageFilter{})
	var rows []storageRow
	for _, s := range list {
		store := cluster.Store{Resource: pve.Resource{Content: s.Content}}
		if in.Content != "" && !store.Holds(in.Content) || !s.Enabled.Value && slices.Contains(cluster.StoreNames(stores), s.Storage) {
			continue // enabled, for other nodes
		}
		row := storageRow{Storage: s.Storage, Type: s.Type, Status: "available", Shared: s.Shared.Value, Nodes: []string{in.Node}, Content: store.Contents()}
		switch {
		case !s.Enabled.Value:
			row.Status = "disabled"
		case !s.Active.Value:
			row.Status = "inactive"
		default:
			row.Use = show.UseOf(s.Used, s.Total)
		}
		rows = append(rows, row)
	}
	slices.SortFunc(rows, func(a, b storageRow) int { return pve.CompareNames(a.Storage, b.Storage) })
	return rows, err
}
