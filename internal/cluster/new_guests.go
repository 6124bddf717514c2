package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
)

// ChooseID returns an id for a new guest: the wanted one if it is free, or for 0 the lowest
// that is free.
func (v *View) ChooseID(ctx context.Context, wanted pve.VMID) (pve.VMID, error) {
	if wanted == 0 {
		return v.PVE.NextID(ctx)
	}
	taken, err := v.PVE.IDTaken(ctx, wanted)
	if err != nil || !taken {
		return wanted, err
	}
	e := &explain.Explanation{
		What: fmt.Sprintf("The id %v is taken; nothing was sent.", wanted),
		Next: "Give another one, or none for the next free one.",
	}
	if g, err := v.Guest(ctx, wanted); err == nil {
		name := g.Name
		if _, s, err := v.Live(ctx, wanted); err == nil { // the list may have the name of a guest before it, or none yet
			name = s.Name
		}
		e.What = fmt.Sprintf("The id %v is that of %s on %s; nothing was sent.", wanted, render.Text(name.Or("a guest"), 60), g.Node.Value)
	}
	return 0, e
}

// CreateWithFreeID sends the request that makes a guest of an id. If the id was chosen for
// it, and somebody else has taken the id meanwhile, PVE refuses the request, and it is sent
// with the next free id, unless [View.KeepChosenID] was called.
func (v *View) CreateWithFreeID(ctx context.Context, id *pve.VMID, chosen bool, send func(pve.VMID) (proxmox.UPID, error)) (proxmox.UPID, error) {
	const tries = 50 // each is lost to another guest that was made
	for try := 1; ; try++ {
		upid, err := send(*id)
		if err == nil || !chosen || v.keepsID || try == tries || proxmox.OutcomeUnknown(err) || !pve.IDInUse(err) {
			return upid, err
		}
		if *id, err = v.PVE.NextID(ctx); err != nil {
			return proxmox.UPID{}, err
		}
	}
}

// StartClone starts the task that copies a guest. That a guest of another node has the id, PVE
// notices only in the task: if it does at once, and the id was chosen for it, that is an error
// as any other refusal is.
func (v *View) StartClone(ctx context.Context, g pve.GuestRef, wanted pve.NewClone, chosen bool) (proxmox.UPID, error) {
	upid, err := v.PVE.Clone(ctx, g, wanted)
	if err != nil || !chosen {
		return upid, err
	}
	soon, cancel := context.WithTimeout(ctx, 400*time.Millisecond)
	defer cancel()
	status, err := v.PVE.Wait(soon, upid, nil)
	if err != nil || status.Running() || status.Succeeded() {
		return upid, nil // it is followed like any other task
	}
	if taken := (&proxmox.Error{Status: http.StatusInternalServerError, Message: status.ExitStatus.Value}); pve.IDInUse(taken) {
		return proxmox.UPID{}, taken
	}
	return upid, nil
}

// CheckMayCreate returns an error if the token may not make a guest of an id, in a pool or,
// with "", in none. A token that may make guests in some pools only has to name one.
func CheckMayCreate(perms pve.Permissions, id pve.VMID, pool string) error {
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
		return RequirePrivilege(perms, "/vms/"+id.String(), privilege)
	}
	slices.SortFunc(pools, pve.CompareNames)
	const most = 10
	return explain.Refusal(fmt.Sprintf("Name one of them, such as pool: %q.", pools[0]),
		"This token may make guests only in a pool: %s.", render.List(pools[:min(most, len(pools))]))
}

// ExplainCreationRefusal explains why PVE has refused to make a guest, if PVE did not say why.
func (v *View) ExplainCreationRefusal(ctx context.Context, err error, id pve.VMID, pool string) error {
	var refusal *proxmox.Error
	if !errors.As(err, &refusal) {
		return err
	}
	if _, privs, denied := refusal.Denied(); !denied || privs != nil {
		return err
	}
	perms, failed := v.PVE.Permissions(ctx)
	if failed != nil {
		return err
	}
	return cmp.Or(CheckMayCreate(perms, id, pool), err)
}
