package backup

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"pve-mcp/internal/explain"
	"pve-mcp/internal/guard"
	"pve-mcp/internal/render"
	"pve-mcp/internal/tool"
	"pve-mcp/pve"
)

type restoreIn struct {
	Archive   pve.VolID `json:"archive" jsonschema:"volid"`
	VMID      pve.VMID  `json:"vmid,omitzero" jsonschema:"default: the next free one"`
	Node      string    `json:"node,omitzero"`
	Storage   string    `json:"storage,omitzero" jsonschema:"of the disks"`
	Overwrite bool      `json:"overwrite,omitzero" jsonschema:"replace the guest vmid"`
	Unique    bool      `json:"unique,omitzero" jsonschema:"new MAC addresses"`
	Run       bool      `json:"start,omitzero"`
	tool.Confirms
	tool.Waits

	kind   pve.Kind
	chosen bool // VMID was chosen here
	note   string
}

type restoreOut struct {
	tool.Changed
	VMID   pve.VMID `json:"vmid,omitzero"`
	Name   string   `json:"name,omitzero"`
	Node   string   `json:"node,omitzero"`
	Status string   `json:"status,omitzero"`
	Note   string   `json:"note,omitzero"`
}

var restoreBackup = tool.Change(tool.ChangeSpec[restoreIn, restoreOut]{
	Name:  "pve_restore_backup",
	Title: "Restore a guest from a backup",
	Doc:   "Restores a guest under a new id, or with overwrite in place of an existing one, whose disks are lost.",
	Worst: guard.Destructive,
	Risk: func(in restoreIn) guard.Risk {
		if in.Overwrite {
			return guard.Destructive
		}
		return guard.Write
	},
	Needs: []tool.Need{
		tool.On(tool.OnNewGuest, "VM.Allocate"),
		tool.On(tool.OnGuest, "VM.Backup").If("the original, or the one that is overwritten"),
		tool.On(tool.OnStorage, "Datastore.AllocateSpace").If("the backup's storage, unless its guest keeps its id, and that of the disks"),
		tool.On(tool.OnStorage, "Datastore.Audit").Else("the node and, of a container, the storage must be named"),
		tool.On(tool.OnNewGuest, "VM.PowerMgmt").If("start"),
	},
	Plan:   planRestore,
	Start:  startRestore,
	Finish: finishRestore,
})

// kinds tell by the name of an archive what is in it: on a directory, on a backup
// server.
var (
	archiveRE = regexp.MustCompile(`(?:^|/)vzdump-(qemu|lxc)-(\d+)-`)
	serverRE  = regexp.MustCompile(`^backup/(vm|ct)/(\d+)/`)
)

// archive says what is in a backup, by its name.
func archive(v pve.VolID) (kind pve.Kind, id pve.VMID, ok bool) {
	m := archiveRE.FindStringSubmatch(v.Name)
	if m == nil {
		m = serverRE.FindStringSubmatch(v.Name)
	}
	if m == nil {
		return "", 0, false
	}
	id, err := pve.ParseVMID(m[2])
	kind = map[string]pve.Kind{"qemu": pve.QEMU, "vm": pve.QEMU, "lxc": pve.LXC, "ct": pve.LXC}[m[1]]
	return kind, id, err == nil
}

func planRestore(ctx context.Context, c *tool.Call, in *restoreIn) (tool.Plan, error) {
	kind, original, ok := archive(in.Archive)
	if !ok {
		return tool.Plan{}, tool.BadArgument("archive", fmt.Sprintf("is %q, which is no backup; pve_list_backups has their volids", render.Text(in.Archive.String(), 200)))
	}
	in.kind = kind
	if in.Overwrite && in.VMID == 0 {
		return tool.Plan{}, tool.BadArgument("overwrite", "needs a vmid")
	}
	stores, err := c.Stores(ctx)
	if err != nil {
		return tool.Plan{}, err
	}
	plan := tool.Plan{}
	if in.Overwrite {
		plan.Consequences, err = in.overwrites(ctx, c)
	} else {
		in.chosen = in.VMID == 0
		in.VMID, err = c.NewID(ctx, in.VMID)
	}
	if err != nil {
		return plan, err
	}
	if err := in.place(ctx, c, stores, original); err != nil {
		return plan, err
	}
	if err := in.exists(ctx, c); err != nil {
		return plan, err
	}
	if in.VMID != original && !in.Unique {
		in.warn(ctx, c, original)
	}
	plan.Guest = in.VMID
	plan.Target = guard.Target{Method: http.MethodPost, Path: "/nodes/*/" + string(kind), VMID: int(in.VMID)}
	plan.About = fmt.Sprintf("Restore of %s %v from %s on %s", kind.Noun(), in.VMID, render.Text(in.Archive.String(), 200), in.Node)
	return plan, nil
}

// overwrites checks the guest that is to be replaced, and says what is lost.
func (in *restoreIn) overwrites(ctx context.Context, c *tool.Call) ([]string, error) {
	g, s, err := c.Live(ctx, in.VMID)
	var none *pve.NoGuestError
	if errors.As(err, &none) {
		return nil, explain.Refusal("Leave overwrite out.", "There is no guest %v that this token may see, so there is nothing to overwrite.", in.VMID)
	}
	if err != nil {
		return nil, err
	}
	config, err := c.PVE.GuestConfig(ctx, g, nil)
	if err != nil {
		return nil, err
	}
	name := render.Text(s.Name.Value, 60)
	switch {
	case g.Kind != in.kind:
		return nil, explain.Refusal("Restore it under another id.", "%v (%s) is not of the backup's kind, so it cannot be overwritten.", g, name)
	case s.Status != "stopped":
		return nil, explain.Refusal("Shut it down first with pve_guest_power.", "%v (%s) is %s; only a stopped guest can be overwritten.", g, name, s.State())
	case config.Values["protection"] == "1":
		return nil, explain.Refusal("Restore it under another id.", "%v (%s) is protected against removal.", g, name)
	}
	if err := explain.Unlocked(g, s.Lock.Value); err != nil {
		return nil, err
	}
	if in.Node == "" {
		in.Node = g.Node
	}
	if in.Node != g.Node {
		return nil, tool.BadArgument("node", fmt.Sprintf("is %q, and the guest to overwrite is on %s", render.Text(in.Node, 60), g.Node))
	}
	out := []string{fmt.Sprintf("%v (%s) on %s is replaced by the backup, with its configuration and snapshots", g, name, g.Node)}
	for _, d := range config.Disks(g.Kind) {
		if !d.IsCDROM() && d.Volume.Storage != "" {
			out = append(out, fmt.Sprintf("what is on its disk %s (%s, %s) is lost", d.Key, render.Text(d.Volume.String(), 100), pve.FormatSize(d.Size.Value)))
		}
	}
	return out, nil
}

// place decides on which node and, of a container, on which storage the guest will be.
func (in *restoreIn) place(ctx context.Context, c *tool.Call, stores []tool.Store, original pve.VMID) error {
	var have []string // nodes that reach the archive
	for _, s := range stores {
		if s.Storage.Value == in.Archive.Storage {
			have = append(have, s.Nodes...)
		}
	}
	switch {
	case in.Node != "" && have != nil && !slices.Contains(have, in.Node):
		return explain.Refusal("Choose one of "+render.List(have)+".", "%s does not reach the storage %s.", render.Text(in.Node, 60), in.Archive.Storage)
	case in.Node == "" && have == nil:
		return explain.Refusal("Name the node.", "There is no storage %s, or this token may not see it.", render.Text(in.Archive.Storage, 60))
	case in.Node == "":
		in.Node = have[0]
		if g, err := c.Guest(ctx, original); err == nil && slices.Contains(have, g.Node.Value) {
			in.Node = g.Node.Value
		}
	}
	if _, err := c.Node(ctx, in.Node); err != nil || in.kind == pve.QEMU || in.Storage != "" {
		return err
	}
	var names []string
	for _, s := range stores {
		if s.Holds("rootdir") && s.Usable() && slices.Contains(s.Nodes, in.Node) {
			names = append(names, s.Storage.Value)
		}
	}
	switch len(names) {
	case 0:
		return explain.Refusal("Name one with storage.", "%s has no storage for containers that this token may see.", in.Node)
	case 1:
		in.Storage = names[0]
		return nil
	}
	return explain.Refusal("Name one with storage.", "%s has several storages for containers: %s.", in.Node, render.List(names))
}

// exists looks for the archive.
func (in *restoreIn) exists(ctx context.Context, c *tool.Call) error {
	volumes, err := c.PVE.Content(ctx, in.Node, in.Archive.Storage, url.Values{"content": {"backup"}})
	var said *pve.Error
	if errors.As(err, &said) && said.Status == 403 {
		return nil // it may be restored for all that; PVE knows
	}
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(volumes, func(v pve.Volume) bool { return v.VolID == in.Archive }) {
		return explain.Refusal("pve_list_backups has those that it may see.", "There is no backup %s on %s, or this token may not see it.", render.Text(in.Archive.String(), 200), in.Node)
	}
	return nil
}

// warn notes that the guest will have the MAC addresses of its original.
func (in *restoreIn) warn(ctx context.Context, c *tool.Call, original pve.VMID) {
	if g, err := c.Guest(ctx, original); err == nil {
		in.note = fmt.Sprintf("it has the MAC addresses of %v (%s), which still exists: do not run both in one network; unique: true makes new ones", g.Ref(), render.Text(g.Name.Value, 60))
	}
}

func startRestore(ctx context.Context, c *tool.Call, in *restoreIn) (tool.Job, error) {
	upid, err := tool.WithNewID(ctx, c, &in.VMID, in.chosen, func(id pve.VMID) (pve.UPID, error) {
		params := url.Values{"vmid": {strconv.Itoa(int(id))}}
		if in.kind == pve.LXC {
			params.Set("ostemplate", in.Archive.String())
			params.Set("restore", "1")
		} else {
			params.Set("archive", in.Archive.String())
		}
		for key, on := range map[string]bool{"force": in.Overwrite, "unique": in.Unique, "start": in.Run} {
			if on {
				params.Set(key, "1")
			}
		}
		if in.Storage != "" {
			params.Set("storage", in.Storage)
		}
		return c.PVE.CreateGuest(ctx, in.Node, in.kind, params)
	})
	return tool.Job{UPID: upid}, err
}

// finishRestore looks whether the guest is there, and runs where it was to.
func finishRestore(ctx context.Context, c *tool.Call, in restoreIn, end tool.End) (restoreOut, error) {
	g, s, err := c.Live(ctx, in.VMID)
	if err != nil {
		return restoreOut{}, err
	}
	out := restoreOut{VMID: in.VMID, Name: render.Text(s.Name.Value, 60), Node: g.Node, Status: s.State(), Note: in.note}
	if in.Run && end.Status.Succeeded() && s.Status != "running" {
		out.Note = strings.TrimPrefix(out.Note+"; it was restored, but does not run: its start failed", "; ")
	}
	return out, nil
}
