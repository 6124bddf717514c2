package guests

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/ctshell"
	"github.com/pve-mcp/pve-mcp/internal/guestexec"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/tool"
)

// ran is what became of a command in a container.
type ran struct {
	ctshell.Result
	Seconds int      `json:"seconds,omitzero"` // that it had
	Files   []string `json:"files,omitzero"`   // with all of its output
	Unknown string   `json:"unknown,omitzero"` // why its end is
	Left    string   `json:"left,omitzero"`    // what is not as it was
	GaveUp  bool     `json:"gave_up,omitzero"` // it was ended with the call
}

// longest is the most seconds that a command in a container may take.
const longest = 3600

// runInContainer runs the command to its end, or to that of its time.
func (in *execState) runInContainer(ctx context.Context, c *tool.Call) error {
	timeout := c.Patience(nil)
	if in.Timeout != nil {
		timeout = time.Duration(min(*in.Timeout, longest)) * time.Second
	}
	c.Report(cluster.Progress{Message: "opens the console"})
	shell, leave, err := guestexec.OpenContainer(ctx, c, in.VMID, timeout)
	if err != nil {
		return err
	}
	in.Ran.Seconds = int(timeout / time.Second)
	c.Report(cluster.Progress{Message: "the command runs"})
	in.Ran.Result, err = shell.Run(ctx, ctshell.Command{
		Argv: in.Argv, Stdin: []byte(in.Stdin), Dir: in.CWD, Env: in.Env, Timeout: timeout, Most: mostOutput,
	})
	in.Ran.GaveUp = in.Ran.Interrupted && ctx.Err() != nil
	var lost *ctshell.LostError
	switch {
	case errors.As(err, &lost):
		in.Ran.Unknown = lost.Err.Error()
	case err == nil:
		in.keepOutput(ctx, shell)
	}
	if left := leave(); left != nil {
		in.Ran.Left = left.Error()
	}
	if lost != nil {
		return nil
	}
	return err
}

// keepOutput keeps what is not shown of the output in files in the container.
func (in *execState) keepOutput(ctx context.Context, shell *ctshell.Shell) {
	name := "pve-mcp-" + rand.Text()[:10]
	keep := func(from ctshell.Stream, size int64, name string) {
		if size <= mostOutput {
			return
		}
		file, err := shell.Keep(ctx, from, name)
		if err != nil {
			in.Ran.Left = "not all of its output could be kept: " + err.Error()
			return
		}
		in.Ran.Files = append(in.Ran.Files, file)
	}
	keep(ctshell.Stdout, in.Ran.OutBytes, name+".out")
	keep(ctshell.Stderr, in.Ran.ErrBytes, name+".err")
}

// printedInContainer is an output of which the first bytes were fetched.
func printedInContainer(fetched []byte, of int64) printed {
	beyond := max(0, of-int64(len(fetched)))
	return printed{text: string(fetched), beyond: beyond, open: beyond > 0}
}

// show says what became of the command.
func (r ran) show(out *execOut, ok []int64) {
	out.Stdout, out.Stderr = render.Lines(string(r.Stdout), mostOutput), render.Lines(string(r.Stderr), mostOutput)
	out.out, out.err = printedInContainer(r.Stdout, r.OutBytes), printedInContainer(r.Stderr, r.ErrBytes)
	out.Cut, out.Files = out.out.open || out.err.open, r.Files
	switch {
	case r.Unknown != "":
		out.Outcome = tool.Unknown
		out.Message = "The command was started, but its end is unknown: " + render.Text(r.Unknown, 200) + "."
		out.Next = fmt.Sprintf("Look in the container at what it has done before you run it again. If it still runs, the container ends it in %v at the latest.", render.Duration(time.Duration(r.Seconds)*time.Second+guestexec.Spare))
	case r.GaveUp:
		out.Outcome = tool.Failed
		out.Message = "The call was over before the command, which was ended with all processes of its group."
		out.Next = "Give it more time, or start what takes long with setsid or as a service."
	case r.Interrupted:
		out.Outcome = tool.Failed
		out.Message = fmt.Sprintf("The command took longer than its %d s, and was ended with all processes of its group.", r.Seconds)
		out.Next = "Give a longer timeout, or start what takes long with setsid or as a service."
	default:
		out.judge(int64(r.ExitCode), int64(r.Signal), r.Signal != 0, ok)
	}
	if r.EndedRest && !r.Interrupted {
		out.Message += " It left processes in the background, which were ended; setsid keeps one."
	}
	if r.Unread != "" {
		out.Message += " Not all that it has printed could be read: " + render.Text(r.Unread, 200) + "."
		out.Outcome = cmp.Or(out.Outcome, tool.Warnings)
	}
	if r.Left != "" {
		out.Message += " But " + render.Text(r.Left, 200) + "."
		out.Outcome = cmp.Or(out.Outcome, tool.Warnings)
	}
}
