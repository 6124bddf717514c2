package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/proxmox/lenient"
	"github.com/pve-mcp/pve-mcp/pve"
)

// GuardLookup returns what the guard below a client asks the cluster, through that client.
func GuardLookup(client *pve.Client) policy.Lookup {
	return policy.Lookup{
		Config: func(ctx context.Context, w policy.Where) (map[string][]string, error) {
			return guestValues(ctx, client, w)
		},
		Members: func(ctx context.Context, pool string) ([]int, error) {
			if err := seesPoolsIn(ctx, client, pool); err != nil {
				return nil, err
			}
			members, err := client.PoolMembers(ctx, pool)
			var ids []int
			for _, m := range members {
				if m.IsGuest() {
					ids = append(ids, int(m.VMID))
				}
			}
			return ids, err
		},
		Pool: func(ctx context.Context, id int) (string, error) {
			g, err := client.FindGuest(ctx, pve.VMID(id))
			return g.Pool.Value, err
		},
		Runs: func(ctx context.Context, id int) (bool, error) {
			g, err := client.FindGuest(ctx, pve.VMID(id))
			var none *pve.NoGuestError
			if errors.As(err, &none) {
				return false, mayBeHidden(ctx, client, id)
			}
			if err != nil {
				return false, err
			}
			s, err := client.GuestStatus(ctx, g.Ref())
			return s.Status == "running", err
		},
		Having: func(ctx context.Context, find func(key, value string) (string, bool), mayHave func(int) bool) ([]policy.Holder, error) {
			return holders(ctx, client, find, mayHave)
		},
		Guests: func(ctx context.Context, node string) ([]int, error) { return allGuests(ctx, client, node) },
		Content: func(ctx context.Context, storage string) ([]string, error) {
			return allVolumes(ctx, client, storage)
		},
		Job: func(ctx context.Context, id string) (policy.Selection, error) { return jobSelection(ctx, client, id) },
		HA: func(ctx context.Context, group, rule string) ([]int, error) {
			return managedByHA(ctx, client, group, rule)
		},
		MovedTogether: func(ctx context.Context, w policy.Where, target string) ([]int, error) {
			m, err := at(ctx, client, w, func(g pve.GuestRef) (pve.Migration, error) { return client.CheckMigration(ctx, g, target) })
			var refusal *proxmox.Error
			if errors.As(err, &refusal) && refusal.Status == http.StatusNotImplemented { // of containers before PVE 9, where HA takes nothing along
				return nil, nil
			}
			var ids []int
			for _, id := range m.MovedTogether() {
				ids = append(ids, int(id))
			}
			return ids, err
		},
		Groups:  func(ctx context.Context, user string) ([]string, error) { return groupsOf(ctx, client, user) },
		Entries: func(ctx context.Context) ([]policy.Entry, error) { return allEntries(ctx, client) },
	}
}

// seesPoolsIn is an error where a pool may have others in it that the token may not see.
func seesPoolsIn(ctx context.Context, client *pve.Client, pool string) error {
	perms, err := client.Permissions(ctx)
	if err != nil {
		return err
	}
	path := "/pool/" + pool
	_, hidden := perms.Below(path, "Pool.Audit")
	if propagates, held := perms[path].Get("Pool.Audit"); held && !propagates {
		hidden = append(hidden, "what is in "+path)
	}
	if hidden != nil {
		return fmt.Errorf("the token may not see %s (Pool.Audit)", strings.Join(hidden, ", "))
	}
	return nil
}

// mayBeHidden is an error where a guest that is not in the lists may be there for all that.
func mayBeHidden(ctx context.Context, client *pve.Client, id int) error {
	perms, err := client.PermissionsWithGaps(ctx)
	if err != nil {
		return err
	}
	return RequirePrivilege(perms, fmt.Sprintf("/vms/%d", id), "VM.Audit")
}

// atOnce is how many configurations are read at a time.
const atOnce = 8

// holders returns the guests in whose configuration something is found, and those whose
// configuration cannot be read.
func holders(ctx context.Context, client *pve.Client, find func(key, value string) (string, bool), mayHave func(int) bool) ([]policy.Holder, error) {
	list, err := client.Resources(ctx, "vm")
	if err != nil {
		return nil, err
	}
	var out []policy.Holder
	var mu sync.Mutex
	var all errgroup.Group
	all.SetLimit(atOnce)
	for _, r := range list.Resources() {
		if !r.IsGuest() || !mayHave(int(r.VMID)) {
			continue
		}
		all.Go(func() error {
			g := r.Ref()
			values, err := guestValues(ctx, client, policy.Where{VMID: int(g.VMID), Node: g.Node, Kind: string(g.Kind)})
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				out = append(out, policy.Holder{VMID: int(g.VMID), Err: err})
			}
			for key, all := range values {
				for _, value := range all {
					if what, found := find(key, value); found {
						out = append(out, policy.Holder{VMID: int(g.VMID), Key: key, What: what})
					}
				}
			}
			return nil
		})
	}
	_ = all.Wait() // its errors are in out
	slices.SortFunc(out, func(a, b policy.Holder) int { return cmp.Or(a.VMID-b.VMID, cmp.Compare(a.Key, b.Key)) })
	return out, nil
}

// at asks for something of a guest on the node that is given, or else on the node where the
// guest is.
func at[T any](ctx context.Context, client *pve.Client, w policy.Where, ask func(pve.GuestRef) (T, error)) (T, error) {
	ref := pve.GuestRef{Node: w.Node, Kind: pve.Kind(w.Kind), VMID: pve.VMID(w.VMID)}
	if w.Node != "" {
		out, err := ask(ref)
		if !pve.Elsewhere(err) {
			return out, err
		}
	}
	g, err := client.FindGuest(ctx, ref.VMID)
	if err != nil {
		var none T
		return none, err
	}
	return ask(g.Ref())
}

// guestValues are the values of a guest's configuration: those in force first, then those
// that wait, then those of its snapshots; or those of one snapshot.
func guestValues(ctx context.Context, client *pve.Client, w policy.Where) (map[string][]string, error) {
	return at(ctx, client, w, func(g pve.GuestRef) (map[string][]string, error) {
		out := map[string][]string{}
		names := []string{w.Snapshot}
		if w.Snapshot == "" || w.Snapshot == policy.AllSnapshots {
			now, err := client.Pending(ctx, g)
			if err != nil {
				return nil, err
			}
			for _, v := range now {
				for _, value := range []lenient.Opt[string]{v.Value, v.Pending} {
					if value.Set {
						out[v.Key] = append(out[v.Key], value.Value)
					}
				}
			}
			names = nil
		}
		if w.Snapshot == policy.AllSnapshots {
			list, err := client.Snapshots(ctx, g)
			if err != nil {
				return nil, err
			}
			for _, s := range list {
				if s.Name != pve.Current {
					names = append(names, s.Name)
				}
			}
		}
		for _, name := range names {
			then, err := client.SnapshotConfig(ctx, g, name)
			if err != nil {
				return nil, err
			}
			for key, value := range then.Values {
				out[key] = append(out[key], value)
			}
		}
		return out, nil
	})
}
