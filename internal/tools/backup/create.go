package backup

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"pve-mcp/internal/explain"
	"pve-mcp/internal/guard"
	"pve-mcp/internal/render"
	"pve-mcp/internal/tool"
	"pve-mcp/pve"
)

type createIn struct {
	VMID      pve.VMID `json:"vmid"`
	Storage   string   `json:"storage,omitzero" jsonschema:"default: the only one"`
	Mode      string   `json:"mode,omitzero" enum:"snapshot,suspend,stop" default:"\"snapshot\""`
	Compress  string   `json:"compress,omitzero" enum:"0,gzip,lzo,zstd" default:"\"zstd\""`
	Notes     string   `json:"notes,omitzero"`
	Protected bool     `json:"protected,omitzero"`
	Prune     string   `json:"prune,omitzero" jsonschema:"such as keep-last=3; default: keep all"`
	tool.Confirms
	tool.Waits

	before []string // volids of its backups
}

type createOut struct {
	tool.Changed
	VMID   pve.VMID  `json:"vmid,omitzero"`
	Node   string    `json:"node,omitzero"`
	Backup backupRow `json:"backup,omitzero"`
}

var createBackup = tool.Change(tool.ChangeSpec[createIn, createOut]{
	Name:  "pve_create_backup",
	Title: "Back a guest up",
	Doc:   "Backs up a guest with vzdump. Modes suspend and stop interrupt it. Older backups stay unless prune says otherwise.",
	Risk: func(in createIn) guard.Risk {
		if in.Prune != "" {
			return guard.Destructive
		}
		return guard.Write
	},
	Needs: []tool.Need{
		tool.On(tool.OnGuest, "VM.Audit"),
		tool.On(tool.OnGuest, "VM.Backup"),
		tool.On(tool.OnStorage, "Datastore.AllocateSpace"),
		tool.On(tool.OnStorage, "Datastore.Audit").Else("a storage must be named, and the new backup is not shown"),
		tool.On(tool.OnStorage, "Datastore.Allocate").If("prune"),
	},
	Plan:   planCreate,
	Start:  startCreate,
	Finish: finishCreate,
})

func planCreate(ctx context.Context, c *tool.Call, in *createIn) (tool.Plan, error) {
	g, s, err := c.Live(ctx, in.VMID)
	if err != nil {
		return tool.Plan{}, err
	}
	if err := explain.Unlocked(g, s.Lock.Value); err != nil && s.Lock.Value != "suspended" {
		return tool.Plan{}, err
	}
	if err := in.choose(ctx, c, g); err != nil {
		return tool.Plan{}, err
	}
	plan := tool.Plan{
		Guest: in.VMID,
		About: fmt.Sprintf("Backup of %v (%s) on %s to %s", g, render.Text(s.Name.Value, 60), g.Node, render.Text(in.Storage, 60)),
	}
	if s.Status == "running" && in.Mode == "stop" {
		plan.About += ", for which it is shut down and started again,"
	}
	volumes, err := c.PVE.Content(ctx, g.Node, in.Storage, url.Values{"content": {"backup"}, "vmid": {in.VMID.String()}})
	if err != nil {
		return plan, err
	}
	for _, v := range volumes {
		in.before = append(in.before, v.VolID.String())
	}
	if in.Prune == "" {
		return plan, nil
	}
	plan.Target = guard.Target{Method: http.MethodPost, Path: "/nodes/*/vzdump", VMID: int(in.VMID)}
	plan.Consequences, err = pruned(ctx, c, g, *in)
	return plan, err
}

// choose picks the storage where none is named.
func (in *createIn) choose(ctx context.Context, c *tool.Call, g pve.GuestRef) error {
	if in.Storage != "" {
		return nil
	}
	all, err := c.Stores(ctx)
	if err != nil {
		return err
	}
	var names []string
	for _, s := range storesFor(all, g.Node, "") {
		if s.Usable() {
			names = append(names, s.Storage.Value)
		}
	}
	switch len(names) {
	case 0:
		return explain.Refusal("Name one with storage.", "%s has no storage for backups that this token may see.", g.Node)
	case 1:
		in.Storage = names[0]
		return nil
	}
	return explain.Refusal("Name one with storage.", "%s has several storages for backups: %s.", g.Node, render.List(names))
}

// pruned says which backups PVE would delete. The new one is not there yet, and makes
// one more go.
func pruned(ctx context.Context, c *tool.Call, g pve.GuestRef, in createIn) ([]string, error) {
	marks, err := c.PVE.PrunePlan(ctx, g.Node, in.Storage, url.Values{
		"prune-backups": {in.Prune}, "vmid": {in.VMID.String()}, "type": {string(g.Kind)},
	})
	if err != nil {
		return nil, err
	}
	out := []string{fmt.Sprintf("older backups of %v on %s are deleted by the rule %s, which counts the new one too", g, render.Text(in.Storage, 60), render.Text(in.Prune, 100))}
	for _, m := range marks {
		if m.Mark == "remove" {
			out = append(out, "the backup "+render.Text(m.VolID.String(), 200)+" is deleted")
		}
	}
	return out, nil
}

func startCreate(ctx context.Context, c *tool.Call, in *createIn) (tool.Job, error) {
	params := url.Values{
		"vmid": {in.VMID.String()}, "storage": {in.Storage}, "mode": {in.Mode}, "compress": {in.Compress}, "remove": {"0"},
	}
	if in.Notes != "" { // a template in which these two are special
		params.Set("notes-template", strings.NewReplacer(`\`, `\\`, "\n", `\n`).Replace(in.Notes))
	}
	if in.Protected {
		params.Set("protected", "1")
	}
	if in.Prune != "" {
		params.Set("prune-backups", in.Prune)
		params.Set("remove", "1")
	}
	_, upid, err := tool.AtGuest(ctx, c, in.VMID, func(g pve.GuestRef) (pve.UPID, error) { return c.PVE.Backup(ctx, g.Node, params) })
	return tool.Job{UPID: upid}, err
}

// finishCreate looks for the backup that was not there before.
func finishCreate(ctx context.Context, c *tool.Call, in createIn, end tool.End) (createOut, error) {
	g, err := c.Guest(ctx, in.VMID)
	if err != nil {
		return createOut{}, err
	}
	out := createOut{VMID: in.VMID, Node: g.Node.Value}
	if !end.Status.Succeeded() {
		return out, nil
	}
	store := tool.Store{Resource: pve.Resource{
		Storage: pve.Some(in.Storage), Node: g.Node, Status: pve.Some("available"), Shared: pve.Some(true),
	}}
	rows, _, err := backups(ctx, c, []tool.Store{store}, in.VMID)
	i := slices.IndexFunc(rows, func(r backupRow) bool { return !slices.Contains(in.before, r.VolID) })
	if i >= 0 {
		out.Backup = rows[i]
	}
	return out, err
}
