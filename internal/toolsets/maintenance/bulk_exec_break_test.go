package maintenance_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/change"
	"github.com/pve-mcp/pve-mcp/internal/once"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/internal/toolset"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// sharing lets two servers share what they claim.
func sharing(t *testing.T, hosts ...*tool.Host) {
	store, err := once.OpenFolder(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range hosts {
		h.Used, h.Stays = once.NewLedger(store), true
	}
}

// While one server works on a fleet, another one that shares its claims says that the rest goes on,
// and begins none of it.
func TestBulkExecGoesOnElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{Token: full, Policy: mayExec, Model: withShells()})
		other := w.As(full)
		sharing(t, &w.Host, &other.Host)
		defer time.Sleep(2 * tool.HandleTime) // all that goes on ends
		begun := w.Call("pve_bulk_action", `{"action":"exec","guests":"100,101,200,201","shell":"slow","parallel":1,"wait":0}`)
		for range 7 {
			time.Sleep(time.Minute)
			w.Sent()
			seen := other.Call("pve_task_status", fmt.Sprintf(`{"handle":%q,"wait":0}`, begun.Fields["handle"]))
			if look := changeIn(seen); look.Fields["outcome"] != "running" || strings.Contains(seen.Text, "nobody begins") {
				t.Errorf("%s", seen.Text)
			}
			other.Sent()
			a := other.Call("pve_bulk_action", fmt.Sprintf(`{"plan_handle":%q,"wait":45}`, begun.Fields["handle"]))
			if n := shellRuns(other); n > 0 {
				t.Fatalf("the other server began %d: %s", n, a.Text)
			}
		}
		time.Sleep(10 * time.Minute)
		if a := w.Call("pve_task_status", fmt.Sprintf(`{"handle":%q,"wait":0}`, begun.Fields["handle"])); !strings.Contains(a.Text, "4 ok") {
			t.Errorf("%s", a.Text)
		}
	})
}

// Guests that were not begun since somebody has stopped the fleet are not said to have been begun.
func TestBulkExecBeginNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{Token: full, Policy: mayExec, Model: withShells()})
		other := w.As(full)
		sharing(t, &w.Host, &other.Host)
		defer time.Sleep(2 * tool.HandleTime) // all that goes on ends
		begun := w.Call("pve_bulk_action", `{"action":"exec","guests":"100,101,102","shell":"slow","parallel":1,"wait":0}`)
		time.Sleep(time.Second)
		handle, err := change.Open(t.Context(), other.Host, tool.Request{Caller: "test"}, begun.Fields["handle"].(string))
		if err != nil {
			t.Fatal(err)
		}
		if err := handle.BeginNoMore(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Minute)
		seen := other.Call("pve_task_status", fmt.Sprintf(`{"handle":%q,"wait":0}`, begun.Fields["handle"]))
		if got := fmt.Sprint(list(changeIn(seen), "not_begun")); got != "[101 web-2 102 db-1]" {
			t.Errorf("%s", seen.Text)
		}
		a := other.Call("pve_bulk_action", fmt.Sprintf(`{"plan_handle":%q,"wait":45}`, begun.Fields["handle"]))
		if n := shellRuns(w); n != 1 {
			t.Errorf("begun %d times: %s", n, a.Text)
		}
	})
}

// What is shown as the end of an output is its end, and how much is missing is not made up.
func TestBulkExecHugeOutput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := strings.Repeat("a line of some length\n", 20_000) + "THE END\n"
		w := sim.New(t, sim.Options{Token: full, Policy: mayExec, Model: withShells(sim.Guest(100, func(g *pvesim.Guest) {
			g.Programs["huge"] = pvesim.Program{Out: out}
		}), sim.Guest(200, func(g *pvesim.Guest) { g.Programs["huge"] = pvesim.Program{Out: out} }))})
		a := w.Call("pve_bulk_action", `{"action":"exec","guests":"100,200","shell":"huge","wait":45}`)
		for _, row := range resultsOf(a) {
			stdout, _ := row["stdout"].(string)
			if !strings.HasSuffix(stdout, "THE END\n") && !strings.HasSuffix(stdout, " or more cut]") {
				t.Errorf("%v ends with %q", row["guests"], stdout[max(0, len(stdout)-60):])
			}
			if left, _ := row["left_out"].(float64); int(left) < len(out)-5000 {
				t.Errorf("%v: left out %v of %d", row["guests"], left, len(out))
			}
		}
	})
}

// Every guest is named, however many rows there are.
func TestBulkExecNamesAll(t *testing.T) {
	many := func(m *pvesim.Model) {
		vm := m.Guests[0]
		m.Guests = nil
		for i := range 60 {
			g := vm
			g.VMID, g.Node = 1000+i, "pve1"
			g.Config = map[string]string{"name": fmt.Sprint("g", i), "agent": "1", "memory": "64", "ostype": "l26", "cores": "1"}
			g.Programs = map[string]pvesim.Program{"fail": {Err: fmt.Sprintf("cause %d\n", i), Exit: 1}, "slow": {Takes: time.Hour}}
			g.Snapshots = nil
			m.Guests = append(m.Guests, g)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{Token: full, Policy: mayExec, Model: sim.Cluster(many)})
		for _, args := range []string{`"shell":"fail"`, `"shell":"slow","timeout":1`} {
			a := w.Call("pve_bulk_action", `{"action":"exec","guests":"all","confirm":true,"wait":45,`+args+`}`)
			rows := resultsOf(a)
			named, processes := 0, 0
			for _, row := range rows {
				ids, _ := row["guests"].(string)
				for part := range strings.SplitSeq(ids, ",") {
					var from, to int
					if n, _ := fmt.Sscanf(strings.TrimSpace(part), "%d-%d", &from, &to); n == 2 {
						named += to - from
					}
					named++
				}
				if row["process"] != nil {
					processes++
				}
			}
			if named != 60 || strings.Contains(args, "slow") && processes != 60 {
				t.Errorf("%s: %d guests are named, %d processes: %.3000s", args, named, processes, a.Text)
			}
		}
	})
}

// A process that ends with its call does not say that a command has used up its time.
func TestBulkExecEndsWithItsCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{Token: full, Policy: mayExec, Model: withShells()})
		a := w.Call("pve_bulk_action", `{"action":"exec","guests":"100,200","shell":"slow","wait":1}`)
		if strings.Contains(a.Text, "600 s") || !strings.Contains(a.Text, "The call was over before the command") || a.Outcome == tool.OK {
			t.Errorf("%s", a.Text)
		}
	})
}

// What a process works on is remembered, however many others there are.
func TestBulkExecManyFleets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{Token: full, Policy: mayExec, Model: withShells()})
		w.Host.Stays = true
		first := w.Call("pve_bulk_action", `{"action":"exec","guests":"100,101","shell":"slow","parallel":1,"wait":0}`)
		for range 20 {
			w.Call("pve_bulk_action", `{"action":"exec","guests":"102,103","shell":"true","wait":45}`)
		}
		time.Sleep(time.Minute)
		seen := w.Call("pve_task_status", fmt.Sprintf(`{"handle":%q,"wait":0}`, first.Fields["handle"]))
		if look := changeIn(seen); look.Fields["outcome"] != "running" {
			t.Errorf("%s", seen.Text)
		}
		time.Sleep(10 * time.Minute)
	})
}

// A caller that gives up leaves no guest begun after that.
func TestBulkExecCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		w := sim.New(t, sim.Options{Token: full, Policy: mayExec, Model: withShells()})
		w.Host.Stays = true
		time.AfterFunc(10*time.Second, cancel)
		bulk, _ := toolset.Named("pve_bulk_action")
		bulk.Call(ctx, w.Host, tool.Request{Caller: "test", Arguments: json.RawMessage(`{"action":"exec","guests":"100-103","shell":"slow","parallel":1,"wait":45}`)})
		time.Sleep(15 * time.Minute)
		if n := shellRuns(w); n != 1 {
			t.Errorf("begun %d", n)
		}
	})
}
