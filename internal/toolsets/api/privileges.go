package api

import (
	"errors"
	"net/http"
	"strings"

	"github.com/pve-mcp/pve-mcp/pve"
	"github.com/pve-mcp/pve-mcp/pve/apischema"
)

// privilegesText says which privileges PVE asks for, as far as its description tells.
func privilegesText(ep *apischema.Endpoint) string {
	p := ep.Permissions
	switch {
	case ep.NoToken:
		return "a login of a person: no API token is let in"
	case p == nil:
		return "root@pam alone"
	case p.User == "world":
		return "none"
	case p.Check == nil:
		return "any user; PVE may check more, or filter"
	}
	return checkText(p.Check)
}

func checkText(k *apischema.Check) string {
	switch k.Op {
	case "and", "or":
		var parts []string
		for _, sub := range k.Subs {
			text := checkText(sub)
			if sub.Op != k.Op && (sub.Op == "and" || sub.Op == "or") {
				text = "(" + text + ")"
			}
			parts = append(parts, text)
		}
		return strings.Join(parts, " "+k.Op+" ")
	case "perm":
		between := " and "
		if k.Any {
			between = " or "
		}
		return strings.Join(k.Privs, between) + " on " + k.Path
	case "perm-modify":
		return "Permissions.Modify on " + k.Path
	case "userid-group":
		return strings.Join(k.Privs, " or ") + " on /access/groups"
	case "userid-param":
		if k.Subject == "self" {
			return "one's own user"
		}
		return k.Subject + " on /access/realm/{realm}"
	}
	return k.Op
}

// missing says which privilege a token lacks for a request, "" if it lacks none that PVE's
// description asks for. Groups of users are unknown here, so PVE decides what they allow.
func missing(perms pve.Permissions, ep *apischema.Endpoint, given apischema.Values) string {
	if ep.Permissions != nil && ep.Permissions.Check != nil && checkHeld(perms, ep.Permissions.Check) == unknown {
		return ""
	}
	err := ep.Permissions.Allow(apischema.Caller{User: "a token", Privs: func(path string) map[string]bool { return privilegesOn(perms, path) },
		Groups: func(string) ([]string, bool) { return nil, true }}, given)
	var denied *apischema.PermissionError
	if !errors.As(err, &denied) {
		return ""
	}
	if denied.What == "" || !strings.Contains(denied.What, ", ") {
		return privilegesText(ep)
	}
	path, privs, _ := strings.Cut(denied.What, ", ")
	return strings.ReplaceAll(privs, "|", " or ") + " on " + path
}

// tellsOf reports whether the host that tells what a token holds knows all privileges of a text.
// A node of a newer version asks for some that it does not know, and cannot tell of.
func tellsOf(host *apischema.API, lacks string) bool {
	role := host.Endpoint(http.MethodGet, "/access/roles/{roleid}")
	for name := range strings.FieldsSeq(lacks) {
		isPrivilege := strings.Contains(name, ".") && !strings.Contains(name, "/")
		if isPrivilege && role != nil && role.Returns != nil && role.Returns.Properties[name] == nil {
			return false
		}
	}
	return true
}

// privilegesOn are the privileges that are held on a path.
func privilegesOn(perms pve.Permissions, path string) map[string]bool {
	out := map[string]bool{}
	for _, held := range perms {
		for _, name := range held.Names() {
			if perms.Has(path, name) {
				out[name] = true
			}
		}
	}
	return out
}

// held says whether a token has the privileges that an endpoint asks for.
type held int

const (
	unknown  held = iota // its parameters or PVE's code decide
	holds                // on all that it may be about
	onSome               // on some of it
	lacksAll             // on nothing
)

// heldBy says whether a token may call an endpoint, by what it holds. A template counts for
// every value that it may have.
func heldBy(perms pve.Permissions, ep *apischema.Endpoint) held {
	p := ep.Permissions
	switch {
	case ep.NoToken, p == nil:
		return lacksAll
	case p.User == "world":
		return holds
	case p.Check == nil:
		return unknown
	}
	return checkHeld(perms, p.Check)
}

func checkHeld(perms pve.Permissions, k *apischema.Check) held {
	switch k.Op {
	case "perm":
		return permHeld(perms, k)
	case "or":
		best := lacksAll
		for _, sub := range k.Subs {
			if h := checkHeld(perms, sub); h == holds || best == lacksAll || h == onSome && best == unknown {
				best = h
			}
			if best == holds {
				return holds
			}
		}
		return best
	case "and":
		worst := holds
		for _, sub := range k.Subs {
			switch h := checkHeld(perms, sub); {
			case h == lacksAll:
				return lacksAll
			case h == unknown, h == onSome && worst == holds:
				worst = h
			}
		}
		return worst
	}
	return unknown
}

// permHeld says whether privileges are held on a path with templates.
func permHeld(perms pve.Permissions, k *apischema.Check) held {
	area, isTemplate := k.Path, strings.Contains(k.Path, "{")
	if isTemplate {
		area, _, _ = strings.Cut(k.Path, "/{")
	}
	if area == "" || strings.Contains(area, "{") {
		return unknown
	}
	worst, best := holds, lacksAll
	for _, priv := range k.Privs {
		h := lacksAll
		if !isTemplate {
			if perms.Has(area, priv) {
				h = holds
			}
		} else {
			h = belowHeld(perms, area, priv)
		}
		worst, best = max(worst, h), min(best, h)
	}
	if k.Any {
		return best
	}
	return worst
}

func belowHeld(perms pve.Permissions, area, priv string) held {
	all, except := perms.Below(area, priv)
	if all && len(except) == 0 {
		return holds
	}
	if all {
		return onSome
	}
	for path := range perms {
		if strings.HasPrefix(path, area+"/") && perms.Has(path, priv) {
			return onSome
		}
	}
	return lacksAll
}
