package doctor

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/pve"
)

// want is a privilege, or one of several, on a path.
type want struct {
	path  string
	privs []string
}

// settle chooses privileges that meet all wants: of alternatives the first one, unless
// another one is there anyway.
func settle(wants []want) map[string]map[string]bool {
	out := map[string]map[string]bool{}
	add := func(w want) {
		if out[w.path] == nil {
			out[w.path] = map[string]bool{}
		}
		met := slices.ContainsFunc(w.privs, func(p string) bool { return out[w.path][p] })
		if !met {
			out[w.path][w.privs[0]] = true
		}
	}
	for _, w := range wants {
		if len(w.privs) == 1 {
			add(w)
		}
	}
	for _, w := range wants {
		add(w)
	}
	return out
}

// grants are the commands that give what the tools lack. An entry on a path takes the
// place of what the same user or token has from the paths above, so that the role has
// what they have there, too.
func (c *cluster) grants(wants []want, token, user pve.Permissions) []string {
	var out []string
	missing := settle(wants)
	for _, path := range slices.Sorted(maps.Keys(missing)) {
		out = append(out, c.grant(path, missing[path], token, user)...)
	}
	return out
}

// grant gives privileges on a path to the token and, unless it has them, to its user.
func (c *cluster) grant(path string, privs map[string]bool, token, user pve.Permissions) []string {
	id := c.Config.Token.ID
	owner, _, _ := strings.Cut(id, "!")
	if user == nil {
		user = token
	}
	forToken, forUser := with(privs, token, path), with(privs, user, path)
	userHasAll := !slices.ContainsFunc(slices.Collect(maps.Keys(privs)), func(p string) bool { return !user.Has(path, p) })
	role := roleName(path, forToken)
	switch {
	case userHasAll:
		return []string{addRole(role, forToken), modify(path, role, "", id)}
	case slices.Equal(forToken, forUser):
		return []string{addRole(role, forToken), modify(path, role, owner, id)}
	}
	more := roleName(path, forUser)
	return []string{addRole(role, forToken), modify(path, role, "", id), addRole(more, forUser), modify(path, more, owner, "")}
}

// roleName is a name that no role with other privileges has.
func roleName(path string, privs []string) string {
	sum := sha256.Sum256([]byte(strings.Join(privs, " ")))
	return fmt.Sprintf("mcp%s-%x", strings.ReplaceAll(strings.TrimSuffix(path, "/"), "/", "-"), sum[:3])
}

// with adds to privileges those that are held on the path.
func with(privs map[string]bool, held pve.Permissions, path string) []string {
	all := maps.Clone(privs)
	for _, on := range held {
		for _, p := range on.Names() {
			all[p] = all[p] || held.Has(path, p)
		}
	}
	maps.DeleteFunc(all, func(_ string, has bool) bool { return !has })
	return slices.Sorted(maps.Keys(all))
}

func addRole(name string, privs []string) string {
	return fmt.Sprintf("pveum role add %s --privs '%s'", name, strings.Join(privs, " "))
}

// modify gives a role on a path to a user, a token, or both.
func modify(path, role, user, token string) string {
	text := "pveum acl modify " + path + " --roles " + role
	if user != "" {
		text += " --users '" + user + "'"
	}
	if token != "" {
		text += " --tokens '" + token + "'"
	}
	return text
}
