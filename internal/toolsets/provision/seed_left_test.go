package provision_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
)

// fixOfSeed returns the ready call of the finding about a CD that was left behind.
func fixOfSeed(t *testing.T, w *sim.World) (name, arguments string, found bool) {
	t.Helper()
	a := w.Call("pve_audit", `{"focus":["storage"],"detail":"volume.seed-left"}`)
	var answer struct {
		Concerns []struct {
			On  string
			Fix struct {
				Tool      string
				Arguments json.RawMessage
			}
		}
	}
	if err := json.Unmarshal([]byte(a.Text), &answer); err != nil {
		t.Fatalf("%v: %s", err, a.Text)
	}
	if len(answer.Concerns) == 0 {
		return "", "", false
	}
	return answer.Concerns[0].Fix.Tool, string(answer.Concerns[0].Fix.Arguments), true
}

// A CD with user data that nothing has removed is found by the audit, since it may hold
// credentials, and the ready calls remove it.
func TestSeedThatIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{Model: withImages(), Token: everyone})
		a := w.Call("pve_create_vm", `{"name":"db","source":"nfs:import/noble-server-cloudimg-amd64.qcow2","user_data":"#cloud-config\nchpasswd: {expire: false}\n","wait":45}`)
		if a.Outcome != tool.OK || !strings.Contains(a.Text, "pve_delete_volume") {
			t.Fatalf("%s", a.Text)
		}
		if _, _, found := fixOfSeed(t, w); found {
			t.Error("the CD is reported while the VM boots from it")
		}
		time.Sleep(25 * time.Hour)
		for _, want := range []string{"pve_update_guest_config", "pve_delete_volume"} {
			name, arguments, found := fixOfSeed(t, w)
			if !found || name != want {
				t.Fatalf("%v: %s %s, want %s", found, name, arguments, want)
			}
			if a := w.Call(name, strings.TrimSuffix(arguments, "}")+`,"confirm":true}`); a.Outcome != tool.OK {
				t.Fatalf("%s %s: %s", name, arguments, a.Text)
			}
		}
		if _, arguments, found := fixOfSeed(t, w); found {
			t.Errorf("it was removed, and is still reported: %s", arguments)
		}
	})
}

// A CD whose VM is gone is found at once, and the ready call removes it.
func TestSeedOfDeletedVM(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{Model: withImages(), Token: everyone})
		a := w.Call("pve_create_vm", `{"name":"db","vmid":777,"source":"nfs:import/noble-server-cloudimg-amd64.qcow2","user_data":"#cloud-config\n{}\n","start":false,"wait":45}`)
		if a.Outcome != tool.OK {
			t.Fatalf("%s", a.Text)
		}
		if a := w.Call("pve_delete_guest", `{"vmid":777,"confirm":true,"wait":45}`); a.Outcome != tool.OK {
			t.Fatalf("%s", a.Text)
		}
		name, arguments, found := fixOfSeed(t, w)
		if !found || name != "pve_delete_volume" {
			t.Fatalf("%v: %s %s", found, name, arguments)
		}
		if a := w.Call(name, strings.TrimSuffix(arguments, "}")+`,"confirm":true}`); a.Outcome != tool.OK {
			t.Fatalf("%s", fmt.Sprint(arguments, a.Text))
		}
		if _, arguments, found := fixOfSeed(t, w); found {
			t.Errorf("it was removed, and is still reported: %s", arguments)
		}
	})
}
