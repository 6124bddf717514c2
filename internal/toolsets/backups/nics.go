package backups

import (
	"context"

	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pve"
)

// disconnectNICs reads the NICs in the backup, and writes them with the link down. It leaves
// out their addresses if new ones are wanted.
func (in *restoreState) disconnectNICs(ctx context.Context, c *tool.Call) error {
	config, err := c.PVE.BackupConfig(ctx, in.Node, in.Archive)
	if err != nil {
		return err
	}
	in.Down = map[string]string{}
	for _, n := range config.NICs(in.Kind) {
		if in.Down[n.Key], err = withLinkDown(in.Kind, n, config.Values[n.Key], in.Unique); err != nil {
			return err
		}
	}
	return nil
}

// withLinkDown is the value of a NIC with its link down.
func withLinkDown(kind pve.Kind, n pve.NIC, value string, anew bool) (string, error) {
	model := "model"
	if kind == pve.LXC {
		model = ""
	}
	p := pve.ParseProperty(value, model)
	if err := p.Set("link_down", "1"); err != nil || !anew {
		return p.String(), err
	}
	if kind == pve.LXC {
		p.Delete("hwaddr")
		return p.String(), nil
	}
	p.Delete("macaddr")
	p.Delete(n.Model)
	err := p.Set("model", n.Model)
	return p.String(), err
}

// checkNICs notes which NICs of the restored guest are down, and which are not.
func (in *restoreState) checkNICs(ctx context.Context, c *tool.Call, g pve.GuestRef) {
	config, err := c.PVE.GuestConfig(ctx, g)
	if err != nil {
		in.note("whether its NICs are down could not be seen: %s", c.Explain(err).What)
		return
	}
	var down, up []string
	for _, n := range config.NICs(g.Kind) {
		if n.LinkDown.Value {
			down = append(down, n.Key)
		} else {
			up = append(up, n.Key)
		}
	}
	switch {
	case up != nil:
		in.note("NICs that are still up, although disconnect_nics was set: %s; set link_down=1 with pve_update_guest_config", render.List(up))
	case down != nil:
		in.note("NICs that are down (link_down=1): %s; pve_update_guest_config connects them", render.List(down))
	default:
		in.note("it has no NICs")
	}
}
