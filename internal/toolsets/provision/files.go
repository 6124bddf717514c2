package provision

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/images"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pve"
)

// filesNamed finds the volumes of a kind that a caller means, by their volid or by words that are
// all in the name of the file, and the nodes that have each. notes say what was not looked into.
func filesNamed(ctx context.Context, c *tool.Call, stores []cluster.Store, content, text string, words []string) (found []pve.VolID, nodes map[pve.VolID][]string, notes []string, err error) {
	whole, notWhole := pve.ParseVolID(text)
	with := slices.DeleteFunc(cluster.StoresFor(content, stores), func(s cluster.Store) bool {
		return notWhole == nil && s.Storage.Value != whole.Storage
	})
	if len(with) == 0 {
		return nil, nil, nil, nil
	}
	got, notes, err := c.Volumes(ctx, with, pve.VolumeFilter{Content: content})
	if err != nil {
		return nil, nil, nil, err
	}
	nodes = map[pve.VolID][]string{}
	for _, s := range got {
		for _, v := range s.Value {
			if v.VolID != whole && !(len(words) > 0 && images.AreAmong(words, images.WordsOf(fileOf(v.VolID)))) {
				continue
			}
			if nodes[v.VolID] == nil {
				found = append(found, v.VolID)
			}
			nodes[v.VolID] = append(nodes[v.VolID], s.From.Ready...)
		}
	}
	if slices.Contains(found, whole) {
		found = []pve.VolID{whole}
	}
	return found, nodes, notes, nil
}

// fileNames are the names of the files of volumes, each once.
func fileNames(ids []pve.VolID) []string {
	var out []string
	for _, id := range ids {
		out = append(out, fileOf(id))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// listVolumes lists the first of some volumes.
func listVolumes(ids []pve.VolID) string {
	var out []string
	for _, id := range ids[:min(8, len(ids))] {
		out = append(out, render.Text(id.String(), 100))
	}
	return render.List(out)
}

// notLookedInto says what a search has left out.
func notLookedInto(notes []string) string {
	if len(notes) == 0 {
		return ""
	}
	return " Not looked into: " + render.Text(strings.Join(notes, "; "), 200) + "."
}

// findISO finds the CD that is named, by its volid or by words such as debian 12.
func (p *vmPlan) findISO(ctx context.Context, c *tool.Call) error {
	if p.in.ISO == "" {
		return nil
	}
	shown := render.Text(p.in.ISO, 80)
	id, err := pve.ParseVolID(p.in.ISO)
	if err == nil && !strings.HasPrefix(id.Name, "iso/") {
		return tool.BadArgument("iso", fmt.Sprintf("is %q, which is no CD: those are STORAGE:iso/FILE", shown))
	}
	found, nodes, notes, err := filesNamed(ctx, c, p.stores, "iso", p.in.ISO, images.WordsOf(p.in.ISO))
	if err != nil {
		return err
	}
	switch files := fileNames(found); {
	case len(files) == 0:
		return explain.Refusal("pve_download without arguments lists those that are there, and with a URL it fetches one.",
			"No storage has a CD %q.%s Nothing was made.", shown, notLookedInto(notes))
	case len(files) > 1:
		return explain.Refusal("Give one of them as iso: "+listVolumes(found)+".", "%q may mean %d CDs. Nothing was made.", shown, len(files))
	}
	if name := found[0].String(); name != p.in.ISO {
		p.Chosens["iso"] = render.Text(name, 120)
	}
	p.ISO, p.isoNodes = found[0], nodes[found[0]]
	return nil
}
