package pve

import (
	"context"
	"net/http"
	"net/url"

	"github.com/pve-mcp/pve-mcp/proxmox"
)

// Client calls the API of one cluster of Proxmox VE. It is safe for concurrent use.
//
// It is a [proxmox.Client] with a method for each of the endpoints that this package
// knows; [proxmox.Client.Do] calls any other.
type Client struct {
	*proxmox.Client
	lists *lists
}

// New returns a client. It connects when it is first used. Outdates and Measure of the
// options are this package's own.
func New(o proxmox.Options) (*Client, error) {
	o.Outdates = Elsewhere
	o.Measure = func() proxmox.Measure { return new(Meter).Read }
	engine, err := proxmox.New(o)
	if err != nil {
		return nil, err
	}
	return &Client{engine, &lists{}}, nil
}

// Sticky returns a client whose requests all go to one endpoint, as
// [proxmox.Client.Sticky] does.
func (c *Client) Sticky() *Client { return &Client{c.Client.Sticky(), c.lists} }

// Each returns a client for each endpoint, as [proxmox.Client.Each] does.
func (c *Client) Each() []*Client {
	var out []*Client
	for _, one := range c.Client.Each() {
		out = append(out, &Client{one, c.lists})
	}
	return out
}

// At returns a client of one other node, as [proxmox.Client.At] does.
func (c *Client) At(base string, pin proxmox.Fingerprint) (*Client, error) {
	one, err := c.Client.At(base, pin)
	if err != nil {
		return nil, err
	}
	return &Client{one, c.lists}, nil
}

// ask sends a GET, whose answer has data.
func (c *Client) ask(ctx context.Context, p proxmox.Path, params url.Values) (proxmox.Answer, error) {
	ans, err := c.Do(ctx, http.MethodGet, p, params)
	if err == nil && ans.IsEmpty() {
		err = ans.Decode(nil)
	}
	return ans, err
}
