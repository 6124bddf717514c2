package api

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/proxmox"
)

// ofUser says who can log in afterwards, and what is lost with a user.
func (m *meaning) ofUser(ctx context.Context) {
	id := m.given("userid")
	switch {
	case strings.HasSuffix(m.req.endpoint.Path, "/unlock-tfa"):
		m.say("%s can try to log in again with a second factor", id)
	case m.req.method == http.MethodDelete:
		m.say("%s can no longer log in", id)
		m.say("lost with it, its tokens: %s", namesText(m.tokensOf(ctx, id)))
		m.say("lost with it, its groups: %s", namesText(m.groupsOf(ctx, id)))
		m.sayLost(ctx, "lost with it, its permissions and those of its tokens", func(e entry) bool {
			owner, _, isToken := strings.Cut(e.Who, "!")
			return e.Type == "user" && e.Who == id || e.Type == "token" && isToken && owner == id
		})
	case m.req.method == http.MethodPost:
		m.sayEnabled(id, true)
		m.sayGroups(ctx, id, nil)
		m.say("%s", expiryText(m.given("expire")))
	default:
		if m.req.form.Has("enable") {
			m.sayEnabled(id, m.isOn("enable", true))
		}
		if m.req.form.Has("groups") {
			m.sayGroups(ctx, id, m.groupsOf(ctx, id))
		}
		if m.req.form.Has("expire") {
			m.say("%s", expiryText(m.given("expire")))
		}
	}
}

func (m *meaning) sayEnabled(id string, normally bool) {
	if m.isOn("enable", normally) {
		m.say("%s can log in", id)
		return
	}
	m.say("%s cannot log in, nor can its tokens be used", id)
}

// sayGroups says through which groups a user has rights afterwards, and which it leaves.
func (m *meaning) sayGroups(ctx context.Context, id string, now []string) {
	then := m.listed("groups")
	if m.isOn("append", false) {
		then = append(then, now...)
	}
	slices.Sort(then)
	then = slices.Compact(then)
	var left []string
	for _, group := range now {
		if !slices.Contains(then, group) {
			left = append(left, group)
		}
	}
	m.say("%s is in these groups then: %s", id, namesText(then))
	if len(left) > 0 {
		m.say("it is no longer in these: %s", namesText(left))
	}
	if gained := slices.DeleteFunc(slices.Clone(then), func(group string) bool { return slices.Contains(now, group) }); len(gained) > 0 {
		m.sayHeldBy(ctx, gained)
	}
}

// sayHeldBy says which permissions groups have.
func (m *meaning) sayHeldBy(ctx context.Context, groups []string) {
	m.sayLost(ctx, "it gets what these groups may do", func(e entry) bool { return e.Type == "group" && slices.Contains(groups, e.Who) })
}

func (m *meaning) groupsOf(ctx context.Context, id string) []string {
	is, err := proxmox.Get[struct{ Groups []string }](ctx, m.c.PVE.Client, proxmox.Join("access", "users", id), nil)
	if err != nil {
		m.say("the groups of %s cannot be seen: %s", id, m.c.Explain(err).What)
	}
	return is.Groups
}

func (m *meaning) tokensOf(ctx context.Context, id string) (out []string) {
	tokens, err := proxmox.Get[[]struct {
		ID string `json:"tokenid"`
	}](ctx, m.c.PVE.Client, proxmox.Join("access", "users", id, "token"), nil)
	if err != nil {
		m.say("the tokens of %s cannot be seen: %s", id, m.c.Explain(err).What)
	}
	for _, t := range tokens {
		out = append(out, id+"!"+t.ID)
	}
	slices.Sort(out)
	return out
}

// ofToken says what a token may do, and what happens to one that is in use.
func (m *meaning) ofToken(ctx context.Context) {
	id := m.given("userid") + "!" + m.given("tokenid")
	if m.req.method == http.MethodDelete {
		m.say("whatever uses the token %s no longer gets in", id)
		m.sayLost(ctx, "lost with it, its permissions", func(e entry) bool { return e.Type == "token" && e.Who == id })
		return
	}
	made := m.req.method == http.MethodPost
	if m.isOn("regenerate", false) {
		m.say("the token %s gets a new secret: whatever uses it with the old one no longer gets in", id)
	}
	switch {
	case m.isOn("privsep", made):
		m.say("%s may do only what is given to the token itself, and to its user", id)
	case made, m.req.form.Has("privsep"):
		m.say("%s may do all that its user may (no privilege separation)", id)
	}
	if made || m.req.form.Has("expire") {
		m.say("%s", expiryText(m.given("expire")))
	}
}

// ofGroup says who loses what with a group.
func (m *meaning) ofGroup(ctx context.Context) {
	id := m.given("groupid")
	if m.req.method != http.MethodDelete {
		m.say("the group %s itself gives no right; permissions on paths do", id)
		return
	}
	is, err := proxmox.Get[struct {
		Members []string `json:"members"`
	}](ctx, m.c.PVE.Client, proxmox.Join("access", "groups", id), nil)
	if err != nil {
		m.say("its members cannot be seen: %s", m.c.Explain(err).What)
	} else {
		slices.Sort(is.Members)
		m.say("its members: %s", namesText(is.Members))
	}
	m.sayLost(ctx, "they lose these permissions of the group", func(e entry) bool { return e.Type == "group" && e.Who == id })
}

// ofRole says what a role lets one do afterwards, and who has it.
func (m *meaning) ofRole(ctx context.Context) {
	id := m.given("roleid")
	var now []string
	if m.req.method != http.MethodPost {
		var err error
		if now, err = m.privileges(ctx, id); err != nil {
			m.say("what the role %s lets one do cannot be seen: %s", id, m.c.Explain(err).What)
		} else {
			m.say("the role %s has these privileges now: %s", id, namesText(now))
		}
	}
	if m.req.method != http.MethodDelete {
		then := m.listed("privs")
		if m.isOn("append", false) {
			then = append(then, now...)
		}
		slices.Sort(then)
		m.say("the role %s has these privileges then: %s", id, namesText(slices.Compact(then)))
	}
	if m.req.method != http.MethodPost {
		m.sayLost(ctx, "who has it", func(e entry) bool { return e.Role == id })
	}
}

// ofRealm says whom a realm lets in, and what a synchronization does.
func (m *meaning) ofRealm(ctx context.Context) {
	realm := m.given("realm")
	if m.req.method == http.MethodDelete && strings.HasPrefix(m.req.endpoint.Path, "/access/domains") {
		m.say("its users can no longer log in: %s", namesText(m.usersOf(ctx, realm)))
		return
	}
	removed := strings.FieldsFunc(m.given("remove-vanished")+";"+m.given("sync-defaults-options"), func(r rune) bool { return strings.ContainsRune(";,=", r) })
	if slices.Contains(removed, "entry") {
		m.say("a synchronization deletes users and groups that the directory no longer has")
	}
	if strings.HasSuffix(m.req.endpoint.Path, "/sync") && m.isOn("dry-run", false) {
		m.say("it only says what it would do (dry-run)")
	}
}

func (m *meaning) usersOf(ctx context.Context, realm string) (out []string) {
	all, err := proxmox.Get[[]struct {
		ID string `json:"userid"`
	}](ctx, m.c.PVE.Client, proxmox.Join("access", "users"), nil)
	if err != nil {
		m.say("its users cannot be seen: %s", m.c.Explain(err).What)
	}
	for _, u := range all {
		if strings.HasSuffix(u.ID, "@"+realm) {
			out = append(out, u.ID)
		}
	}
	slices.Sort(out)
	return out
}
