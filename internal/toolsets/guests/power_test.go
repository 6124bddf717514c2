package guests_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// qemu and lxc are the endpoints that change the power state.
func qemu(verb string) string { return "POST /nodes/{node}/qemu/{vmid}/status/" + verb }
func lxc(verb string) string  { return "POST /nodes/{node}/lxc/{vmid}/status/" + verb }

func TestPower(t *testing.T) {
	sim.Tell(t, "pve_guest_power", []sim.Story{
		{Name: "start", On: sim.VM, Args: `{"vmid":$vmid,"action":"start"}`, Outcome: tool.OK, Writes: []string{qemu("start")}, Says: []string{"Start of VM $vmid (scratch) on $node: done.", `"status":"running"`}},
		{Name: "forced, with no system on it", On: sim.RunningVM, Args: `{"vmid":$vmid,"action":"shutdown","timeout":5,"forceStop":true}`, Outcome: tool.OK, Writes: []string{qemu("shutdown")}, Says: []string{": done.", `"status":"stopped"`}},
		{Name: "start of a scratch CT", On: sim.CT, Args: `{"vmid":$vmid,"action":"start"}`, Outcome: tool.OK, Writes: []string{lxc("start")}, Says: []string{"Start of CT $vmid (scratch) on $node: done.", `"status":"running"`}},
		{Name: "shutdown of a CT", On: sim.RunningCT, Args: `{"vmid":$vmid,"action":"shutdown"}`, Outcome: tool.OK, Writes: []string{lxc("shutdown")}, Says: []string{"Shutdown of CT $vmid (scratch) on $node: done.", `"status":"stopped"`}},
		{Name: "stop of a CT", On: sim.RunningCT, Args: `{"vmid":$vmid,"action":"stop"}`, Outcome: tool.OK, Writes: []string{lxc("stop")}, Says: []string{": done.", `"status":"stopped"`}},
		{Name: "reboot of a CT", On: sim.RunningCT, Args: `{"vmid":$vmid,"action":"reboot"}`, Outcome: tool.OK, Writes: []string{lxc("reboot")}, Says: []string{": done.", `"status":"running"`}},
		{Name: "resume of what was suspended", On: sim.RunningVM, First: `pve_guest_power {"vmid":$vmid,"action":"suspend"}`, Args: `{"vmid":$vmid,"action":"resume"}`, Outcome: tool.OK, Writes: []string{qemu("resume")}, Says: []string{": done.", `"status":"running"`}},
		{Name: "start of what was suspended to disk", On: sim.RunningVM, First: `pve_guest_power {"vmid":$vmid,"action":"suspend","todisk":true}`, Args: `{"vmid":$vmid,"action":"start"}`, Outcome: tool.OK, Writes: []string{qemu("start")}, Says: []string{": done.", `"status":"running"`}},
		{Name: "of a suspended scratch VM", On: sim.RunningVM, First: `pve_guest_power {"vmid":$vmid,"action":"suspend"}`, Args: `{"vmid":$vmid,"action":"shutdown"}`, Outcome: tool.Failed, Says: []string{"VM $vmid is paused, so it cannot shut down."}},
		{Name: "start of a scratch VM from its CD", On: sim.VM, First: `pve_update_guest_config {"vmid":$vmid,"set":{"ide2":"$iso,media=cdrom","boot":"order=ide2"}}`, Args: `{"vmid":$vmid,"action":"start"}`, Outcome: tool.OK, Writes: []string{qemu("start")}, Says: []string{`"status":"running"`}},
		{Name: "start CT", Args: `{"vmid":204,"action":"start"}`, Outcome: tool.Warnings, Writes: []string{lxc("start")}, Says: []string{"Start of CT 204 (sandbox) on pve3: done, with warnings (1).", `"status":"running"`}},
		{Name: "shutdown", Args: `{"vmid":104,"action":"shutdown"}`, Outcome: tool.OK, Writes: []string{qemu("shutdown")}, Says: []string{"Shutdown of VM 104 (mail) on pve1: done.", `"status":"stopped"`}},
		{Name: "stop", On: sim.RunningVM, Args: `{"vmid":$vmid,"action":"stop"}`, Outcome: tool.OK, Writes: []string{qemu("stop")}, Says: []string{"Stop of VM $vmid (scratch) on $node: done.", `"status":"stopped"`}},
		{Name: "reboot waits for the start", Args: `{"vmid":104,"action":"reboot"}`, Outcome: tool.OK, Writes: []string{qemu("reboot")}, Says: []string{": done.", `"status":"running"`}},
		{Name: "reset", On: sim.RunningVM, Args: `{"vmid":$vmid,"action":"reset"}`, Outcome: tool.OK, Writes: []string{qemu("reset")}, Says: []string{": done.", `"status":"running"`}},
		{Name: "suspend", On: sim.RunningVM, Args: `{"vmid":$vmid,"action":"suspend"}`, Outcome: tool.OK, Writes: []string{qemu("suspend")}, Says: []string{": done.", `"status":"paused"`}},
		{Name: "suspend to disk", On: sim.RunningVM, Args: `{"vmid":$vmid,"action":"suspend","todisk":true}`, Outcome: tool.OK, Writes: []string{qemu("suspend")}, Says: []string{": done.", `"status":"suspended"`}},
		{Name: "resume", Args: `{"vmid":108,"action":"resume"}`, Outcome: tool.OK, Writes: []string{qemu("resume")}, Says: []string{": done.", `"status":"running"`}},
		{Name: "start of a suspended VM", Args: `{"vmid":109,"action":"start"}`, Outcome: tool.OK, Writes: []string{qemu("start")}, Says: []string{": done.", `"status":"running"`}},
		{Name: "forced", Args: `{"vmid":106,"action":"shutdown","timeout":5,"forceStop":true}`, Outcome: tool.OK, Writes: []string{qemu("shutdown")}, Says: []string{": done.", `"status":"stopped"`}},
		{Name: "HA is waited for", Args: `{"vmid":103,"action":"shutdown"}`, Outcome: tool.OK, Writes: []string{qemu("shutdown")}, Says: []string{": done.", `"status":"stopped"`}},
		{Name: "HA is waited for, not long enough", Args: `{"vmid":103,"action":"shutdown","wait":3}`, Outcome: tool.Running, Writes: []string{qemu("shutdown")}, Says: []string{"has not reached that state yet", `"status":"running"`}},
		{Name: "fails", Args: `{"vmid":105,"action":"start"}`, Outcome: tool.Failed, Writes: []string{qemu("start")}, Says: []string{"failed: start failed: QEMU exited with code 1", `"status":"stopped"`}},
		{Name: "times out", Args: `{"vmid":106,"action":"shutdown","timeout":5}`, Outcome: tool.Failed, Writes: []string{qemu("shutdown")}, Says: []string{"VM quit/powerdown failed - got timeout", `"status":"running"`}},

		{Name: "stopped already", On: sim.VM, Args: `{"vmid":$vmid,"action":"stop"}`, Outcome: tool.OK, Says: []string{"VM $vmid is stopped already; nothing was sent.", `"status":"stopped"`}},
		{Name: "running already", On: sim.RunningVM, Args: `{"vmid":$vmid,"action":"start"}`, Outcome: tool.OK, Says: []string{"VM $vmid is running already", `"status":"running"`}},
		{Name: "template", On: sim.Template, Args: `{"vmid":$vmid,"action":"start"}`, Outcome: tool.Failed, Says: []string{"VM $vmid is a template, which cannot be started."}},
		{Name: "locked", Args: `{"vmid":107,"action":"start"}`, Outcome: tool.Failed, Says: []string{"VM 107 is locked (backup)."}},
		{Name: "paused", Args: `{"vmid":108,"action":"shutdown"}`, Outcome: tool.Failed, Says: []string{"VM 108 is paused, so it cannot shut down."}},
		{Name: "start of a paused VM", Args: `{"vmid":108,"action":"start"}`, Outcome: tool.Failed, Says: []string{"VM 108 is paused, so it cannot be started."}},
		{Name: "reset of a stopped VM", On: sim.VM, Args: `{"vmid":$vmid,"action":"reset"}`, Outcome: tool.Failed, Says: []string{"VM $vmid is stopped, so reset is not possible."}},
		{Name: "resume of a stopped VM", On: sim.VM, Args: `{"vmid":$vmid,"action":"resume"}`, Outcome: tool.Failed, Says: []string{"VM $vmid is stopped, not suspended."}},
		{Name: "reset of a CT", On: sim.RunningCT, Args: `{"vmid":$vmid,"action":"reset"}`, Outcome: tool.Failed, Says: []string{"A container cannot be reset; CT $vmid was not touched."}},
		{Name: "suspend of a CT", On: sim.RunningCT, Args: `{"vmid":$vmid,"action":"suspend"}`, Outcome: tool.Failed, Says: []string{"PVE cannot suspend containers reliably; CT $vmid was not touched."}},
		{Name: "unknown", On: sim.NoGuest, Args: `{"vmid":$vmid,"action":"start"}`, Outcome: tool.Failed, Says: []string{"There is no guest $vmid"}},
	})
}

func TestPowerWithoutPrivilege(t *testing.T) {
	a := sim.New(t, sim.Options{Token: "audit@pve!mcp"}).Call("pve_guest_power", `{"vmid":104,"action":"stop"}`)
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
				w := sim.New(t, sim.Options{Model: tt.model})
				a := w.Call("pve_guest_power", tt.args)
				if a.Outcome != tt.outcome || !strings.Contains(a.Text, tt.message) || tt.status != "" && a.Fields["status"] != tt.status {
					t.Errorf("%s", a.Text)
				}
				if writes := sim.Writes(w.Sent()); len(writes) != tt.writes {
					t.Errorf("writes %v, want %d", writes, tt.writes)
				}
			})
		})
	}
}

func TestPowerRefusesMisplacedArguments(t *testing.T) {
	w := sim.New(t, sim.Options{})
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
		w := sim.New(t, sim.Options{})
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
		return &http.Response{Status: s.status, StatusCode: 500, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(`{"data":null}`))}, nil
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
				w := sim.New(t, sim.Options{Wire: func(rt http.RoundTripper) http.RoundTripper {
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

// A word that is no action is never taken for another action, however near it is.
func TestPowerSuggestsNoOtherAction(t *testing.T) {
	w := sim.New(t, sim.Options{})
	const actions = "start, shutdown, stop, reboot, reset, suspend and resume"
	for word, want := range map[string]string{
		"restart": ` (\"reboot\" is what PVE calls it).`, "Restart": ` (\"reboot\" is what PVE calls it).`,
		"starts": ".", "stopp": ".", "rest": ".", "resum": ".", "halt": ".",
	} {
		a := w.Call("pve_guest_power", fmt.Sprintf(`{"vmid":100,"action":%q}`, word))
		if says := "which is none of " + actions + want; a.Fault != tool.BadArguments || !strings.Contains(a.Text, says) {
			t.Errorf("%s: %s\nwant %s", word, a.Text, says)
		}
	}
	if sent := w.Sent(); len(sent) > 0 {
		t.Errorf("requests %v", sent)
	}
}
