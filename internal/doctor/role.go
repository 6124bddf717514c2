package doctor

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/internal/toolset"
)

// Role is a role for a token of pve-mcp.
type Role string

// The roles. What they have is derived from what the tools say to need.
const (
	ReadOnly Role = "read-only" // looks, and has no privilege that changes anything
	Operator Role = "operator"  // runs guests: what can be changed back
	Admin    Role = "admin"     // every tool
)

// Roles are all roles, from the least on.
func Roles() []Role { return []Role{ReadOnly, Operator, Admin} }

// Extras are what a role can have beside what it is for, by the names that needs of its
// tools have.
func Extras() []string {
	var out []string
	for _, t := range toolset.All() {
		for _, n := range t.Needs {
			if n.Extra != "" && !slices.Contains(out, n.Extra) {
				out = append(out, n.Extra)
			}
		}
	}
	return out
}

// Has reports whether a tool is one for the role.
func (r Role) Has(t tool.Tool) bool {
	switch r {
	case ReadOnly:
		return t.Risk == policy.Read
	case Operator:
		return t.Risk <= policy.Write
	}
	return true
}

// Grants reports whether the role, with some extras, meets a need of one of its tools. One
// that reads does without what only makes an answer richer and lets its holder change
// something.
func (r Role) Grants(n tool.Need, extras ...string) bool {
	if n.Extra != "" && slices.Contains(extras, n.Extra) {
		return true
	}
	looks := slices.ContainsFunc(n.Privs, func(p string) bool { return strings.HasSuffix(p, ".Audit") })
	switch r {
	case ReadOnly:
		return looks || n.Without == ""
	case Operator:
		return !n.Admin
	}
	return true
}

// Grant is what a token gets: a role for some tools, with some extras.
type Grant struct {
	Role
	Tools  []tool.Tool
	Extras []string
	// Access says that the token of an administrator may also change who may do what.
	Access bool
}

// Privileges returns the privileges that are granted on a major version of PVE, by path.
func (g Grant) Privileges(major int) map[string][]string {
	var wants []want
	for _, t := range g.Tools {
		for _, n := range t.Needs {
			if g.Has(t) && n.Holds(major) && g.Grants(n, g.Extras...) {
				wants = append(wants, want{n.On.Area(), n.Privs})
			}
		}
	}
	settled := settle(wants)
	if held := settled["/"]; held["Sys.Audit"] && held["Sys.Modify"] { // which PVE takes in its place
		delete(settled["/nodes"], "Sys.AccessNetwork")
	}
	out := map[string][]string{}
	for path, privs := range settled {
		out[path] = slices.Sorted(maps.Keys(privs))
	}
	return out
}

// Commands returns the lines of a shell script for root on a node that makes user, role and
// token from nothing. major is the version of PVE, or 0 if the script is to find out.
func (g Grant) Commands(tokenID string, major int) []string {
	user, name, _ := strings.Cut(tokenID, "!")
	out := append([]string{
		"# As root on a node of the cluster. To limit the role to some guests, put /pool/NAME or /vms/ID in the place of /vms.",
	}, g.leftOut(major)...)
	out = append(out, "pveum user add '"+user+"' --comment pve-mcp")
	paths := map[string]bool{}
	for v := Oldest; v <= Newest; v++ {
		if major == 0 || v == major {
			for path := range g.Privileges(v) {
				paths[path] = true
			}
		}
	}
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		out = append(out, g.give(path, user, major)...)
	}
	if g.Access && g.Role == Admin {
		out = append(out, giveAccess(user, slices.Sorted(maps.Keys(paths)))...)
	}
	return append(out,
		"# The token has what its user has. Its secret is shown once, now.",
		fmt.Sprintf("pveum user token add '%s' %s --privsep 0", user, name))
}

// giveAccess makes the roles with which users, groups, tokens, roles, permissions and realms can
// be changed, and gives them. What is given on a path hides what is given above it, so that
// permissions on one of the paths need an entry there.
func giveAccess(user string, paths []string) []string {
	const users, permissions = "mcp-access", "mcp-permissions"
	out := []string{
		"# For PVE_MCP_ENABLE_ACCESS=true: users, groups, tokens, roles and realms",
		addRole(users, []string{"Group.Allocate", "Permissions.Modify", "Realm.Allocate", "Realm.AllocateUser", "Sys.Audit", "Sys.Modify", "User.Modify"}),
		modify("/access", users, user, ""),
		"# and permissions. With Permissions.Modify on a path, every right on it can be given to anybody: leave out paths where that must not be.",
		addRole(permissions, []string{"Permissions.Modify"}),
		modify("/", permissions, user, ""),
	}
	for _, path := range paths {
		if path != "/" && path != "/access" {
			out = append(out, modify(path, permissions, user, ""))
		}
	}
	return out
}

// give makes the role for a path and gives it, for each version as it needs.
func (g Grant) give(path, user string, major int) []string {
	role := "mcp-" + string(g.Role) + strings.ReplaceAll(strings.TrimSuffix(path, "/"), "/", "-")
	commands := func(v int) string {
		privs := g.Privileges(v)[path]
		if privs == nil {
			return ""
		}
		give := modify(path, role, user, "")
		if path == "/" {
			give += " --propagate 0"
		}
		return addRole(role, privs) + "\n" + give
	}
	if major != 0 {
		return strings.Split(commands(major), "\n")
	}
	same := true
	for v := Oldest; v <= Newest; v++ {
		same = same && commands(v) == commands(Newest)
	}
	if same {
		return strings.Split(commands(Newest), "\n")
	}
	out := []string{"case $(pveversion) in"}
	for v := Newest; v >= Oldest; v-- {
		text, patterns := commands(v), fmt.Sprintf("pve-manager/%d.*", v)
		for ; v > Oldest && commands(v-1) == text; v-- {
			patterns += fmt.Sprintf("|pve-manager/%d.*", v-1)
		}
		if text != "" {
			out = append(out, patterns+")", "  "+strings.ReplaceAll(text, "\n", "\n  "), "  ;;")
		}
	}
	return append(out, "esac")
}

// leftOut says what the role goes without that its tools would use.
func (g Grant) leftOut(major int) []string {
	var out []string
	for _, t := range g.Tools {
		for _, n := range t.Needs {
			if !g.Has(t) || g.Grants(n, g.Extras...) || major != 0 && !n.Holds(major) {
				continue
			}
			text := fmt.Sprintf("# Left out, because it allows far more: %v, which %s wants", n, t.Name)
			if n.When != "" {
				text += " for " + n.When
			}
			if n.Without != "" {
				text += "; " + n.Without
			}
			if n.Extra != "" {
				text += "; --with " + n.Extra + " grants it"
			}
			out = append(out, text)
		}
	}
	return out
}
