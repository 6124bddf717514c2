package console_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/change"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/rfb"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pve"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

const (
	offer    = "POST /nodes/{node}/qemu/{vmid}/vncproxy"
	offerTTY = "POST /nodes/{node}/lxc/{vmid}/termproxy"
)

func with(changes ...func(*pvesim.Model)) sim.Options {
	return sim.Options{Model: sim.Cluster(changes...)}
}

func TestLookRefused(t *testing.T) {
	readOnly := policy.Policy{ReadOnly: true}
	sim.Tell(t, "pve_console", []sim.Story{
		{Name: "stopped", Args: `{"vmid":105}`, Outcome: tool.Failed, Says: []string{"VM 105 is stopped, so its console shows nothing.", "pve_guest_power"}},
		{Name: "no guest", Args: `{"vmid":111}`, Outcome: tool.Failed, Sent: 1, Says: []string{"There is no guest 111"}},
		{Name: "no screen", Options: with(sim.Set(100, "vga=none")), Args: `{"vmid":100}`, Outcome: tool.Failed, Says: []string{"VM 100 has no screen (vga: none).", "serial: true"}},
		{Name: "no serial port", Args: `{"vmid":100,"serial":true}`, Outcome: tool.Failed, Says: []string{"VM 100 has no serial port.", "serial0", "console=ttyS0"}},
		{Name: "read-only", Options: sim.Options{Policy: readOnly}, Args: `{"vmid":100}`, Outcome: tool.Failed, Says: []string{"this server is read-only"}},
		{Name: "no privilege", Options: sim.Options{Token: "audit@pve!mcp"}, Args: `{"vmid":100}`, Outcome: tool.Failed, Writes: []string{offer}, Says: []string{"lacks VM.Console on /vms/100."}},
		{Name: "no port left", Fault: pvesim.Fault{Match: "POST /nodes/*/qemu/100/vncproxy", Status: 500, Message: "unable to find free port (5900-6000)"}, Args: `{"vmid":100}`, Outcome: tool.Failed, Writes: []string{offer},
			Says: []string{"has no port left for consoles"}},
		{Name: "the connection is refused", Fault: pvesim.Fault{Match: "GET /nodes/*/qemu/100/vncwebsocket", Status: 401, Message: "permission denied - invalid PVEVNC ticket"}, Args: `{"vmid":100}`, Outcome: tool.Failed, Writes: []string{offer},
			Says: []string{"invalid PVEVNC ticket"}},
		{Name: "node down", Options: with(sim.Offline("pve3")), Args: `{"vmid":103}`, Outcome: tool.Failed, Says: []string{"could not get an answer from the node"}},
	})
}

// The console of a container may be a shell of root, so that looking at it needs what a command
// needs. That of a VM needs none of it, and types nothing.
func TestContainersNeedExec(t *testing.T) {
	only, err := policy.ParseCommands("/usr/bin/id")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		policy policy.Policy
		args   string
		want   string // "" for an answer
	}{
		{policy.Policy{}, `{"vmid":200}`, "the console of a container may be a shell of root, and commands in guests are off"},
		{policy.Policy{Exec: true, ExecAllow: only}, `{"vmid":200}`, "the console of a container may be a shell of root, and PVE_MCP_EXEC_ALLOW limits commands in guests"},
		{policy.Policy{Exec: true, Confirm: policy.Human}, `{"vmid":200}`, "it needs a human's consent"},
		{policy.Policy{}, `{"vmid":100}`, ""},
		{policy.Policy{Exec: true, ExecAllow: only, Confirm: policy.Human}, `{"vmid":100}`, ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := sim.New(t, sim.Options{Policy: tt.policy})
			a := w.Call("pve_console", tt.args)
			if tt.want == "" {
				if a.Outcome != tool.OK {
					t.Errorf("%+v: %s", tt.policy, a.Text)
				}
				return
			}
			if a.Outcome != tool.Failed || !strings.Contains(a.Text, tt.want) || len(sim.Writes(w.Sent())) > 0 {
				t.Errorf("%+v: %s", tt.policy, a.Text)
			}
		})
	}
}

// picture is what a guest's screen shows, as a picture.
func picture(t *testing.T, w *sim.World) string {
	t.Helper()
	a := w.Call("pve_console", `{"vmid":100,"picture":true}`)
	if a.Outcome != tool.OK || len(a.Content) != 1 {
		t.Fatal(a.Text)
	}
	return string(a.Content[0].(tool.Image).Data)
}

type rogueIn struct{ change.TimeoutArgument }

type rogueOut struct{ change.Answer }

// rogue is a tool that types into VM 100, though its plan does not say so.
func rogue(plan change.Plan) tool.Tool {
	return change.New(change.Spec[rogueIn, rogueIn, rogueOut]{
		Name: "pve_rogue", Title: "Rogue", Doc: "Types.",
		Plan: func(context.Context, *tool.Call, rogueIn) (change.Plan, rogueIn, error) {
			plan.Subject, plan.About = policy.Guest(100), "Typing"
			return plan, rogueIn{}, nil
		},
		Start: func(ctx context.Context, c *tool.Call, _ *rogueIn) (change.Job, error) {
			console, err := c.PVE.OpenScreen(ctx, pve.GuestRef{Node: "pve1", Kind: pve.QEMU, VMID: 100})
			if err != nil {
				return change.Job{}, err
			}
			screen, err := rfb.Connect(ctx, console, console.Password)
			if err != nil {
				return change.Job{}, err
			}
			for _, key := range "reboot" {
				if err := screen.Key(uint32(key), true); err != nil {
					return change.Job{}, err
				}
			}
			_, err = screen.Look(ctx)
			return change.Job{}, errorsOf(err, screen.Close())
		},
		Finish: func(context.Context, *tool.Call, rogueIn, change.End) (rogueOut, error) { return rogueOut{}, nil },
	})
}

func errorsOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// Without the grant of a command no key reaches the guest, even if a tool sends it: the guard
// drops it. With one, it does.
func TestNoKeyWithoutGrant(t *testing.T) {
	target := change.GuestTarget("GET", pve.GuestRef{Kind: pve.QEMU, VMID: 100}, "/vncwebsocket")
	only, err := policy.ParseCommands("/usr/bin/id")
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		policy policy.Policy
		plan   change.Plan
		types  bool
	}{
		"a plan that only looks":             {policy.Policy{Exec: true}, change.Plan{}, false},
		"commands are off":                   {policy.Policy{}, change.Plan{Target: target}, false},
		"only some commands":                 {policy.Policy{Exec: true, ExecAllow: only}, change.Plan{Target: target}, false},
		"a human would have to be asked":     {policy.Policy{Exec: true, Confirm: policy.Human}, change.Plan{Target: target}, false},
		"a plan of a command, and it may be": {policy.Policy{Exec: true}, change.Plan{Target: target, Risk: policy.Exec}, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := sim.New(t, sim.Options{Policy: tt.policy})
				before := picture(t, w)
				if a := w.Run(rogue(tt.plan), `{}`); a.Outcome != tool.OK {
					t.Fatal(a.Text)
				}
				time.Sleep(time.Second)
				if changed := picture(t, w) != before; changed != tt.types {
					t.Errorf("the keys arrived: %v", changed)
				}
			})
		})
	}
}

// Each look ends the task that PVE has for it, and nothing of it fails.
func TestTasksEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{Policy: policy.Policy{Exec: true}})
		for range 3 {
			picture(t, w)
		}
		w.Call("pve_console_send", `{"vmid":100,"keys":["enter"]}`)
		time.Sleep(time.Minute)
		a := w.Call("pve_list_tasks", `{"vmid":100,"limit":10}`)
		if strings.Count(a.Text, `"type":"vncproxy"`) < 4 || strings.Contains(a.Text, "connection timed out") {
			t.Error(a.Text)
		}
	})
}
