package cli

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/term"

	"pve-mcp/internal/obs"
	"pve-mcp/internal/server"
)

// stdio serves MCP on stdin and stdout until the client goes away or the process is
// told to end.
func (a *app) stdio(ctx context.Context) error {
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
	s := server.New(server.Options{Version: version(), Host: host, Toolsets: cfg.Toolsets, Logger: obs.Quiet(a.log)})
	s.AddReceivingMiddleware(o.Requests)
	defer flush(o, time.Time{})
	// A client that is gone must not end the process before a change under way has
	// been recorded.
	signal.Ignore(syscall.SIGPIPE)
	if err := server.Serve(ctx, s, a.in, a.out); err != nil {
		return failed(err)
	}
	return nil
}

func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
