package cli

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/term"

	"github.com/pve-mcp/pve-mcp/internal/config"
	"github.com/pve-mcp/pve-mcp/internal/mcpserver"
	"github.com/pve-mcp/pve-mcp/internal/telemetry"
)

// stdio serves MCP on stdin and stdout until the client goes away or the process gets the
// signal to end.
func (a *app) stdio(ctx context.Context) error {
	if isTerminal(a.in) && !a.demo && !a.configured() {
		return &exitError{exitUsage, firstSteps}
	}
	cfg, err := a.config(false)
	if err != nil {
		return err
	}
	o := a.observe()
	host, err := a.hostOf(cfg)
	if err != nil {
		return err
	}
	host.Trace = o.Tool
	if isTerminal(a.in) {
		fmt.Fprintln(a.err, "pve-mcp waits for an MCP client on stdin. For a look without one: pve-mcp demo; for the commands: pve-mcp --help")
	}
	a.log.Info("serving MCP on stdin and stdout", "cluster", host.Cluster, "read_only", host.Policy.ReadOnly, "version", version())
	s := mcpserver.New(mcpserver.Options{Version: version(), Host: host, Selection: selectionOf(cfg), LocalPages: true, Logger: telemetry.Quiet(a.log)})
	s.AddReceivingMiddleware(o.Requests)
	defer flush(o, time.Time{})
	// A client that is gone must not end the process before a change under way has
	// been recorded.
	signal.Ignore(syscall.SIGPIPE)
	if err := mcpserver.Serve(ctx, s, a.in, a.out); err != nil {
		return failed(err)
	}
	return nil
}

const firstSteps = `no cluster is configured. Begin with one of these:
  pve-mcp demo                     see what it does, on a simulated cluster
  pve-mcp doctor --role operator   make a token: prints the commands for root on a node
  pve-mcp install CLIENT --host HOST --token-id 'USER@REALM!NAME'
                                   tell an MCP client, such as claude-code
  pve-mcp --help                   all commands and settings`

// configured reports whether anything says which cluster is meant.
func (a *app) configured() bool {
	dir, err := os.Getwd()
	if err != nil {
		return false
	}
	return slices.ContainsFunc(config.Origins(config.Sources{Flags: a.flags, Environ: a.environ, Dir: dir}), func(g config.Given) bool {
		return g.From != config.FromDefault && strings.HasPrefix(g.Key, "PVE_") && !strings.HasPrefix(g.Key, "PVE_MCP_")
	})
}

func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
