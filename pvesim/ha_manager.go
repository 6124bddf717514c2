package pvesim

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/pve/apischema"
	"github.com/pve-mcp/pve-mcp/pvesim/internal/propstring"
)

// How long what HA does takes.
const (
	fenceAfter = 60 * time.Second  // until it fences a node that it does not hear of
	lockLasts  = 120 * time.Second // until the lock of a node's agent is free if the node did not give it back
	resetAfter = 60 * time.Second  // until a node without quorum resets itself
	haRetries  = time.Minute       // until it tries again to move a resource
)

// resource is what the HA manager knows of a guest beside what is wanted.
type resource struct {
	crm      string // migrate, relocate, fence, recovery or freeze; "" means what is wanted
	movesTo  string // the node, while it moves
	home     string // the node in maintenance that it left
	failedOn []string
	tries    int
	agent    bool      // a node's agent starts or stops it
	acts     time.Time // when the manager does what it was asked for
	asked    string    // the node to which somebody wants to move it
	restarts bool      // it is stopped for that
	atOnce   bool      // it is to stop without a shutdown
}

// haState is the state in which the manager has a resource.
func (g *guest) haState() string {
	if g.crm != "" {
		return g.crm
	}
	return g.HA
}

// SetMaintenance puts a node into the maintenance mode of HA, as "ha-manager crm-command
// node-maintenance" does, or ends it: HA moves its resources away, and back when it ends.
func (s *Sim) SetMaintenance(node string, on bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.nodeNamed(node)
	if n == nil {
		return fmt.Errorf("there is no node %q", node)
	}
	now := s.clock.Now()
	s.advance(now)
	n.Maintenance, s.haUsed = on, true
	s.wakeHA(now)
	return nil
}

// wakeHA lets the HA manager look at its resources some seconds later. It does so only when
// something may have changed, so that time passes quickly when nothing does.
func (s *state) wakeHA(now time.Time) { s.wakeHAAt(now.Add(haActs)) }

func (s *state) wakeHAAt(at time.Time) {
	if s.haWakes.IsZero() || at.Before(s.haWakes) {
		s.haWakes = at
		s.timers = append(s.timers, timer{at: at, rule: true, do: func(now time.Time) {
			if s.haWakes.Equal(at) {
				s.haWakes = time.Time{}
				s.manageHA(now)
			}
		}})
	}
}

// managesHA does what is due for each resource.
func (s *Sim) managesHA(now time.Time) {
	if !s.quorate() || s.haDisarm.mode != "" {
		return // it is woken when a node comes back, or when it is armed
	}
	for _, g := range s.resources() {
		if again := s.manage(g, now); again > 0 {
			s.wakeHAAt(now.Add(again))
		}
	}
}

// resources are the guests that HA manages, by their names there.
func (s *state) resources() []*guest {
	var out []*guest
	for _, id := range s.order {
		if g := s.guests[id]; g.managed() {
			out = append(out, g)
		}
	}
	slices.SortFunc(out, func(a, b *guest) int { return strings.Compare(a.sid(), b.sid()) })
	return out
}

// manage does what is due for a resource, and says in what time to look again; 0 means when
// something has changed.
func (s *Sim) manage(g *guest, now time.Time) time.Duration {
	n := s.nodeNamed(g.Node)
	switch {
	case now.Before(g.acts):
		return g.acts.Sub(now)
	case g.HA == "error" || g.agent || g.movesTo != "":
		return 0
	case n.Offline:
		return s.recover(g, n, now)
	case n.leaving && !n.evacuates:
		return 0
	}
	g.crm = ""
	if !s.isOperating(n) && g.HA == "started" {
		g.home = n.Name
	}
	asked := s.nodeNamed(g.asked)
	g.asked = ""
	switch to := s.nodeOf(g, toStay); {
	case asked != nil && asked != n && s.isOperating(asked) && len(s.affineAt(g, asked)) == 0:
		s.moveResource(g, asked, g.restarts, now)
	case g.HA == "started" && to != nil && to != n:
		s.moveResource(g, to, false, now)
	case g.HA == "started" && !g.now.running && s.isOperating(n):
		s.agentDoes(g, "start", now)
	case (g.HA == "stopped" || g.HA == "disabled") && g.now.running:
		s.agentDoes(g, g.stopsBy(), now)
	case g.home == n.Name && s.isOperating(n):
		g.home = ""
	}
	return 0
}

// stopsBy is how the agent stops a resource: at once only if somebody has asked for that.
func (g *guest) stopsBy() string {
	if g.atOnce {
		return "stop"
	}
	return "shutdown"
}

// askMove asks the manager to move a resource, and those that rules keep together with it.
func (s *state) askMove(g *guest, to *node, restart bool, now time.Time) {
	g.asked, g.restarts, g.acts = to.Name, restart, now.Add(haActs)
	for _, sid := range s.affine(g, "positive") {
		other := s.guestOf(sid)
		other.asked, other.restarts = to.Name, restart
	}
	s.wakeHA(now)
}

// haltResources lets the agent of a node that shuts down do with its resources what the
// cluster's policy says, and returns the tasks that stop them.
func (s *Sim) haltResources(n *node, now time.Time) []string {
	policy := propstring.Get(s.clusterOptions().Options["ha"], "shutdown_policy")
	if policy == "migrate" || n.Maintenance {
		n.evacuates = true
		s.wakeHA(now)
		return nil
	}
	n.freezes = policy == "freeze" || policy != "failover" && n.reboots
	var upids []string
	for _, g := range s.resources() {
		if g.Node != n.Name || g.movesTo != "" || g.HA == "error" {
			continue
		}
		if n.freezes {
			g.crm = "freeze"
		}
		if g.now.running && !g.agent {
			upids = append(upids, s.agentDoes(g, "shutdown", now))
		}
	}
	return upids
}

// isEvacuated reports whether nothing runs on a node any more that HA moves away.
func (s *state) isEvacuated(n *node) bool {
	return !n.evacuates || !slices.ContainsFunc(s.resources(), func(g *guest) bool { return g.Node == n.Name && g.now.running })
}

// watch resets the nodes that run resources and have no quorum, unless they get it back in
// time: their watchdog does.
func (s *state) watch(now time.Time) {
	for _, n := range s.nodes {
		active := slices.ContainsFunc(s.resources(), func(g *guest) bool { return g.Node == n.Name && g.HA == "started" && g.crm != "freeze" })
		switch {
		case n.off || s.quorateAt(n) || s.haDisarm.mode != "":
			n.aloneSince = time.Time{}
		case active && n.aloneSince.IsZero():
			n.aloneSince = now
			s.timers = append(s.timers, timer{at: now.Add(resetAfter), rule: true, do: func(at time.Time) {
				if n.aloneSince.Equal(now) {
					s.sim.powerOff(n, true, at)
				}
			}})
		}
	}
}

// recover takes a resource from a node that is gone, when it is sure that the resource does
// not run there any more.
func (s *Sim) recover(g *guest, n *node, now time.Time) time.Duration {
	free := n.leftAt.Add(lockLasts)
	if n.halted {
		free = n.leftAt.Add(fenceAfter)
	}
	switch fence := n.leftAt.Add(fenceAfter); {
	case g.crm == "freeze" || g.HA == "disabled":
		return 0
	case now.Before(fence):
		return max(fence.Sub(now), haActs)
	case now.Before(free):
		g.crm = "fence"
		return max(free.Sub(now), haActs)
	}
	g.crm = "recovery"
	to := s.nodeOf(g, toServe)
	if to == nil {
		return 0
	}
	s.takeFrom(g, to, now)
	g.crm = ""
	return haActs
}

// locksOfTheDead are the locks that the end of a node has left, and that HA removes.
var locksOfTheDead = []string{"backup", "mounted", "migrate", "clone", "rollback", "snapshot", "snapshot-delete", "suspending", "suspended"}

// takeFrom gives the configuration of a resource to another node. Its volumes on a storage of
// the old node stay there, unless a replication job has copied them.
func (s *Sim) takeFrom(g *guest, to *node, now time.Time) {
	if slices.Contains(locksOfTheDead, g.Config["lock"]) {
		delete(g.Config, "lock")
	}
	copied := slices.ContainsFunc(s.replications, func(r Replication) bool {
		id, _, _ := strings.Cut(r.ID, "-")
		return id == strconv.Itoa(g.VMID) && r.Target == to.Name && r.Synced > 0
	})
	if copied {
		s.asRoot(to, now, nil).moveToNode(g, to.Name, nil)
		return
	}
	g.Node = to.Name
	s.unannounced[g.VMID] = true
}

// agentDoes lets the agent of a resource's node start it or shut it down, in a task, and
// returns that.
func (s *Sim) agentDoes(g *guest, name string, now time.Time) string {
	verbs := qemuVerbs
	if g.Kind == "lxc" {
		verbs = lxcVerbs
	}
	v, n := verbs[name], s.nodeNamed(g.Node)
	c := s.asRoot(n, now, apischema.Values{"timeout": "60", "forceStop": "1"})
	g.agent = true
	upid := s.state.fork(now, n, "root@pam", v.task, strconv.Itoa(g.VMID), g.VMID, func(now time.Time) outcome {
		return byAgent(v.work(c, g, now))
	})
	s.onEnd(s.byUPID[upid], func(end time.Time) {
		g.agent = false
		if name == "start" {
			s.started(g, end)
		}
	})
	return upid
}

// onEnd lets something happen when a task has ended.
func (s *state) onEnd(t *task, do func(end time.Time)) {
	if t.over {
		do(t.end)
		return
	}
	t.after = do
}

// started takes notice of how the start of a resource ended. One that failed is tried again,
// then on other nodes, and then given up.
func (s *Sim) started(g *guest, now time.Time) {
	defer s.wakeHA(now)
	if g.now.running {
		g.failedOn, g.tries = nil, 0
		return
	}
	if s.nodeNamed(g.Node).Offline {
		return
	}
	if g.tries++; g.tries <= g.haNumber("max_restart") {
		return
	}
	g.tries, g.failedOn = 0, append(g.failedOn, g.Node)
	if len(g.failedOn) > g.haNumber("max_relocate") {
		g.HA = "error"
		return
	}
	if to := s.nodeOf(g, toRetry); to != nil && to.Name != g.Node {
		s.moveResource(g, to, true, now)
	}
}

// haNumber is a numeric option of a resource, which is 1 if it is not set.
func (g *guest) haNumber(name string) int {
	if n, err := strconv.Atoi(g.HAOptions[name]); err == nil {
		return n
	}
	return 1
}

// moveResource moves a resource, as it runs or stopped and started again.
func (s *Sim) moveResource(g *guest, to *node, restart bool, now time.Time) {
	const takes = 6 * time.Second
	from := s.nodeNamed(g.Node)
	if g.home != "" && (to.Name == g.home || from.Name != g.home) {
		g.home = ""
	}
	g.crm, g.movesTo = "migrate", to.Name
	if restart || g.Kind == "lxc" {
		g.crm = "relocate"
	}
	typ := map[string]string{"qemu": "qmigrate", "lxc": "vzmigrate"}[g.Kind]
	upid := s.state.fork(now, from, "root@pam", typ, strconv.Itoa(g.VMID), g.VMID, func(time.Time) outcome {
		if err := cmp.Or(g.unlocked(), reachRefusal(to)); err != nil {
			return byAgent(failedBy(err))
		}
		restarts := g.now.running && g.crm == "relocate"
		g.Config["lock"] = "migrate"
		if restarts {
			s.setRunState(g, runState{})
		}
		o := done(takes, func(end time.Time) {
			delete(g.Config, "lock")
			s.asRoot(to, end, nil).moveToNode(g, to.Name, nil)
			if restarts {
				s.setRunState(g, runState{running: true, since: end})
			}
		})
		o.undo, o.needs = func() { delete(g.Config, "lock") }, to
		return byAgent(o)
	})
	s.onEnd(s.byUPID[upid], func(end time.Time) {
		g.crm, g.movesTo = "", ""
		if g.Node == to.Name {
			s.wakeHA(end)
			return
		}
		s.wakeHAAt(end.Add(haRetries))
	})
}
