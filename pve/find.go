package pve

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// guestListAge is how long the list of guests is used to find one.
const guestListAge = 3 * time.Second

// guestList remembers where guests are for a moment, so that a conversation about one
// does not read the whole list again and again. An own write drops it, and so does PVE's
// word that a guest is not where it was thought to be.
type guestList struct {
	mu     sync.Mutex
	guests map[VMID]Resource // guarded by mu
	asked  time.Time         // guarded by mu
	writes int               // guarded by mu

	reads share[map[VMID]Resource] // of the list
}

func (l *guestList) drop() {
	l.reads.drop()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.guests = nil
	l.writes++
}

// find returns a guest as of a moment ago, and how many writes there have been.
func (l *guestList) find(id VMID) (g Resource, found bool, writes int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if time.Since(l.asked) < guestListAge {
		g, found = l.guests[id]
	}
	return g, found, l.writes
}

// keep remembers a list that was asked for at a time, unless a write came in between.
func (l *guestList) keep(list map[VMID]Resource, asked time.Time, writes int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.writes == writes {
		l.guests, l.asked = list, asked
	}
}

// FindGuest returns the guest with the id, wherever in the cluster it is: as of at most
// 3 s ago, and after the client's last write. A guest that is not there, or that the
// token may not see, is a *[NoGuestError].
func (c *Client) FindGuest(ctx context.Context, id VMID) (Resource, error) {
	g, found, writes := c.guests.find(id)
	if found {
		return g, nil
	}
	list, err := c.guests.reads.get(ctx, "", func(ctx context.Context) (map[VMID]Resource, error) {
		return c.listGuests(ctx, writes)
	})
	if err != nil {
		return Resource{}, err
	}
	if g, found := list[id]; found {
		return g, nil
	}
	none := &NoGuestError{VMID: id}
	for _, r := range list {
		none.Have = append(none.Have, r)
	}
	slices.SortFunc(none.Have, func(a, b Resource) int {
		if d := distance(a.VMID, id) - distance(b.VMID, id); d != 0 {
			return d
		}
		return int(a.VMID - b.VMID)
	})
	return Resource{}, none
}

// listGuests reads the list of guests, and remembers it.
func (c *Client) listGuests(ctx context.Context, writes int) (map[VMID]Resource, error) {
	asked := time.Now()
	all, err := c.Resources(ctx, "vm")
	if err != nil {
		return nil, err
	}
	list := make(map[VMID]Resource, len(all))
	for _, r := range all {
		if r.IsGuest() {
			list[r.VMID] = r
		}
	}
	c.guests.keep(list, asked, writes)
	return list, nil
}

func distance(a, b VMID) int { return int(max(a, b) - min(a, b)) }

// NoGuestError says that no guest with an id can be seen.
type NoGuestError struct {
	VMID VMID
	Have []Resource // the guests that can be seen, nearest id first
}

func (e *NoGuestError) Error() string { return fmt.Sprintf("no guest %d can be seen", e.VMID) }
