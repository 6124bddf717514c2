package guestexec

import (
	"context"
	"fmt"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pve"
)

// Place is a guest in which something can be run or, if its system is Windows, at least files
// can be read and written by the agent.
type Place struct {
	Guest   pve.GuestRef `json:"guest"`
	Label   string       `json:"label"` // for people
	Windows bool         `json:"windows,omitzero"`
}

// FindPlace looks up a guest. It returns an error, with what helps, if nothing can be done in it.
func FindPlace(ctx context.Context, c *tool.Call, id pve.VMID) (Place, error) {
	g, s, err := c.Live(ctx, id)
	if err != nil {
		return Place{}, err
	}
	p := Place{Guest: g, Label: fmt.Sprintf("%v (%s)", g, render.Text(s.Name.Value, 60))}
	switch {
	case s.State() != "running":
		return p, explain.Refusal("Start or resume it first.", "%v is %s, so its files cannot be reached.", g, s.State())
	case g.Kind == pve.LXC:
		return p, CheckContainer(ctx, c, g)
	case !s.Agent.Value:
		return p, NoAgent(g)
	}
	_, config, err := c.CurrentConfig(ctx, id)
	p.Windows = RunsWindows(config)
	return p, err
}

// NoAgent is the error of what needs the guest agent in a VM that has none configured.
func NoAgent(g pve.GuestRef) error {
	return explain.Refusal("Install qemu-guest-agent in the guest, and set agent: 1 with pve_update_guest_config.", "%v has no guest agent configured.", g)
}

// RunsWindows reports whether a VM has Windows, as far as its configuration shows.
func RunsWindows(config pve.GuestConfig) bool { return strings.HasPrefix(config.Values["ostype"], "w") }
