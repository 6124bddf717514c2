package cli

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/pve-mcp/pve-mcp/internal/audit"
	"github.com/pve-mcp/pve-mcp/internal/config"
)

// auditKeys are the keys of the audit log's chain, the newest first, none if none is
// set: a log is verified if the token is not known.
func auditKeys(cfg *config.Config) [][]byte { return cfg.SealKeys.Key("audit") }

func (a *app) auditCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Verify the audit log",
		Args:  a.noCommand,
		RunE: func(*cobra.Command, []string) error {
			return &exitError{exitUsage, "audit: give a command: pve-mcp audit verify FILE..."}
		},
	}
	cmd.AddCommand(a.auditVerifyCommand())
	return cmd
}

func (a *app) auditVerifyCommand() *cobra.Command {
	head := ""
	cmd := &cobra.Command{
		Use:   "verify FILE...",
		Short: "Verify the chain of an audit log through its files, oldest first",
		Long:  "Verifies the chain of an audit log through its files, oldest first, and prints the number of its lines and its head.\n\nExit status: 0 it holds, 1 it does not, 2 wrong arguments.",
		Args:  cobra.ArbitraryArgs,
		RunE: func(_ *cobra.Command, names []string) error {
			if len(names) == 0 {
				return &exitError{exitUsage, "audit verify: name the files of the log, the oldest first"}
			}
			if head != "" {
				if err := audit.CheckHead(head); err != nil {
					return &exitError{exitUsage, "--head: " + err.Error()}
				}
			}
			cfg, err := a.config(true)
			if err != nil {
				return err
			}
			return a.verify(names, auditKeys(cfg), head)
		},
	}
	cmd.Flags().StringVar(&head, "head", "", "a head that was noted; the log must have it, so that no tail up to there was cut off")
	return cmd
}

func (a *app) verify(names []string, keys [][]byte, head string) error {
	var files []audit.File
	for _, name := range names {
		f, err := os.Open(name)
		if err != nil {
			return failed(err)
		}
		defer f.Close()
		files = append(files, audit.File{Name: name, Content: f})
	}
	r, err := audit.Verify(files, keys, head)
	if err != nil {
		return failed(err)
	}
	fmt.Fprintf(a.out, "lines %d\n", r.Count)
	if r.Count > 0 {
		fmt.Fprintf(a.out, "head  %s\n", r.Head)
	}
	if r.After != "" {
		fmt.Fprintf(a.out, "after %s, the head of an earlier file\n", r.After)
	}
	for _, p := range r.Open {
		fmt.Fprintf(a.out, "open  %v: %s: begun, and no end is recorded\n", p, p.About)
	}
	for _, p := range r.Torn {
		fmt.Fprintf(a.out, "torn  %v: a crash left part of a line\n", p)
	}
	if head != "" && r.Later > 0 {
		fmt.Fprintf(a.out, "later %d lines follow the head that was given\n", r.Later)
	}
	return nil
}
