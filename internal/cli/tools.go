package cli

import (
	"encoding/json"
	"fmt"
	"maps"
	"runtime"
	"slices"

	"github.com/spf13/cobra"

	"github.com/pve-mcp/pve-mcp/internal/cli/terminal"
	"github.com/pve-mcp/pve-mcp/internal/config"
	"github.com/pve-mcp/pve-mcp/internal/mcpserver"
	"github.com/pve-mcp/pve-mcp/internal/toolset"
)

func (a *app) toolsCommand() *cobra.Command {
	asJSON := false
	cmd := &cobra.Command{
		Use:   "tools",
		Short: "List the tools that this configuration offers",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			cfg, err := a.config(true)
			if err != nil {
				return err
			}
			if asJSON {
				return a.toolsJSON(selectionOf(cfg))
			}
			return a.toolsTable(selectionOf(cfg))
		},
	}
	uses(cmd, config.Safety, config.Tools)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print them as MCP's tools/list does")
	return cmd
}

func (a *app) toolsTable(s toolset.Selection) error {
	on, off := toolset.Offered(s)
	var rows [][]string
	for _, t := range on {
		rows = append(rows, []string{t.Name, fmt.Sprint(t.Risk), t.Toolset, t.Title})
	}
	if err := terminal.Table(a.out, []string{"tool", "risk", "toolset", "does"}, rows, columns(a.out)); err != nil {
		return failed(err)
	}
	for _, name := range slices.Sorted(maps.Keys(off)) {
		fmt.Fprintf(a.err, "%s is off: %s\n", name, off[name])
	}
	return nil
}

func (a *app) toolsJSON(s toolset.Selection) error {
	enc := json.NewEncoder(a.out)
	enc.SetIndent("", "  ")
	if err := enc.Encode(map[string]any{"tools": mcpserver.List(s)}); err != nil {
		return failed(err)
	}
	return nil
}

func versionLine() string {
	return fmt.Sprintf("pve-mcp %s (%s, %s/%s)", version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		Run: func(*cobra.Command, []string) {
			fmt.Fprintln(a.out, versionLine())
		},
	}
}
