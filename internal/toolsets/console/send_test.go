package console_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
)

// What is typed arrives, as slowly as a keyboard takes it.
func TestSend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{Policy: policy.Policy{Exec: true}})
		before := picture(t, w)
		begun := time.Now()
		a := w.Call("pve_console_send", fmt.Sprintf(`{"vmid":100,"text":%q,"keys":["enter"]}`, strings.Repeat("x", 40)))
		if a.Outcome != tool.OK || !strings.HasPrefix(a.Fields["message"].(string), "Typed. ") {
			t.Error(a.Text)
		}
		if took := time.Since(begun); took < 600*time.Millisecond || took > 20*time.Second {
			t.Errorf("it took %v", took)
		}
		if picture(t, w) == before {
			t.Error("nothing was typed")
		}
	})
}

func TestSendRefused(t *testing.T) {
	only, err := policy.ParseCommands("/usr/bin/id")
	if err != nil {
		t.Fatal(err)
	}
	on := policy.Policy{Exec: true}
	for _, tt := range []struct {
		policy policy.Policy
		args   string
		want   string
	}{
		{policy.Policy{}, `{"vmid":100,"text":"x"}`, "commands in guests are off"},
		{policy.Policy{Exec: true, ExecAllow: only}, `{"vmid":100,"text":"x"}`, "what is typed can be any command, and PVE_MCP_EXEC_ALLOW limits commands in guests"},
		{policy.Policy{Exec: true, Confirm: policy.Human}, `{"vmid":100,"text":"x"}`, "it needs a human's consent"},
		{on, `{"vmid":100}`, `The argument "text" is missing: give text, keys, or both.`},
		{on, `{"vmid":100,"text":"` + strings.Repeat("x", 1001) + `"}`, `The argument "text" is too long: at most 1000 characters are typed, and as many keys.`},
		{on, `{"vmid":100,"text":"漢"}`, `The argument "text" has '漢' as its character 1, which no key of the layout us types alone.`},
		{on, `{"vmid":100,"keys":["enterr"]}`, `The argument "keys" has "enterr", and no key is called "enterr": give keys such as enter, esc, f2, up, ctrl-c or ctrl-alt-del.`},
		{on, `{"vmid":200,"keys":["ctrl-alt-del"]}`, `The argument "keys" has "ctrl-alt-del", which a terminal does not have.`},
		{on, `{"vmid":105,"text":"x"}`, "VM 105 is stopped, so its console shows nothing."},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := sim.New(t, sim.Options{Policy: tt.policy})
			a := w.Call("pve_console_send", tt.args)
			if message, _ := a.Fields["message"].(string); a.Outcome != tool.Failed && a.Fault == tool.NoFault || !strings.Contains(message, tt.want) {
				t.Errorf("%.60s: %s", tt.args, a.Text)
			}
			if writes := sim.Writes(w.Sent()); len(writes) > 0 {
				t.Errorf("%.60s: sent %v", tt.args, writes)
			}
		})
	}
}
