package pvesim

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/pve/apischema"
	"github.com/pve-mcp/pve-mcp/pvesim/internal/rrd"
)

// guestPart is what the simulation knows of guests.
type guestPart struct {
	guests        map[int]*guest // by id
	order         []int          // the ids, ascending
	lastBroadcast time.Time      // of the last broadcast
	// unannounced are the ids of those of which no broadcast has told since they changed.
	unannounced   map[int]bool
	removedGuests map[int]*guest // that were removed, by id, until a broadcast tells of another one
}

// guest is a living [Guest].
type guest struct {
	Guest
	path           string // in access control
	phases         phases
	now            runState
	announced      runState    // as of the last broadcast
	announcedName  string      // as of the last broadcast
	isNew          bool        // no broadcast has told of it yet
	lastAnnounced  time.Time   // when the last broadcast told of it, after it was removed
	firstAnnounced time.Time   // when one first did; zero for those of the model
	runs           []rrd.Span  // of it, in the past
	snaps          []*snapshot // parents first
	// pending are changes that wait for the guest's next start, and dropped the
	// keys that it then loses, true if with their volumes.
	pending map[string]string
	dropped map[string]bool
	queued  time.Time // until when the HA manager has not taken notice of it
	resource
	run     map[int]*process // in the guest, by process id
	lastPID int              // of those
	inside  *inside          // nil if nobody has looked yet
	screen  *screen          // of a system that is up; nil if nobody has looked yet
	// screens are the connections to its screen, and these its password.
	screens     map[*console]io.Closer
	vncPassword string
	vncUntil    time.Time
	// inImage are the settings in the cloud-init image, as it was made last.
	inImage map[string]string
}

// snapshot is a living [Snapshot].
type snapshot struct {
	Snapshot
	taken time.Time
}

// runState is the part of a guest's state that nodes broadcast.
type runState struct {
	running bool
	qmp     string    // as in [Guest.QMPStatus]
	since   time.Time // of running
	warm    bool      // it did not boot: its RAM was restored
	// installs is how long cloud-init of the system works until the agent is there.
	installs time.Duration
}

// addGuests makes the guests of the model.
func (s *state) addGuests(m Model, now time.Time) error {
	s.guests, s.lastBroadcast, s.unannounced, s.removedGuests = map[int]*guest{}, now, map[int]bool{}, map[int]*guest{}
	for _, g := range m.Guests {
		if err := s.addGuest(g, now); err != nil {
			return err
		}
	}
	s.order = slices.Sorted(maps.Keys(s.guests))
	return nil
}

func (s *state) addGuest(g Guest, now time.Time) error {
	switch {
	case s.guests[g.VMID] != nil:
		return fmt.Errorf("guest %d: there are two", g.VMID)
	case g.Kind != "qemu" && g.Kind != "lxc":
		return fmt.Errorf("guest %d: the kind %q is neither qemu nor lxc", g.VMID, g.Kind)
	case s.nodeNamed(g.Node) == nil:
		return fmt.Errorf("guest %d: there is no node %q", g.VMID, g.Node)
	}
	g.Config, g.HAOptions = maps.Clone(g.Config), maps.Clone(g.HAOptions)
	st := runState{running: g.Running, qmp: g.QMPStatus, since: now.Add(-g.Up)}
	living := newGuest(g, s.model.Seed)
	living.now, living.announced, living.announcedName = st, st, living.name()
	for _, run := range g.Ran {
		living.runs = append(living.runs, rrd.Span{From: now.Add(-run.Ago), To: now.Add(run.Took - run.Ago)})
	}
	if g.Age > 0 {
		living.firstAnnounced = now.Add(-g.Age)
	}
	for _, snap := range g.Snapshots {
		if snap.Config == nil {
			snap.Config = g.Config
		}
		snap.Config = maps.Clone(snap.Config)
		living.snaps = append(living.snaps, &snapshot{Snapshot: snap, taken: now.Add(-snap.Age)})
	}
	s.guests[g.VMID] = living
	return nil
}

func newGuest(g Guest, seed uint64) *guest {
	g.Files = maps.Clone(g.Files)
	if g.Files == nil {
		g.Files = map[string]string{}
	}
	living := &guest{
		Guest: g, path: aclPath(g.VMID), phases: phasesOf(seed, g.VMID),
		pending: map[string]string{}, dropped: map[string]bool{}, run: map[int]*process{},
	}
	living.Pending = nil
	maps.Copy(living.pending, g.Pending)
	delete(living.pending, "delete")
	for _, key := range apischema.SplitList(g.Pending["delete"]) {
		key, force := strings.CutPrefix(key, "!")
		living.dropped[key] = force
	}
	return living
}

// aclPath is the path of a guest in access control.
func aclPath(vmid int) string { return "/vms/" + strconv.Itoa(vmid) }

func (g *guest) noun() string {
	if g.Kind == "lxc" {
		return "CT"
	}
	return "VM"
}

func (g *guest) name() string {
	if g.Kind == "lxc" {
		return cmp.Or(g.Config["hostname"], fmt.Sprintf("CT%d", g.VMID))
	}
	return cmp.Or(g.Config["name"], fmt.Sprintf("VM %d", g.VMID))
}

func (g *guest) template() bool { return g.Config["template"] == "1" }
