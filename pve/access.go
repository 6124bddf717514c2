package pve

import (
	"context"
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

// Has reports whether the privilege is held on an ACL path such as /vms/100: on
// the path itself where PVE lists it, else by propagation from the nearest path
// above that PVE lists.
func (p Permissions) Has(path, privilege string) bool {
	if privs, ok := p[path]; ok {
		_, held := privs[privilege]
		return held
	}
	for path != "/" {
		path = path[:max(strings.LastIndexByte(path, '/'), 0)]
		if path == "" {
			path = "/"
		}
		if privs, ok := p[path]; ok {
			return privs[privilege].Value
		}
	}
	return false
}
