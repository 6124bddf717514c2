// Package cli has the commands of the program.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/pve-mcp/pve-mcp/internal/audit"
	"github.com/pve-mcp/pve-mcp/internal/cli/demo"
	"github.com/pve-mcp/pve-mcp/internal/config"
	"github.com/pve-mcp/pve-mcp/internal/once"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/internal/toolset"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// The exit statuses of the program.
const (
	exitOK      = 0
	exitFailed  = 1 // what was asked for did not happen
	exitUsage   = 2 // the command line, a setting or an argument is wrong
	exitRefused = 3 // the policy forbids it, or it needs a confirmation
	exitRunning = 4 // what was asked for is under way
)

// exitError ends the program with a status. Its text, if any, goes to stderr.
type exitError struct {
	status int
	text   string
}

func (e *exitError) Error() string { return e.text }

func failed(err error) error { return &exitError{exitFailed, err.Error()} }

// app is one run of the program.
type app struct {
	in       io.Reader
	out, err io.Writer
	environ  []string
	self     func() (string, error) // the path of this program
	log      *slog.Logger           // once the settings are read
	answers  bool                   // a person at a terminal reads an answer that tells what the log would

	demo      bool
	demoSpeed float64
	flags     map[string]string // settings, by key

	pve proxmox.Options // once there is a connection to a configured cluster
	// wire, if not nil, is put around the way to PVE.
	wire    func(http.RoundTripper) http.RoundTripper
	waiting func(change int) // as of proxmox.Options
}

// Main runs the program with the process's streams and environment, and returns its
// exit status.
func Main() int {
	a := &app{in: os.Stdin, out: os.Stdout, err: os.Stderr, environ: os.Environ(), self: os.Executable, flags: map[string]string{}}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the second signal ends the process at once
	return a.run(ctx, os.Args[1:])
}

func (a *app) run(ctx context.Context, args []string) int {
	root := a.root(args)
	root.SetArgs(args)
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	status := &exitError{exitUsage, err.Error()}
	errors.As(err, &status)
	for line := range strings.Lines(strings.TrimSpace(status.text)) {
		fmt.Fprintf(a.err, "pve-mcp: %s\n", strings.TrimSuffix(line, "\n"))
	}
	return status.status
}

// Commands returns the program's commands with those of every tool, for pages and
// completions that are made of them.
func Commands() *cobra.Command {
	a := &app{in: strings.NewReader(""), out: io.Discard, err: io.Discard, flags: map[string]string{}}
	return a.root([]string{"call", "health-check"})
}

// root is the program with its commands, as far as the arguments may be about them: most
// clients start it without any.
func (a *app) root(args []string) *cobra.Command {
	root := &cobra.Command{
		Use:   "pve-mcp",
		Short: "Let an AI assistant and its human run Proxmox VE",
		Long: "pve-mcp serves the Model Context Protocol on stdin and stdout, for a client such as Claude Code,\n" +
			"Claude Desktop, VS Code or Cursor. Its tools read and change a Proxmox VE node or cluster.\n\n" +
			"Try it without one: pve-mcp demo",
		Args:          a.noCommand,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	// Not cobra's own: its template of a version looks methods up by their names, which makes
	// the linker keep every method of every type, and the program 2 MB larger.
	version := root.Flags().BoolP("version", "v", false, "version for pve-mcp")
	root.RunE = func(cmd *cobra.Command, _ []string) error {
		if *version {
			_, err := fmt.Fprintln(a.out, versionLine())
			return err
		}
		return a.stdio(cmd.Context())
	}
	root.SetHelpFunc(a.help)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return &exitError{exitUsage, err.Error() + "; " + cmd.CommandPath() + " --help lists the flags"}
	})
	p := root.PersistentFlags()
	p.BoolVar(&a.demo, "demo", false, "use the embedded simulated cluster; no configuration is read")
	p.Float64Var(&a.demoSpeed, "demo-speed", 1, "speed of the simulated cluster, relative to real time")
	for _, s := range config.Settings() {
		if s.Flag == "" {
			continue
		}
		doc := s.Doc + " (" + s.Key + ")"
		if s.Default != "" {
			doc += ", default " + s.Default
		}
		p.Var(settingFlag{a.flags, s}, s.Flag, doc)
		p.Lookup(s.Flag).Annotations = map[string][]string{groupOf: {string(s.Group())}}
		if s.IsBool() {
			p.Lookup(s.Flag).NoOptDefVal = "true"
		}
	}
	for _, name := range []string{"demo", "demo-speed"} {
		p.Lookup(name).Annotations = map[string][]string{groupOf: {string(config.Connection)}}
	}
	uses(root, config.Groups()...)
	if len(args) == 0 {
		return root
	}
	must(root.RegisterFlagCompletionFunc("toolsets", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return toolset.Choices(), cobra.ShellCompDirectiveNoFileComp
	}))
	must(root.RegisterFlagCompletionFunc("tools", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return toolNames(), cobra.ShellCompDirectiveNoFileComp
	}))
	root.AddCommand(a.auditCommand(), a.callCommand(slices.Contains(args, "call")), a.demoCommand(), a.docsCommand(), a.doctorCommand(), a.healthCommand(), a.healthCheckCommand(slices.Contains(args, "health-check")), a.httpCommand(), a.installCommand(),
		a.secretCommand(), a.simCommand(), a.tokenCommand(), a.toolsCommand(), a.uninstallCommand(), a.versionCommand())
	return root
}

// settingFlag is a flag whose value is a setting.
type settingFlag struct {
	values  map[string]string
	setting config.Setting
}

func (f settingFlag) String() string     { return "" }
func (f settingFlag) Set(v string) error { f.values[f.setting.Key] = v; return nil }

func (f settingFlag) Type() string {
	if f.setting.IsBool() {
		return "bool"
	}
	return "string"
}

// host reads the settings and connects the tools.
func (a *app) host() (tool.Host, *config.Config, error) {
	cfg, err := a.config(false)
	if err != nil {
		return tool.Host{}, nil, err
	}
	host, err := a.hostOf(cfg)
	return host, cfg, err
}

// hostOf connects the tools: to the configured cluster, or to a simulated one. What is
// changed is recorded on stderr, and in the audit log.
func (a *app) hostOf(cfg *config.Config) (tool.Host, error) {
	connect := a.connect
	if a.demo {
		connect = a.simulate
	}
	host, err := connect(cfg)
	if err != nil {
		return tool.Host{}, &exitError{exitUsage, err.Error()}
	}
	if len(cfg.SealKeys) > 0 {
		host.Seal = cfg.SealKeys
	}
	store, err := sharedStore(cfg.ConsentStore)
	if err != nil {
		return tool.Host{}, &exitError{exitUsage, "PVE_MCP_CONSENT_STORE: " + err.Error()}
	}
	host.Used = once.NewLedger(store)
	host.Wait, host.AnswerBytes, host.Parallel, host.Logger = cfg.TaskWait, cfg.AnswerBytes, cfg.Parallel, a.log
	host.SecretsDir, host.FilesDir, host.Images = cfg.SecretsDir, cfg.FilesDir, cfg.Images
	host.Audit, err = audit.New(audit.Options{File: cfg.AuditLog, Keys: auditKeys(cfg), Logger: a.log})
	if err != nil {
		return tool.Host{}, &exitError{exitUsage, "PVE_MCP_AUDIT_LOG: " + err.Error()}
	}
	return host, nil
}

// sharedStore opens where replicas remember which answers of humans were used, nil if
// each remembers its own.
func sharedStore(s config.Store) (once.Store, error) {
	switch {
	case s.Folder != "":
		return once.OpenFolder(s.Folder)
	case s.Redis != nil:
		return once.Redis{URL: s.Redis, Password: s.Password}, nil
	}
	return nil, nil
}

func selectionOf(cfg *config.Config) toolset.Selection {
	return toolset.Selection{Policy: cfg.Policy, Toolsets: cfg.Toolsets, Tools: cfg.Tools}
}

// checkSelection says which setting names a toolset or a tool that does not exist.
func checkSelection(cfg *config.Config) error {
	s := selectionOf(cfg)
	if err := s.CheckToolsets(); err != nil {
		return fmt.Errorf("PVE_MCP_TOOLSETS: %w", err)
	}
	if err := s.CheckTools(); err != nil {
		return fmt.Errorf("PVE_MCP_TOOLS: %w", err)
	}
	return nil
}

// config reads the settings, without those of the connection if no cluster is
// wanted.
func (a *app) config(noCluster bool) (*config.Config, error) {
	return a.settings(config.Sources{NoCluster: noCluster})
}

// settings reads the settings from where they are.
func (a *app) settings(src config.Sources) (*config.Config, error) {
	load := func() (*config.Config, error) { return config.Simulated(a.flags) }
	if !a.demo {
		dir, err := os.Getwd()
		if err != nil {
			return nil, failed(err)
		}
		load = func() (*config.Config, error) {
			src.Flags, src.Environ, src.Dir, src.Keyring = a.flags, a.environ, dir, findInKeyring
			return config.Load(src)
		}
	}
	cfg, err := load()
	if err != nil {
		return nil, &exitError{exitUsage, err.Error()}
	}
	if err := checkSelection(cfg); err != nil {
		return nil, &exitError{exitUsage, err.Error()}
	}
	if a.log, err = a.logger(cfg); err != nil {
		return nil, &exitError{exitUsage, config.LogFile + ": " + err.Error()}
	}
	for _, w := range cfg.Warnings {
		a.log.Warn(w)
	}
	return cfg, nil
}

func (a *app) connect(cfg *config.Config) (tool.Host, error) {
	a.pve = proxmox.Options{
		Endpoints: cfg.Hosts,
		Token:     cfg.Token,
		Transport: a.wired(proxmox.NewTransport(proxmox.TLS{Roots: cfg.Roots, Fingerprints: cfg.Fingerprints, Insecure: !cfg.VerifySSL})),
		Timeout:   cfg.Timeout,
		UserAgent: "pve-mcp/" + version(),
		Waiting:   a.waiting,
	}
	cluster := strings.Join(cfg.Hosts, ", ")
	if cfg.Token.ID == "" {
		return toolset.Tokenless(cluster, cfg.Policy), nil
	}
	return toolset.Connect(cluster, a.pve, cfg.Policy)
}

func (a *app) simulate(cfg *config.Config) (tool.Host, error) {
	if a.demoSpeed <= 0 {
		return tool.Host{}, errors.New("--demo-speed: it is not above 0; for example --demo-speed 10")
	}
	model := demo.Model()
	sim, err := pvesim.NewSim(model, pvesim.Options{Clock: pvesim.Scaled(a.demoSpeed)})
	if err != nil {
		return tool.Host{}, err
	}
	o := demo.Options(sim.URL(), a.wired(sim.Transport()), model.Token(demo.TokenID))
	o.Waiting = a.waiting
	return demo.Connect(o, cfg.Policy)
}

func (a *app) wired(t http.RoundTripper) http.RoundTripper {
	if a.wire == nil {
		return t
	}
	return a.wire(t)
}

// release is the version that a release was built as: the linker sets it.
var release string

// version is that of the release, of the module, or of the commit it was built from,
// without a v before it.
func version() string {
	if release != "" {
		return release
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return strings.TrimPrefix(v, "v")
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return "0.0.0-" + s.Value[:12]
		}
	}
	return "0.0.0-dev"
}
