package pve

import (
	"context"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/proxmox"
)

// Journal reads lines of a node's journal between two times (Sys.Syslog on it).
func (c *Client) Journal(ctx context.Context, node string, since, until time.Time) ([]string, error) {
	lines, err := proxmox.Get[[]string](ctx, c.Client, proxmox.Join("nodes", node, "journal"), url.Values{
		"since": {strconv.FormatInt(since.Unix(), 10)}, "until": {strconv.FormatInt(until.Unix(), 10)},
	})
	var out []string
	for _, l := range lines {
		if !strings.HasPrefix(l, "s=") { // a cursor, at the start and at the end
			out = append(out, l)
		}
	}
	return out, err
}

// FirewallOptions are those of a firewall: of the cluster or of a guest.
type FirewallOptions map[string]any

// On reports whether the firewall is enabled.
func (o FirewallOptions) On() bool {
	switch v := o["enable"].(type) {
	case float64:
		return v != 0
	case string:
		return v != "" && v != "0"
	}
	return false
}

// Policy is what becomes of packets for which there is no rule, in or out; "" is the default.
func (o FirewallOptions) Policy(direction string) string {
	text, _ := o["policy_"+direction].(string)
	return text
}

// ClusterFirewall reads the options of the cluster's firewall (Sys.Audit on /).
func (c *Client) ClusterFirewall(ctx context.Context) (FirewallOptions, error) {
	return proxmox.Get[FirewallOptions](ctx, c.Client, proxmox.Join("cluster", "firewall", "options"), nil)
}

// GuestFirewall reads the options of a guest's firewall (VM.Audit).
func (c *Client) GuestFirewall(ctx context.Context, g GuestRef) (FirewallOptions, error) {
	return proxmox.Get[FirewallOptions](ctx, c.Client, g.path("firewall", "options"), nil)
}
