package pvesim

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/pve-mcp/pve-mcp/pve/apischema"
)

// authenticate accepts an API token as PVE does and sets the caller.
func (c *call) authenticate() error {
	scheme, value, _ := strings.Cut(c.req.Header.Get("Authorization"), "PVEAPIToken")
	if scheme != "" || value == "" {
		return unauthorized("No ticket")
	}
	value, _, _ = strings.Cut(value[1:], ";") // value[0] is "=" or a space
	if plain, err := url.PathUnescape(value); err == nil {
		value = plain
	}
	id, secret, _ := strings.Cut(value, "=")
	token, known := c.tokens[id]
	owner, name, _ := strings.Cut(id, "!")
	user, exists := c.users[owner]
	why := ""
	switch {
	case !exists:
		why = "no such user ('" + owner + "')"
	case user.Disabled:
		why = "user '" + owner + "' is disabled"
	case expired(user.Expire, c.now):
		why = "user '" + owner + "' access expired"
	case !known:
		why = fmt.Sprintf("no such token '%s' for user '%s'", name, owner)
	case expired(token.Expire, c.now):
		why = "token '" + name + "' access expired"
	case token.Secret != secret:
		why = "invalid token value!"
	}
	if why != "" && c.receiver.version.atLeast(8, 4) { // which tells nobody why
		why = "Authentication failed!"
	}
	if why != "" {
		return unauthorized(why)
	}
	c.record.User = id
	c.caller = apischema.Caller{
		User:     id,
		Privs:    func(path string) map[string]bool { return c.privs(id, path).held },
		Groups:   c.groupsOf,
		GroupIDs: c.groupIDs(),
		Checked:  func(p apischema.PrivCheck) { c.record.Checks = append(c.record.Checks, p) },
	}
	return nil
}

func (s *state) groupIDs() []string {
	var ids []string
	for _, g := range s.groups {
		ids = append(ids, g.ID)
	}
	return ids
}

func (s *state) groupsOf(userid string) ([]string, bool) {
	u, ok := s.users[userid]
	return u.Groups, ok
}

// may reports whether the caller holds a privilege, for answers that leave out what
// the caller may not see.
func (c *call) may(path, priv string) bool {
	c.filteredBy(path, priv)
	_, ok := c.caller.Privs(path)[priv]
	return ok
}

// filteredBy notes that an answer was filtered by one of some privileges on a path.
func (c *call) filteredBy(path string, privs ...string) {
	top := path
	if i := strings.IndexByte(path[1:], '/'); i >= 0 {
		top = path[:i+1]
	}
	by := [2]string{strings.Join(privs, " or "), top}
	if c.filters[by] {
		return
	}
	if c.filters == nil {
		c.filters = map[[2]string]bool{}
	}
	c.filters[by] = true
	c.record.Filters = append(c.record.Filters, by[0]+" on "+top)
}
