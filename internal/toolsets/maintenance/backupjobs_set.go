package maintenance

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/change"
	"github.com/pve-mcp/pve-mcp/internal/exactjson"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/schedule"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
)

type setJobIn struct {
	Action   string      `json:"action" enum:"create,change,delete,run_now" jsonschema:"what to do"`
	ID       string      `json:"id,omitzero" jsonschema:"of the job; create: default from guests"`
	Guests   string      `json:"guests,omitzero" jsonschema:"ids, names, web*, tag:prod (the guests that have it now), pool:lab, node:pve2, all, all+!104; run_now: only these of the job"`
	Schedule string      `json:"schedule,omitzero" jsonschema:"every night at 2, weekdays at 22:00, every 4 hours; or PVE's calendar event"`
	Once     string      `json:"once,omitzero" jsonschema:"in place of schedule: tonight at 2, or 2026-12-31 02:00"`
	Storage  string      `json:"storage,omitzero" jsonschema:"default: the only one"`
	Keep     string      `json:"keep,omitzero" jsonschema:"backups of each guest that stay: 7, or last=7,weekly=4, or all; default: as the storage says"`
	Mode     string      `json:"mode,omitzero" enum:"snapshot,suspend,stop" jsonschema:"default: snapshot; stop: shuts guests down"`
	Enabled  *bool       `json:"enabled,omitzero" jsonschema:"false: it does not run by itself"`
	Comment  string      `json:"comment,omitzero" jsonschema:"a note"`
	Set      tool.Values `json:"set,omitzero" jsonschema:"other settings by PVE's keys"`
	Unset    []string    `json:"unset,omitzero" jsonschema:"PVE's keys to remove"`
	KeepAll  bool        `json:"keep_all,omitzero" jsonschema:"run_now: delete no older backups"`
	change.PlanArguments
	change.ConfirmArgument
	change.WaitArgument
}

type setJobState struct {
	Action string   `json:"action"`
	ID     string   `json:"id"`
	Send   settings `json:"send,omitzero"` // what is sent, without guests of a run
	Unset  []string `json:"unset,omitzero"`
	Before settings `json:"before,omitzero"`
	After  settings `json:"after,omitzero"` // as it is to be
	Runs   []jobRun `json:"runs,omitzero"`
	Notes  []string `json:"notes,omitzero"`
	// Asks says that a human agrees to it before it is sent.
	Asks bool `json:"asks,omitzero"`
}

type setJobOut struct {
	change.Answer
	Job      string         `json:"job,omitzero"`
	Schedule string         `json:"schedule,omitzero" jsonschema:"PVE's form"`
	When     string         `json:"when,omitzero" jsonschema:"in words"`
	NextRuns []string       `json:"next_runs,omitzero"`
	Keeps    string         `json:"keeps,omitzero"`
	Before   settings       `json:"before,omitzero" jsonschema:"what has changed"`
	After    settings       `json:"after,omitzero"`
	Runs     []runRow       `json:"runs,omitzero" jsonschema:"by node"`
	Notes    []string       `json:"notes,omitzero"`
	Undo     *tool.NextCall `json:"undo,omitzero" jsonschema:"the call that takes it back"`
}

func setBackupJob() tool.Tool {
	return change.New(change.Spec[setJobIn, setJobState, setJobOut]{
		Name:  "pve_set_backup_job",
		Title: "Make, change, delete or run a backup job",
		Doc: "Schedule backups: nightly or weekly backups of guests by tag, pool or id, keep the last seven; back up once tonight; change, turn off or delete a " +
			"backup job, or run it now. Understands words (every night at 2), shows the next runs and what is kept. plan: first says what would happen.",
		Long: true,
		Examples: []tool.Example{
			{Arguments: `{"action":"create","id":"nightly-prod","guests":"tag:prod","schedule":"every night at 2","storage":"nfs","keep":"7"}`},
			{Arguments: `{"action":"change","id":"backup-db","schedule":"weekdays at 22:00"}`},
			{Arguments: `{"action":"change","id":"backup-weekly","guests":"pool:db","storage":"nfs","confirm":true}`},
			{Arguments: `{"action":"run_now","id":"backup-db","confirm":true,"wait":1}`},
			{Arguments: `{"action":"delete","id":"backup-weekly","confirm":true}`},
		},
		Worst: policy.Destructive,
		Risk: func(in setJobIn) policy.Risk {
			if in.Action == "delete" {
				return policy.Destructive
			}
			return policy.Write
		},
		Needs: []tool.Need{
			tool.On(tool.OnRoot, "Sys.Audit"),
			tool.On(tool.OnGuest, "VM.Audit"),
			tool.On(tool.OnStorage, "Datastore.Audit"),
			tool.On(tool.OnRoot, "Sys.Modify").If("not run_now").ForAdmins(),
			tool.On(tool.OnStorage, "Datastore.Allocate").If("not delete; run_now of a job with a retention of its own").ForAdmins(),
			tool.On(tool.OnPool, "Pool.Audit").If("pool:"),
			tool.On(tool.OnPool, "VM.Backup").If("pool:"),
			tool.On(tool.OnGuest, "VM.Backup").If("run_now"),
			tool.On(tool.OnStorage, "Datastore.AllocateSpace").If("run_now"),
		},
		Plan:   planSetJob,
		Steps:  setJobSteps,
		Finish: finishSetJob,
	})
}

func jobSubject(id string) policy.Subject { return policy.Subject{Kind: policy.JobKind, ID: id} }

// about names the whole.
func (s setJobState) about() string {
	what := map[string]string{"create": "Creation", "change": "Change", "delete": "Deletion", "run_now": "Run"}[s.Action]
	return fmt.Sprintf("%s of the backup job %s", what, render.Text(s.ID, 60))
}

func setJobSteps(s setJobState) []change.Step[setJobState] {
	if s.Action == "run_now" {
		return runSteps(s)
	}
	method, path := http.MethodPost, proxmox.Join("cluster", "backup")
	if s.Action != "create" {
		path = proxmox.Join("cluster", "backup", s.ID)
		method = map[string]string{"change": http.MethodPut, "delete": http.MethodDelete}[s.Action]
	}
	step := change.Step[setJobState]{
		About: s.about(),
		Send: func(ctx context.Context, c *tool.Call, s *setJobState) (change.Job, error) {
			form := s.Send.form()
			if s.Action == "create" {
				form.Set("id", s.ID)
			}
			if len(s.Unset) > 0 {
				form["delete"] = []string{strings.Join(s.Unset, ",")}
			}
			_, err := c.PVE.Do(ctx, method, path, form)
			return change.Job{}, err
		},
	}
	if s.Asks {
		step.Target, _ = policy.TargetOf(method, []string{"cluster", "backup", s.ID}, s.Send.form())
	}
	return []change.Step[setJobState]{step}
}

func finishSetJob(ctx context.Context, c *tool.Call, s setJobState, end change.End) (setJobOut, error) {
	out := setJobOut{Job: render.Text(s.ID, 60), Notes: s.Notes}
	if s.Action == "run_now" {
		return finishRun(ctx, c, s, out, end)
	}
	jobs, err := c.PVE.BackupJobs(ctx)
	if err != nil {
		return out, err
	}
	i := slices.IndexFunc(jobs, func(j pve.BackupJob) bool { return j.ID == s.ID })
	var is settings
	if i >= 0 {
		is = settingsOf(jobs[i])
	}
	switch {
	case s.Action == "delete" && i >= 0:
		out.SetOutcome(tool.Failed, "pve_list_backup_jobs shows it.", "PVE reported success, but the backup job %s is still there.", out.Job)
		return out, nil
	case s.Action != "delete" && i < 0:
		out.SetOutcome(tool.Unknown, "pve_list_backup_jobs shows what there is.", "PVE reported success, but there is no backup job %s.", out.Job)
		return out, nil
	}
	out.Before, out.After = differences(s.Before, is)
	out.Undo = s.undo(c, is)
	if s.Action == "delete" {
		return out, nil
	}
	out.Schedule, out.When, out.Keeps = render.Text(is["schedule"], 60), schedule.Words(is["schedule"]), is.keep().words()
	if is.isEnabled() {
		if times, err := c.PVE.ScheduledTimes(ctx, is["schedule"], c.Now(), 3); err == nil {
			out.NextRuns = timesOf(times)
		}
	}
	return out, nil
}

// differences are the values that differ.
func differences(before, after settings) (was, is settings) {
	take := func(into *settings, key, value string) {
		if *into == nil {
			*into = settings{}
		}
		(*into)[key] = render.Text(value, 300)
	}
	for key, value := range before {
		if now, ok := after[key]; !ok || now != value {
			take(&was, key, value)
		}
	}
	for key, value := range after {
		if then, ok := before[key]; !ok || then != value {
			take(&is, key, value)
		}
	}
	return was, is
}

// undo is the call that takes the change back, by what the job is now.
func (s setJobState) undo(c *tool.Call, is settings) *tool.NextCall {
	args := map[string]any{"id": s.ID}
	switch s.Action {
	case "create":
		args["action"] = "delete"
	case "delete":
		args["action"], args["set"] = "create", s.Before
	default:
		was, _ := differences(s.Before, is)
		set := settings{}
		for key := range was {
			set[key] = s.Before[key]
		}
		var unset []string
		for key := range is {
			if _, had := s.Before[key]; !had {
				unset = append(unset, key)
			}
		}
		slices.Sort(unset)
		args["action"] = "change"
		if len(set) > 0 {
			args["set"] = set
		}
		if unset != nil {
			args["unset"] = unset
		}
		if len(set) == 0 && unset == nil {
			return nil
		}
	}
	next := c.Host().Offered(tool.NextCall{Tool: "pve_set_backup_job", Arguments: args})
	if len(exactjson.Encode(next)) > 4000 {
		return nil
	}
	return &next
}
