package cli

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"golang.org/x/term"

	"pve-mcp/internal/server"
)

// stdio serves MCP on stdin and stdout until the client goes away.
func (a *app) stdio(ctx context.Context) error {
	host, err := a.host()
	if err != nil {
		return err
	}
	if isTerminal(a.in) {
		fmt.Fprintln(a.err, "pve-mcp waits for an MCP client on stdin. For a look without one: pve-mcp demo; for the commands: pve-mcp --help")
	}
	a.logger(slog.LevelInfo).Info("serving MCP on stdin and stdout", "cluster", host.Cluster, "read_only", host.Policy.ReadOnly, "version", version())
	s := server.New(server.Options{Version: version(), Host: host, Logger: a.logger(slog.LevelWarn)})
	err = s.Run(ctx, server.Drained(&mcp.IOTransport{Reader: io.NopCloser(a.in), Writer: keepOpen{a.out}}))
	if err != nil && ctx.Err() == nil {
		return failed(err)
	}
	return nil
}

// keepOpen is a writer that the end of a session does not close.
type keepOpen struct{ io.Writer }

func (keepOpen) Close() error { return nil }

func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
