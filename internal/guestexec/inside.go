package guestexec

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/ctshell"
	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pve"
)

// Inside runs commands in a guest, one after the other: in a container by its console, in a
// Linux VM by its agent.
type Inside struct {
	call  *tool.Call
	guest pve.GuestRef
	each  time.Duration  // that a command may take
	shell *ctshell.Shell // nil for a VM
}

// Ended is how a command has ended.
type Ended struct {
	ExitCode       int
	Stdout, Stderr string
}

// mostLasts is how long the console of a container may be in use.
const mostLasts = 30 * time.Minute

// Enter lets commands be run in a running guest, each for a time at most. The caller calls
// leave in any case; its error says that a console may not be as it was found.
func Enter(ctx context.Context, c *tool.Call, g pve.GuestRef, each time.Duration) (in *Inside, leave func() error, err error) {
	in = &Inside{call: c, guest: g, each: each}
	if g.Kind == pve.QEMU {
		return in, func() error { return nil }, nil
	}
	c.Report(cluster.Progress{Message: "opens the console"})
	in.shell, leave, err = OpenContainer(ctx, c, g.VMID, mostLasts)
	return in, leave, err
}

// Run runs a command that prints ASCII. Its input is ASCII, too, and has at most 64 KiB.
func (in *Inside) Run(ctx context.Context, argv []string, stdin string) (Ended, error) {
	if in.shell == nil {
		return in.runByAgent(ctx, argv, stdin)
	}
	const most = 4 << 20
	r, err := in.shell.Run(ctx, ctshell.Command{Argv: argv, Stdin: []byte(stdin), Timeout: in.each, Most: most})
	switch {
	case err != nil:
		return Ended{}, err
	case r.Unread != "":
		return Ended{}, fmt.Errorf("what a program in %v has printed could not be read: %s", in.guest, r.Unread)
	case r.Interrupted:
		return Ended{}, in.tookTooLong()
	case r.Signal != 0:
		return Ended{}, fmt.Errorf("a program in %v was ended by signal %d", in.guest, r.Signal)
	case r.OutBytes > most:
		return Ended{}, errTooMuch
	}
	return Ended{ExitCode: r.ExitCode, Stdout: string(r.Stdout), Stderr: string(r.Stderr)}, nil
}

var errTooMuch = errors.New("the guest printed more than was asked for")

func (in *Inside) tookTooLong() error {
	return explain.Refusal("Give a longer timeout.", "A step took longer than %v in %v.", in.each, in.guest)
}

// runByAgent runs a command by the agent of a VM, and waits for its end.
func (in *Inside) runByAgent(ctx context.Context, argv []string, stdin string) (Ended, error) {
	c := in.call
	_, pid, err := cluster.AtGuest(ctx, c.View, in.guest.VMID, func(g pve.GuestRef) (int64, error) { return c.PVE.Exec(ctx, g, argv, stdin) })
	if err != nil {
		return Ended{}, err
	}
	within := time.NewTimer(in.each)
	defer within.Stop()
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		_, got, err := cluster.AtGuest(ctx, c.View, in.guest.VMID, func(g pve.GuestRef) (pve.Executed, error) { return c.PVE.ExecStatus(ctx, g, pid) })
		switch {
		case err != nil:
			return Ended{}, fmt.Errorf("the end of a program in %v is unknown: %w", in.guest, err)
		case got.Exited.Value && got.OutTruncated.Value:
			return Ended{}, errTooMuch
		case got.Exited.Value && !got.ExitCode.Set:
			return Ended{}, fmt.Errorf("a program in %v was ended by signal %d", in.guest, got.Signal.Value)
		case got.Exited.Value:
			return Ended{ExitCode: int(got.ExitCode.Value), Stdout: got.Out.Value, Stderr: got.Err.Value}, nil
		}
		select {
		case <-ctx.Done():
			return Ended{}, ctx.Err()
		case <-within.C:
			return Ended{}, in.tookTooLong()
		case <-time.After(pause):
		}
	}
}
