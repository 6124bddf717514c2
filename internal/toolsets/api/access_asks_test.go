package api_test

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
)

// "Who may do what, which tokens exist": read without access to change it, and without a secret.
func TestWhoMayDoWhat(t *testing.T) {
	for _, version := range []string{"8.4.1", "9.2"} {
		sim.Tell(t, "pve_api_read", []sim.Story{
			{
				Name: version + " permissions", Args: `{"path":"/access/acl","fields":["path","ugid","roleid","propagate"]}`, Outcome: tool.OK,
				Options: sim.Options{Model: sim.Cluster(people, sim.Version(version)), Token: auditor},
				Says:    []string{`{"path":"/pool/web","propagate":0,"roleid":"Starter","ugid":"operators"}`, `{"path":"/vms","propagate":1,"roleid":"PVEVMAdmin","ugid":"eve@pve"}`, `"ugid":"eve@pve!script"`},
			},
			{
				Name: version + " users with their groups and tokens", Args: `{"path":"/access/users","params":{"full":true},"fields":["userid","groups","tokens"]}`, Outcome: tool.OK,
				Options: sim.Options{Model: sim.Cluster(people, sim.Version(version)), Token: auditor},
				Says:    []string{`"groups":"operators"`, `"tokenid":"script"`, `"userid":"eve@pve"`}, Lacks: []string{"00000000-0000-4000-8000-00000000000e"},
			},
			{
				Name: version + " what one may do", Args: `{"path":"/access/permissions","params":{"userid":"eve@pve","path":"/vms/100"}}`, Outcome: tool.OK,
				Options: sim.Options{Model: sim.Cluster(people, sim.Version(version)), Token: auditor}, Says: []string{`"VM.PowerMgmt"`},
			},
		})
	}
}

// "Make a read-only user for the auditor": found, made with a password that the user types, given
// a role, and seen to be able to look and no more.
func TestReadOnlyUserForTheAuditor(t *testing.T) {
	for _, version := range []string{"8.4.1", "9.2"} {
		synctest.Test(t, func(t *testing.T) {
			w := sim.New(t, withAccess(version))
			found := w.Call("pve_api_search", `{"query":"create a user"}`)
			if !strings.Contains(found.Text, `"path":"/access/users"`) || strings.Contains(found.Text, "PVE_MCP_ENABLE_ACCESS") {
				t.Errorf("%s", found.Text)
			}
			question, a := typing(w, `{"method":"POST","path":"/access/users","params":{"userid":"auditor@pve","comment":"audit 2026"},"ask_user":["password"]}`, "correct horse battery")
			if a.Outcome != tool.OK || !strings.Contains(question, "auditor@pve can log in") || !strings.Contains(a.Text, `"undo":{"tool":"pve_api_change","arguments":{"method":"DELETE","path":"/access/users/auditor@pve"}}`) {
				t.Fatalf("%s\n%s", question, a.Text)
			}
			question, a = askedCall(w, `{"method":"PUT","path":"/access/acl","params":{"path":"/","users":"auditor@pve","roles":"PVEAuditor"}}`)
			if a.Outcome != tool.OK || !strings.Contains(question, "user auditor@pve gets the role PVEAuditor on / and everything below it") {
				t.Fatalf("%s\n%s", question, a.Text)
			}
			may := w.Call("pve_api_read", `{"path":"/access/permissions","params":{"userid":"auditor@pve","path":"/vms/100"}}`)
			if !strings.Contains(may.Text, `"VM.Audit"`) || strings.Contains(may.Text, "VM.PowerMgmt") || strings.Contains(may.Text, "Modify") {
				t.Errorf("%s", may.Text)
			}
		})
	}
}

// Realms are made with a secret that the user types, changed, and removed with a word about
// their users.
func TestRealms(t *testing.T) {
	for _, version := range []string{"8.4.1", "9.2"} {
		synctest.Test(t, func(t *testing.T) {
			w := sim.New(t, withAccess(version))
			for _, step := range []struct{ args, asks, says string }{
				{`{"method":"POST","path":"/access/domains","params":{"realm":"sso","type":"openid","issuer-url":"https://idp.example.org","client-id":"pve"},"ask_user":["client-key"]}`, "lets other people log in", `"outcome":"ok"`},
				{`{"method":"POST","path":"/access/domains","params":{"realm":"sso","type":"openid","issuer-url":"https://idp.example.org","client-id":"pve"}}`, "realm sso", "add auth server failed: domain 'sso' already exists"},
				{`{"method":"POST","path":"/access/domains","params":{"realm":"corp","type":"ldap","server1":"ldap.example.org"}}`, "realm corp", "add auth server failed: missing value for required option 'base_dn'"},
				{`{"method":"POST","path":"/access/domains","params":{"realm":"corp","type":"ldap","server1":"ldap.example.org","base_dn":"dc=x","user_attr":"uid","group_name_attr":"c-n"}}`, "", "value 'c-n' does not look like a simple ldap attribute name"},
				{`{"method":"PUT","path":"/access/domains/sso","params":{"comment":"for all","default":true}}`, "changes how people log in", `"after":{"comment":"for all","default":1}`},
				{`{"method":"POST","path":"/access/users","params":{"userid":"ann@sso"}}`, "ann@sso can log in", `"outcome":"ok"`},
				{`{"method":"DELETE","path":"/access/domains/sso"}`, "its users can no longer log in: ann@sso", `"outcome":"ok"`},
			} {
				question, a := typing(w, step.args, "hush-hush")
				if !strings.Contains(question, step.asks) || !strings.Contains(a.Text, step.says) || strings.Contains(a.Text, "hush") {
					t.Errorf("%s\n%s\n%s", step.args, question, a.Text)
				}
			}
			if a := w.Call("pve_api_read", `{"path":"/access/domains"}`); strings.Contains(a.Text, "sso") || !strings.Contains(a.Text, "Proxmox VE authentication server") {
				t.Errorf("%s", a.Text)
			}
		})
	}
}
