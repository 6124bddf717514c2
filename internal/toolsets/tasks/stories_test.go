package tasks_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/internal/toolset"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// operation is a kind of task, as a tool starts it.
type operation struct {
	name, tool, args string
	early            int    // seconds after which it still runs
	match            string // the request that starts the task
	typ              string // of the task
	says             string // what some message of the progress says, as an expression
	far              string // what the answer says of a task that still runs, as an expression
	stop             string // what the answer says where the task was stopped
	// idle is the outcome where the task ended OK and did nothing: the goal is looked at, too.
	idle tool.Outcome
}

var operations = []operation{
	{"backup", "pve_create_backup", `{"vmid":104,"storage":"nfs"%s}`, 5, "POST /nodes/*/vzdump", "vzdump",
		`^Backup of VM 104 \(mail\) on pve1 to nfs: \d+%, [\d.]+ [MG]iB of 4 GiB, [\d.]+ MiB/s, about \d+s left$`, `under way after 5s\. So far: \d+%, .* of 4 GiB, .* left`,
		"failed: interrupted by signal", tool.Unknown},
	{"migration with local disks", "pve_migrate_guest", `{"vmid":100,"target":"pve2","with_local_disks":true%s}`, 10, "POST /nodes/*/qemu/100/migrate", "qmigrate",
		`^Migration of VM 100 \(web-1\) from pve1 to pve2: \d+%, [\d.]+ [MG]iB of 4 GiB, 110 MiB/s$`, `So far: \d+%, .* of 4 GiB, 110 MiB/s`,
		"failed: received interrupt", tool.Failed},
	{"clone", "pve_clone_guest", `{"vmid":100,"full":true%s}`, 3, "POST /nodes/*/qemu/100/clone", "qmclone",
		`^Clone of VM 100 \(web-1\) as \d+: \d+%, [\d.]+ [MG]iB of 4 GiB`, `So far: \d+%, .* of 4 GiB`, "failed: ", tool.Failed},
	{"restore", "pve_restore_backup", `{"archive":"nfs:backup/vzdump-qemu-104-1999_12_31-18_14_00.vma.zst","vmid":300,"storage":"nfs"%s}`, 3, "POST /nodes/*/qemu", "qmrestore",
		`^Restore of .*: \d+%, [\d.]+ [MG]iB of 4 GiB, [\d.]+ [MG]iB/s, about \d+s left$`, `So far: \d+%, .* of 4 GiB`, "failed: ", tool.Failed},
	{"snapshot with memory", "pve_create_snapshot", `{"vmid":104,"snapname":"monday","vmstate":true%s}`, 5, "POST /nodes/*/qemu/104/snapshot", "qmsnapshot",
		`^Snapshot .*: [\d.]+ [MG]iB, [\d.]+ MiB/s$`, `So far: [\d.]+ [MG]iB, [\d.]+ MiB/s`, "failed: ", tool.Failed},
	{"start", "pve_guest_power", `{"vmid":204,"action":"start"%s}`, 0, "POST /nodes/*/lxc/204/status/start", "vzstart", `^Start of CT 204 \(sandbox\) on pve3: `, "", "failed: ", tool.Running},
	{"shutdown", "pve_guest_power", `{"vmid":102,"action":"shutdown"%s}`, 5, "POST /nodes/*/qemu/102/status/shutdown", "qmshutdown",
		`^Shutdown of VM 102 \(db-1\) on pve2: running for `, "under way after 5s", "failed: received interrupt", tool.Running},
}

func small(m *pvesim.Model) {
	sim.Set(104, "scsi0=local-zfs:vm-104-disk-0,size=4G")(m)
	sim.Set(100, "scsi0=local-zfs:vm-100-disk-0,size=4G")(m)
}

// call calls the tool, and hears of its progress for as long as there is some.
func (o operation) call(w *sim.World, wait int, heard *[]cluster.Progress) sim.Answer {
	w.Helper()
	args := fmt.Sprintf(o.args, fmt.Sprintf(`,"wait":%d`, wait))
	t, _ := toolset.Named(o.tool)
	res := t.Call(w.Context(), w.Host, tool.Request{
		Arguments: json.RawMessage(args), Caller: "test", Progress: func(p cluster.Progress) { *heard = append(*heard, p) },
	})
	a := sim.Answer{Result: res}
	if err := json.Unmarshal(res.Structured, &a.Fields); err != nil {
		w.Fatalf("%v: %s", err, res.Text)
	}
	return a
}

// checkHeard says what is wrong with the progress that was heard of.
func checkHeard(heard []cluster.Progress) string {
	for i, p := range heard {
		switch {
		case i > 0 && p.Done <= heard[i-1].Done:
			return fmt.Sprintf("%+v after %+v", p, heard[i-1])
		case p.Done >= 100, p.Total != 0 && p.Total != 100, p.Message == "":
			return fmt.Sprintf("%+v", p)
		}
	}
	return ""
}

func TestStoriesOfTasks(t *testing.T) {
	for _, o := range operations {
		for _, ending := range []string{"ok", "warnings", "idle", "failed", "interrupted", "running"} {
			t.Run(o.name+", "+ending, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { o.tell(t, ending) })
			})
		}
	}
}

func (o operation) tell(t *testing.T, ending string) {
	options := sim.Options{Model: sim.Cluster(small)}
	if ending != "warnings" && o.name == "start" {
		sim.Guest(204, func(g *pvesim.Guest) { g.StartWarns = nil })(options.Model)
	}
	w := sim.New(t, options)
	w.Host.Wait = 3 * time.Minute // longer than all of them take
	wait, want, says := 180, tool.OK, ""
	switch ending {
	case "warnings":
		want = tool.Warnings
		if o.name != "start" { // which warns by itself
			o.fault(w, pvesim.Fault{TaskWarns: "this is late"})
		}
	case "idle":
		want = o.idle
		o.fault(w, pvesim.Fault{TaskIdle: true})
	case "failed":
		want, says = tool.Failed, "failed: what it needs is not there"
		o.fault(w, pvesim.Fault{TaskFails: "what it needs is not there"})
	case "interrupted":
		want, says = tool.Failed, o.stop
		go o.interrupt(w)
	case "running":
		wait, want, says = o.early, tool.Running, ""
	}
	var heard []cluster.Progress
	a := o.call(w, wait, &heard)
	if a.Outcome != want || !strings.Contains(fmt.Sprint(a.Fields["message"]), says) {
		t.Errorf("%s, want %s, %q", a.Text, want, says)
	}
	if wrong := checkHeard(heard); wrong != "" {
		t.Errorf("progress: %s", wrong)
	}
	matches := func(p cluster.Progress) bool { return regexp.MustCompile(o.says).MatchString(p.Message) }
	if ending == "ok" && !slices.ContainsFunc(heard, matches) {
		t.Errorf("no progress %s: %+v", o.says, heard)
	}
	if ending == "running" {
		o.follow(t, w, a)
	}
	n := len(heard)
	time.Sleep(5 * time.Minute)
	if len(heard) > n {
		t.Errorf("progress after the result: %+v", heard[n:])
	}
}

func (o operation) fault(w *sim.World, f pvesim.Fault) {
	w.Helper()
	f.Match = o.match
	if err := w.Sim.Fault(f); err != nil {
		w.Fatal(err)
	}
}

// interrupt stops the task half a second after it has begun.
func (o operation) interrupt(w *sim.World) {
	client, err := w.As("root@pam!full").Host.Client(w.Context())
	for err == nil {
		time.Sleep(500 * time.Millisecond)
		for _, n := range w.Model.Nodes {
			list, _, _ := client.NodeTasks(w.Context(), n.Name, pve.TaskFilter{Source: "active", Type: o.typ})
			if len(list) > 0 {
				a := w.As("root@pam!full").Call("pve_stop_task", fmt.Sprintf(`{"upid":%q,"confirm":true}`, list[0].UPID))
				if a.Outcome != tool.Failed {
					return
				}
				err = errors.New(a.Text)
			}
		}
	}
	w.Error(err)
}

// follow waits on for a task that was running when the call's time was over.
func (o operation) follow(t *testing.T, w *sim.World, a sim.Answer) {
	if message := fmt.Sprint(a.Fields["message"]); !regexp.MustCompile(o.far).MatchString(message) || !strings.Contains(a.Text, "pve_task_status") {
		t.Errorf("%s, want %s", a.Text, o.far)
	}
	upid, err := proxmox.ParseUPID(fmt.Sprint(a.Fields["upid"]))
	if err != nil {
		t.Fatal(err)
	}
	b := w.Call("pve_task_status", fmt.Sprintf(`{"upid":%q}`, upid))
	if b.Fields["state"] != "running" || b.Fields["next"] == nil {
		t.Errorf("%s", b.Text)
	}
	if measured := strings.Contains(o.far, "of"); measured && (b.Fields["percent"] == nil || b.Fields["bytes"] == nil) {
		t.Errorf("no figure: %s", b.Text)
	}
	for range 5 {
		b = w.Call("pve_task_status", fmt.Sprintf(`{"upid":%q,"wait":45}`, upid))
		if wrong := checkHeard(b.Progress); wrong != "" {
			t.Errorf("progress: %s", wrong)
		}
		if b.Fields["state"] != "running" {
			break
		}
	}
	if b.Fields["state"] != "ok" || b.Fields["log"] != nil {
		t.Errorf("%s", b.Text)
	}
}

// However many wait for a task, PVE is asked as if it were one, until each has his answer.
func TestManyWaitForATask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{})
		args := fmt.Sprintf(`{"upid":%q,"wait":10}`, begin(w, `{"vmid":102,"action":"shutdown","wait":0}`)) // takes 25 s
		status, _ := toolset.Named("pve_task_status")
		var wg sync.WaitGroup
		for range 200 {
			wg.Go(func() {
				res := status.Call(t.Context(), w.Host, tool.Request{Arguments: json.RawMessage(args)})
				if res.IsError || !strings.Contains(res.Text, `"state":"running"`) {
					t.Errorf("%s", res.Text)
				}
			})
		}
		wg.Wait()
		if n := len(w.Sent()); n > 12 {
			t.Errorf("%d requests", n)
		}
	})
}
