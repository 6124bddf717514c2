package coverage

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/survey"
	"github.com/pve-mcp/pve-mcp/pve"
	"github.com/pve-mcp/pve-mcp/pve/apischema"
)

// takeJobs says which jobs include which guests and disks.
func (r *reading) takeJobs(included [][]pve.IncludedGuest) {
	type disk struct {
		guest pve.VMID
		key   string
	}
	taken := map[disk]bool{}
	for i := range r.Jobs {
		j := &r.Jobs[i]
		for _, in := range included[i] {
			g := r.at[in.VMID]
			if g == nil {
				if in.Type == "unknown" {
					j.Missing = append(j.Missing, in.VMID)
				}
				continue
			}
			j.Guests = append(j.Guests, in.VMID)
			g.Jobs = append(g.Jobs, j)
			for _, v := range in.Volumes {
				taken[disk{in.VMID, v.Key()}] = taken[disk{in.VMID, v.Key()}] || j.Enabled && v.Included.Value
			}
			for _, b := range r.own[in.VMID] {
				if (j.Storage.Value == "" || b.Volume.Storage == j.Storage.Value) && b.Made.After(j.LastBackup) {
					j.LastBackup = b.Made
				}
			}
		}
		slices.Sort(j.Guests)
		slices.Sort(j.Missing)
	}
	for i := range r.Jobs {
		if !r.Jobs[i].Enabled {
			continue
		}
		for _, in := range included[i] {
			g := r.at[in.VMID]
			for _, v := range in.Volumes {
				if g == nil || taken[disk{in.VMID, v.Key()}] {
					continue
				}
				taken[disk{in.VMID, v.Key()}] = true // named once
				g.Excluded = append(g.Excluded, Disk{Key: v.Key(), Volume: v.Name.Value, Reason: v.Reason.Value})
			}
		}
	}
	for i := range r.Guests {
		slices.SortFunc(r.Guests[i].Excluded, func(a, b Disk) int { return pve.CompareNames(a.Key, b.Key) })
	}
}

// Selection says which guests a job includes, as a person would.
func (j Job) Selection() string {
	text := "nothing"
	switch {
	case j.Pool.Value != "":
		text = "pool " + render.Text(j.Pool.Value, 60)
	case j.VMIDs.Value != "":
		text = render.List(apischema.SplitList(j.VMIDs.Value))
	case j.All.Value && j.Exclude.Value != "":
		text = "all except " + render.List(apischema.SplitList(j.Exclude.Value))
	case j.All.Value:
		text = "all"
	}
	if j.Node.Value != "" {
		text += " on " + render.Text(j.Node.Value, 60)
	}
	return text
}

// begunBy returns the jobs of which a backup task may be a run, by the command in its log. That
// may not name the job. It then counts what the command selects, and how, if no job selects
// just that any more.
func (r *reading) begunBy(log pve.BackupLog) []*Job {
	o := log.Options
	of := func(fits func(*Job) bool) []*Job {
		return slices.DeleteFunc(r.allJobs(), func(j *Job) bool { return !fits(j) })
	}
	if log.Job != "" {
		return of(func(j *Job) bool { return j.ID == log.Job })
	}
	alike := func(j *Job) bool {
		return o["storage"] == j.Storage.Value && o["pool"] == j.Pool.Value && (o["all"] == "1") == j.All.Value && (log.IDs == nil) == (j.VMIDs.Value == "")
	}
	same := of(func(j *Job) bool {
		return alike(j) && sameIDs(o["exclude"], j.Exclude.Value) && sameIDs(strings.Join(log.IDs, ","), j.VMIDs.Value)
	})
	if len(same) > 0 {
		return same
	}
	return of(alike)
}

// sameIDs reports whether two lists have the same ids.
func sameIDs(a, b string) bool {
	x, y := apischema.SplitList(a), apischema.SplitList(b)
	slices.Sort(x)
	slices.Sort(y)
	return slices.Equal(x, y)
}

// rarely is how long a job may show no sign of life before anybody is asked when it should
// have run.
const rarely = 25 * time.Hour

// judge says of jobs whether they run as they are scheduled, and returns those that seem not
// to.
func (r *reading) judge(jobs []*Job) []*Job {
	var asked []*Job
	for _, j := range jobs {
		j.Due, j.Missed = OnTime, time.Time{}
		switch seen := j.LastSeen(); {
		case !j.Enabled || len(j.Guests) == 0 || j.Schedule.Value == "":
			j.Due = Unknown
		case seen.IsZero():
			j.Due = NeverRan
		case r.s.Ago(seen) > rarely:
			asked = append(asked, j)
		}
	}
	name := func(j *Job) string { return render.Text(j.ID, 60) }
	got := survey.Ask(r.s, CheckRuns, asked, name, func(ctx context.Context, j *Job) ([]time.Time, error) {
		return r.s.PVE.ScheduledTimes(ctx, j.Schedule.Value, j.LastSeen(), 2)
	})
	for _, j := range asked {
		j.Due = Unknown
	}
	for _, g := range got {
		switch j := g.From; {
		case len(g.Value) < 2: // its last runs are past
		case r.s.Ago(g.Value[1]) > 0 && r.s.Ago(j.LastSeen()) > 2*g.Value[1].Sub(g.Value[0]):
			j.Due, j.Missed = Overdue, g.Value[1]
		default:
			j.Due = OnTime
		}
	}
	return slices.DeleteFunc(slices.Clone(jobs), func(j *Job) bool { return j.Due != Overdue && j.Due != NeverRan })
}

// nodes are those on which a job has guests.
func (r *reading) nodesOf(j *Job) []string {
	var out []string
	for _, id := range j.Guests {
		if node := r.at[id].Node.Value; !slices.Contains(out, node) {
			out = append(out, node)
		}
	}
	return out
}

// allJobs are pointers to the jobs.
func (r *reading) allJobs() []*Job {
	out := make([]*Job, len(r.Jobs))
	for i := range r.Jobs {
		out[i] = &r.Jobs[i]
	}
	return out
}

// newer returns the run that began later; either may be nil.
func newer(a *Run, b Run) *Run {
	if a != nil && cmp.Or(a.Begun.Compare(b.Begun), strings.Compare(a.Task.String(), b.Task.String())) >= 0 {
		return a
	}
	return &b
}
