package guests_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
)

// A guest that has given its name to another one a moment ago is not taken for that, though
// PVE's lists still do.
func TestNameOfAnotherGuestByNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{})
		other := w.As("root@pam!full")
		time.Sleep(15 * time.Second)
		other.Call("pve_update_guest_config", `{"vmid":105,"set":{"name":"old"}}`)
		other.Call("pve_update_guest_config", `{"vmid":104,"set":{"name":"build-1"}}`)
		a := w.Call("pve_guest_power", `{"vmid":"build-1","action":"start"}`)
		if a.Outcome != tool.Failed || !strings.Contains(a.Text, `VM 105 was named \"build-1\" until a moment ago, and is \"old\" now.`) {
			t.Errorf("%s", a.Text)
		}
		time.Sleep(10 * time.Second)
		if a := w.Call("pve_guest_status", `{"vmid":"build-1"}`); a.Fields["vmid"] != 104.0 {
			t.Errorf("%s", a.Text)
		}
		if writes := sim.Writes(w.Sent()); len(writes) > 0 {
			t.Errorf("sent %v", writes)
		}
	})
}
