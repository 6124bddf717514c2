package tool_test

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pve-mcp/internal/catalog"
	"pve-mcp/internal/guard"
	"pve-mcp/internal/seal"
	"pve-mcp/internal/simtest"
	"pve-mcp/internal/tool"
)

// asked is a call of a client that can ask its human.
func asked(w *simtest.World, name, args string, reply *tool.Reply, state string) tool.Result {
	w.Helper()
	t, _ := catalog.Named(name)
	return t.Call(w.Context(), w.Host, tool.Request{
		Arguments: json.RawMessage(args), Caller: "test", CanAsk: true, Reply: reply, State: state,
	})
}

const rollback = `{"vmid":102,"snapname":"after-upgrade"}`

func yes() *tool.Reply {
	return &tool.Reply{Action: "accept", Content: map[string]any{tool.YesField: true}}
}

// What a human has consented to is this call, of this caller, to the guest as it was,
// for five minutes, once.
func TestSealedConsent(t *testing.T) {
	for _, tt := range []struct {
		name    string
		args    string // of the second call; "" for the same
		tool    string
		caller  string
		between func(w *simtest.World)
		state   func(string) string
		outcome tool.Outcome
		message string
	}{
		{name: "the same call", outcome: tool.OK, message: "done"},
		{name: "other arguments", args: `{"vmid":102,"snapname":"after-upgrade","start":true}`, outcome: tool.NeedsConfirmation, message: "it was given for another call"},
		{name: "another tool", tool: "pve_delete_snapshot", outcome: tool.NeedsConfirmation, message: "it was given for another call"},
		{name: "too late", between: func(*simtest.World) { time.Sleep(6 * time.Minute) }, outcome: tool.NeedsConfirmation, message: "it took longer than 5m"},
		{name: "tampered with", state: func(s string) string { return s[1:] + s[:1] }, outcome: tool.NeedsConfirmation, message: "the state that came with it is not valid"},
		{name: "no state", state: func(string) string { return "" }, outcome: tool.NeedsConfirmation, message: "the state that came with it is not valid"},
		{name: "another server's", between: func(w *simtest.World) { w.Host.Seal = seal.Keys{[]byte("other")} }, outcome: tool.NeedsConfirmation, message: "not valid"},
		{name: "the guest was stopped", between: func(w *simtest.World) { w.Call("pve_guest_power", `{"vmid":102,"action":"stop"}`) },
			outcome: tool.NeedsConfirmation, message: "the guest is no longer as it was"},
		{name: "its configuration was changed", between: func(w *simtest.World) { w.Call("pve_update_guest_config", `{"vmid":102,"set":{"description":"x"}}`) },
			outcome: tool.NeedsConfirmation, message: "the guest is no longer as it was"},
		{name: "a snapshot was taken", between: func(w *simtest.World) { w.Call("pve_create_snapshot", `{"vmid":102,"snapname":"third"}`) },
			outcome: tool.NeedsConfirmation, message: "the guest is no longer as it was"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := simtest.New(t, simtest.Options{})
				first := asked(w, "pve_rollback_snapshot", rollback, nil, "")
				if first.Question == nil || first.Question.State == "" {
					t.Fatalf("%+v", first)
				}
				if tt.between != nil {
					tt.between(w)
				}
				w.Sent()
				state, args, name := first.Question.State, rollback, "pve_rollback_snapshot"
				if tt.state != nil {
					state = tt.state(state)
				}
				if tt.args != "" {
					args = tt.args
				}
				if tt.tool != "" {
					name = tt.tool
				}
				second := asked(w, name, args, yes(), state)
				if second.Outcome != tt.outcome || !strings.Contains(second.Text, tt.message) {
					t.Errorf("%s", second.Text)
				}
				if writes := simtest.Writes(w.Sent()); (len(writes) > 0) != (tt.outcome == tool.OK) {
					t.Errorf("writes: %v", writes)
				}
			})
		})
	}
}

// An executed change spends the consent for every replica: PVE remembers it. So does
// another replica's key, which is derived from the same token.
func TestConsentIsSpentOnEveryReplica(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := simtest.New(t, simtest.Options{})
		other := w.As("ops@pve!mcp")
		state := asked(w, "pve_rollback_snapshot", rollback, nil, "").Question.State
		if res := asked(other, "pve_rollback_snapshot", rollback, yes(), state); res.Outcome != tool.OK {
			t.Fatalf("on another replica: %s", res.Text)
		}
		for _, replica := range []*simtest.World{w, other} {
			if res := asked(replica, "pve_rollback_snapshot", rollback, yes(), state); res.Outcome != tool.NeedsConfirmation || !strings.Contains(res.Text, "no longer as it was") {
				t.Errorf("again: %s", res.Text)
			}
		}
	})
}

// Where nobody can be asked, the answer says what would be lost and the exact call.
func TestTheCallThatWouldConfirm(t *testing.T) {
	w := simtest.New(t, simtest.Options{Policy: guard.Policy{Confirm: guard.Param}})
	a := w.Call("pve_delete_snapshot", `{"vmid":"102","snapname":"after-upgrade"}`)
	want := `If this is what the user wants, call again: pve_delete_snapshot {"confirm":true,"snapname":"after-upgrade","vmid":"102"}`
	if a.Outcome != tool.NeedsConfirmation || a.Fields["next"] != want {
		t.Errorf("%s", a.Text)
	}
}
