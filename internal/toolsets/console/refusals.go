package console

import (
	"context"
	"errors"
	"io"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/rfb"
	"github.com/pve-mcp/pve-mcp/internal/terminal"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
)

// explainOffer says why PVE does not open a console.
func explainOffer(src source, err error) error {
	var said *proxmox.Error
	switch {
	case !errors.As(err, &said):
		return err
	case strings.Contains(said.Message, "unable to find free port"):
		return explain.Refusal("Close consoles that nobody needs, or try again later.", "The node of %v has no port left for consoles: PVE has 100 for all of them.", src.Guest)
	}
	return err
}

// explainScreen says why a screen could not be read.
func explainScreen(src source, err error) error {
	var refused *rfb.RefusedError
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return explain.Refusal("Try again. If it stays so, the VM or its node hangs.", "The screen of %v was opened, and did not come whole in time.", src.Guest)
	case errors.As(err, &refused):
		return explain.Refusal("Wait 30 seconds, then call again.", "The screen of %v does not let this call in (%s): somebody else has opened it a moment ago, and PVE has one password a VM for it.", src.Guest, refused.Reason)
	case errors.Is(err, rfb.BusyError{}):
		return explain.Refusal("Wait until that console is closed. This server shares a screen with others, and disconnects nobody.", "The screen of %v is in use: somebody has opened it for himself alone.", src.Guest)
	case errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, io.EOF):
		return explain.Refusal("See with pve_guest_status whether it runs, then call again.", "The screen of %v ended the connection: the VM has stopped, or somebody else has opened the screen for himself alone.", src.Guest)
	}
	return explain.Refusal("Call again. If it stays so, look at the task list: the task vncproxy says why.", "The screen of %v could not be read: %v.", src.Guest, err)
}

// explainTerminal says why a terminal could not be opened.
func explainTerminal(src source, err error) error {
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, context.DeadlineExceeded):
		return explain.Refusal("Try again. If it stays so, its node hangs.", "The console of %v did not open in time.", src.Guest)
	case errors.Is(err, terminal.ErrRefused) && src.Guest.Kind == pve.LXC:
		return explain.Refusal("Update pve-container on that node to 6.1.3 or later, which is for PVE 9. Until then: ssh, or pct enter on the node.",
			"The node of %v ends the connection: before pve-container 6.1.3 it lets no API token open the console of a container.", src.Guest)
	}
	return explain.Refusal("Look at the task list: the task termproxy says why.", "The console of %v could not be opened: %v.", src.Guest, err)
}
