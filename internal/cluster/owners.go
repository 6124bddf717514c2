package cluster

import (
	"context"
	"fmt"

	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/pve"
)

// ForeignVolumes finds the volumes of other guests that the values of a guest's configuration
// name. It returns the guests to which they belong, and a sentence about each volume.
func (v *View) ForeignVolumes(ctx context.Context, g pve.GuestRef, values map[string]string) (owners []int, lines []string) {
	volumes := policy.Foreign(int(g.VMID), asLists(values))
	for _, vol := range volumes {
		source := render.Text(vol.Source, 200)
		switch {
		case vol.Known:
			lines = append(lines, fmt.Sprintf("%s: %s is a volume of %s: what happens to it in %v happens to that guest",
				vol.Key, source, v.GuestLabel(ctx, pve.VMID(vol.Owner)), g))
		case !vol.Copied:
			lines = append(lines, fmt.Sprintf("%s: the name of %s does not show whose volume it is: what happens to it in %v happens to its owner, too",
				vol.Key, source, g))
		}
	}
	return policy.Owners(volumes), lines
}

func asLists(values map[string]string) map[string][]string {
	out := map[string][]string{}
	for key, value := range values {
		out[key] = []string{value}
	}
	return out
}
