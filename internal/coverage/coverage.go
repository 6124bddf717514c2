// Package coverage tells what protects each guest of a cluster: its backups on all storages, the
// jobs that include it, the disks that none of them includes, and the last backup that failed.
// It only says what is so. Whether that is good enough is for its callers to judge.
//
// What the token cannot see is never taken for what is not there: [Guest.Unseen] says where
// there may be more backups of a guest, and [Coverage.JobsUnseen] that there may be jobs. Both
// are blind spots of the survey, too.
package coverage

import (
	"slices"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
)

// The checks whose blind spots a survey names.
const (
	CheckBackups = "backups"
	CheckJobs    = "backup jobs"
	CheckRuns    = "runs of backup jobs"
	CheckGuests  = "guests"
)

// Coverage is what protects the guests of a cluster.
type Coverage struct {
	Guests []Guest // that the token may see, templates among them; by id
	Jobs   []Job   // by id
	Gone   []Gone  // by id
	// Stores are the storages that may hold backups, by name and node.
	Stores []cluster.Store
	// JobsUnseen says that the list of jobs could not be read, or of some job the guests that
	// it includes: that a guest is in no job must not be said then.
	JobsUnseen bool
	// RunsUnseen are the nodes whose lists of backup tasks could not be read whole.
	RunsUnseen []string

	mostUsed []string // the names of Stores, first those with backups of most guests
}

// Guest is a guest, and what protects it.
type Guest struct {
	pve.Resource

	Newest *Backup // the newest good one, nil for none
	Last   *Backup // the newest one, good or not
	// Verified is the newest one that a backup server has verified, nil for none.
	Verified *Backup
	Count    int      // of its backups, good or not
	Bad      int      // of those that are not [Backup.Good]
	Where    []string // the storages that have one
	// Others is how many backups have its id and are of another guest, which is certain: they
	// are of the other kind, or older than it is. They count nowhere else.
	Others int
	// NotedAs is another guest's name in the notes of its newest good backup, which may
	// therefore be of a guest that had its id before; "" if there is none.
	NotedAs string
	// Unseen says where there may be more backups of it that the token cannot see, "" for
	// nowhere: that a guest has no backup, or no newer one, must not be said otherwise.
	Unseen []string

	Jobs []*Job // that include it, disabled ones too
	// Excluded are the disks of a guest in enabled jobs that none of them includes.
	Excluded []Disk

	LastFailed *Run // the newest that failed for it, as far as the tasks that were read go
	LastDone   *Run // the newest that did not
}

// FailedSince reports whether the last backup of the guest failed: after its newest good one,
// and after the last run that went well.
func (g Guest) FailedSince() bool {
	f := g.LastFailed
	return f != nil && (g.Newest == nil || f.Begun.After(g.Newest.Made)) && (g.LastDone == nil || f.Begun.After(g.LastDone.Begun))
}

// InEnabledJob reports whether an enabled job includes the guest.
func (g Guest) InEnabledJob() bool {
	return slices.ContainsFunc(g.Jobs, func(j *Job) bool { return j.Enabled })
}

// NextRun is when the next job runs that includes the guest, the zero time if none does.
func (g Guest) NextRun() (next time.Time) {
	for _, j := range g.Jobs {
		if !j.NextRun.IsZero() && (next.IsZero() || j.NextRun.Before(next)) {
			next = j.NextRun
		}
	}
	return next
}

// StorageFor is a storage to which a guest can be backed up, "" if there is none: of an enabled job
// that includes it, or else one with backups of it, or of most others.
func (c *Coverage) StorageFor(g *Guest, may pve.Permissions) string {
	var names []string
	for _, j := range g.Jobs {
		if j.Enabled {
			names = append(names, j.Storage.Value)
		}
	}
	for _, name := range slices.Concat(names, g.Where, c.mostUsed) {
		usable := slices.ContainsFunc(c.Stores, func(s cluster.Store) bool { return s.Storage.Value == name && s.UsableOn(g.Node.Value) })
		if usable && may.Has("/storage/"+name, "Datastore.AllocateSpace") {
			return name
		}
	}
	return ""
}

// rankStores sets mostUsed.
func (c *Coverage) rankStores() {
	backed := map[string]int{}
	for _, g := range c.Guests {
		for _, s := range g.Where {
			backed[s]++
		}
	}
	c.mostUsed = cluster.StoreNames(c.Stores)
	slices.SortStableFunc(c.mostUsed, func(a, b string) int { return backed[b] - backed[a] })
}

// Backup is a backup on a storage.
type Backup struct {
	Volume     pve.VolID
	Node       string // that has it, "" on a shared storage
	Made       time.Time
	Size       int64  // bytes
	Kind       string // qemu, lxc or unknown
	OnServer   bool   // a backup server, which can verify it
	Verified   string // ok or failed; "" if no backup server has verified it
	Encrypted  bool
	Protected  bool
	Unfinished bool   // a backup server has no end of it: it is under way, or was broken off
	Notes      string // the first line, as somebody wrote it
}

// Good reports whether a backup has not failed its verification and is whole, as far as is known.
func (b Backup) Good() bool { return b.Verified != "failed" && !b.Unfinished }

// Disk is a disk that is not backed up.
type Disk struct {
	Key    string // in the configuration, such as scsi1
	Volume string // as the configuration has it
	Reason string // in PVE's words, such as backup=no
}

// Job is a backup job.
type Job struct {
	pve.BackupJob

	Enabled bool
	NextRun time.Time // zero if it is disabled
	// Guests are those that it includes and that the token may see; Missing are those that it
	// names and that do not exist. Neither is known if Unread is set.
	Guests  []pve.VMID
	Missing []pve.VMID
	Unread  bool

	// LastRun is its newest run, as far as tasks show, nil if none does.
	LastRun *Run
	// LastBackup is when the newest backup of a guest of the job on its storage was made, the
	// zero time if none can be seen.
	LastBackup time.Time
	Due        Due
	// Missed is when the job should have run that is [Overdue], for the second time since its
	// last sign of life.
	Missed time.Time
}

// Due says whether a job runs as it is scheduled.
type Due string

// What is known of a job's runs.
const (
	OnTime   Due = "on time"   // its last sign of life is not older than two intervals
	Overdue  Due = "overdue"   // it is
	NeverRan Due = "never ran" // no task and no backup shows a run
	Unknown  Due = "unknown"   // the runs cannot be seen, or the job is disabled or has no guests
)

// LastSeen is when the job ran last, as far as its tasks and backups show.
func (j Job) LastSeen() time.Time {
	if j.LastRun != nil && j.LastRun.Begun.After(j.LastBackup) {
		return j.LastRun.Begun
	}
	return j.LastBackup
}

// Run is a guest's part of a backup task, or the whole task.
type Run struct {
	Task   proxmox.UPID
	Begun  time.Time
	Failed bool
	Reason string // why, as the log says it, or else the exit status
}

// Gone is an id that backups have and no guest that the token may see.
type Gone struct {
	VMID   pve.VMID
	Count  int // of backups
	Newest Backup
}
