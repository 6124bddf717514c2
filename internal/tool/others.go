package tool

import (
	"context"
	"fmt"

	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/pve"
)

// Called names a guest for a person, whether it can be seen or not.
func (c *Call) Called(ctx context.Context, id pve.VMID) string {
	g, err := c.Guest(ctx, id)
	if err != nil {
		return fmt.Sprintf("guest %v, which cannot be seen", id)
	}
	return fmt.Sprintf("%v (%s)", g.Ref(), render.Text(g.Name.Value, 60))
}

// Foreign names the guests to which volumes belong that the values of a guest's
// configuration name, with a sentence about each volume.
func (c *Call) Foreign(ctx context.Context, g pve.GuestRef, values map[string]string) (owners []int, lines []string) {
	volumes := policy.Foreign(int(g.VMID), listed(values))
	for _, v := range volumes {
		source := render.Text(v.Source, 200)
		switch {
		case v.Known:
			lines = append(lines, fmt.Sprintf("%s: %s is a volume of %s: what happens to it in %v happens to that guest",
				v.Key, source, c.Called(ctx, pve.VMID(v.Owner)), g))
		case !v.Copied:
			lines = append(lines, fmt.Sprintf("%s: whose volume %s is cannot be told by its name: what happens to it in %v happens to whoever has it, too",
				v.Key, source, g))
		}
	}
	return policy.Owners(volumes), lines
}

// Forbidden returns an error if the rules do not let a request be sent, in the guard's words.
func (c *Call) Forbidden(ctx context.Context, t policy.Target) error {
	if c.host.Guard == nil {
		return nil
	}
	if reason := c.host.Guard.Refuse(ctx, t); reason != "" {
		return &policy.RefusedError{Reason: reason}
	}
	return nil
}

func listed(values map[string]string) map[string][]string {
	out := map[string][]string{}
	for key, value := range values {
		out[key] = []string{value}
	}
	return out
}
