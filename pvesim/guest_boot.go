package pvesim

import (
	"time"

	"github.com/pve-mcp/pve-mcp/pvesim/internal/propstring"
)

// bootTakes is how long a VM's system needs until its agent answers.
const bootTakes = 10 * time.Second

// hasBootDisk reports whether there is a system that a guest starts. A VM whose disks
// are all blank and that has no medium to boot from has none.
func (s *state) hasBootDisk(g *guest) bool {
	blank := false
	for key, drive := range g.Config {
		v := s.volumeOf(propstring.Volume(drive), g.Node)
		if v == nil || !propstring.IsDriveKey(g.Kind, key) || withoutIndex(key) == "unused" || propstring.IsCloudInit(drive) {
			continue
		}
		if !v.Blank {
			return true
		}
		blank = true
	}
	return !blank
}

// booted reports whether the guest's system is up.
func (s *state) booted(g *guest, now time.Time) bool {
	return g.now.running && s.hasBootDisk(g) && (g.now.warm || g.Kind == "lxc" || now.Sub(g.now.since) >= bootTakes)
}

func (c *call) agentAnswers(g *guest) bool {
	return !g.AgentDead && g.now.qmp == "" && c.booted(g, c.now)
}
