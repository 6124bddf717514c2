package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/pve-mcp/pve-mcp/internal/callers"
	"github.com/pve-mcp/pve-mcp/internal/files"
)

func (a *app) tokenCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Keep the tokens of those who may call pve-mcp http",
		Long: "Keeps the file that PVE_MCP_HTTP_TOKENS (--http-tokens) names. A server that uses it takes notice at once.\n" +
			"The file has hashes: a token is shown when it is made, and never again.",
		Args: a.noCommand,
		RunE: func(*cobra.Command, []string) error {
			return &exitError{exitUsage, "token: say add, list or revoke"}
		},
	}
	usesFlags(cmd, "http-tokens")
	cmd.AddCommand(a.tokenAdd(), a.tokenList(), a.tokenRevoke())
	return cmd
}

// tokenFile is the file of tokens.
func (a *app) tokenFile() (files.Name, error) {
	cfg, err := a.config(true)
	if err != nil {
		return files.Name{}, err
	}
	if cfg.HTTP.Tokens.IsZero() {
		return files.Name{}, &exitError{exitUsage, "PVE_MCP_HTTP_TOKENS: not set; for example --http-tokens /etc/pve-mcp/tokens.json"}
	}
	return cfg.HTTP.Tokens, nil
}

func (a *app) tokenAdd() *cobra.Command {
	scopes, expires := "", time.Duration(0)
	cmd := &cobra.Command{
		Use:   "add NAME",
		Short: "Make a token and print it, once",
		Args:  cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			path, err := a.tokenFile()
			if err != nil {
				return err
			}
			t := callers.Token{Name: args[0], Created: time.Now().UTC().Truncate(time.Second)}
			if t.Scopes, err = callers.ParseScopes(scopes); err != nil {
				return &exitError{exitUsage, "--scopes: " + err.Error()}
			}
			if expires < 0 {
				return &exitError{exitUsage, "--expires: it is below 0; for example --expires 2160h"}
			}
			if expires > 0 {
				t.Expires = t.Created.Add(expires)
			}
			secret, err := callers.Add(path, t)
			if err != nil {
				return failed(err)
			}
			fmt.Fprintln(a.out, secret)
			return nil
		},
	}
	cmd.Flags().StringVar(&scopes, "scopes", string(callers.Read), "what it allows, separated by commas: "+callers.Scopes(callers.All()).String())
	cmd.Flags().DurationVar(&expires, "expires", 90*24*time.Hour, "how long it is valid; 0 for ever")
	return cmd
}

func (a *app) tokenList() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the tokens, without the tokens themselves",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			path, err := a.tokenFile()
			if err != nil {
				return err
			}
			all, err := callers.Load(path)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return failed(err)
			}
			w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "NAME\tCREATED\tEXPIRES\tSCOPES")
			for _, t := range all {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", t.Name, t.Created.Format(time.DateOnly), expiry(t, time.Now()), t.Scopes)
			}
			if err := w.Flush(); err != nil {
				return failed(err)
			}
			return nil
		},
	}
}

func expiry(t callers.Token, now time.Time) string {
	switch {
	case t.Expires.IsZero():
		return "never"
	case t.Expired(now):
		return "expired"
	}
	return t.Expires.Format(time.RFC3339)
}

func (a *app) tokenRevoke() *cobra.Command {
	return &cobra.Command{
		Use:   "revoke NAME",
		Short: "Make a token invalid",
		Args:  cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			path, err := a.tokenFile()
			if err != nil {
				return err
			}
			if err := callers.Revoke(path, args[0]); err != nil {
				return failed(err)
			}
			return nil
		},
	}
}
