package backupstatus

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/coverage"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/survey"
	"github.com/pve-mcp/pve-mcp/internal/tool"
)

// state is what is wrong with the protection of a guest.
type state string

// The states, the worst first.
const (
	none     state = "none"
	old      state = "old"
	bad      state = "bad"
	failed   state = "failed"
	doubtful state = "doubtful"
	excluded state = "excluded"
	noJob    state = "no job"
	unknown  state = "unknown"
	good     state = "good"
)

var ranks = []state{none, old, bad, failed, doubtful, excluded, noJob, unknown, good}

// report is an answer in the making.
type report struct {
	*survey.Survey
	*coverage.Coverage
	c         *tool.Call
	limit     time.Duration
	scheduled bool // a backup is not too old if its job ran on time
}

// finding is one thing that is wrong, in words.
type finding struct {
	state
	why string
}

// verdict is what is wrong with the protection of a guest.
type verdict struct {
	*coverage.Guest
	findings []finding // the worst first
}

func (v verdict) worst() state { return v.findings[0].state }

func (v verdict) has(s state) bool {
	return slices.ContainsFunc(v.findings, func(f finding) bool { return f.state == s })
}

func (v verdict) label() string { return label(v.Guest) }

func label(g *coverage.Guest) string {
	name := render.Text(g.Name.Value, 60)
	if name == "" {
		return g.VMID.String()
	}
	return g.VMID.String() + " " + name
}

// judge says what is wrong with guests, the worst first, and counts.
func (r *report) judge(guests []*coverage.Guest) ([]verdict, counts) {
	var out []verdict
	n := counts{Guests: len(guests)}
	for _, g := range guests {
		v := verdict{g, r.findings(g)}
		for s, count := range map[state]*int{none: &n.None, old: &n.Old, unknown: &n.Unknown, failed: &n.Failed, bad: &n.Bad, excluded: &n.Excluded, noJob: &n.NoJob} {
			if v.has(s) {
				*count++
			}
		}
		if !v.has(none) && !v.has(old) && !v.has(unknown) {
			n.Fresh++
		}
		if g.Newest != nil && g.Newest.OnServer && g.Verified == nil {
			n.NeverVerified++
		}
		out = append(out, v)
	}
	slices.SortStableFunc(out, func(a, b verdict) int {
		return cmp.Or(slices.Index(ranks, a.worst())-slices.Index(ranks, b.worst()), cmp.Compare(a.VMID, b.VMID))
	})
	return out, n
}

// findings says what is wrong with a guest, the worst first; good alone if nothing is.
func (r *report) findings(g *coverage.Guest) []finding {
	var out []finding
	add := func(s state, format string, args ...any) { out = append(out, finding{s, fmt.Sprintf(format, args...)}) }
	seen := ""
	if g.Unseen != nil {
		seen = " that can be seen"
	}
	switch {
	case g.Newest == nil && g.Unseen != nil:
		add(unknown, "whether it has a good backup cannot be seen")
	case g.Newest == nil && g.Count == 0:
		add(none, "it has no backup")
	case g.Newest == nil:
		add(none, "none of its %d backups is good", g.Count)
	case r.tooOld(g):
		add(old, "its newest good backup%s is %s old", seen, r.ago(g.Newest.Made))
	}
	if g.Last != nil && !g.Last.Good() {
		add(bad, "its newest backup%s %s: %s", seen, badness(*g.Last), render.Text(g.Last.Volume.String(), 120))
	}
	if g.FailedSince() {
		add(failed, "its last backup failed")
	}
	if g.NotedAs != "" {
		add(doubtful, "the notes of its newest good backup say %q: it may be of a guest that had the id before", render.Said(g.NotedAs, 60))
	}
	if len(g.Excluded) > 0 {
		add(excluded, "%s in no enabled job", diskCount(len(g.Excluded)))
	}
	if !r.JobsUnseen && !g.InEnabledJob() && !g.Template.Value {
		add(noJob, "it is in no enabled job")
	}
	if out == nil {
		return []finding{{state: good}}
	}
	slices.SortStableFunc(out, func(a, b finding) int { return slices.Index(ranks, a.state) - slices.Index(ranks, b.state) })
	return out
}

func diskCount(n int) string {
	if n == 1 {
		return "1 disk is"
	}
	return fmt.Sprintf("%d disks are", n)
}

func badness(b coverage.Backup) string {
	if b.Unfinished {
		return "is not finished"
	}
	return "failed its verification"
}

// tooOld reports whether the newest good backup of a guest is too old. Unless the caller says
// what that is, one is not that was made when a job ran that runs as it is scheduled.
func (r *report) tooOld(g *coverage.Guest) bool {
	if r.Ago(g.Newest.Made) <= r.limit {
		return false
	}
	return !r.scheduled || !slices.ContainsFunc(g.Jobs, func(j *coverage.Job) bool {
		return j.Enabled && j.Due == coverage.OnTime && j.LastSeen().Sub(g.Newest.Made) < 24*time.Hour
	})
}

func (r *report) ago(at time.Time) string { return render.Duration(r.Ago(at).Round(time.Minute)) }
