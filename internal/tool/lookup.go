package tool

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"

	"pve-mcp/internal/guard"
	"pve-mcp/pve"
)

// lookup reads what the guard needs to know.
func lookup(client *pve.Client) guard.Lookup {
	return guard.Lookup{
		Config: func(ctx context.Context, w guard.Where) (map[string][]string, error) {
			return guestValues(ctx, client, w)
		},
		Members: func(ctx context.Context, pool string) ([]int, error) {
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
				return false, nil
			}
			if err != nil {
				return false, err
			}
			s, err := client.GuestStatus(ctx, g.Ref())
			return s.Status == "running", err
		},
		TakenAlong: func(ctx context.Context, w guard.Where, target string) ([]int, error) {
			m, err := at(ctx, client, w, func(g pve.GuestRef) (pve.Migration, error) { return client.CheckMigration(ctx, g, target) })
			var said *pve.Error
			if errors.As(err, &said) && said.Status == http.StatusNotImplemented { // of containers before PVE 9, where HA takes nothing along
				return nil, nil
			}
			var ids []int
			for _, id := range m.TakenAlong() {
				ids = append(ids, int(id))
			}
			return ids, err
		},
	}
}

// at asks for something of a guest where it is said to be, or else where it is.
func at[T any](ctx context.Context, client *pve.Client, w guard.Where, ask func(pve.GuestRef) (T, error)) (T, error) {
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

// guestValues are the values of a guest's configuration: in force, waiting, and those of
// its snapshots that are asked for.
func guestValues(ctx context.Context, client *pve.Client, w guard.Where) (map[string][]string, error) {
	return at(ctx, client, w, func(g pve.GuestRef) (map[string][]string, error) {
		now, err := client.Pending(ctx, g)
		if err != nil {
			return nil, err
		}
		out := map[string][]string{}
		for _, v := range now {
			for _, value := range []pve.Opt[string]{v.Value, v.Pending} {
				if value.Set {
					out[v.Key] = append(out[v.Key], value.Value)
				}
			}
		}
		names := []string{w.Snapshots}
		if w.Snapshots == guard.AllSnapshots {
			if names, err = snapshotsOf(ctx, client, g); err != nil {
				return nil, err
			}
		}
		for _, name := range names {
			if name == "" {
				continue
			}
			then, err := client.GuestConfig(ctx, g, map[string][]string{"snapshot": {name}})
			if err != nil {
				return nil, err
			}
			for _, key := range slices.Sorted(maps.Keys(then.Values)) {
				out[key] = append(out[key], then.Values[key])
			}
		}
		return out, nil
	})
}

func snapshotsOf(ctx context.Context, client *pve.Client, g pve.GuestRef) (names []string, err error) {
	list, err := client.Snapshots(ctx, g)
	for _, s := range list {
		if s.Name != pve.Current {
			names = append(names, s.Name)
		}
	}
	return names, err
}
