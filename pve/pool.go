package pve

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"github.com/pve-mcp/pve-mcp/proxmox"
)

// pool is a pool with its members.
type pool struct {
	Members []Resource `json:"members"`
}

// PoolMembers lists the guests and storages of a pool (Pool.Audit).
func (c *Client) PoolMembers(ctx context.Context, name string) ([]Resource, error) {
	pools, err := proxmox.Get[[]pool](ctx, c.Client, proxmox.Join("pools"), url.Values{"poolid": {name}})
	var said *proxmox.Error
	if errors.As(err, &said) && said.Status == http.StatusBadRequest { // before PVE 8.1
		one, err := proxmox.Get[pool](ctx, c.Client, proxmox.Join("pools", name), nil)
		return one.Members, err
	}
	if err != nil || len(pools) == 0 {
		return nil, err
	}
	return pools[0].Members, nil
}
