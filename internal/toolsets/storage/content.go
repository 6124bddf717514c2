package storage

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/show"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pve"
)

type contentIn struct {
	Storage string   `json:"storage" jsonschema:"its name"`
	Node    string   `json:"node,omitzero" jsonschema:"unless it is shared"`
	Content string   `json:"content,omitzero" enum:"images,rootdir,iso,vztmpl,backup,snippets,import" jsonschema:"only this"`
	VMID    pve.VMID `json:"vmid,omitzero" jsonschema:"only of this guest"`
	SumBy   string   `json:"sum_by,omitzero" enum:"guest,content" jsonschema:"sums: what fills it"`
	Limit   int      `json:"limit,omitzero" min:"1" max:"500" default:"50" jsonschema:"most rows"`
	Offset  int      `json:"offset,omitzero" min:"0" jsonschema:"rows to skip"`
}

type contentOut struct {
	Message string      `json:"message,omitzero"`
	Content []volumeRow `json:"content" cut:"end"`
	Total   int         `json:"total" jsonschema:"volumes, or sums, that match and that this token may see"`
	tool.Rest
	Sums  []sumRow `json:"sums,omitzero" jsonschema:"with sum_by: the largest first"`
	Usage *usage   `json:"usage,omitzero" jsonschema:"with sum_by, of the whole storage"`
	Notes []string `json:"notes,omitzero"`
}

type volumeRow struct {
	VolID     string `json:"volid"`
	Content   string `json:"content"`
	Format    string `json:"format,omitzero"`
	Size      *int64 `json:"size,omitzero" jsonschema:"bytes"`
	SizeHuman string `json:"size_human,omitzero"`
	Approx    bool   `json:"size_approximate,omitzero" jsonschema:"because the volume is not active"`
	Used      *int64 `json:"used,omitzero" jsonschema:"bytes on the storage, if known"`
	UsedHuman string `json:"used_human,omitzero"`
	VMID      *int64 `json:"vmid,omitzero" jsonschema:"the guest that it belongs to"`
	Parent    string `json:"parent,omitzero" jsonschema:"the image that it is a linked clone of"`
	Created   string `json:"created,omitzero"`
	Notes     string `json:"notes,omitzero"`
	Protected bool   `json:"protected,omitzero"`
	Verified  string `json:"verified,omitzero" jsonschema:"of a backup: ok or failed; only a backup server verifies"`
	Encrypted bool   `json:"encrypted,omitzero"`
	Node      string `json:"node,omitzero" jsonschema:"that has it, if not shared"`
}

func storageContent() tool.Tool {
	return tool.Read(tool.Spec[contentIn, contentOut]{
		Name:  "pve_storage_content",
		Title: "List what is on a storage",
		Doc: "What is on a storage and what is filling it (sum_by): list ISO images, container templates, backups, disks and the guests they belong to. Who is " +
			"backed up: pve_backup_status.",
		Long: true,
		Examples: []tool.Example{
			{Arguments: `{"storage":"nfs","content":"backup"}`},
			{Arguments: `{"storage":"local"}`},
			{Arguments: `{"storage":"local-zfs"}`},
			{Arguments: `{"storage":"nfs"}`},
			{Arguments: `{"storage":"nfs","sum_by":"guest"}`},
		},
		Needs: []tool.Need{
			tool.On(tool.OnStorage, "Datastore.Audit", "Datastore.AllocateSpace"),
			tool.On(tool.OnGuest, "VM.Config.Disk").If("disks").Else("its disks are not listed"),
			tool.On(tool.OnStorage, "Datastore.AllocateSpace").If("backups").Else("backups are not listed"),
			tool.On(tool.OnGuest, "VM.Backup").If("backups").Else("its backups are not listed"),
			tool.On(tool.OnStorage, "Datastore.Allocate").If("snippets").ForAdmins().Else("snippets are not listed"),
		},
		Run: runContent,
	})
}

func runContent(ctx context.Context, c *tool.Call, in contentIn) (contentOut, error) {
	out := contentOut{Content: []volumeRow{}}
	if in.SumBy != "" { // of all, so that the names of guests take no other request
		if _, err := c.List(ctx, ""); err != nil {
			return out, err
		}
	}
	stores, err := find(ctx, c, in)
	if err != nil {
		return out, err
	}
	got, notes, err := c.Volumes(ctx, stores, pve.VolumeFilter{Content: in.Content, VMID: in.VMID})
	if err != nil {
		return out, err
	}
	var all []stored
	for _, s := range got {
		for _, v := range s.Value {
			all = append(all, stored{v, s.From})
		}
	}
	slices.SortFunc(all, func(a, b stored) int {
		return cmp.Or(strings.Compare(a.Content, b.Content), strings.Compare(a.VolID.Name, b.VolID.Name), pve.CompareNames(a.on.Node.Value, b.on.Node.Value))
	})
	perms, err := c.PVE.Permissions(ctx)
	if err != nil {
		return out, err
	}
	hidden := cluster.HiddenVolumes(perms, stores[0], in.Content)
	if in.SumBy != "" {
		err := out.sum(ctx, c, in, stores, all, notes == nil, hidden != nil)
		out.Notes = tool.FewNotes(append(hidden, notes...))
		return out, err
	}
	out.Total = len(all)
	all, out.Rest = tool.Page(all, in.Limit, in.Offset)
	for _, v := range all {
		out.Content = append(out.Content, rowOf(v))
	}
	if out.Total == 0 && in.VMID != 0 {
		others, err := c.OwnerNotes(ctx, stores, in.Content, in.VMID)
		if err != nil {
			return out, err
		}
		notes = append(others, notes...)
	}
	out.Notes = tool.FewNotes(append(hidden, notes...))
	return out, nil
}

// find returns the stores of that name: each node may have one of its own.
func find(ctx context.Context, c *tool.Call, in contentIn) ([]cluster.Store, error) {
	all, err := c.Stores(ctx)
	if err != nil {
		return nil, err
	}
	if in.Node != "" {
		if _, err := c.Node(ctx, in.Node); err != nil {
			return nil, err
		}
	}
	var named, found []cluster.Store
	for _, s := range all {
		if s.Storage.Value != in.Storage {
			continue
		}
		named = append(named, s)
		if in.Node == "" || slices.Contains(s.Nodes, in.Node) {
			if slices.Contains(s.Ready, in.Node) {
				others := slices.DeleteFunc(slices.Clone(s.Ready), func(n string) bool { return n == in.Node })
				s.Ready = append([]string{in.Node}, others...)
			}
			found = append(found, s)
		}
	}
	switch {
	case named == nil:
		return nil, cluster.NoStorageError(in.Storage, all)
	case found == nil:
		var nodes []string
		for _, s := range named {
			nodes = append(nodes, s.Nodes...)
		}
		return nil, explain.Refusal("It is on "+render.List(nodes)+".", "%q does not have the storage %s.", render.Text(in.Node, 60), in.Storage)
	case in.Content != "" && !found[0].Holds(in.Content):
		return nil, explain.Refusal("It may hold "+render.List(found[0].Contents())+".", "The storage %s is not for %s.", in.Storage, in.Content)
	}
	return found, nil
}

// stored is a volume and the store that has it.
type stored struct {
	pve.Volume
	on cluster.Store
}

func rowOf(v stored) volumeRow {
	row := volumeRow{
		VolID: render.Text(v.VolID.String(), 200), Content: v.Content, Format: v.Format.Value, VMID: show.Number(v.VMID),
		Parent: render.Text(v.Parent.Value, 200), Notes: render.Said(v.Notes.Value, 200), Protected: v.Protected.Value,
		Verified: render.Text(v.Verification["state"], 20), Encrypted: v.Encrypted.Value != "",
	}
	row.Size, row.SizeHuman = show.Bytes(v.Size)
	if !v.Size.Set && v.ApproxSize.Set {
		row.Approx = true
		row.Size, row.SizeHuman = show.Bytes(v.ApproxSize)
	}
	if v.Used.Set && v.Used != v.Size {
		row.Used, row.UsedHuman = show.Bytes(v.Used)
	}
	if v.CTime.Set {
		row.Created = render.Time(time.Unix(v.CTime.Value, 0))
	}
	if !v.on.Shared.Value {
		row.Node = v.on.Node.Value
	}
	return row
}
