package api_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/pve-mcp/pve-mcp/internal/audit"
	"github.com/pve-mcp/pve-mcp/internal/cli/demo"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve/apischema"
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

// everywhere collects all that a call leaves behind: log lines, with those for debugging, and
// the audit log.
func everywhere(w *sim.World) *bytes.Buffer {
	var all bytes.Buffer
	w.Host.Logger = slog.New(slog.NewTextHandler(&all, &slog.HandlerOptions{Level: slog.LevelDebug}))
	log, err := audit.New(audit.Options{Logger: w.Host.Logger})
	if err != nil {
		w.Fatal(err)
	}
	w.Host.Audit = log
	return &all
}

// A secret that PVE makes goes to a new file, and nowhere else.
func TestSecretOfPVEGoesToAFile(t *testing.T) {
	for _, tt := range []struct {
		version, args, file, undo string
	}{
		{"8.4.1", `{"method":"POST","path":"/access/users/eve@pve/token/new","params":{"comment":"for a script"}}`, "token-eve@pve!new", `"undo":{`},
		{"9.2", `{"method":"POST","path":"/access/users/{userid}/token/new","params":{"userid":"eve@pve","privsep":false}}`, "token-eve@pve!new", `"undo":{`},
		{"9.2", `{"method":"PUT","path":"/access/users/eve@pve/token/script","params":{"regenerate":true}}`, "token-eve@pve!script", ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := sim.New(t, withAccess(tt.version))
			w.Host.SecretsDir = t.TempDir()
			old := filepath.Join(w.Host.SecretsDir, tt.file)
			if err := os.WriteFile(old, []byte("older"), 0o600); err != nil {
				t.Fatal(err)
			}
			all := everywhere(w)
			question, a := askedCall(w, tt.args)
			if a.Outcome != tool.OK || !strings.Contains(question, "PVE makes a secret: it goes to a new file in "+w.Host.SecretsDir) {
				t.Fatalf("%s: %s", question, a.Text)
			}
			path := old + "-2"
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			secret := strings.TrimSpace(string(data))
			if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 || len(secret) != len("00000000-0000-4000-8000-00000000000e") {
				t.Errorf("%v, %v, %d characters", info.Mode(), err, len(secret))
			}
			if client, err := w.Host.WithToken(proxmoxOptions(w, "eve@pve!"+tt.file[strings.LastIndex(tt.file, "!")+1:], secret)); err != nil {
				t.Fatal(err)
			} else if pveClient, err := client.Client(w.Context()); err != nil {
				t.Fatal(err)
			} else if _, err := pveClient.Version(w.Context()); err != nil {
				t.Errorf("the secret in the file is not that of the token: %v", err)
			}
			if old, err := os.ReadFile(old); err != nil || string(old) != "older" {
				t.Errorf("a file that was there: %q, %v", old, err)
			}
			if !strings.Contains(a.Text, `"secret_file":`+strconv.Quote(path)) || !strings.Contains(a.Text, tt.undo) || tt.undo == "" && strings.Contains(a.Text, "undo") {
				t.Errorf("%s", a.Text)
			}
			for _, text := range []string{question, a.Text, string(a.Structured), a.Handle, all.String()} {
				if strings.Contains(text, secret) {
					t.Errorf("the secret is in %s", text)
				}
			}
			if !strings.Contains(all.String(), "/access/users/") {
				t.Errorf("no record in %s", all.String())
			}
		})
	}
}

// Nothing is sent, and nobody is asked, if a secret that PVE would make cannot be kept; and no
// file is left of a request that PVE has refused.
func TestSecretThatCannotBeKept(t *testing.T) {
	const create = `{"method":"POST","path":"/access/users/eve@pve/token/new"}`
	for want, dir := range map[string]string{"Set PVE_MCP_SECRETS_DIR": "", "no such file or directory": filepath.Join(t.TempDir(), "gone")} {
		w := sim.New(t, withAccess("9.2"))
		w.Host.SecretsDir = dir
		question, a := askedCall(w, create)
		if sent := sim.Writes(w.Sent()); question != "" || !a.IsError || !strings.Contains(a.Text, want) || len(sent) > 0 {
			t.Errorf("%q: %q %v %s", dir, question, sent, a.Text)
		}
	}
	w := sim.New(t, withAccess("9.2"))
	w.Host.SecretsDir = t.TempDir()
	_, a := askedCall(w, `{"method":"POST","path":"/access/users/eve@pve/token/script"}`)
	files, err := os.ReadDir(w.Host.SecretsDir)
	if err != nil || len(files) > 0 || !strings.Contains(a.Text, "Token already exists") {
		t.Errorf("%v %v: %s", files, err, a.Text)
	}
}

// Each answer with a secret is known: of every request that may be sent, by PVE's description.
func TestSecretsOfPVEAreKnown(t *testing.T) {
	given := url.Values{"regenerate": {"1"}, "encryption-key": {"autogen"}}
	for _, major := range []int{8, 9} {
		known, err := apischema.Load(major)
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		for _, ep := range known.Endpoints() {
			row, ok := policy.Describe(ep.Method, strings.Split(ep.Path, "/")[1:], given)
			console := strings.HasSuffix(ep.Path, "/vncproxy") || strings.HasSuffix(ep.Path, "/termproxy") // which the tool does not open
			if ep.Method == http.MethodGet || !ok || row.Never != "" || console {
				continue
			}
			for _, field := range secretFields(ep.Returns) {
				found++
				if row.MakesSecret != field {
					t.Errorf("%s %s answers with %s, which goes to the model", ep.Method, ep.Path, field)
				}
			}
		}
		if found < 3 {
			t.Errorf("%d answers with secrets", found)
		}
	}
}

// secretFields are the fields of an answer that are called as secrets are.
func secretFields(s *apischema.Schema) (out []string) {
	if s == nil {
		return nil
	}
	for name, inner := range s.Properties {
		if inner.Type == "string" && name != "full-tokenid" && !strings.HasPrefix(name, "public-") && (name == "value" || render.NamesSecret(name)) {
			out = append(out, name)
		}
		for _, deeper := range secretFields(inner) {
			out = append(out, name+"."+deeper)
		}
	}
	return out
}

// proxmoxOptions are those of a client of the world with another token.
func proxmoxOptions(w *sim.World, id, secret string) proxmox.Options {
	return demo.Options(w.Sim.URL(), w.Sim.Transport(), pvesim.Token{ID: id, Secret: secret})
}
