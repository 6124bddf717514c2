package maintenance_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/testkit/effort"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// asked is a tool with arguments.
type asked struct{ tool, args string }

// guestIn is a guest as the simulator has it.
func guestIn(t *testing.T, w *sim.World, vmid int) pvesim.Guest {
	t.Helper()
	m, err := w.Sim.Model()
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(m.Guests, func(g pvesim.Guest) bool { return g.VMID == vmid })
	if i < 0 {
		t.Fatalf("there is no guest %d", vmid)
	}
	return m.Guests[i]
}

// has says what PVE has to show at a path.
func has(path string, parts ...string) func(*testing.T, *sim.World, sim.Answer) {
	return func(t *testing.T, w *sim.World, _ sim.Answer) {
		a := w.Call("pve_api_read", fmt.Sprintf(`{"path":%q,"limit":200}`, path))
		for _, part := range parts {
			if !strings.Contains(a.Text, part) {
				t.Errorf("%s lacks %s: %s", path, part, a.Text)
			}
		}
	}
}

// maintenanceAsks are what people ask for, with the calls that do it.
var maintenanceAsks = []struct {
	ask   string
	calls []asked
	check func(*testing.T, *sim.World, sim.Answer)
}{
	{"back up all prod guests tonight", []asked{{"pve_set_backup_job", `{"action":"create","id":"tonight","guests":"tag:prod","once":"tonight at 23:30","storage":"pbs"}`}},
		has("/cluster/backup", `"id":"tonight"`, "23:30", `"storage":"pbs"`)},
	{"move everything off a node", []asked{{"pve_drain_node", `{"node":"pve2","action":"drain","confirm":true,"wait":0}`}}, func(t *testing.T, w *sim.World, a sim.Answer) {
		if !strings.Contains(a.Text, "No guest runs on pve2 now.") || guestIn(t, w, 101).Node == "pve2" {
			t.Errorf("%s", a.Text)
		}
	}},
	{"clean up snapshots older than 30 days", []asked{{"pve_bulk_action", `{"action":"delete_snapshot","guests":"all","snapname":"*","older_than":"30d","confirm":true,"wait":0}`}}, func(t *testing.T, w *sim.World, a sim.Answer) {
		if list := w.Call("pve_list_snapshots", `{"older_than":"30d"}`); a.Outcome != tool.OK || list.Fields["total"] != float64(0) {
			t.Errorf("%s, and are left: %s", a.Text, list.Text)
		}
	}},
	{"open port 443 for web-1", []asked{{"pve_set_firewall", `{"vmid":100,"change":"add_rule","action":"accept","port":"443","protocol":"tcp"}`}},
		has("/nodes/pve1/qemu/100/firewall/rules", `"dport":"443"`, `"action":"ACCEPT"`)},
	{"nightly backups of prod at two, keep seven", []asked{{"pve_set_backup_job", `{"action":"create","id":"nightly-prod","guests":"tag:prod","schedule":"every night at 2","keep":"7","storage":"pbs"}`}},
		has("/cluster/backup", `"id":"nightly-prod"`, `"schedule":"02:00"`, "keep-last")},
	{"start all VMs of the lab in the right order", []asked{{"pve_bulk_action", `{"action":"start","guests":"204,105","wait":0}`}}, func(t *testing.T, w *sim.World, a sim.Answer) {
		if !guestIn(t, w, 204).Running {
			t.Errorf("%s", a.Text)
		}
	}},
	{"shut everything down for the UPS", []asked{{"pve_node_power", `{"node":"all","action":"shutdown","guests":"all","confirm":true,"wait":0}`}}, func(t *testing.T, w *sim.World, a sim.Answer) {
		if !slices.Equal(ordered(w), []string{"pve2", "pve3", "pve1"}) {
			t.Errorf("%v: %s", ordered(w), a.Text)
		}
	}},
	{"replicate db-1 to pve3 every 15 minutes", []asked{{"pve_set_ha", `{"change":"replicate","resource":"db-1","node":"pve3","schedule":"every 15 minutes"}`}},
		has("/cluster/replication", `"target":"pve3"`, `"guest":102`)},
	{"put web-1 under HA, prefer pve1", []asked{{"pve_set_ha", `{"change":"add","resource":"web-1"}`}, {"pve_set_ha", `{"change":"set_rule","name":"web-home","resources":["web-1"],"nodes":["pve1"]}`}},
		has("/cluster/ha/rules", `"rule":"web-home"`, `"resources":"vm:100"`)},
	{"keep these two VMs apart", []asked{{"pve_set_ha", `{"change":"set_rule","name":"apart","affinity":"negative","resources":["103","201"]}`}},
		has("/cluster/ha/rules", `"affinity":"negative"`)},
	{"balance the cluster", []asked{{"pve_what_if", `{"scenario":"rebalance"}`}}, func(t *testing.T, _ *sim.World, a sim.Answer) {
		if !strings.Contains(a.Text, "percentage points") {
			t.Errorf("%s", a.Text)
		}
	}},
	{"set CPU limits for all dev guests", []asked{{"pve_bulk_action", `{"action":"set_config","guests":"tag:ci","set":{"cpulimit":2},"wait":0}`}}, func(t *testing.T, w *sim.World, a sim.Answer) {
		if guestIn(t, w, 105).Config["cpulimit"] != "2" || guestIn(t, w, 202).Config["cpulimit"] != "2" {
			t.Errorf("%s", a.Text)
		}
	}},
	{"quarantine a VM: no network, a snapshot with memory", []asked{
		{"pve_update_guest_config", `{"vmid":101,"set":{"net0":{"link_down":1}},"confirm":true}`}, {"pve_create_snapshot", `{"vmid":101,"snapname":"quarantine","vmstate":true,"wait":45}`},
	}, func(t *testing.T, w *sim.World, a sim.Answer) {
		list := w.Call("pve_list_snapshots", `{"vmid":101}`)
		if net := guestIn(t, w, 101).Config["net0"]; !strings.Contains(net, "link_down=1") || !strings.Contains(list.Text, "quarantine") {
			t.Errorf("%s, %s: %s", net, list.Text, a.Text)
		}
	}},
}

// What people ask for in maintenance is done by these calls, and by no more; those that only follow
// the end do not count.
func TestAsks(t *testing.T) {
	effort.SkipShort(t)
	for _, tt := range maintenanceAsks {
		t.Run(tt.ask, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := sim.New(t, sim.Options{Token: full})
				w.Host.Stays = true
				var a sim.Answer
				for _, call := range tt.calls {
					if a = w.Call(call.tool, call.args); a.Outcome == tool.Failed || a.Outcome == tool.NeedsConfirmation {
						t.Fatalf("%s %s: %s", call.tool, call.args, a.Text)
					}
					handle, _ := a.Fields["handle"].(string)
					for i := 0; a.Outcome == tool.Running && i < 400; i++ {
						time.Sleep(time.Minute)
						seen := w.Call("pve_task_status", fmt.Sprintf(`{"handle":%q}`, handle))
						a.Text, a.Outcome = seen.Text, tool.Outcome(fmt.Sprint(seen.Fields["state"]))
					}
				}
				tt.check(t, w, a)
			})
		})
	}
}
