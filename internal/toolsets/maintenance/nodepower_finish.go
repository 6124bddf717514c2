package maintenance

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/change"
	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/selection"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
)

const (
	// goingDownTime is how long a node may take to stop its guests and go down.
	goingDownTime = 15 * time.Minute
	// comingBackTime is how long a node may take for the whole of a reboot.
	comingBackTime = 30 * time.Minute
	// vanishTime is how long the API of a node that shuts down may be gone before nothing
	// more is expected of it.
	vanishTime = time.Minute
)

const followIt = "It goes on by itself. Follow it with pve_task_status: handle and wait."

// finishNodePower says what is seen of the nodes. That PVE has taken a request proves nothing.
func finishNodePower(ctx context.Context, c *tool.Call, s nodePowerState, _ change.End) (nodePowerOut, error) {
	if s.At == 0 {
		return nodePowerOut{}, nil
	}
	ctx = proxmox.ReadAgain(ctx)
	if s.Action == "shutdown" {
		return s.finishShutdown(ctx, c)
	}
	return s.finishReboot(ctx, c)
}

// since is how long ago the request to the last node was sent, as far as this process knows.
func (s nodePowerState) since(c *tool.Call) time.Duration {
	last := s.Nodes[len(s.Nodes)-1].Name
	at, known := s.Sent[last]
	if !known && s.Action == "reboot" {
		at = s.At + int64(len(s.Nodes)-1)*int64(comingBackTime/time.Second)
	} else if !known {
		at = s.At
	}
	return c.Now().Sub(time.Unix(at, 0))
}

// notYet answers while something is awaited.
func (out nodePowerOut) notYet(c *tool.Call, s nodePowerState, waits string) (nodePowerOut, error) {
	c.Report(cluster.Progress{Message: s.about() + " waits for " + waits})
	out.SetOutcome(tool.Running, followIt, "%s waits for %s", s.about(), strings.TrimSuffix(waits, ".")+".")
	return out, change.ErrNotYet
}

func (s nodePowerState) finishReboot(ctx context.Context, c *tool.Call) (nodePowerOut, error) {
	var out nodePowerOut
	var idle []pve.VMID
	var names []string
	for i := len(s.Nodes) - 1; i >= 0; i-- {
		seen := s.look(ctx, c, s.Nodes[i])
		out.Nodes = append([]nodePowerRow{seen.nodePowerRow}, out.Nodes...)
		if seen.waits != "" {
			return s.notBack(c, out, seen)
		}
		idle, names = append(idle, seen.idle...), append(names, seen.NotRunning...)
	}
	said := fmt.Sprintf("Node %s has rebooted and is up since %s.", s.Nodes[0].Name, out.Nodes[0].Up)
	if len(s.Nodes) > 1 {
		said = fmt.Sprintf("All %d nodes have rebooted.", len(s.Nodes))
	}
	if !s.Alone {
		said += " The cluster has its quorum."
	}
	if len(idle) > 0 {
		list := ""
		for _, id := range idle {
			list = selection.AppendID(list, id)
		}
		out.SetOutcome(tool.Warnings, fmt.Sprintf(`To start what is wanted: pve_bulk_action {"action":"start","guests":%q}.`, list),
			"%s %s: %s.", said, doNotRun(len(idle)), render.List(names))
		return out, nil
	}
	out.SetOutcome(tool.OK, "", "%s The guests run that ran before.", said)
	return out, nil
}

// doNotRun says that some guests are not there.
func doNotRun(n int) string {
	if n == 1 {
		return "1 guest that ran before or starts with the node does not run"
	}
	return fmt.Sprintf("%d guests that ran before or start with the node do not run", n)
}

// notBack answers for a node that is not back. After a time it says that it will not be.
func (s nodePowerState) notBack(c *tool.Call, out nodePowerOut, seen nodeSeen) (nodePowerOut, error) {
	since := s.since(c)
	long := render.Duration(since.Round(time.Second))
	switch {
	case seen.answers && !seen.rebooted && since > goingDownTime:
		out.SetOutcome(tool.Failed, "Look with pve_diagnose at what holds it up, or at its own console; pve_node_power does not send the order again by itself.",
			"Node %s has not rebooted: %s after the order it is still up since %s.", seen.Node, long, seen.Up)
	case !seen.answers && since > comingBackTime:
		out.SetOutcome(tool.Failed, "Somebody has to look at the machine itself: its screen, its power.",
			"Node %s has not come back: %s after the order it does not answer.", seen.Node, long)
	case since > comingBackTime:
		out.SetOutcome(tool.Warnings, "Look with pve_cluster_status.", "Node %s has rebooted and is up since %s, but %s after the order it waits for %s.", seen.Node, seen.Up, long, seen.waits)
	default:
		return out.notYet(c, s, seen.waits)
	}
	return out, nil
}

func (s nodePowerState) finishShutdown(ctx context.Context, c *tool.Call) (nodePowerOut, error) {
	var out nodePowerOut
	off, err := offlineOf(ctx, c, s.Nodes)
	if err != nil {
		return s.outOfSight(c, out, err)
	}
	isOff := map[string]bool{}
	for _, name := range off {
		isOff[name] = true
	}
	var up []string
	for _, n := range s.Nodes {
		row := nodePowerRow{Node: n.Name, State: "offline"}
		if !isOff[n.Name] {
			row.State = "not offline"
			up = append(up, n.Name)
		}
		out.Nodes = append(out.Nodes, row)
	}
	switch {
	case len(up) == 0:
		out.SetOutcome(tool.OK, "", "%s: offline by the cluster's view: %s.", s.about(), render.List(off))
	case s.since(c) > goingDownTime:
		out.SetOutcome(tool.Failed, "Guests that take long to shut down may hold it up: look with pve_list_tasks.",
			"%s: not offline %s after the order: %s.", s.about(), render.Duration(s.since(c).Round(time.Second)), render.List(up))
	default:
		return out.notYet(c, s, "the cluster to see it offline: "+render.List(up))
	}
	return out, nil
}

// outOfSight answers if the cluster cannot be asked: the node that was asked may be the one
// that is off.
func (s nodePowerState) outOfSight(c *tool.Call, out nodePowerOut, err error) (nodePowerOut, error) {
	last := s.Nodes[len(s.Nodes)-1]
	why := c.Explain(err).What
	if !last.Own {
		return out.notYet(c, s, "the cluster to be seen: "+why)
	}
	before := ""
	if len(s.Off) > 0 {
		before = fmt.Sprintf(" Before that, the cluster saw offline: %s.", render.List(s.Off))
	}
	did := "has taken the order to shut down"
	if _, known := s.Sent[last.Name]; !known {
		did = "may have taken the order to shut down"
	}
	said := fmt.Sprintf("Node %s %s, and its API does not answer. This server cannot see whether it is off, because it sees the cluster through it.%s", last.Name, did, before)
	if s.since(c) < vanishTime {
		out.SetOutcome(tool.Running, followIt, "%s", said)
		return out, change.ErrNotYet
	}
	out.SetOutcome(tool.Unknown, "Look at the machine itself.", "%s", said)
	return out, nil
}
