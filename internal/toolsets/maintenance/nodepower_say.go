package maintenance

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/selection"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
)

// namesOfIDs are the names of guests of the cluster.
func (p *powerPlan) namesOfIDs(lists ...string) []string {
	var out []string
	for _, id := range selection.IDs(strings.Join(slices.DeleteFunc(lists, func(s string) bool { return s == "" }), ",")) {
		i := slices.IndexFunc(p.guests, func(g pve.Resource) bool { return g.VMID == id })
		out = append(out, cluster.GuestName(p.guests[i]))
	}
	slices.SortFunc(out, pve.CompareNames)
	return out
}

// sayWho says which guests go down with each node, and which of them do not come back by
// themselves, and what the node is to this server.
func (p *powerPlan) sayWho() {
	for _, n := range p.Nodes {
		down := p.namesOfIDs(n.Back, n.HA, n.Stay)
		line := "no guest that this token sees runs on " + n.Name
		if len(down) > 0 {
			line = fmt.Sprintf("%s down with %s: %s", plural(len(down), "guest goes", "guests go"), n.Name, render.List(down))
		}
		p.lines = append(p.lines, line)
		if stay := p.namesOfIDs(n.Stay); len(stay) > 0 && p.Action == "reboot" {
			p.lines = append(p.lines, fmt.Sprintf("%s not start again with %s (no onboot): %s", plural(len(stay), "of them does", "of them do"), n.Name, render.List(stay)))
		}
		if n.Own && p.Action == "reboot" {
			p.lines = append(p.lines, fmt.Sprintf("this server talks to the API through %s: until it is back, little or nothing can be seen", n.Name))
		}
		if n.Own && p.Action == "shutdown" {
			p.lines = append(p.lines, fmt.Sprintf("this server talks to the API through %s, and cannot see by it whether it is off in the end", n.Name))
		}
	}
}

// plural counts something, with the words for one and for several.
func plural(n int, one, several string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, several)
}

// sayTasks says which tasks run on a node, which go down with it.
func (p *powerPlan) sayTasks(ctx context.Context, c *tool.Call, node string) error {
	tasks, _, err := c.PVE.NodeTasks(ctx, node, pve.TaskFilter{Source: "active"})
	if err != nil {
		return err
	}
	var said []string
	for _, t := range tasks {
		if !t.EndTime.Set {
			said = append(said, render.Text(strings.TrimSpace(t.Type+" "+t.ID), 60))
		}
	}
	if len(said) > 0 {
		p.lines = append(p.lines, fmt.Sprintf("%s on %s and %s cut off: %s", plural(len(said), "task runs", "tasks run"), node, map[bool]string{true: "is", false: "are"}[len(said) == 1], render.List(said)))
	}
	return nil
}

// shutdownPolicy is what HA does with its guests on a node that goes down.
type shutdownPolicy struct {
	HA struct {
		Policy string `json:"shutdown_policy"`
	} `json:"ha"`
}

// sayHA says what HA does with its guests on the nodes.
func (p *powerPlan) sayHA(ctx context.Context, c *tool.Call) error {
	byNode := map[string][]string{}
	for _, n := range p.Nodes {
		if names := p.namesOfIDs(n.HA); len(names) > 0 {
			byNode[n.Name] = names
		}
	}
	if len(byNode) == 0 {
		return nil
	}
	raw, err := proxmox.Get[json.RawMessage](ctx, c.PVE.Client, proxmox.Join("cluster", "options"), nil)
	if err != nil {
		return err
	}
	var options shutdownPolicy
	_ = json.Unmarshal(raw, &options) // without it, PVE's default holds
	does := p.haDoes(options.HA.Policy)
	for _, n := range p.Nodes {
		if names := byNode[n.Name]; names != nil {
			p.lines = append(p.lines, fmt.Sprintf("HA has %s on %s (%s): %s", plural(len(names), "guest", "guests"), n.Name, render.List(names), does))
		}
	}
	if p.Node == allNodes && p.Action == "shutdown" && options.HA.Policy != "freeze" {
		p.lines = append(p.lines, "as long as there is a quorum, HA may start guests of a node that is off on one that is not yet: shut them down first with pve_bulk_action to avoid that")
	}
	return nil
}

// haDoes is what a shutdown policy of HA means here.
func (p *powerPlan) haDoes(shutdown string) string {
	if shutdown == "" || shutdown == "conditional" {
		shutdown = map[string]string{"reboot": "freeze", "shutdown": "failover"}[p.Action]
	}
	back := ", and starts them again when the node is back"
	switch shutdown {
	case "freeze":
		return "HA stops them with the node and keeps them there" + back
	case "failover":
		if p.Action == "reboot" {
			return "HA stops them with the node, and starts them on other nodes if it is not back within about a minute"
		}
		return "HA stops them with the node, and starts them on other nodes"
	case "migrate":
		return "HA moves them to other nodes before the node goes down, and back when it is up again; if it cannot move one, the node waits"
	}
	return "its shutdown policy is " + render.Text(shutdown, 40)
}
