package console

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/change"
	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/guestexec"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/lazyregexp"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
)

// fileArguments say which file or folder a call is about.
type fileArguments struct {
	VMID pve.VMID `json:"vmid"`
	Path string   `json:"path" jsonschema:"absolute, in the guest"`
	change.TimeoutArgument
}

// localArgument names a file of this machine.
type localArgument struct {
	LocalPath string `json:"local_path,omitzero" jsonschema:"a file below the folder PVE_MCP_FILES of this server, in place of content in the call"`
}

// fileFacts are those of a file in an answer.
type fileFacts struct {
	VMID    pve.VMID `json:"vmid,omitzero"`
	Path    string   `json:"path,omitzero"`
	Size    *int64   `json:"size,omitzero" jsonschema:"bytes, of the whole file"`
	Mode    string   `json:"mode,omitzero"`
	Owner   string   `json:"owner,omitzero" jsonschema:"uid:gid"`
	Changed string   `json:"changed,omitzero"`
}

func (f *fileFacts) set(facts guestexec.Facts) {
	f.Size = &facts.Size
	if facts.Mode == "" {
		return // the agent does not tell
	}
	f.Mode, f.Owner = facts.Mode, fmt.Sprintf("%d:%d", facts.UID, facts.GID)
	f.Changed = facts.Changed.UTC().Format(time.RFC3339)
}

// fileNeeds are the privileges of commands in guests.
func fileNeeds() []tool.Need {
	return []tool.Need{
		tool.On(tool.OnGuest, "VM.Audit"),
		tool.On(tool.OnGuest, "VM.Console").Else("files of VMs only").Since(9),
		tool.On(tool.OnRoot, "Sys.Audit").Else("of a cluster, files of VMs only").Since(9),
		tool.On(tool.OnGuest, "VM.Monitor").Until(9),
		tool.On(tool.OnGuest, "VM.GuestAgent.Unrestricted").Since(9),
	}
}

// windowsRE is an absolute path of Windows.
var windowsRE = lazyregexp.New(`^[A-Za-z]:[\\/]`)

// mostPath is how long a path may be.
const mostPath = 4096

// findFile looks up the guest, and refuses a path that cannot be meant or may not be used.
func (in fileArguments) findFile(ctx context.Context, c *tool.Call) (guestexec.Place, error) {
	if len(in.Path) > mostPath || strings.ContainsFunc(in.Path, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return guestexec.Place{}, tool.BadArgument("path", "is longer than a path may be, or has control characters")
	}
	clean := path.Clean(in.Path) == in.Path && !strings.HasPrefix(in.Path, "//")
	if !windowsRE.MatchString(in.Path) && !(strings.HasPrefix(in.Path, "/") && clean) {
		return guestexec.Place{}, tool.BadArgument("path", `is not absolute and clean, such as /etc/hosts or C:\data\a.txt: it has no .. and does not end with /`)
	}
	if reason := c.Host().Policy.RefuseFile(in.Path); reason != "" {
		return guestexec.Place{}, &policy.RefusedError{Reason: reason}
	}
	place, err := guestexec.FindPlace(ctx, c, in.VMID)
	switch {
	case err != nil:
		return place, err
	case place.Windows && !windowsRE.MatchString(in.Path):
		return place, tool.BadArgument("path", fmt.Sprintf(`is not one of Windows, which runs in %v: give one such as C:\data\a.txt`, place.Guest))
	case !place.Windows && !strings.HasPrefix(in.Path, "/"):
		return place, tool.BadArgument("path", "is not an absolute path such as /etc/hosts")
	}
	return place, nil
}

// planFile is the plan of what is done with a file.
func (in fileArguments) planFile(place guestexec.Place, does string) change.Plan {
	plan := change.Plan{
		Subject: policy.Guest(in.VMID), About: fmt.Sprintf("%s of %s in %s", does, render.Text(in.Path, 200), place.Label),
		Consequences: []string{"it is done as root or SYSTEM"},
	}
	switch argv := policy.FileCommand(policy.FileWhere, in.Path, ""); {
	case place.Windows:
		plan.Target = change.GuestTarget(http.MethodPost, place.Guest, "/agent/file-write")
	case place.Guest.Kind == pve.LXC:
		plan.Target = guestexec.ConsoleTarget(place.Guest, argv, false)
	default:
		plan.Target = change.GuestTarget(http.MethodPost, place.Guest, "/agent/exec")
		plan.Target.File = in.Path
	}
	return plan
}

// withFile does something with a file of a system that is not Windows.
func (in fileArguments) withFile(ctx context.Context, c *tool.Call, g pve.GuestRef, do func(*guestexec.File) error) (err error) {
	inside, leave, err := guestexec.Enter(ctx, c, g, c.Patience(in.Timeout))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, leave()) }()
	f, err := inside.OpenFile(ctx, in.Path)
	if err != nil {
		return err
	}
	return do(f)
}

// nothingChanged is the error of what only reads: if its outcome is unknown, nothing was
// changed all the same.
func nothingChanged(err error) error {
	if proxmox.OutcomeUnknown(err) {
		return explain.Refusal("Try again.", "The connection was lost while it was read. Nothing was changed.")
	}
	return err
}
