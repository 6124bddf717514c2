package maintenance

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/selection"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pve"
)

const (
	// clockSlack is how far the clocks of two processes of this server may differ.
	clockSlack = 5 * time.Second
	// startupTime is how long after the boot of a node its guests may be started, if no task
	// says that this is over.
	startupTime = 5 * time.Minute
)

// nodeSeen is what is seen of a node that was to reboot.
type nodeSeen struct {
	nodePowerRow
	waits    string // what it waits for, "" if the node is back and its guests are or stay away
	rebooted bool
	answers  bool
	idle     []pve.VMID // guests that ran before or start with the node, and do not run
	lost     []pve.VMID // those of them that ran and were to come back
}

// look looks whether a node has rebooted, whether the cluster has quorum and whether the
// guests of the node run again.
func (s nodePowerState) look(ctx context.Context, c *tool.Call, n nodeToGo) nodeSeen {
	seen := nodeSeen{nodePowerRow: nodePowerRow{Node: n.Name, State: "does not answer"}}
	status, err := c.PVE.NodeStatus(ctx, n.Name)
	if err != nil {
		seen.waits = fmt.Sprintf("node %s to answer again: %s", n.Name, c.Explain(err).What)
		return seen
	}
	up := time.Duration(status.Uptime.Value) * time.Second
	booted := c.Now().Add(-up)
	seen.answers, seen.Up = true, render.Time(booted)
	if seen.rebooted = s.provesReboot(n.Name, status.Uptime.Value, booted); !seen.rebooted {
		seen.State, seen.waits = "has not gone down", fmt.Sprintf("node %s to go down; it is up since %s", n.Name, seen.Up)
		return seen
	}
	seen.State = "has rebooted"
	if seen.waits = waitsForQuorum(ctx, c); seen.waits == "" {
		s.lookAtGuests(ctx, c, n, up, &seen)
	}
	return seen
}

// provesReboot reports whether a node has booted since the request: it is up for less time than
// before, or since a later time. A node that was up for a few seconds only, when the order came,
// gives the clocks less slack.
func (s nodePowerState) provesReboot(node string, up int64, booted time.Time) bool {
	before := time.Duration(s.Up[node]) * time.Second
	slack := min(clockSlack, before/2)
	if before < 3*time.Second {
		slack = -2 * time.Second // PVE counts whole seconds
	}
	return up < s.Up[node] || booted.After(time.Unix(s.At, 0).Add(-slack))
}

// waitsForQuorum says what is missing of the quorum, "" if nothing is.
func waitsForQuorum(ctx context.Context, c *tool.Call) string {
	items, err := c.PVE.ClusterStatus(ctx)
	if err != nil {
		return "the quorum of the cluster to be seen: " + c.Explain(err).What
	}
	if lacksQuorum(items) {
		return "the cluster to have its quorum again"
	}
	return ""
}

// lacksQuorum reports whether there is a cluster that has lost its quorum.
func lacksQuorum(items []pve.ClusterItem) bool {
	return slices.ContainsFunc(items, func(i pve.ClusterItem) bool { return i.Type == "cluster" && !i.Quorate.Value })
}

// lookAtGuests looks which guests of a node run again. Right after a boot, PVE's list of the
// cluster may still show them as they were before, so that the node itself is asked.
func (s nodePowerState) lookAtGuests(ctx context.Context, c *tool.Call, n nodeToGo, up time.Duration, seen *nodeSeen) {
	byHA := selection.IDs(n.HA)
	ran := slices.Concat(selection.IDs(n.Back), byHA)
	all := slices.Concat(ran, selection.IDs(n.Stay), selection.IDs(n.Start))
	runs, err := runningOn(ctx, c, n.Name)
	if err != nil {
		seen.waits = fmt.Sprintf("the guests of node %s to be seen: %s", n.Name, c.Explain(err).What)
		return
	}
	names := map[pve.VMID]string{}
	if list, err := c.PVE.Resources(ctx, "vm"); err == nil {
		for _, g := range list.Resources() {
			names[g.VMID] = cluster.GuestName(g)
			runs[g.VMID] = runs[g.VMID] || g.Node.Value != n.Name && g.Status.Value == "running" // it has moved
		}
	}
	isIdle := func(id pve.VMID) bool { return !runs[id] }
	seen.idle, seen.lost = only(all, isIdle), only(ran, isIdle)
	var said []string
	for _, id := range seen.idle {
		name := names[id]
		if name == "" {
			name = id.String()
		}
		said = append(said, name)
	}
	few := said[:min(len(said), mostNamed)]
	seen.NotRunning, seen.And = few, len(said)-len(few)
	if comes := len(seen.idle) - len(only(selection.IDs(n.Stay), isIdle)); comes > 0 && !startupIsOver(ctx, c, n.Name, up, len(only(byHA, isIdle)) > 0) {
		seen.waits = fmt.Sprintf("%s of node %s to run again", count(comes, "guest"), n.Name)
	}
}

// only are the ids of which something is true.
func only(ids []pve.VMID, is func(pve.VMID) bool) (out []pve.VMID) {
	for _, id := range ids {
		if is(id) {
			out = append(out, id)
		}
	}
	return out
}

// runningOn are the guests that a node itself shows as running.
func runningOn(ctx context.Context, c *tool.Call, node string) (map[pve.VMID]bool, error) {
	here, err := guestsOn(ctx, c, node)
	out := map[pve.VMID]bool{}
	for id, g := range here {
		out[id] = g.Status.Value == "running"
	}
	return out, err
}

// checkStillNamed refuses the order to a node on which guests run by now that were not named: the
// nodes before it may have taken half an hour.
func (s nodePowerState) checkStillNamed(ctx context.Context, c *tool.Call, node string) error {
	if strings.TrimSpace(s.Guests) == allNodes {
		return nil
	}
	var known []pve.VMID
	for _, n := range s.Nodes {
		known = slices.Concat(known, selection.IDs(n.Back), selection.IDs(n.HA), selection.IDs(n.Stay))
	}
	here, err := guestsOn(ctx, c, node)
	if err != nil {
		return err
	}
	var others []string
	for id, g := range here {
		if g.Status.Value == "running" && !slices.Contains(known, id) {
			others = append(others, cluster.GuestName(g))
		}
	}
	hidden, err := hiddenOn(ctx, c, node, here)
	if err != nil {
		return err
	}
	for _, id := range hidden {
		others = append(others, hiddenName(id))
	}
	slices.SortFunc(others, pve.CompareNames)
	if others != nil {
		return explain.Refusal("Move them away, or name them in guests, and make the call anew for the nodes that are left.",
			"%s: not sent, since guests run there by now that did not when it was planned: %s.", s.aboutNode(node), render.List(render.Few(others, mostNamed)))
	}
	return nil
}

// startupIsOver reports whether a node that is up for a time starts none of its guests any
// more. HA may take a while longer than the node's own task.
func startupIsOver(ctx context.Context, c *tool.Call, node string, up time.Duration, awaitsHA bool) bool {
	tasks, _, err := c.PVE.NodeTasks(ctx, node, pve.TaskFilter{Source: "all", Type: "startall", Since: c.Now().Add(-up), Limit: 1})
	if err == nil && len(tasks) > 0 {
		return tasks[0].EndTime.Set && (!awaitsHA || up > startupTime)
	}
	return up > startupTime
}

// offlineOf are those of some nodes that are offline by the cluster's view.
func offlineOf(ctx context.Context, c *tool.Call, nodes []nodeToGo) ([]string, error) {
	list, err := c.PVE.Resources(ctx, "node")
	if err != nil {
		return nil, err
	}
	var out []string
	for _, r := range list.Resources() {
		name := r.Node.Value
		if r.Status.Value == "offline" && slices.ContainsFunc(nodes, func(n nodeToGo) bool { return n.Name == name }) {
			out = append(out, name)
		}
	}
	return out, nil
}

// wasOrdered reports whether a node shows that it got its order: it has booted since, or is
// down. That through which this server sees the cluster cannot be seen then.
func (s nodePowerState) wasOrdered(ctx context.Context, c *tool.Call, n nodeToGo) (bool, error) {
	off, err := offlineOf(ctx, c, []nodeToGo{n})
	switch {
	case err != nil && n.Own:
		return true, nil
	case err != nil || len(off) > 0:
		return len(off) > 0, err
	}
	status, err := c.PVE.NodeStatus(ctx, n.Name)
	if err != nil {
		return false, err
	}
	booted := c.Now().Add(-time.Duration(status.Uptime.Value) * time.Second)
	return s.provesReboot(n.Name, status.Uptime.Value, booted), nil
}

// waitsBefore says what the request to a node waits for, "" if it may be sent. A node reboots
// when the one before it is back. Of a shutdown only the last request waits, so that the node
// through which this server sees the others goes when they are off.
func (s nodePowerState) waitsBefore(ctx context.Context, c *tool.Call, at int) string {
	if s.Action == "reboot" {
		seen := s.look(ctx, c, s.Nodes[at-1])
		if seen.waits == "" && len(seen.lost) > 0 {
			return fmt.Sprintf("guests of node %s that ran before: %s", seen.Node, render.List(seen.NotRunning))
		}
		return seen.waits
	}
	if !s.Nodes[at].Own {
		return ""
	}
	others := slices.DeleteFunc(slices.Clone(s.Nodes[:at]), func(n nodeToGo) bool { return n.Runs })
	off, err := offlineOf(ctx, c, others)
	switch {
	case err != nil:
		return "the state of the other nodes to be seen: " + c.Explain(err).What
	case len(off) == len(others):
		return ""
	case s.Nodes[at].HA != "" && waitsForQuorum(ctx, c) != "": // its watchdog would reset it soon
		return ""
	}
	left := slices.DeleteFunc(namesOf(others), func(name string) bool { return slices.Contains(off, name) })
	return "the shutdown of " + render.List(left)
}
