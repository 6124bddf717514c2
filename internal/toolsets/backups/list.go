package backups

import (
	"context"
	"slices"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/show"
	"github.com/pve-mcp/pve-mcp/internal/storedbackups"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pve"
)

type listIn struct {
	VMID    pve.VMID `json:"vmid,omitzero" jsonschema:"only of this guest"`
	Storage string   `json:"storage,omitzero" jsonschema:"only on this storage"`
	Limit   int      `json:"limit,omitzero" min:"1" max:"500" default:"50" jsonschema:"most rows, newest first"`
	Offset  int      `json:"offset,omitzero" min:"0" jsonschema:"rows to skip"`
}

type listOut struct {
	Backups []backupRow `json:"backups" cut:"end" jsonschema:"newest first"`
	Total   int         `json:"total" jsonschema:"that match and that this token may see"`
	tool.Rest
	Notes []string `json:"notes,omitzero" jsonschema:"what is not visible, or could not be read"`
}

type backupRow struct {
	VolID     string `json:"volid"`
	VMID      *int64 `json:"vmid,omitzero"`
	Name      string `json:"name,omitzero" jsonschema:"of the guest, if it still exists"`
	Type      string `json:"type,omitzero" jsonschema:"qemu or lxc"`
	Created   string `json:"created,omitzero"`
	Age       string `json:"age,omitzero"`
	Size      *int64 `json:"size,omitzero" jsonschema:"bytes"`
	SizeHuman string `json:"size_human,omitzero"`
	Notes     string `json:"notes,omitzero"`
	Protected bool   `json:"protected,omitzero"`
	Verified  string `json:"verified,omitzero" jsonschema:"ok or failed; only a backup server verifies"`
	Encrypted bool   `json:"encrypted,omitzero"`
	Node      string `json:"node,omitzero" jsonschema:"that has it, if not shared"`
}

func listBackups() tool.Tool {
	return tool.Read(tool.Spec[listIn, listOut]{
		Name:  "pve_list_backups",
		Title: "List backups",
		Doc:   "List backups (archives) of a guest or all, on all storages, newest first.",
		Long:  true,
		Examples: []tool.Example{
			{Arguments: `{"vmid":100,"limit":3}`},
			{Arguments: `{}`},
		},
		Needs: []tool.Need{
			tool.On(tool.OnStorage, "Datastore.Audit").Else("the storage is not looked into"),
			tool.On(tool.OnStorage, "Datastore.AllocateSpace").Else("its backups are not visible"),
			tool.On(tool.OnGuest, "VM.Backup").Else("its backups are not visible"),
		},
		Run: runList,
	})
}

func runList(ctx context.Context, c *tool.Call, in listIn) (listOut, error) {
	out := listOut{Backups: []backupRow{}}
	held, cancel := cluster.StartAsking(ctx, c.PVE.Permissions)
	defer cancel()
	all, err := c.List(ctx, "")
	if err != nil {
		return out, err
	}
	perms, err := held()
	if err != nil {
		return out, err
	}
	var others []*pve.Row
	for r := range all.Rows() {
		if !r.IsGuest() {
			others = append(others, r)
		}
	}
	stores, err := choose(cluster.StoresIn(pve.Decoded(others)), perms, in.Storage)
	if err != nil {
		return out, err
	}
	found, notes, err := storedbackups.List(ctx, c, stores, in.VMID)
	if err != nil {
		return out, err
	}
	if len(found) == 0 && in.VMID != 0 {
		others, err := c.OwnerNotes(ctx, stores, "backup", in.VMID)
		if err != nil {
			return out, err
		}
		notes = append(others, notes...)
	}
	out.Notes = tool.FewNotes(append(storedbackups.Hidden(perms, stores, in.Storage), notes...))
	out.Total = len(found)
	found, out.Rest = tool.Page(found, in.Limit, in.Offset)
	for _, b := range found {
		row := rowOf(c, b)
		if row.VMID != nil {
			if g, ok := all.Guest(pve.VMID(*row.VMID)); ok {
				row.Name = render.Text(g.Name(), 60)
			}
		}
		out.Backups = append(out.Backups, row)
	}
	return out, nil
}

// choose returns the stores for backups, all or those of a name.
func choose(all []cluster.Store, perms pve.Permissions, name string) ([]cluster.Store, error) {
	named := func(s cluster.Store) bool { return name == "" || s.Storage.Value == name }
	found := slices.DeleteFunc(slices.Clone(all), func(s cluster.Store) bool { return !s.Holds("backup") || !named(s) })
	switch {
	case len(found) > 0 || name == "" || !perms.Has("/storage/"+name, "Datastore.Audit"):
		return found, nil
	case slices.ContainsFunc(all, named):
		return nil, notForBackups(name, all)
	}
	return nil, cluster.NoStorageError(name, all)
}

// notForBackups is the error for a storage that may not hold backups.
func notForBackups(name string, all []cluster.Store) error {
	next := "There is none that may."
	if names := cluster.StoreNames(cluster.StoresFor("backup", all)); names != nil {
		next = "These may: " + render.List(names) + "."
	}
	return explain.Refusal(next, "The storage %s may not hold backups.", name)
}

func rowOf(c *tool.Call, v storedbackups.Backup) backupRow {
	row := backupRow{
		VolID: render.Text(v.VolID.String(), 200), VMID: show.Number(v.VMID), Type: v.Subtype.Value,
		Notes: render.Said(v.Notes.Value, 200), Protected: v.Protected.Value, Verified: render.Text(v.Verification["state"], 20),
		Encrypted: v.Encrypted.Value != "",
	}
	row.Size, row.SizeHuman = show.Bytes(v.Size)
	if v.CTime.Set {
		created := time.Unix(v.CTime.Value, 0)
		row.Created, row.Age = render.Time(created), render.Duration(c.Ago(created).Round(time.Second))
	}
	if !v.On.Shared.Value {
		row.Node = v.On.Node.Value
	}
	return row
}
