package risks

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/coverage"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/selection"
	"github.com/pve-mcp/pve-mcp/pve"
	"github.com/pve-mcp/pve-mcp/pve/apischema"
)

func backupChecks() []check {
	have := []string{readGuestList, coverage.CheckBackups}
	jobs := []string{readGuestList, coverage.CheckJobs}
	runs := []string{readGuestList, coverage.CheckJobs, coverage.CheckBackups, coverage.CheckRuns}
	return []check{
		{"backup.verify-failed", "backups", Critical, "The newest backup of the guest failed its verification: it cannot be relied on", have, findBadBackups},
		{"backup.none", "backups", Critical, "The guest has no good backup: what it holds is lost with its disks", append(have, readInside), findNoBackup},
		{"backup.failed", "backups", High, "The last backup of the guest failed, and none has succeeded since", runs, findFailedBackups},
		{"backup.job-failed", "backups", High, "The last run of the backup job failed", runs, findFailedJobs},
		{"backup.job-no-storage", "backups", High, "The backup job writes to a storage that does not exist, is disabled or holds no backups", append(jobs, readConfigs), findJobsWithoutStorage},
		{"backup.unfinished", "backups", High, "The newest backup of the guest was broken off", append(have, readRunning), findUnfinished},
		{"backup.old", "backups", High, "The newest good backup of the guest is old", append(have, readInside), findOldBackups},
		{"backup.job-never-ran", "backups", Medium, "The backup job has never run", runs, findNewJobs},
		{"backup.job-overdue", "backups", Medium, "The backup job does not run as it is scheduled", runs, findOverdueJobs},
		{"backup.no-job", "backups", Medium, "No enabled backup job includes the guest", append(jobs, readInside), findJobless},
		{"backup.job-selection", "backups", Medium, "The backup job was made for a selection, such as a tag, that other guests fit now", jobs, findChangedSelections},
		{"backup.disk-excluded", "backups", Medium, "No backup job includes the disk", append(jobs, readInside), findExcluded},
		{"backup.unverified", "backups", Low, "The newest backup of the guest on the backup server was not verified", have, findUnverified},
	}
}

// readCoverage reads backups and their jobs.
func (f *facts) readCoverage(ctx context.Context) error {
	if !f.reads[coverage.CheckBackups] && !f.reads[coverage.CheckJobs] {
		return nil
	}
	const logs = 1
	c, err := coverage.Read(ctx, f.Survey, coverage.Options{Logs: logs, AllVolumes: true})
	if err != nil {
		return err
	}
	f.coverage = c
	f.spent++ // the list of jobs
	failed := map[string]bool{}
	for _, g := range c.Guests {
		if g.LastFailed != nil {
			failed[g.LastFailed.Task.Node] = true
		}
	}
	for _, n := range f.nodes {
		if n.answers {
			f.spent++
		}
	}
	f.spent += len(failed)
	return nil
}

// protected goes over the chosen guests, except templates.
func (f *facts) protected(do func(*coverage.Guest)) {
	if f.coverage == nil {
		return
	}
	chosen := f.guests // by id, as those of the coverage are
	for i := range f.coverage.Guests {
		g := &f.coverage.Guests[i]
		for len(chosen) > 0 && chosen[0].VMID < g.VMID {
			chosen = chosen[1:]
		}
		if len(chosen) > 0 && chosen[0].VMID == g.VMID && !g.Template.Value {
			do(g)
		}
	}
}

// parked reports whether a guest is out of use: it is stopped, and nobody wants it to start.
func (f *facts) parked(g pve.Resource) bool {
	in := f.inside[g.VMID]
	return g.Status.Value == "stopped" && !f.recovers(g) && (in == nil || in.config.Values["onboot"] != "1")
}

// backUp is what backs a guest up now. One that is locked cannot be: then it says how to free it.
func (f *facts) backUp(g *coverage.Guest) Fix {
	storage := f.coverage.StorageFor(g, f.Permissions)
	switch {
	case g.Lock.Value != "":
		return call("pve_diagnose", map[string]any{"vmid": int(g.VMID), "symptom": "locked"})
	case storage == "":
		return command(fmt.Sprintf("vzdump %v --storage STORAGE", g.VMID), rootOn(g.Node.Value))
	}
	return call("pve_create_backup", map[string]any{"vmid": int(g.VMID), "storage": storage})
}

func findBadBackups(f *facts, found found) {
	f.protected(func(g *coverage.Guest) {
		if g.Last != nil && g.Last.Verified == "failed" {
			evidence := g.Last.Volume.String()
			if g.Newest != nil {
				evidence += "; the newest good one is " + render.Duration(f.Ago(g.Newest.Made)) + " old"
			} else {
				evidence += "; there is no good one"
			}
			found(guestName(g.Resource), evidence, f.backUp(g))
		}
	})
}

func findNoBackup(f *facts, found found) {
	f.protected(func(g *coverage.Guest) {
		if g.Newest == nil && len(g.Unseen) == 0 && !f.parked(g.Resource) && (g.Last == nil || g.Last.Verified != "failed" && !g.Last.Unfinished) {
			found(guestName(g.Resource), fmt.Sprintf("%d backups on all storages", g.Count), f.backUp(g))
		}
	})
}

func findUnfinished(f *facts, found found) {
	f.protected(func(g *coverage.Guest) {
		if g.Last != nil && g.Last.Unfinished && f.idle(g.Resource) {
			found(guestName(g.Resource), g.Last.Volume.String(), f.backUp(g))
		}
	})
}

func findFailedBackups(f *facts, found found) {
	f.protected(func(g *coverage.Guest) {
		if g.FailedSince() {
			found(guestName(g.Resource), render.Duration(f.Ago(g.LastFailed.Begun))+" ago: "+render.Said(g.LastFailed.Reason, 120), f.backUp(g))
		}
	})
}

// oldBackup is from when on a backup is old: a weekly one is not.
const oldBackup = 8 * 24 * time.Hour

func findOldBackups(f *facts, found found) {
	f.protected(func(g *coverage.Guest) {
		if g.Newest != nil && len(g.Unseen) == 0 && f.Ago(g.Newest.Made) > oldBackup && !f.parked(g.Resource) {
			found(guestName(g.Resource), render.Duration(f.Ago(g.Newest.Made))+" old", f.backUp(g))
		}
	})
}

// verifiedBy is when a backup server should have verified a backup, if it has verified older
// ones.
const verifiedBy = 48 * time.Hour

func findUnverified(f *facts, found found) {
	f.protected(func(g *coverage.Guest) {
		fresh := g.Verified != nil && g.Newest != nil && f.Ago(g.Newest.Made) < verifiedBy
		if g.Newest != nil && g.Last == g.Newest && g.Newest.Verified == "" && !fresh && cluster.StorageType(f.stores, g.Newest.Volume.Storage) == "pbs" && len(g.Unseen) == 0 {
			found(guestName(g.Resource), g.Newest.Volume.String(), command("proxmox-backup-manager verify DATASTORE", "root on the backup server"))
		}
	})
}

func findJobless(f *facts, found found) {
	if f.coverage == nil || f.coverage.JobsUnseen {
		return
	}
	f.protected(func(g *coverage.Guest) {
		if !g.InEnabledJob() && !f.parked(g.Resource) {
			evidence := ""
			if len(g.Jobs) > 0 {
				evidence = "the job " + render.Text(g.Jobs[0].ID, 40) + " is disabled"
			}
			found(guestName(g.Resource), evidence, command("add it to a job under Datacenter, Backup", "the web interface"))
		}
	})
}

func findExcluded(f *facts, found found) {
	if f.coverage == nil || f.coverage.JobsUnseen {
		return
	}
	f.protected(func(g *coverage.Guest) {
		for _, d := range g.Excluded {
			found(guestName(g.Resource)+" "+d.Key, render.Text(d.Volume, 60)+", "+render.Text(d.Reason, 40), f.include(g, d))
		}
	})
}

// include has a disk backed up. The command repeats its other options, which would be lost.
func (f *facts) include(g *coverage.Guest, d coverage.Disk) Fix {
	if strings.HasPrefix(d.Volume, "/") {
		return command("back up "+render.Text(d.Volume, 60)+" by other means: PVE backs up volumes only", rootOn(g.Node.Value))
	}
	in := f.inside[g.VMID]
	if in == nil || in.config.Values[d.Key] == "" {
		return command("set the disk's option Backup under Hardware or Resources", "the web interface")
	}
	var parts []string
	for part := range strings.SplitSeq(in.config.Values[d.Key], ",") {
		if !strings.HasPrefix(part, "backup=") {
			parts = append(parts, part)
		}
	}
	tool := "qm"
	if g.Type == string(pve.LXC) {
		tool = "pct"
	}
	return command(fmt.Sprintf("%s set %v --%s %s,backup=1", tool, g.VMID, d.Key, render.Text(strings.Join(parts, ","), 400)), rootOn(g.Node.Value))
}

// eachJob goes over the enabled jobs.
func (f *facts) eachJob(do func(j coverage.Job, subject string)) {
	if f.coverage == nil || f.scope.Guests != "" {
		return
	}
	for _, j := range f.coverage.Jobs {
		if j.Enabled {
			do(j, "job "+render.Text(j.ID, 60))
		}
	}
}

func runJob(j coverage.Job) Fix {
	return call("pve_set_backup_job", map[string]any{"action": "run_now", "id": j.ID})
}

// findChangedSelections finds jobs whose guests are no longer those that they were made for. Of
// guests that the token does not see nothing is said.
func findChangedSelections(f *facts, found found) {
	f.eachJob(func(j coverage.Job, subject string) {
		by := coverage.ChosenBy(j.Comment.Value)
		if by == "" {
			return
		}
		var missing, others []string
		fits, err := selection.Choose(by, f.everyone) // none if nothing fits any more
		has, fitting := map[string]bool{}, map[pve.VMID]bool{}
		for _, id := range apischema.SplitList(j.VMIDs.Value) {
			has[id] = true
		}
		for _, g := range fits {
			fitting[g.VMID] = true
		}
		for _, g := range f.everyone {
			in, fit := has[g.VMID.String()], fitting[g.VMID]
			if fit && !in {
				missing = append(missing, guestName(g))
			} else if in && !fit {
				others = append(others, guestName(g))
			}
		}
		evidence := render.Text(by, 60)
		if missing != nil {
			evidence += "; not in the job: " + render.List(render.Few(missing, 5))
		}
		if others != nil {
			evidence += "; in the job, and do not fit: " + render.List(render.Few(others, 5))
		}
		if missing != nil || others != nil {
			fix := call("pve_set_backup_job", map[string]any{"action": "change", "id": j.ID, "guests": by})
			if err != nil || len(fits) == 0 {
				fix = call("pve_set_backup_job", map[string]any{"action": "delete", "id": j.ID})
			}
			found(subject, evidence, fix)
		}
	})
}

func findNewJobs(f *facts, found found) {
	f.eachJob(func(j coverage.Job, subject string) {
		if j.Due == coverage.NeverRan {
			found(subject, "schedule "+render.Text(j.Schedule.Value, 40), runJob(j))
		}
	})
}

func findOverdueJobs(f *facts, found found) {
	f.eachJob(func(j coverage.Job, subject string) {
		if j.Due == coverage.Overdue {
			found(subject, "schedule "+render.Text(j.Schedule.Value, 40)+"; last seen "+render.Duration(f.Ago(j.LastSeen()))+" ago", runJob(j))
		}
	})
}

func findFailedJobs(f *facts, found found) {
	f.eachJob(func(j coverage.Job, subject string) {
		if j.LastRun == nil || !j.LastRun.Failed {
			return
		}
		ofGuest := slices.ContainsFunc(f.coverage.Guests, func(g coverage.Guest) bool {
			return g.LastFailed != nil && g.LastFailed.Task.String() == j.LastRun.Task.String()
		})
		if !ofGuest {
			found(subject, render.Said(j.LastRun.Reason, 120), call("pve_task_status", map[string]any{"upid": j.LastRun.Task.String(), "log": 20}))
		}
	})
}

func findJobsWithoutStorage(f *facts, found found) {
	f.eachJob(func(j coverage.Job, subject string) {
		name := j.Storage.Value
		all, _ := f.Permissions.Below("/storage", "Datastore.Audit")
		if name == "" || !all {
			return
		}
		i := slices.IndexFunc(f.configs, func(s pve.StorageConfig) bool { return s.Storage == name })
		switch {
		case i < 0:
			found(subject, "there is no storage "+render.Text(name, 60), runJob(j))
		case f.configs[i].Disabled.Value:
			found(subject, "the storage "+name+" is disabled", command("pvesm set "+name+" --disable 0", "root on a node"))
		}
	})
}
