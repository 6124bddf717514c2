package pve_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pve-mcp/pve-mcp/pve"
)

// slow answers every request after a second, and counts them by method and query.
type slow struct {
	mu        sync.Mutex
	sent      map[string]int // guarded by mu
	cancelled int            // guarded by mu
}

// count returns how many requests there were to a path below /api2/json, how many
// different ones there were to any, and how many were cancelled.
func (s *slow) count(path string) (to, different, cancelled int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sent["GET /api2/json"+path], len(s.sent), s.cancelled
}

func (s *slow) note(add func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	add()
}

func (s *slow) RoundTrip(req *http.Request) (*http.Response, error) {
	s.note(func() { s.sent[req.Method+" "+req.URL.RequestURI()]++ })
	select {
	case <-time.After(time.Second):
	case <-req.Context().Done():
		s.note(func() { s.cancelled++ })
		return nil, req.Context().Err()
	}
	if strings.HasSuffix(req.URL.Path, "/cluster/resources") {
		return answer("200 OK", `{"data":[{"id":"node/pve1","type":"node","node":"pve1"},{"id":"lxc/105","type":"lxc","vmid":105,"node":"pve2"}]}`)
	}
	return answer("200 OK", `{"data":{"version":"9.0","release":"9"}}`)
}

// A list of resources says when PVE was asked, and is used for 3 s, and not after a write.
func TestResourcesAreKeptForAMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wire := &slow{sent: map[string]int{}}
		c := newClient(t, roundTrip(wire.RoundTrip))
		read := func(asked time.Time, requests int) {
			t.Helper()
			list, err := c.Resources(t.Context(), "")
			if err != nil {
				t.Fatal(err)
			}
			if n, _, _ := wire.count("/cluster/resources"); len(list.Resources()) != 2 || !list.AsOf().Equal(asked) || n != requests {
				t.Errorf("as of %v, want %v; %d requests", list.AsOf(), asked, n)
			}
		}
		begun := time.Now()
		read(begun, 1)
		g, err := c.FindGuest(t.Context(), 105)
		if _, different, _ := wire.count(""); err != nil || g.Node.Value != "pve2" || different != 1 {
			t.Errorf("%v after %d different requests", err, different)
		}
		time.Sleep(pve.ResourcesAge - time.Second - 1)
		read(begun, 1)
		time.Sleep(time.Nanosecond)
		read(time.Now(), 2)
		_, _ = c.Power(t.Context(), pve.GuestRef{Node: "pve1", Kind: pve.LXC, VMID: 105}, "stop", pve.PowerOptions{})
		read(time.Now(), 3)
	})
}
