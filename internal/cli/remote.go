package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/pve-mcp/pve-mcp/internal/config"
	"github.com/pve-mcp/pve-mcp/internal/install"
	"github.com/pve-mcp/pve-mcp/internal/install/remote"
	"github.com/pve-mcp/pve-mcp/lazyregexp"
)

// remoteFlags say which server elsewhere a client is to call, and where its bearer token
// is.
type remoteFlags struct {
	url        string
	byVariable bool // --token-env is there, even if it is empty
	variable   string
	stdin      bool
}

func (r *remoteFlags) define(f *pflag.FlagSet) {
	f.StringVar(&r.variable, "token-env", "", "variable of the client's environment that has the bearer token for --url, such as PVE_MCP_BEARER")
	f.BoolVar(&r.stdin, "token-stdin", false, "ask for the bearer token for --url, or read it from stdin, for a client that has it in its file alone (zed)")
}

// given reports whether any of them stands on the command line, even if it is empty, as an
// unset variable of the shell is.
func (r *remoteFlags) given(f *pflag.FlagSet) bool {
	r.byVariable = f.Changed("token-env")
	return f.Changed("url") || r.withToken()
}

// withToken reports whether the entry has a bearer token.
func (r *remoteFlags) withToken() bool { return r.byVariable || r.stdin }

var variableRE = lazyregexp.New(`^[A-Za-z_][A-Za-z0-9_]*$`)

// check says what is wrong with the flags for a client, without asking anybody.
func (r *remoteFlags) check(c install.Client, project bool) error {
	u, err := url.Parse(r.url)
	switch {
	case r.url == "" && r.withToken():
		return errors.New("--token-env and --token-stdin go with --url")
	case strings.ContainsAny(r.url, "@?#"): // what stands there may be a secret
		return errors.New("--url: it has a user, a query or a fragment, which pve-mcp does not read; for example https://mcp.example.org/mcp")
	case err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "":
		return fmt.Errorf("--url: %q is not the URL of a server; for example https://mcp.example.org/mcp", r.url)
	case c.NoRemote() != "":
		return errors.New(c.NoRemote())
	case r.byVariable && r.stdin:
		return errors.New("--token-env and --token-stdin exclude each other")
	case r.byVariable && !variableRE.MatchString(r.variable):
		return fmt.Errorf("--token-env: %q is not the name of a variable; for example PVE_MCP_BEARER", r.variable)
	case r.byVariable && !c.TokenByVariable():
		return fmt.Errorf("--token-env: %s reads no variables in its file; with --token-stdin the token stands there itself", c.Title)
	case r.stdin && c.TokenByVariable():
		return fmt.Errorf("--token-stdin: %s need not have the token in its file; name the variable that has it, for example --token-env PVE_MCP_BEARER", c.Title)
	case r.stdin && project:
		return fmt.Errorf("--token-stdin: the token would be in the project's file, which others get; leave --project out")
	}
	return nil
}

// installRemote tells a client about a server elsewhere.
func (a *app) installRemote(ctx context.Context, t *target) error {
	r := &t.remote
	if err := r.check(t.client, t.project); err != nil {
		return &exitError{exitUsage, err.Error()}
	}
	if setting := a.settingFlag(); setting != "" {
		return &exitError{exitUsage, setting + " is for a server that the client starts; the one at --url has settings of its own"}
	}
	if t.show {
		return a.show(t, t.client.Remote(r.url, r.variable, placeholder(r.stdin)))
	}
	old, _, err := t.client.Read(t.file, t.name, r.url)
	if err != nil {
		return failed(err)
	}
	token, err := a.bearer(r)
	if err != nil {
		return &exitError{exitUsage, err.Error()}
	}
	server := t.client.Remote(r.url, r.variable, token)
	server.Headers = withOthers(server.Headers, old.Headers)
	notes := a.lookAt(ctx, t, token)
	change, err := t.client.Add(t.file, t.name, server)
	if err != nil {
		return failed(err)
	}
	change.Private = r.stdin
	backup, err := change.Apply()
	if err != nil {
		return failed(err)
	}
	a.say(t, change, backup, "added to")
	if r.stdin && !change.Nothing {
		fmt.Fprintf(a.out, "The token is in %s, which only you can read: %s takes it from nowhere else.\n", t.file, t.client.Title)
	}
	for _, note := range notes {
		fmt.Fprintln(a.out, note)
	}
	if !change.Nothing {
		fmt.Fprintln(a.out, t.client.Next)
	}
	return nil
}

// settingFlag is a flag of the command line that is about a server that the client starts,
// "" for none.
func (a *app) settingFlag() string {
	if a.demo {
		return "--demo"
	}
	for _, s := range config.Settings() {
		if _, given := a.flags[s.Key]; given {
			return "--" + s.Flag
		}
	}
	return ""
}

// placeholder replaces a token that is not printed.
func placeholder(withToken bool) string {
	if withToken {
		return "TOKEN"
	}
	return ""
}

// bearer is the bearer token: asked for, or that of the variable, "" if it is not set.
func (a *app) bearer(r *remoteFlags) (string, error) {
	if r.byVariable {
		return a.getenv(r.variable), nil
	}
	if !r.stdin {
		return "", nil
	}
	token, err := a.askHidden("Bearer token for " + r.url)
	switch {
	case err != nil:
		return "", err
	case token == "" || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }):
		return "", errors.New("--token-stdin: a bearer token is one word, such as pve-mcp token add prints it")
	}
	return token, nil
}

// withOthers adds the headers that the client's user has added to those of an entry.
func withOthers(headers, old map[string]string) map[string]string {
	others := maps.Clone(old)
	maps.DeleteFunc(others, func(name, _ string) bool { return strings.EqualFold(name, install.Authorization) })
	if len(others) == 0 {
		return headers
	}
	maps.Copy(others, headers)
	return others
}

// lookAt asks the server whether the client could work, and says what its user has to know
// and do.
func (a *app) lookAt(ctx context.Context, t *target, token string) (notes []string) {
	r := &t.remote
	slow := time.AfterFunc(time.Second, func() { fmt.Fprintf(a.err, "… still asking %s; ctrl-c ends it\n", r.url) })
	issuer, err := remote.Check(ctx, r.url, token, version())
	slow.Stop()
	unset := r.byVariable && token == ""
	switch {
	case unset && (errors.Is(err, remote.ErrNoToken) || issuer != ""):
		notes = append(notes, fmt.Sprintf("%s is not set here, so that the token was not tried. The server is there, and wants one.", r.variable))
	case errors.Is(err, remote.ErrNoToken):
		notes = append(notes, fmt.Sprintf("It cannot work yet: %v: install it again with %s.", err, tokenFlag(t.client)))
	case err != nil:
		notes = append(notes, fmt.Sprintf("It cannot work yet: %s: %v", r.url, err))
	case issuer != "":
		notes = append(notes, fmt.Sprintf("Callers log in with %s. %s", issuer, t.client.Login()))
	}
	if r.byVariable {
		notes = append(notes, fmt.Sprintf("%s reads the token from %s: set it where %s is started.", t.client.Title, r.variable, t.client.Title))
	}
	if r.withToken() && inClear(r.url) {
		notes = append(notes, "The URL has no TLS: anyone on the network path can read the token. Use https.")
	}
	return notes
}

// tokenFlag is how a client is given a bearer token.
func tokenFlag(c install.Client) string {
	if c.TokenByVariable() {
		return "--token-env PVE_MCP_BEARER"
	}
	return "--token-stdin"
}

// inClear reports whether what is sent to a URL can be read on its way.
func inClear(at string) bool {
	u, err := url.Parse(at)
	if err != nil || u.Scheme != "http" {
		return false
	}
	addr, err := netip.ParseAddr(u.Hostname())
	return u.Hostname() != "localhost" && (err != nil || !addr.IsLoopback())
}
