package pvesim

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/pve/apischema"
)

// rootUser is the one whom PVE refuses nothing, if it has logged in with a password.
const rootUser = "root@pam"

// isRoot reports whether root itself calls: no token of root's is root.
func (c *call) isRoot() bool { return c.caller.User == rootUser }

// openCalls are those that PVE's server lets pass without authentication.
var openCalls = []string{"GET /access/domains", "GET /access/ticket", "POST /access/ticket"}

// authenticate accepts a ticket or an API token as PVE does and sets the caller.
func (c *call) authenticate() error {
	c.caller = apischema.Caller{
		Privs:    func(path string) map[string]bool { return c.privs(c.caller.User, path).held },
		Groups:   c.groupsOf,
		GroupIDs: c.groupIDs(),
		Checked:  func(p apischema.PrivCheck) { c.record.Checks = append(c.record.Checks, p) },
	}
	ticket := authValue(c.req.Header.Get("Cookie"), "PVEAuthCookie")
	if ticket == "" {
		ticket = authValue(c.req.Header.Get("Authorization"), "PVEAuthCookie")
	}
	token := ""
	if ticket == "" {
		token = authValue(c.req.Header.Get("Authorization"), "PVEAPIToken")
	}
	c.byToken = token != ""
	if slices.Contains(openCalls, c.req.Method+" "+c.record.Path) {
		return nil
	}
	user, err := c.identify(ticket, token)
	if err != nil {
		return err
	}
	c.caller.User, c.record.User = user, user
	if c.req.Method != "GET" && !c.byToken && !c.req.isUpload() && !c.knowsForgeryToken(user) {
		return unauthorized("Permission denied - invalid csrf token")
	}
	return nil
}

// authValue is what a header gives a key: that of a cookie, or of a scheme.
func authValue(header, key string) string {
	for rest := header; ; {
		i := strings.Index(rest, key)
		if i < 0 {
			return ""
		}
		before := strings.TrimSuffix(header, rest) + rest[:i]
		rest = rest[i+len(key):]
		if (before == "" || strings.HasSuffix(before, " ")) && rest != "" && (rest[0] == '=' || rest[0] == ' ') {
			value, _, _ := strings.Cut(rest[1:], ";")
			if plain, err := url.PathUnescape(value); err == nil {
				value = plain
			}
			return value
		}
	}
}

// identify is the user that a ticket names, or the token.
func (c *call) identify(ticket, token string) (string, error) {
	who, why := "", "No ticket"
	switch {
	case token != "":
		who, why = c.tokenRefusal(token)
	case ticket != "":
		var ok bool
		if who, ok = c.ticketUser(ticket); !ok {
			why = "permission denied - invalid PVE ticket"
		} else {
			why = c.userRefusal(who)
		}
	}
	switch {
	case why == "":
		return who, nil
	case c.receiver.version.atLeast(8, 4) && ticket+token != "": // which tells nobody why
		return "", unauthorized("Authentication failed!")
	}
	return "", unauthorized(why)
}

// userRefusal says why a user may not call; "" if it may.
func (c *call) userRefusal(id string) string {
	user, exists := c.users[id]
	switch {
	case !exists:
		return "no such user ('" + id + "')"
	case user.Disabled:
		return "user '" + id + "' is disabled"
	case expired(user.Expire, c.now):
		return "user '" + id + "' access expired"
	}
	return ""
}

// tokenRefusal is the id of a token, and why it is refused; "" if it is not.
func (c *call) tokenRefusal(value string) (id, why string) {
	id, secret, _ := strings.Cut(value, "=")
	token, known := c.tokens[id]
	owner, name, _ := strings.Cut(id, "!")
	if why := c.userRefusal(owner); why != "" {
		return id, why
	}
	switch {
	case !known:
		return id, fmt.Sprintf("no such token '%s' for user '%s'", name, owner)
	case expired(token.Expire, c.now):
		return id, "token '" + name + "' access expired"
	case token.Secret != secret:
		return id, "invalid token value!"
	}
	return id, ""
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
