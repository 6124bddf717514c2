package backups

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/change"
	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/storedbackups"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/lazyregexp"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/proxmox/lenient"
	"github.com/pve-mcp/pve-mcp/pve"
)

type createIn struct {
	VMID      pve.VMID `json:"vmid"`
	Storage   string   `json:"storage,omitzero" jsonschema:"default: the only one"`
	Mode      string   `json:"mode,omitzero" enum:"snapshot,suspend,stop" default:"\"snapshot\"" jsonschema:"stop: shuts it down; suspend: pauses it"`
	Compress  string   `json:"compress,omitzero" enum:"0,gzip,lzo,zstd" default:"\"zstd\"" jsonschema:"0: not at all"`
	Notes     string   `json:"notes,omitzero" jsonschema:"kept with it"`
	Protected bool     `json:"protected,omitzero" jsonschema:"from pruning and deletion"`
	Prune     string   `json:"prune,omitzero" jsonschema:"keep only these: keep-last=3"`
	change.ConfirmArgument
	change.WaitArgument
}

type createState struct {
	createIn
	Shared bool `json:"shared"` // the storage, by all nodes
}

type createOut struct {
	change.Answer
	VMID   pve.VMID  `json:"vmid,omitzero"`
	Node   string    `json:"node,omitzero"`
	Backup backupRow `json:"backup,omitzero"`
}

func createBackup() tool.Tool {
	return change.New(change.Spec[createIn, createState, createOut]{
		Name:  "pve_create_backup",
		Title: "Back a guest up",
		Doc:   "Back up a guest now: make a backup (vzdump). Older ones stay unless prune says otherwise.",
		Examples: []tool.Example{
			{Arguments: `{"vmid":201,"storage":"nfs"}`},
			{Arguments: `{"vmid":910,"storage":"nfs","prune":"keep-last=3","confirm":true}`},
		},
		Risk: func(in createIn) policy.Risk {
			if in.Prune != "" {
				return policy.Destructive
			}
			return policy.Write
		},
		Needs: []tool.Need{
			tool.On(tool.OnGuest, "VM.Audit"),
			tool.On(tool.OnGuest, "VM.Backup"),
			tool.On(tool.OnStorage, "Datastore.AllocateSpace"),
			tool.On(tool.OnStorage, "Datastore.Audit").Else("a storage must be named"),
			tool.On(tool.OnStorage, "Datastore.Allocate").If("prune").ForAdmins(),
		},
		Plan:   planCreate,
		Start:  startCreate,
		Finish: finishCreate,
	})
}

func planCreate(ctx context.Context, c *tool.Call, given createIn) (change.Plan, createState, error) {
	in := createState{createIn: given}
	g, s, err := c.Live(ctx, in.VMID)
	if err != nil {
		return change.Plan{}, in, err
	}
	if err := explain.Unlocked(g, s.Lock.Value); err != nil {
		return change.Plan{}, in, err
	}
	if in.Mode == "stop" && s.HA.Managed.Value && s.HA.State.Value == "started" {
		return change.Plan{}, in, explain.Refusal("Use mode snapshot.", "HA keeps %v running, so PVE does not stop it for a backup.", g)
	}
	if err := in.choose(ctx, c, g); err != nil {
		return change.Plan{}, in, err
	}
	plan := change.Plan{
		Subject: policy.Guest(in.VMID),
		About:   fmt.Sprintf("Backup of %v (%s) on %s to %s%s", g, render.Text(s.Name.Value, 60), g.Node, render.Text(in.Storage, 60), in.sideEffects(s)),
	}
	if in.Prune != "" {
		plan.Target = policy.Target{Method: http.MethodPost, Path: "/nodes/*/vzdump", Subject: policy.Guest(in.VMID)}
		plan.Consequences, err = pruned(ctx, c, g, in.createIn)
	}
	return plan, in, err
}

// sideEffects says what else the backup does.
func (in *createIn) sideEffects(s pve.GuestStatus) string {
	var what []string
	switch {
	case s.Status != "running":
	case in.Mode == "stop":
		what = append(what, "mode stop: it is shut down and started again")
	case in.Mode == "suspend":
		what = append(what, "mode suspend: it is paused meanwhile")
	}
	if in.Prune != "" {
		what = append(what, "older ones pruned by "+render.Text(in.Prune, 100))
	}
	if what == nil {
		return ""
	}
	return " (" + strings.Join(what, "; ") + ")"
}

// choose finds the storage, or picks it if none is named. It checks here what PVE would check
// only in the task, after pruning was agreed to.
func (in *createState) choose(ctx context.Context, c *tool.Call, g pve.GuestRef) error {
	perms, err := c.PVE.Permissions(ctx)
	if err != nil {
		return err
	}
	if err := cluster.RequirePrivilege(perms, "/vms/"+in.VMID.String(), "VM.Backup"); err != nil {
		return err
	}
	all, err := c.Stores(ctx)
	if err != nil {
		return err
	}
	here := slices.DeleteFunc(all, func(s cluster.Store) bool { return !slices.Contains(s.Nodes, g.Node) })
	if in.Storage == "" {
		in.Storage, err = only(here, g.Node, "backup", "backups")
	}
	if err != nil {
		return err
	}
	path := "/storage/" + in.Storage
	i := slices.IndexFunc(here, func(s cluster.Store) bool { return s.Storage.Value == in.Storage })
	switch {
	case i < 0 && perms.Has(path, "Datastore.Audit"):
		return cluster.NoStorageError(in.Storage, here)
	case i < 0: // PVE will say
	case !here[i].Holds("backup"):
		return notForBackups(in.Storage, here)
	default:
		in.Shared = here[i].Shared.Value
	}
	if err := cluster.RequirePrivilege(perms, path, "Datastore.AllocateSpace"); err != nil || in.Prune == "" {
		return err
	}
	return cluster.RequirePrivilege(perms, path, "Datastore.Allocate")
}

// only returns the name of a node's store for a kind of content, if there is exactly one.
func only(here []cluster.Store, node, content, what string) (string, error) {
	names := cluster.StoreNames(slices.DeleteFunc(slices.Clone(here), func(s cluster.Store) bool { return !s.Holds(content) || !s.UsableOn(node) }))
	switch len(names) {
	case 0:
		return "", explain.Refusal("Name one with storage.", "%s has no storage for %s that this token may see and that is available.", node, what)
	case 1:
		return names[0], nil
	}
	return "", explain.Refusal("Name one with storage.", "%s has several storages for %s: %s.", node, what, render.List(names))
}

// lastRE matches the rule that keeps the last N.
var lastRE = lazyregexp.New(`^keep-last=(\d+)$`)

// pruned lists the backups that PVE would delete. PVE counts the new backup too, unless it is
// protected. Only for keep-last are the backups known beforehand.
func pruned(ctx context.Context, c *tool.Call, g pve.GuestRef, in createIn) ([]string, error) {
	rule, goes := in.Prune, []string{"remove"}
	out := []string{fmt.Sprintf("older backups of %v on %s are deleted by the rule %s", g, in.Storage, render.Text(rule, 100))}
	if m := lastRE.FindStringSubmatch(rule); in.Protected {
		out[0] += "; the new one is protected and does not count"
	} else if m == nil {
		out[0] += ", which counts the new one, so other backups than these may be deleted"
	} else if n, err := strconv.Atoi(m[1]); err == nil && n > 1 {
		rule = fmt.Sprintf("keep-last=%d", n-1)
	} else if n == 1 {
		goes = append(goes, "keep")
	}
	marks, err := c.PVE.PrunePlan(ctx, g.Node, in.Storage, pve.PruneRule{Keep: rule, Kind: g.Kind, VMID: in.VMID})
	if err != nil {
		return nil, err
	}
	for _, m := range marks {
		if slices.Contains(goes, m.Mark) {
			out = append(out, "the backup "+render.Text(m.VolID.String(), 200)+" is deleted")
		}
	}
	if len(out) == 1 {
		out = append(out, "none of the present backups")
	}
	return out, nil
}

func startCreate(ctx context.Context, c *tool.Call, in *createState) (change.Job, error) {
	wanted := pve.NewBackup{
		VMIDs: []pve.VMID{in.VMID}, Storage: in.Storage, Mode: in.Mode, Compress: in.Compress,
		Notes: in.Notes, Protected: in.Protected, Keep: in.Prune,
	}
	_, upid, err := cluster.AtGuest(ctx, c.View, in.VMID, func(g pve.GuestRef) (proxmox.UPID, error) { return c.PVE.Backup(ctx, g.Node, wanted) })
	return change.Job{UPID: upid}, err
}

// finishCreate looks for a backup that is not older than the task. PVE names a backup by the
// time at which it began.
func finishCreate(ctx context.Context, c *tool.Call, in createState, end change.End) (createOut, error) {
	g, err := c.Guest(ctx, in.VMID)
	if err != nil {
		return createOut{}, err
	}
	node := end.Status.UPID.Node
	out := createOut{VMID: in.VMID, Node: g.Node.Value}
	if !end.Status.Succeeded() {
		return out, nil
	}
	at := cluster.StoreOn(node, in.Storage)
	at.Shared = lenient.Some(in.Shared)
	found, _, err := storedbackups.List(ctx, c, []cluster.Store{at}, in.VMID)
	for _, b := range slices.Backward(found) { // oldest first
		if b.CTime.Value >= end.Status.UPID.Start.Unix() {
			out.Backup = rowOf(c, b)
			return out, err
		}
	}
	if err == nil {
		out.SetOutcome(tool.Unknown, "pve_task_status shows what its task did, pve_list_backups what is on the storage.",
			"PVE's task succeeded, but no backup of %v as new as the task is listed on %s.", in.VMID, render.Text(in.Storage, 60))
	}
	return out, err
}
