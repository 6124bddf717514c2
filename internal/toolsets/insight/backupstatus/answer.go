package backupstatus

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/coverage"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/survey"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pve"
)

// message says in a line how guests are protected.
func (r *report) message(all []verdict, n counts) string {
	if n.Guests == 0 {
		return "There is no guest that this token may see."
	}
	if n.Unknown == n.Guests {
		return "Whether guests have backups cannot be seen: see blind." + r.more(all)
	}
	age := render.Duration(r.limit)
	if r.scheduled {
		age += ", or as their job schedules it"
	}
	parts := []string{fmt.Sprintf("%d of %s have a good backup younger than %s", n.Fresh, guests(n.Guests), age)}
	if n.Old > 0 {
		parts = append(parts, few(all, old)+" only an older one")
	}
	if n.None > 0 {
		parts = append(parts, few(all, none)+" none")
	}
	if n.Unknown > 0 {
		parts = append(parts, "of "+few(all, unknown)+" it cannot be seen")
	}
	return strings.Join(parts, "; ") + "." + r.more(all)
}

// more says what else is not good.
func (r *report) more(all []verdict) (out string) {
	for _, s := range []struct {
		state
		text string
	}{
		{bad, "The newest backup of %s " + howBad(all) + "."}, {failed, "The last backup of %s failed."}, {doubtful, "Those of %s may be of another guest."},
		{excluded, "No job includes all disks of %s."}, {noJob, "In no enabled job: %s."},
	} {
		if names := few(all, s.state); names != "" {
			out += " " + fmt.Sprintf(s.text, names)
		}
	}
	return out
}

// howBad says what is wrong with the newest backups of guests.
func howBad(all []verdict) string {
	said := map[string]bool{}
	for _, v := range all {
		if v.has(bad) {
			said[badness(*v.Last)] = true
		}
	}
	return strings.Join(slices.Sorted(maps.Keys(said)), " or ")
}

func guests(n int) string {
	if n == 1 {
		return "1 guest"
	}
	return fmt.Sprintf("%d guests", n)
}

// few names guests of a state, at most five, or counts them.
func few(all []verdict, s state) string {
	var names []string
	for _, v := range all {
		if v.has(s) {
			names = append(names, v.label())
		}
	}
	if len(names) > survey.MostSubjects {
		return guests(len(names))
	}
	slices.SortFunc(names, pve.CompareNames) // by their ids
	return render.List(names)
}

// mostOf is how many jobs, disks and guests without name an answer has room for.
const mostOf = 5

func (r *report) row(v verdict) guestRow {
	row := guestRow{Guest: v.label(), Node: v.Node.Value, State: v.worst(), Count: v.Count}
	for _, f := range v.findings {
		if f.why != "" {
			row.Why = append(row.Why, f.why)
		}
	}
	if v.Others > 0 {
		row.Why = append(row.Why, fmt.Sprintf("%d backups of its id are of another guest, and do not count", v.Others))
	}
	if v.has(old) && v.Unseen != nil {
		row.Why = append(row.Why, "there may be newer ones: "+render.Text(strings.Join(v.Unseen, "; "), 200))
	}
	if b := v.Newest; b != nil {
		row.Newest = &backupRow{
			VolID: render.Text(b.Volume.String(), 120), Age: r.ago(b.Made), Verified: b.Verified, Encrypted: b.Encrypted, Protected: b.Protected, Node: b.Node,
		}
		if b.OnServer && b.Verified == "" {
			row.Newest.Verified = "not yet"
		}
	}
	for _, j := range v.Jobs {
		row.Jobs = append(row.Jobs, r.when(j))
	}
	for _, d := range v.Excluded {
		row.Excluded = append(row.Excluded, render.Text(fmt.Sprintf("%s %s: %s", d.Key, d.Volume, d.Reason), 120))
	}
	row.Jobs, row.Excluded = render.Few(row.Jobs, mostOf), render.Few(row.Excluded, mostOf)
	if f := v.LastFailed; f != nil {
		row.Failed = &failedRow{Ago: r.ago(f.Begun), Why: render.Said(f.Reason, 200), UPID: f.Task.String()}
	}
	if v.has(none) || v.has(old) || v.has(bad) || v.has(failed) {
		row.Fix = r.backUp(v.Guest)
		if v.Lock.Value != "" {
			row.Why = append(row.Why, fmt.Sprintf("it is locked (%s): a backup of it fails (pve_diagnose says why)", render.Text(v.Lock.Value, 30)))
		}
	}
	return row
}

// when says when a job runs next.
func (r *report) when(j *coverage.Job) string {
	name := render.Text(j.ID, 60)
	switch {
	case !j.Enabled:
		return name + ": disabled"
	case j.NextRun.IsZero():
		return name
	}
	return name + ": next " + render.Time(j.NextRun)
}

// backUp is the call that backs a guest up now, nil if there is none that can be made.
func (r *report) backUp(g *coverage.Guest) *tool.NextCall {
	if r.c.Host().Policy.ReadOnly || g.Lock.Value != "" || !r.Permissions.Has("/vms/"+g.VMID.String(), "VM.Backup") || g.Status.Value == "unknown" {
		return nil
	}
	storage := r.StorageFor(g, r.Permissions)
	if storage == "" {
		return nil
	}
	next := r.c.Host().Offered(tool.NextCall{Tool: "pve_create_backup", Arguments: map[string]any{"vmid": int(g.VMID), "storage": storage}})
	return &next
}

// jobs lists the backup jobs that need attention, or all.
func (r *report) jobs(all bool) []jobRow {
	var out []jobRow
	for _, j := range r.Jobs {
		row := jobRow{ID: render.Text(j.ID, 60), Schedule: render.Text(j.Schedule.Value, 60), Guests: render.Text(j.Selection(), 120), Storage: render.Text(j.Storage.Value, 60)}
		if !j.NextRun.IsZero() {
			row.Next = render.Time(j.NextRun)
		}
		if last := j.LastSeen(); !last.IsZero() {
			row.Last = r.ago(last)
		}
		switch {
		case !j.Enabled && slices.ContainsFunc(r.Guests, func(g coverage.Guest) bool { return !g.InEnabledJob() && slices.Contains(j.Guests, g.VMID) }):
			row.Why = append(row.Why, "it is disabled, and no other job includes some of its guests")
		case !j.Enabled:
		case j.Due == coverage.Overdue:
			row.Why = append(row.Why, "it has not run as scheduled: it was to run at "+render.Time(j.Missed))
		case j.Due == coverage.NeverRan:
			row.Why = append(row.Why, "no task and no backup shows that it ever ran")
		case !j.Unread && len(j.Guests) == 0:
			row.Why = append(row.Why, "it includes no guest that this token may see")
		}
		if j.Enabled && j.LastRun != nil && j.LastRun.Failed {
			row.Why = append(row.Why, "its last run failed: "+render.Said(j.LastRun.Reason, 100))
		}
		if len(j.Missing) > 0 {
			row.Why = append(row.Why, "it names guests that do not exist: "+ids(j.Missing))
		}
		if all || row.Why != nil {
			out = append(out, row)
		}
	}
	slices.SortStableFunc(out, func(a, b jobRow) int { return cmp.Compare(min(1, len(b.Why)), min(1, len(a.Why))) })
	return out[:min(len(out), 2*mostOf)]
}

func ids(list []pve.VMID) string {
	var out []string
	for _, id := range list {
		out = append(out, id.String())
	}
	few, count := survey.Few(out)
	if count > 0 {
		few = append(few, fmt.Sprintf("%d more", count-len(few)))
	}
	return render.List(few)
}

// gone counts the backups of guests that are not there, nil if there are none.
func (r *report) gone() *goneRow {
	if len(r.Gone) == 0 {
		return nil
	}
	row := &goneRow{Count: len(r.Gone)}
	for _, g := range r.Gone {
		row.Backups += g.Count
		if len(row.Guests) < survey.MostSubjects {
			row.Guests = append(row.Guests, strings.TrimSpace(fmt.Sprintf("%v %s", g.VMID, render.Said(g.Newest.Notes, 60)))+": newest "+r.ago(g.Newest.Made)+" old")
		}
	}
	return row
}
