package live

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
)

// Guest is what a guest of a story's own is like.
type Guest struct {
	Kind     pve.Kind
	Config   map[string]string // without the disk
	Running  bool
	Template bool
}

// Disk returns the key of a guest's only disk, and its size in GiB.
func (g Guest) Disk() (key string, gib int) {
	if g.Kind == pve.LXC {
		return "rootfs", 2
	}
	return "scsi0", 1
}

const (
	// patience is how long a change may take.
	patience = 5 * time.Minute
	// cleaning is how long cleaning up may take.
	cleaning = 10 * time.Minute
)

// Make makes a guest, as it has to be when a story begins.
func (n *Node) Make(ctx context.Context, id pve.VMID, g Guest) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	key, gib := g.Disk()
	wanted := pve.NewGuest{VMID: id, Config: map[string]string{key: n.newDisk(g.Kind, gib)}}
	maps.Copy(wanted.Config, g.Config)
	switch {
	case g.Kind == pve.LXC:
		wanted.Template = n.Template
	case n.Emulated:
		wanted.Config["kvm"] = "0"
	}
	if err := n.done(ctx)(n.client.CreateGuest(ctx, n.Node, g.Kind, wanted)); err != nil {
		return err
	}
	ref := pve.GuestRef{Node: n.Node, Kind: g.Kind, VMID: id}
	switch {
	case g.Running:
		return n.done(ctx)(n.client.Power(ctx, ref, "start", pve.PowerOptions{}))
	case g.Template:
		return n.done(ctx)(n.client.MakeTemplate(ctx, ref))
	}
	return nil
}

// done waits for a task, which has to end well; a zero one is over.
func (n *Node) done(ctx context.Context) func(proxmox.UPID, error) error {
	return func(upid proxmox.UPID, err error) error {
		if err != nil || upid.IsZero() {
			return err
		}
		status, err := n.client.Wait(ctx, upid, nil)
		if err == nil && !status.Succeeded() {
			err = fmt.Errorf("%s: %s", upid, status.ExitStatus.Value)
		}
		return err
	}
}

// Clean removes what this run has made: guests, newest first, since a template's clones go
// before it, and their backups. It takes its time even where ctx is over. The error says what
// is left.
func (n *Node) Clean(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleaning)
	defer cancel()
	made := n.fence.Made()
	var errs []error
	for _, id := range made {
		if err := n.remove(ctx, id); err != nil {
			errs = append(errs, fmt.Errorf("guest %d: %w", id, err))
		}
	}
	if n.Backups != "" && len(made) > 0 {
		errs = append(errs, n.removeBackups(ctx, made))
	}
	for _, id := range made {
		taken, err := n.client.IDTaken(ctx, id)
		if err != nil || taken {
			errs = append(errs, cmp.Or(err, fmt.Errorf("there still is a guest %d", id)))
			continue
		}
		n.fence.Forget(id)
	}
	n.fence.Sent()
	return errors.Join(errs...)
}

// remove removes a guest, once no task is at work on it any more.
func (n *Node) remove(ctx context.Context, id pve.VMID) error {
	if err := n.settle(ctx, id); err != nil {
		return err
	}
	all, err := n.client.Resources(ctx, "vm")
	if err != nil {
		return err
	}
	found, ok := all.Guest(id)
	if !ok {
		return nil // or it cannot be seen, which the caller finds out
	}
	g := found.Resource().Ref()
	status, err := n.client.GuestStatus(ctx, g)
	if err != nil {
		return err
	}
	if status.Status != "stopped" {
		if err := n.done(ctx)(n.client.Power(ctx, g, "stop", pve.PowerOptions{})); err != nil {
			return err
		}
	}
	config, err := n.client.GuestConfig(ctx, g)
	if err != nil {
		return err
	}
	if on(config.Values["protection"]) {
		if err := n.client.UpdateConfig(ctx, g, pve.ConfigChange{Delete: []string{"protection"}}); err != nil {
			return err
		}
	}
	return n.done(ctx)(n.client.DeleteGuest(ctx, g, pve.Deletion{Purge: true}))
}

// settle waits for the tasks that are at work on a guest, and stops those that take long.
func (n *Node) settle(ctx context.Context, id pve.VMID) error {
	tasks, _, err := n.client.NodeTasks(ctx, n.Node, pve.TaskFilter{Source: "active", VMID: id})
	if err != nil {
		return err
	}
	for _, task := range tasks {
		short, cancel := context.WithTimeout(ctx, patience/5)
		_, err := n.client.Wait(short, task.UPID, nil)
		cancel()
		if err != nil {
			err = cmp.Or(n.client.StopTask(ctx, task.UPID), ctx.Err())
		}
		if err == nil {
			_, err = n.client.Wait(ctx, task.UPID, nil)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// removeBackups removes the backups of guests.
func (n *Node) removeBackups(ctx context.Context, of []pve.VMID) error {
	content, err := n.client.Content(ctx, n.Node, n.Backups, pve.VolumeFilter{Content: "backup"})
	for _, v := range content {
		if slices.Contains(of, pve.VMID(v.VMID.Value)) {
			err = errors.Join(err, n.done(ctx)(n.client.DeleteVolume(ctx, n.Node, v.VolID)))
		}
	}
	return err
}
