package console

import (
	"context"
	"fmt"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/change"
	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/localfiles"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/show"
	"github.com/pve-mcp/pve-mcp/internal/storedbackups"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pve"
)

type restoreFileIn struct {
	Archive   pve.VolID `json:"archive,omitzero" jsonschema:"the backup's volid"`
	Source    pve.VMID  `json:"source_guest,omitzero" jsonschema:"in place of archive: whose newest good backup"`
	Path      string    `json:"path,omitzero" jsonschema:"as listed; default: the root"`
	LocalPath string    `json:"local_path,omitzero" jsonschema:"save it as, below PVE_MCP_FILES; default: list it"`
	Overwrite bool      `json:"overwrite,omitzero" jsonschema:"replace local_path"`
	Limit     int       `json:"limit,omitzero" min:"1" max:"200" default:"100" jsonschema:"rows"`
	Offset    int       `json:"offset,omitzero" min:"0" jsonschema:"rows to skip"`
	change.TransferArgument
}

type restoreFileState struct {
	restoreFileIn
	Node  string             `json:"node"`
	Found []pve.ArchivedFile `json:"found"` // those of the page
	Total int                `json:"total"`
	Saved localfiles.Saved   `json:"saved"`
	Notes []string           `json:"notes"`
}

type restoreFileOut struct {
	change.Answer
	Archive string        `json:"archive,omitzero"`
	Path    string        `json:"path,omitzero"`
	Entries []archivedRow `json:"entries,omitzero" jsonschema:"of the folder, or the file"`
	Total   int           `json:"total,omitzero"`
	tool.Rest
	LocalPath string   `json:"local_path,omitzero" jsonschema:"that was written"`
	Size      *int64   `json:"size,omitzero" jsonschema:"bytes of it"`
	SHA256    string   `json:"sha256,omitzero" jsonschema:"of it"`
	Notes     []string `json:"notes,omitzero"`
}

type archivedRow struct {
	Name    string `json:"name"`
	Type    string `json:"type" jsonschema:"file, folder, link, volume (a disk or partition, opened like a folder) or other"`
	Size    *int64 `json:"size,omitzero" jsonschema:"bytes"`
	Changed string `json:"changed,omitzero"`
}

func restoreFile() tool.Tool {
	return change.New(change.Spec[restoreFileIn, restoreFileState, restoreFileOut]{
		Name:  "pve_restore_file",
		Title: "Get a file out of a backup",
		Doc:   "Bring back one file from a guest's backup on a Proxmox Backup Server: lists what is inside, or saves a file, or a folder as a zip, on this machine.",
		Long:  true,
		Examples: []tool.Example{
			{Arguments: `{"source_guest":102}`},
			{Arguments: `{"archive":"$ARCHIVE","path":"/drive-scsi0.img.fidx/part/1/etc"}`, Given: []tool.Given{{Word: "$ARCHIVE", Tool: "pve_list_backups", Arguments: `{"storage":"pbs"}`, Field: "backups.0.volid"}}},
		},
		Idempotent: true,
		Worst:      policy.Exec,
		Risk:       func(restoreFileIn) policy.Risk { return policy.Exec },
		Needs: []tool.Need{
			tool.On(tool.OnStorage, "Datastore.Audit"),
			tool.On(tool.OnStorage, "Datastore.AllocateSpace"),
			tool.On(tool.OnGuest, "VM.Backup"),
		},
		Plan:   planRestoreFile,
		Steps:  restoreFileSteps,
		Finish: finishRestoreFile,
	})
}

func planRestoreFile(ctx context.Context, c *tool.Call, in restoreFileIn) (change.Plan, restoreFileState, error) {
	s := restoreFileState{restoreFileIn: in}
	if reason := c.Host().Policy.RefuseBackupFiles(); reason != "" {
		return change.Plan{}, s, &policy.RefusedError{Reason: reason}
	}
	s.Path = path.Clean("/" + in.Path)
	if strings.ContainsFunc(in.Path, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return change.Plan{}, s, tool.BadArgument("path", "has control characters: give it as a listing shows it")
	}
	switch {
	case in.LocalPath == "" && in.Overwrite:
		return change.Plan{}, s, tool.BadArgument("overwrite", "goes with local_path: give that too")
	case in.LocalPath != "" && s.Path == "/":
		return change.Plan{}, s, tool.BadArgument("path", "is the root of the backup: name a file or folder in it, as a listing shows them")
	case in.LocalPath != "":
		if err := localfiles.In(c).Check(in.LocalPath, in.Overwrite); err != nil {
			return change.Plan{}, s, err
		}
	}
	if err := s.chooseArchive(ctx, c); err != nil {
		return change.Plan{}, s, err
	}
	var err error
	if s.Node, err = backupServerNode(ctx, c, s.Archive); err != nil {
		return change.Plan{}, s, err
	}
	plan := change.Plan{
		Subject: s.subject(), About: "Look at " + s.label(),
		Consequences: []string{"it shows files of the guest, secrets among them"},
	}
	if in.LocalPath != "" {
		plan.About = fmt.Sprintf("Restore of %s to %s", s.label(), render.Text(localfiles.In(c).Whole(in.LocalPath), 300))
	}
	return plan, s, nil
}

// chooseArchive takes the newest good backup of the guest that the caller has named.
func (s *restoreFileState) chooseArchive(ctx context.Context, c *tool.Call) error {
	switch none := (pve.VolID{}); {
	case s.Source == 0 && s.Archive == none:
		return tool.BadArgument("archive", "is needed, as pve_list_backups has it; or source_guest, whose newest good backup is taken")
	case s.Source == 0:
		return nil
	case s.Archive != none:
		return tool.BadArgument("source_guest", "chooses the backup; leave archive out")
	}
	perms, err := c.PVE.Permissions(ctx)
	if err != nil {
		return err
	}
	b, notes, err := storedbackups.NewestGood(ctx, c, perms, s.Source, func(on cluster.Store) string {
		if on.PluginType.Value != "pbs" {
			return "it is not on a Proxmox Backup Server"
		}
		return ""
	})
	s.Archive, s.Notes = b.Volume, notes
	return err
}

// backupServerNode returns a node that reaches the backup. A backup that is not on a Proxmox
// Backup Server is refused, with what helps.
func backupServerNode(ctx context.Context, c *tool.Call, archive pve.VolID) (string, error) {
	shown := render.Text(archive.String(), 200)
	if !strings.HasPrefix(archive.Name, "backup/") {
		return "", tool.BadArgument("archive", fmt.Sprintf("is %q, which is not the name of a backup; pve_list_backups lists them", shown))
	}
	stores, err := c.Stores(ctx)
	if err != nil {
		return "", err
	}
	switch cluster.StorageType(stores, archive.Storage) {
	case "":
		return "", cluster.NoStorageError(archive.Storage, stores)
	case "pbs":
	default:
		return "", explain.Refusal(fmt.Sprintf(`Restore a copy of its guest under a new id, without a network, and take the file from there with pve_vm_exec: pve_restore_backup {"archive":%q,"disconnect_nics":true,"unique":true,"start":true}. Delete the copy with pve_delete_guest afterwards.`, shown),
			"%s is not on a Proxmox Backup Server, and only those give single files.", shown)
	}
	for _, s := range stores {
		if s.Storage.Value == archive.Storage && s.Ready != nil {
			return s.Ready[0], nil
		}
	}
	return "", explain.Refusal("See with pve_list_storages what it lacks.", "No node reaches the storage %s now.", render.Text(archive.Storage, 60))
}

func (s restoreFileState) subject() policy.Subject {
	return policy.Subject{Kind: policy.VolumeKind, ID: s.Archive.String()}
}

func (s restoreFileState) label() string {
	return fmt.Sprintf("%s in %s", render.Text(s.Path, 200), render.Text(s.Archive.String(), 200))
}

// restoreFileSteps are a look at the file, whose size is needed to know whether all of it has
// come, and the download.
func restoreFileSteps(s restoreFileState) []change.Step[restoreFileState] {
	target := func(what string) policy.Target {
		return policy.Target{Method: http.MethodGet, Path: "/nodes/*/storage/*/file-restore/" + what, Subject: s.subject()}
	}
	steps := []change.Step[restoreFileState]{{About: "Look at " + s.label(), Target: target("list"), Send: listArchived}}
	if s.LocalPath != "" {
		steps = append(steps, change.Step[restoreFileState]{About: "Restore of " + s.label(), Target: target("download"), Send: saveArchived, Rest: "Call again: nothing was saved."})
	}
	return steps
}

// listArchived looks at the folder or file.
func listArchived(ctx context.Context, c *tool.Call, s *restoreFileState) (change.Job, error) {
	c.Report(cluster.Progress{Message: "the backup is opened: of a VM that takes up to a minute"})
	found, err := c.PVE.ArchivedFiles(ctx, s.Node, s.Archive, s.Path)
	if err != nil {
		return change.Job{}, s.explain(err)
	}
	s.Total = len(found)
	if s.LocalPath == "" {
		s.Found, _ = tool.Page(found, s.Limit, s.Offset)
		return change.Job{}, nil
	}
	s.Found = nil
	if f, ok := only(found, s.Path); ok {
		s.Found = []pve.ArchivedFile{f}
	}
	return change.Job{}, nil
}

// only is the entry of a listing that is a file itself, and not what a folder has.
func only(found []pve.ArchivedFile, path string) (pve.ArchivedFile, bool) {
	if len(found) == 1 && strings.Trim(found[0].Path(), "/") == strings.Trim(path, "/") {
		return found[0], true
	}
	return pve.ArchivedFile{}, false
}

// saveArchived saves the file, or the folder as a zip.
func saveArchived(ctx context.Context, c *tool.Call, s *restoreFileState) (change.Job, error) {
	timely, cancel := context.WithTimeout(ctx, time.Duration(s.Timeout)*time.Second)
	defer cancel()
	from, err := c.PVE.ArchivedFile(timely, s.Node, s.Archive, s.Path)
	if err != nil {
		return change.Job{}, s.explain(err)
	}
	defer func() { _ = from.Close() }()
	d := &download{from: from, call: c, wants: -1, state: *s}
	if len(s.Found) == 1 {
		d.wants = s.Found[0].Size.Or(-1)
	}
	s.Saved, err = localfiles.In(c).Save(s.LocalPath, d, s.Overwrite)
	if err != nil && timely.Err() != nil && ctx.Err() == nil {
		err = explain.Refusal("Call again with a longer timeout.", "After %d seconds %s of %s had come, and not all of it. Nothing was saved.", s.Timeout, render.Bytes(d.got), s.label())
	}
	return change.Job{}, err
}

func finishRestoreFile(_ context.Context, c *tool.Call, s restoreFileState, _ change.End) (restoreFileOut, error) {
	out := restoreFileOut{Archive: render.Text(s.Archive.String(), 200), Path: render.Text(s.Path, 1000), Notes: s.Notes}
	if s.LocalPath != "" {
		out.LocalPath, out.Size, out.SHA256 = render.Text(s.Saved.Path, 1000), &s.Saved.Size, s.Saved.SHA256
		out.SetOutcome(tool.OK, "", "%s of %s was saved as %s.", map[bool]string{true: "The file", false: "The folder, as a zip,"}[len(s.Found) == 1], s.label(), out.LocalPath)
		return out, nil
	}
	out.Total = s.Total
	_, out.Rest = tool.Page(make([]struct{}, s.Total), s.Limit, s.Offset)
	for _, f := range s.Found {
		row := archivedRow{Name: render.Text(f.Name, 255), Type: kindOf(f), Size: show.Number(f.Size)}
		if f.MTime.Set {
			row.Changed = render.Time(time.Unix(f.MTime.Value, 0).UTC())
		}
		out.Entries = append(out.Entries, row)
	}
	if _, ok := only(s.Found, s.Path); ok {
		out.SetOutcome(tool.OK, "Give local_path to save it.", "%s is no folder.", s.label())
		return out, nil
	}
	out.SetOutcome(tool.OK, "", "%s has %d entries.", s.label(), s.Total)
	return out, nil
}

// kindOf says what an entry is.
func kindOf(f pve.ArchivedFile) string {
	switch f.Type {
	case "f", "h":
		return "file"
	case "d":
		return "folder"
	case "l":
		return "link"
	case "v":
		return "volume"
	}
	return "other"
}
