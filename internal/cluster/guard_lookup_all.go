package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/proxmox/lenient"
	"github.com/pve-mcp/pve-mcp/pve"
	"github.com/pve-mcp/pve-mcp/pve/apischema"
)

// allGuests are the guests on a node, or with "" those of the cluster. It is an error if the
// token may not see all of them.
func allGuests(ctx context.Context, client *pve.Client, node string) ([]int, error) {
	perms, err := client.PermissionsWithGaps(ctx)
	if err != nil {
		return nil, err
	}
	switch all, hidden := perms.Below("/vms", "VM.Audit"); {
	case hidden != nil:
		return nil, fmt.Errorf("the token may not see %s (VM.Audit)", strings.Join(hidden, ", "))
	case !all:
		return nil, errors.New("the token may not see every guest (VM.Audit on /vms)")
	}
	list, err := client.Resources(ctx, "vm")
	if err != nil {
		return nil, err
	}
	if err := knowsNode(ctx, client, node); err != nil {
		return nil, err
	}
	var ids []int
	for _, r := range list.Resources() {
		if r.IsGuest() && (node == "" || r.Node.Value == node) {
			ids = append(ids, int(r.VMID))
		}
	}
	if node == "" {
		return ids, nil
	}
	isSeen := func(id pve.VMID) bool { _, seen := list.Guest(id); return seen }
	if hidden, err := HiddenGuestsOn(ctx, client, node, isSeen); err == nil && len(hidden) > 0 {
		return nil, fmt.Errorf("guest %v runs on %s, and is in no list that the token sees", hidden[0], node)
	}
	return ids, nil
}

// knowsNode is an error if the cluster has no such node.
func knowsNode(ctx context.Context, client *pve.Client, node string) error {
	if node == "" {
		return nil
	}
	list, err := client.Resources(ctx, "node")
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(list.Resources(), func(r pve.Resource) bool { return r.Node.Value == node }) {
		return fmt.Errorf("there is no node %s", node)
	}
	return nil
}

// allVolumes are the ids of the volumes on a storage. It is an error if they cannot be read
// on each node that has it.
func allVolumes(ctx context.Context, client *pve.Client, storage string) ([]string, error) {
	perms, err := client.Permissions(ctx)
	if err != nil {
		return nil, err
	}
	if err := RequirePrivilege(perms, "/storage/"+storage, "Datastore.Allocate"); err != nil {
		return nil, err // others are not shown everything
	}
	list, err := client.Resources(ctx, "storage")
	if err != nil {
		return nil, err
	}
	places := slices.DeleteFunc(list.Resources(), func(r pve.Resource) bool { return r.Type != "storage" || r.Storage.Value != storage })
	if len(places) == 0 {
		return nil, errors.New("no node has it at present")
	}
	if i := slices.IndexFunc(places, func(r pve.Resource) bool { return r.Shared.Value && r.Status.Value == "available" }); i >= 0 {
		places = places[i : i+1]
	}
	var ids []string
	for _, r := range places {
		volumes, err := client.Content(ctx, r.Node.Value, storage, pve.VolumeFilter{})
		if err != nil {
			return nil, err
		}
		for _, v := range volumes {
			ids = append(ids, v.VolID.String())
		}
	}
	return ids, nil
}

// backupJob is what a backup job says of its guests.
type backupJob struct {
	VMIDs   lenient.Opt[string] `json:"vmid"`
	All     lenient.Opt[bool]   `json:"all"`
	Pool    lenient.Opt[string] `json:"pool"`
	Exclude lenient.Opt[string] `json:"exclude"`
	Node    lenient.Opt[string] `json:"node"`
}

// jobSelection are the guests that a backup job is of.
func jobSelection(ctx context.Context, client *pve.Client, id string) (policy.Selection, error) {
	job, err := proxmox.Get[backupJob](ctx, client.Client, proxmox.Join("cluster", "backup", id), nil)
	if err != nil {
		return policy.Selection{}, err
	}
	guests, err := numbers(job.VMIDs.Value)
	exclude, err2 := numbers(job.Exclude.Value)
	return policy.Selection{Guests: guests, Pool: job.Pool.Value, All: job.All.Value, Node: job.Node.Value, Exclude: exclude}, errors.Join(err, err2)
}

// numbers reads a list of ids of guests.
func numbers(list string) (ids []int, err error) {
	for _, text := range apischema.SplitList(list) {
		id, err := pve.ParseVMID(text)
		if err != nil {
			return nil, err
		}
		ids = append(ids, int(id))
	}
	return ids, nil
}

// haRule is what a rule of HA says of its guests, and haResource a guest that HA manages.
type (
	haRule struct {
		Rule      string `json:"rule"`
		Resources string `json:"resources"`
	}
	haResource struct {
		SID   string              `json:"sid"`
		Group lenient.Opt[string] `json:"group"`
	}
)

// managedByHA are the guests of a group of HA, those of one of its rules, or with neither
// all that it manages. A rule that is about to be made has none yet: its request names them.
func managedByHA(ctx context.Context, client *pve.Client, group, rule string) ([]int, error) {
	var sids []string
	if rule != "" {
		list, err := proxmox.Get[[]haRule](ctx, client.Client, proxmox.Join("cluster", "ha", "rules"), nil)
		if err != nil {
			return nil, err
		}
		for _, r := range list {
			if r.Rule == rule {
				sids = append(sids, apischema.SplitList(r.Resources)...)
			}
		}
	} else {
		list, err := proxmox.Get[[]haResource](ctx, client.Client, proxmox.Join("cluster", "ha", "resources"), nil)
		if err != nil {
			return nil, err
		}
		for _, r := range list {
			if group == "" || r.Group.Value == group {
				sids = append(sids, r.SID)
			}
		}
	}
	for i, sid := range sids {
		sids[i] = sid[strings.IndexByte(sid, ':')+1:] // vm:104
	}
	return numbers(strings.Join(sids, " "))
}
