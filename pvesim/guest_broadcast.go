package pvesim

import (
	"cmp"
	"time"

	"github.com/pve-mcp/pve-mcp/pvesim/internal/rrd"
)

// set changes what a guest does; others learn of it with the next broadcast.
func (s *state) set(g *guest, now guestState) {
	if g.now.running && !(now.running && now.since.Equal(g.now.since)) {
		g.runs, g.typed = append(g.runs, rrd.Span{From: g.now.since, To: s.happens}), ""
	}
	g.now = now
	s.unaired[g.VMID] = true
}

// air lets the nodes that can be heard broadcast their guests' states, as pvestatd
// does.
func (s *state) air(now time.Time) {
	period := cmp.Or(s.model.Lag, 10*time.Second)
	last := s.born.Add(now.Sub(s.born).Truncate(period))
	if !last.After(s.aired) {
		return
	}
	s.aired = last
	for _, n := range s.nodes {
		if !n.Offline {
			n.aired, n.unheard = last, false
		}
	}
	for id := range s.unaired {
		g := s.guests[id]
		if g != nil && s.nodeNamed(g.Node).Offline {
			continue
		}
		if g != nil {
			if g.fresh {
				g.known = last
			}
			g.seen, g.fresh = g.now, false
			delete(s.gone, id)
		}
		delete(s.unaired, id)
	}
}
