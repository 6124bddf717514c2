package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/jsonschema-go/jsonschema"
	"github.com/spf13/cobra"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/toolset"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/proxmox/lenient"
	"github.com/pve-mcp/pve-mcp/pve"
)

// completionTime is how long a shell waits for what the cluster knows.
const completionTime = 2 * time.Second

// complete completes the value of an argument's flag: from its schema, or from what the
// cluster has. Where that cannot be asked, nothing is offered, and nothing said.
func (a *app) complete(cmd *cobra.Command, name string, p *jsonschema.Schema) {
	if p.Type == "array" {
		p = p.Items
	}
	ask := live[name]
	if p.Type == "object" {
		ask = parameters
	}
	complete := cobra.NoFileCompletions
	switch {
	case p.Type == "boolean":
		complete = cobra.FixedCompletions([]string{"true", "false"}, cobra.ShellCompDirectiveNoFileComp)
	case p.Enum != nil:
		var words []string
		for _, e := range p.Enum {
			words = append(words, fmt.Sprint(e))
		}
		complete = cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)
	case ask != nil:
		complete = func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
			directive := cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
			if p.Type == "object" {
				directive |= cobra.ShellCompDirectiveNoSpace
			}
			return a.askCluster(cmd, ask), directive
		}
	}
	must(cmd.RegisterFlagCompletionFunc(name, complete))
}

// must is for what can fail by a mistake in this program alone.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

// asks asks the cluster for what an argument can be: each with a description after a tab.
// other returns the value of another argument of the command, or "".
type asks func(ctx context.Context, c *pve.Client, other func(name string) string) ([]string, error)

// live are the arguments whose values the cluster knows, in bounded time.
var live = map[string]asks{
	"vmid":          guests,
	"newid":         nextID,
	"node":          resources("node"),
	"target":        resources("node"),
	"storage":       resources("storage"),
	"targetstorage": resources("storage"),
	"pool":          resources("pool"),
	"tag":           tags,
	"snapname":      snapshots,
	"snapshot":      snapshots,
	"archive":       archives,
	"disk":          disks,
	"upid":          tasks,
}

// askCluster asks the configured cluster, or the simulated one, in bounded time.
func (a *app) askCluster(cmd *cobra.Command, ask asks) []string {
	ctx, cancel := context.WithTimeout(cmd.Context(), completionTime)
	defer cancel()
	answer := make(chan []string, 1)
	a.err = io.Discard
	other := func(name string) string {
		if name == vmid && cmd.Flags().Lookup(vmid) != nil && !cmd.Flags().Changed(vmid) && cmd.Flags().NArg() > 0 {
			return cmd.Flags().Arg(0)
		}
		if f := cmd.Flags().Lookup(name); f != nil {
			return f.Value.String()
		}
		return ""
	}
	go func() { // the keyring and the resolver of names keep no time
		defer close(answer)
		c, err := a.client(ctx)
		if err != nil {
			return
		}
		if values, err := ask(ctx, c, other); err == nil {
			answer <- values
		}
	}()
	select {
	case values := <-answer:
		return values
	case <-ctx.Done():
		return nil
	}
}

// client connects to the cluster, without what calls of tools leave behind.
func (a *app) client(ctx context.Context) (*pve.Client, error) {
	cfg, err := a.config(false)
	if err != nil {
		return nil, err
	}
	cfg.Policy.ReadOnly = true
	connect := a.connect
	if a.demo {
		connect = a.simulate
	}
	host, err := connect(cfg)
	if err != nil {
		return nil, err
	}
	return host.Client(ctx)
}

// described is a value with its description, as shells show it.
func described(value string, words ...string) string {
	words = slices.DeleteFunc(words, func(w string) bool { return w == "" })
	return value + "\t" + render.Text(strings.Join(words, ", "), 60)
}

func guests(ctx context.Context, c *pve.Client, _ func(string) string) ([]string, error) {
	all, err := c.Resources(ctx, "vm")
	if err != nil {
		return nil, err
	}
	var out []string
	for _, r := range slices.SortedFunc(all.Rows(), func(a, b *pve.Row) int { return int(a.VMID() - b.VMID()) }) {
		out = append(out, described(r.VMID().String(), r.Name(), r.State(), "on "+r.Node()))
	}
	return out, nil
}

func nextID(ctx context.Context, c *pve.Client, _ func(string) string) ([]string, error) {
	id, err := c.NextID(ctx)
	return []string{described(id.String(), "the next free one")}, err
}

// resources asks for those of a type, each once: a shared storage is on many nodes.
func resources(kind string) asks {
	return func(ctx context.Context, c *pve.Client, _ func(string) string) ([]string, error) {
		all, err := c.Resources(ctx, "") // PVE has no list of pools alone
		if err != nil {
			return nil, err
		}
		var out []string
		for row := range all.Rows() {
			switch {
			case row.Type() != kind:
			case kind == "node":
				out = append(out, described(row.Node(), row.Status()))
			case kind == "pool":
				out = append(out, row.Pool())
			default:
				r := row.Resource()
				out = append(out, described(r.Storage.Value, r.PluginType.Value, strings.ReplaceAll(r.Content.Value, ",", " ")))
			}
		}
		slices.SortFunc(out, pve.CompareNames)
		return slices.Compact(out), nil
	}
}

func tags(ctx context.Context, c *pve.Client, _ func(string) string) ([]string, error) {
	all, err := c.Resources(ctx, "vm")
	if err != nil {
		return nil, err
	}
	var out []string
	for r := range all.Rows() {
		out = append(out, r.TagList()...)
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// vmid is the argument by which tools know a guest.
const vmid = "vmid"

// guestOf finds the guest that the command names, by vmid or name.
func guestOf(ctx context.Context, c *pve.Client, other func(string) string) (pve.GuestRef, error) {
	id, err := strconv.Atoi(other(vmid))
	if err != nil {
		var named pve.VMID
		if named, err = cluster.FindGuestNamed(ctx, c, other(vmid)); err != nil {
			return pve.GuestRef{}, err
		}
		id = int(named)
	}
	g, err := c.FindGuest(ctx, pve.VMID(id))
	return g.Ref(), err
}

// usual are parameters that guests of both kinds have, for who sets a new one.
var usual = []string{"cores", "description", "hostname", "memory", "name", "onboot", "protection", "tags"}

// parameters are those of the configuration, as KEY= to be filled in.
func parameters(ctx context.Context, c *pve.Client, other func(string) string) ([]string, error) {
	g, err := guestOf(ctx, c, other)
	if err != nil {
		return nil, err
	}
	config, err := c.GuestConfig(ctx, g)
	var out []string
	for key, value := range config.Values {
		if key != "digest" {
			out = append(out, described(key+"=", value))
		}
	}
	for _, key := range usual {
		wrong := g.Kind == pve.QEMU && key == "hostname" || g.Kind != pve.QEMU && key == "name"
		if _, has := config.Values[key]; !has && !wrong {
			out = append(out, described(key+"=", "not set"))
		}
	}
	slices.Sort(out)
	return out, err
}

func snapshots(ctx context.Context, c *pve.Client, other func(string) string) ([]string, error) {
	g, err := guestOf(ctx, c, other)
	if err != nil {
		return nil, err
	}
	all, err := c.Snapshots(ctx, g)
	var out []string
	for _, s := range all {
		if s.Name != "current" {
			out = append(out, described(s.Name, timeOf(s.Time), s.Description.Value))
		}
	}
	return out, err
}

func timeOf(t lenient.Opt[int64]) string {
	if !t.Set {
		return ""
	}
	return time.Unix(t.Value, 0).Format(time.DateTime)
}

// archives asks for the backups on the storages of the cluster that can be asked from a
// node that is online.
func archives(ctx context.Context, c *pve.Client, other func(string) string) ([]string, error) {
	all, err := c.Resources(ctx, "storage")
	if err != nil {
		return nil, err
	}
	var out []string
	seen := map[string]bool{}
	for _, r := range all.Resources() {
		backups := slices.Contains(strings.Split(r.Content.Value, ","), "backup") && r.Status.Value == "available"
		if !backups || r.Shared.Value && seen[r.Storage.Value] {
			continue
		}
		seen[r.Storage.Value] = true
		volumes, err := c.Content(ctx, r.Node.Value, r.Storage.Value, pve.VolumeFilter{Content: "backup"})
		if err != nil {
			continue // the others may answer
		}
		for _, v := range volumes {
			out = append(out, described(v.VolID.String(), timeOf(v.CTime), v.Notes.Value))
		}
	}
	slices.Sort(out)
	return out, err
}

func disks(ctx context.Context, c *pve.Client, other func(string) string) ([]string, error) {
	g, err := guestOf(ctx, c, other)
	if err != nil {
		return nil, err
	}
	config, err := c.GuestConfig(ctx, g)
	var out []string
	for key, value := range config.Values {
		if pve.IsDiskKey(g.Kind, key) {
			out = append(out, described(key, value))
		}
	}
	slices.Sort(out)
	return out, err
}

func tasks(ctx context.Context, c *pve.Client, _ func(string) string) ([]string, error) {
	recent, err := proxmox.Get[[]pve.Task](ctx, c.Client, proxmox.Join("cluster", "tasks"), nil) // of all nodes, the newest first
	var out []string
	for _, t := range recent {
		out = append(out, described(t.UPID.String(), strings.TrimSpace(t.Type+" "+t.ID), cmp.Or(t.Status.Value, "running")))
	}
	return out, err
}

// toolNames are the tools, as shells complete them.
func toolNames() []string {
	var out []string
	for _, t := range toolset.All() {
		out = append(out, described(t.Name, t.Title))
	}
	return out
}
