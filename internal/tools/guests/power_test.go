package guests_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pve-mcp/internal/simtest"
	"pve-mcp/internal/tool"
	"pve-mcp/pvesim"
)

func TestPower(t *testing.T) {
	for _, tt := range []struct {
		name, args string
		outcome    tool.Outcome
		status     string // after it; "" where it is not said
		message    string
		writes     int
	}{
		{"start CT", `{"vmid":204,"action":"start"}`, tool.Warnings, "running", "Start of CT 204 (sandbox) on pve3: done, with warnings (1).", 1},
		{"shutdown", `{"vmid":104,"action":"shutdown"}`, tool.OK, "stopped", "Shutdown of VM 104 (mail) on pve1: done.", 1},
		{"stop", `{"vmid":100,"action":"stop"}`, tool.OK, "stopped", "done", 1},
		{"reboot waits for the start", `{"vmid":104,"action":"reboot"}`, tool.OK, "running", "done", 1},
		{"reset", `{"vmid":100,"action":"reset"}`, tool.OK, "running", "done", 1},
		{"suspend", `{"vmid":100,"action":"suspend"}`, tool.OK, "paused", "done", 1},
		{"suspend to disk", `{"vmid":100,"action":"suspend","todisk":true}`, tool.OK, "suspended", "done", 1},
		{"resume", `{"vmid":108,"action":"resume"}`, tool.OK, "running", "done", 1},
		{"start of a suspended VM", `{"vmid":109,"action":"start"}`, tool.OK, "running", "done", 1},
		{"forced", `{"vmid":106,"action":"shutdown","timeout":5,"forceStop":true}`, tool.OK, "stopped", "done", 1},
		{"HA is waited for", `{"vmid":103,"action":"shutdown"}`, tool.OK, "stopped", "done", 1},
		{"HA is waited for, not long enough", `{"vmid":103,"action":"shutdown","wait":3}`, tool.Running, "running", "has not reached that state yet", 1},
		{"fails", `{"vmid":105,"action":"start"}`, tool.Failed, "stopped", "failed: start failed: QEMU exited with code 1", 1},
		{"times out", `{"vmid":106,"action":"shutdown","timeout":5}`, tool.Failed, "running", "VM quit/powerdown failed - got timeout", 1},

		{"stopped already", `{"vmid":105,"action":"stop"}`, tool.OK, "stopped", "VM 105 is stopped already; nothing was sent.", 0},
		{"running already", `{"vmid":100,"action":"start"}`, tool.OK, "running", "VM 100 is running already", 0},
		{"template", `{"vmid":900,"action":"start"}`, tool.Failed, "", "VM 900 is a template, which cannot be started.", 0},
		{"locked", `{"vmid":107,"action":"start"}`, tool.Failed, "", "VM 107 is locked (backup).", 0},
		{"paused", `{"vmid":108,"action":"shutdown"}`, tool.Failed, "", "VM 108 is paused, so it cannot shut down.", 0},
		{"start of a paused VM", `{"vmid":108,"action":"start"}`, tool.Failed, "", "VM 108 is paused, so it cannot be started.", 0},
		{"reset of a stopped VM", `{"vmid":105,"action":"reset"}`, tool.Failed, "", "VM 105 is stopped, so reset is not possible.", 0},
		{"resume of a stopped VM", `{"vmid":105,"action":"resume"}`, tool.Failed, "", "VM 105 is stopped, not suspended.", 0},
		{"reset of a CT", `{"vmid":200,"action":"reset"}`, tool.Failed, "", "A container cannot be reset; CT 200 was not touched.", 0},
		{"suspend of a CT", `{"vmid":200,"action":"suspend"}`, tool.Failed, "", "PVE cannot suspend containers reliably; CT 200 was not touched.", 0},
		{"unknown", `{"vmid":999,"action":"start"}`, tool.Failed, "", "There is no guest 999", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := simtest.New(t, simtest.Options{})
				a := w.Call("pve_guest_power", tt.args)
				if a.Outcome != tt.outcome || a.IsError != (tt.outcome == tool.Failed) {
					t.Errorf("outcome %q, error %v: %s", a.Outcome, a.IsError, a.Text)
				}
				if got := fmt.Sprint(a.Fields["message"]); !strings.Contains(got, tt.message) {
					t.Errorf("message %q, want %q", got, tt.message)
				}
				if got := a.Fields["status"]; tt.status != "" && got != tt.status {
					t.Errorf("status %v, want %s", got, tt.status)
				}
				if writes := simtest.Writes(w.Sent()); len(writes) != tt.writes {
					t.Errorf("writes %v, want %d", writes, tt.writes)
				}
			})
		})
	}
}

func TestPowerWithoutPrivilege(t *testing.T) {
	a := simtest.New(t, simtest.Options{Token: "audit@pve!mcp"}).Call("pve_guest_power", `{"vmid":104,"action":"stop"}`)
	if a.Outcome != tool.Failed || a.Fields["message"] != "The token audit@pve!mcp lacks VM.PowerMgmt on /vms/104." ||
		!strings.HasPrefix(fmt.Sprint(a.Fields["next"]), "Grant it: pveum acl modify /vms/104 --roles PVEVMUser --users audit@pve;") {
		t.Errorf("%s", a.Text)
	}
}

// changed returns the preset cluster with one guest changed.
func changed(vmid int, change func(g *pvesim.Guest)) *pvesim.Model {
	m := pvesim.Cluster()
	for i := range m.Guests {
		if m.Guests[i].VMID == vmid {
			change(&m.Guests[i])
		}
	}
	return &m
}

// What the state alone does not say decides too.
func TestPowerOfOddGuests(t *testing.T) {
	ha := func(state string, running bool) *pvesim.Model {
		return changed(103, func(g *pvesim.Guest) { g.HA, g.Running = state, running })
	}
	for _, tt := range []struct {
		name    string
		model   *pvesim.Model
		args    string
		outcome tool.Outcome
		status  string
		message string
		writes  int
	}{
		{"HA is about to stop it", ha("stopped", true), `{"vmid":103,"action":"start"}`, tool.OK, "running", "done", 1},
		{"HA is about to start it", ha("started", false), `{"vmid":103,"action":"stop"}`, tool.OK, "stopped", "done", 1},
		{"HA has started it", ha("started", true), `{"vmid":103,"action":"start"}`, tool.OK, "running", "already", 0},
		{"HA has stopped it", ha("disabled", false), `{"vmid":103,"action":"stop"}`, tool.OK, "stopped", "already", 0},
		{"HA keeps away", ha("ignored", true), `{"vmid":103,"action":"start"}`, tool.OK, "running", "already", 0},
		{"a backup starts it again", changed(204, func(g *pvesim.Guest) { g.Config["lock"] = "backup" }), `{"vmid":204,"action":"stop"}`,
			tool.Failed, "", "CT 204 is locked (backup).", 0},
		{"suspension to RAM during a backup", changed(100, func(g *pvesim.Guest) { g.Config["lock"] = "backup" }), `{"vmid":100,"action":"suspend"}`,
			tool.OK, "paused", "done", 1},
		{"resumption during a backup", changed(108, func(g *pvesim.Guest) { g.Config["lock"] = "backup" }), `{"vmid":108,"action":"resume"}`,
			tool.OK, "running", "done", 1},
		{"suspension to disk during a backup", changed(100, func(g *pvesim.Guest) { g.Config["lock"] = "backup" }), `{"vmid":100,"action":"suspend","todisk":true}`,
			tool.Failed, "", "VM 100 is locked (backup).", 0},
		{"asleep is not suspended to disk", changed(100, func(g *pvesim.Guest) { g.QMPStatus = "suspended" }), `{"vmid":100,"action":"suspend","todisk":true}`,
			tool.OK, "suspended", "done", 1},
		{"asleep wakes up", changed(100, func(g *pvesim.Guest) { g.QMPStatus = "suspended" }), `{"vmid":100,"action":"resume"}`,
			tool.OK, "running", "done", 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := simtest.New(t, simtest.Options{Model: tt.model})
				a := w.Call("pve_guest_power", tt.args)
				if a.Outcome != tt.outcome || !strings.Contains(a.Text, tt.message) || tt.status != "" && a.Fields["status"] != tt.status {
					t.Errorf("%s", a.Text)
				}
				if writes := simtest.Writes(w.Sent()); len(writes) != tt.writes {
					t.Errorf("writes %v, want %d", writes, tt.writes)
				}
			})
		})
	}
}

func TestPowerRefusesMisplacedArguments(t *testing.T) {
	w := simtest.New(t, simtest.Options{})
	for args, want := range map[string]string{
		`{"vmid":104,"action":"stop","timeout":5}`:        `The argument "timeout" is for shutdown and reboot only.`,
		`{"vmid":104,"action":"reboot","forceStop":true}`: `The argument "forceStop" is for shutdown only.`,
		`{"vmid":104,"action":"stop","todisk":true}`:      `The argument "todisk" is for suspend only.`,
	} {
		if a := w.Call("pve_guest_power", args); a.Fault != tool.BadArguments || a.Fields["message"] != want {
			t.Errorf("%s: %s", args, a.Text)
		}
	}
	if sent := w.Sent(); len(sent) > 0 {
		t.Errorf("requests %v", sent)
	}
}

// "Already" would be true for a moment only.
func TestPowerWhileATaskIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := simtest.New(t, simtest.Options{})
		first := w.Call("pve_guest_power", `{"vmid":105,"action":"start","wait":0}`)
		a := w.Call("pve_guest_power", `{"vmid":105,"action":"stop"}`)
		if a.Outcome != tool.Failed || !strings.Contains(a.Text, "VM 105 is stopped, and a task that may change this is under way: "+first.Fields["upid"].(string)) {
			t.Errorf("%s", a.Text)
		}
		time.Sleep(10 * time.Second) // it fails
		if a := w.Call("pve_guest_power", `{"vmid":105,"action":"stop"}`); a.Outcome != tool.OK || !strings.Contains(a.Text, "already") {
			t.Errorf("after its end: %s", a.Text)
		}
	})
}

// stale answers looks at a guest's state, from the first write on, with an error for a
// while.
type stale struct {
	http.RoundTripper
	looks   int // that fail
	status  string
	written bool
}

func (s *stale) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Method != http.MethodGet {
		s.written = true
	}
	if s.written && s.looks > 0 && strings.HasSuffix(req.URL.Path, "/status/current") {
		s.looks--
		return &http.Response{Status: s.status, StatusCode: 500, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(""))}, nil
	}
	return s.RoundTripper.RoundTrip(req)
}

func TestPowerWhereTheStateCannotBeRead(t *testing.T) {
	for _, tt := range []struct {
		name, args    string
		looks         int
		status        string
		outcome       tool.Outcome
		state         any
		message       string
		lookedForIt   int // again
		mostOfSeconds int
	}{
		{"HA has moved it", `{"vmid":103,"action":"shutdown"}`, 1, "500 Configuration file 'nodes/pve3/qemu-server/103.conf' does not exist",
			tool.OK, "stopped", "done", 2, 20},
		{"a stopped one has moved", `{"vmid":104,"action":"stop"}`, 1, "500 Configuration file 'nodes/pve1/qemu-server/104.conf' does not exist",
			tool.OK, "stopped", "done", 2, 5},
		{"HA, for good", `{"vmid":103,"action":"shutdown"}`, 1000, "500 got timeout",
			tool.Running, nil, "whether it is done cannot be seen. PVE refused: got timeout.", 1, 20},
		{"reboot, for a while", `{"vmid":104,"action":"reboot"}`, 3, "500 got timeout", tool.OK, "running", "done", 1, 20},
		{"stop", `{"vmid":104,"action":"stop"}`, 1000, "500 got timeout",
			tool.OK, nil, "done. The current state could not be read: PVE refused: got timeout.", 1, 5},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := simtest.New(t, simtest.Options{Wire: func(rt http.RoundTripper) http.RoundTripper {
					return &stale{RoundTripper: rt, looks: tt.looks, status: tt.status}
				}})
				begun := time.Now()
				a := w.Call("pve_guest_power", tt.args)
				if a.Outcome != tt.outcome || a.Fields["status"] != tt.state || !strings.Contains(a.Text, tt.message) {
					t.Errorf("%s", a.Text)
				}
				if n := strings.Count(strings.Join(w.Sent(), " "), "/cluster/resources"); n != tt.lookedForIt {
					t.Errorf("it was looked for %d times, want %d", n, tt.lookedForIt)
				}
				if took := time.Since(begun); took > time.Duration(tt.mostOfSeconds)*time.Second {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}
