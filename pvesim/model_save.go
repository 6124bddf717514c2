package pvesim

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/pvesim/internal/sparsejson"
)

// saved is what is in a file: a model that says everything, and what belongs to its
// life. A model alone will do as well.
type saved struct {
	Born    time.Time // of the simulated cluster, as is what follows
	Time    time.Time
	Made    uint64 // ids that were made up
	LastPID int
	// Certificates are those of the CA and of each node that serves, with their private keys,
	// which are of use only for this simulated cluster.
	Certificates string
	Model
}

// Save writes the cluster as JSON, for [Load]. It does so only while no task runs and
// nothing is about to happen by itself; see [Sim.Interrupt].
//
// The certificates of nodes that listened are in it with their private keys, so that a
// fingerprint that a client has pinned stays good: test keys, no secrets. Not in it: what
// was asked ([Sim.Requests]), rules by which requests go wrong and what they took down,
// and programs that run in guests.
func (s *Sim) Save(w io.Writer) error {
	text, err := s.text()
	if err != nil {
		return err
	}
	_, err = w.Write(text)
	return err
}

// Model returns a model of the cluster as it is: what [Sim.Save] would write.
func (s *Sim) Model() (Model, error) {
	text, err := s.text()
	if err != nil {
		return Model{}, err
	}
	var now saved
	return now.Model, json.Unmarshal(text, &now)
}

func (s *Sim) text() ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.clock.Now()
	s.advance(now)
	busy := slices.DeleteFunc(slices.Clone(s.active), func(t *task) bool { return t.inert })
	if len(busy) > 0 {
		return nil, fmt.Errorf("tasks run that cannot be saved: %d, such as %s", len(busy), busy[0].upid)
	}
	asked := slices.ContainsFunc(s.resources(), func(g *guest) bool { return now.Before(g.acts) })
	if asked || slices.ContainsFunc(s.timers, func(t timer) bool { return !t.rule }) {
		return nil, errors.New("something is about to happen that cannot be saved, such as what HA was asked for")
	}
	var b bytes.Buffer
	certificates, err := s.savedCertificates()
	if err != nil {
		return nil, err
	}
	sparsejson.Write(&b, saved{s.born, now, s.made, s.lastPID, certificates, s.present(now)})
	return b.Bytes(), nil
}

// Interrupt ends all tasks that run, as they end on a node that shuts down, and
// cancels what rebooting guests and nodes were about to do, and moves that HA was asked for. A
// node that boots is there at once.
func (s *Sim) Interrupt() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.clock.Now()
	s.advance(now)
	for len(s.active) > 0 {
		s.stop(s.active[0], now)
	}
	for _, n := range s.nodes {
		if n.leaving = false; n.boots {
			s.comeUp(n, now)
		}
	}
	for _, g := range s.resources() {
		g.asked, g.acts = "", time.Time{}
	}
	s.timers = slices.DeleteFunc(s.timers, func(t timer) bool { return !t.rule })
}

// Load brings to life what [Sim.Save] has written, or a [Model] as JSON. The cluster's
// time continues at the clock's time, but never goes back: if the clock is behind the time
// that was saved, it continues from the saved time.
func Load(r io.Reader, o Options) (*Sim, error) {
	var from saved
	dec := json.NewDecoder(r)
	dec.DisallowUnknownFields()
	if err := dec.Decode(&from); err != nil {
		return nil, fmt.Errorf("this is no model of a cluster: %w", err)
	}
	s, err := newSim(from.Model, o, from.Time)
	if err != nil {
		return nil, err
	}
	if !from.Born.IsZero() {
		s.born, s.lastBroadcast = from.Born, from.Time
	}
	if err := s.restoreCertificates(from.Certificates); err != nil {
		return nil, err
	}
	s.made, s.lastPID = from.Made, max(s.lastPID, from.LastPID)
	if behind := from.Time.Sub(s.clock.Now()); behind > 0 {
		s.clock = ahead{s.clock, behind}
	}
	return s, nil
}

// ahead is a clock that is ahead of another.
type ahead struct {
	Clock
	by time.Duration
}

func (c ahead) Now() time.Time { return c.Clock.Now().Add(c.by) }

func (c ahead) Sleep(ctx context.Context, d time.Duration) error { return c.Clock.Sleep(ctx, d) }

// present is a model of the cluster as it is.
func (s *state) present(now time.Time) Model {
	m := Model{
		Seed: s.model.Seed, PVE: s.model.PVE, Cluster: s.model.Cluster, Lag: s.model.Lag, NoQuorum: s.model.NoQuorum, NoMoreVolumes: true, NoViewer: s.model.NoViewer, Roles: s.ownRoles(), Groups: s.groups,
		NoDHCP: s.model.NoDHCP, Directories: s.model.Directories, Web: s.model.Web, Appliances: s.model.Appliances, Registry: s.model.Registry,
		Pools: s.pools, Jobs: s.jobs, JobsRun: s.model.JobsRun, Replications: s.olderReplications(now), Leases: s.model.Leases, History: s.model.History, Trends: s.model.Trends, HAGroups: s.haGroups, HARules: s.haRules, HAUsed: s.haUsed, HADisarmed: s.haDisarm.mode, Files: s.files,
	}
	for _, n := range s.nodes {
		node := n.Node
		node.Up, node.Silent = now.Sub(n.booted), now.Sub(n.heardAt)
		if s.downByRule(func(f Fault) bool { return f.Node == n.Name }) {
			node.Offline, node.Silent = false, 0
		}
		m.Nodes = append(m.Nodes, node.older(now.Sub(s.built)))
	}
	for _, st := range s.storages {
		st.UsedOn = map[string]int64{}
		if s.downByRule(func(f Fault) bool { return f.Storage == st.ID }) {
			st.Broken = ""
		}
		for _, n := range s.nodes {
			if used := s.bytesUsed(&st, n.Name); used != st.Used {
				st.UsedOn[n.Name] = used
			}
		}
		m.Storages = append(m.Storages, st)
	}
	for _, id := range s.order {
		m.Guests = append(m.Guests, s.guests[id].present(now))
	}
	for _, p := range slices.SortedFunc(maps.Keys(s.volumes), func(a, b place) int { return strings.Compare(a.id+a.node, b.id+b.node) }) {
		v := s.volumes[p].Volume
		if s.storageNamed(v.storage()) == nil {
			continue // it was deleted
		}
		v.Age = now.Sub(s.volumes[p].made)
		m.Volumes = append(m.Volumes, v)
	}
	for _, id := range sortedKeys(s.users) {
		m.Users = append(m.Users, s.users[id])
	}
	for _, id := range sortedKeys(s.tokens) {
		m.Tokens = append(m.Tokens, s.tokens[id])
	}
	for _, path := range sortedKeys(s.acl) {
		m.ACL = append(m.ACL, s.acl[path]...)
	}
	for _, t := range slices.Concat(s.ended, s.active) {
		lines := t.logAt(now)
		if t.over {
			lines = lines[:len(lines)-1]
		}
		m.Tasks = append(m.Tasks, PastTask{UPID: t.upid, Ago: now.Sub(t.start), Took: t.end.Sub(t.start), Exit: t.outcome.exit, Log: lines})
	}
	return m
}

// downByRule reports whether a rule has taken something away.
func (s *state) downByRule(which func(Fault) bool) bool {
	return slices.ContainsFunc(s.faults, func(f *fault) bool { return f.Down && f.fired > 0 && which(f.Fault) })
}

func (g *guest) present(now time.Time) Guest {
	out := g.Guest
	out.Running, out.QMPStatus, out.Up, out.Snapshots = g.now.running, g.now.qmp, 0, nil
	if out.Running {
		out.Up = now.Sub(g.now.since)
	}
	out.Ran, out.Age, out.Files = nil, 0, g.filesNow()
	for _, run := range g.runs {
		out.Ran = append(out.Ran, Run{Ago: now.Sub(run.From), Took: run.To.Sub(run.From)})
	}
	if !g.firstAnnounced.IsZero() {
		out.Age = now.Sub(g.firstAnnounced)
	}
	for _, snap := range g.snaps {
		was := snap.Snapshot
		was.Age = now.Sub(snap.taken)
		out.Snapshots = append(out.Snapshots, was)
	}
	out.Pending = maps.Clone(g.pending)
	var gone []string
	for _, key := range sortedKeys(g.dropped) {
		gone = append(gone, map[bool]string{true: "!"}[g.dropped[key]]+key)
	}
	if len(gone) > 0 {
		out.Pending["delete"] = strings.Join(gone, ",")
	}
	return out
}
