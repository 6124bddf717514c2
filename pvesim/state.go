package pvesim

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/pve/apischema"
	"github.com/pve-mcp/pve-mcp/pvesim/internal/rrd"
	"github.com/pve-mcp/pve-mcp/pvesim/internal/testca"
)

// state is everything that a cluster knows. Sim's lock guards it.
type state struct {
	model        Model
	born         time.Time
	nodes        []*node
	named        map[string]*node
	guests       map[int]*guest
	order        []int // the ids of guests, ascending
	storages     []Storage
	pools        []Pool
	jobs         []BackupJob
	replications []Replication
	haGroups     []HASection
	haRules      []HASection
	haUsed       bool // the HA manager has had something to do
	users        map[string]User
	groups       []Group // of users, by id
	tokens       map[string]Token
	acl          map[string][]ACL // by path
	roles        map[string][]string

	volumes map[place]*volume
	grown   map[place]int64 // by storage: bytes taken since the model was built

	poolsWith map[string][]string // ids of pools by the ACL path of a member

	privCache map[[2]string]privSet // by who and path
	privSets  map[string]privSet    // by key

	active   []*task // that have not ended
	ended    []*task // oldest end first
	byUPID   map[string]*task
	lastPID  int
	made     uint64 // ids that were made up
	timers   []timer
	built    time.Time             // when this began: at the birth, or when it was loaded
	happens  time.Time             // when what happens does: the clock's time, or that of an earlier event
	dumps    map[string]*backupJob // that have their node's lock, by node
	consoles map[string]*console   // that were offered, by ticket
	aired    time.Time             // of the last broadcast
	unaired  map[int]bool
	gone     map[int]*guest // that were removed, by id, until a broadcast tells of another one
	ca       []byte         // the certificate as PEM; nil before the first [Listener]
	faults   []*fault       // in the order in which they are tried
}

// node is a living [Node].
type node struct {
	Node
	version version
	booted  time.Time
	aired   time.Time // when the others last heard of its guests
	unheard bool      // since they were started themselves

	cert        *tls.Certificate // nil before the first [Listener]
	fingerprint string           // of cert, or what stands for it
}

// guest is a living [Guest].
type guest struct {
	Guest
	path   string // in access control
	phases phases
	now    guestState
	seen   guestState  // as of the last broadcast
	fresh  bool        // no broadcast has told of it yet
	last   time.Time   // when the last broadcast told of it, after it was removed
	known  time.Time   // when one first did; zero for those of the model
	runs   []rrd.Span  // of it, in the past
	snaps  []*snapshot // parents first
	// pending are changes that wait for the guest's next start, and dropped the
	// keys that it then loses; true stands for: with their volumes.
	pending map[string]string
	dropped map[string]bool
	queued  time.Time        // until when the HA manager has not taken notice of it
	run     map[int]*process // in the guest, by process id
	lastPID int              // of those
	typed   string           // into its console
}

// snapshot is a living [Snapshot].
type snapshot struct {
	Snapshot
	taken time.Time
}

// guestState is the part of a guest's state that nodes broadcast.
type guestState struct {
	running bool
	qmp     string    // as in [Guest.QMPStatus]
	since   time.Time // of running
	warm    bool      // it did not boot: its RAM was restored
}

func (s *state) build(m Model, now time.Time) error {
	s.model, s.born, s.built, s.aired, s.happens = m, now, now, now, now
	s.named = map[string]*node{}
	s.guests, s.users, s.tokens, s.acl = map[int]*guest{}, map[string]User{}, map[string]Token{}, map[string][]ACL{}
	s.unaired, s.gone, s.byUPID, s.poolsWith = map[int]bool{}, map[int]*guest{}, map[string]*task{}, map[string][]string{}
	s.privCache, s.privSets = map[[2]string]privSet{}, map[string]privSet{}
	s.dumps, s.consoles = map[string]*backupJob{}, map[string]*console{}
	s.volumes, s.grown = map[place]*volume{}, map[place]int64{}
	s.storages, s.pools = slices.Clone(m.Storages), slices.Clone(m.Pools)
	s.jobs, s.replications, s.haUsed = slices.Clone(m.Jobs), slices.Clone(m.Replications), m.HAUsed
	s.haGroups, s.haRules = sectionsOf(m.HAGroups), sectionsOf(m.HARules)
	s.lastPID = 1000 + int(hash(m.Seed, "pid")%1000)
	if len(m.Nodes) == 0 {
		return fmt.Errorf("a model needs a node")
	}
	for _, n := range m.Nodes {
		s.haUsed = s.haUsed || n.Maintenance
		living := &node{
			Node: n, version: parseVersion(cmp.Or(n.PVE, m.PVE)), booted: now.Add(-n.Up), aired: now.Add(-n.Silent), fingerprint: testca.Fingerprint(fmt.Appendf(nil, "%d %s", m.Seed, n.Name)),
		}
		s.nodes, s.named[n.Name] = append(s.nodes, living), living
	}
	s.roles = builtinRoles(s.nodes[0].version)
	maps.Copy(s.roles, m.Roles)
	for _, g := range m.Guests {
		if err := s.addGuest(g, now); err != nil {
			return err
		}
	}
	s.order = slices.Sorted(maps.Keys(s.guests))
	if err := s.addVolumes(m.Volumes, now); err != nil {
		return err
	}
	if err := s.addUsers(m); err != nil {
		return err
	}
	for _, p := range m.Pools {
		for _, path := range memberPaths(p) {
			s.poolsWith[path] = append(s.poolsWith[path], p.ID)
		}
	}
	for _, t := range m.Tasks {
		if err := s.addPastTask(t, now); err != nil {
			return err
		}
	}
	for _, f := range m.Faults {
		if err := s.addFault(f); err != nil {
			return err
		}
	}
	slices.SortStableFunc(s.ended, func(a, b *task) int { return a.end.Compare(b.end) })
	return nil
}

// addUsers adds users, their tokens and what they may do.
func (s *state) addUsers(m Model) error {
	s.groups = slices.Clone(m.Groups)
	for _, u := range m.Users {
		s.users[u.ID] = u
		for _, id := range u.Groups {
			if s.groupNamed(id) == nil {
				s.groups = append(s.groups, Group{ID: id})
			}
		}
	}
	slices.SortFunc(s.groups, func(a, b Group) int { return strings.Compare(a.ID, b.ID) })
	for _, t := range m.Tokens {
		if owner, _, _ := strings.Cut(t.ID, "!"); s.users[owner].ID == "" {
			return fmt.Errorf("token %s: there is no user %s", t.ID, owner)
		}
		s.tokens[t.ID] = t
	}
	newest := builtinRoles(parseVersion("9.2"))
	for _, a := range m.ACL {
		if _, ok := s.roles[a.Role]; !ok {
			if _, later := newest[a.Role]; later {
				continue // PVE ignores roles that it does not know
			}
			return fmt.Errorf("ACL on %s: there is no role %s", a.Path, a.Role)
		}
		s.acl[a.Path] = append(s.acl[a.Path], a)
	}
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
	s.haUsed = s.haUsed || g.HA != ""
	st := guestState{running: g.Running, qmp: g.QMPStatus, since: now.Add(-g.Up)}
	living := alive(g, s.model.Seed)
	living.now, living.seen = st, st
	for _, run := range g.Ran {
		living.runs = append(living.runs, rrd.Span{From: now.Add(-run.Ago), To: now.Add(run.Took - run.Ago)})
	}
	if g.Age > 0 {
		living.known = now.Add(-g.Age)
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

func alive(g Guest, seed uint64) *guest {
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

// addVolumes makes the model's volumes exist, and those of its guests.
func (s *state) addVolumes(listed []Volume, now time.Time) error {
	for _, v := range listed {
		st := s.storageNamed(v.storage())
		v.ID = strings.Replace(v.ID, "*", stamp(st, now.Add(-v.Age)), 1)
		switch {
		case st == nil:
			return fmt.Errorf("volume %s: there is no such storage", v.ID)
		case !st.everywhere() && s.nodeNamed(v.Node) == nil:
			return fmt.Errorf("volume %s: there is no node %q", v.ID, v.Node)
		case s.volumeOf(v.ID, v.Node) != nil:
			return fmt.Errorf("volume %s: there are two on node %q", v.ID, v.Node)
		}
		s.put(v, now.Add(-v.Age))
	}
	for _, id := range s.order {
		if !s.model.NoMoreVolumes {
			s.derive(s.guests[id], now)
		}
	}
	for _, v := range s.volumes {
		if v.Content == "backup" {
			s.fill(v)
		}
	}
	clear(s.grown) // the storages' Used counts these
	for i := range s.storages {
		st := &s.storages[i]
		for node, used := range st.UsedOn {
			s.grown[s.placeOf(st.ID, node)] = used - st.Used
		}
		st.UsedOn = nil // it is living from now on
	}
	return nil
}

func (s *state) nodeNamed(name string) *node { return s.named[name] }

// aclPath is the path of a guest in access control.
func aclPath(vmid int) string { return "/vms/" + strconv.Itoa(vmid) }

func memberPaths(p Pool) []string {
	var out []string
	for _, id := range p.VMIDs {
		out = append(out, aclPath(id))
	}
	for _, id := range p.Storages {
		out = append(out, "/storage/"+id)
	}
	return out
}

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

// uuid makes up an id that it has not given before.
func (s *state) uuid(what string) string {
	s.made++
	a, b := hash(s.model.Seed, what, s.made, 1), hash(s.model.Seed, what, s.made, 2)
	return fmt.Sprintf("%08x-%04x-4%03x-8%03x-%012x", a>>32, a>>16&0xffff, a&0xfff, b>>52, b&0xffffffffffff)
}

// mac makes up a hardware address that it has not given before.
func (s *state) mac() string {
	s.made++
	h := hash(s.model.Seed, "new mac", s.made)
	return fmt.Sprintf("BC:24:11:%02X:%02X:%02X", byte(h), byte(h>>8), byte(h>>16))
}

// hash makes a number of its arguments, the same one every time.
func hash(parts ...any) uint64 {
	h, buf := fnv.New64a(), make([]byte, 0, 64)
	for _, p := range parts {
		switch p := p.(type) {
		case string:
			buf = append(buf, p...)
		case int:
			buf = strconv.AppendInt(buf, int64(p), 10)
		case uint64:
			buf = strconv.AppendUint(buf, p, 10)
		default:
			buf = fmt.Append(buf, p)
		}
		buf = append(buf, 0)
	}
	_, _ = h.Write(buf)
	// FNV's high bits barely differ for short inputs; this mixes them.
	x := h.Sum64()
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	return x ^ x>>33
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
