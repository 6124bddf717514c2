package pvesim

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// storagePart is what the simulation knows of storages and volumes.
type storagePart struct {
	storages []Storage
	volumes  map[place]*volume
	grown    map[place]int64 // by storage: bytes taken since the model was built
}

// addVolumes makes the model's volumes exist, and those of its guests.
func (s *state) addVolumes(m Model, now time.Time) error {
	s.storages, s.volumes, s.grown = slices.Clone(m.Storages), map[place]*volume{}, map[place]int64{}
	for _, v := range m.Volumes {
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
		s.addVolume(v, now.Add(-v.Age))
	}
	for _, id := range s.order {
		if !s.model.NoMoreVolumes {
			s.addVolumesOf(s.guests[id], now)
		}
	}
	for _, v := range s.volumes {
		if v.Content == "backup" {
			s.fillArchive(v)
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
