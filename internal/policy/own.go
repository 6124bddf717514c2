package policy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/pve/apischema"
)

// Entry is an entry of PVE's access control list.
type Entry struct {
	Type string // user, group or token
	Who  string // its id
	Role string
	Path string
}

// RefuseOwn returns why a request will not be sent because it touches this process's own user or
// token, or "". Then nobody is asked for nothing.
func (g *Guard) RefuseOwn(ctx context.Context, method string, path []string, params url.Values) string {
	e := known().find(method, path)
	if e == nil || e.class != changesAccess {
		return ""
	}
	return g.newJudge().refuseOwn(ctx, *e, request{method: method, elems: path, params: params})
}

// refuseOwn returns why a request that decides who may do what must not be sent, or "": it
// touches a user or a token of this process, or that through which they have their rights.
func (j judge) refuseOwn(ctx context.Context, e row, r request) string {
	if len(j.Tokens) == 0 || slices.Contains(j.Tokens, "") {
		return "which user this server itself is at PVE is unknown"
	}
	for _, token := range j.Tokens {
		user, _, _ := strings.Cut(token, "!")
		if reason := j.refuseOwnOf(ctx, e, r, token, user); reason != "" {
			return reason
		}
	}
	return ""
}

func (j judge) refuseOwnOf(ctx context.Context, e row, r request, token, user string) string {
	given := func(name string) []string { return append(slices.Clone(r.params[name]), e.inPath(r, name)) }
	switch e.kind() {
	case userKind, tokenKind:
		return refuseOwnUser(given("userid"), user)
	case aclKind:
		if reason := refuseOwnUser(slices.Concat(listed(r, "users"), listed(r, "tokens")), user); reason != "" {
			return reason
		}
		return j.refuseOwnGroups(ctx, listed(r, "groups"), user)
	case groupKind:
		if r.method == http.MethodPost { // nobody is in it yet
			return ""
		}
		return j.refuseOwnGroups(ctx, given("groupid"), user)
	case roleKind:
		if r.method == http.MethodPost { // nobody has it yet
			return ""
		}
		return j.refuseOwnRoles(ctx, given("roleid"), token, user)
	case realmKind, realmSyncKind:
		if reason := refuseOwnRealm(r.method, given("realm"), user); reason != "" {
			return reason
		}
		return j.refuseSyncedGroups(ctx, e, r, given("realm"), user)
	}
	return "whether it touches this server's own user is unknown"
}

// listed are the elements of a list in a parameter.
func listed(r request, name string) (out []string) {
	for _, text := range r.params[name] {
		out = append(out, apischema.SplitList(text)...)
	}
	return out
}

// refuseOwnUser returns why users and tokens must not be changed, or "": one is the own user,
// or a token of that user.
func refuseOwnUser(ids []string, own string) string {
	for _, id := range ids {
		if user, _, _ := strings.Cut(strings.TrimSpace(id), "!"); strings.EqualFold(user, own) {
			return fmt.Sprintf("%s is this server's own user, which it never touches, nor its tokens and permissions", own)
		}
	}
	return ""
}

// refuseOwnGroups returns why groups must not be changed, or "": the own user is in one.
func (j judge) refuseOwnGroups(ctx context.Context, groups []string, own string) string {
	if len(groups) == 0 {
		return ""
	}
	in, err := j.groupsOf(ctx, own)
	if err != nil {
		return fmt.Sprintf("which groups this server's own user %s is in is unknown: %v", own, err)
	}
	for _, group := range groups {
		if slices.Contains(in, group) {
			return fmt.Sprintf("this server's own user %s has rights through the group %s", own, group)
		}
	}
	return ""
}

// refuseOwnRealm returns why realms, or the schedule of their synchronization, must not be
// changed, or "": a directory keeps the own user. What names no realm may be about any.
func refuseOwnRealm(method string, realms []string, own string) string {
	_, realm, _ := strings.Cut(own, "@")
	named := slices.DeleteFunc(realms, func(name string) bool { return name == "" })
	isOwn := slices.ContainsFunc(named, func(name string) bool { return strings.EqualFold(name, realm) })
	switch {
	case realm == "pam" || realm == "pve": // which no directory keeps
	case isOwn, len(named) == 0 && method != http.MethodDelete:
		return fmt.Sprintf("the realm %s is that of this server's own user %s", realm, own)
	}
	return ""
}

// refuseSyncedGroups returns why groups must not be synchronized, or "": the own user is in one
// that has the name of those of the realm, NAME-REALM, and PVE would take it for one of them.
func (j judge) refuseSyncedGroups(ctx context.Context, e row, r request, realms []string, own string) string {
	syncs := strings.HasSuffix(e.path, "/sync") || e.kind() == realmSyncKind && r.method != http.MethodDelete
	if !syncs {
		return ""
	}
	in, err := j.groupsOf(ctx, own)
	if err != nil {
		return fmt.Sprintf("which groups this server's own user %s is in is unknown: %v", own, err)
	}
	for _, group := range in {
		of := slices.ContainsFunc(realms, func(realm string) bool { return realm != "" && strings.HasSuffix(group, "-"+realm) })
		if of || strings.Join(realms, "") == "" && strings.Contains(group, "-") {
			return fmt.Sprintf("this server's own user %s has rights through the group %s, which a synchronization may replace", own, group)
		}
	}
	return ""
}

// refuseOwnRoles returns why roles must not be changed, or "": the own token, its user or a
// group of that user has one.
func (j judge) refuseOwnRoles(ctx context.Context, roles []string, token, user string) string {
	groups, err := j.groupsOf(ctx, user)
	var entries []Entry
	if err == nil {
		entries, err = j.entries(ctx)
	}
	if err != nil {
		return fmt.Sprintf("which roles this server's own user %s has is unknown: %v", user, err)
	}
	for _, e := range entries {
		own := e.Type == "user" && e.Who == user || e.Type == "token" && e.Who == token || e.Type == "group" && slices.Contains(groups, e.Who)
		if own && slices.Contains(roles, e.Role) {
			return fmt.Sprintf("this server's own user %s has rights through the role %s, on %s", user, e.Role, e.Path)
		}
	}
	return ""
}

func (j judge) groupsOf(ctx context.Context, user string) ([]string, error) {
	if j.Lookup.Groups == nil {
		return nil, errors.New("groups cannot be read")
	}
	return j.Lookup.Groups(ctx, user)
}

func (j judge) entries(ctx context.Context) ([]Entry, error) {
	if j.Lookup.Entries == nil {
		return nil, errors.New("permissions cannot be read")
	}
	return j.Lookup.Entries(ctx)
}
