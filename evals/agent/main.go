// Command agent lets an agent do the tasks of evals/tasks, each on a simulated cluster of its
// own, and says how it did. An agent is any command that reads a prompt and speaks MCP.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/pve-mcp/pve-mcp/evals"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, out, errs io.Writer) int {
	if len(args) > 2 && args[0] == "tee" {
		if err := tee(args[1], args[2], os.Stdin, out); err != nil {
			fmt.Fprintln(errs, err)
			return 1
		}
		return 0
	}
	var o options
	f := flag.NewFlagSet("evals/run", flag.ContinueOnError)
	f.SetOutput(errs)
	f.StringVar(&o.agent, "agent", "", "command that reads the prompt on stdin, uses the MCP servers of $EVAL_MCP_CONFIG, and prints its answer")
	f.StringVar(&o.tasks, "tasks", "evals/tasks", "folder of the tasks")
	f.StringVar(&o.only, "task", "", "only the tasks whose name has this in it")
	f.StringVar(&o.server, "server", "", "the pve-mcp to use; default: this repository's")
	f.Float64Var(&o.speed, "speed", 20, "speed of the clusters, relative to real time")
	f.DurationVar(&o.timeout, "timeout", 10*time.Minute, "how long the agent may take for a task")
	if err := f.Parse(args); err != nil {
		return 2
	}
	if o.agent == "" || !(o.speed > 0) || f.NArg() > 0 {
		fmt.Fprintln(errs, `Name an agent; for example: evals/run --agent 'my-agent --mcp-config "$EVAL_MCP_CONFIG"' --task snapshot`)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ok, err := o.run(ctx, out, errs)
	if err != nil {
		fmt.Fprintln(errs, err)
		return 1
	}
	if !ok {
		return 1
	}
	return 0
}

type options struct {
	agent, tasks, only, server string
	speed                      float64
	timeout                    time.Duration
}

// run does the tasks one after another, and reports whether all of them hold.
func (o options) run(ctx context.Context, out, errs io.Writer) (bool, error) {
	all, err := evals.Load(os.DirFS(o.tasks))
	if err != nil {
		return false, err
	}
	dir, err := os.MkdirTemp("", "evals")
	if err != nil {
		return false, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if o.server == "" {
		o.server = filepath.Join(dir, "pve-mcp")
		build := exec.CommandContext(ctx, "go", "build", "-o", o.server, "./cmd/pve-mcp")
		build.Stderr = errs
		if err := build.Run(); err != nil {
			return false, fmt.Errorf("go build ./cmd/pve-mcp: %w", err)
		}
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "task\tcalls\tbytes\tverdict\tbounds")
	var sum sums
	for _, task := range all {
		if !strings.Contains(task.Metadata.Name, o.only) {
			continue
		}
		a := attempt{options: o, Task: task, dir: filepath.Join(dir, task.Metadata.Name)}
		verdict, err := a.do(ctx)
		if ctx.Err() != nil {
			return false, errors.New("interrupted")
		}
		if err != nil {
			return false, fmt.Errorf("%s: %w", task.Metadata.Name, err)
		}
		sum.add(verdict)
		fmt.Fprintf(table, "%s\t%d\t%d\t%s\t%s\n", task.Metadata.Name, verdict.calls, verdict.bytes, verdict.word(), verdict.bounds())
		for _, wrong := range verdict.wrong {
			fmt.Fprintf(errs, "%s: %s\n", task.Metadata.Name, wrong)
		}
	}
	if err := table.Flush(); err != nil {
		return false, err
	}
	if sum.tasks == 0 {
		return false, fmt.Errorf("no task has %q in its name", o.only)
	}
	fmt.Fprintf(out, "\n| %s | `%s` | %d | %d | %d | %d | %d |\n", time.Now().UTC().Format(time.DateOnly), o.agent, sum.tasks, sum.hold, sum.bounded, sum.calls, sum.bytes)
	return sum.hold == sum.tasks, nil
}

// sums are what a run comes to.
type sums struct{ tasks, hold, bounded, calls, bytes int }

func (s *sums) add(v verdict) {
	s.tasks++
	s.calls += v.calls
	s.bytes += v.bytes
	if len(v.wrong) > 0 {
		return
	}
	s.hold++
	if v.within {
		s.bounded++
	}
}

// verdict is how an agent did a task.
type verdict struct {
	calls, bytes int
	wrong        []string
	within       bool // the bounds
}

func (v verdict) word() string {
	if len(v.wrong) > 0 {
		return "FAIL"
	}
	return "pass"
}

func (v verdict) bounds() string {
	if v.within {
		return "within"
	}
	return "over"
}
