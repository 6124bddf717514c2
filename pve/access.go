package pve

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/jsonscan"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/proxmox/lenient"
)

// Permissions are the privileges of a token by ACL path.
type Permissions map[string]Privileges

// UnmarshalJSON reads PVE's answer. If one privilege is not as PVE writes it, nothing is
// known.
func (p *Permissions) UnmarshalJSON(data []byte) error {
	data = bytes.Clone(jsonscan.Trim(data))
	if string(data) == "null" {
		return nil
	}
	if data[0] != '{' {
		return fmt.Errorf("%.40q where an object was expected", data)
	}
	read := Permissions{}
	for path, object := range jsonscan.Members(data) {
		held := Privileges{object}
		if err := held.check(); err != nil {
			return fmt.Errorf("privileges on %s: %w", path, err)
		}
		read[string(path)] = held
	}
	*p = read
	return nil
}

// Privileges are those that a token has on one path. They stay as PVE has written them:
// there are hundreds, and most callers ask for one or two.
type Privileges struct {
	object json.RawMessage // nil, null, or an object of booleans
}

// all goes over the privileges as they are written, perhaps one of them twice.
func (p Privileges) all(yield func(name, value []byte) bool) {
	if len(p.object) > 0 && p.object[0] == '{' {
		jsonscan.Members(p.object)(yield)
	}
}

func (p Privileges) check() error {
	if p.object[0] != '{' && string(p.object) != "null" {
		return fmt.Errorf("%.40q where an object was expected", p.object)
	}
	for name, value := range p.all {
		if string(value) == "1" || string(value) == "0" { // as PVE writes all of them
			continue
		}
		if err := new(lenient.Opt[bool]).UnmarshalJSON(value); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// Get reports whether a privilege is held on the path, and whether it propagates to what
// lies below.
func (p Privileges) Get(privilege string) (propagates, held bool) {
	var last lenient.Opt[bool]
	for name, value := range p.all {
		if string(name) == privilege {
			held = last.UnmarshalJSON(value) == nil
		}
	}
	return last.Value, held
}

// Names are the names of the privileges, sorted.
func (p Privileges) Names() []string {
	var out []string
	for name := range p.all {
		out = append(out, string(name))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// MarshalJSON writes what was read.
func (p Privileges) MarshalJSON() ([]byte, error) { return p.object.MarshalJSON() }

// Permissions asks what the token may do. PVE lists the top paths and those with
// an ACL entry of their own; see [Permissions.Has].
func (c *Client) Permissions(ctx context.Context) (Permissions, error) {
	return proxmox.Get[Permissions](ctx, c.Client, proxmox.Join("access", "permissions"), nil)
}

// PermissionsWithGaps is [Client.Permissions] with gaps, see [Client.WithGaps].
func (c *Client) PermissionsWithGaps(ctx context.Context) (Permissions, error) {
	perms, err := c.Permissions(ctx)
	if err != nil {
		return nil, err
	}
	return c.WithGaps(ctx, perms)
}

// WithGaps returns permissions with the paths of guests and pools on which something takes every
// privilege away, such as the role NoAccess. Only the list of the ACL shows them, which takes what
// [Permissions.ShowGaps] looks for. Of a pool among them, PVE hides the guests and
// storages as well.
func (c *Client) WithGaps(ctx context.Context, perms Permissions) (Permissions, error) {
	if !perms.ShowGaps() {
		return perms, nil
	}
	entries, err := c.ACL(ctx)
	if err != nil {
		return nil, err
	}
	perms = maps.Clone(perms)
	for _, e := range entries {
		_, listed := perms[e.Path]
		isGap := strings.HasPrefix(e.Path, "/vms/") || strings.HasPrefix(e.Path, "/pool/") && e.Role == "NoAccess"
		if isGap && !listed {
			perms[e.Path] = Privileges{}
		}
	}
	return perms, nil
}

// ShowGaps reports whether [Client.PermissionsWithGaps] sees every gap (Sys.Audit on /access).
func (p Permissions) ShowGaps() bool { return p.Has("/access", "Sys.Audit") }

// PermissionsOf asks what a user may do, on one path or, with "", on all that PVE lists. A
// token may ask for its own user, before PVE 8.3 only with Sys.Audit on /access.
func (c *Client) PermissionsOf(ctx context.Context, user, path string) (Permissions, error) {
	params := url.Values{"userid": {user}}
	if path != "" {
		params.Set("path", path)
	}
	return proxmox.Get[Permissions](ctx, c.Client, proxmox.Join("access", "permissions"), params)
}

// top are the paths that PVE lists wherever anything at all is held on them.
var top = []string{"/", "/access", "/access/groups", "/nodes", "/pool", "/sdn", "/storage", "/vms"}

// Has reports whether the privilege is held on an ACL path such as /vms/100: on the path itself
// if PVE lists it, else by propagation from the nearest path above that PVE lists. PVE lists
// no path on which no privilege is held. So a path whose own entry takes everything away looks
// like one without an entry.
func (p Permissions) Has(path, privilege string) bool {
	if privs, listed := p[path]; listed || slices.Contains(top, path) {
		_, held := privs.Get(privilege)
		return held
	}
	for path != "/" {
		path = cmp.Or(path[:strings.LastIndexByte(path, '/')], "/")
		if privs, listed := p[path]; listed || slices.Contains(top, path) {
			propagates, _ := privs.Get(privilege)
			return propagates
		}
	}
	return false
}

// Below reports whether the privilege is held on everything below a top path such as /vms,
// and returns the paths there that are exceptions, and the pools that are gaps. A path on which no
// privilege is held is not among them, for the reason that [Permissions.Has] gives, except of
// [Client.PermissionsWithGaps].
func (p Permissions) Below(path, privilege string) (all bool, except []string) {
	for below, privs := range p {
		isGap := privs.object == nil && strings.HasPrefix(below, "/pool/") && (path == "/vms" || path == "/storage")
		if !strings.HasPrefix(below, path+"/") && !isGap {
			continue
		}
		if _, held := privs.Get(privilege); !held {
			except = append(except, below)
		}
	}
	slices.Sort(except)
	all, _ = p[path].Get(privilege)
	return all, except
}

// OnAll reports whether the privilege is held on everything below a top path, without
// exception as far as [Permissions.Below] tells.
func (p Permissions) OnAll(path, privilege string) bool {
	all, except := p.Below(path, privilege)
	return all && len(except) == 0
}
