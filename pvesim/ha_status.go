package pvesim

import (
	"fmt"
	"strconv"
	"time"
)

// getHAStatus tells of the HA manager and of its agents on the nodes, and what it
// makes of each guest.
func getHAStatus(c *call) (any, error) {
	quorate := c.quorate()
	out := []any{map[string]any{
		"id": "quorum", "type": "quorum", "node": c.node.Name, "quorate": bit(quorate),
		"status": map[bool]string{true: "OK", false: "No quorum on node '" + c.node.Name + "'!"}[quorate],
	}}
	busy := map[string]bool{}
	for _, g := range c.guests {
		if g.managed() {
			busy[g.Node] = true
		}
	}
	if master := c.haMaster(); c.haUsed && master != nil {
		out = append(out, c.statusRow("master", "master", master, true))
	}
	for _, n := range c.nodes {
		out = append(out, c.statusRow("lrm:"+n.Name, "lrm", n, busy[n.Name]))
	}
	for _, id := range c.order {
		if g := c.guests[id]; g.HA != "" {
			out = append(out, c.service(g))
		}
	}
	return out, nil
}

// haMaster is the node whose manager decides.
func (s *state) haMaster() *node {
	for _, n := range s.nodes {
		if !n.Offline {
			return n
		}
	}
	return nil
}

// statusRow is what is known of a node's part of HA.
func (c *call) statusRow(id, kind string, n *node, active bool) map[string]any {
	at, word := c.reported(n), "idle"
	if active {
		word = "active"
	}
	if n.Maintenance && kind == "lrm" {
		word = "maintenance mode"
	}
	if n.Offline {
		word = "old timestamp - dead?"
	}
	return map[string]any{
		"id": id, "type": kind, "node": n.Name, "timestamp": at.Unix(),
		"status": fmt.Sprintf("%s (%s, %s)", n.Name, word, at.UTC().Format("Mon Jan _2 15:04:05 2006")),
	}
}

// getManagerStatus is what the manager has written down, and what each node's agent has.
func getManagerStatus(c *call) (any, error) {
	nodes, agents, services := map[string]any{}, map[string]any{}, map[string]any{}
	for _, n := range c.nodes {
		state, mode := "online", "active"
		switch {
		case n.Fenced:
			state = "fence"
		case n.Offline:
			state = "unknown"
		case n.Maintenance:
			state, mode = "maintenance", "maintenance"
		}
		nodes[n.Name] = state
		agents[n.Name] = map[string]any{
			"mode": mode, "state": "wait_for_agent_lock", "results": map[string]any{}, "timestamp": c.reported(n).Unix(),
		}
	}
	for _, g := range c.guests {
		if g.managed() && !c.now.Before(g.queued) {
			agents[g.Node].(map[string]any)["state"] = "active"
			services[g.sid()] = map[string]any{"state": g.HA, "node": g.Node, "uid": fmt.Sprintf("%x", hash(c.model.Seed, g.sid(), "uid")), "running": bit(g.now.running)}
		}
	}
	manager := map[string]any{}
	if master := c.haMaster(); c.haUsed && master != nil {
		manager = map[string]any{
			"master_node": master.Name, "node_status": nodes, "service_status": services, "timestamp": c.reported(master).Unix(),
		}
	}
	return map[string]any{
		"lrm_status": agents, "manager_status": manager, "quorum": map[string]any{"node": c.node.Name, "quorate": strconv.Itoa(bit(c.quorate()))},
	}, nil
}

// reported is when a node's part of HA reported last, by the clock of the node, which it does
// every few seconds.
func (c *call) reported(n *node) time.Time {
	if n.Offline {
		return n.heardAt
	}
	return n.time(c.now.Truncate(10 * time.Second))
}

func (c *call) service(g *guest) map[string]any {
	state := g.HA
	out := map[string]any{
		"id": "service:" + g.sid(), "type": "service", "sid": g.sid(), "node": g.Node,
		"request_state": g.requested(), "max_restart": 1, "max_relocate": 1,
	}
	if c.now.Before(g.queued) {
		state = "queued"
	} else {
		out["crm_state"] = state
	}
	for _, key := range []string{"max_restart", "max_relocate", "failback"} {
		if n, err := strconv.Atoi(g.HAOptions[key]); err == nil {
			out[key] = n
		}
	}
	for _, key := range []string{"comment", "group"} {
		if text := g.HAOptions[key]; text != "" {
			out[key] = text
		}
	}
	if _, set := out["failback"]; !set && c.node.version.major >= 9 {
		out["failback"] = 1
	}
	out["state"], out["status"] = state, fmt.Sprintf("%s (%s, %s)", g.sid(), g.Node, state)
	return out
}
