package tool

import (
	"context"
	"fmt"
	"strings"

	"pve-mcp/internal/explain"
	"pve-mcp/internal/render"
	"pve-mcp/pve"
)

// NewID returns an id for a new guest: the wanted one, where it is free, or the lowest
// that is.
func (c *Call) NewID(ctx context.Context, wanted pve.VMID) (pve.VMID, error) {
	if wanted == 0 {
		return c.PVE.NextID(ctx)
	}
	taken, err := c.PVE.IDTaken(ctx, wanted)
	if err != nil || !taken {
		return wanted, err
	}
	e := &explain.Explanation{
		What: fmt.Sprintf("The id %v is taken; nothing was sent.", wanted),
		Next: "Give another one, or none for the next free one.",
	}
	if g, err := c.Guest(ctx, wanted); err == nil {
		name := g.Name
		if _, s, err := c.Live(ctx, wanted); err == nil { // the list may have the name of a guest before it, or none yet
			name = s.Name
		}
		e.What = fmt.Sprintf("The id %v is that of %s on %s; nothing was sent.", wanted, render.Text(name.Or("a guest"), 60), g.Node.Value)
	}
	return 0, e
}

// WithNewID makes a guest under an id that was chosen for it. Where somebody else took
// that id meanwhile, which PVE refuses, it is tried with the next ones.
func WithNewID(ctx context.Context, c *Call, id *pve.VMID, chosen bool, send func(pve.VMID) (pve.UPID, error)) (pve.UPID, error) {
	const tries = 3
	for try := 1; ; try++ {
		upid, err := send(*id)
		if err == nil || !chosen || try == tries || pve.OutcomeUnknown(err) || !strings.Contains(err.Error(), "already exists") {
			return upid, err
		}
		if *id, err = c.PVE.NextID(ctx); err != nil {
			return pve.UPID{}, err
		}
	}
}
