package pvesim_test

import (
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pve-mcp/pve-mcp/pvesim"
)

// Each row is a power call on the preset cluster: what PVE answers at once, or how
// its task ends, and the state after that.
func TestPower(t *testing.T) {
	for _, tt := range []struct {
		name, kind, node string
		id               int
		verb, params     string
		refused          string // at once, with status 500
		exit             string
		after            string // qmpstatus of a VM, status of a CT
	}{
		{name: "shutdown", kind: "qemu", node: "pve1", id: 104, verb: "shutdown", exit: "OK", after: "stopped"},
		{name: "shutdown that times out", kind: "qemu", node: "pve2", id: 106, verb: "shutdown", params: "timeout=3", exit: "VM quit/powerdown failed - got timeout", after: "running"},
		{name: "shutdown, then by force", kind: "qemu", node: "pve2", id: 106, verb: "shutdown", params: "timeout=3&forceStop=1", exit: "OK", after: "stopped"},
		{name: "shutdown of a stopped VM", kind: "qemu", node: "pve3", id: 105, verb: "shutdown", exit: "OK", after: "stopped"},
		{name: "shutdown of a paused VM", kind: "qemu", node: "pve1", id: 108, verb: "shutdown", refused: "VM is paused - cannot shutdown", after: "paused"},
		{name: "stop", kind: "qemu", node: "pve1", id: 100, verb: "stop", exit: "OK", after: "stopped"},
		{name: "start of a running VM", kind: "qemu", node: "pve1", id: 100, verb: "start", exit: "VM 100 already running", after: "running"},
		{name: "start that fails", kind: "qemu", node: "pve3", id: 105, verb: "start", exit: "start failed: QEMU exited with code 1", after: "stopped"},
		{name: "start of a template", kind: "qemu", node: "pve1", id: 900, verb: "start", exit: "you can't start a vm if it's a template", after: "stopped"},
		{name: "start of a locked VM", kind: "qemu", node: "pve3", id: 107, verb: "start", exit: "VM is locked (backup)", after: "stopped"},
		{name: "start of a suspended VM", kind: "qemu", node: "pve2", id: 109, verb: "start", exit: "OK", after: "running"},
		{name: "resume of a suspended VM", kind: "qemu", node: "pve2", id: 109, verb: "resume", exit: "OK", after: "running"},
		{name: "resume", kind: "qemu", node: "pve1", id: 108, verb: "resume", exit: "OK", after: "running"},
		{name: "suspend", kind: "qemu", node: "pve1", id: 100, verb: "suspend", exit: "OK", after: "paused"},
		{name: "suspend to disk", kind: "qemu", node: "pve1", id: 100, verb: "suspend", params: "todisk=1", exit: "OK", after: "stopped"},
		{name: "reset", kind: "qemu", node: "pve1", id: 100, verb: "reset", exit: "OK", after: "running"},
		{name: "reboot ends before the start", kind: "qemu", node: "pve1", id: 104, verb: "reboot", exit: "OK", after: "stopped"},
		{name: "reset of a stopped VM", kind: "qemu", node: "pve3", id: 105, verb: "reset", refused: "VM 105 not running", after: "stopped"},
		{name: "resume of a stopped VM", kind: "qemu", node: "pve3", id: 105, verb: "resume", refused: "VM 105 not running", after: "stopped"},
		{name: "start CT", kind: "lxc", node: "pve3", id: 204, verb: "start", exit: "WARNINGS: 1", after: "running"},
		{name: "start of a running CT", kind: "lxc", node: "pve1", id: 200, verb: "start", refused: "CT 200 already running", after: "running"},
		{name: "stop of a stopped CT", kind: "lxc", node: "pve3", id: 204, verb: "stop", refused: "CT 204 not running", after: "stopped"},
		{name: "shutdown CT", kind: "lxc", node: "pve1", id: 200, verb: "shutdown", exit: "OK", after: "stopped"},
		{name: "reboot CT", kind: "lxc", node: "pve1", id: 200, verb: "reboot", exit: "OK", after: "running"},
		{name: "suspend CT", kind: "lxc", node: "pve1", id: 200, verb: "suspend",
			exit: "command 'lxc-checkpoint -n 200 -s -D /var/lib/vz/dump' failed: exit code 1", after: "running"},
		{name: "wrong kind", kind: "lxc", node: "pve1", id: 100, verb: "start", exit: "Configuration file 'nodes/pve1/lxc/100.conf' does not exist"},
		{name: "wrong node", kind: "qemu", node: "pve2", id: 100, verb: "start", exit: "Configuration file 'nodes/pve2/qemu-server/100.conf' does not exist"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, pvesim.Cluster())
			form, _ := url.ParseQuery(tt.params)
			path := guestPath(tt.kind, tt.node, tt.id, "status/")
			if tt.refused != "" {
				r := w.do("POST", path+tt.verb, form)
				if r.Status != 500 || r.Reason != tt.refused || r.Body.Message != tt.refused+"\n" {
					t.Errorf("got %d %q %q, want 500 %q", r.Status, r.Reason, r.Body.Message, tt.refused)
				}
			} else {
				exit, log := w.run(path+tt.verb, form)
				if exit != tt.exit {
					t.Errorf("exit status %q, want %q", exit, tt.exit)
				}
				want := "TASK ERROR: " + tt.exit
				if tt.exit == "OK" || tt.exit == "WARNINGS: 1" {
					want = "TASK " + tt.exit
				}
				if got := log[len(log)-1]; got != want {
					t.Errorf("last line of the log %q, want %q", got, want)
				}
			}
			if tt.after == "" {
				return
			}
			status := w.get(path + "current")
			got := status["status"]
			if tt.kind == "qemu" {
				got = status["qmpstatus"]
			}
			if got != tt.after {
				t.Errorf("state after it %v, want %s", got, tt.after)
			}
		})
	}
}

func TestFailedStartSaysWhy(t *testing.T) {
	w := newWorld(t, pvesim.Cluster())
	_, log := w.run("/nodes/pve3/qemu/105/status/start", nil)
	if len(log) != 2 || !strings.Contains(log[0], "No such file or directory") {
		t.Errorf("log %q, want QEMU's own words before the error", log)
	}
}

func TestShutdownHoldsTheLock(t *testing.T) {
	w := newWorld(t, pvesim.Cluster())
	shutdown := w.start("/nodes/pve2/qemu/106/status/shutdown", url.Values{"timeout": {"60"}})
	if got := w.log(shutdown); len(got) != 1 || got[0] != "no content" {
		t.Errorf("log of a running task without lines: %q", got)
	}
	exit, log := w.run("/nodes/pve2/qemu/106/status/stop", nil)
	if want := "can't lock file '/var/lock/qemu-server/lock-106.conf' - got timeout"; exit != want {
		t.Errorf("stop during a shutdown: %q, want %q", exit, want)
	}
	if log[0] != "trying to acquire lock..." {
		t.Errorf("log %q", log)
	}
	exit, _ = w.run("/nodes/pve2/qemu/106/status/stop", url.Values{"overrule-shutdown": {"1"}})
	if exit != "OK" {
		t.Errorf("stop that overrules the shutdown: %q", exit)
	}
	if got := w.log(shutdown); got[0] != "TASK ERROR: received interrupt" {
		t.Errorf("log of the overruled shutdown: %q", got)
	}
}

// A call that waits for a lock does so on the clock, and others go on meanwhile.
func TestWaitingForTheLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := pvesim.Cluster()
		sim, err := pvesim.NewSim(m, pvesim.Options{Clock: pvesim.Scaled(1)})
		if err != nil {
			t.Fatal(err)
		}
		w := &world{T: t, sim: sim, model: m, token: "root@pam!full"}
		for _, tt := range []struct {
			vmid     int
			node     string
			wait     time.Duration
			reason   string
			shutdown string
		}{
			{106, "pve2", 10 * time.Second, "can't lock file '/var/lock/qemu-server/lock-106.conf' - got timeout", "timeout=60"},
			{104, "pve1", 4 * time.Second, "OK", ""},
		} {
			form, _ := url.ParseQuery(tt.shutdown)
			w.start(guestPath("qemu", tt.node, tt.vmid, "status/shutdown"), form)
			begun := time.Now()
			go func() {
				time.Sleep(time.Second)
				if r := w.do("GET", "/version", nil); r.Status != 200 || time.Since(begun) != time.Second {
					t.Errorf("another call meanwhile: %d after %v", r.Status, time.Since(begun))
				}
			}()
			r := w.do("PUT", guestPath("qemu", tt.node, tt.vmid, "config"), url.Values{"description": {"x"}})
			if took := time.Since(begun); took != tt.wait || r.Reason != tt.reason {
				t.Errorf("VM %d: %q after %v, want %q after %v", tt.vmid, r.Reason, took, tt.reason, tt.wait)
			}
		}
	})
}

func TestStopAfterAShortShutdownWaits(t *testing.T) {
	w := newWorld(t, pvesim.Cluster())
	w.start("/nodes/pve1/qemu/104/status/shutdown", nil) // takes 4 s
	exit, log := w.run("/nodes/pve1/qemu/104/status/stop", nil)
	if diff := cmp.Diff([]string{"trying to acquire lock...", " OK", "TASK OK"}, log); exit != "OK" || diff != "" {
		t.Errorf("exit %q, log (-want +got):\n%s", exit, diff)
	}
}

func TestHAManagedGuestStartsLater(t *testing.T) {
	w := newWorld(t, pvesim.Cluster())
	exit, log := w.run("/nodes/pve3/qemu/103/status/shutdown", nil)
	if exit != "OK" || log[0] != "Requesting HA stop for VM 103" {
		t.Errorf("exit %q, log %q", exit, log)
	}
	if status := w.get("/nodes/pve3/qemu/103/status/current"); status["status"] != "running" {
		t.Errorf("status %v as soon as the HA manager had the request, want running", status["status"])
	}
	w.clock.Advance(20 * time.Second)
	if status := w.get("/nodes/pve3/qemu/103/status/current"); status["status"] != "stopped" {
		t.Errorf("status %v after the HA manager acted, want stopped", status["status"])
	}
}
