package guestexec

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/change"
	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/ctshell"
	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
)

// ConsoleTarget is the request that a consent to run a command in a container is good for: its
// console is opened, and the command typed.
func ConsoleTarget(g pve.GuestRef, argv []string, stdin bool) policy.Target {
	t := change.GuestTarget(http.MethodGet, g, "/vncwebsocket")
	t.Command, t.Stdin = argv, stdin
	return t
}

// CheckContainer returns an error, with what helps, if no command can be run in a container
// that is running.
func CheckContainer(ctx context.Context, c *tool.Call, g pve.GuestRef) error {
	_, config, err := c.CurrentConfig(ctx, g.VMID)
	if err != nil {
		return err
	}
	version, err := c.PVE.NodeVersion(ctx, g.Node)
	if err != nil {
		return err
	}
	if version.Major() < firstMajor {
		return tooOld(g, version)
	}
	if mode := config.Values["cmode"]; mode != "shell" {
		return noShell(g, cmp.Or(mode, "tty"))
	}
	return nil
}

// firstMajor is the first version of PVE whose terminal proxy lets tokens in.
const firstMajor = 9

func tooOld(g pve.GuestRef, v pve.Version) error {
	return explain.Refusal("Use ssh, or pct exec on its node; or update the node.",
		"%v is on %s, whose PVE %s does not let a token use the console of a container: that begins with PVE 9 and pve-container 6.1.3.", g, g.Node, v.Version)
}

func noShell(g pve.GuestRef, mode string) error {
	return explain.Refusal("Set cmode: shell with pve_update_guest_config, which needs VM.Config.Options on it. It takes effect after the container is restarted. Or use ssh.",
		"The console of %v is a login prompt, not a shell: its cmode is %s.", g, mode)
}

// Spare is how long a console may be in use in addition to its commands.
const Spare = 90 * time.Second

// OpenContainer opens the console of a running container as a shell for commands that take a
// time at most, once no other call of this process uses it. The caller calls leave in any
// case; its error says that the console may not be as it was found.
func OpenContainer(ctx context.Context, c *tool.Call, id pve.VMID, lasts time.Duration) (shell *ctshell.Shell, leave func() error, err error) {
	release, err := tool.Hold(ctx, c, fmt.Sprintf("console of %v", id))
	if err != nil {
		return nil, nil, err
	}
	g, shell, err := cluster.AtGuest(ctx, c.View, id, func(g pve.GuestRef) (*ctshell.Shell, error) { return open(ctx, c, g, lasts) })
	if err != nil {
		release()
		return nil, nil, explained(ctx, c, g, err)
	}
	return shell, func() error {
		defer release()
		if err := shell.Close(ctx); err != nil {
			return fmt.Errorf("the console may not be as it was found until %v from now: %w", render.Duration(lasts+Spare), err)
		}
		return nil
	}, nil
}

func open(ctx context.Context, c *tool.Call, g pve.GuestRef, lasts time.Duration) (*ctshell.Shell, error) {
	found, err := c.Guest(ctx, g.VMID)
	if err != nil {
		return nil, err
	}
	console, err := OpenConsole(ctx, c, g)
	if err != nil {
		return nil, offered(err)
	}
	return ctshell.Open(ctx, console, console.User, console.Ticket, ctshell.Options{Host: found.Name.Value, Lasts: lasts + Spare})
}

// OpenConsole opens the console of a container, which no node but its own does for a token.
func OpenConsole(ctx context.Context, c *tool.Call, g pve.GuestRef) (*pve.Console, error) {
	client, err := c.ClientAt(ctx, g.Node)
	if err != nil {
		return nil, err
	}
	return client.OpenTerminal(ctx, g)
}

// offered is the error of a console that was not opened. Nothing was run, whatever became of
// the request.
func offered(err error) error {
	if proxmox.OutcomeUnknown(err) {
		return explain.Refusal("Try again in a minute.", "The console could not be opened: the connection was lost. Nothing was run.")
	}
	return err
}

// explained says what helps against an error of a console.
func explained(ctx context.Context, c *tool.Call, g pve.GuestRef, err error) error {
	unusable, ok := errors.AsType[*ctshell.UnusableError](err)
	var lost *ctshell.LostError
	switch {
	case !ok && errors.As(err, &lost):
		return explain.Refusal("Try again in two minutes: it is free then.", "The console of %v stopped answering before anything was run: %v.", g, lost.Err)
	case !ok:
		return err
	}
	detail := render.Text(unusable.Detail, 100)
	switch unusable.Why {
	case ctshell.Refused:
		version, err := c.PVE.NodeVersion(ctx, g.Node)
		if err == nil && version.Major() < firstMajor {
			return tooOld(g, version)
		}
		return explain.Refusal("Update pve-container on "+g.Node+" to 6.1.3 or later, or use ssh.",
			"%s let nobody in to the console of %v: its connection ended without an answer. Before pve-container 6.1.3 it does so with every token.", g.Node, g)
	case ctshell.Login:
		return explain.Refusal("If cmode was set to shell since: restart the container. Else set cmode: shell with pve_update_guest_config (VM.Config.Options), and restart it. Or use ssh.",
			"The console of %v shows a login prompt (%s), not a shell.", g, detail)
	case ctshell.Ended:
		return explain.Refusal("Look at the container's cmode and tty: cmode: shell gives a shell without one. Or use ssh.", "The console of %v ended at once. It said: %q.", g, detail)
	case ctshell.InUse:
		return explain.Refusal("Try again when the console is free, or use ssh.", "Somebody uses the console of %v: %s. It was left alone; nothing was run.", g, detail)
	case ctshell.Elsewhere:
		return explain.Refusal("Look at the console with a browser, and leave the other machine there.", "The shell on the console of %v is not the container's own: somebody has gone to another machine from there. Nothing was run.", g)
	case ctshell.Lacks:
		return explain.Refusal("Install it in the container, or use ssh.", "The container %v lacks %s, which running a command by its console needs. Nothing was run.", g, detail)
	}
	return explain.Refusal("Look at the console with a browser: something may run there. Or use ssh.", "The console of %v shows no prompt of a shell, but %q. It was left alone; nothing was run.", g, detail)
}
