package pvesim

import (
	"slices"
	"strings"
)

// accessRows are the endpoints that read users, tokens, roles and ACLs.
var accessRows = map[string]func(*call) (any, error){
	"GET /access/acl":                  listACL,
	"GET /access/permissions":          getPermissions,
	"GET /access/roles":                listRoles,
	"GET /access/users":                listUsers,
	"GET /access/users/{userid}/token": listTokens,
}

func listRoles(c *call) (any, error) {
	out := []any{}
	for _, id := range sortedKeys(c.roles) {
		_, made := c.model.Roles[id]
		out = append(out, map[string]any{"roleid": id, "special": bit(!made), "privs": strings.Join(c.roles[id], ",")})
	}
	return out, nil
}

// listUsers lists the users that the caller may change or see, and always the
// caller's own.
func listUsers(c *call) (any, error) {
	owner, _, _ := strings.Cut(c.caller.User, "!")
	out := []any{}
	for _, id := range sortedKeys(c.users) {
		u := c.users[id]
		if id != owner && !c.maySeeUser(u) {
			continue
		}
		_, realm, _ := strings.Cut(id, "@")
		item := map[string]any{"userid": id, "enable": bit(!u.Disabled), "expire": 0, "realm-type": realm}
		for key, value := range map[string]string{"comment": u.Comment, "email": u.Email} {
			if value != "" || realm != "pam" {
				item[key] = value
			}
		}
		if len(u.Groups) > 0 && c.flag("full") {
			item["groups"] = strings.Join(u.Groups, ",")
		}
		if c.params["enabled"] == nil || c.flag("enabled") != u.Disabled {
			out = append(out, item)
		}
	}
	return out, nil
}

// maySeeUser reports whether the caller administers users, or those of a group that
// the user is in.
func (c *call) maySeeUser(u User) bool {
	paths := []string{"/access/groups"}
	for _, group := range u.Groups {
		paths = append(paths, "/access/groups/"+group)
	}
	return slices.ContainsFunc(paths, func(path string) bool {
		return c.may(path, "User.Modify") || c.may(path, "Sys.Audit")
	})
}

func listTokens(c *call) (any, error) {
	out := []any{}
	for _, id := range sortedKeys(c.tokens) {
		if owner, name, _ := strings.Cut(id, "!"); owner == c.str("userid") {
			out = append(out, map[string]any{"tokenid": name, "privsep": bit(c.tokens[id].PrivSep), "expire": 0})
		}
	}
	return out, nil
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
