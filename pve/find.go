package pve

import (
	"context"
	"fmt"
	"slices"
)

// FindGuest returns the guest with the id, on any node: as of at most [ResourcesAge] ago, and
// after the client's last write. If there is none, or the token may not see it, the error is
// a *[NoGuestError].
func (c *Client) FindGuest(ctx context.Context, id VMID) (Resource, error) {
	for _, kind := range []string{"vm", ""} {
		known, ok := c.lists.kept(kind, c.Changes())
		if !ok {
			continue
		}
		if g, found := known.Guest(id); found {
			return g.Resource(), nil
		}
	}
	// It may be new. All resources are hardly more than all guests, and a caller that looks for
	// a guest often looks for its node and storages next.
	read, err := c.readResources(ctx, "")
	if err != nil {
		return Resource{}, err
	}
	if g, found := read.Guest(id); found {
		return g.Resource(), nil
	}
	none := &NoGuestError{VMID: id}
	for _, r := range read.Resources() {
		if r.IsGuest() {
			none.Have = append(none.Have, r)
		}
	}
	slices.SortFunc(none.Have, func(a, b Resource) int {
		if d := distance(a.VMID, id) - distance(b.VMID, id); d != 0 {
			return d
		}
		return int(a.VMID - b.VMID)
	})
	return Resource{}, none
}

func distance(a, b VMID) int { return int(max(a, b) - min(a, b)) }

// NoGuestError says that no guest with an id can be seen.
type NoGuestError struct {
	VMID VMID
	Have []Resource // the guests that can be seen, nearest id first
}

func (e *NoGuestError) Error() string { return fmt.Sprintf("no guest %d can be seen", e.VMID) }
