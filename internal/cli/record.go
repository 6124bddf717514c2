package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/pve-mcp/pve-mcp/internal/config"
	"github.com/pve-mcp/pve-mcp/internal/files"
	"github.com/pve-mcp/pve-mcp/internal/testkit/capture"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

func (a *app) recordCommand() *cobra.Command {
	anonymise := false
	cmd := &cobra.Command{
		Use:   "record FILE",
		Short: "Make a model of a live cluster, by GETs only",
		Long: "Reads the configured cluster, as far as the token may see it, and writes a model that pve-mcp sim --model FILE\n" +
			"serves. No secret is in it: tokens get made-up ones, passwords and keys are left out.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			a.flags["PVE_MCP_READ_ONLY"] = "true" // only GET requests leave the process
			host, _, err := a.host()
			if err != nil {
				return err
			}
			client, err := host.Client(cmd.Context())
			if err != nil {
				return failed(err)
			}
			r := capture.Recorder{Client: client, Skipped: func(what string, err error) { fmt.Fprintf(a.err, "left out: %s: %v\n", what, err) }}
			model, at, err := r.Record(cmd.Context())
			if err != nil {
				return failed(err)
			}
			if anonymise {
				model = capture.Anonymise(model)
			}
			sim, err := pvesim.NewSim(model, pvesim.Options{Clock: pvesim.NewVirtual(at)})
			if err != nil {
				return failed(err)
			}
			if err := files.Replace(args[0], sim.Save); err != nil {
				return failed(err)
			}
			fmt.Fprintf(a.out, "%v: %s\n", sim, args[0])
			return nil
		},
	}
	uses(cmd, config.Connection, config.Logging)
	cmd.Flags().BoolVar(&anonymise, "anonymise", false, "replace names, tags, notes, addresses and users")
	return cmd
}
