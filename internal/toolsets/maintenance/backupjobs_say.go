package maintenance

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/coverage"
	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/schedule"
	"github.com/pve-mcp/pve-mcp/internal/selection"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/lazyregexp"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
	"github.com/pve-mcp/pve-mcp/pve/apischema"
)

var (
	// allButRE matches a selection of all guests without some.
	allButRE = lazyregexp.New(`^all((?:\s*\+\s*![^+,!:]+)+)$`)
	// idsRE matches a selection by ids alone.
	idsRE = lazyregexp.New(`^\d+(?:\s*,\s*\d+)*$`)
)

// takeGuests turns the selection into what PVE knows: a pool, all, all except some, a node, or ids.
func (p *jobPlan) takeGuests() error {
	text := strings.TrimSpace(p.in.Guests)
	if text == "" {
		return nil
	}
	chosen, err := selection.Choose(text, p.guests)
	if err != nil {
		return err
	}
	if len(chosen) == 0 {
		return explain.Refusal("pve_list_guests shows what there is.", "The selection %q fits none of %d guests. Nothing was sent.", render.Text(text, 100), len(p.guests))
	}
	now := p.After.without(selectionKeys()...)
	key, value, _ := strings.Cut(text, ":")
	by := "" // what PVE does not know
	switch {
	case text == "all":
		now["all"] = "1"
	case allButRE.MatchString(text):
		left, err := selection.Choose(strings.ReplaceAll(strings.ReplaceAll(strings.TrimPrefix(text, "all"), "+", ","), "!", ""), p.guests)
		if err != nil {
			return err
		}
		now["all"], now["exclude"] = "1", idsOf(left)
	case key == "pool" && !strings.ContainsAny(value, ",+!"):
		now["pool"] = chosen[0].Pool.Value
	case key == "node" && !strings.ContainsAny(value, ",+!"):
		now["all"], now["node"] = "1", chosen[0].Node.Value
	default:
		now["vmid"] = idsOf(chosen)
		if !idsRE.MatchString(text) {
			by = text
		}
	}
	if strings.Contains(by, ";") {
		return tool.BadArgument("guests", "has a semicolon, which cannot be kept in the comment of the job")
	}
	if comment := coverage.WithChosen(now["comment"], by); comment != "" {
		now["comment"] = comment
	} else {
		delete(now, "comment")
	}
	if by != "" {
		p.Notes = append(p.Notes, fmt.Sprintf("PVE cannot select by %s: the job names the guests that fit now, and a new one is not in it; the comment keeps the selection, and pve_audit says when it no longer fits", kindOf(by)))
	}
	if !p.perms.OnAll("/vms", "VM.Audit") && (by != "" || now["all"] == "1") {
		p.Notes = append(p.Notes, "this token does not see all guests (VM.Audit on /vms): there may be others that fit")
	}
	p.After = now
	return nil
}

// kindOf says what a selection goes by that PVE does not know.
func kindOf(text string) string {
	if strings.HasPrefix(strings.TrimPrefix(text, "!"), "tag:") && !strings.ContainsAny(text, "+,") {
		return "tag"
	}
	return render.Text(text, 60)
}

func idsOf(list []pve.Resource) string {
	var ids []string
	for _, g := range list {
		ids = append(ids, g.VMID.String())
	}
	return strings.Join(ids, ",")
}

// takeSchedule takes when the job runs, and asks PVE when that is.
func (p *jobPlan) takeSchedule(ctx context.Context, c *tool.Call) error {
	said, argument := p.in.Schedule, "schedule"
	if p.in.Once != "" {
		said, argument = p.in.Once, "once"
	}
	if said != "" {
		p.After["schedule"] = schedule.Event(said)
	}
	if p.in.Once != "" {
		at, err := p.onceAt(ctx, c, p.in.Once)
		if err != nil {
			return err
		}
		p.After["schedule"] = at
	}
	event := p.After["schedule"]
	times, err := c.PVE.ScheduledTimes(ctx, event, c.Now(), 3)
	var refused *proxmox.Error
	if errors.As(err, &refused) && refused.Status == 400 {
		return tool.BadArgument(argument, fmt.Sprintf("is %q, which is no schedule that PVE takes: say it as every night at 2, sunday at 3:30, weekdays at 22:00, every 4 hours, or in PVE's form, such as mon..fri 22:00", render.Text(cmp.Or(said, event), 80)))
	}
	if err != nil {
		return err
	}
	if len(times) == 0 && (said != "" || p.Before == nil) {
		return tool.BadArgument(argument, fmt.Sprintf("is %q (%s in PVE's form), which never comes again; nothing was sent", render.Text(said, 80), render.Text(event, 60)))
	}
	line := "schedule " + render.Text(event, 60)
	if words := schedule.Words(event); words != "" {
		line += ": " + words
	}
	if len(times) > 0 {
		line += "; next " + render.Time(times[0])
		if len(times) > 1 {
			line += ", then " + render.Time(times[1])
		}
	}
	if !p.After.isEnabled() {
		line += " (but it is disabled)"
	}
	p.lines = append(p.lines, line)
	if p.in.Once != "" {
		p.Notes = append(p.Notes, "the job stays in PVE's list after it has run, and does not run again: delete it then")
	}
	p.sayKeep(times)
	return nil
}

// onceAt is the calendar event of one time.
func (p *jobPlan) onceAt(ctx context.Context, c *tool.Call, said string) (string, error) {
	text := strings.ToLower(strings.TrimSpace(strings.ReplaceAll(said, "T", " ")))
	if schedule.IsOnce(text) {
		return text, nil
	}
	day := ""
	for _, word := range []string{"tomorrow", "today", "tonight"} {
		if rest, ok := strings.CutPrefix(text, word); ok {
			day, text = word, strings.TrimSpace(rest)
			if word == "tonight" {
				text = "night " + text
			}
		}
	}
	event := schedule.Event(text)
	times, err := c.PVE.ScheduledTimes(ctx, event, c.Now(), 2)
	if err != nil || len(times) < 2 || strings.HasPrefix(event, "*") {
		return "", tool.BadArgument("once", fmt.Sprintf("is %q, which is no time such as tonight at 2, sunday at 3:30, or 2026-12-31 02:00", render.Text(said, 60)))
	}
	offset, err := p.zone(ctx, c)
	if err != nil {
		return "", err
	}
	at, now := times[0].UTC().Add(offset), c.Now().UTC().Add(offset)
	if isTomorrow := at.YearDay() != now.YearDay(); day == "tomorrow" && !isTomorrow {
		at = times[1].UTC().Add(offset)
	} else if day == "today" && isTomorrow {
		return "", tool.BadArgument("once", fmt.Sprintf("is %q, which is over; the next such time is %s", render.Text(said, 60), at.Format("2006-01-02 15:04")))
	}
	return at.Format("2006-01-02 15:04"), nil
}

// zone is how far the local time of the cluster is ahead of UTC, by the clock of a node.
func (p *jobPlan) zone(ctx context.Context, c *tool.Call) (time.Duration, error) {
	for _, n := range p.nodes {
		if n.Status.Value != "online" || !p.perms.Has("/nodes/"+n.Node.Value, "Sys.Audit") {
			continue
		}
		is, err := c.PVE.NodeTime(ctx, n.Node.Value)
		if err != nil {
			return 0, err
		}
		return time.Duration(is.Local.Value-is.Time.Value) * time.Second, nil
	}
	return 0, tool.BadArgument("once", "cannot be reckoned, since this token sees the clock of no node (Sys.Audit on /nodes); give the date, as 2026-12-31 02:00 in the cluster's time")
}

// sayKeep says what would be kept.
func (p *jobPlan) sayKeep(times []time.Time) {
	keep := p.After.keep()
	if keep == nil {
		p.lines = append(p.lines, fmt.Sprintf("no retention of its own: that of the storage %s applies", render.Text(p.After["storage"], 60)))
		return
	}
	line := fmt.Sprintf("%s of each guest on %s (%s)", keep.words(), render.Text(p.After["storage"], 60), keep)
	if len(times) > 2 && keep["all"] == 0 {
		interval := times[len(times)-1].Sub(times[0]) / time.Duration(len(times)-1)
		if reach := keep.reach(interval); reach > 0 {
			line += ", which reaches back about " + render.Duration(reach.Round(time.Hour))
		}
	}
	if keep["all"] == 0 {
		line += "; older ones are deleted after each run, those made by hand too, unless they are protected"
	}
	p.lines = append(p.lines, line)
}

// sayGuests says which guests are backed up, and which of them by another job, too.
func (p *jobPlan) sayGuests() {
	in := p.After.guestsIn(p.guests)
	line := fmt.Sprintf("%s: %s now", p.After.selection(), count(len(in), "guest"))
	if p.After["vmid"] != "" {
		line = count(len(in), "guest")
	}
	if len(in) > 0 {
		line += ": " + guestNames(in)
	}
	p.lines = append(p.lines, line)
	if pool := p.After["pool"]; pool != "" && !p.perms.Has("/pool/"+pool, "Pool.Audit") {
		p.lines[len(p.lines)-1] = fmt.Sprintf("the guests of the pool %s, which this token does not see (Pool.Audit on /pool/%s)", render.Text(pool, 60), render.Text(pool, 60))
	}
	if gone := p.After.missing(p.guests); len(gone) > 0 {
		p.Notes = append(p.Notes, fmt.Sprintf("it names guests that do not exist, or that this token does not see: %s", render.List(gone)))
	}
	p.sayInterruptions(in)
	for _, j := range p.jobs {
		other := settingsOf(j)
		if j.ID == p.ID || !other.isEnabled() {
			continue
		}
		if both := common(in, other.guestsIn(p.guests)); len(both) > 0 {
			p.Notes = append(p.Notes, fmt.Sprintf("in the job %s too: %s", render.Text(j.ID, 60), guestNames(both)))
		}
	}
}

// sayInterruptions says whom each run shuts down. Several running guests that it did not shut
// down before are a loss.
func (p *jobPlan) sayInterruptions(in []pve.Resource) {
	if p.After["mode"] != "stop" {
		return
	}
	p.Notes = append(p.Notes, "mode stop: each guest that runs is shut down for the begin of its backup")
	if p.Before["mode"] == "stop" && p.Before.isEnabled() {
		in = missingGuests(in, p.within)
	}
	if n := running(in); n >= manyInterrupted && p.After.isEnabled() {
		p.lost = append(p.lost, fmt.Sprintf("each run of the job shuts down %s", count(n, "running guest")))
	}
}

// running counts the guests that run.
func running(list []pve.Resource) (n int) {
	for _, g := range list {
		if g.Status.Value == "running" {
			n++
		}
	}
	return n
}

// missingGuests are the guests of a list that another one does not have.
func missingGuests(list, other []pve.Resource) []pve.Resource {
	return slices.DeleteFunc(slices.Clone(list), func(g pve.Resource) bool {
		return slices.ContainsFunc(other, func(o pve.Resource) bool { return o.VMID == g.VMID })
	})
}

// common are the guests that are in both lists.
func common(a, b []pve.Resource) []pve.Resource {
	return slices.DeleteFunc(slices.Clone(a), func(g pve.Resource) bool {
		return !slices.ContainsFunc(b, func(o pve.Resource) bool { return o.VMID == g.VMID })
	})
}

// sayLosses says in what the job backs up less than before.
func (p *jobPlan) sayLosses() {
	before, after := p.Before, p.After
	if before.isEnabled() && !after.isEnabled() {
		p.lost = append(p.lost, "the job is disabled: it runs no more until it is enabled")
		p.sayUnprotected(before, nil)
	} else {
		p.sayUnprotected(before, after)
	}
	if old := before["storage"]; old != after["storage"] {
		p.lost = append(p.lost, fmt.Sprintf("new backups go to %s in place of %s; those on %s stay, and the job prunes them no more", render.Text(after["storage"], 60), render.Text(cmp.Or(old, "local"), 60), render.Text(cmp.Or(old, "local"), 60)))
	}
	if was, is := before.keep(), after.keep(); is.String() != was.String() && is.keepsLess(was) {
		p.lost = append(p.lost, fmt.Sprintf("fewer backups stay: %s in place of %s", cmp.Or(is.words(), "as the storage says"), cmp.Or(was.words(), "as the storage says")))
	}
	if added := missingIn(apischema.SplitList(after["exclude-path"]), apischema.SplitList(before["exclude-path"])); len(added) > 0 {
		p.lost = append(p.lost, "these paths in containers are backed up no more: "+render.Text(render.List(added), 200))
	}
}

// missingIn are the words of a list that another one does not have.
func missingIn(list, other []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return slices.Contains(other, s) })
}

// sayUnprotected says which guests the job backs up no more, and which of them no other enabled
// job backs up.
func (p *jobPlan) sayUnprotected(before, after settings) {
	left := slices.Clone(p.within)
	stays := after.guestsIn(p.guests)
	if after != nil && after["pool"] != "" && after["pool"] == before["pool"] && after["node"] == before["node"] {
		stays = left // as PVE says, also if the token does not see the pool
	}
	left = missingGuests(left, stays)
	if before.isEnabled() && after != nil && before["all"] == "1" && after["all"] != "1" {
		p.lost = append(p.lost, "it backed up all guests, new ones too; now a new guest is in it only if it is added")
	}
	if len(left) == 0 || !before.isEnabled() {
		return
	}
	var bare []pve.Resource
	for _, g := range left {
		covered := slices.ContainsFunc(p.jobs, func(j pve.BackupJob) bool {
			s := settingsOf(j)
			return j.ID != p.ID && s.isEnabled() && len(s.guestsIn([]pve.Resource{g})) > 0
		})
		if !covered {
			bare = append(bare, g)
		}
	}
	line := fmt.Sprintf("it backs up %s no more: %s", count(len(left), "guest"), guestNames(left))
	if len(bare) > 0 {
		line += fmt.Sprintf("; in no other enabled job: %s", guestNames(bare))
	} else {
		line += "; other enabled jobs include them all"
	}
	p.lost = append(p.lost, line)
}
