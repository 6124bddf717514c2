package guests_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

const everyone = "root@pam!full" // sees all tasks

// Each refusal by a lock says what the lock means, which task has left it behind, and what
// clears it, where.
func TestLocksLeftBehind(t *testing.T) {
	for _, tt := range []struct {
		lock, means, left string
		vmid              int
	}{
		{"backup", "while a guest is backed up.", "make a new one", 100},
		{"clone", "while a guest is copied, or made as a copy.", "delete the copy with pve_delete_guest", 100},
		{"create", "while a guest is made, or restored from a backup.", "delete it with pve_delete_guest", 100},
		{"migrate", "while a guest is moved to another node.", "on which node its disks are", 100},
		{"rollback", "while a guest is taken back to a snapshot.", "take it back to the snapshot again", 100},
		{"snapshot", "while a guest is getting a snapshot.", "pve_delete_snapshot with force", 100},
		{"snapshot-delete", "while a guest is losing a snapshot.", "pve_delete_snapshot and force", 100},
		{"suspending", "while a guest is suspended to disk.", "start it anew", 100},
		{"disk", "while a guest is getting a volume moved", "a copy may be left", 200},
		{"destroyed", "while a guest is destroyed.", "pve_delete_guest", 200},
		{"fstrim", "while a guest is having its file systems trimmed.", "", 200},
	} {
		noun, typ, command := "VM", "qmconfig", "qm"
		if tt.vmid == 200 {
			noun, typ, command = "CT", "vzcreate", "pct"
		}
		m := sim.Cluster(sim.Set(tt.vmid, "lock="+tt.lock), func(m *pvesim.Model) {
			for _, g := range m.Guests {
				if g.VMID == tt.vmid {
					m.Tasks = append(m.Tasks, pvesim.PastTask{Node: g.Node, Type: typ, ID: fmt.Sprint(tt.vmid), User: "root@pam", Ago: time.Minute, Took: time.Second, Exit: "unexpected status"})
				}
			}
		})
		w := sim.New(t, sim.Options{Model: m, Token: everyone})
		for name, args := range map[string]string{
			"pve_update_guest_config": fmt.Sprintf(`{"vmid":%d,"set":{"description":"x"}}`, tt.vmid),
			"pve_create_snapshot":     fmt.Sprintf(`{"vmid":%d,"snapname":"now"}`, tt.vmid),
			"pve_api_change":          fmt.Sprintf(`{"method":"PUT","path":"/nodes/{node}/%s/%d/config","params":{"description":"x"}}`, map[string]string{"VM": "qemu", "CT": "lxc"}[noun], tt.vmid),
			"pve_bulk_action":         fmt.Sprintf(`{"action":"snapshot","guests":"%d","snapname":"now","plan":true}`, tt.vmid),
		} {
			a := w.Call(name, args)
			for _, want := range []string{
				fmt.Sprintf("%s %d is locked (%s).", noun, tt.vmid, tt.lock), tt.means, "No task of it runs on pve", typ + " by root@pam, begun at", "ended with unexpected status: UPID:pve",
				fmt.Sprintf("root clears it on pve%s: %s unlock %d.", nodeIn(a.Text), command, tt.vmid), tt.left,
			} {
				if !strings.Contains(a.Text, want) {
					t.Errorf("%s, lock %s: %s\nlacks %s", name, tt.lock, a.Text, want)
				}
			}
			if writes := sim.Writes(w.Sent()); name != "pve_api_change" && len(writes) > 0 {
				t.Errorf("%s, lock %s: sent %q", name, tt.lock, writes)
			}
		}
	}
}

// nodeIn is the number of the node on which a command is to be run.
func nodeIn(text string) string {
	_, rest, _ := strings.Cut(text, "root clears it on pve")
	n, _, _ := strings.Cut(rest, ":")
	return n
}

// Locks that no task holds say what to do instead.
func TestLocksOfNoTask(t *testing.T) {
	w := sim.New(t, sim.Options{Model: sim.Cluster(sim.Set(105, "lock=suspended"), sim.Set(204, "lock=mounted")), Token: everyone})
	for args, want := range map[string]string{
		`{"vmid":105,"snapname":"now"}`: "resume it first with pve_guest_power",
		`{"vmid":204,"snapname":"now"}`: "root clears it on pve3: pct unmount 204.",
	} {
		a := w.Call("pve_create_snapshot", args)
		if !strings.Contains(a.Text, want) || strings.Contains(a.Text, "unlock") {
			t.Errorf("%s: %s, want %s", args, a.Text, want)
		}
	}
}

// A lock whose task lives is waited for: the task is named, and no command to clear the lock.
func TestLocksOfLivingTasks(t *testing.T) {
	for lock, task := range map[string]pvesim.PastTask{
		"backup":   {Type: "vzdump", ID: ""},
		"snapshot": {Type: "qmsnapshot", ID: "100"},
		"clone":    {Type: "qmclone", ID: "901"},
		"migrate":  {Type: "qmigrate", ID: "100"},
	} {
		m := sim.Cluster(sim.Set(100, "lock="+lock), func(m *pvesim.Model) {
			task.Node, task.User, task.Ago, task.Took = "pve1", "root@pam", time.Minute, time.Hour
			m.Tasks = append(m.Tasks, task)
		})
		w := sim.New(t, sim.Options{Model: m, Token: everyone})
		a := w.Call("pve_update_guest_config", `{"vmid":100,"set":{"description":"x"}}`)
		if a.Fields["outcome"] != string(tool.Failed) || !strings.Contains(a.Text, "is alive: "+task.Type+" by root@pam") || !strings.Contains(a.Text, "pve_task_status: upid and wait") || strings.Contains(a.Text, "unlock") {
			t.Errorf("lock %s: %s", lock, a.Text)
		}
	}
}
