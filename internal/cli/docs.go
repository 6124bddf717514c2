package cli

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"os/exec"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pve-mcp/pve-mcp/internal/cli/terminal"
	"github.com/pve-mcp/pve-mcp/internal/docs"
	"github.com/pve-mcp/pve-mcp/internal/toolset"
)

// docsCommand shows the page of a tool as the program has it, so that it is true for this
// version and needs no network.
func (a *app) docsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "docs [TOOL]",
		Short: "Open the page of a tool, or of all",
		Long:  "Opens the page of a tool: its risk, arguments, answer and privileges. It is that of this version, and part of the program.\n\nOn a terminal it opens in $PAGER (less); elsewhere it is printed as Markdown.",
		Args:  cobra.MaximumNArgs(1),
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return toolNames(), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			var text []string
			for _, t := range toolset.All() {
				if len(args) == 0 || args[0] == t.Name {
					text = append(text, docs.Tool(t))
				}
			}
			if text == nil {
				return &exitError{exitUsage, "docs: there is no tool " + args[0] + "; pve-mcp tools lists them" + didYouMean(a.callCommand(true), args[0], "")}
			}
			page := "# Tools\n\n" + strings.Join(text, "\n")
			if len(args) > 0 { // a page of its own
				page = strings.TrimPrefix(text[0], "#")
			}
			return a.open(cmd.Context(), page)
		},
	}
}

// open shows a page of Markdown: as text in a pager on a terminal, else as it is.
func (a *app) open(ctx context.Context, page string) error {
	if !isTerminal(a.out) {
		if _, err := io.WriteString(a.out, page); err != nil {
			return failed(err)
		}
		return nil
	}
	var text bytes.Buffer
	if err := terminal.Markdown(&text, page, columns(a.out)); err != nil {
		return failed(err)
	}
	pager := strings.Fields(cmp.Or(a.env("PAGER"), "less"))
	if path, err := exec.LookPath(pager[0]); err == nil && isTerminal(a.in) {
		cmd := exec.CommandContext(ctx, path, pager[1:]...)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(text.Bytes()), a.out, a.err
		cmd.Env = append(slices.Clone(a.environ), "LESS="+cmp.Or(a.env("LESS"), "FRX")) // it ends at once if the page fits
		if cmd.Run() == nil {
			return nil
		}
	}
	if _, err := text.WriteTo(a.out); err != nil {
		return failed(err)
	}
	return nil
}

// env is a variable of the environment, "" if it is not set.
func (a *app) env(name string) string {
	for _, line := range slices.Backward(a.environ) {
		if value, ok := strings.CutPrefix(line, name+"="); ok {
			return value
		}
	}
	return ""
}
