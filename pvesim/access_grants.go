package pvesim

import (
	"maps"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/lazyregexp"
	"github.com/pve-mcp/pve-mcp/pve/apischema"
)

// groupNamed returns a group of users, or nil.
func (s *state) groupNamed(id string) *Group {
	i := slices.IndexFunc(s.groups, func(g Group) bool { return g.ID == id })
	if i < 0 {
		return nil
	}
	return &s.groups[i]
}

// members are the ids of a group's users.
func (s *state) members(group string) []string {
	out := []string{}
	for _, id := range sortedKeys(s.users) {
		if slices.Contains(s.users[id].Groups, group) {
			out = append(out, id)
		}
	}
	return out
}

func listUserGroups(c *call) (any, error) {
	out := []any{}
	for _, g := range c.groups {
		path := "/access/groups/" + g.ID
		if !c.may(path, "User.Modify") && !c.may(path, "Sys.Audit") && !c.may(path, "Group.Allocate") {
			continue
		}
		item := map[string]any{"groupid": g.ID, "users": strings.Join(c.members(g.ID), ",")}
		if g.Comment != "" {
			item["comment"] = g.Comment
		}
		out = append(out, item)
	}
	return out, nil
}

// theGroup returns the group that the call names.
func (c *call) theGroup(words string) (*Group, error) {
	if g := c.groupNamed(c.str("groupid")); g != nil {
		return g, nil
	}
	return nil, die("%sgroup '%s' does not exist", words, c.str("groupid"))
}

func getUserGroup(c *call) (any, error) {
	g, err := c.theGroup("")
	if err != nil {
		return nil, err
	}
	out := map[string]any{"members": c.members(g.ID)}
	if g.Comment != "" {
		out["comment"] = g.Comment
	}
	return out, nil
}

func createUserGroup(c *call) (any, error) {
	id := c.str("groupid")
	if c.groupNamed(id) != nil {
		return nil, die("create group failed: group '%s' already exists", id)
	}
	c.groups = append(c.groups, Group{ID: id, Comment: c.str("comment")})
	slices.SortFunc(c.groups, func(a, b Group) int { return strings.Compare(a.ID, b.ID) })
	return nil, nil
}

func putUserGroup(c *call) (any, error) {
	g, err := c.theGroup("update group failed: ")
	if err == nil && c.params["comment"] != nil {
		g.Comment = c.str("comment")
	}
	return nil, err
}

func deleteGroup(c *call) (any, error) {
	g, err := c.theGroup("delete group failed: ")
	if err != nil {
		return nil, err
	}
	id := g.ID
	c.groups = slices.DeleteFunc(c.groups, func(g Group) bool { return g.ID == id })
	for userid, u := range c.users {
		u.Groups = without(slices.Clone(u.Groups), id)
		c.users[userid] = u
	}
	c.revoke("@" + id)
	return nil, nil
}

func listRoles(c *call) (any, error) {
	out := []any{}
	for _, id := range sortedKeys(c.roles) {
		out = append(out, map[string]any{"roleid": id, "special": bit(c.special(id)), "privs": strings.Join(c.roles[id], ",")})
	}
	return out, nil
}

// special reports whether a role is one of PVE's own.
func (s *state) special(role string) bool {
	_, own := builtinRoles(s.nodes[0].version)[role]
	return own
}

func getRole(c *call) (any, error) {
	privs, ok := c.roles[c.str("roleid")]
	if !ok {
		return nil, die("role '%s' does not exist", c.str("roleid"))
	}
	out := map[string]any{}
	for _, priv := range privs {
		out[priv] = 1
	}
	return out, nil
}

func createRole(c *call) (any, error) {
	id := c.str("roleid")
	if err := c.knownPrivs(); err != nil {
		return nil, err
	}
	if strings.HasPrefix(strings.ToUpper(id), "PVE") {
		return nil, badParam("roleid", "cannot use role ID starting with the (case-insensitive) 'PVE' namespace")
	}
	if _, ok := c.roles[id]; ok {
		return nil, die("create role failed: role '%s' already exists", id)
	}
	c.setRole(id, nil)
	return nil, nil
}

func putRole(c *call) (any, error) {
	id := c.str("roleid")
	if err := c.knownPrivs(); err != nil {
		return nil, err
	}
	before, ok := c.roles[id]
	switch {
	case c.special(id):
		return nil, die("auto-generated role '%s' cannot be modified", id)
	case !ok:
		return nil, die("update role failed: role '%s' does not exist", id)
	case !c.flag("append"):
		before = nil
	}
	c.setRole(id, before)
	return nil, nil
}

// knownPrivs refuses privileges that this version of PVE does not have.
func (c *call) knownPrivs() error {
	for _, priv := range apischema.SplitList(c.str("privs")) {
		if !slices.Contains(c.roles["Administrator"], priv) {
			return badParam("privs", "invalid format - invalid privilege '%s'\n", priv)
		}
	}
	return nil
}

// setRole gives a role the privileges that the call names, beside some.
func (c *call) setRole(id string, privs []string) {
	privs = slices.Concat(privs, apischema.SplitList(c.str("privs")))
	slices.Sort(privs)
	c.roles[id] = slices.Compact(privs)
	clear(c.privCache)
	clear(c.privSets)
}

func deleteRole(c *call) (any, error) {
	id := c.str("roleid")
	_, ok := c.roles[id]
	switch {
	case c.special(id):
		return nil, die("auto-generated role '%s' cannot be deleted", id)
	case !ok:
		return nil, die("delete role failed: role '%s' does not exist", id)
	}
	delete(c.roles, id)
	clear(c.privCache)
	clear(c.privSets)
	return nil, nil
}

// ownRoles are those that are not PVE's, with their privileges.
func (s *state) ownRoles() map[string][]string {
	own := maps.Clone(s.roles)
	maps.DeleteFunc(own, func(id string, _ []string) bool { return s.special(id) })
	if len(own) == 0 {
		return nil
	}
	return own
}

// listACL lists the entries on paths whose permissions the caller may change, or
// all for those who may see them.
func listACL(c *call) (any, error) {
	all := c.may("/access", "Sys.Audit")
	out := []any{}
	for _, path := range sortedKeys(c.acl) {
		if !all && !c.mayGrant(path) {
			continue
		}
		for _, a := range c.acl[path] {
			kind, who := "user", a.Who
			switch {
			case strings.HasPrefix(who, "@"):
				kind, who = "group", who[1:]
			case strings.Contains(who, "!"):
				kind = "token"
			}
			out = append(out, map[string]any{"path": path, "type": kind, "ugid": who, "roleid": a.Role, "propagate": bit(!a.NoPropagate)})
		}
	}
	return out, nil
}

// mayGrant reports whether the caller may change the permissions on a path.
func (c *call) mayGrant(path string) bool {
	kind, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	own := map[string]string{"storage": "Datastore.Allocate", "vms": "VM.Allocate", "pool": "Pool.Allocate"}[kind]
	return c.may(path, "Permissions.Modify") || own != "" && path != "/"+kind && c.may(path, own)
}

// aclPaths are those that PVE knows.
var aclPaths = lazyregexp.New(`^(?:/|/access(?:/groups(?:/[A-Za-z0-9\.\-_]+)?|/realm(?:/[A-Za-z][A-Za-z0-9\.\-_]+)?)?` +
	`|/nodes(?:/[A-Za-z0-9\.\-_]+)?|/pool(?:/[A-Za-z0-9\.\-_]+){0,3}` +
	`|/sdn(?:/controllers|/dns|/fabrics|/ipams|/zones)?(?:/[A-Za-z0-9\.\-_]+){0,3}` +
	`|/storage(?:/[A-Za-z0-9\.\-_]+)?|/vms(?:/[1-9][0-9]{2,})?|/mapping(?:/[A-Za-z]+(?:/[A-Za-z][A-Za-z0-9\.\-_]+)?)?)$`)

// repeated are slashes of which PVE sees but one.
var repeated = lazyregexp.New(`/+`)

// putACL grants roles on a path to users, groups and tokens, or takes them away, all or
// none.
func putACL(c *call) (any, error) {
	var whom []string
	for _, id := range apischema.SplitList(c.str("groups")) {
		whom = append(whom, "@"+id)
	}
	whom = slices.Concat(whom, apischema.SplitList(c.str("users")), apischema.SplitList(c.str("tokens")))
	if len(whom) == 0 {
		errs := map[string]string{}
		for _, name := range []string{"users", "groups", "tokens"} {
			errs[name] = "either 'users', 'groups' or 'tokens' is required."
		}
		return nil, &apischema.ParamError{Errors: errs}
	}
	path := repeated.ReplaceAllString("/"+c.str("path"), "/")
	if path != "/" {
		path = strings.TrimSuffix(path, "/")
	}
	if !strings.HasPrefix(c.str("path"), "/") || !c.flag("delete") && !aclPaths.MatchString(path) {
		return nil, badParam("path", "invalid ACL path '%s'", c.str("path"))
	}
	roles := apischema.SplitList(c.str("roles"))
	for _, role := range roles {
		if err := c.mayGive(path, role, whom); err != nil {
			return nil, err
		}
	}
	c.acl[path] = slices.DeleteFunc(slices.Clone(c.acl[path]), func(a ACL) bool {
		return slices.Contains(whom, a.Who) && slices.Contains(roles, a.Role)
	})
	for _, role := range roles {
		for _, who := range whom {
			if !c.flag("delete") {
				c.acl[path] = append(c.acl[path], ACL{Path: path, Who: who, Role: role, NoPropagate: c.params["propagate"] != nil && !c.flag("propagate")})
			}
		}
	}
	if len(c.acl[path]) == 0 {
		delete(c.acl, path)
	}
	clear(c.privCache)
	return nil, nil
}

// mayGive refuses a role or a receiver that does not exist. Since PVE 8, a caller
// that may not change permissions in general can pass on no more than its own.
func (c *call) mayGive(path, role string, whom []string) error {
	const words = "ACL update failed: "
	privs, ok := c.roles[role]
	if !ok {
		return die("%srole '%s' does not exist", words, role)
	}
	if c.node.version.major >= 8 && !c.may(path, "Permissions.Modify") {
		verb := map[bool]string{true: "remove", false: "add"}[c.flag("delete")]
		for _, priv := range privs {
			if !c.may(path, priv) { // the lock on the users makes text of the refusal
				return die("%s400 Parameter verification failed.\nrole: Cannot %s role '%s' - requires 'Permissions.Modify' or superset of privileges.", words, verb, role)
			}
		}
		if role == "NoAccess" {
			return die("%s400 Parameter verification failed.\nrole: Cannot %s role '%s' - requires 'Permissions.Modify'", words, verb, role)
		}
	}
	for _, who := range whom {
		owner, token, isToken := strings.Cut(who, "!")
		_, isUser := c.users[owner]
		_, known := c.tokens[who]
		switch {
		case strings.HasPrefix(who, "@") && c.groupNamed(who[1:]) == nil:
			return die("%sgroup '%s' does not exist", words, who[1:])
		case strings.HasPrefix(who, "@"):
		case isToken && !isUser:
			return die("%sno such user ('%s')", words, owner)
		case isToken && !known:
			return die("%sno such token '%s' for user '%s'", words, token, owner)
		case !isUser:
			return die("%suser '%s' does not exist", words, who)
		}
	}
	return nil
}
