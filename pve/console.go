package pve

import (
	"context"
	"net/http"
	"net/url"

	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/proxmox/lenient"
)

// Console is a connection to the console of a guest.
type Console struct {
	*proxmox.Socket
	// User and Ticket begin the conversation with a terminal: a line USER:TICKET.
	User, Ticket string
	// Password is that of a screen, in its first 8 bytes.
	Password string
}

// offered is PVE's answer to one who wants a console.
type offered struct {
	Port     lenient.Opt[string] `json:"port"`
	User     string              `json:"user"`
	Ticket   string              `json:"ticket"`
	Password string              `json:"password"`
}

// OpenScreen opens the screen of a VM (VM.Console), which speaks RFB 3.8.
func (c *Client) OpenScreen(ctx context.Context, g GuestRef) (*Console, error) {
	return c.openConsole(ctx, g, "vncproxy", url.Values{"websocket": {"1"}, "generate-password": {"1"}})
}

// OpenTerminal opens the serial console of a VM or the console of a container (VM.Console).
// That of a container is opened by its own node only, to which the client has to connect, and
// for a token from PVE 9 on.
func (c *Client) OpenTerminal(ctx context.Context, g GuestRef) (*Console, error) {
	return c.openConsole(ctx, g, "termproxy", nil)
}

// openConsole has a console offered, and opens it at the same endpoint.
func (c *Client) openConsole(ctx context.Context, g GuestRef, proxy string, params url.Values) (*Console, error) {
	one := c.Sticky()
	ans, err := one.Do(ctx, http.MethodPost, g.path(proxy), params)
	if err != nil {
		return nil, err
	}
	var o offered
	if err := ans.Decode(&o); err != nil {
		return nil, err
	}
	socket, err := one.Websocket(ctx, g.path("vncwebsocket"), url.Values{"port": {o.Port.Value}, "vncticket": {o.Ticket}})
	if err != nil {
		return nil, err
	}
	return &Console{socket, o.User, o.Ticket, o.Password}, nil
}
