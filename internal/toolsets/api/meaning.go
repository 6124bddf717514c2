package api

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/proxmox/lenient"
	"github.com/pve-mcp/pve-mcp/pve/apischema"
)

// meaningOf says in plain words what a request means that decides who may do what. It reads
// what the request does not tell, and says what it cannot see.
func meaningOf(ctx context.Context, c *tool.Call, req request) []string {
	m := meaning{c: c, req: req}
	switch path := req.endpoint.Path; {
	case path == "/access/acl":
		m.ofACL(ctx)
	case strings.HasPrefix(path, "/access/users/{userid}/token"):
		m.ofToken(ctx)
	case strings.HasPrefix(path, "/access/users"):
		m.ofUser(ctx)
	case strings.HasPrefix(path, "/access/groups"):
		m.ofGroup(ctx)
	case strings.HasPrefix(path, "/access/roles"):
		m.ofRole(ctx)
	case strings.HasPrefix(path, "/access/domains"), strings.HasPrefix(path, "/cluster/jobs/realm-sync"):
		m.ofRealm(ctx)
	}
	return m.lines
}

// meaning collects what a request means.
type meaning struct {
	c     *tool.Call
	req   request
	lines []string
}

func (m *meaning) say(format string, args ...any) {
	m.lines = append(m.lines, render.Text(fmt.Sprintf(format, args...), 1500))
}

func (m *meaning) given(name string) string {
	if text := m.req.form.Get(name); text != "" {
		return text
	}
	text, _ := m.req.values[name].(string)
	return text
}

// listed are the elements of a list in a parameter.
func (m *meaning) listed(name string) (out []string) {
	for _, text := range m.req.form[name] {
		out = append(out, apischema.SplitList(text)...)
	}
	return out
}

func (m *meaning) isOn(name string, normally bool) bool {
	if !m.req.form.Has(name) {
		return normally
	}
	return m.req.form.Get(name) == "1"
}

// entry is an entry of the access control list.
type entry struct {
	Path      string            `json:"path"`
	Type      string            `json:"type"`
	Who       string            `json:"ugid"`
	Role      string            `json:"roleid"`
	Propagate lenient.Opt[bool] `json:"propagate"`
}

func (e entry) String() string { return e.Role + " on " + placeText(e.Path, e.Propagate.Value) }

func placeText(path string, propagate bool) string {
	if propagate {
		return path + " and everything below it"
	}
	return path + " alone, not on what is below it"
}

// entries are those of the list for which keep is true. It says if some may be hidden.
func (m *meaning) entries(ctx context.Context, keep func(entry) bool) (out []entry) {
	all, err := proxmox.Get[[]entry](ctx, m.c.PVE.Client, proxmox.Join("access", "acl"), nil)
	perms, noPerms := m.c.PVE.Permissions(ctx)
	switch {
	case err != nil:
		m.say("which permissions there are cannot be seen: %s", m.c.Explain(err).What)
	case noPerms != nil || !perms.Has("/access", "Sys.Audit"):
		m.say("there may be permissions that this token cannot see (Sys.Audit on /access)")
	}
	for _, e := range all {
		if keep(e) {
			out = append(out, e)
		}
	}
	slices.SortFunc(out, func(a, b entry) int {
		return strings.Compare(a.Path+"\n"+a.Type+"\n"+a.Who+"\n"+a.Role, b.Path+"\n"+b.Type+"\n"+b.Who+"\n"+b.Role)
	})
	return out
}

// ofACL says who gets or loses which right where.
func (m *meaning) ofACL(ctx context.Context) {
	whom := []string{}
	for kind, name := range map[string]string{"user": "users", "group": "groups", "token": "tokens"} {
		for _, id := range m.listed(name) {
			whom = append(whom, kind+" "+id)
		}
	}
	slices.Sort(whom)
	path, takes := m.given("path"), m.isOn("delete", false)
	place := placeText(path, m.isOn("propagate", true))
	if takes {
		place = path
	}
	verb := map[bool]string{false: "get", true: "lose"}[takes]
	if len(whom) == 1 {
		verb += "s"
	}
	for _, role := range m.listed("roles") {
		m.say("%s %s the role %s on %s", strings.Join(whom, ", "), verb, role, place)
		m.sayPrivileges(ctx, role)
	}
	if takes {
		return
	}
	for _, e := range m.entries(ctx, func(e entry) bool {
		above := e.Path == "/" || strings.HasPrefix(path, e.Path+"/")
		return above && e.Path != path && e.Propagate.Value && slices.Contains(whom, e.Type+" "+e.Who)
	}) {
		m.say("the role %s that %s %s has on %s counts no longer on %s: roles on a path replace those from above", e.Role, e.Type, e.Who, e.Path, path)
	}
}

// sayPrivileges says what a role lets one do.
func (m *meaning) sayPrivileges(ctx context.Context, role string) {
	privs, err := m.privileges(ctx, role)
	if err != nil {
		m.say("what the role %s lets one do cannot be seen: %s", role, m.c.Explain(err).What)
		return
	}
	m.say("%s has these privileges: %s", role, namesText(privs))
	if slices.Contains(privs, "Permissions.Modify") {
		m.say("who has Permissions.Modify can give every right to anybody")
	}
}

func (m *meaning) privileges(ctx context.Context, role string) ([]string, error) {
	held, err := proxmox.Get[map[string]lenient.Opt[bool]](ctx, m.c.PVE.Client, proxmox.Join("access", "roles", role), nil)
	var out []string
	for name, on := range held {
		if on.Value {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out, err
}

// namesText lists names, or says that there are none.
func namesText(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// sayLost says which permissions go with somebody.
func (m *meaning) sayLost(ctx context.Context, what string, lost func(entry) bool) {
	var texts []string
	for _, e := range m.entries(ctx, lost) {
		texts = append(texts, fmt.Sprintf("%s (%s %s)", e, e.Type, e.Who))
	}
	m.say("%s: %s", what, namesText(texts))
}

// expiryText says until when something is valid.
func expiryText(seconds string) string {
	if seconds == "" || seconds == "0" {
		return "it never expires"
	}
	var at int64
	if _, err := fmt.Sscan(seconds, &at); err != nil {
		return "it expires at " + seconds
	}
	return "it expires at " + time.Unix(at, 0).UTC().Format(time.RFC3339)
}
