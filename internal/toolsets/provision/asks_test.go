package provision_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// What people ask for is done in so many calls, those that only look for its end among them: a
// call waits 45 s at most, and 120 GB take two minutes.
func TestAsks(t *testing.T) {
	made := func(parts ...string) func(*testing.T, *sim.World, sim.Answer) {
		return func(t *testing.T, w *sim.World, a sim.Answer) {
			g := guestNamed(t, w, "made")
			if address := addressOf(t, w, g); !g.Running || address == "" || address != a.Fields["address"] {
				t.Errorf("%v, %q: %s", g.Running, address, a.Text)
			}
			for _, part := range parts {
				if key, value, _ := strings.Cut(part, "="); !strings.Contains(g.Config[key], value) {
					t.Errorf("%s is %q, want %q", key, g.Config[key], value)
				}
			}
		}
	}
	config := func(id int, key, part string) func(*testing.T, *sim.World, sim.Answer) {
		return func(t *testing.T, w *sim.World, a sim.Answer) {
			m, err := w.Sim.Model()
			if err != nil {
				t.Fatal(err)
			}
			i := slices.IndexFunc(m.Guests, func(g pvesim.Guest) bool { return g.VMID == id })
			if !strings.Contains(m.Guests[i].Config[key], part) {
				t.Errorf("%s is %q, want %q: %s", key, m.Guests[i].Config[key], part, a.Text)
			}
		}
	}
	says := func(parts ...string) func(*testing.T, *sim.World, sim.Answer) {
		return func(t *testing.T, _ *sim.World, a sim.Answer) {
			for _, part := range parts {
				if !strings.Contains(a.Text, part) {
					t.Errorf("%s lacks %s", a.Text, part)
				}
			}
		}
	}
	for _, tt := range []struct {
		ask, tool, args string
		calls           int
		check           func(*testing.T, *sim.World, sim.Answer)
	}{
		{"an Ubuntu VM from a cloud image with my key", "pve_create_vm", `{"name":"made","source":"ubuntu 24.04","cores":4,"ssh_keys":["` + key + `"],"wait":45}`, 1, made("cores=4", "scsi0=size=3G")},
		{"the same where no storage has the image", "pve_create_vm", `{"name":"made","source":"` + debianImage + `","download":true,"ssh_keys":["` + key + `"],"wait":45}`, 2, made()},
		{"a clone of the template with 8 GB, started, and its address", "pve_create_vm", `{"name":"made","source":"debian-12","memory":"8G","node":"pve1","wait":45}`, 1, made("memory=8192")},
		{"a copy of a guest that does not take its address", "pve_restore_backup", `{"source_guest":"web-1","name":"made","vmid":110,"disconnect_nics":true,"wait":45}`, 3, config(110, "net0", "link_down=1")},
		{"what fills the NFS share", "pve_storage_content", `{"storage":"nfs","sum_by":"guest"}`, 1, says(`"sums":[{`, `"usage":{`)},
		{"this VM as a template", "pve_make_template", `{"vmid":105,"confirm":true,"wait":45}`, 1, config(105, "template", "1")},
		{"an OVA", "pve_create_vm", `{"name":"made","source":"nfs:import/shop.ova","wait":45}`, 1, made("memory=4096")},
		{"a VMDK", "pve_create_vm", `{"name":"made","source":"nfs:import/legacy.vmdk","wait":45}`, 1, made()},
		{"the newest Debian template", "pve_download", `{"what":"newest debian","content":"vztmpl","node":"pve2","storage":"local","wait":45}`, 1, says("debian-12-standard_12.7-1_amd64.tar.zst")},
		{"the disk on the fast storage", "pve_move_disk", `{"vmid":105,"disk":"scsi0","storage":"nfs","confirm":true,"wait":45}`, 3, config(105, "scsi0", "nfs:105/vm-105-disk-0")},
		{"a container from an OCI image with these variables", "pve_create_container", `{"name":"made","template":"docker.io/library/postgres:18","download":true,"env":["POSTGRES_DB=shop"],"wait":45}`, 1, made("env=POSTGRES_DB=shop", "env=PGDATA=")},
	} {
		t.Run(tt.ask, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := sources("9.2.0")
				m.Guests = slices.DeleteFunc(m.Guests, func(g pvesim.Guest) bool { return g.VMID == 901 })
				m.Volumes = slices.DeleteFunc(m.Volumes, func(v pvesim.Volume) bool { return strings.Contains(v.ID, "-901-") })
				w := sim.New(t, sim.Options{Model: m, Token: everyone})
				w.Host.Stays = true
				defer settle()
				calls := 1
				a := w.Call(tt.tool, tt.args)
				for ; a.Outcome == tool.Running && calls < 20; calls++ {
					args := fmt.Sprintf(`{"handle":%q,"wait":45}`, a.Fields["handle"])
					if a.Fields["handle"] == nil {
						args = fmt.Sprintf(`{"upid":%q,"wait":45}`, a.Fields["upid"])
					}
					seen := w.Call("pve_task_status", args)
					if change, ok := seen.Fields["change"].(map[string]any); ok {
						a.Fields = change
					}
					a.Outcome, a.Text, a.IsError = tool.Outcome(fmt.Sprint(seen.Fields["state"])), seen.Text, seen.IsError
				}
				if a.IsError || calls > tt.calls {
					t.Errorf("%d calls, want %d: %s", calls, tt.calls, a.Text)
				}
				tt.check(t, w, a)
			})
		})
	}
}
