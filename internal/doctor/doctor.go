// Package doctor checks a configuration step by step, from its settings to what the
// token may do with each tool, and says of all that is wrong what to do about it. It
// only reads.
package doctor

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/config"
	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/toolset"
	"github.com/pve-mcp/pve-mcp/pve"
)

// Status is what came of a check.
type Status string

// What can come of a check, from the best to the worst. A check is not done if one
// that it needs did not pass.
const (
	OK         Status = "ok"
	NotChecked Status = "not_checked"
	Warning    Status = "warning" // it works, and should be looked at
	Refused    Status = "refused" // PVE does not let the token do it
	Failed     Status = "failed"
)

// Check is one of the checks, and what came of it.
type Check struct {
	// Name is settings, name, tcp, tls, token, version, clock, cluster, quorum or
	// privileges.
	Name   string `json:"check"`
	Host   string `json:"host,omitzero"` // that was checked, as a base URL
	Status Status `json:"status"`
	Text   string `json:"text"`            // what is the case
	Remedy string `json:"remedy,omitzero"` // what to do about it
}

// Report is all that was found out. Its JSON is what scripts read: fields are added to it,
// and none is taken away or renamed.
type Report struct {
	// Status is the worst one of the checks; what was not checked does not count.
	Status    Status   `json:"status"`
	Cancelled bool     `json:"cancelled,omitzero"` // before it was done
	CheckedAt string   `json:"checked_at"`
	Settings  []Given  `json:"settings"`
	Checks    []Check  `json:"checks"`
	Tools     []Tool   `json:"tools"`  // all, by name; none if privileges were not checked
	Grants    []string `json:"grants"` // commands that give what the tools in use lack
}

// Given is a setting that has a value, and where that comes from: flag, environment,
// .env, file (the value names it), keyring or default. The value of a secret is left out.
type Given struct {
	Key   string        `json:"key"`
	From  config.Origin `json:"from"`
	Value string        `json:"value,omitzero"`
}

// Options say what is checked.
type Options struct {
	// Config is the configuration; nil if Problem says what is wrong with it.
	Config    *config.Config
	Problem   error
	Settings  []config.Given
	UserAgent string
	Now       func() time.Time
	// Show is called with each check when it is done, in order.
	Show func(Check)
	// Slow is called with a check that takes long, at any time until Run returns.
	Slow func(what string)
}

// slowAfter is how long a check may take before Slow is called.
const slowAfter = time.Second

// doctor is one run.
type doctor struct {
	Options
	token explain.Explainer

	mu sync.Mutex // held during calls of Slow
}

// Run makes all checks. Those that are left when ctx ends are not done.
func Run(ctx context.Context, o Options) Report {
	d := &doctor{Options: o}
	r := Report{CheckedAt: render.Time(o.Now()), Settings: []Given{}, Checks: []Check{}, Tools: []Tool{}, Grants: []string{}}
	for _, s := range o.Settings {
		r.Settings = append(r.Settings, Given{s.Key, s.From, render.Text(s.Value, 200)})
	}
	add := func(checks ...Check) {
		for _, c := range checks {
			r.Checks = append(r.Checks, c)
			o.Show(c)
		}
	}
	add(d.settings())
	if o.Config == nil {
		add(unchecked("", "the settings are wrong", hostChecks)...)
		add(unchecked("", "the settings are wrong", clusterChecks)...)
		return r.judged(ctx)
	}
	d.token.TokenID = o.Config.Token.ID
	var clients []*host
	for _, h := range d.hosts(ctx, (*host).steps) {
		add((<-h.done)...)
		if h.version.Version != "" {
			clients = append(clients, h)
		}
	}
	if len(clients) == 0 {
		add(unchecked("", "no host lets the token in", clusterChecks)...)
		return r.judged(ctx)
	}
	c := &cluster{doctor: d, hosts: clients}
	add(d.chain(ctx, "", []step{
		{"cluster", "", c.members},
		{"quorum", "cluster", c.quorum},
		{"privileges", "", func(ctx context.Context) Check { return c.privileges(ctx, &r) }},
	})...)
	return r.judged(ctx)
}

var (
	hostChecks    = []string{"name", "tcp", "tls", "token", "version", "clock"}
	clusterChecks = []string{"cluster", "quorum", "privileges"}
)

func unchecked(host, why string, names []string) []Check {
	var out []Check
	for _, name := range names {
		out = append(out, Check{Name: name, Host: host, Status: NotChecked, Text: why})
	}
	return out
}

// judged fills in what the report says as a whole.
func (r Report) judged(ctx context.Context) Report {
	rank := []Status{OK, Warning, Refused, Failed}
	r.Status, r.Cancelled = OK, ctx.Err() != nil
	for _, c := range r.Checks {
		if slices.Index(rank, c.Status) > slices.Index(rank, r.Status) {
			r.Status = c.Status
		}
	}
	return r
}

// settings says where the settings come from, or what is wrong with them.
func (d *doctor) settings() Check {
	c := Check{Name: "settings", Status: OK}
	if d.Config == nil {
		c.Status, c.Text = Failed, d.Problem.Error()
		c.Remedy = "Correct each line; pve-mcp --help and docs/settings.md explain the settings."
		return c
	}
	keys := map[config.Origin][]string{}
	for _, g := range d.Settings {
		key := g.Key
		if g.From == config.FromFile {
			key += " in " + g.Value
		}
		keys[g.From] = append(keys[g.From], key)
	}
	var parts []string
	for _, from := range []config.Origin{config.FromFlag, config.FromEnvironment, config.FromDotEnv, config.FromFile, config.FromKeyring} {
		if keys[from] != nil {
			parts = append(parts, string(from)+": "+strings.Join(keys[from], ", "))
		}
	}
	c.Text = strings.Join(append(parts, "defaults: all others"), "; ")
	if len(d.Config.Warnings) > 0 {
		c.Status, c.Remedy = Warning, strings.Join(d.Config.Warnings, "\n")
	}
	return c
}

// step is a check that needs another one of its chain to pass, or none.
type step struct {
	name, needs string
	run         func(context.Context) Check
}

// chain makes checks one after the other.
func (d *doctor) chain(ctx context.Context, host string, steps []step) []Check {
	var out []Check
	passed := map[string]bool{"": true}
	for _, s := range steps {
		c := Check{Status: NotChecked, Text: "the check " + s.needs + " did not pass"}
		if passed[s.needs] && ctx.Err() == nil {
			c = d.watched(ctx, strings.TrimSpace(s.name+" "+host), s.run)
			passed[s.name] = c.Status == OK || c.Status == Warning
		}
		if ctx.Err() != nil && !passed[s.name] {
			c = Check{Status: NotChecked, Text: "cancelled"}
		}
		c.Name, c.Host = s.name, host
		out = append(out, c)
	}
	return out
}

// watched makes a check and tells Slow when it takes long.
func (d *doctor) watched(ctx context.Context, what string, run func(context.Context) Check) Check {
	slow := time.AfterFunc(slowAfter, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.Slow(what)
	})
	defer slow.Stop()
	return run(ctx)
}

// failed explains an error.
func (d *doctor) failed(err error) Check {
	e := d.token.Explain(err)
	return Check{Status: Failed, Text: e.What, Remedy: e.Next}
}

// selection are the tools that the configuration offers.
func (d *doctor) selection() toolset.Selection {
	return toolset.Selection{Policy: d.Config.Policy, Toolsets: d.Config.Toolsets, Tools: d.Config.Tools}
}

// versionOf is the major version of the cluster, as its first host says it.
func versionOf(v pve.Version) int { return cmp.Or(v.Major(), Newest) }
