package api_test

import (
	"strings"
	"testing"

	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
)

// PVE's description does not name the parameters of HA rules, which depend on their type. A refusal
// does not say that there are none.
func TestRefusedRuleHasParameters(t *testing.T) {
	w := sim.New(t, sim.Options{Token: "root@pam!full"})
	for _, params := range []string{`{"rule":"x","type":"bogus","resources":"vm:103"}`, `{"rule":"1","type":"node-affinity","resources":"vm:103","nodes":"pve1"}`, `{}`} {
		a := w.Call("pve_api_change", `{"method":"POST","path":"/cluster/ha/rules","params":`+params+`,"confirm":true}`)
		if a.Outcome != tool.Failed || strings.Contains(a.Text, "no parameters") {
			t.Errorf("%s: %s", params, a.Text)
		}
	}
}
