package pve

import (
	"context"
	"net/url"

	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/proxmox/lenient"
)

// User is a user of PVE.
type User struct {
	ID      string              `json:"userid"`
	Enabled lenient.Opt[bool]   `json:"enable,omitzero"`
	Expire  lenient.Opt[int64]  `json:"expire,omitzero"` // seconds since 1970; 0 is never
	Groups  lenient.Opt[string] `json:"groups,omitzero"` // separated by commas
	Tokens  []Token             `json:"tokens,omitzero"`
	Extra   lenient.Extra       `json:"-"`
}

// UnmarshalJSON keeps unknown fields in Extra.
func (u *User) UnmarshalJSON(data []byte) error { return lenient.Decode(data, u, &u.Extra) }

// MarshalJSON writes what was read.
func (u User) MarshalJSON() ([]byte, error) { return lenient.Encode(u, u.Extra) }

// Token is an API token of a user.
type Token struct {
	ID      string             `json:"tokenid"`          // without the user
	Expire  lenient.Opt[int64] `json:"expire,omitzero"`  // seconds since 1970; 0 is never
	PrivSep lenient.Opt[bool]  `json:"privsep,omitzero"` // it has only what it was given itself; absent is yes
	Extra   lenient.Extra      `json:"-"`
}

// UnmarshalJSON keeps unknown fields in Extra.
func (t *Token) UnmarshalJSON(data []byte) error { return lenient.Decode(data, t, &t.Extra) }

// MarshalJSON writes what was read.
func (t Token) MarshalJSON() ([]byte, error) { return lenient.Encode(t, t.Extra) }

// Users lists the users with their groups and tokens (Sys.Audit or User.Modify on
// /access/groups). PVE leaves out those that the token may not see, and lists the token's
// own user in any case.
func (c *Client) Users(ctx context.Context) ([]User, error) {
	return proxmox.Get[[]User](ctx, c.Client, proxmox.Join("access", "users"), url.Values{"full": {"1"}})
}

// ACLEntry gives somebody a role on a path.
type ACLEntry struct {
	Path      string            `json:"path"`
	Type      string            `json:"type"` // user, group or token
	Who       string            `json:"ugid"`
	Role      string            `json:"roleid"`
	Propagate lenient.Opt[bool] `json:"propagate,omitzero"`
	Extra     lenient.Extra     `json:"-"`
}

// UnmarshalJSON keeps unknown fields in Extra.
func (e *ACLEntry) UnmarshalJSON(data []byte) error { return lenient.Decode(data, e, &e.Extra) }

// MarshalJSON writes what was read.
func (e ACLEntry) MarshalJSON() ([]byte, error) { return lenient.Encode(e, e.Extra) }

// ACL lists who has which role on which path. PVE lists the paths on which the token has
// Sys.Audit or Permissions.Modify.
func (c *Client) ACL(ctx context.Context) ([]ACLEntry, error) {
	return proxmox.Get[[]ACLEntry](ctx, c.Client, proxmox.Join("access", "acl"), nil)
}
