package cluster

import (
	"context"
	"errors"

	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
)

// groupsOf returns the groups that a user is in.
func groupsOf(ctx context.Context, client *pve.Client, user string) ([]string, error) {
	is, err := proxmox.Get[struct{ Groups []string }](ctx, client.Client, proxmox.Join("access", "users", user), nil)
	return is.Groups, err
}

// allEntries returns the access control list. PVE leaves out what a token may not see, without
// a word.
func allEntries(ctx context.Context, client *pve.Client) ([]policy.Entry, error) {
	perms, err := client.Permissions(ctx)
	if err != nil {
		return nil, err
	}
	if !perms.Has("/access", "Sys.Audit") {
		return nil, errors.New("this token lacks Sys.Audit on /access")
	}
	rows, err := proxmox.Get[[]struct{ Type, UGID, RoleID, Path string }](ctx, client.Client, proxmox.Join("access", "acl"), nil)
	if err != nil {
		return nil, err
	}
	var out []policy.Entry
	for _, row := range rows {
		out = append(out, policy.Entry{Type: row.Type, Who: row.UGID, Role: row.RoleID, Path: row.Path})
	}
	return out, nil
}
