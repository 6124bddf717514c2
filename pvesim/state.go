package pvesim

import (
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strconv"
	"time"
)

// state is everything that a cluster knows. Sim's lock guards it.
type state struct {
	sim   *Sim // that this is the state of, for what happens by itself
	model Model
	born  time.Time // when the model was as it stands
	built time.Time // when this began: at the birth, or when it was loaded
	made  uint64    // ids that were made up

	nodePart
	guestPart
	storagePart
	accessPart
	poolPart
	haPart
	taskPart
	configPart

	jobs         []BackupJob
	jobsArmed    int                   // how often it was found when they run next
	dumps        map[string]*backupJob // that have their node's lock, by node
	replications []Replication
	consoles     map[string]*console // that were offered, by ticket
	faults       []*fault            // in the order in which they are tried
}

// build makes the cluster of a model. Each step needs those before it.
func (s *state) build(m Model, now time.Time) error {
	s.model, s.born, s.built = m, now, now
	s.jobs, s.replications = slices.Clone(m.Jobs), slices.Clone(m.Replications)
	s.dumps, s.consoles = map[string]*backupJob{}, map[string]*console{}
	if err := s.addNodes(m, now); err != nil {
		return err
	}
	if err := s.addGuests(m, now); err != nil {
		return err
	}
	if err := s.addVolumes(m, now); err != nil {
		return err
	}
	if err := s.addUsers(m); err != nil {
		return err
	}
	for _, r := range s.replications { // that were to be removed when the state was saved
		if r.Options["remove_job"] != "" {
			s.schedule(now.Truncate(time.Minute).Add(time.Minute), func(time.Time) { s.forgetReplication(r.ID) })
		}
	}
	s.addPools(m)
	s.addHA(m)
	s.addFiles(m.Files)
	if err := s.addTasks(m, now); err != nil {
		return err
	}
	for _, f := range m.Faults {
		if err := s.addFault(f); err != nil {
			return err
		}
	}
	return nil
}

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
