package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/pve-mcp/pve-mcp/internal/config"
	"github.com/pve-mcp/pve-mcp/internal/config/keyring"
	"github.com/pve-mcp/pve-mcp/internal/files"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/proxmox"
)

func (a *app) secretCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "secret",
		Short: "Keep the secret of an API token in the system's keyring, or in a file",
		Long: "Keeps the secret of the token that PVE_TOKEN_ID (--token-id) names, for PVE_HOST (--host) alone, in the keyring of\n" +
			"the operating system. Where PVE_TOKEN_SECRET_FILE (--token-secret-file) is set, it is kept in that file instead,\n" +
			"which only its owner can read. pve-mcp finds it there whenever it is started with the same settings.",
		Args: a.noCommand,
		RunE: func(*cobra.Command, []string) error {
			return &exitError{exitUsage, "secret: say set, list or delete"}
		},
	}
	uses(cmd, config.Connection)
	cmd.AddCommand(a.secretSet(), a.secretList(), a.secretDelete())
	return cmd
}

// place is where the secret of a token is kept.
type place struct {
	file files.Name // the zero value for the keyring
	name string     // in the keyring
}

func placeOf(cfg *config.Config) place {
	return place{file: cfg.SecretFile, name: keyring.Name(cfg.Token.ID, cfg.Hosts)}
}

func (p place) String() string {
	if !p.file.IsZero() {
		return p.file.String()
	}
	return "the keyring"
}

// check reports whether a secret could be kept there, without asking anybody.
func (p place) check() error {
	if !p.file.IsZero() {
		return nil
	}
	return p.elsewhere(keyring.Check())
}

// elsewhere offers a file if there is no keyring.
func (p place) elsewhere(err error) error {
	dir, none := os.UserConfigDir()
	if !errors.Is(err, keyring.ErrNone) || none != nil {
		return err
	}
	return fmt.Errorf("%w; say --token-secret-file %s, and it is kept there, in a file that only you can read",
		err, filepath.Join(dir, "pve-mcp", "secret"))
}

// has reports whether a secret is kept there.
func (p place) has() (bool, error) {
	var err error
	missing := keyring.ErrNotFound
	if !p.file.IsZero() {
		_, err = p.file.Stat()
		missing = fs.ErrNotExist
	} else {
		_, err = keyring.Get(p.name)
	}
	if errors.Is(err, missing) {
		return false, nil
	}
	return err == nil, p.elsewhere(err)
}

// keep keeps a secret there.
func (p place) keep(secret string) error {
	if p.file.IsZero() {
		return p.elsewhere(keyring.Set(p.name, secret))
	}
	return p.file.ReplacePrivate(func(w io.Writer) error {
		_, err := fmt.Fprintln(w, secret)
		return err
	})
}

// forget removes it from there.
func (p place) forget() error {
	if p.file.IsZero() {
		return p.elsewhere(keyring.Delete(p.name))
	}
	text, err := p.file.Read()
	if err != nil {
		return err
	}
	if err := proxmox.NewSecret(strings.TrimSpace(string(text))).Check(); err != nil {
		return fmt.Errorf("%v was left as it is: %w", p.file, err)
	}
	return p.file.Remove()
}

// findInKeyring is where the configuration finds a secret that is set nowhere.
func findInKeyring(token string, hosts []string) (func() (string, error), error) {
	if err := keyring.Check(); err != nil {
		return nil, err
	}
	name := keyring.Name(token, hosts)
	return func() (string, error) {
		text, err := keyring.Get(name)
		if errors.Is(err, keyring.ErrNotFound) {
			err = fmt.Errorf("the keyring has none of %s", name)
		}
		return text, err
	}, nil
}

// askSecret reads the secret of an API token.
func (a *app) askSecret(about string) (string, error) {
	secret, err := a.askHidden("Secret of " + about)
	if err != nil {
		return "", err
	}
	return secret, proxmox.NewSecret(secret).Check()
}

// askHidden reads a secret: from the terminal, where it is not shown, or from stdin.
func (a *app) askHidden(what string) (string, error) {
	var text []byte
	var err error
	if f, ok := a.in.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		fmt.Fprintf(a.err, "%s (it is not shown): ", what)
		text, err = term.ReadPassword(int(f.Fd()))
		fmt.Fprintln(a.err)
	} else {
		text, err = io.ReadAll(io.LimitReader(a.in, 4096))
	}
	return strings.TrimSpace(string(text)), err
}

// typeSecrets reads secrets of a call: from the terminal, where they are not shown, or from
// stdin, one on each line.
func (a *app) typeSecrets(form tool.SecretForm) (map[string]string, error) {
	typed := map[string]string{}
	if isTerminal(a.in) {
		for _, name := range form.Names {
			text, err := a.askHidden(name + " for " + form.About)
			if err != nil {
				return nil, err
			}
			typed[name] = text
		}
		return typed, nil
	}
	lines := bufio.NewScanner(io.LimitReader(a.in, 64<<10))
	for _, name := range form.Names {
		if lines.Scan() {
			typed[name] = strings.TrimSpace(lines.Text())
		}
	}
	return typed, lines.Err()
}

// whose reads the settings that say whose secret is meant.
func (a *app) whose() (*config.Config, error) {
	if a.demo {
		return nil, &exitError{exitUsage, "the simulated cluster of --demo needs no secret"}
	}
	return a.settings(config.Sources{NoSecret: true})
}

func (a *app) secretSet() *cobra.Command {
	return &cobra.Command{
		Use:   "set",
		Short: "Keep a secret, which is asked for on the terminal or read from stdin",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			cfg, err := a.whose()
			if err != nil {
				return err
			}
			p := placeOf(cfg)
			if err := p.check(); err != nil {
				return failed(err)
			}
			secret, err := a.askSecret(p.name)
			if err != nil {
				return &exitError{exitUsage, err.Error()}
			}
			if err := p.keep(secret); err != nil {
				return failed(err)
			}
			fmt.Fprintf(a.out, "The secret of %s is kept in %v.\n", p.name, p)
			return nil
		},
	}
}

func (a *app) secretList() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List whose secrets the keyring has, without the secrets",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			names, err := keyring.List()
			if err != nil {
				return failed(err)
			}
			for _, name := range names {
				fmt.Fprintln(a.out, name)
			}
			return nil
		},
	}
}

func (a *app) secretDelete() *cobra.Command {
	return &cobra.Command{
		Use:     "delete [NAME]",
		Short:   "Forget a secret: that of the settings, or the one that secret list names so",
		Example: "  pve-mcp secret delete 'ops@pve!mcp at https://pve.example.lan:8006'",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			p := place{name: strings.Join(args, "")}
			if len(args) == 0 {
				cfg, err := a.whose()
				if err != nil {
					return err
				}
				p = placeOf(cfg)
			}
			if err := p.forget(); err != nil {
				return failed(err)
			}
			fmt.Fprintf(a.out, "The secret of %s is gone from %v.\n", p.name, p)
			return nil
		},
	}
}
