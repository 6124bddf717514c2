package pvesim

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// privSet is a set of privileges; the values of held say whether one propagates.
// Sets with the same key are the same, and shared.
type privSet struct {
	key  string
	held map[string]bool
}

// privs returns the privileges of a user or token on an ACL path. It follows
// PVE::RPCEnvironment's permissions.
func (s *state) privs(who, path string) privSet {
	if who == "root@pam" {
		return s.privsOf(map[string]bool{"Administrator": true})
	}
	key := [2]string{who, path}
	if cached, ok := s.privCache[key]; ok {
		return cached
	}
	set := s.privsOf(s.rolesWithPools(who, path))
	if owner, _, isToken := strings.Cut(who, "!"); isToken {
		set = s.limitToken(set, s.tokens[who], s.privs(owner, path))
	}
	s.privCache[key] = set
	return set
}

// limitToken gives a token without privilege separation its owner's privileges,
// and one with it what both have. root@pam limits nothing.
func (s *state) limitToken(own privSet, token Token, owner privSet) privSet {
	if !token.PrivSep {
		return owner
	}
	if strings.HasPrefix(token.ID, "root@pam!") {
		return own
	}
	return s.shared(own.key+"& "+owner.key, func(both map[string]bool) {
		for priv, propagates := range own.held {
			if limited, ok := owner.held[priv]; ok {
				both[priv] = propagates && limited
			}
		}
	})
}

// privsOf returns the privileges of a set of roles.
func (s *state) privsOf(roles map[string]bool) privSet {
	key := ""
	for _, role := range slices.Sorted(maps.Keys(roles)) {
		key += fmt.Sprint(role, roles[role], " ")
	}
	return s.shared(key, func(privs map[string]bool) {
		for role, propagates := range roles {
			for _, p := range s.roles[role] {
				privs[p] = privs[p] || propagates
			}
		}
	})
}

// shared returns the set with a key, which fill makes the first time.
func (s *state) shared(key string, fill func(map[string]bool)) privSet {
	set, ok := s.privSets[key]
	if !ok {
		set = privSet{key: key, held: map[string]bool{}}
		fill(set.held)
		s.privSets[key] = set
	}
	return set
}

// rolesWithPools adds the roles on the pools that hold what the path names.
func (s *state) rolesWithPools(who, path string) map[string]bool {
	roles := s.rolesOn(who, path)
	if _, no := roles["NoAccess"]; no {
		return roles
	}
	for _, pool := range s.poolsWith[path] {
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
		if other != who && other != owner || !c.receiver.version.atLeast(8, 3) {
			if err := c.caller.Require("/access", "Sys.Audit"); err != nil {
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
		paths = slices.AppendSeq(paths, maps.Keys(c.poolsWith))
	}
	out := map[string]map[string]int{}
	for _, path := range paths {
		privs := map[string]int{}
		for p, propagates := range c.privs(who, path).held {
			privs[p] = bit(propagates)
		}
		if len(privs) > 0 {
			out[path] = privs
		}
	}
	return out, nil
}
