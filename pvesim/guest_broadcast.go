package pvesim

import (
	"cmp"
	"time"

	"github.com/pve-mcp/pve-mcp/pvesim/internal/rrd"
)

// setRunState changes what a guest does; others learn of it with the next broadcast.
func (s *state) setRunState(g *guest, now runState) {
	if g.now.running && !(now.running && now.since.Equal(g.now.since)) {
		g.runs = append(g.runs, rrd.Span{From: g.now.since, To: s.happens})
		g.haltInside()
	}
	starts := now.running && !now.warm && !(g.now.running && now.since.Equal(g.now.since))
	g.now = now
	if starts {
		s.boot(g)
	}
	s.unannounced[g.VMID] = true
	if g.managed() {
		s.wakeHA(s.happens)
	}
}

// broadcasts reports whether others hear of the node's guests.
func (n *node) broadcasts() bool { return !n.Offline && !n.StatusHangs }

// broadcast lets the nodes that can be heard broadcast their guests' names and states, as
// pvestatd does.
func (s *state) broadcast(now time.Time) {
	period := cmp.Or(s.model.Lag, 10*time.Second)
	last := s.born.Add(now.Sub(s.born).Truncate(period))
	if !last.After(s.lastBroadcast) {
		return
	}
	s.lastBroadcast = last
	for _, n := range s.nodes {
		if n.broadcasts() {
			n.heardAt, n.neverHeard = last, false
		}
	}
	for _, g := range s.guests {
		if s.nodeNamed(g.Node).broadcasts() {
			g.announcedName = g.name()
		}
	}
	for id := range s.unannounced {
		g := s.guests[id]
		if g != nil && !s.nodeNamed(g.Node).broadcasts() {
			continue
		}
		if g != nil {
			if g.isNew {
				g.firstAnnounced = last
			}
			g.announced, g.isNew = g.now, false
			delete(s.removedGuests, id)
		}
		delete(s.unannounced, id)
	}
}
