package console

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/change"
	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/guestexec"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/tool"
)

type listFilesIn struct {
	fileArguments
	Offset int `json:"offset,omitzero" min:"0" jsonschema:"entries to skip; default: 0"`
}

type listFilesState struct {
	listFilesIn
	Place guestexec.Place   `json:"place"`
	Found []guestexec.Entry `json:"found"`
}

// listedFile is an entry of a folder in an answer.
type listedFile struct {
	Name    string `json:"name" jsonschema:"from the guest"`
	Kind    string `json:"kind" jsonschema:"file, folder, link or other"`
	Size    int64  `json:"size,omitzero"`
	Mode    string `json:"mode"`
	Owner   string `json:"owner" jsonschema:"user:group"`
	Changed string `json:"changed"`
}

type listFilesOut struct {
	change.Answer
	Files []listedFile `json:"files,omitzero"`
	All   int          `json:"all,omitzero" jsonschema:"entries of the folder"`
	More  int          `json:"more,omitzero" jsonschema:"the offset of what follows"`
}

func listFiles() tool.Tool {
	return change.New(change.Spec[listFilesIn, listFilesState, listFilesOut]{
		Name:  "pve_list_files",
		Title: "List a folder in a guest",
		Doc: "List a folder or directory (what is in /etc) inside a Linux VM (by its agent) or a container (by its console): names, kinds, sizes, modes, owners, " +
			"times.",
		Long: true,
		Examples: []tool.Example{
			{Arguments: `{"vmid":100,"path":"/etc"}`},
			{Arguments: `{"vmid":203,"path":"/etc"}`, Since: "9.2"},
		},
		Idempotent: true,
		Worst:      policy.Exec,
		Risk:       func(listFilesIn) policy.Risk { return policy.Exec },
		Needs:      fileNeeds(),
		Plan: func(ctx context.Context, c *tool.Call, in listFilesIn) (change.Plan, listFilesState, error) {
			s := listFilesState{listFilesIn: in}
			var err error
			if s.Place, err = in.findFile(ctx, c); err != nil {
				return change.Plan{}, s, err
			}
			if s.Place.Windows {
				return change.Plan{}, s, explain.Refusal(`List it with pve_vm_exec, shell: dir C:\data.`, "The agent has no call that lists a folder, and %v runs Windows: only reading and writing of files work there.", s.Place.Guest)
			}
			return in.planFile(s.Place, "Listing"), s, nil
		},
		Start: func(ctx context.Context, c *tool.Call, s *listFilesState) (change.Job, error) {
			err := s.withFile(ctx, c, s.Place.Guest, func(f *guestexec.File) (err error) {
				s.Found, err = f.List(ctx)
				return err
			})
			return change.Job{}, nothingChanged(err)
		},
		Finish: func(_ context.Context, c *tool.Call, s listFilesState, _ change.End) (listFilesOut, error) {
			return s.answer(c), nil
		},
	})
}

// answer shows the entries by name, as many as there is room for.
func (s listFilesState) answer(c *tool.Call) listFilesOut {
	all := slices.SortedFunc(slices.Values(s.Found), func(a, b guestexec.Entry) int { return strings.Compare(a.Name, b.Name) })
	out := listFilesOut{All: len(all)}
	const around = 130 // bytes of an entry besides its names
	left := room(c)
	first := min(s.Offset, len(all))
	for _, e := range all[first:] {
		shown := listedFile{
			Name: render.Text(e.Name, 255), Kind: e.Kind, Size: e.Size, Mode: e.Mode,
			Owner: render.Text(e.User, 40) + ":" + render.Text(e.Group, 40), Changed: e.Changed.UTC().Format(time.RFC3339),
		}
		if left -= around + 2*len(shown.Name) + len(shown.Owner); left < 0 {
			break
		}
		out.Files = append(out.Files, shown)
	}
	at := fmt.Sprintf("%s in %s", render.Text(s.Path, 200), s.Place.Label)
	out.Message = fmt.Sprintf("%s has %d entries.", at, len(all))
	if len(out.Files) < len(all) {
		out.Message = fmt.Sprintf("%s has %d entries; these are %d from %d on.", at, len(all), len(out.Files), first)
	}
	if end := first + len(out.Files); end < len(all) {
		out.More = end
		out.Next = fmt.Sprintf("Go on with offset: %d.", end)
	}
	return out
}
