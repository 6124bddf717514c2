package cli

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

func (a *app) simHealthCommand() *cobra.Command {
	listen := simAddress
	cmd := &cobra.Command{
		Use:   "health",
		Short: "Ask the pve-mcp sim of this machine whether it serves",
		Long: "Asks the pve-mcp sim of this machine whether it serves: for the health checks of containers, which have no other\n" +
			"program. It makes a connection and sends no request, so that no rule applies and no request is counted.\n\n" +
			"Exit status: 0 it serves, 1 it does not, 2 the address is wrong.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			addr, err := fromHere(listen)
			if err != nil {
				return &exitError{exitUsage, "--listen: " + err.Error()}
			}
			said, err := greet(cmd.Context(), addr)
			if err != nil {
				return failed(err)
			}
			fmt.Fprintln(a.out, said)
			return nil
		},
	}
	cmd.Flags().StringVar(&listen, "listen", simAddress, "address that the simulator listens on")
	return cmd
}

// greet connects to a simulator as a client does, up to where that would send a request.
// A node that a rule has taken off the network hangs up, and the simulator is well.
func greet(ctx context.Context, addr string) (string, error) {
	const patience = 4 * time.Second
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	// The certificate is of the simulator's own CA, and nothing is sent.
	err = tls.Client(conn, &tls.Config{InsecureSkipVerify: true}).HandshakeContext(ctx)
	switch {
	case err == nil:
		return "serving", nil
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET):
		return "serving; the node is off the network, as a rule has it", nil
	}
	return "", fmt.Errorf("%s: %w", addr, err)
}
