package apischema

import (
	"strings"

	"github.com/pve-mcp/pve-mcp/lazyregexp"
)

// Caller is the caller of an endpoint, as far as a permission check needs to know.
type Caller struct {
	// User is the user id or token id; "" for a request without authentication.
	User string
	// Privs returns the privileges that the caller holds on an ACL path. The
	// value says whether the privilege propagates.
	Privs func(path string) map[string]bool
	// Groups returns the groups of a user, and whether the user exists.
	Groups func(userid string) ([]string, bool)
	// GroupIDs are all groups.
	GroupIDs []string
	// Checked, if not nil, is called after every check of privileges on a path.
	Checked func(PrivCheck)
}

// PrivCheck is one check of privileges on an ACL path.
type PrivCheck struct {
	Path  string
	Privs []string
	Any   bool // one of Privs was enough
	Held  bool
}

// PermissionError is PVE's refusal of a caller: HTTP status 403.
type PermissionError struct {
	// What is missing, such as "/vms/100, VM.Audit"; "" if PVE does not say,
	// as when every alternative of an "or" failed.
	What string
}

func (e *PermissionError) Error() string {
	if e.What == "" {
		return "Permission check failed"
	}
	return "Permission check failed (" + e.What + ")"
}

func denied(what string) error { return &PermissionError{What: what} }

// Allow decides whether c may call the endpoint with params. A refusal is a
// *[PermissionError]; an unknown user in a user's endpoint is a plain error. A
// nil p is an endpoint for root@pam alone.
func (p *Permissions) Allow(c Caller, params Values) error {
	switch {
	case p != nil && p.User == "world":
		return nil
	case c.User == "":
		return denied("user != null")
	case c.User == "root@pam":
		return nil
	case p == nil:
		return denied("user != root@pam")
	case p.User == "all":
		return nil
	case p.Check == nil:
		return denied("")
	}
	return p.Check.evaluate(c, params)
}

// evaluate decides one check, as PVE's exec_api2_perm_check does.
func (k *Check) evaluate(c Caller, params Values) error {
	switch k.Op {
	case "and":
		for _, sub := range k.Subs {
			if err := sub.evaluate(c, params); err != nil {
				return err
			}
		}
		return nil
	case "or":
		for _, sub := range k.Subs {
			if sub.evaluate(c, params) == nil {
				return nil
			}
		}
		return denied("")
	case "perm":
		if k.RequireParam != "" && params[k.RequireParam] == nil {
			return denied("")
		}
		return c.require(fillIn(k.Path, params), k.Any, k.Privs)
	case "perm-modify":
		return c.mayModify(fillIn(k.Path, params))
	case "userid-param":
		return k.user(c, param(params, "userid"))
	case "userid-group":
		return k.group(c, params)
	}
	return denied("unknown permission test " + k.Op)
}

// Require wants all of some privileges on an ACL path. A refusal is a
// *[PermissionError].
func (c Caller) Require(path string, privs ...string) error { return c.require(path, false, privs) }

// RequireAny wants one of some privileges on an ACL path. A refusal is a
// *[PermissionError].
func (c Caller) RequireAny(path string, privs ...string) error { return c.require(path, true, privs) }

func (c Caller) require(path string, anyOf bool, privs []string) error {
	path = normalizePath(path)
	err := c.check(path, anyOf, privs)
	if c.Checked != nil {
		c.Checked(PrivCheck{Path: path, Privs: privs, Any: anyOf, Held: err == nil})
	}
	return err
}

func (c Caller) check(path string, anyOf bool, privs []string) error {
	held := map[string]bool{}
	if path != "" {
		held = c.Privs(path)
	}
	for _, p := range privs {
		_, ok := held[p]
		if ok && anyOf {
			return nil
		}
		if !ok && !anyOf {
			return denied(path + ", " + p)
		}
	}
	if anyOf {
		return denied(path + ", " + strings.Join(privs, "|"))
	}
	return nil
}

func (c Caller) mayModify(path string) error {
	if path = normalizePath(path); path == "" {
		return denied("")
	}
	privs := []string{"Permissions.Modify"}
	for prefix, own := range map[string]string{
		"/storage/": "Datastore.Allocate", "/vms/": "VM.Allocate", "/pool/": "Pool.Allocate",
	} {
		if len(path) > len(prefix) && strings.HasPrefix(path, prefix) {
			privs = append(privs, own)
		}
	}
	return c.RequireAny(path, privs...)
}

func (k *Check) user(c Caller, userid string) error {
	if k.Subject == "Realm.AllocateUser" {
		_, realm, _ := strings.Cut(userid, "@")
		return c.Require("/access/realm/"+realm, "Realm.AllocateUser")
	}
	if _, exists := c.Groups(userid); !exists || c.User != userid {
		return denied("")
	}
	return nil
}

func (k *Check) group(c Caller, params Values) error {
	if c.RequireAny("/access/groups", k.Privs...) == nil {
		return nil
	}
	mine := map[string]bool{}
	for _, g := range c.GroupIDs {
		mine[g] = c.RequireAny("/access/groups/"+g, k.Privs...) == nil
	}
	if k.GroupsParam != "" {
		wanted := SplitList(param(params, "groups"))
		if len(wanted) == 0 {
			return denied("/access/groups, " + strings.Join(k.Privs, "|"))
		}
		for _, g := range wanted {
			if !mine[g] {
				return denied("/access/groups/" + g + ", " + strings.Join(k.Privs, "|"))
			}
		}
	}
	if k.GroupsParam == "create" {
		return nil
	}
	groups, _ := c.Groups(param(params, "userid"))
	for _, g := range groups {
		if mine[g] {
			return nil
		}
	}
	return denied("")
}

func param(params Values, name string) string {
	s, _ := params[name].(string)
	return s
}

var (
	placeholderRE = lazyregexp.New(`\{[^}]*\}`)
	aclPathRE     = lazyregexp.New(`^/[A-Za-z0-9.\-_/]*$`)
	slashesRE     = lazyregexp.New(`/+`)
)

// fillIn fills the placeholders of a template such as /vms/{vmid} from params;
// one without a value becomes nothing.
func fillIn(template string, params Values) string {
	return placeholderRE.ReplaceAllStringFunc(template, func(name string) string {
		return param(params, strings.Trim(name, "{}"))
	})
}

// normalizePath returns an ACL path in its one form, without a final slash, or
// "" for what is no ACL path: a check on that one is always refused.
func normalizePath(path string) string {
	path = slashesRE.ReplaceAllString(path, "/")
	if path != "/" {
		path = strings.TrimSuffix(path, "/")
	}
	if path == "" {
		path = "/"
	}
	if !aclPathRE.MatchString(path) {
		return ""
	}
	return path
}
