package pvesim

import (
	"fmt"
	"strconv"
	"time"
)

// getHAStatus tells of the HA manager and of its agents on the nodes, and what it
// makes of each guest.
func getHAStatus(c *call) (any, error) {
	online := 0
	for _, n := range c.nodes {
		online += bit(!n.Offline)
	}
	quorate := online*2 > len(c.nodes) || len(c.nodes) == 2
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

// statusRow is what is known of a node's part of HA, which reports every few seconds.
func (c *call) statusRow(id, kind string, n *node, active bool) map[string]any {
	at, word := c.now.Truncate(10*time.Second), "idle"
	if active {
		word = "active"
	}
	if n.Maintenance && kind == "lrm" {
		word = "maintenance mode"
	}
	if n.Offline {
		at, word = n.heardAt, "old timestamp - dead?"
	}
	return map[string]any{
		"id": id, "type": kind, "node": n.Name, "timestamp": at.Unix(),
		"status": fmt.Sprintf("%s (%s, %s)", n.Name, word, at.UTC().Format("Mon Jan _2 15:04:05 2006")),
	}
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
