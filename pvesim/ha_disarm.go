package pvesim

import "time"

// disarm is the state of an HA manager that does nothing: disarming, then disarmed. The zero
// value is of one that works.
type disarm struct{ mode, state string }

// disarmHA asks the manager to stop its work. It gets to that some seconds later, and its
// agents some seconds after that. A guest that is ignored meanwhile still counts as managed to
// other endpoints.
func disarmHA(c *call) (any, error) {
	if !c.node.version.atLeast(9, 2) {
		return nil, notImplemented("POST", "/cluster/ha/status/disarm-ha")
	}
	mode := c.str("resource-mode")
	c.schedule(c.now.Add(haActs), func(time.Time) {
		if c.haDisarm.mode == "" {
			c.haDisarm = disarm{mode, "disarming"}
		}
	})
	c.schedule(c.now.Add(2*haActs), func(time.Time) {
		if c.haDisarm.mode != "" {
			c.haDisarm.state = "disarmed"
		}
	})
	return nil, nil
}

// armHA asks the manager to work again.
func armHA(c *call) (any, error) {
	if !c.node.version.atLeast(9, 2) {
		return nil, notImplemented("POST", "/cluster/ha/status/arm-ha")
	}
	c.schedule(c.now.Add(haActs), func(now time.Time) {
		c.haDisarm = disarm{}
		c.wakeHA(now)
	})
	return nil, nil
}

// fencing is what the manager says of that in its status.
func (c *call) fencing(master *node) map[string]any {
	out := map[string]any{"id": "fencing", "type": "fencing", "node": master.Name, "armed-state": "armed", "status": "armed (CRM watchdog active)"}
	if d := c.haDisarm; d.mode != "" {
		watchdog := map[bool]string{true: "released", false: "active"}[d.state == "disarmed"]
		out["armed-state"], out["resource_mode"] = d.state, d.mode
		out["status"] = d.state + ", resource mode: " + d.mode + " (CRM watchdog " + watchdog + ")"
	}
	return out
}
