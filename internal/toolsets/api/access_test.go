package api_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// people adds a user with a token and a group, who have permissions.
func people(m *pvesim.Model) {
	m.Groups = append(m.Groups, pvesim.Group{ID: "operators"})
	m.Users = append(m.Users, pvesim.User{ID: "eve@pve", Groups: []string{"operators"}})
	m.Tokens = append(m.Tokens, pvesim.Token{ID: "eve@pve!script", PrivSep: true, Secret: "00000000-0000-4000-8000-00000000000e"})
	m.Roles = map[string][]string{"Starter": {"VM.Audit", "VM.PowerMgmt"}}
	m.ACL = append(m.ACL,
		pvesim.ACL{Path: "/vms", Who: "eve@pve", Role: "PVEVMAdmin"}, pvesim.ACL{Path: "/vms", Who: "eve@pve!script", Role: "PVEVMUser"},
		pvesim.ACL{Path: "/pool/web", Who: "@operators", Role: "Starter", NoPropagate: true})
}

// withAccess is a world in which permissions may be changed, by a token that may do all.
func withAccess(version string) sim.Options {
	return sim.Options{Model: sim.Cluster(people, sim.Version(version)), Token: "root@pam!full", Policy: policy.Policy{Access: true, Confirm: policy.Param}}
}

// askedCall makes a call whose human agrees, and returns the question and the answer.
func askedCall(w *sim.World, args string) (question string, a tool.Result) {
	w.Helper()
	tl, ok := w.Host.Named(changeTool)
	if !ok {
		w.Fatal("no such tool")
	}
	req := tool.Request{Arguments: json.RawMessage(args), Caller: "test", CanAsk: true}
	q := tl.Call(w.Context(), w.Host, req)
	if q.Question == nil {
		return "", q
	}
	req.State, req.Reply = q.Question.State, &tool.Reply{Action: "accept", Content: map[string]any{tool.YesField: true}}
	return q.Question.Message, tl.Call(w.Context(), w.Host, req)
}

// A change of who may do what asks the human in plain words, also where confirm: true would
// be enough for anything else, and is made as it was shown.
func TestAccessChangesAsk(t *testing.T) {
	for _, version := range []string{"8.4.1", "9.2"} {
		for _, tt := range []struct {
			args, sent string
			says       []string
		}{
			{
				`{"method":"POST","path":"/access/users","params":{"userid":"auditor@pve","groups":"operators","expire":1830297600}}`, "POST /access/users",
				[]string{"auditor@pve can log in", "auditor@pve is in these groups then: operators", "it gets what these groups may do: Starter on /pool/web alone", "it expires at 2028-01-01T00:00:00Z"},
			},
			{`{"method":"POST","path":"/{x}/groups","params":{"x":"access","groupid":"auditors"}}`, "POST /access/groups", []string{"gives no right"}},
			{
				`{"method":"PUT","path":"/access/users/eve@pve","params":{"enable":false,"groups":""}}`, "PUT /access/users/{userid}",
				[]string{"eve@pve cannot log in, nor can its tokens be used", "it is no longer in these: operators"},
			},
			{
				`{"method":"DELETE","path":"/access/users/eve@pve"}`, "DELETE /access/users/{userid}",
				[]string{"its tokens: eve@pve!script", "its groups: operators", "PVEVMUser on /vms and everything below it (token eve@pve!script), PVEVMAdmin on /vms and everything below it (user eve@pve)"},
			},
			{
				`{"method":"PUT","path":"/access/acl","params":{"path":"/","roles":"PVEAuditor","users":"eve@pve","propagate":true}}`, "PUT /access/acl",
				[]string{"user eve@pve gets the role PVEAuditor on / and everything below it", "PVEAuditor has these privileges: Datastore.Audit, "},
			},
			{
				`{"method":"PUT","path":"/access/acl","params":{"path":"/vms/100","roles":"Administrator","users":"eve@pve","groups":"operators","propagate":false}}`, "PUT /access/acl",
				[]string{
					"group operators, user eve@pve get the role Administrator on /vms/100 alone, not on what is below it", "who has Permissions.Modify can give every right to anybody",
					"the role PVEVMAdmin that user eve@pve has on /vms counts no longer on /vms/100: roles on a path replace those from above",
				},
			},
			{
				`{"method":"PUT","path":"/access/acl","params":{"path":"/vms","roles":"PVEVMAdmin","users":"eve@pve","delete":true}}`, "PUT /access/acl",
				[]string{"user eve@pve loses the role PVEVMAdmin on /vms"},
			},
			{
				`{"method":"PUT","path":"/access/users/eve@pve/token/script","params":{"privsep":false}}`, "PUT /access/users/{userid}/token/{tokenid}",
				[]string{"eve@pve!script may do all that its user may (no privilege separation)"},
			},
			{
				`{"method":"DELETE","path":"/access/users/eve@pve/token/script"}`, "DELETE /access/users/{userid}/token/{tokenid}",
				[]string{"whatever uses the token eve@pve!script no longer gets in", "its permissions: PVEVMUser on /vms and everything below it (token eve@pve!script)"},
			},
			{`{"method":"POST","path":"/access/groups","params":{"groupid":"auditors"}}`, "POST /access/groups", []string{"the group auditors itself gives no right"}},
			{
				`{"method":"DELETE","path":"/access/groups/operators"}`, "DELETE /access/groups/{groupid}",
				[]string{"its members: eve@pve", "they lose these permissions of the group: Starter on /pool/web alone"},
			},
			{
				`{"method":"POST","path":"/access/roles","params":{"roleid":"Viewer","privs":"VM.Audit,Sys.Audit"}}`, "POST /access/roles",
				[]string{"the role Viewer has these privileges then: Sys.Audit, VM.Audit"},
			},
			{
				`{"method":"PUT","path":"/access/roles/Starter","params":{"privs":"VM.Console","append":true}}`, "PUT /access/roles/{roleid}",
				[]string{"the role Starter has these privileges now: VM.Audit, VM.PowerMgmt", "the role Starter has these privileges then: VM.Audit, VM.Console, VM.PowerMgmt", "who has it: Starter on /pool/web alone"},
			},
			{`{"method":"DELETE","path":"/access/roles/Starter"}`, "DELETE /access/roles/{roleid}", []string{"who has it: Starter on /pool/web alone, not on what is below it (group operators)"}},
		} {
			t.Run(version+" "+tt.args, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := sim.New(t, withAccess(version))
					confirmed := strings.TrimSuffix(tt.args, "}") + `,"confirm":true}`
					if a := w.Call(changeTool, confirmed); !a.IsError || !strings.Contains(a.Text, "needs a human's consent") {
						t.Errorf("confirm: true is enough: %s", a.Text)
					}
					w.Sent()
					question, a := askedCall(w, tt.args)
					for _, part := range tt.says {
						if !strings.Contains(question, part) {
							t.Errorf("no %q in %s", part, question)
						}
					}
					if sent := sim.Writes(w.Sent()); !slices.Equal(sent, []string{tt.sent}) || a.Outcome != tool.OK {
						t.Errorf("%v: %s", sent, a.Text)
					}
				})
			})
		}
	}
}

// Nobody is asked about what touches the server's own user, and nothing of it is sent.
func TestAccessLeavesTheOwnUser(t *testing.T) {
	o := withAccess("9.2")
	o.Model = sim.Cluster(people, func(m *pvesim.Model) {
		m.Users[1].Groups = []string{"operators"}
		m.ACL = append(m.ACL, pvesim.ACL{Path: "/", Who: "ops@pve", Role: "Administrator"}, pvesim.ACL{Path: "/", Who: "ops@pve!mcp", Role: "Administrator"})
	})
	o.Token = "ops@pve!mcp"
	for args, want := range map[string]string{
		`{"method":"DELETE","path":"/access/users/ops@pve"}`:                                                      "ops@pve is this server's own user",
		`{"method":"PUT","path":"/access/users/{userid}","params":{"userid":"ops@pve","enable":0}}`:               "ops@pve is this server's own user",
		`{"method":"DELETE","path":"/access/users/ops@pve/token/mcp"}`:                                            "ops@pve is this server's own user",
		`{"method":"PUT","path":"/access/acl","params":{"path":"/","roles":"NoAccess","tokens":["ops@pve!mcp"]}}`: "ops@pve is this server's own user",
		`{"method":"PUT","path":"/access/acl","params":{"path":"/","roles":"NoAccess","groups":"operators"}}`:     "has rights through the group operators",
		`{"method":"DELETE","path":"/{x}/users/{userid}","params":{"x":"access","userid":"ops@pve"}}`:             "ops@pve is this server's own user",
		`{"method":"DELETE","path":"/access/groups/operators"}`:                                                   "has rights through the group operators",
		`{"method":"PUT","path":"/access/roles/Starter","params":{"privs":"VM.Audit"}}`:                           "has rights through the role Starter, on /pool/web",
		`{"method":"PUT","path":"/access/password","params":{"userid":"eve@pve","password":"hunter2hunter2"}}`:    "a password does not pass through here",
		`{"method":"POST","path":"/access/tfa/eve@pve","params":{"type":"totp"}}`:                                 "second factors are a person's own",
	} {
		w := sim.New(t, o)
		question, a := askedCall(w, args)
		if sent := sim.Writes(w.Sent()); question != "" || !a.IsError || !strings.Contains(a.Text, want) || len(sent) > 0 {
			t.Errorf("%s: asked %q, sent %v: %s\nwant %s", args, question, sent, a.Text, want)
		}
	}
}
