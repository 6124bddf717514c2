package metrics

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/forecast"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/selection"
	"github.com/pve-mcp/pve-mcp/internal/survey"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pve"
)

const (
	// mostCandidates is how many guests are looked at for a ranking, and mostOfMany how many
	// if PVE sends 1440 rows of each.
	mostCandidates = 200
	mostOfMany     = 60
)

// topRow is a guest among those that use most.
type topRow struct {
	Guest   string `json:"guest"`
	Node    string `json:"node"`
	Average string `json:"average,omitzero"`
	P95     string `json:"p95,omitzero"`
	Max     string `json:"max,omitzero"`
	MaxAt   string `json:"max_at,omitzero"`
	Line    string `json:"line,omitzero"`
}

// ranking says by what guests are ranked.
type ranking struct {
	figure
	fields  []string                   // whose sum counts
	present func(pve.Resource) float64 // what a guest uses now, or has used since its start
}

// perSecond is what a guest did since its start, on average.
func perSecond(bytes int64, g pve.Resource) float64 {
	return float64(bytes) / float64(max(g.Uptime.Value, 1))
}

var rankings = map[string]ranking{
	"cpu":    {guestFigures[0], []string{"cpu"}, cores},
	"memory": {guestFigures[1], []string{"mem"}, func(g pve.Resource) float64 { return float64(g.Mem.Value) }},
	"disk":   {guestFigures[3], []string{"disk"}, func(g pve.Resource) float64 { return float64(g.Disk.Value) }},
	"network": {figure{name: "network", unit: rate}, []string{"netin", "netout"}, func(g pve.Resource) float64 {
		return perSecond(g.NetIn.Value+g.NetOut.Value, g)
	}},
	"disk_io": {figure{name: "disk traffic", unit: rate}, []string{"diskread", "diskwrite"}, func(g pve.Resource) float64 {
		return perSecond(g.DiskRead.Value+g.DiskWrite.Value, g)
	}},
	"pressure": {figure{name: "waiting for CPU, disks and memory", unit: percent}, []string{"pressurecpusome", "pressureiosome", "pressurememorysome"}, cores},
}

// guests are those of some that a text selects, templates apart.
func (r *reading) guests(text string, of func(*pve.Row) bool) ([]pve.Resource, error) {
	var rows []*pve.Row
	for row := range r.all.Rows() {
		if row.IsGuest() && of(row) {
			rows = append(rows, row)
		}
	}
	all := pve.Decoded(rows)
	if text != "" {
		var err error
		if all, err = selection.Choose(text, all); err != nil {
			return nil, err
		}
	}
	return slices.DeleteFunc(slices.Clone(all), func(g pve.Resource) bool { return g.Template.Value }), nil
}

// candidates are the guests that are looked at: of many, those that run and use most now.
func (r *reading) candidates(s subject, by ranking) ([]pve.Resource, error) {
	if s.guest.VMID != 0 || s.stores != nil {
		return nil, explain.Refusal("Leave top out for the figures of one thing; guests selects others.", "top ranks the guests of the cluster or of a node, and %s is neither.", s.label)
	}
	all, err := r.guests(r.in.Guests, func(row *pve.Row) bool { return s.node == "" || row.Node() == s.node })
	if err != nil {
		return nil, err
	}
	if r.in.Top == "disk" { // PVE says 0 of a VM
		vms := len(all)
		all = slices.DeleteFunc(all, func(g pve.Resource) bool { return g.Type == string(pve.QEMU) })
		if vms -= len(all); vms > 0 {
			r.note(fmt.Sprintf("%d VMs are not ranked: PVE does not know how full their disks are", vms))
		}
	}
	most := mostCandidates
	if frame := r.period.frame(r.major); r.major >= 9 && (frame == pve.Month || frame == pve.Year) {
		most = mostOfMany
	}
	if over := len(all) - most; over > 0 {
		slices.SortStableFunc(all, func(a, b pve.Resource) int { return cmp.Compare(by.present(b), by.present(a)) })
		all = all[:most]
		r.note(fmt.Sprintf("only %d of %d guests were looked at: those that use most now", most, most+over))
	}
	return all, nil
}

// ranked is a guest with what it used.
type ranked struct {
	guest    pve.Resource
	averages measured
	value    float64
	Summary  forecast.Summary
}

func (r *reading) top(s subject) error {
	by := rankings[r.in.Top]
	r.seesAll("other guests", "VM.Audit", "/vms")
	candidates, err := r.candidates(s, by)
	if err != nil {
		return err
	}
	first := pve.Averages
	if r.in.By == "max" {
		first = pve.Maxima
	}
	var found []ranked
	got := r.histories(candidates, first)
	for _, g := range got {
		m, ok := by.of(g.Value, r.period)
		if !ok {
			continue
		}
		s, _ := forecast.Summarize(m.averages, nil)
		found = append(found, ranked{guest: g.From, averages: m, Summary: s, value: by.value(m, s, r.in.By)})
	}
	slices.SortStableFunc(found, func(a, b ranked) int { return cmp.Compare(b.value, a.value) })
	unranked := len(got) - len(found)
	found, r.report.Rest = tool.Page(found, r.in.Limit, r.in.Offset)
	r.addTop(by, found)
	r.report.Message = r.topMessage(by, len(got))
	if unranked > 0 {
		r.note(fmt.Sprintf("of %d guests nothing was recorded, such as of those that did not run", unranked))
	}
	return nil
}

// histories reads the history of guests.
func (r *reading) histories(guests []pve.Resource, cf pve.Consolidation) []cluster.Response[pve.Resource, pve.History] {
	frame := r.period.frame(r.major)
	return survey.Ask(r.Survey, "history of guests", guests, cluster.GuestName, func(ctx context.Context, g pve.Resource) (pve.History, error) {
		return r.PVE.GuestHistory(ctx, g.Ref(), frame, cf)
	})
}

// of returns the sum of the fields in a history.
func (by ranking) of(h pve.History, p period) (measured, bool) {
	m := measured{figure: by.figure}
	for _, field := range by.fields {
		part := by.figure
		part.field = field
		points := part.points(h, p)
		if m.averages == nil {
			m.averages = points
			continue
		}
		for i := range points {
			m.averages[i].Value += points[i].Value
		}
	}
	if by.limit != "" {
		m.most, _ = h.Latest(by.limit)
	}
	_, ok := forecast.Summarize(m.averages, nil)
	return m, ok
}

// value is what counts: of CPU, how many are busy.
func (by ranking) value(m measured, s forecast.Summary, what string) float64 {
	v := map[string]float64{"average": s.Average, "p95": s.P95, "max": s.Max}[what]
	if by.unit == ofCPUs {
		v *= m.most
	}
	return v
}

// addTop adds the guests of a ranking to the answer, with what the other consolidation says of
// them.
func (r *reading) addTop(by ranking, found []ranked) {
	other := pve.Maxima
	if r.in.By == "max" {
		other = pve.Averages
	}
	var guests []pve.Resource
	for _, f := range found {
		guests = append(guests, f.guest)
	}
	more := map[pve.VMID]measured{}
	for _, g := range r.histories(guests, other) {
		if m, ok := by.of(g.Value, r.period); ok {
			more[g.From.VMID] = m
		}
	}
	for _, f := range found {
		averages, peaks := f.averages, more[f.guest.VMID]
		if r.in.By == "max" {
			averages, peaks = peaks, averages
		}
		row := topRow{Guest: cluster.GuestName(f.guest), Node: f.guest.Node.Value}
		if s, ok := forecast.Summarize(averages.averages, peaks.averages); ok {
			row.Average, row.P95 = f.averages.busy(s.Average), f.averages.busy(s.P95)
			row.Max, row.MaxAt = f.averages.busy(s.Max), render.Time(s.MaxAt)
			row.Line = forecast.Line(averages.averages, lineWidth/2)
		} else {
			row.Max, row.MaxAt = f.averages.busy(f.Summary.Max), render.Time(f.Summary.MaxAt)
		}
		r.report.Top = append(r.report.Top, row)
		averages.name, averages.peaks = row.Guest, peaks.averages
		r.report.panels = append(r.report.panels, averages)
	}
}

// busy writes a value; of CPUs, how many that are.
func (m measured) busy(v float64) string {
	if m.unit == ofCPUs && m.most > 0 {
		return fmt.Sprintf("%s of %s CPUs (%s)", plain(v/100*m.most), plain(m.most), m.bare(v))
	}
	return m.text(v)
}

func (r *reading) topMessage(by ranking, looked int) string {
	if len(r.report.Top) == 0 {
		return fmt.Sprintf("Of %d guests that were looked at none has a record of %s in the last %v.", looked, by.name, r.period)
	}
	var names []string
	for _, t := range r.report.Top[:min(3, len(r.report.Top))] {
		value := map[string]string{"average": t.Average, "p95": t.P95, "max": t.Max}[r.in.By]
		names = append(names, fmt.Sprintf("%s with %s", t.Guest, value))
	}
	how := map[string]string{"average": "on average", "p95": "in 95 % of the time", "max": "at most"}[r.in.By]
	return fmt.Sprintf("Most %s over %v, of %d guests that were looked at: %s %s.", by.name, r.period, looked, render.List(names), how)
}
