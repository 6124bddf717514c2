package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pve-mcp/pve-mcp/internal/config"
	"github.com/pve-mcp/pve-mcp/internal/doctor"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/internal/toolset"
	"github.com/pve-mcp/pve-mcp/proxmox"
)

func (a *app) doctorCommand() *cobra.Command {
	var asJSON, strict bool
	var role string
	var extras []string
	var major int
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check the configuration, the way to PVE and what the token may do",
		Long: "Checks settings, name resolution, TCP, TLS, token, version, clock, cluster, quorum and privileges, and says what to do\n" +
			"about all that is wrong. It changes nothing. With --role it prints the commands that make user, role and token, for the\n" +
			"tools that --toolsets and --tools choose, or else for those of standard.\n\n" +
			"Exit status: 0 all is well, perhaps with warnings; 1 something failed; 2 a setting is wrong; 3 PVE refuses the token, or a\n" +
			"tool that is offered can be used nowhere.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("role") {
				return a.printRole(role, major, extras)
			}
			return a.doctor(cmd.Context(), asJSON, strict)
		},
	}
	uses(cmd, config.Connection, config.Safety, config.Tools)
	f := cmd.Flags()
	f.BoolVar(&asJSON, "json", false, "print a report for scripts, when all checks are done")
	f.BoolVar(&strict, "strict", false, "end with status 1 for a warning, too")
	f.StringVar(&role, "role", "", "print commands that make user, role and token: read-only, operator or admin")
	f.StringSliceVar(&extras, "with", nil, "with --role: what the role has besides; guest-agent shows IP addresses and file systems of VMs")
	f.IntVar(&major, "pve", 0, "with --role: major version of the nodes, 7, 8 or 9; else the commands find it out")
	return cmd
}

func (a *app) doctor(ctx context.Context, asJSON, strict bool) error {
	if a.demo {
		return &exitError{exitUsage, "doctor checks a cluster that is configured, which that of --demo is not"}
	}
	dir, err := os.Getwd()
	if err != nil {
		return failed(err)
	}
	src := config.Sources{Flags: a.flags, Environ: a.environ, Dir: dir, Keyring: findInKeyring}
	o := doctor.Options{Settings: config.Origins(src), UserAgent: "pve-mcp/" + version(), Now: time.Now, Show: func(doctor.Check) {}}
	o.Config, o.Problem = config.Load(src)
	if o.Problem == nil && o.Config.SecretFrom == string(config.FromKeyring) {
		o.Settings = append(o.Settings, config.Given{Key: "PVE_TOKEN_SECRET", From: config.FromKeyring})
	}
	if o.Problem == nil {
		if o.Problem = checkSelection(o.Config); o.Problem != nil {
			o.Config = nil
		}
	}
	o.Slow = func(what string) { fmt.Fprintf(a.err, "… still checking %s; ctrl-c ends it\n", what) }
	p := doctor.Printer{W: a.out, Color: isTerminal(a.out) && os.Getenv("NO_COLOR") == ""}
	if o.Config != nil {
		p.Hosts = o.Config.Hosts
	}
	if !asJSON {
		o.Show = p.Check
	}
	r := doctor.Run(ctx, o)
	if asJSON {
		err = a.printJSON(r)
	} else {
		err = p.Privileges(r)
	}
	if err != nil {
		return failed(err)
	}
	return verdict(r, o.Config == nil, strict)
}

func (a *app) printJSON(r doctor.Report) error {
	enc := json.NewEncoder(a.out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

// verdict is how the program ends after a report.
func verdict(r doctor.Report, badSettings, strict bool) error {
	switch {
	case badSettings:
		return &exitError{status: exitUsage}
	case r.Cancelled:
		return &exitError{exitFailed, "doctor: cancelled"}
	case r.Status == doctor.Failed, r.Status == doctor.Warning && strict:
		return &exitError{status: exitFailed}
	case r.Status == doctor.Refused:
		return &exitError{status: exitRefused}
	}
	return nil
}

// toolsOfRole are the tools that a role is for: those that are chosen, or else those that
// install offers.
func toolsOfRole(cfg *config.Config) []tool.Tool {
	s := selectionOf(cfg)
	s.Policy = policy.Policy{Exec: true, KeepData: cfg.Policy.KeepData} // a role has a policy of its own
	if cfg.Given[config.Toolsets] == "" {
		s.Toolsets = []string{toolset.Standard}
	}
	tools, _ := toolset.Offered(s)
	return tools
}

// printRole prints the commands that make user, role and token.
func (a *app) printRole(role string, major int, extras []string) error {
	if !slices.Contains(doctor.Roles(), doctor.Role(role)) {
		return &exitError{exitUsage, "--role: it is none of read-only, operator and admin"}
	}
	for _, e := range extras {
		if !slices.Contains(doctor.Extras(), e) {
			return &exitError{exitUsage, fmt.Sprintf("--with: %q is none of %s", e, strings.Join(doctor.Extras(), ", "))}
		}
	}
	if major != 0 && (major < doctor.Oldest || major > doctor.Newest) {
		return &exitError{exitUsage, fmt.Sprintf("--pve: it is not between %d and %d", doctor.Oldest, doctor.Newest)}
	}
	id := a.flags["PVE_TOKEN_ID"]
	if id == "" {
		id = "mcp@pve!mcp"
	}
	if err := proxmox.CheckTokenID(id); err != nil {
		return &exitError{exitUsage, "--token-id: " + err.Error()}
	}
	if strings.Contains(id, "'") {
		return &exitError{exitUsage, "--token-id: no quote may be in it"}
	}
	cfg, err := a.config(true)
	if err != nil {
		return err
	}
	grant := doctor.Grant{Role: doctor.Role(role), Tools: toolsOfRole(cfg), Extras: extras, Access: cfg.Policy.Access}
	for _, line := range grant.Commands(id, major) {
		fmt.Fprintln(a.out, line)
	}
	return nil
}
