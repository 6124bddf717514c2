package pvesim

import (
	"time"

	"github.com/pve-mcp/pve-mcp/pve/apischema"
	"github.com/pve-mcp/pve-mcp/pvesim/internal/calendar"
)

// armJobs lets the backup jobs run at their next time after now, and after every change of them
// again, if the model says that they do.
func (s *Sim) armJobs(now time.Time) {
	s.jobsArmed++
	armed := s.jobsArmed
	if !s.model.JobsRun {
		return
	}
	next, ok := s.nextJobs(now)
	if !ok {
		return
	}
	s.timers = append(s.timers, timer{at: next, rule: true, do: func(time.Time) {
		if s.jobsArmed != armed { // they were changed since
			return
		}
		for _, b := range s.jobs {
			if at, ok := calendar.Next(b.Schedule, next.Add(-time.Second).UTC()); ok && !b.Disabled && at.Equal(next) {
				s.runJob(b, next)
			}
		}
		s.armJobs(next)
	}})
}

// nextJobs is when a job runs next.
func (s *state) nextJobs(now time.Time) (next time.Time, ok bool) {
	for _, b := range s.jobs {
		if at, known := calendar.Next(b.Schedule, now.UTC()); known && !b.Disabled && (!ok || at.Before(next)) {
			next, ok = at, true
		}
	}
	return next, ok
}

// runJob has each node back up its guests of a job, as root, as the scheduler of each node does.
func (s *Sim) runJob(b BackupJob, now time.Time) {
	params := apischema.Values{"quiet": "1", "job-id": b.ID}
	for key, value := range b.Options {
		if key != "comment" && key != "repeat-missed" {
			params[key] = value
		}
	}
	for _, n := range s.nodes {
		if n.Offline || b.Options["node"] != "" && b.Options["node"] != n.Name {
			continue
		}
		_, _ = startBackups(s.asRoot(n, now, params)) // what is wrong with it fails in the task
	}
}
