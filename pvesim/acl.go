package pvesim

import (
	"slices"
	"strings"
)

// privs returns the privileges of a user or token on an ACL path; the value says
// whether a privilege propagates. It follows PVE::RPCEnvironment's permissions.
func (s *state) privs(who, path string) map[string]bool {
	if who == "root@pam" {
		return s.privsOfRoles(map[string]bool{"Administrator": true})
	}
	key := who + " " + path
	if cached, ok := s.privCache[key]; ok {
		return cached
	}
	out := s.privsOfRoles(s.rolesWithPools(who, path))
	if owner, _, isToken := strings.Cut(who, "!"); isToken {
		out = s.limitToken(out, s.tokens[who], owner, path)
	}
	s.privCache[key] = out
	return out
}

// limitToken gives a token without privilege separation its owner's privileges,
// and one with it what both have. root@pam limits nothing.
func (s *state) limitToken(own map[string]bool, token Token, owner, path string) map[string]bool {
	if !token.PrivSep {
		return s.privs(owner, path)
	}
	if owner == "root@pam" {
		return own
	}
	both, limit := map[string]bool{}, s.privs(owner, path)
	for priv, propagates := range own {
		if limited, ok := limit[priv]; ok {
			both[priv] = propagates && limited
		}
	}
	return both
}

func (s *state) privsOfRoles(roles map[string]bool) map[string]bool {
	privs := map[string]bool{}
	for role, propagates := range roles {
		for _, p := range s.roles[role] {
			privs[p] = privs[p] || propagates
		}
	}
	return privs
}

// rolesWithPools adds the roles on the pools that hold what the path names.
func (s *state) rolesWithPools(who, path string) map[string]bool {
	roles := s.rolesOn(who, path)
	if _, no := roles["NoAccess"]; no {
		return roles
	}
	for _, pool := range s.poolsWith(path) {
		fromPool := s.rolesOn(who, "/pool/"+pool)
		if _, no := fromPool["NoAccess"]; no {
			return map[string]bool{"NoAccess": false}
		}
		for role := range fromPool {
			if _, set := roles[role]; !set {
				roles[role] = false
			}
		}
	}
	return roles
}

// rolesOn returns the roles on a path; the value says whether a role propagates.
// A nearer level replaces those above it, and at one level a user's own entries
// replace those of the user's groups.
func (s *state) rolesOn(who, path string) map[string]bool {
	roles := map[string]bool{}
	groups := s.users[who].Groups
	for _, level := range levels(path) {
		own, byGroup := map[string]bool{}, map[string]bool{}
		for _, a := range s.acl[level] {
			if level != path && a.NoPropagate {
				continue
			}
			switch {
			case a.Who == who:
				own[a.Role] = !a.NoPropagate
			case strings.HasPrefix(a.Who, "@") && slices.Contains(groups, a.Who[1:]):
				byGroup[a.Role] = !a.NoPropagate
			}
		}
		switch {
		case len(own) > 0:
			roles = own
		case len(byGroup) > 0:
			roles = byGroup
		}
	}
	if propagates, no := roles["NoAccess"]; no {
		return map[string]bool{"NoAccess": propagates}
	}
	return roles
}

// levels returns a path's levels from the top: /, /vms, /vms/100.
func levels(path string) []string {
	out := []string{"/"}
	for i := 1; i < len(path); i++ {
		if path[i] == '/' {
			out = append(out, path[:i])
		}
	}
	if path != "/" {
		out = append(out, path)
	}
	return out
}

// getPermissions is GET /access/permissions, which lists the paths with privileges
// of some kind: the top ones, those with an ACL entry, and the members of pools.
func getPermissions(c *call) (any, error) {
	who := c.caller.User
	if other := c.str("userid"); other != "" {
		owner, _, _ := strings.Cut(who, "!")
		if other != who && other != owner {
			if err := c.caller.Require("/access", false, "Sys.Audit"); err != nil {
				return nil, err
			}
		}
		who = other
	}
	paths := []string{"/", "/access", "/access/groups", "/nodes", "/pool", "/sdn", "/storage", "/vms"}
	if p := c.str("path"); p != "" {
		paths = []string{p}
	} else {
		for path := range c.acl {
			paths = append(paths, path)
		}
		paths = append(paths, c.poolMemberPaths()...)
	}
	out := map[string]map[string]int{}
	for _, path := range paths {
		privs := map[string]int{}
		for p, propagates := range c.privs(who, path) {
			privs[p] = bit(propagates)
		}
		if len(privs) > 0 {
			out[path] = privs
		}
	}
	return out, nil
}
