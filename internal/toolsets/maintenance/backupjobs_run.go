package maintenance

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/change"
	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/selection"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
)

// jobRun is the part of a run on one node.
type jobRun struct {
	Node   string       `json:"n"`
	Guests string       `json:"g"` // ids
	Task   proxmox.UPID `json:"t,omitzero"`
}

type runRow struct {
	Node    string       `json:"node"`
	Guests  int          `json:"guests"`
	Outcome tool.Outcome `json:"outcome"`
	Why     string       `json:"why,omitzero"`
	UPID    string       `json:"upid,omitzero"`
}

// planRun plans backups with the settings of the job, on each node that has guests of it.
func (p *jobPlan) planRun(ctx context.Context, c *tool.Call) error {
	guests := p.within
	if p.in.Guests != "" {
		chosen, err := selection.Choose(p.in.Guests, p.guests)
		if err != nil {
			return err
		}
		if outside := len(chosen) - len(common(chosen, guests)); outside > 0 {
			return tool.BadArgument("guests", fmt.Sprintf("has %d guests that are not in the job %s; pve_create_backup backs up any guest", outside, render.Text(p.ID, 60)))
		}
		guests = chosen
	}
	p.Send = p.Before.without(slices.Concat(schedulingKeys(), selectionKeys())...)
	if err := p.splitByNode(guests); err != nil {
		return err
	}
	if err := p.takePruning(ctx, c); err != nil {
		return err
	}
	if err := p.checkRunPrivileges(guests); err != nil {
		return err
	}
	p.Before = nil // the run does not change it
	return nil
}

// splitByNode sorts the guests by their nodes.
func (p *jobPlan) splitByNode(guests []pve.Resource) error {
	interrupted := 0
	for _, n := range p.nodes {
		var here []pve.Resource
		for _, g := range guests {
			if g.Node.Value == n.Node.Value {
				here = append(here, g)
			}
		}
		switch {
		case len(here) == 0:
			continue
		case n.Status.Value != "online":
			p.Notes = append(p.Notes, fmt.Sprintf("%s is %s: not backed up are %s", n.Node.Value, n.Status.Or("unknown"), guestNames(here)))
			continue
		}
		p.Runs = append(p.Runs, jobRun{Node: n.Node.Value, Guests: idsOf(here)})
		p.lines = append(p.lines, fmt.Sprintf("on %s, to %s: %s", n.Node.Value, render.Text(cmp.Or(p.Before["storage"], "local"), 60), guestNames(here)))
		interrupted += running(here)
	}
	slices.SortFunc(p.Runs, func(a, b jobRun) int { return pve.CompareNames(a.Node, b.Node) })
	if len(p.Runs) == 0 {
		return explain.Refusal("pve_list_backup_jobs shows what it includes.", "The backup job %s includes no guest on a node that is online, as far as this token sees. Nothing was sent.", render.Text(p.ID, 60))
	}
	if gone := p.Before.missing(p.guests); len(gone) > 0 && p.in.Guests == "" {
		p.Notes = append(p.Notes, "left out, since they do not exist or this token does not see them: "+render.List(gone))
	}
	if !p.perms.OnAll("/vms", "VM.Audit") && p.Before["vmid"] == "" {
		p.Notes = append(p.Notes, "this token does not see all guests (VM.Audit on /vms): others of the job are not backed up by this run")
	}
	if mode := p.Before["mode"]; interrupted > 0 && (mode == "stop" || mode == "suspend") {
		line := fmt.Sprintf("mode %s: it interrupts %s", mode, count(interrupted, "running guest"))
		if interrupted >= manyInterrupted {
			p.lost = append(p.lost, line)
		} else {
			p.lines = append(p.lines, line)
		}
	}
	return nil
}

// takePruning decides whether the run deletes older backups. Where no rule deletes any, it says
// so to PVE, which then needs no privilege for that.
func (p *jobPlan) takePruning(ctx context.Context, c *tool.Call) error {
	keep, whose := p.Before.keep(), "of the job"
	if p.Before["prune-backups"] == "" {
		configs, err := c.PVE.StorageConfigs(ctx)
		if err != nil {
			return err
		}
		whose = "of the storage"
		for _, s := range configs {
			if s.Storage == p.Before["storage"] {
				keep = ruleOf(s)
			}
		}
	}
	if p.in.KeepAll || p.Before["remove"] == "0" || len(keep) == 0 || keep["all"] > 0 {
		delete(p.Send, "prune-backups")
		p.Send["remove"] = "0"
		p.lines = append(p.lines, "no older backup is deleted")
		return nil
	}
	p.lost = append(p.lost, fmt.Sprintf("older backups of these guests on %s are deleted: the rule %s %s (%v)", render.Text(cmp.Or(p.Before["storage"], "local"), 60), whose, keep.words(), keep))
	return nil
}

// ruleOf is the retention of a storage.
func ruleOf(s pve.StorageConfig) retention {
	raw, ok := s.Extra["prune-backups"]
	if !ok {
		return nil
	}
	var value any
	if json.Unmarshal(raw, &value) != nil {
		return nil
	}
	rule, err := parseKeep(settingText(value))
	if err != nil {
		return nil
	}
	return rule
}

// checkRunPrivileges checks what PVE asks for, some of it in the task only.
func (p *jobPlan) checkRunPrivileges(guests []pve.Resource) error {
	store := "/storage/" + cmp.Or(p.Before["storage"], "local")
	var needs []need
	for _, g := range guests {
		needs = append(needs, need{"/vms/" + g.VMID.String(), "VM.Backup"})
	}
	needs = append(needs, need{store, "Datastore.AllocateSpace"})
	if p.Send["prune-backups"] != "" {
		needs = append(needs, need{store, "Datastore.Allocate"})
	}
	for _, key := range []string{"bwlimit", "ionice", "performance"} {
		if p.Send[key] != "" {
			needs = append(needs, need{"/", "Sys.Modify"})
		}
	}
	err := p.require(needs[:min(len(needs), 200)]...)
	if err != nil && p.Send["prune-backups"] != "" && p.perms.Has(store, "Datastore.AllocateSpace") && !p.perms.Has(store, "Datastore.Allocate") {
		return explain.Refusal("Run it with keep_all: true, which deletes no older backups and does not need that; or let an administrator run it.",
			"Nothing was sent: this token lacks Datastore.Allocate on %s, which the retention of the job needs.", store)
	}
	return err
}

// runSteps start the backups on each node. Those of several nodes run at the same time, as those
// that PVE starts.
func runSteps(s setJobState) []change.Step[setJobState] {
	var steps []change.Step[setJobState]
	for i, run := range s.Runs {
		form := s.Send.form()
		form.Set("vmid", run.Guests)
		step := change.Step[setJobState]{
			About: s.about(), Rest: "What was begun goes on. Run the job again with guests for the nodes that are left.",
			Send: func(ctx context.Context, c *tool.Call, s *setJobState) (change.Job, error) {
				ans, err := c.PVE.Do(ctx, http.MethodPost, proxmox.Join("nodes", run.Node, "vzdump"), form)
				if err != nil {
					return change.Job{}, err
				}
				var text string
				if json.Unmarshal(ans.Data, &text) != nil || text == "OK" {
					return change.Job{Warning: "PVE found none of its guests on " + run.Node + ": they have moved"}, nil
				}
				upid, err := proxmox.ParseUPID(text)
				if err != nil {
					return change.Job{}, err
				}
				s.Runs[i].Task = upid
				if len(s.Runs) > 1 { // finishRun follows them together
					return change.Job{}, nil
				}
				return change.Job{UPID: upid}, nil
			},
		}
		if len(s.Runs) > 1 {
			step.About = fmt.Sprintf("Start of the backup job %s on %s", render.Text(s.ID, 60), run.Node)
		}
		if s.Asks {
			step.Target, _ = policy.TargetOf(http.MethodPost, []string{"nodes", run.Node, "vzdump"}, form)
		}
		steps = append(steps, step)
	}
	return steps
}

// finishRun says how the backup on each node has ended.
func finishRun(ctx context.Context, c *tool.Call, s setJobState, out setJobOut, end change.End) (setJobOut, error) {
	counts := map[tool.Outcome]int{}
	var bad []string
	for _, run := range s.Runs {
		row, err := rowOfRun(ctx, c, run, end)
		if err != nil {
			return out, err
		}
		counts[row.Outcome]++
		if row.Why != "" {
			bad = append(bad, row.Node+": "+row.Why)
		}
		out.Runs = append(out.Runs, row)
	}
	if len(s.Runs) < 2 {
		return out, nil
	}
	about := s.about()
	if n := counts[tool.Running]; n > 0 {
		out.SetOutcome(tool.Running, "It goes on by itself. Follow it with pve_task_status: handle and wait.", "%s: it runs on %d of %d nodes.", about, n, len(s.Runs))
		return out, change.ErrNotYet
	}
	why := ""
	if bad != nil {
		why = " " + render.Text(strings.Join(bad, "; "), 600) + "."
	}
	const next = "pve_task_status shows what each task did."
	switch {
	case counts[tool.Failed] > 0:
		out.SetOutcome(tool.Failed, next, "%s failed on %d of %d nodes.%s", about, counts[tool.Failed], len(s.Runs), why)
	case counts[tool.Warnings] > 0, counts[""] > 0:
		out.SetOutcome(tool.Warnings, next, "%s: done, with warnings.%s", about, why)
	default:
		out.Message = fmt.Sprintf("%s: done on %d nodes.", about, len(s.Runs))
	}
	return out, nil
}

// rowOfRun looks at the task of a node.
func rowOfRun(ctx context.Context, c *tool.Call, run jobRun, end change.End) (runRow, error) {
	row := runRow{Node: run.Node, Guests: strings.Count(run.Guests, ",") + 1}
	if run.Task.IsZero() {
		row.Why = "it was not begun"
		return row, nil
	}
	row.UPID = run.Task.String()
	status := end.Status
	if status.UPID.String() != run.Task.String() {
		var err error
		if status, err = c.PVE.TaskStatus(proxmox.ReadAgain(ctx), run.Task); err != nil {
			return row, err
		}
	}
	switch row.Outcome = tool.OutcomeOf(status); row.Outcome {
	case tool.Failed:
		row.Why, _ = c.TaskReason(ctx, run.Task, status, 3)
	case tool.Warnings:
		row.Why = status.ExitStatus.Value
	}
	return row, nil
}
