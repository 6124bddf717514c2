package pvesim

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/pve/apischema"
)

// How long it takes until a node obeys, from its last guest until it is off, until it is back,
// and until it starts its guests then.
const (
	obeyTakes  = 2 * time.Second
	haltTakes  = 10 * time.Second
	bootsIn    = 2 * time.Minute
	autoStarts = 5 * time.Second
)

// nodePower is whether a node runs, and whether the others reach it.
type nodePower struct {
	off     bool      // it has no power, or boots
	cut     bool      // it is off the network
	boots   bool      // it is about to come up
	leaving bool      // it shuts down
	reboots bool      // it does so to come back
	life    int       // how often it went off or on: what was to happen in another life does not
	halted  bool      // it shut down before it went off
	leftAt  time.Time // when it went off the network last
	// These are what HA's agent on it does when it shuts down: it lets the manager move its
	// resources away, or freezes them until the node is back.
	evacuates, freezes bool
	aloneSince         time.Time // since when its watchdog is about to reset it
}

// SetPower takes the power of a node away, or gives it back. Its guests and tasks end at
// once, and their locks stay. With power, the node boots ([NodeHealth.BootTakes]) and starts
// the guests that start with it.
func (s *Sim) SetPower(node string, on bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.nodeNamed(node)
	if n == nil {
		return fmt.Errorf("there is no node %q", node)
	}
	now := s.clock.Now()
	s.advance(now)
	switch {
	case on && n.off:
		s.bootNode(n, now)
	case !on && !n.off:
		s.powerOff(n, false, now)
	}
	return nil
}

// commandNode makes a node reboot or shut down, some seconds after it has answered.
func commandNode(c *call) (any, error) {
	n, reboot := c.node, c.str("command") == "reboot"
	if !n.IgnoresPower {
		c.atNode(n, c.now.Add(obeyTakes), func(now time.Time) { c.shutDown(n, reboot, now) })
	}
	return nil, nil
}

// atNode makes something happen on a node, if the node lives until then.
func (s *state) atNode(n *node, at time.Time, do func(now time.Time)) {
	life := n.life
	s.schedule(at, func(now time.Time) {
		if n.life == life {
			do(now)
		}
	})
}

// shutDown stops the guests of a node, the last that started first, and then the node.
func (s *Sim) shutDown(n *node, reboot bool, now time.Time) {
	if n.leaving || n.off {
		return
	}
	n.leaving, n.reboots = true, reboot
	for _, t := range slices.Clone(s.active) {
		if t.node == n.Name && t.typ == "vzdump" {
			s.stop(t, now)
		}
	}
	upid, _ := stopAll(s.asRoot(n, now, nil))
	tasks := append(s.haltResources(n, now), fmt.Sprint(upid))
	s.haltWhenEmpty(n, tasks, now)
}

// haltWhenEmpty ends a node when tasks have ended that stop its guests, and HA has moved away
// what it does.
func (s *Sim) haltWhenEmpty(n *node, tasks []string, now time.Time) {
	const again = time.Second
	busy := slices.ContainsFunc(tasks, func(upid string) bool { return !s.byUPID[upid].over })
	if !busy && s.isEvacuated(n) {
		s.atNode(n, now.Add(haltTakes), func(now time.Time) { s.powerOff(n, n.reboots, now) })
		return
	}
	s.atNode(n, now.Add(again), func(now time.Time) { s.haltWhenEmpty(n, tasks, now) })
}

// powerOff ends all that runs on a node. It boots again if it is to come back.
func (s *Sim) powerOff(n *node, again bool, now time.Time) {
	for _, t := range slices.Clone(s.active) {
		if t.node == n.Name {
			s.kill(t, now)
		}
	}
	delete(s.dumps, n.Name)
	for _, id := range s.order {
		if g := s.guests[id]; g.Node == n.Name && g.now.running {
			s.setRunState(g, runState{})
		}
	}
	n.halted = n.leaving
	n.off, n.boots, n.leaving, n.life = true, false, false, n.life+1
	s.reach(n, now)
	if again && !n.StaysDown {
		s.bootNode(n, now)
	}
}

// bootNode starts a node that is off.
func (s *Sim) bootNode(n *node, now time.Time) {
	n.life++
	n.boots = true
	s.atNode(n, now.Add(cmp.Or(n.BootTakes, bootsIn)), func(now time.Time) { s.comeUp(n, now) })
}

// comeUp ends the boot of a node, which starts its guests soon.
func (s *Sim) comeUp(n *node, now time.Time) {
	n.off, n.boots, n.evacuates, n.freezes, n.booted, n.life = false, false, false, false, now, n.life+1
	n.RunningKernel, n.Stopped = "", nil
	s.reach(n, now)
	s.atNode(n, now.Add(autoStarts), func(now time.Time) {
		_, _ = startAll(s.asRoot(n, now, nil)) // what is wrong with a guest fails in its task
	})
}

// reach takes notice of whether the others reach a node. Migrations to it break off if they
// no longer do.
func (s *state) reach(n *node, now time.Time) {
	down := n.off || n.cut
	if down == n.Offline {
		return
	}
	n.Offline = down
	defer s.watch(now)
	s.wakeHA(now)
	if !down {
		return
	}
	n.leftAt = now
	for _, t := range slices.Clone(s.active) {
		if t.outcome.needs == n {
			t.outcome.interrupted = "migration aborted"
			s.stop(t, now)
		}
	}
}

// kill ends a task as the end of its node does: it cleans up nothing and says nothing.
func (s *state) kill(t *task, now time.Time) {
	t.outcome.undo, t.outcome.last, t.outcome.interrupted = nil, nil, brokenOff
	s.stop(t, now)
}

// brokenOff is what PVE says of a task whose log does not tell how it ended.
const brokenOff = "unexpected status"

// asRoot is a call that a node makes by itself.
func (s *Sim) asRoot(n *node, now time.Time, params apischema.Values) *call {
	c := &call{Sim: s, receiver: n, node: n, arrived: now, now: now, params: params, filters: map[[2]string]bool{}}
	c.caller = apischema.Caller{User: "root@pam", Privs: func(path string) map[string]bool { return c.privs("root@pam", path).held }, Groups: c.groupsOf}
	return c
}

// whenQuorate begins a part of a task when its node has quorum.
func (c *call) whenQuorate(next func(now time.Time) outcome) func(now time.Time) outcome {
	const again = 5 * time.Second
	var wait func(time.Time) outcome
	waited := false
	wait = func(now time.Time) outcome {
		switch {
		case c.quorateAt(c.node) && waited:
			o := next(now)
			o.log = append([]entry{{text: "got quorum"}}, o.log...)
			return o
		case c.quorateAt(c.node):
			return next(now)
		case waited:
			return outcome{took: again, then: wait}
		}
		waited = true
		return outcome{took: again, then: wait, log: []entry{{text: "waiting for quorum ..."}}}
	}
	return wait
}

// dropBackupLocks removes the locks that backups have left on the guests of a node, unless one
// is being made.
func (c *call) dropBackupLocks() []entry {
	if c.dumps[c.node.Name] != nil {
		return []entry{{text: "can't lock file '/var/run/vzdump.lock' - got timeout"}}
	}
	var log []entry
	for _, id := range c.order {
		if g := c.guests[id]; g.Node == c.node.Name && g.Config["lock"] == "backup" {
			delete(g.Config, "lock")
			log = append(log, entry{text: fmt.Sprintf("removed left over backup lock from '%d'!", id)})
		}
	}
	return log
}

// wakeNode sends a packet that switches a node on, if its configuration says to which
// hardware address.
func wakeNode(c *call) (any, error) {
	n := c.nodeNamed(c.str("node"))
	switch {
	case n == nil:
		return nil, die("no such cluster node '%s'", c.str("node"))
	case n == c.receiver:
		return nil, die("'%s' is local node, cannot wake my self!", n.Name)
	}
	mac := ""
	if set := c.section("nodes/"+n.Name+"/config", "", ""); set != nil {
		mac, _, _ = strings.Cut(strings.TrimPrefix(set.Options["wakeonlan"], "mac="), ",")
	}
	if mac == "" {
		return nil, die("No wake on LAN MAC address defined for '%s'!", n.Name)
	}
	if n.off {
		c.bootNode(n, c.now)
	}
	return mac, nil
}
