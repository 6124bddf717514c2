package pve

import (
	"cmp"
	"context"
	"net/url"
	"slices"
	"strings"
)

// Permissions are the privileges of a token by ACL path. Their value says whether
// the privilege propagates to what lies below.
type Permissions map[string]map[string]Opt[bool]

// Permissions asks what the token may do. PVE lists the top paths and those with
// an ACL entry of their own; see [Permissions.Has].
func (c *Client) Permissions(ctx context.Context) (Permissions, error) {
	return get[Permissions](ctx, c, join("access", "permissions"), nil)
}

// PermissionsOf asks what a user may do, on one path or, with "", on all that PVE lists. A
// token may ask for its own user, before PVE 8.3 only with Sys.Audit on /access.
func (c *Client) PermissionsOf(ctx context.Context, user, path string) (Permissions, error) {
	params := url.Values{"userid": {user}}
	if path != "" {
		params.Set("path", path)
	}
	return get[Permissions](ctx, c, join("access", "permissions"), params)
}

// top are the paths that PVE lists wherever anything at all is held on them.
var top = []string{"/", "/access", "/access/groups", "/nodes", "/pool", "/sdn", "/storage", "/vms"}

// Has reports whether the privilege is held on an ACL path such as /vms/100: on
// the path itself where PVE lists it, else by propagation from the nearest path
// above that PVE lists. PVE lists no path on which nothing is held, so that one which
// an entry of its own closes altogether cannot be told from one without an entry.
func (p Permissions) Has(path, privilege string) bool {
	if privs, listed := p[path]; listed || slices.Contains(top, path) {
		_, held := privs[privilege]
		return held
	}
	for path != "/" {
		path = cmp.Or(path[:strings.LastIndexByte(path, '/')], "/")
		if privs, listed := p[path]; listed || slices.Contains(top, path) {
			return privs[privilege].Value
		}
	}
	return false
}

// Below reports whether the privilege is held on everything below a top path such as
// /vms, and on which of the paths there it is not for all that. What [Permissions.Has]
// says of paths on which nothing is held goes for these as well.
func (p Permissions) Below(path, privilege string) (all bool, except []string) {
	for below, privs := range p {
		if _, held := privs[privilege]; !held && strings.HasPrefix(below, path+"/") {
			except = append(except, below)
		}
	}
	slices.Sort(except)
	return p[path][privilege].Value, except
}
