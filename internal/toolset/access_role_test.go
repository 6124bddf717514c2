package toolset_test

import (
	"encoding/json"
	"testing"
	"testing/synctest"

	"github.com/pve-mcp/pve-mcp/internal/doctor"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/internal/toolset"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// With the token that doctor's commands make for an administrator, where access is enabled, who
// may do what can be changed on each path.
func TestRoleWithAccess(t *testing.T) {
	for _, version := range []string{"8.4.1", "9.2.0"} {
		synctest.Test(t, func(t *testing.T) {
			m := pvesim.Cluster()
			m.PVE = version
			carryOut(t, &m, doctor.Grant{Role: doctor.Admin, Tools: toolset.All(), Access: true}.Commands("mcp@pve!mcp", 0))
			w := sim.New(t, sim.Options{Model: &m, Token: "mcp@pve!mcp", Policy: policy.Policy{Access: true}})
			w.Host.SecretsDir = t.TempDir()
			change, _ := w.Host.Named("pve_api_change")
			for _, args := range []string{
				`{"method":"POST","path":"/access/groups","params":{"groupid":"auditors"}}`,
				`{"method":"POST","path":"/access/users","params":{"userid":"auditor@pve","groups":"auditors"}}`,
				`{"method":"POST","path":"/access/users/auditor@pve/token/script"}`,
				`{"method":"POST","path":"/access/roles","params":{"roleid":"Looks","privs":"VM.Audit"}}`,
				`{"method":"PUT","path":"/access/roles/Looks","params":{"privs":"VM.Audit,Sys.Audit"}}`,
				`{"method":"PUT","path":"/access/acl","params":{"path":"/","roles":"Looks","groups":"auditors"}}`,
				`{"method":"PUT","path":"/access/acl","params":{"path":"/vms","roles":"Looks","users":"auditor@pve"}}`,
				`{"method":"PUT","path":"/access/acl","params":{"path":"/pool/web","roles":"Looks","users":"auditor@pve"}}`,
				`{"method":"PUT","path":"/access/acl","params":{"path":"/storage","roles":"Looks","tokens":"auditor@pve!script"}}`,
				`{"method":"DELETE","path":"/access/users/auditor@pve"}`,
			} {
				req := tool.Request{Arguments: json.RawMessage(args), Caller: "test", CanAsk: true}
				a := change.Call(w.Context(), w.Host, req)
				if a.Question != nil {
					req.State, req.Reply = a.Question.State, &tool.Reply{Action: "accept", Content: map[string]any{tool.YesField: true}}
					a = change.Call(w.Context(), w.Host, req)
				}
				if a.Outcome != tool.OK {
					t.Errorf("%s: %s", args, a.Text)
				}
			}
		})
	}
}
