package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/pve-mcp/pve-mcp/internal/cli/demo"
	"github.com/pve-mcp/pve-mcp/internal/files"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// simAddress is where the simulator listens by default: at PVE's port.
const simAddress = "127.0.0.1:8006"

func (a *app) simCommand() *cobra.Command {
	var s simulation
	cmd := &cobra.Command{
		Use:   "sim",
		Short: "Serve a simulated cluster over TLS, for tests of any PVE client",
		Long: "Serves a simulated Proxmox VE cluster on a loopback address until it gets a signal, with a certificate\n" +
			"of its own CA. A shell can read its output; the last line begins with \"# ready\".",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			sized := false
			for _, name := range []string{"nodes", "vms", "cts", "seed"} {
				sized = sized || cmd.Flags().Changed(name)
			}
			if sized && cmd.Flags().Changed("model") && s.model != "generated" {
				return &exitError{exitUsage, "--nodes, --vms, --cts and --seed are for --model generated"}
			}
			if sized {
				s.model = "generated"
			}
			if slices.Contains(s.scenarios, "list") {
				return a.listScenarios()
			}
			return a.serveSim(cmd.Context(), s)
		},
	}
	f := cmd.Flags()
	f.StringVar(&s.listen, "listen", simAddress, "loopback address to serve the first node on; port 0 takes a free one")
	f.BoolVar(&s.expose, "expose", false, "serve on an address that is not loopback, too: anyone who reaches it knows the secrets")
	f.BoolVar(&s.allNodes, "all-nodes", false, "serve each node, on the ports that follow")
	f.StringVar(&s.model, "model", "cluster", "lab, cluster, recorded, recorded-2, generated, or a file")
	f.IntVar(&s.nodes, "nodes", 3, "nodes of the generated model")
	f.IntVar(&s.vms, "vms", 20, "VMs of the generated model")
	f.IntVar(&s.cts, "cts", 10, "containers of the generated model")
	f.Uint64Var(&s.seed, "seed", 1, "what the generated model is made from")
	f.StringVar(&s.version, "pve", "", "version of all nodes, such as 8, 9 or 9.0.11; else the model's")
	f.Float64Var(&s.speed, "speed", 1, "speed of the cluster's time, relative to real time")
	f.StringVar(&s.state, "state", "", "file that the cluster is loaded from, where it exists, and saved to at the end")
	f.StringArrayVar(&s.faults, "fault", nil, `rule by which requests go wrong, such as "POST /nodes/*/vzdump drop max=1"; may be given more than once`)
	f.StringArrayVar(&s.scenarios, "scenario", nil, `way in which the cluster goes wrong, by name; list shows them; may be given more than once`)
	f.StringVar(&s.ca, "ca", "", "file to write the certificate of the cluster's CA to, for clients that verify")
	f.StringVar(&s.token, "token", "", "id of the token to print for a shell; else "+demo.TokenID+" or the model's first")
	cmd.AddCommand(a.recordCommand(), a.simHealthCommand())
	return cmd
}

// listScenarios prints the names of scenarios, and what they are.
func (a *app) listScenarios() error {
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	for _, s := range pvesim.Scenarios() {
		fmt.Fprintf(w, "%s\t%s\n", s.Name, s.Is)
	}
	return w.Flush()
}

// serveSim serves a simulated cluster until ctx ends.
func (a *app) serveSim(ctx context.Context, s simulation) error {
	sim, model, err := s.build()
	if err != nil {
		return &exitError{exitUsage, err.Error()}
	}
	token, err := s.tokenOf(model)
	if err != nil {
		return &exitError{exitUsage, err.Error()}
	}
	listeners, err := s.serve(sim, model)
	stop := func() {
		for _, l := range listeners {
			_ = l.Close()
		}
	}
	defer stop()
	if err != nil {
		return failed(err)
	}
	if s.ca != "" {
		err := files.Replace(s.ca, func(w io.Writer) error { _, err := w.Write(listeners[0].CA()); return err })
		if err != nil {
			return &exitError{exitUsage, "--ca: " + err.Error()}
		}
	}
	a.ready(sim, model, token, listeners)
	<-ctx.Done()
	if s.state == "" {
		return nil
	}
	stop() // no request comes between what is saved and the end
	sim.Interrupt()
	if err := files.Replace(s.state, sim.Save); err != nil {
		return failed(err)
	}
	return nil
}

// ready prints what clients need, for a shell and for people.
func (a *app) ready(sim *pvesim.Sim, m pvesim.Model, token pvesim.Token, listeners []*pvesim.Listener) {
	var urls, prints []string
	for _, l := range listeners {
		urls, prints = append(urls, l.URL()), append(prints, l.Fingerprint())
	}
	fmt.Fprintf(a.out, "# %v; these tokens and passwords are no secrets:\n", sim)
	for _, t := range m.Tokens {
		fmt.Fprintf(a.out, "#   %s=%s\n", t.ID, t.Secret)
	}
	for _, u := range m.Users {
		if u.Password != "" {
			fmt.Fprintf(a.out, "#   %s logs in with %s\n", u.ID, u.Password)
		}
	}
	fmt.Fprintf(a.out, "export PVE_HOST='%s'\nexport PVE_FINGERPRINT='%s'\n", strings.Join(urls, ","), strings.Join(prints, ","))
	fmt.Fprintf(a.out, "export PVE_TOKEN_ID='%s'\nexport PVE_TOKEN_SECRET='%s'\n", token.ID, token.Secret)
	fmt.Fprintf(a.out, "# ready: %s\n", urls[0])
}
