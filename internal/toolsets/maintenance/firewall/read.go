package firewall

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/exactjson"
	"github.com/pve-mcp/pve-mcp/internal/survey"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
)

// most bounds the parts of a firewall that are read.
const (
	mostNamed  = 100 // groups, and sets
	mostNodes  = 16
	mostGuests = 60
)

// list is what PVE answers as one: rules, addresses of a set, sets, aliases or groups.
type list struct {
	Entries []entry
	Digest  string
}

// entryOf is what PVE says of a thing, without its place and digest.
func entryOf(all map[string]any) (out entry, digest string) {
	out = entry{}
	for name, value := range all {
		text, ok := tool.PlainText(value)
		switch {
		case !ok:
			text = string(exactjson.Encode(value))
			fallthrough
		case text != "" && name != "digest" && name != "pos" && name != "ipversion":
			out[name] = text
		}
		if name == "digest" {
			digest = text
		}
	}
	return out, digest
}

// readExact reads what PVE has below a path, with numbers as PVE writes them.
func readExact(ctx context.Context, c *pve.Client, path []string, into any, kind string) error {
	raw, err := proxmox.Get[json.RawMessage](ctx, c.Client, proxmox.Join(path...), nil)
	if err != nil {
		return err
	}
	if err := exactjson.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("PVE's answer is no %s: %w", kind, err)
	}
	return nil
}

func readList(ctx context.Context, c *pve.Client, path ...string) (list, error) {
	var all []map[string]any
	if err := readExact(ctx, c, path, &all, "list"); err != nil {
		return list{}, err
	}
	out := list{Entries: []entry{}}
	for _, one := range all {
		e, digest := entryOf(one)
		out.Entries, out.Digest = append(out.Entries, e), digest
	}
	return out, nil
}

func readOptions(ctx context.Context, c *pve.Client, path ...string) (list, error) {
	var one map[string]any
	if err := readExact(ctx, c, path, &one, "object"); err != nil {
		return list{}, err
	}
	e, digest := entryOf(one)
	return list{[]entry{e}, digest}, nil
}

// place is whose firewall a call is about.
type place struct {
	Node  string
	Guest pve.GuestRef
	Name  string // such as 101 web-2
}

func (p place) isGuest() bool   { return p.Guest.VMID != 0 }
func (p place) isCluster() bool { return p.Node == "" && !p.isGuest() }

// path is that of the firewall, with what is below it.
func (p place) path(below ...string) []string {
	base := []string{"cluster", "firewall"}
	switch {
	case p.isGuest():
		base = []string{"nodes", p.Guest.Node, string(p.Guest.Kind), p.Guest.VMID.String(), "firewall"}
	case p.Node != "":
		base = []string{"nodes", p.Node, "firewall"}
	}
	return append(base, below...)
}

// groupsPath is that of the security groups, which are the cluster's.
func groupsPath() []string { return place{}.path("groups") }

func (p place) String() string {
	switch {
	case p.isGuest():
		return p.Name
	case p.Node != "":
		return "node " + p.Node
	}
	return "the cluster"
}

// whole names the firewall in a sentence.
func (p place) whole() string { return "the firewall of " + p.String() }

// title is whole at the start of a sentence.
func (p place) title() string { return "The firewall of " + p.String() }

func placeOf(ctx context.Context, c *tool.Call, id pve.VMID, node string) (place, error) {
	switch {
	case id != 0 && node != "":
		return place{}, tool.BadArgument("node", "is for the firewall of a node; leave it out with vmid")
	case id != 0:
		g, err := c.Guest(ctx, id)
		if err != nil {
			return place{}, err
		}
		return place{Guest: g.Ref(), Name: c.GuestLabel(ctx, id)}, nil
	case node != "":
		n, err := c.OnlineNode(ctx, node)
		return place{Node: n.Node.Value}, err
	}
	return place{}, nil
}

// The checks that read the firewall of a guest.
const (
	guestOptions = "its options"
	guestRules   = "its rules"
)

func setsOf(p place) string    { return "sets of " + p.String() }
func aliasesOf(p place) string { return "aliases of " + p.String() }

// reader reads firewalls.
type reader struct {
	*survey.Survey
	setup
	place place
	nics  []pve.NIC
	// blindCluster says that the cluster's options were not read.
	blindCluster bool
	digest       string // of the rules of the place
	leftOut      []string
}

// read reads the firewall of the place, and what its rules name.
func read(s *survey.Survey, p place) *reader {
	r := &reader{Survey: s, place: p, setup: setup{Groups: map[string][]entry{}, Nodes: map[string]*section{}, Guests: map[string]*section{}}}
	r.readCluster()
	switch {
	case p.isGuest():
		r.readGuest()
	case p.Node != "":
		r.readNode(p.Node)
	}
	return r
}

// list reads a list, which is a blind spot if that fails.
func (r *reader) list(check string, path ...string) (list, bool) {
	return survey.One(r.Survey, check, func(ctx context.Context) (list, error) { return readList(ctx, r.PVE, path...) })
}

// options is list for the options of a firewall.
func (r *reader) options(check string, p place) (list, bool) {
	return survey.One(r.Survey, check, func(ctx context.Context) (list, error) { return readOptions(ctx, r.PVE, p.path("options")...) })
}

// lists reads the list of each of some names, which are below a path.
func (r *reader) lists(check string, names, path []string) []cluster.Response[string, list] {
	itself := func(name string) string { return name }
	return survey.Ask(r.Survey, check, names, itself, func(ctx context.Context, name string) (list, error) {
		return readList(ctx, r.PVE, below(path, name)...)
	})
}

func (r *reader) readCluster() {
	r.Cluster.Unseen = true
	r.blindCluster = true
	if !r.May("the cluster's firewall", "", "Sys.Audit", "/") {
		return
	}
	all := place{}
	if options, ok := r.options("the cluster's firewall options", all); ok {
		r.Cluster.Options, r.blindCluster = options.Entries[0], false
	}
	if !r.place.isGuest() {
		rules, _ := r.list("the cluster's rules", all.path("rules")...)
		r.Cluster.Rules = rules.Entries
		if r.place.isCluster() {
			r.digest = rules.Digest
		}
	}
	r.readNames(&r.Cluster, all)
	const check = "security groups"
	groups, _ := r.list(check, groupsPath()...)
	for _, one := range r.lists(check, r.bounded(check, namesOf(groups.Entries, "group")), groupsPath()) {
		r.Groups[one.From] = one.Value.Entries
	}
}

func namesOf(all []entry, key string) []string {
	var out []string
	for _, e := range all {
		out = append(out, e[key])
	}
	slices.Sort(out)
	return out
}

func (r *reader) bounded(what string, names []string) []string {
	if n := len(names) - mostNamed; n > 0 {
		r.leftOut = append(r.leftOut, fmt.Sprintf("%d %s", n, what))
		return names[:mostNamed]
	}
	return names
}

// readNames reads the sets and aliases of a firewall.
func (r *reader) readNames(c *section, p place) {
	of := setsOf(p)
	c.Sets, c.Aliases = map[string][]entry{}, map[string]entry{}
	sets, ok := r.list(of, p.path("ipset")...)
	aliases, ok2 := r.list(aliasesOf(p), p.path("aliases")...)
	for _, a := range aliases.Entries {
		c.Aliases[a["name"]] = a
	}
	all := namesOf(sets.Entries, "name")
	read := r.lists(of, r.bounded(of, all), p.path("ipset"))
	for _, one := range read {
		c.Sets[one.From] = one.Value.Entries
	}
	c.Unseen = !ok || !ok2 || len(read) < len(all)
}

func (r *reader) readNode(node string) bool {
	if !r.May("the firewall of a node", node, "Sys.Audit", "/nodes/"+node) {
		return false
	}
	p := place{Node: node}
	options, ok := r.options("options of "+p.String(), p)
	rules, ok2 := r.list("rules of "+p.String(), p.path("rules")...)
	if !ok || !ok2 {
		return false
	}
	r.Nodes[node] = &section{Options: options.Entries[0], Rules: rules.Entries}
	if r.place.Node == node {
		r.digest = rules.Digest
	}
	return true
}

func (r *reader) readGuest() {
	id := r.place.Guest.VMID.String()
	c := &section{}
	r.Guests[id] = c
	if options, ok := r.options(guestOptions, r.place); ok {
		c.Options = options.Entries[0]
	}
	rules, _ := r.list(guestRules, r.place.path("rules")...)
	c.Rules, r.digest = rules.Entries, rules.Digest
	r.readNames(c, r.place)
	config, _ := survey.One(r.Survey, "its network cards", func(ctx context.Context) (pve.GuestConfig, error) { return r.PVE.GuestConfig(ctx, r.place.Guest) })
	r.nics = config.NICs(r.place.Guest.Kind)
}

// readUsers reads the rules of all nodes and, if asked for, of all guests: they name the
// cluster's sets and aliases, too. It says what was not seen of them.
func (r *reader) readUsers(ctx context.Context, guests bool) (unseen []string) {
	nodes, err := r.View.Nodes(ctx)
	if err != nil {
		return []string{"the nodes: " + r.Explain(err).What}
	}
	for i, n := range nodes {
		name := n.Node.Value
		if i >= mostNodes || n.Status.Value != "online" || !r.readNode(name) {
			unseen = append(unseen, "the rules of node "+name)
		}
	}
	if !guests {
		return unseen
	}
	all, err := r.List(ctx, "")
	if err != nil {
		return append(unseen, "the guests: "+r.Explain(err).What)
	}
	var refs []pve.GuestRef
	for _, g := range all.Resources() {
		if g.IsGuest() {
			refs = append(refs, g.Ref())
		}
	}
	if !r.Permissions.OnAll("/vms", "VM.Audit") || len(refs) > mostGuests {
		unseen = append(unseen, "the rules of some guests")
	}
	refs = refs[:min(len(refs), mostGuests)]
	got := survey.Ask(r.Survey, "rules of guests", refs, func(g pve.GuestRef) string { return g.VMID.String() }, func(ctx context.Context, g pve.GuestRef) (list, error) {
		return readList(ctx, r.PVE, place{Guest: g}.path("rules")...)
	})
	if len(got) < len(refs) {
		unseen = append(unseen, "the rules of some guests")
	}
	for _, one := range got {
		if len(one.Value.Entries) > 0 {
			r.Guests[one.From.VMID.String()] = &section{Rules: one.Value.Entries, Unseen: true}
		}
	}
	return unseen
}

// copyOf is a setup that shares nothing that a change replaces: entries and lists stay as they are.
func copyOf(s setup) setup {
	of := func(c section) section {
		c.Sets, c.Aliases = maps.Clone(c.Sets), maps.Clone(c.Aliases)
		return c
	}
	all := func(sections map[string]*section) map[string]*section {
		out := map[string]*section{}
		for name, c := range sections {
			made := of(*c)
			out[name] = &made
		}
		return out
	}
	return setup{Cluster: of(s.Cluster), Groups: maps.Clone(s.Groups), Nodes: all(s.Nodes), Guests: all(s.Guests)}
}
