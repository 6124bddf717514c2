package cli

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pve-mcp/pve-mcp/internal/config"
)

func (a *app) healthCommand() *cobra.Command {
	ready := false
	cmd := &cobra.Command{
		Use:   "health",
		Short: "Ask the pve-mcp http with the same settings whether it is alive",
		Long: "Asks the pve-mcp http of this machine that has the same settings whether it is alive, or ready. It is for the\n" +
			"health checks of containers, which have no other program.\n\nExit status: 0 it is, 1 it is not, 2 a setting is wrong.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := a.config(true)
			if err != nil {
				return err
			}
			path := "/healthz"
			if ready {
				path = "/readyz"
			}
			said, err := ask(cmd.Context(), cfg.HTTP, path)
			if err != nil {
				return failed(err)
			}
			fmt.Fprintln(a.out, said)
			return nil
		},
	}
	usesFlags(cmd, "listen", "tls-cert")
	cmd.Flags().BoolVar(&ready, "ready", false, "ask whether it is ready: PVE answers it, and it is not about to stop")
	return cmd
}

// ask gets a page of one line from the server with these settings.
func ask(ctx context.Context, cfg config.HTTP, path string) (line string, err error) {
	const patience = 10 * time.Second // /readyz may take 5 s
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	scheme := "http"
	if !cfg.Cert.IsZero() {
		scheme = "https"
	}
	addr, err := fromHere(cfg.Listen)
	if err != nil {
		return "", err
	}
	url := scheme + "://" + addr + path
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	// The certificate is for the name by which clients call the server. Nothing secret is
	// sent to it here.
	client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 100))
	if err != nil {
		return "", err
	}
	line = strings.TrimSpace(string(body))
	if resp.StatusCode != http.StatusOK {
		return "", errors.New(url + ": " + resp.Status + ": " + line)
	}
	return line, nil
}

// fromHere is the address by which this machine reaches a server that listens on another
// one: every address has that of loopback in it.
func fromHere(listen string) (string, error) {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "", err
	}
	switch host {
	case "", netip.IPv4Unspecified().String():
		host = "127.0.0.1"
	case netip.IPv6Unspecified().String():
		host = netip.IPv6Loopback().String()
	}
	return net.JoinHostPort(host, port), nil
}
