package pve_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pve-mcp/pve-mcp/pve"
)

// Where a guest is, is remembered for 3 s, unless the client writes or learns that a
// guest is elsewhere.
func TestFindGuest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		node, lists := "pve1", 0
		var during func() // a list is read
		c := newClient(t, roundTrip(func(req *http.Request) (*http.Response, error) {
			switch {
			case strings.HasSuffix(req.URL.Path, "/cluster/resources"):
				lists++
				body := `{"data":[{"id":"lxc/105","type":"lxc","vmid":105,"node":"pve2"},{"id":"qemu/100","type":"qemu","vmid":100,"node":"` + node + `"},
					{"id":"qemu/97000","type":"qemu","vmid":97000,"node":"pve1"},{"id":"qemu/101","type":"qemu","vmid":101,"node":"pve1"}]}`
				if during != nil {
					during()
				}
				return answer("200 OK", body)
			case !strings.Contains(req.URL.Path, node):
				return answer("500 Configuration file 'nodes/pve1/qemu-server/100.conf' does not exist", "")
			}
			return answer("200 OK", `{"data":{"status":"running"}}`)
		}))
		find := func(want string, asked int) {
			t.Helper()
			lists = 0
			if g, err := c.FindGuest(t.Context(), 100); err != nil || g.Ref() != (pve.GuestRef{Node: want, Kind: pve.QEMU, VMID: 100}) || lists != asked {
				t.Errorf("%+v %v after %d lists, want it on %s after %d", g.Ref(), err, lists, want, asked)
			}
		}
		find("pve1", 1)
		node = "pve2"
		time.Sleep(2 * time.Second)
		find("pve1", 0)
		time.Sleep(2 * time.Second)
		find("pve2", 1)

		node = "pve1"
		_, _ = c.Power(t.Context(), pve.GuestRef{Node: "pve2", Kind: pve.QEMU, VMID: 100}, "stop", pve.PowerOptions{})
		find("pve1", 1)

		node = "pve2"
		if _, err := c.GuestStatus(t.Context(), pve.GuestRef{Node: "pve1", Kind: pve.QEMU, VMID: 100}); err == nil {
			t.Error("a guest is where it is not")
		}
		find("pve2", 1)

		// An id that is not in the list may be new.
		lists = 0
		_, err := c.FindGuest(t.Context(), 103)
		var none *pve.NoGuestError
		if !errors.As(err, &none) || lists != 1 {
			t.Fatalf("%v after %d lists", err, lists)
		}
		var nearest []string
		for _, g := range none.Have {
			nearest = append(nearest, g.VMID.String())
		}
		if got := strings.Join(nearest, " "); got != "101 105 100 97000" {
			t.Errorf("nearest first: %s", got)
		}

		// A list that was being read while a write was sent is not kept.
		time.Sleep(4 * time.Second)
		during = func() {
			during = nil
			_, _ = c.Power(t.Context(), pve.GuestRef{Node: "pve2", Kind: pve.QEMU, VMID: 100}, "stop", pve.PowerOptions{})
		}
		find("pve2", 1)
		find("pve2", 1)
	})
}
