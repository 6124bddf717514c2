package coverage

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/survey"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
)

// scheduler is the user for whom PVE runs its jobs.
const scheduler = "root@pam"

// readRuns reads the latest backup tasks: what became of each guest, and which jobs ran. most
// is how many logs of a node are read.
func (r *reading) readRuns(most int) {
	wanted := map[string][]pve.Task{}
	for node, tasks := range r.tasks {
		r.takeSingles(tasks)
		wanted[node] = r.failedLast(tasks)
	}
	r.readLogs(wanted, most)
	late := r.judge(r.allJobs())
	for _, j := range late {
		for _, node := range r.nodesOf(j) {
			wanted[node] = append(wanted[node], r.candidates(j, node)...)
		}
	}
	if len(late) == 0 {
		return
	}
	r.readLogs(wanted, most)
	for _, j := range r.judge(late) {
		if r.runsHidden(j) {
			j.Due, j.Missed = Unknown, time.Time{}
		}
	}
}

// runsHidden reports whether there may be runs of a job that were not seen, or backups that they
// made.
func (r *reading) runsHidden(j *Job) bool {
	storage := j.Storage.Value
	unread := func(t pve.Task) bool { _, read := r.read[t.UPID.String()]; return !read }
	return r.hidden[storage] || slices.ContainsFunc(r.nodesOf(j), func(node string) bool {
		return slices.Contains(r.RunsUnseen, node) || slices.ContainsFunc(r.candidates(j, node), unread)
	}) || slices.ContainsFunc(j.Guests, func(id pve.VMID) bool {
		return !r.s.Permissions.Has("/storage/"+storage, "Datastore.Allocate") && !r.s.Permissions.Has("/vms/"+id.String(), "VM.Backup")
	})
}

// candidates are the tasks on a node that may be runs of a job after its last sign of life, one
// of each kind.
func (r *reading) candidates(j *Job, node string) []pve.Task {
	var out []pve.Task
	for _, t := range newestOfKinds(r.tasks[node]) {
		id, single := pve.GuestOf(t.UPID)
		mine := !single || slices.Contains(j.Guests, id)
		if mine && t.UPID.User == scheduler && t.UPID.Start.After(j.LastSeen()) {
			out = append(out, t)
		}
	}
	return out
}

// takeSingles notes what became of guests in backups of their own.
func (r *reading) takeSingles(tasks []pve.Task) {
	for _, t := range tasks {
		id, single := pve.GuestOf(t.UPID)
		if g := r.at[id]; single && g != nil && t.EndTime.Set {
			r.ended(g, runOf(t))
		}
	}
}

func (r *reading) ended(g *Guest, run Run) {
	if run.Failed {
		g.LastFailed = newer(g.LastFailed, run)
		return
	}
	g.LastDone = newer(g.LastDone, run)
}

func runOf(t pve.Task) Run {
	run := Run{Task: t.UPID, Begun: t.UPID.Start}
	if status := (proxmox.TaskStatus{Status: "stopped", ExitStatus: t.Status}); t.EndTime.Set && !status.Succeeded() {
		run.Failed, run.Reason = true, t.Status.Or("it ended without a status")
	}
	return run
}

// newestOfKinds are the newest tasks of a node of each kind. Tasks of one guest are of a kind, and
// those of several guests that began at the same time of day, as a job's do. If several began
// at that time on a day, they are of different kinds.
func newestOfKinds(tasks []pve.Task) []pve.Task {
	const sameTime = 30 * 60 // seconds
	seen, begun := map[string]bool{}, map[string]int{}
	var out []pve.Task
	for _, t := range tasks { // newest first
		var kind string
		if id, single := pve.GuestOf(t.UPID); single {
			kind = id.String()
		} else {
			at := t.UPID.Start.Unix() / sameTime
			same := fmt.Sprintf("%s %d", t.UPID.User, at)
			begun[same]++
			kind = fmt.Sprintf("%s at %d, %d", t.UPID.User, at%(86400/sameTime), begun[same])
		}
		if !seen[kind] {
			out = append(out, t)
		}
		seen[kind] = true
	}
	return out
}

// failedLast are the failed tasks of a node whose logs say something: the newest ones of their
// kind, those of one guest only if it has no newer good backup.
func (r *reading) failedLast(tasks []pve.Task) []pve.Task {
	ended := slices.DeleteFunc(slices.Clone(tasks), func(t pve.Task) bool { return !t.EndTime.Set })
	return slices.DeleteFunc(newestOfKinds(ended), func(t pve.Task) bool {
		id, single := pve.GuestOf(t.UPID)
		g := r.at[id]
		return !runOf(t).Failed || single && (g == nil || g.Newest != nil && g.Newest.Made.After(t.UPID.Start))
	})
}

// mostLines is how much of a log is read at its start and at its end.
const mostLines = 5000

// backupLog is a log, and whether all of it was read.
type backupLog struct {
	pve.BackupLog
	whole bool
	lines []proxmox.LogLine
}

// readLogs reads logs of tasks that were not read before: of each node those that are named
// first, until most of its logs were read.
func (r *reading) readLogs(wanted map[string][]pve.Task, most int) {
	var tasks []pve.Task
	for node, all := range wanted {
		left := most - r.logsOf(node)
		for _, t := range all {
			upid := t.UPID.String()
			_, read := r.read[upid]
			known := read || slices.ContainsFunc(tasks, func(o pve.Task) bool { return o.UPID.String() == upid })
			if known {
				continue
			}
			if left--; left < 0 {
				r.s.NotSeen(CheckRuns, node, "only some logs of its backups were read")
				break
			}
			tasks = append(tasks, t)
		}
	}
	slices.SortFunc(tasks, func(a, b pve.Task) int {
		return cmp.Or(pve.CompareNames(a.UPID.Node, b.UPID.Node), b.UPID.Start.Compare(a.UPID.Start))
	})
	name := func(t pve.Task) string { return t.UPID.Node }
	got := survey.Ask(r.s, CheckRuns, tasks, name, func(ctx context.Context, t pve.Task) (backupLog, error) {
		lines, total, err := r.s.PVE.TaskLogEnds(ctx, t.UPID, mostLines)
		return backupLog{pve.Backups(lines), len(lines) >= total, lines}, err
	})
	for _, g := range got {
		r.takeLog(g.From, g.Value)
	}
}

// logsOf is how many logs of a node were read.
func (r *reading) logsOf(node string) int {
	n := 0
	for _, t := range r.tasks[node] {
		if _, read := r.read[t.UPID.String()]; read {
			n++
		}
	}
	return n
}

// takeLog notes what the log of a task says.
func (r *reading) takeLog(t pve.Task, log backupLog) {
	r.read[t.UPID.String()] = log.BackupLog
	if !log.whole {
		r.s.NotSeen(CheckRuns, t.UPID.Node, "the log of a backup is too long to be read whole")
	}
	whole := runOf(t)
	if broken := log.With(pve.BackupFailed); len(broken) > 0 && len(log.Guests) > 1 {
		whole.Reason = fmt.Sprintf("%d of %d guests failed", len(broken), len(log.Guests))
	} else if len(broken) > 0 {
		whole.Reason = broken[0].Reason
	}
	if t.UPID.User == scheduler {
		for _, j := range r.begunBy(log.BackupLog) {
			j.LastRun = newer(j.LastRun, whole)
		}
	}
	for _, part := range log.Guests {
		g := r.at[part.VMID]
		if g == nil || part.State == pve.BackupBegun {
			continue
		}
		run := Run{Task: t.UPID, Begun: t.UPID.Start, Failed: part.State == pve.BackupFailed, Reason: part.Reason}
		if g.LastFailed != nil && run.Failed && g.LastFailed.Task.String() == run.Task.String() {
			g.LastFailed = nil // whose log says more
		}
		r.ended(g, run)
	}
	if id, single := pve.GuestOf(t.UPID); single && whole.Failed && len(log.Guests) == 0 && r.at[id] != nil {
		whole.Reason, _ = cluster.ReasonInLog(log.lines, proxmox.TaskStatus{ExitStatus: t.Status}, 1)
		r.at[id].LastFailed = newer(nil, whole)
	}
}
