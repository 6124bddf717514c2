package cli

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pve-mcp/pve-mcp/internal/config"
	"github.com/pve-mcp/pve-mcp/internal/install"
	"github.com/pve-mcp/pve-mcp/internal/toolset"
)

// target is what install and uninstall are about.
type target struct {
	name    string
	project bool
	show    bool
	remote  remoteFlags
	client  install.Client
	file    string
}

func (t *target) command(use, short string) *cobra.Command {
	cmd := &cobra.Command{
		Use:       use + " CLIENT",
		Short:     short,
		ValidArgs: install.IDs(),
	}
	cmd.Flags().StringVar(&t.name, "name", "pve", "name of the server in the client")
	cmd.Flags().BoolVar(&t.project, "project", false, "change the file of the project in this folder, not the user's")
	cmd.Flags().StringVar(&t.remote.url, "url", "", "URL of a pve-mcp http that runs elsewhere, such as https://mcp.example.org/mcp")
	return cmd
}

// find reads which client is meant, and finds its file.
func (t *target) find(args []string, a *app) (err error) {
	known := strings.Join(install.IDs(), ", ")
	if len(args) != 1 {
		return &exitError{exitUsage, "name one client: " + known}
	}
	found := false
	if t.client, found = install.Find(args[0]); !found {
		return &exitError{exitUsage, fmt.Sprintf("there is no client %q here; there are %s", args[0], known)}
	}
	if !install.ValidName(t.name) {
		return &exitError{exitUsage, fmt.Sprintf("--name: %q is not made of letters, digits, hyphens and underscores", t.name)}
	}
	if !t.project {
		home, _ := os.UserHomeDir() // the environment may say it too
		t.file = t.client.UserFile(install.System{OS: runtime.GOOS, Env: a.getenv, Home: home})
		return nil
	}
	dir, err := os.Getwd()
	if err != nil {
		return failed(err)
	}
	if t.file = t.client.ProjectFile(dir); t.file == "" {
		return &exitError{exitUsage, t.client.Title + " keeps no servers in a project; leave --project out"}
	}
	return nil
}

func (a *app) getenv(key string) string {
	value := ""
	for _, line := range a.environ {
		if k, v, _ := strings.Cut(line, "="); k == key {
			value = v
		}
	}
	return value
}

func (a *app) installCommand() *cobra.Command {
	t := &target{}
	cmd := t.command("install", "Tell an MCP client about pve-mcp")
	cmd.Long = "Adds pve-mcp, with the settings that are in force now, to the configuration of an MCP client: " + strings.Join(install.IDs(), ", ") + ".\n" +
		"It offers the tools of standard, unless --toolsets, or the file as it is, says otherwise.\n" +
		"What else is in the file stays as it is, comments and layout too, and a backup is made. The secret of the token is\n" +
		"never written there: it is kept in the keyring, or in the file that --token-secret-file names.\n" +
		"uninstall takes the server out again.\n\n" +
		"With --url, the client calls a pve-mcp http that runs elsewhere. Its bearer token is in a variable of the client's\n" +
		"environment, which --token-env names, or comes by OAuth, for which the URL alone is enough."
	cmd.Example = "  pve-mcp install claude-code --host pve.example.lan --token-id 'ops@pve!mcp'\n" +
		"  pve-mcp install claude-code --url https://mcp.example.org/mcp --token-env PVE_MCP_BEARER\n" +
		"  pve-mcp --demo install cursor"
	cmd.Flags().BoolVar(&t.show, "print", false, "print what belongs into the file, and change nothing")
	t.remote.define(cmd.Flags())
	uses(cmd, config.Connection, config.Safety, config.Tools, config.Logging)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := t.find(args, a); err != nil {
			return err
		}
		if t.remote.given(cmd.Flags()) {
			return a.installRemote(cmd.Context(), t)
		}
		cfg, err := a.settings(config.Sources{NoSecret: true})
		if err != nil {
			return err
		}
		problem := ""
		if !a.demo && !t.show {
			if problem, err = a.reach(cmd.Context(), cfg); err != nil {
				return err
			}
			if cfg, err = a.settings(config.Sources{NoSecret: true}); err != nil { // a certificate may be pinned now
				return err
			}
		}
		server, err := a.serverFor(cfg, t.project)
		if err != nil {
			return failed(err)
		}
		if t.show {
			offerStandard(&server, a.demo)
			return a.show(t, server)
		}
		if err := a.install(t, cfg, server); err != nil || a.demo {
			return err
		}
		if problem == "" {
			problem = a.login(cmd.Context(), server.Env)
		}
		if problem != "" {
			fmt.Fprintln(a.out, "It cannot work yet: "+problem)
		}
		return nil
	}
	return cmd
}

// serverFor returns the entry for a client: the settings as its environment, or as flags
// if the cluster is simulated, which reads no environment.
func (a *app) serverFor(cfg *config.Config, project bool) (install.Server, error) {
	s := install.Server{Env: map[string]string{}}
	var err error
	if s.Command, err = a.ownCommand(project); err != nil || !a.demo {
		s.Env = cfg.Given
		return s, err
	}
	s.Args = []string{"--demo"}
	if a.demoSpeed != 1 {
		s.Args = append(s.Args, "--demo-speed="+strconv.FormatFloat(a.demoSpeed, 'g', -1, 64))
	}
	for _, setting := range config.Settings() {
		if v := cfg.Given[setting.Key]; v != "" {
			s.Args = append(s.Args, "--"+setting.Flag+"="+v)
		}
	}
	return s, nil
}

// offerStandard chooses the tools of standard, unless something else was said. It reports
// whether it did.
func offerStandard(s *install.Server, demo bool) bool {
	flag := "--toolsets="
	switch {
	case demo && !slices.ContainsFunc(s.Args, func(arg string) bool { return strings.HasPrefix(arg, flag) }):
		s.Args = append(s.Args, flag+toolset.Standard)
	case !demo && s.Env[config.Toolsets] == "":
		s.Env[config.Toolsets] = toolset.Standard
	default:
		return false
	}
	return true
}

// ownCommand is how a client starts this program: by its path, because clients with
// windows do not have the PATH of a shell. The path is that of the PATH if it leads
// here, since it outlives an upgrade. A project's file is for other machines too.
func (a *app) ownCommand(project bool) (string, error) {
	own, err := a.self()
	if err != nil {
		return "", err
	}
	if strings.Contains(own, "go-build") {
		return "", errors.New("this program is one of go run, which is gone afterwards; install it first: go install ./cmd/pve-mcp")
	}
	found, err := exec.LookPath("pve-mcp")
	if err != nil || !sameFile(found, own) {
		return own, nil
	}
	if project {
		return "pve-mcp", nil
	}
	return filepath.Abs(found)
}

func sameFile(a, b string) bool {
	x, err := os.Stat(a)
	y, other := os.Stat(b)
	return err == nil && other == nil && os.SameFile(x, y)
}

func (a *app) show(t *target, s install.Server) error {
	text, err := t.client.Show(t.name, s)
	if err != nil {
		return failed(err)
	}
	fmt.Fprintf(a.err, "%s reads this in %s:\n", t.client.Title, t.file)
	fmt.Fprintf(a.out, "%s", text)
	return nil
}

func (a *app) install(t *target, cfg *config.Config, server install.Server) error {
	old, _, err := t.client.Read(t.file, t.name, "")
	if err != nil {
		return failed(err)
	}
	for _, key := range kept(old.Env) {
		if _, given := server.Env[key]; !given {
			server.Env[key] = old.Env[key]
		}
	}
	toolsets := ""
	if offerStandard(&server, a.demo) {
		toolsets = "It offers the tools of standard; install it again with --toolsets core for fewer, or with --toolsets all for every tool."
	}
	if len(server.Env) == 0 && old.Env == nil {
		server.Env = nil
	}
	change, err := t.client.Add(t.file, t.name, server)
	if err != nil {
		return failed(err)
	}
	secret := ""
	if !a.demo {
		if secret, err = a.secretFor(cfg, old.Env["PVE_TOKEN_SECRET"]); err != nil {
			return err
		}
	}
	backup, err := change.Apply()
	if err != nil {
		return failed(err)
	}
	a.say(t, change, backup, "added to")
	if old.Env["PVE_TOKEN_SECRET"] != "" && backup != "" {
		fmt.Fprintf(a.out, "The secret was in the file, and is still in its backup: remove the backup when everything works.\n")
	}
	lines := []string{secret, toolsets, t.client.Next}
	if change.Nothing {
		lines = lines[:1]
	}
	for _, line := range slices.DeleteFunc(lines, func(line string) bool { return line == "" }) {
		fmt.Fprintln(a.out, line)
	}
	return nil
}

// say tells what was done.
func (a *app) say(t *target, change *install.Change, backup, done string) {
	switch {
	case change.Nothing:
		fmt.Fprintf(a.out, "%s: nothing to do in %s.\n", t.client.Title, t.file)
	case backup != "":
		fmt.Fprintf(a.out, "%s: the server %s was %s %s; as it was before: %s.\n", t.client.Title, t.name, done, t.file, backup)
	default:
		fmt.Fprintf(a.out, "%s: the server %s was %s %s.\n", t.client.Title, t.name, done, t.file)
	}
	if change.NoFolder && !change.Nothing {
		fmt.Fprintf(a.out, "Its folder was not there: is %s installed for this user?\n", t.client.Title)
	}
}

// kept are the keys of an environment that a new one keeps: all except those of the
// connection, which comes from one source.
func kept(env map[string]string) []string {
	connection := map[string]bool{}
	for _, s := range config.Settings() {
		connection[s.Key] = s.IsConnection()
	}
	var keys []string
	for key := range env {
		if !connection[key] {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// secretFor sees to it that the secret is kept where the server will look for it, and
// says so: the one that is there, else the one that is set, else one that is asked for.
func (a *app) secretFor(cfg *config.Config, fromFile string) (string, error) {
	p := placeOf(cfg)
	if err := p.check(); err != nil {
		return "", &exitError{exitUsage, err.Error()}
	}
	has, err := p.has()
	switch {
	case err != nil:
		return "", failed(err)
	case has:
		return fmt.Sprintf("The secret of %s is in %v.", p.name, p), nil
	}
	secret := cfg.Token.Secret.Reveal()
	if secret == "" {
		secret = fromFile
	}
	if secret == "" && !isTerminal(a.in) {
		return fmt.Sprintf("Its secret is not kept in %v yet: run pve-mcp secret set with the same settings.", p), nil
	}
	if secret == "" {
		if secret, err = a.askSecret(p.name); err != nil {
			return "", &exitError{exitUsage, err.Error()}
		}
	}
	if err := p.keep(secret); err != nil {
		return "", failed(err)
	}
	return fmt.Sprintf("The secret of %s is kept in %v.", p.name, p), nil
}

func (a *app) uninstallCommand() *cobra.Command {
	t := &target{}
	cmd := t.command("uninstall", "Take pve-mcp out of an MCP client's configuration")
	cmd.Long = "Takes out what install has added, and nothing else; a remote server is named by its URL. A secret stays in the keyring:\n" +
		"pve-mcp secret delete forgets it."
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		if err := t.find(args, a); err != nil {
			return err
		}
		change, err := t.client.Remove(t.file, t.name, t.remote.url)
		if err != nil {
			return failed(err)
		}
		backup, err := change.Apply()
		if err != nil {
			return failed(err)
		}
		a.say(t, change, backup, "taken out of")
		return nil
	}
	return cmd
}
