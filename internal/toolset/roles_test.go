package toolset_test

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/pve-mcp/pve-mcp/internal/doctor"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/internal/toolset"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// carryOut runs the commands of a role in a shell whose pveum records its arguments, and
// applies them to the model.
func carryOut(t *testing.T, m *pvesim.Model, commands []string) {
	t.Helper()
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("no sh here")
	}
	file := filepath.Join(t.TempDir(), "told")
	script := "pveversion() { echo pve-manager/" + m.PVE + "/0123456789abcdef; }\n" +
		"pveum() { for word; do printf '%s\\n' \"$word\"; done >>" + file + "; echo >>" + file + "; }\n" +
		"set -eu\n" + strings.Join(commands, "\n")
	if out, err := exec.Command("sh", "-c", script).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	told, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	m.Roles = map[string][]string{}
	for block := range strings.SplitSeq(strings.TrimSpace(string(told)), "\n\n") {
		words := strings.Split(block, "\n")
		option := func(name string) string {
			if i := slices.Index(words, "--"+name); i > 0 {
				return words[i+1]
			}
			return ""
		}
		switch strings.Join(words[:2], " ") {
		case "user add":
			m.Users = append(m.Users, pvesim.User{ID: words[2]})
		case "role add":
			m.Roles[words[2]] = strings.Fields(option("privs"))
		case "acl modify":
			m.ACL = append(m.ACL, pvesim.ACL{Path: words[2], Who: option("users"), Role: option("roles"), NoPropagate: option("propagate") == "0"})
		case "user token":
			m.Tokens = append(m.Tokens, pvesim.Token{ID: words[3] + "!" + words[4], Secret: secret, PrivSep: option("privsep") != "0"})
		default:
			t.Fatalf("pveum %q", words)
		}
	}
}

const secret = "12345678-1234-1234-1234-123456789abc"

// With the token that doctor's commands make, every tool of the role works, apart from what
// they say is left out. The token has no privilege that these tools do not use.
func TestRoles(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"7.4-3", "8.4.1", "9.2.0"} {
		for _, r := range []struct {
			doctor.Role
			extras []string
		}{{doctor.ReadOnly, nil}, {doctor.ReadOnly, doctor.Extras()}, {doctor.Operator, nil}, {doctor.Operator, doctor.Extras()}, {doctor.Admin, nil}} {
			role := r.Role
			t.Run(fmt.Sprint(version, " ", role, r.extras), func(t *testing.T) {
				m := pvesim.Cluster()
				m.PVE = version
				groupForRule(&m)
				carryOut(t, &m, doctor.Grant{Role: role, Tools: toolset.All(), Extras: r.extras}.Commands("mcp@pve!mcp", 0))
				seesAddresses(t, m, version[0] == '9' || role == doctor.Admin || len(r.extras) > 0)
				knows := privilegesOf(t, version)
				used := map[string]bool{}
				for _, tl := range toolset.All() {
					if role.Has(tl) {
						synctest.Test(t, func(t *testing.T) { maps.Copy(used, asks(t, m, tl, role)) })
					}
				}
				given := map[string]bool{}
				for _, a := range m.ACL {
					for _, p := range m.Roles[a.Role] {
						if !knows[p] {
							t.Errorf("PVE %s knows no privilege %s", version, p)
						}
						given[p+" on "+a.Path] = true
					}
				}
				maps.DeleteFunc(used, func(need string, _ bool) bool { return !given[need] })
				if given["Sys.Modify on /"] { // which takes its place
					delete(given, "Sys.AccessNetwork on /nodes")
				}
				if diff := cmp.Diff(given, used); diff != "" {
					t.Errorf("privileges (-given +used):\n%s", diff)
				}
				explicit := carriedOut(t, version, role, r.extras)
				if diff := cmp.Diff(m.Roles, explicit.Roles); diff != "" {
					t.Errorf("roles (-found out +by version):\n%s", diff)
				}
			})
		}
	}
}

// seesAddresses holds a role's token to what it may see of a VM whose agent answers.
func seesAddresses(t *testing.T, m pvesim.Model, want bool) {
	t.Helper()
	a := sim.New(t, sim.Options{Model: &m, Token: "mcp@pve!mcp"}).Call("pve_guest_status", `{"vmid":100}`)
	if sees := a.Fields["addresses"] != nil; a.IsError || sees != want {
		t.Errorf("addresses are seen: %v, want %v: %s", sees, want, a.Text)
	}
}

// carriedOut is a model after the commands for a version that was named.
func carriedOut(t *testing.T, version string, role doctor.Role, extras []string) pvesim.Model {
	t.Helper()
	m := pvesim.Model{PVE: version}
	carryOut(t, &m, doctor.Grant{Role: role, Tools: toolset.All(), Extras: extras}.Commands("mcp@pve!mcp", int(version[0]-'0')))
	return m
}

// privilegesOf are all privileges of a version.
func privilegesOf(t *testing.T, version string) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	m := pvesim.Cluster()
	m.PVE = version
	w := sim.New(t, sim.Options{Model: &m, Token: "root@pam!full"})
	client, err := w.Host.Client(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	perms, err := client.Permissions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range perms["/"].Names() {
		out[p] = true
	}
	return out
}

// asks makes the calls of a tool's examples with the role's token, and returns the privileges that
// PVE asked for. A call may be refused for lack of a privilege that the role leaves out.
func asks(t *testing.T, m pvesim.Model, tl tool.Tool, role doctor.Role) map[string]bool {
	t.Helper()
	w := sim.New(t, sim.Options{Model: &m, Token: "mcp@pve!mcp", Policy: policy.Policy{Exec: true}})
	out := map[string]bool{}
	for _, e := range tl.Examples {
		if !e.Works(m.PVE) {
			continue
		}
		args := w.Arguments(e)
		if a := w.Run(tl, args); a.IsError && !leftOut(a.Text, tl, role) {
			t.Errorf("%s %s: %s", tl.Name, args, a.Text)
		}
		required, filtered := w.Checked()
		maps.Copy(required, filtered)
		for need := range required {
			privs, on, _ := strings.Cut(need, " on ")
			for p := range strings.SplitSeq(privs, " or ") {
				out[p+" on "+tool.Object(on).Area()] = true
			}
		}
	}
	return out
}

// leftOut reports whether a call was refused for lack of what the role leaves out.
func leftOut(text string, tl tool.Tool, role doctor.Role) bool {
	return slices.ContainsFunc(tl.Needs, func(n tool.Need) bool {
		return !role.Grants(n) && strings.Contains(text, "lacks "+n.Privs[0]+" on ")
	})
}
