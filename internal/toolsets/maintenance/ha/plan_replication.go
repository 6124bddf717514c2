package ha

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/schedule"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/lazyregexp"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
)

// jobRE matches the id of a replication job: that of its guest, and a number.
var jobRE = lazyregexp.New(`^([1-9][0-9]{2,8})-\d{1,9}$`)

// job finds the guest of the call, and the replication job that it means: nil for a new one.
func (p *planner) job(ctx context.Context) (g pve.Resource, job section, err error) {
	named := p.in.Resource
	if m := jobRE.FindStringSubmatch(p.in.Name); m != nil {
		named = cmp.Or(named, m[1])
	} else if p.in.Name != "" {
		return g, nil, tool.BadArgument("name", fmt.Sprintf("is %q, which is no id of a replication job, such as 101-0", render.Text(p.in.Name, 60)))
	}
	if g, err = p.guest("resource", named); err != nil {
		return g, nil, err
	}
	if p.major >= 9 {
		if err := cluster.RequirePrivilege(p.perms, "/vms/"+g.VMID.String(), "VM.Replicate"); err != nil {
			return g, nil, err
		}
	}
	all, err := jobKind.read(ctx, p.c.PVE)
	if err != nil {
		return g, nil, err
	}
	own := slices.DeleteFunc(all, func(j section) bool { return j["guest"] != g.VMID.String() })
	var ids []string
	for _, j := range own {
		ids = append(ids, fmt.Sprintf("%s to %s", j["id"], j["target"]))
	}
	if p.in.Name != "" {
		return g, p.choose(g, own, jobKind.named(own, p.in.Name)), nil
	}
	fits := own
	if p.in.Node != "" {
		fits = slices.DeleteFunc(slices.Clone(own), func(j section) bool { return j["target"] != p.in.Node })
	}
	if len(fits) > 1 {
		return g, nil, explain.Refusal("Name the job: name.", "%s has several replication jobs: %s. Nothing was sent.", p.names.name(sidOf(g)), render.List(ids))
	}
	if len(fits) == 1 {
		return g, p.choose(g, own, fits[0]), nil
	}
	return g, p.choose(g, own, nil), nil
}

// choose keeps the id of the job that is meant, or of a new one: that of the call, or a free one.
func (p *planner) choose(g pve.Resource, own []section, job section) section {
	if p.Name = p.in.Name; job != nil {
		p.Name = job["id"]
	}
	for n := 0; p.Name == ""; n++ {
		if id := fmt.Sprintf("%v-%d", g.VMID, n); jobKind.named(own, id) == nil {
			p.Name = id
		}
	}
	return job
}

// existing is job for a call that needs one.
func (p *planner) existing(ctx context.Context) (pve.Resource, section, error) {
	g, job, err := p.job(ctx)
	if err == nil && job == nil {
		err = explain.Refusal("pve_ha lists the jobs.", "%s has no such replication job. Nothing was sent.", p.names.name(sidOf(g)))
	}
	return g, job, err
}

func (p *planner) replicate(ctx context.Context) error {
	g, job, err := p.job(ctx)
	if err != nil {
		return err
	}
	id, name := p.Name, p.names.name(sidOf(g))
	if job["remove_job"] != "" {
		return explain.Refusal("Call again when pve_ha no longer lists it.", "PVE still removes the replication job %s. Nothing was sent.", id)
	}
	p.begin(http.MethodPut, "job", id, jobKind.settings(job))
	p.Name = id
	after := maps.Clone(p.Before)
	if job == nil {
		p.begin(http.MethodPost, "job", id, nil)
		if after, err = p.newJob(ctx, g); err != nil {
			return err
		}
	} else if p.in.Node != "" && p.in.Node != job["target"] {
		return explain.Refusal("Make a job to that node, and remove this one.", "PVE cannot change the target of the replication job %s. Nothing was sent.", id)
	}
	if err := p.takeJob(ctx, after); err != nil {
		return err
	}
	event := cmp.Or(after["schedule"], defaultSchedule)
	p.About = fmt.Sprintf("Replication %s of %s from %s to %s, %s", id, name, g.Node.Value, after["target"], cmp.Or(schedule.Words(event), event))
	if before := p.Before["disable"]; after["disable"] == "1" && before != "1" {
		p.lost = append(p.lost, fmt.Sprintf("no copy of %s is made any more: what changes is lost if %s fails", name, g.Node.Value))
	}
	p.settle(after)
	p.undoBy(p.backTo("replicate", "name", id))
	if job == nil {
		p.Form.Set("id", id)
		p.lines = append(p.lines, fmt.Sprintf("its disks are copied to %s, over volumes of the same name that may be there", after["target"]))
		p.undoBy(map[string]any{"change": "remove_replication", "name": id})
	}
	return nil
}

// newJob are the settings of a job that is made.
func (p *planner) newJob(ctx context.Context, g pve.Resource) (section, error) {
	if err := p.checkNode(ctx, "node", p.in.Node); err != nil {
		return nil, err
	}
	if p.in.Node == g.Node.Value {
		return nil, tool.BadArgument("node", fmt.Sprintf("is %s, where %s is: choose another one", p.in.Node, p.names.name(sidOf(g))))
	}
	return section{"type": "local", "target": p.in.Node}, nil
}

// takeJob puts the arguments of a job into its settings.
func (p *planner) takeJob(ctx context.Context, after section) error {
	in := p.in
	for _, key := range in.Unset {
		delete(after, key)
	}
	if in.Schedule != "" {
		after["schedule"] = schedule.Event(in.Schedule)
		times, err := p.c.PVE.ScheduledTimes(ctx, after["schedule"], p.c.Now(), 1)
		var refused *proxmox.Error
		switch {
		case errors.As(err, &refused) && refused.Status == 400, err == nil && len(times) == 0:
			return tool.BadArgument("schedule", fmt.Sprintf("is %q, which is no schedule that PVE takes: say it as every 15 minutes, every night at 2, or in PVE's form, such as */15 or mon..fri 22:00", render.Text(in.Schedule, 80)))
		case err != nil:
			return err
		}
	}
	if in.Rate != "" {
		if mb, err := strconv.ParseFloat(in.Rate, 64); err != nil || mb < 1 {
			return tool.BadArgument("rate", fmt.Sprintf("is %q; it is a number of MB/s from 1 on, such as 50", render.Text(in.Rate, 30)))
		}
		after["rate"] = in.Rate
	}
	if in.Comment != "" {
		after["comment"] = in.Comment
	}
	if in.Enabled != nil {
		after["disable"] = tool.Flag(!*in.Enabled)
	}
	return nil
}

func (p *planner) removeReplication(ctx context.Context) error {
	g, job, err := p.existing(ctx)
	if err != nil {
		return err
	}
	id, name := job["id"], p.names.name(sidOf(g))
	p.begin(http.MethodDelete, "job", id, jobKind.settings(job))
	p.About = fmt.Sprintf("Removal of the replication %s of %s to %s", id, name, job["target"])
	p.undoBy(p.backTo("replicate", "name", id))
	p.lost = []string{fmt.Sprintf("the copies on %s are deleted, and %s has no copy there any more; a new replication copies everything anew", job["target"], name)}
	if p.in.Keep {
		p.Form.Set("keep", "1")
		p.lost = []string{fmt.Sprintf("the copies on %s stay, and are not brought up to date any more", job["target"])}
	}
	p.Goal = goal{Gone: id, Guest: name}
	return nil
}

func (p *planner) runReplication(ctx context.Context) error {
	g, job, err := p.existing(ctx)
	if err != nil {
		return err
	}
	id, node := job["id"], g.Node.Value
	if job.flag("disable", false) {
		return explain.Refusal("Enable it: change: replicate, enabled: true.", "The replication job %s is disabled, and PVE does not run it. Nothing was sent.", id)
	}
	ran, err := kind{path: []string{"nodes", node, "replication"}, key: "id"}.read(ctx, p.c.PVE)
	if err != nil {
		return err
	}
	p.About = fmt.Sprintf("Run of the replication %s of %s to %s", id, p.names.name(sidOf(g)), job["target"])
	p.Method, p.Path, p.Form = http.MethodPost, []string{"nodes", node, "replication", id, "schedule_now"}, url.Values{}
	p.Goal = goal{Job: id, On: node, Guest: p.names.name(sidOf(g)), Tried: jobKind.named(ran, id).number("last_try")}
	p.lines = []string{"PVE begins within a minute"}
	return nil
}
