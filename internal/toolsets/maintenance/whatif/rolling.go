package whatif

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/placement/reading"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/survey"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/lazyregexp"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
)

// updateRow is a node in the order in which nodes are updated.
type updateRow struct {
	Node     string   `json:"node"`
	Updates  *int     `json:"updates,omitzero" jsonschema:"packages that wait; left out if that is unknown"`
	Packages []string `json:"packages,omitzero" jsonschema:"the first of them"`
	Restart  []string `json:"restart,omitzero" jsonschema:"what has to restart, and why"`
	Blocks   []string `json:"blocks,omitzero" jsonschema:"what speaks against its turn now"`
	Own      bool     `json:"own,omitzero" jsonschema:"this server talks to the API through it"`
}

// updated is a node while its update is planned.
type updated struct {
	row      updateRow
	node     pve.Resource
	versions []pve.Package
	updates  []pve.Package
	seen     bool // the updates are known
}

// rollingUpdate says in which order nodes are updated, what waits where, what has to restart, and
// what speaks against it.
func (l *look) rollingUpdate(ctx context.Context) error {
	if err := l.readFacts(ctx); err != nil {
		return err
	}
	var all []*updated
	for _, n := range l.facts.Nodes {
		if l.in.Node == "" || l.in.Node == n.Node.Value {
			all = append(all, &updated{row: updateRow{Node: n.Node.Value}, node: n})
		}
	}
	if len(all) == 0 {
		_, err := l.View.Node(ctx, l.in.Node)
		return err
	}
	l.readPackages(all)
	items := l.readItems()
	ceph := l.readCeph()
	tasks := l.runningTasks()
	quorum := l.View.Quorum(ctx, items)
	for _, u := range all {
		name := u.row.Node
		u.row.Own = slices.ContainsFunc(items, func(i pve.ClusterItem) bool { return i.Type == "node" && i.Name == name && i.Local.Value })
		u.describe()
		if u.node.Status.Value != "online" {
			u.row.Blocks = append(u.row.Blocks, "it is "+u.node.Status.Or("unknown"))
			continue
		}
		if left := quorum.Without(name); cluster.IsInCluster(items) && left < quorum.Needed() {
			u.row.Blocks = append(u.row.Blocks, fmt.Sprintf("no quorum without it: %d of %d votes are left, and %d are needed", left, quorum.All, quorum.Needed()))
		}
		u.row.Blocks = append(u.row.Blocks, ceph...)
		if n := tasks[name]; n > 0 {
			u.row.Blocks = append(u.row.Blocks, fmt.Sprintf("%d tasks run on it, such as backups", n))
		}
		u.row.Blocks = append(u.row.Blocks, l.cannotLeave(name)...)
	}
	slices.SortStableFunc(all, func(a, b *updated) int {
		own := map[bool]int{true: 1}
		return cmp.Or(cmp.Compare(own[a.row.Own], own[b.row.Own]), cmp.Compare(a.node.Mem.Value, b.node.Mem.Value))
	})
	l.sayUpdates(all)
	return nil
}

// readPackages asks the nodes for their packages and what waits to be installed.
func (l *look) readPackages(all []*updated) {
	var asks sync.WaitGroup
	of := func(check, privilege string, ask func(context.Context, *updated) error) {
		var some []*updated
		for _, u := range all {
			if u.node.Status.Value == "online" && l.May(check, u.row.Node, privilege, "/nodes/"+u.row.Node) {
				some = append(some, u)
			}
		}
		asks.Go(func() {
			survey.Ask(l.Survey, check, some, func(u *updated) string { return u.row.Node }, func(ctx context.Context, u *updated) (struct{}, error) {
				return struct{}{}, ask(ctx, u)
			})
		})
	}
	of("versions", "Sys.Audit", func(ctx context.Context, u *updated) (err error) {
		u.versions, err = l.PVE.PackageVersions(ctx, u.row.Node)
		return err
	})
	of("updates", "Sys.Modify", func(ctx context.Context, u *updated) (err error) {
		u.updates, err = l.PVE.Updates(ctx, u.row.Node)
		u.seen = err == nil
		return err
	})
	asks.Wait()
}

func (l *look) readItems() []pve.ClusterItem {
	if !l.May("quorum and which node is the own", "", "Sys.Audit", "/") {
		return nil
	}
	items, _ := survey.One(l.Survey, "quorum and which node is the own", l.PVE.ClusterStatus)
	return items
}

// cephHealth is what Ceph says of itself.
type cephHealth struct {
	Health struct {
		Status string `json:"status"`
	} `json:"health"`
}

// readCeph says what of Ceph speaks against taking a node down; nothing if there is no Ceph.
func (l *look) readCeph() []string {
	if !l.May("health of Ceph", "", "Sys.Audit", "/") {
		return nil
	}
	health, ok := survey.One(l.Survey, "health of Ceph", func(ctx context.Context) (string, error) {
		h, err := proxmox.Get[cephHealth](ctx, l.PVE.Client, proxmox.Join("cluster", "ceph", "status"), nil)
		if err != nil && hasNoCeph(err) {
			return "", nil
		}
		return h.Health.Status, err
	})
	if !ok || health == "" || health == "HEALTH_OK" {
		return nil
	}
	return []string{"Ceph is " + render.Text(health, 40) + ": its data has to be whole before a node goes"}
}

// hasNoCeph reports whether an error says that there is no Ceph.
func hasNoCeph(err error) bool {
	text := err.Error()
	return strings.Contains(text, "binary not installed") || strings.Contains(text, "not initialized") || strings.Contains(text, "not fully configured")
}

// runningTasks are how many tasks run on each node.
func (l *look) runningTasks() map[string]int {
	out := map[string]int{}
	if !l.May("tasks that run", "", "Sys.Audit", "/") {
		return out
	}
	tasks, _ := survey.One(l.Survey, "tasks that run", l.PVE.ClusterTasks)
	for _, t := range tasks {
		if !t.EndTime.Set {
			out[t.Node]++
		}
	}
	return out
}

// cannotLeave says which guests of a node the others have no room for, or are locked, as far as
// the lists of the cluster tell.
func (l *look) cannotLeave(node string) (blocks []string) {
	board := l.facts.Board(nil)
	var locked, homeless []string
	why := ""
	for _, g := range l.facts.Guests {
		if g.Node.Value != node || !reading.IsOn(g) || board.Guest(g.VMID).Node != node {
			continue
		}
		if lock := g.Lock.Value; lock != "" {
			locked = append(locked, cluster.GuestName(g)+" ("+render.Text(lock, 20)+")")
			continue
		}
		unit := slices.DeleteFunc(board.Unit(g.VMID), func(id pve.VMID) bool { return board.Guest(id).Node != node })
		fit, refused := board.Choices(unit, l.otherNodes(node))
		if len(fit) > 0 {
			board.Move(unit, fit[0])
			continue
		}
		homeless, why = append(homeless, cluster.GuestName(g)), reasonOf(refused)
	}
	if locked != nil {
		blocks = append(blocks, fmt.Sprintf("%s locked: %s", guests(len(locked)), fewNames(locked)))
	}
	if homeless != nil {
		blocks = append(blocks, fmt.Sprintf("no other node takes %s: %s (%s)", guests(len(homeless)), fewNames(homeless), why))
	}
	return blocks
}

// otherNodes are the names of the nodes beside one.
func (l *look) otherNodes(node string) []string {
	out := []string{}
	for _, n := range l.facts.Nodes {
		if name := n.Node.Value; name != node {
			out = append(out, name)
		}
	}
	return out
}

// fewNames names the first few of many.
func fewNames(names []string) string {
	few, count := survey.Few(names)
	if count > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(few, ", "), count-len(few))
	}
	return strings.Join(few, ", ")
}

// restarts are the packages after whose update something has to restart.
var restarts = []struct {
	name *lazyregexp.Regexp
	what string
}{
	{lazyregexp.New(`^(?:pve|proxmox)-kernel-|^(?:amd64|intel)-microcode$|^zfsutils-linux$|^systemd$|^libc6$`), "reboot of the node"},
	{lazyregexp.New(`^pve-qemu-kvm$`), "VMs use the new QEMU after a migration, or when they are stopped and started"},
	{lazyregexp.New(`^lxc-pve$|^lxcfs$`), "containers use it after a restart"},
	{lazyregexp.New(`^corosync$|^libknet1(?:t64)?$|^pve-cluster$`), "the cluster's own services restart with the update: only one node at a time"},
	{lazyregexp.New(`^pve-ha-manager$`), "HA's services restart with the update"},
	{lazyregexp.New(`^ceph-(?:base|common|osd|mon|mgr|mds)$`), "Ceph's daemons, one node at a time, with noout set"},
}

// mostPackages is how many packages a row names.
const mostPackages = 8

// describe fills in what waits on a node, and what has to restart.
func (u *updated) describe() {
	if installed, runs, waits := pve.WaitingKernel(u.versions); waits {
		u.row.Restart = append(u.row.Restart, fmt.Sprintf("reboot of the node: the kernel %s is installed, and %s runs", render.Text(installed, 30), render.Text(runs, 30)))
	}
	if !u.seen {
		return
	}
	n := len(u.updates)
	u.row.Updates = &n
	by := map[string][]string{}
	for i, p := range u.updates {
		name := render.Text(p.Name, 40)
		if i < mostPackages {
			u.row.Packages = append(u.row.Packages, strings.TrimSpace(name+" "+render.Text(p.Version.Value, 30)))
		}
		for _, r := range restarts {
			if r.name.MatchString(p.Name) {
				by[r.what] = append(by[r.what], name)
			}
		}
	}
	for _, r := range restarts {
		if names := by[r.what]; names != nil {
			u.row.Restart = append(u.row.Restart, fmt.Sprintf("%s: %s", r.what, fewNames(names)))
		}
	}
}

// upgrade is what an administrator runs on each node.
const upgrade = "apt update && apt full-upgrade"

// sayUpdates is the answer, from nodes in their order.
func (l *look) sayUpdates(all []*updated) {
	var first *updated
	waiting, unknown, blocked, reboot := 0, 0, 0, 0
	for i, u := range all {
		needs := u.row.Updates != nil && *u.row.Updates > 0 || len(u.row.Restart) > 0
		if needs {
			waiting++
		}
		if u.row.Updates == nil {
			unknown++
		}
		if len(u.row.Blocks) > 0 {
			blocked++
		}
		if slices.ContainsFunc(u.row.Restart, func(s string) bool { return strings.HasPrefix(s, "reboot") }) {
			reboot++
		}
		if first == nil && (needs || u.row.Updates == nil) && len(u.row.Blocks) == 0 {
			first = u
		}
		if i < l.in.Limit {
			l.out.Updates = append(l.out.Updates, u.row)
		}
	}
	l.out.LeftOut += max(0, len(all)-l.in.Limit)
	l.out.Message = fmt.Sprintf("Of %d nodes, in the order in which to update them, updates or a reboot wait on %d, of which %d need a reboot, and something speaks against %d now.", len(all), waiting, reboot, blocked)
	switch {
	case unknown == len(all) && waiting == 0:
		l.out.Message = fmt.Sprintf("The %d nodes are in the order in which to update them. Which updates wait is unknown of all of them; something speaks against %d now.", len(all), blocked)
	case unknown > 0:
		l.out.Message += fmt.Sprintf(" What waits is unknown of %d.", unknown)
	}
	l.out.Notes = append(l.out.Notes,
		"for each node in turn: empty it (pve_drain_node), let an administrator run the command, reboot it if it says so (pve_node_power), and bring its guests back (pve_drain_node with action: return)",
		"a token cannot install packages: an administrator runs "+upgrade+" as root on each node",
		"lists of updates are as of the last time that the node has looked, once a day; disks, devices and networks of guests are looked at by the scenario drain")
	if first != nil {
		next := l.call.Host().Offered(tool.NextCall{Tool: "pve_drain_node", Arguments: map[string]any{"node": first.row.Node, "action": "drain", "plan": true}})
		l.out.Next = &next
		l.out.Command, l.out.Where = upgrade, "root on "+first.row.Node+", when it is empty"
	}
	l.noteBlind()
}
