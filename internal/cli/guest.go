package cli

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pve"
)

// vmid is the argument by which tools know a guest.
const vmid = "vmid"

// resolveGuest lets a person name a guest by its name wherever a tool wants its vmid.
func resolveGuest(ctx context.Context, host tool.Host, args map[string]any) error {
	name, named := args[vmid].(string) // a number is none
	if !named || name == "" {
		return nil
	}
	c, err := host.Client(ctx)
	if err != nil {
		return failed(err)
	}
	id, err := guestNamed(ctx, c, name)
	if err != nil {
		return err
	}
	args[vmid] = int64(id)
	return nil
}

// guestNamed finds the guest with a name, which several may have.
func guestNamed(ctx context.Context, c *pve.Client, name string) (pve.VMID, error) {
	all, err := c.Resources(ctx, "vm")
	if err != nil {
		return 0, failed(err)
	}
	var same, alike []*pve.Row
	for r := range all.Rows() {
		switch {
		case strings.EqualFold(r.Name(), name):
			same = append(same, r)
		case strings.Contains(strings.ToLower(r.Name()), strings.ToLower(name)):
			alike = append(alike, r)
		}
	}
	shown := strconv.Quote(render.Text(name, 60))
	switch {
	case len(same) == 1:
		return same[0].VMID(), nil
	case len(same) > 1:
		return 0, &exitError{exitUsage, "several guests are named " + shown + ": " + candidates(same) + ". Say which by its vmid."}
	case len(alike) > 0:
		return 0, &exitError{exitUsage, "there is no guest " + shown + ". Alike are " + candidates(alike) + "."}
	}
	return 0, &exitError{exitUsage, "there is no guest " + shown + ": name one by its vmid or its name; pve-mcp call pve_list_guests lists them"}
}

// candidates lists guests, so that one can be chosen.
func candidates(rows []*pve.Row) string {
	slices.SortFunc(rows, func(a, b *pve.Row) int { return int(a.VMID() - b.VMID()) })
	var out []string
	for _, r := range rows[:min(len(rows), 10)] {
		out = append(out, fmt.Sprintf("%v (%s, %s on %s)", r.VMID(), render.Text(r.Name(), 40), r.State(), r.Node()))
	}
	if len(rows) > 10 {
		out = append(out, fmt.Sprintf("%d more", len(rows)-10))
	}
	return render.List(out)
}
