package storage

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pve"
)

// sumRow is what volumes take together.
type sumRow struct {
	Of        string `json:"of" jsonschema:"a guest, or a kind of content"`
	Volumes   int    `json:"volumes"`
	Size      int64  `json:"size" jsonschema:"bytes: on the storage if that is known, else as guests see it"`
	SizeHuman string `json:"size_human"`
}

// usage is how much of a storage is used, and by what.
type usage struct {
	Used             int64  `json:"used" jsonschema:"bytes"`
	UsedHuman        string `json:"used_human"`
	TotalHuman       string `json:"total_human"`
	Unexplained      *int64 `json:"unexplained,omitzero" jsonschema:"bytes in use that are of no volume; left out if that cannot be known"`
	UnexplainedHuman string `json:"unexplained_human,omitzero"`
	Note             string `json:"note,omitzero"`
}

// mostSums is how many sums an answer has room for.
const mostSums = 100

// sum adds up what volumes take, by guest or by content. whole says that all stores were read,
// and hidden that they have volumes which the token cannot see.
func (out *contentOut) sum(ctx context.Context, c *tool.Call, in contentIn, stores []cluster.Store, all []stored, whole, hidden bool) error {
	list, err := c.List(ctx, "")
	if err != nil {
		return err
	}
	sums := map[string]*sumRow{}
	var taken int64
	exact := true
	for _, v := range all {
		size, known := bytesTaken(v)
		exact = exact && known
		taken += size
		name := v.Content
		if in.SumBy == "guest" {
			name = ownerOf(list, v)
		}
		if sums[name] == nil {
			sums[name] = &sumRow{Of: name}
		}
		sums[name].Volumes++
		sums[name].Size += size
	}
	var rows []sumRow
	for _, s := range sums {
		s.SizeHuman = render.Bytes(s.Size)
		rows = append(rows, *s)
	}
	slices.SortFunc(rows, func(a, b sumRow) int { return cmp.Or(cmp.Compare(b.Size, a.Size), pve.CompareNames(a.Of, b.Of)) })
	out.Usage = usageOf(stores)
	if out.Usage != nil {
		out.Usage.explain(stores[0], taken, exact, whole && in.Content == "" && in.VMID == 0, hidden)
	}
	out.Total = len(rows)
	out.Sums, out.Rest = tool.Page(rows, min(in.Limit, mostSums), in.Offset)
	out.Message = sumMessage(in, rows, out.Usage)
	return nil
}

// bytesTaken is what a volume takes on its storage, and whether that is known. Files that are
// not images of disks take what they are long.
func bytesTaken(v stored) (size int64, known bool) {
	switch {
	case v.Used.Set:
		return v.Used.Value, true
	case !v.Size.Set:
		return v.ApproxSize.Value, false
	}
	return v.Size.Value, v.on.PluginType.Value == "lvm" || v.Content != "images" && v.Content != "rootdir"
}

// ownerOf names the guest that a volume belongs to.
func ownerOf(list *pve.ResourceList, v stored) string {
	id := pve.VMID(v.VMID.Value)
	if id == 0 {
		return "no guest"
	}
	if g, ok := list.Guest(id); ok {
		return fmt.Sprintf("%v %s", id, render.Text(g.Name(), 60))
	}
	return fmt.Sprintf("%v, which is not there or cannot be seen", id)
}

// usageOf is how much of stores is used together, nil if that is not known of all.
func usageOf(stores []cluster.Store) *usage {
	u := &usage{}
	var total int64
	for _, s := range stores {
		if s.Ready == nil || !s.Disk.Set || s.MaxDisk.Value == 0 {
			return nil
		}
		u.Used, total = u.Used+s.Disk.Value, total+s.MaxDisk.Value
	}
	u.UsedHuman, u.TotalHuman = render.Bytes(u.Used), render.Bytes(total)
	return u
}

// explain says how much of what is used is of no volume, or why that is not known.
func (u *usage) explain(on cluster.Store, taken int64, exact, whole, hidden bool) {
	switch {
	case !whole:
		u.Note = "not all volumes are counted, so what is of none is not known"
	case on.PluginType.Value == "pbs":
		u.Note = "a backup server keeps what backups have in common once, so that they take less than their sizes"
	case !exact:
		u.Note = "PVE does not say how much of their sizes the volumes take here"
	default:
		rest := max(0, u.Used-taken)
		u.Unexplained, u.UnexplainedHuman = &rest, render.Bytes(rest)
		u.Note = "such as snapshots, files that PVE does not list, and what else is on the same file system or pool"
		if hidden {
			u.Note = "such as the volumes that this token cannot see (notes), " + strings.TrimPrefix(u.Note, "such as ")
		}
	}
}

func sumMessage(in contentIn, rows []sumRow, u *usage) string {
	var most []string
	for _, r := range rows[:min(3, len(rows))] {
		most = append(most, fmt.Sprintf("%s %s", r.Of, r.SizeHuman))
	}
	text := in.Storage + ": "
	if u != nil {
		text += fmt.Sprintf("%s of %s used; ", u.UsedHuman, u.TotalHuman)
	}
	text += "most by " + strings.Join(most, ", ")
	if most == nil {
		text = strings.TrimSuffix(text, "most by ") + "no volume that matches can be seen"
	}
	if u != nil && u.Unexplained != nil {
		text += fmt.Sprintf("; %s is of no volume that can be seen", u.UnexplainedHuman)
	}
	return text + "."
}
