package tool

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
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
func WithNewID(ctx context.Context, c *Call, id *pve.VMID, chosen bool, send func(pve.VMID) (proxmox.UPID, error)) (proxmox.UPID, error) {
	const tries = 3
	for try := 1; ; try++ {
		upid, err := send(*id)
		if err == nil || !chosen || try == tries || proxmox.OutcomeUnknown(err) || !pve.IDInUse(err) {
			return upid, err
		}
		if *id, err = c.PVE.NextID(ctx); err != nil {
			return proxmox.UPID{}, err
		}
	}
}

// MayMake returns why the token may not make a guest of an id, in a pool or, with "", in
// none, nil where it may. A token that may make guests in some pools only has to name one.
func MayMake(perms pve.Permissions, id pve.VMID, pool string) error {
	const privilege = "VM.Allocate"
	if perms.Has("/vms/"+id.String(), privilege) || pool != "" && perms.Has("/pool/"+pool, privilege) {
		return nil
	}
	var pools []string
	for path := range perms {
		if name, ok := strings.CutPrefix(path, "/pool/"); ok && perms.Has(path, privilege) {
			pools = append(pools, render.Text(name, 60))
		}
	}
	if pools == nil {
		return Require(perms, "/vms/"+id.String(), privilege)
	}
	slices.SortFunc(pools, pve.CompareNames)
	const most = 10
	return explain.Refusal(fmt.Sprintf("Name one of them, such as pool: %q.", pools[0]),
		"This token may make guests only in a pool: %s.", render.List(pools[:min(most, len(pools))]))
}

// NotMade explains why PVE has refused to make a guest, where it did not say why.
func (c *Call) NotMade(ctx context.Context, err error, id pve.VMID, pool string) error {
	var said *proxmox.Error
	if !errors.As(err, &said) {
		return err
	}
	if _, privs, denied := said.Denied(); !denied || privs != nil {
		return err
	}
	perms, failed := c.PVE.Permissions(ctx)
	if failed != nil {
		return err
	}
	return cmp.Or(MayMake(perms, id, pool), err)
}
