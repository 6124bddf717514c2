// Package backupstatus has the tool that says which guests are backed up, and which are not.
package backupstatus

import (
	"context"
	"slices"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/coverage"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/selection"
	"github.com/pve-mcp/pve-mcp/internal/survey"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pve"
)

type statusIn struct {
	Guests    string `json:"guests,omitzero" jsonschema:"only these, as tag:prod+!web*"`
	OlderThan string `json:"older_than,omitzero" jsonschema:"such as 7d; default: by the job, or 2d"`
	Without   bool   `json:"without,omitzero" jsonschema:"only guests with no backup at all"`
	All       bool   `json:"all,omitzero" jsonschema:"also the good ones and templates"`
	Limit     int    `json:"limit,omitzero" min:"1" max:"200" default:"10" jsonschema:"most guests, the worst first"`
	Offset    int    `json:"offset,omitzero" min:"0" jsonschema:"guests to skip"`
}

type statusOut struct {
	Message string     `json:"message"`
	Guests  []guestRow `json:"guests" cut:"end" jsonschema:"that are not well protected, the worst first; with all: all"`
	Total   int        `json:"total" jsonschema:"guests that match"`
	tool.Rest
	Counts counts         `json:"counts"`
	Good   []string       `json:"good,omitzero" jsonschema:"some of those that are well protected"`
	Jobs   []jobRow       `json:"jobs,omitzero" jsonschema:"that need attention; with all: all"`
	Gone   *goneRow       `json:"gone,omitzero" jsonschema:"backups of guests that are not there"`
	Blind  []survey.Blind `json:"blind,omitzero" jsonschema:"what could not be seen: nothing is known of it"`
	AsOf   string         `json:"as_of"`
}

type counts struct {
	Guests        int `json:"guests" jsonschema:"without templates, unless they are asked for"`
	Fresh         int `json:"fresh,omitzero" jsonschema:"with a good backup that is not too old"`
	Old           int `json:"old,omitzero" jsonschema:"with an older one"`
	None          int `json:"none,omitzero" jsonschema:"with none: every storage was looked into"`
	Unknown       int `json:"unknown,omitzero" jsonschema:"whose backups cannot be seen"`
	Failed        int `json:"last_failed,omitzero" jsonschema:"whose last backup failed"`
	Bad           int `json:"newest_is_bad,omitzero" jsonschema:"whose newest backup failed its verification or is not finished"`
	NeverVerified int `json:"never_verified,omitzero" jsonschema:"with backups on a backup server, of which none was ever verified"`
	Excluded      int `json:"disks_excluded,omitzero" jsonschema:"with disks that no job includes"`
	NoJob         int `json:"in_no_job,omitzero" jsonschema:"in no job that is enabled"`
}

type guestRow struct {
	Guest    string         `json:"guest"`
	Node     string         `json:"node,omitzero"`
	State    state          `json:"state" jsonschema:"none, old, bad, failed, doubtful, excluded, no job, unknown or good: the worst"`
	Why      []string       `json:"why,omitzero"`
	Newest   *backupRow     `json:"newest,omitzero" jsonschema:"good backup"`
	Count    int            `json:"count,omitzero" jsonschema:"of its backups"`
	Jobs     []string       `json:"jobs,omitzero" jsonschema:"that include it, and when they run next"`
	Excluded []string       `json:"excluded,omitzero" jsonschema:"disks that no job includes"`
	Failed   *failedRow     `json:"last_failure,omitzero"`
	Fix      *tool.NextCall `json:"fix,omitzero" jsonschema:"a ready call"`
}

type backupRow struct {
	VolID     string `json:"volid"`
	Age       string `json:"age"`
	Verified  string `json:"verified,omitzero" jsonschema:"of one on a backup server: ok or not yet"`
	Encrypted bool   `json:"encrypted,omitzero"`
	Protected bool   `json:"protected,omitzero"`
	Node      string `json:"node,omitzero" jsonschema:"that has it, if not shared"`
}

type failedRow struct {
	Ago  string `json:"ago"`
	Why  string `json:"why"`
	UPID string `json:"upid"`
}

type jobRow struct {
	ID       string   `json:"id"`
	Schedule string   `json:"schedule,omitzero"`
	Guests   string   `json:"guests" jsonschema:"what it includes"`
	Storage  string   `json:"storage,omitzero"`
	Next     string   `json:"next,omitzero"`
	Last     string   `json:"last,omitzero" jsonschema:"age of its last run or backup, if one is known"`
	Why      []string `json:"why,omitzero" jsonschema:"it needs attention"`
}

type goneRow struct {
	Guests  []string `json:"guests" jsonschema:"at most five"`
	Count   int      `json:"count" jsonschema:"of such guests"`
	Backups int      `json:"backups"`
}

// Tool returns pve_backup_status.
func Tool() tool.Tool {
	return tool.Read(tool.Spec[statusIn, statusOut]{
		Name:  "pve_backup_status",
		Title: "Show which guests are backed up",
		Doc: "Which guests have no backup, are not backed up for a week, or whose backup failed last night or was not verified, and why; which are fine or in no " +
			"job; disks that no job includes.",
		Long: true,
		Examples: []tool.Example{
			{Arguments: `{}`},
			{Arguments: `{"guests":"tag:prod","older_than":"7d"}`},
		},
		Needs: []tool.Need{
			tool.On(tool.OnGuest, "VM.Audit").Else("the guest is not counted"),
			tool.On(tool.OnGuest, "VM.Backup").Else("its backups cannot be seen"),
			tool.On(tool.OnStorage, "Datastore.Audit").Else("the storage is not looked into"),
			tool.On(tool.OnStorage, "Datastore.AllocateSpace").Else("its backups cannot be seen"),
			tool.On(tool.OnRoot, "Sys.Audit").Else("backup jobs cannot be seen"),
			tool.On(tool.OnNode, "Sys.Audit").Else("failed backups cannot be seen"),
		},
		Run: runStatus,
	})
}

// logsRead is how many logs of backups are read of a node.
const logsRead = 5

func runStatus(ctx context.Context, c *tool.Call, in statusIn) (statusOut, error) {
	r := report{c: c, limit: 2 * 24 * time.Hour, scheduled: true}
	if in.OlderThan != "" {
		limit, err := tool.ParseAge("older_than", in.OlderThan)
		if err != nil {
			return statusOut{}, err
		}
		r.limit, r.scheduled = limit, false
	}
	s, end, err := survey.Begin(ctx, c.View, survey.Deadline)
	if err != nil {
		return statusOut{}, err
	}
	defer end()
	r.Survey = s
	if r.Coverage, err = coverage.Read(ctx, s, coverage.Options{Logs: logsRead}); err != nil {
		return statusOut{}, err
	}
	chosen, err := choose(r.Guests, in)
	if err != nil {
		return statusOut{}, err
	}
	judged, n := r.judge(chosen)
	listed := slices.DeleteFunc(slices.Clone(judged), func(v verdict) bool {
		return in.Without && v.worst() != none || !in.All && (v.worst() == good || v.worst() == unknown)
	})
	out := statusOut{Message: r.message(judged, n), Counts: n, Total: len(listed), Gone: r.gone(), Jobs: r.jobs(in.All), AsOf: render.Time(c.AsOf())}
	for _, v := range judged {
		if v.worst() == good && !in.All && len(out.Good) < mostGood {
			out.Good = append(out.Good, v.label())
		}
	}
	listed, out.Rest = tool.Page(listed, in.Limit, in.Offset)
	for _, v := range listed {
		out.Guests = append(out.Guests, r.row(v))
	}
	out.Blind = s.Blind()
	return out, nil
}

// mostGood is how many guests are named that are well protected.
const mostGood = 10

// choose returns the guests that an answer is about.
func choose(all []coverage.Guest, in statusIn) ([]*coverage.Guest, error) {
	var chosen []*coverage.Guest
	wanted := map[pve.VMID]bool{}
	if in.Guests != "" {
		var rows []pve.Resource
		for _, g := range all {
			rows = append(rows, g.Resource)
		}
		found, err := selection.Choose(in.Guests, rows)
		if err != nil {
			return nil, err
		}
		for _, g := range found {
			wanted[g.VMID] = true
		}
	}
	for i := range all {
		g := &all[i]
		if in.Guests != "" && wanted[g.VMID] || in.Guests == "" && (in.All || !g.Template.Value) {
			chosen = append(chosen, g)
		}
	}
	return chosen, nil
}
