package maintenance

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/coverage"
	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/schedule"
	"github.com/pve-mcp/pve-mcp/internal/selection"
	"github.com/pve-mcp/pve-mcp/internal/survey"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pve"
)

type listJobsIn struct {
	ID     string `json:"id,omitzero" jsonschema:"only this one, with its next five runs, guests and all settings"`
	Limit  int    `json:"limit,omitzero" min:"1" max:"200" default:"20" jsonschema:"most jobs"`
	Offset int    `json:"offset,omitzero" min:"0" jsonschema:"jobs to skip"`
}

type listJobsOut struct {
	Message string        `json:"message"`
	Jobs    []jobsListRow `json:"jobs" cut:"end"`
	Total   int           `json:"total"`
	tool.Rest
	NoJob      []string       `json:"in_no_job,omitzero" jsonschema:"guests in no enabled job, at most ten"`
	NoJobCount int            `json:"in_no_job_count,omitzero"`
	Blind      []survey.Blind `json:"blind,omitzero" jsonschema:"what could not be seen: nothing is known of it"`
	AsOf       string         `json:"as_of"`
}

type jobsListRow struct {
	ID       string   `json:"id"`
	Disabled bool     `json:"disabled,omitzero"`
	When     string   `json:"when,omitzero" jsonschema:"in words"`
	Schedule string   `json:"schedule,omitzero" jsonschema:"PVE's form"`
	Next     []string `json:"next_runs,omitzero"`
	Last     string   `json:"last,omitzero" jsonschema:"result of the newest run, as far as tasks and backups show"`
	Includes string   `json:"includes"`
	Guests   int      `json:"guests" jsonschema:"how many it includes now"`
	Named    []string `json:"guest_names,omitzero"`
	Storage  string   `json:"storage,omitzero"`
	Keeps    string   `json:"keeps,omitzero" jsonschema:"of each guest; absent: as the storage says"`
	Mode     string   `json:"mode,omitzero" jsonschema:"other than snapshot"`
	Comment  string   `json:"comment,omitzero"`
	Settings settings `json:"settings,omitzero"`
	Why      []string `json:"why,omitzero" jsonschema:"it needs attention"`
}

func listBackupJobs() tool.Tool {
	return tool.Read(tool.Spec[listJobsIn, listJobsOut]{
		Name:  "pve_list_backup_jobs",
		Title: "List backup jobs",
		Doc: "Which backup jobs are configured, when does the next scheduled one run, did the last work, which guests do they back up, where to, how many are kept; " +
			"disabled ones, and guests in no job.",
		Examples: []tool.Example{{Arguments: `{}`}, {Arguments: `{"id":"backup-nightly"}`}},
		Needs: []tool.Need{
			tool.On(tool.OnRoot, "Sys.Audit").Else("backup jobs cannot be seen"),
			tool.On(tool.OnGuest, "VM.Audit").Else("the guest is not counted"),
			tool.On(tool.OnGuest, "VM.Backup").Else("its backups cannot be seen"),
			tool.On(tool.OnStorage, "Datastore.Audit").Else("the storage is not looked into"),
			tool.On(tool.OnStorage, "Datastore.AllocateSpace").Else("its backups cannot be seen"),
			tool.On(tool.OnNode, "Sys.Audit").Else("runs cannot be seen"),
		},
		Run: runListJobs,
	})
}

// logsOfNode is how many logs of backups are read of a node.
const logsOfNode = 5

func runListJobs(ctx context.Context, c *tool.Call, in listJobsIn) (listJobsOut, error) {
	s, end, err := survey.Begin(ctx, c.View, survey.Deadline)
	if err != nil {
		return listJobsOut{}, err
	}
	defer end()
	cov, err := coverage.Read(ctx, s, coverage.Options{Logs: logsOfNode})
	if err != nil {
		return listJobsOut{}, err
	}
	jobs := cov.Jobs
	if in.ID != "" {
		if jobs, err = jobNamed(cov, in.ID); err != nil {
			return listJobsOut{}, err
		}
	}
	out := listJobsOut{Total: len(jobs), Jobs: []jobsListRow{}, AsOf: render.Time(c.AsOf())}
	page, rest := tool.Page(jobs, in.Limit, in.Offset)
	out.Rest = rest
	for _, j := range page {
		row := rowOfJob(c, cov, j)
		if in.ID != "" {
			row.detail(ctx, c, cov, j)
		}
		out.Jobs = append(out.Jobs, row)
	}
	if in.ID == "" && !cov.JobsUnseen {
		out.NoJob, out.NoJobCount = inNoJob(cov)
	}
	out.Message = messageOfJobs(cov, out)
	out.Blind = s.Blind()
	return out, nil
}

// jobNamed finds a job by its id.
func jobNamed(cov *coverage.Coverage, id string) ([]coverage.Job, error) {
	var ids []string
	for _, j := range cov.Jobs {
		if j.ID == strings.TrimSpace(id) {
			return []coverage.Job{j}, nil
		}
		ids = append(ids, render.Text(j.ID, 60))
	}
	if cov.JobsUnseen && ids == nil {
		return nil, explain.Refusal("Grant PVEAuditor on /.", "Backup jobs cannot be seen: this token lacks Sys.Audit on /, or PVE did not answer.")
	}
	return nil, explain.Refusal(fmt.Sprintf("There is %s.", render.List(ids)), "There is no backup job %q.", render.Text(id, 60))
}

func rowOfJob(c *tool.Call, cov *coverage.Coverage, j coverage.Job) jobsListRow {
	set := settingsOf(j.BackupJob)
	row := jobsListRow{
		ID: render.Text(j.ID, 60), Disabled: !j.Enabled, Schedule: render.Text(j.Schedule.Value, 60), When: schedule.Words(j.Schedule.Value),
		Includes: render.Text(j.Selection(), 120), Guests: len(j.Guests), Storage: render.Text(j.Storage.Value, 60), Keeps: set.keep().words(),
		Comment: render.Text(j.Comment.Value, 120),
	}
	if mode := j.Mode.Value; mode != "snapshot" {
		row.Mode = render.Text(mode, 20)
	}
	if !j.NextRun.IsZero() {
		row.Next = []string{render.Time(j.NextRun)}
	}
	row.Last = lastOf(c, j)
	row.Why = whyOf(cov, j)
	return row
}

// lastOf says how the newest run of a job ended.
func lastOf(c *tool.Call, j coverage.Job) string {
	run := j.LastRun
	switch {
	case run == nil && j.LastBackup.IsZero():
		return ""
	case run == nil:
		return "a backup of its guests was made " + render.Duration(c.Ago(j.LastBackup)) + " ago"
	case run.Failed:
		return "failed " + render.Duration(c.Ago(run.Begun)) + " ago: " + render.Said(run.Reason, 120) + " (" + run.Task.String() + ")"
	}
	return "ok " + render.Duration(c.Ago(run.Begun)) + " ago"
}

// whyOf says why a job needs attention.
func whyOf(cov *coverage.Coverage, j coverage.Job) []string {
	var out []string
	switch {
	case !j.Enabled:
	case j.Due == coverage.Overdue:
		out = append(out, "it has not run as scheduled: it was to run at "+render.Time(j.Missed))
	case j.Due == coverage.NeverRan:
		out = append(out, "no task and no backup shows that it ever ran")
	case !j.Unread && len(j.Guests) == 0:
		out = append(out, "it includes no guest that this token may see")
	}
	if j.Enabled && j.NextRun.IsZero() {
		out = append(out, "its schedule never comes again: it can be deleted")
	}
	if len(j.Missing) > 0 {
		var ids []string
		for _, id := range j.Missing {
			ids = append(ids, id.String())
		}
		out = append(out, "it names guests that do not exist: "+render.Text(render.List(ids), 120))
	}
	var all []pve.Resource
	twice := map[string][]string{}
	for i := range cov.Guests {
		g := &cov.Guests[i]
		all = append(all, g.Resource)
		if !j.Enabled || !slices.ContainsFunc(g.Jobs, func(o *coverage.Job) bool { return o.ID == j.ID }) {
			continue
		}
		for _, other := range g.Jobs {
			if other.Enabled && other.ID != j.ID {
				twice[other.ID] = append(twice[other.ID], cluster.GuestName(g.Resource))
			}
		}
	}
	for _, other := range cov.Jobs {
		if names := twice[other.ID]; names != nil {
			out = append(out, fmt.Sprintf("in the job %s too: %s", render.Text(other.ID, 60), render.Text(render.List(render.Few(names, survey.MostSubjects)), 200)))
		}
	}
	if chosenBy := coverage.ChosenBy(j.Comment.Value); chosenBy != "" && j.Enabled {
		fits, err := selection.Choose(chosenBy, all)
		was := settingsOf(j.BackupJob).guestsIn(all)
		if err != nil || len(common(fits, was)) != len(fits) || len(fits) != len(was) {
			out = append(out, fmt.Sprintf("its guests are no longer those of %s; pve_set_backup_job with guests: %q takes them anew", render.Text(chosenBy, 60), render.Text(chosenBy, 60)))
		}
	}
	return out
}

// detail adds what is said of one job alone.
func (row *jobsListRow) detail(ctx context.Context, c *tool.Call, cov *coverage.Coverage, j coverage.Job) {
	row.Settings = settingsOf(j.BackupJob).without("schedule", "comment", "enabled", "storage")
	for key, value := range row.Settings {
		row.Settings[key] = render.Text(value, 300)
	}
	for i := range cov.Guests {
		if g := cov.Guests[i]; slices.Contains(j.Guests, g.VMID) {
			row.Named = append(row.Named, cluster.GuestName(g.Resource))
		}
	}
	row.Named = render.Few(row.Named, 100)
	if j.Enabled {
		if times, err := c.PVE.ScheduledTimes(ctx, j.Schedule.Value, c.Now(), 5); err == nil {
			row.Next = timesOf(times)
		}
	}
}

// inNoJob are the guests, except templates, that no enabled job includes.
func inNoJob(cov *coverage.Coverage) (few []string, count int) {
	const most = 10
	for i := range cov.Guests {
		g := &cov.Guests[i]
		if g.Template.Value || g.InEnabledJob() {
			continue
		}
		if count++; len(few) < most {
			few = append(few, cluster.GuestName(g.Resource))
		}
	}
	return few, count
}

func messageOfJobs(cov *coverage.Coverage, out listJobsOut) string {
	if cov.JobsUnseen && len(cov.Jobs) == 0 {
		return "Backup jobs cannot be seen: see blind."
	}
	disabled, bad := 0, []string{}
	for _, j := range cov.Jobs {
		if !j.Enabled {
			disabled++
		} else if j.Due == coverage.Overdue || j.LastRun != nil && j.LastRun.Failed {
			bad = append(bad, render.Text(j.ID, 60))
		}
	}
	text := fmt.Sprintf("%s, %d disabled.", count(len(cov.Jobs), "backup job"), disabled)
	if len(bad) > 0 {
		text += " Failed or late: " + render.List(render.Few(bad, survey.MostSubjects)) + "."
	}
	if out.NoJobCount > 0 {
		text += " In no enabled job: " + count(out.NoJobCount, "guest") + "."
	}
	if cov.JobsUnseen {
		text += " What some of them include could not be seen."
	}
	return text
}
