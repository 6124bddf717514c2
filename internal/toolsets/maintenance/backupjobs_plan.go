package maintenance

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/change"
	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/coverage"
	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/lazyregexp"
	"github.com/pve-mcp/pve-mcp/pve"
)

// jobPlan is a change of a backup job while it is planned.
type jobPlan struct {
	setJobState
	in     setJobIn
	perms  pve.Permissions
	jobs   []pve.BackupJob // all there are
	guests []pve.Resource  // that the token sees
	nodes  []pve.Resource
	stores []cluster.Store
	within []pve.Resource // those of the job before, as PVE says
	lines  []string       // what would happen
	lost   []string
}

func planSetJob(ctx context.Context, c *tool.Call, in setJobIn) (change.Plan, setJobState, error) {
	p := jobPlan{in: in, setJobState: setJobState{Action: in.Action, ID: strings.TrimSpace(in.ID)}}
	if err := in.check(); err != nil {
		return change.Plan{}, p.setJobState, err
	}
	if err := p.read(ctx, c); err != nil {
		return change.Plan{}, p.setJobState, err
	}
	var err error
	switch in.Action {
	case "run_now":
		err = p.planRun(ctx, c)
	case "delete":
		err = p.planDelete()
	default:
		err = p.planSettings(ctx, c)
	}
	plan := change.Plan{
		Subject: jobSubject(p.ID), About: p.about(), Destructive: len(p.lost) > 0, Consequences: slices.Concat(p.lost, p.lines, p.Notes),
		ImpactSaid: in.Action == "run_now",
	}
	p.Asks = plan.Destructive
	if err == nil && in.Action == "change" && len(p.Send) == 0 && len(p.Unset) == 0 {
		plan.Already = fmt.Sprintf("The backup job %s is like that already; nothing was sent.", render.Text(p.ID, 60))
	}
	return plan, p.setJobState, err
}

// check refuses arguments that are missing for the action, or do not go with it.
func (in setJobIn) check() error {
	sets := in.Schedule != "" || in.Once != "" || in.Storage != "" || in.Keep != "" || in.Mode != "" || in.Enabled != nil || in.Comment != "" || len(in.Set) > 0 || len(in.Unset) > 0
	switch is := in.Action; {
	case is != "create" && strings.TrimSpace(in.ID) == "":
		return tool.BadArgument("id", "is missing: which job; pve_list_backup_jobs lists them")
	case (is == "delete" || is == "run_now") && sets, is == "delete" && in.Guests != "":
		return tool.BadArgument("action", "takes no settings with delete and run_now; leave them out, or change the job first")
	case is != "run_now" && in.KeepAll:
		return tool.BadArgument("keep_all", "is for run_now; for a job it is keep: all")
	case in.Schedule != "" && in.Once != "":
		return tool.BadArgument("once", "and schedule say twice when it runs; give one of them")
	case is == "create" && in.Guests == "" && in.Set["vmid"] == "" && in.Set["pool"] == "" && in.Set["all"] == "":
		return tool.BadArgument("guests", "is missing: what to back up, such as tag:prod, pool:lab, 100,101 or all")
	case is == "create" && in.Schedule == "" && in.Once == "" && in.Set["schedule"] == "":
		return tool.BadArgument("schedule", "is missing, such as every night at 2; or once: tonight at 2")
	case is == "create" && len(in.Unset) > 0:
		return tool.BadArgument("unset", "is for change")
	}
	return nil
}

// read reads what every plan needs, and finds the job.
func (p *jobPlan) read(ctx context.Context, c *tool.Call) (err error) {
	if p.perms, err = c.PVE.PermissionsWithGaps(ctx); err != nil {
		return err
	}
	if p.jobs, err = c.PVE.BackupJobs(ctx); err != nil {
		return err
	}
	list, err := c.List(ctx, "")
	if err != nil {
		return err
	}
	for _, r := range list.Resources() {
		switch {
		case r.IsGuest():
			p.guests = append(p.guests, r)
		case r.Type == "node":
			p.nodes = append(p.nodes, r)
		}
	}
	p.stores = cluster.StoresIn(list.Resources())
	i := slices.IndexFunc(p.jobs, func(j pve.BackupJob) bool { return j.ID == p.ID })
	switch {
	case p.in.Action == "create" && i >= 0:
		return explain.Refusal("Change it (action: change), or choose another id.", "There is a backup job %s already. Nothing was sent.", render.Text(p.ID, 60))
	case p.in.Action == "create":
		return nil
	case i < 0:
		var ids []string
		for _, j := range p.jobs {
			ids = append(ids, render.Text(j.ID, 60))
		}
		return explain.Refusal(fmt.Sprintf("There is %s.", cmp.Or(render.List(ids), "none")), "There is no backup job %q. Nothing was sent.", render.Text(p.ID, 60))
	}
	p.Before = settingsOf(p.jobs[i])
	included, err := c.PVE.IncludedVolumes(ctx, p.ID)
	for _, g := range p.guests {
		if slices.ContainsFunc(included, func(in pve.IncludedGuest) bool { return in.VMID == g.VMID }) {
			p.within = append(p.within, g)
		}
	}
	return err
}

// need is a privilege on a path.
type need struct{ path, privilege string }

// require refuses a change for which the token lacks privileges, and names them all.
func (p *jobPlan) require(needs ...need) error {
	var lacks []string
	for _, n := range needs {
		if text := n.privilege + " on " + n.path; !p.perms.Has(n.path, n.privilege) && !slices.Contains(lacks, text) {
			lacks = append(lacks, text)
		}
	}
	if lacks == nil {
		return nil
	}
	return explain.Refusal("PVE asks for that to change backup jobs, which an operator's role does not have. An administrator can grant it, or do it under Datacenter, Backup.",
		"Nothing was sent: this token lacks %s.", strings.Join(lacks, "; it lacks "))
}

// planDelete plans the end of a job.
func (p *jobPlan) planDelete() error {
	if err := p.require(need{"/", "Sys.Modify"}); err != nil {
		return err
	}
	p.sayUnprotected(p.Before, nil)
	p.lost = append([]string{fmt.Sprintf("the backup job %s (%s, %s, to %s) is gone; the backups that it has made stay, and it prunes them no more",
		render.Text(p.ID, 60), p.Before.selection(), render.Text(p.Before["schedule"], 60), render.Text(p.Before["storage"], 60))}, p.lost...)
	return nil
}

// planSettings plans a new job, or another setting of one.
func (p *jobPlan) planSettings(ctx context.Context, c *tool.Call) error {
	p.After = maps.Clone(p.Before)
	if p.After == nil {
		p.After = settings{"enabled": "1", "mode": "snapshot"}
	}
	for _, step := range []func() error{p.takeRaw, p.takeGuests, p.takeStorage, p.takeRest, p.checkPrivileges} {
		if err := step(); err != nil {
			return err
		}
	}
	if p.ID == "" {
		p.ID = p.newID()
	}
	if err := p.takeSchedule(ctx, c); err != nil {
		return err
	}
	p.Send, p.Unset = settings{}, nil
	for key, value := range p.After {
		if old, had := p.Before[key]; !had || old != value {
			p.Send[key] = value
		}
	}
	for key := range p.Before {
		if _, stays := p.After[key]; !stays {
			p.Unset = append(p.Unset, key)
		}
	}
	slices.Sort(p.Unset)
	p.sayGuests()
	if p.Before != nil {
		p.sayLosses()
	}
	return nil
}

var (
	// jobIDRE is what PVE takes as an id.
	jobIDRE = lazyregexp.New(`^[A-Za-z][A-Za-z0-9_-]+$`)
	// notOfIDRE matches what an id that is made of a selection leaves out.
	notOfIDRE = lazyregexp.New(`[^a-z0-9]+`)
)

// newID names a new job by its guests.
func (p *jobPlan) newID() string {
	name := strings.Trim(notOfIDRE.ReplaceAllString(strings.ToLower(p.in.Guests), "-"), "-")
	id := "backup-" + name[:min(len(name), 40)]
	taken := func(id string) bool {
		return slices.ContainsFunc(p.jobs, func(j pve.BackupJob) bool { return j.ID == id })
	}
	for n, base := 2, id; taken(id); n++ {
		id = fmt.Sprintf("%s-%d", base, n)
	}
	return id
}

// takeRaw takes the settings by PVE's keys.
func (p *jobPlan) takeRaw() error {
	if p.ID != "" && !jobIDRE.MatchString(p.ID) {
		return tool.BadArgument("id", fmt.Sprintf("is %q, which PVE does not take: letters, digits, - and _, such as nightly-prod", render.Text(p.ID, 60)))
	}
	for _, key := range p.in.Unset {
		delete(p.After, key)
	}
	selects := slices.ContainsFunc([]string{"vmid", "all", "pool"}, func(key string) bool { _, is := p.in.Set[key]; return is })
	switch {
	case (selects || p.in.Set["exclude"] != "") && p.in.Guests != "":
		return tool.BadArgument("guests", "and the selection in set say it twice; give one of them")
	case selects:
		p.After = p.After.without("vmid", "all", "exclude", "pool")
	}
	for key, value := range p.in.Set {
		if slices.Contains([]string{"id", "type", "starttime", "dow", "delete", "maxfiles"}, key) {
			return tool.BadArgument("set", fmt.Sprintf("has %s, which is not set that way: id, schedule and keep are arguments, unset removes settings", key))
		}
		p.After[key] = flagText(key, value)
	}
	return nil
}

// flagText writes a setting that is on or off as the rest of the plan compares it: PVE takes
// words for it, too.
func flagText(key, value string) string {
	if !slices.Contains([]string{"enabled", "all", "remove"}, key) {
		return value
	}
	switch strings.ToLower(value) {
	case "on", "yes", "true":
		return "1"
	case "off", "no", "false":
		return "0"
	}
	return value
}

// takeStorage takes the storage, or picks it if there is one for backups only.
func (p *jobPlan) takeStorage() error {
	var names []string
	for _, s := range p.stores {
		if s.Holds("backup") && !slices.Contains(names, s.Storage.Value) {
			names = append(names, s.Storage.Value)
		}
	}
	name := cmp.Or(p.in.Storage, p.After["storage"])
	switch known := slices.ContainsFunc(p.stores, func(s cluster.Store) bool { return s.Storage.Value == name }); {
	case name == "" && len(names) == 1:
		name = names[0]
	case name == "":
		return tool.BadArgument("storage", fmt.Sprintf("is missing: where the backups go; for backups there is %s", cmp.Or(render.List(names), "none that this token may see")))
	case p.in.Storage == "" && name == p.Before["storage"]: // it stays
	case !known && p.perms.Has("/storage/"+name, "Datastore.Audit"):
		return cluster.NoStorageError(name, p.stores)
	case known && !slices.Contains(names, name):
		return explain.Refusal(fmt.Sprintf("For backups there is %s.", cmp.Or(render.List(names), "none")), "The storage %s does not hold backups. Nothing was sent.", render.Text(name, 60))
	}
	p.After["storage"] = name
	return nil
}

// takeRest takes the settings that need no look at the cluster.
func (p *jobPlan) takeRest() error {
	if p.in.Keep != "" {
		keep, err := parseKeep(p.in.Keep)
		if err != nil {
			return err
		}
		p.After["prune-backups"] = keep.String()
	}
	if rule := p.After["prune-backups"]; rule != "" && p.After.keep() == nil {
		return tool.BadArgument("set", fmt.Sprintf("has the prune-backups %q, which is no rule such as keep-last=7", render.Text(rule, 60)))
	}
	if p.in.Mode != "" {
		p.After["mode"] = p.in.Mode
	}
	if p.in.Enabled != nil {
		p.After["enabled"] = tool.Flag(*p.in.Enabled)
	}
	if p.in.Comment != "" {
		p.After["comment"] = coverage.WithChosen(p.in.Comment, coverage.ChosenBy(p.After["comment"]))
	}
	const mostComment = 512
	if len(p.After["comment"]) > mostComment {
		return tool.BadArgument("comment", fmt.Sprintf("is longer than PVE takes: %d bytes, with the selection of guests", mostComment))
	}
	return nil
}

// checkPrivileges checks what PVE asks for.
func (p *jobPlan) checkPrivileges() error {
	needs := []need{{"/", "Sys.Modify"}, {"/storage/" + p.After["storage"], "Datastore.Allocate"}}
	if old := p.Before["storage"]; old != "" {
		needs = append(needs, need{"/storage/" + old, "Datastore.Allocate"})
	}
	if pool := p.After["pool"]; pool != "" && pool != p.Before["pool"] {
		needs = append(needs, need{"/pool/" + pool, "VM.Backup"})
	}
	return p.require(needs...)
}

// timesOf writes times.
func timesOf(list []time.Time) []string {
	var out []string
	for _, at := range list {
		out = append(out, render.Time(at))
	}
	return out
}
