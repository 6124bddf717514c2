package pvesim

import (
	"fmt"
	"slices"
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
	if master := c.haMaster(); c.haUsed && master != nil {
		out = append(out, c.statusRow("master", "master", master, "active"))
	}
	if master := c.haMaster(); c.haUsed && master != nil && c.node.version.atLeast(9, 2) {
		out = append(out, c.fencing(master))
	}
	for _, n := range c.nodes {
		out = append(out, c.statusRow("lrm:"+n.Name, "lrm", n, c.agentState(n)))
	}
	for _, id := range c.order {
		if g := c.guests[id]; g.HA != "" {
			out = append(out, c.service(g))
		}
	}
	return out, nil
}

// haNodeState is what the HA manager makes of a node.
func (s *state) haNodeState(n *node) string {
	fenced := slices.ContainsFunc(s.resources(), func(g *guest) bool { return g.Node == n.Name && g.crm == "fence" })
	switch {
	case n.Fenced || fenced:
		return "fence"
	case n.Maintenance || n.evacuates:
		return "maintenance"
	case n.Offline:
		return "unknown"
	}
	return "online"
}

// agentMode is the mode of a node's agent.
func (n *node) agentMode() string {
	switch {
	case n.Maintenance || n.evacuates:
		return "maintenance"
	case n.freezes:
		return "restart"
	case n.leaving:
		return "shutdown"
	}
	return "active"
}

// agentState is whether a node's agent has something to do. It needs the lock for that.
func (c *call) agentState(n *node) string {
	for _, g := range c.resources() {
		active := g.HA == "started" && g.crm != "freeze" && (g.Node == n.Name || g.movesTo == n.Name)
		if active && !c.now.Before(g.queued) {
			return "active"
		}
	}
	return "wait_for_agent_lock"
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

// agentSilent is after how long an agent of which nothing is heard may be dead.
const agentSilent = 30 * time.Second

// statusRow is what is known of a node's part of HA: of the manager, or of the
// agent in a state.
func (c *call) statusRow(id, kind string, n *node, agent string) map[string]any {
	at, mode, word := c.reported(n), n.agentMode(), agent
	silent := n.Offline && c.now.Sub(at) > agentSilent
	switch {
	case kind == "lrm" && mode == "maintenance", kind == "lrm" && mode != "active" && !silent:
		word = mode + " mode"
	case silent:
		word = "old timestamp - dead?"
	case agent == "wait_for_agent_lock":
		word = "idle"
	}
	if kind == "lrm" && c.node.version.atLeast(9, 2) {
		word += ", watchdog " + map[bool]string{true: "active", false: "standby"}[agent == "active" && !silent]
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
		nodes[n.Name] = c.haNodeState(n)
		agents[n.Name] = map[string]any{
			"mode": n.agentMode(), "state": c.agentState(n), "results": map[string]any{}, "timestamp": c.reported(n).Unix(),
		}
	}
	for _, g := range c.resources() {
		if c.now.Before(g.queued) {
			continue
		}
		service := map[string]any{"state": g.haState(), "node": g.Node, "uid": fmt.Sprintf("%x", hash(c.model.Seed, g.sid(), "uid")), "running": bit(g.now.running)}
		for key, value := range map[string]string{"target": g.movesTo, "maintenance_node": g.home} {
			if value != "" {
				service[key] = value
			}
		}
		services[g.sid()] = service
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
	state := g.haState()
	out := map[string]any{
		"id": "service:" + g.sid(), "type": "service", "sid": g.sid(), "node": g.Node,
		"request_state": g.requested(), "max_restart": 1, "max_relocate": 1,
	}
	switch out["crm_state"] = state; {
	case c.now.Before(g.queued):
		delete(out, "crm_state")
		state = "queued"
	case c.haDisarm.mode != "":
		state = c.haDisarm.mode
	case state == "started" && !g.now.running && !c.nodeNamed(g.Node).Offline:
		state = "starting"
	case state == "stopped" && g.now.running:
		state = "stopping"
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
