package pvesim

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// accessPart is what the simulation knows of users and their rights.
type accessPart struct {
	users  map[string]User     // by id
	groups []Group             // of users, by id
	tokens map[string]Token    // by id
	acl    map[string][]ACL    // by path
	roles  map[string][]string // privileges by role

	privCache map[[2]string]privSet // by who and path
	privSets  map[string]privSet    // by key
}

// addUsers adds users, their tokens and what they may do.
func (s *state) addUsers(m Model) error {
	s.users, s.tokens, s.acl = map[string]User{}, map[string]Token{}, map[string][]ACL{}
	s.privCache, s.privSets = map[[2]string]privSet{}, map[string]privSet{}
	s.roles = builtinRoles(s.nodes[0].version)
	maps.Copy(s.roles, m.Roles)
	s.groups = slices.Clone(m.Groups)
	for _, u := range m.Users {
		s.users[u.ID] = u
		for _, id := range u.Groups {
			if s.groupNamed(id) == nil {
				s.groups = append(s.groups, Group{ID: id})
			}
		}
	}
	slices.SortFunc(s.groups, func(a, b Group) int { return strings.Compare(a.ID, b.ID) })
	for _, t := range m.Tokens {
		if owner, _, _ := strings.Cut(t.ID, "!"); s.users[owner].ID == "" {
			return fmt.Errorf("token %s: there is no user %s", t.ID, owner)
		}
		s.tokens[t.ID] = t
	}
	newest := builtinRoles(parseVersion("9.2"))
	for _, a := range m.ACL {
		if _, ok := s.roles[a.Role]; !ok {
			if _, later := newest[a.Role]; later {
				continue // PVE ignores roles that it does not know
			}
			return fmt.Errorf("ACL on %s: there is no role %s", a.Path, a.Role)
		}
		s.acl[a.Path] = append(s.acl[a.Path], a)
	}
	return nil
}
