package metrics

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/forecast"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/show"
	"github.com/pve-mcp/pve-mcp/internal/survey"
	"github.com/pve-mcp/pve-mcp/proxmox/lenient"
	"github.com/pve-mcp/pve-mcp/pve"
)

// asking reads the history of something.
type asking func(context.Context, pve.Timeframe, pve.Consolidation) (pve.History, error)

// both are the averages and the peaks of one thing.
type both struct{ averages, peaks pve.History }

// history reads both of something, or fails: the question is about nothing else.
func (r *reading) history(what string, ask asking) (both, error) {
	frame := r.period.frame(r.major)
	failed := context.DeadlineExceeded // unless it is asked in time
	got := survey.Ask(r.Survey, "history", []pve.Consolidation{pve.Averages, pve.Maxima}, func(pve.Consolidation) string { return what },
		func(ctx context.Context, cf pve.Consolidation) (pve.History, error) {
			h, err := ask(ctx, frame, cf)
			if cf == pve.Averages {
				failed = err
			}
			return h, err
		})
	if failed != nil {
		return both{}, failed
	}
	var out both
	for _, g := range got {
		if g.From == pve.Averages {
			out.averages = g.Value
		} else {
			out.peaks = g.Value
		}
	}
	return out, nil
}

// measure adds the figures of a history to the report.
func (r *reading) measure(figures []figure, h both) {
	for _, f := range r.in.wanted(figures) {
		if m, ok := f.measuredIn(h.averages, h.peaks, r.period); ok {
			r.report.panels = append(r.report.panels, m)
		}
	}
}

// summary says in a line what the figures were like.
func (r *reading) summary() string {
	var parts []string
	for _, m := range r.report.panels {
		s, ok := forecast.Summarize(m.averages, m.peaks)
		if ok && (len(parts) < 2 || len(r.in.Figures) > 0 && len(parts) < 4) {
			parts = append(parts, fmt.Sprintf("%s %s on average, %s at most", m.name, m.text(s.Average), m.text(s.Max)))
		}
	}
	if parts == nil {
		return fmt.Sprintf("PVE has recorded no such figures of %s in the last %v.", r.report.Of, r.period)
	}
	return fmt.Sprintf("%s over %v: %s.", r.report.Of, r.period, strings.Join(parts, "; "))
}

func (r *reading) guest(g pve.Resource) error {
	ref := g.Ref()
	h, err := r.history(cluster.GuestName(g), func(ctx context.Context, frame pve.Timeframe, cf pve.Consolidation) (pve.History, error) {
		return r.PVE.GuestHistory(ctx, ref, frame, cf)
	})
	if err != nil {
		return err
	}
	figures := guestFigures
	if ref.Kind == pve.QEMU { // PVE does not know how full its disks are, and says 0
		figures = slices.DeleteFunc(slices.Clone(figures), func(f figure) bool { return f.name == "disk" })
	}
	r.measure(figures, h)
	r.report.Message = r.summary()
	r.size(g, h)
	if !r.in.wants("disk") {
		return nil
	}
	if ref.Kind == pve.LXC {
		r.forecast([]filling{{
			label: "disk of " + cluster.GuestName(g), used: "disk", total: "maxdisk",
			ask: func(ctx context.Context) (pve.History, error) {
				return r.PVE.GuestHistory(ctx, ref, pve.Month, pve.Averages)
			},
		}})
		r.report.Message += r.nextFull()
		return nil
	}
	r.fileSystems(g)
	return nil
}

// mostFileSystems is how many file systems of a VM an answer lists.
const mostFileSystems = 8

// fileSystems lists how full those of a running VM are, which only its agent can tell.
func (r *reading) fileSystems(g pve.Resource) {
	const check = "file systems"
	if g.Status.Value != "running" {
		r.NotSeen(check, cluster.GuestName(g), "it does not run")
		return
	}
	list, ok := survey.One(r.Survey, check, func(ctx context.Context) ([]pve.FileSystem, error) {
		return r.PVE.AgentFileSystems(ctx, g.Ref())
	})
	if !ok {
		return
	}
	list = slices.DeleteFunc(list, func(f pve.FileSystem) bool { return !f.HoldsData() })
	slices.SortStableFunc(list, func(a, b pve.FileSystem) int { return cmp.Compare(share(b), share(a)) })
	for _, f := range list[:min(len(list), mostFileSystems)] {
		r.report.FileSystems = append(r.report.FileSystems, fmt.Sprintf("%s: %s", render.Text(f.Mount, 60), useText(f.Used, f.Total)))
	}
	if len(list) == 0 {
		r.NotSeen(check, cluster.GuestName(g), "its agent reports none")
		return
	}
	r.note("PVE keeps no history of a VM's file systems, so that there is no forecast of them")
}

func share(f pve.FileSystem) float64 { return float64(f.Used.Value) / float64(f.Total.Value) }

// useText writes 1.2 TiB of 2 TiB (61 %).
func useText(used, total lenient.Opt[int64]) string {
	u := show.UseOf(used, total)
	if u.Percent == nil {
		return u.UsedHuman
	}
	return fmt.Sprintf("%s of %s (%s %%)", u.UsedHuman, u.TotalHuman, plain(*u.Percent))
}

func (r *reading) node(name string) error {
	ask := func(ctx context.Context, frame pve.Timeframe, cf pve.Consolidation) (pve.History, error) {
		return r.PVE.NodeHistory(ctx, name, frame, cf)
	}
	h, err := r.history("node "+name, ask)
	if err != nil {
		return err
	}
	r.measure(nodeFigures, h)
	r.report.Message = r.summary()
	if r.in.wants("disk") {
		r.forecast([]filling{rootOf(r, name)})
		r.report.Message += r.nextFull()
	}
	if r.in.wants("cpu") {
		return r.busiest(name)
	}
	return nil
}

// busiest lists the guests on a node that use most CPU now.
func (r *reading) busiest(node string) error {
	all, err := r.guests("", func(row *pve.Row) bool { return row.Node() == node && row.Status() == "running" })
	if err != nil {
		return err
	}
	slices.SortStableFunc(all, func(a, b pve.Resource) int { return cmp.Compare(cores(b), cores(a)) })
	for _, g := range all[:min(len(all), survey.MostSubjects)] {
		r.report.Busiest = append(r.report.Busiest, fmt.Sprintf("%s: %s of %s CPUs, %s memory", cluster.GuestName(g), plain(cores(g)), plain(g.MaxCPU.Value), render.Bytes(g.Mem.Value)))
	}
	return nil
}

// cores is how many CPUs a guest keeps busy now.
func cores(g pve.Resource) float64 { return g.CPU.Value * g.MaxCPU.Value }

func (r *reading) storage(stores []cluster.Store) error {
	if len(stores) == 1 {
		s := stores[0]
		h, err := r.history(s.Name(), func(ctx context.Context, frame pve.Timeframe, cf pve.Consolidation) (pve.History, error) {
			return r.PVE.StorageHistory(ctx, askedOn(s), s.Storage.Value, frame, cf)
		})
		if err != nil {
			return err
		}
		r.measure(storeFigures, h)
	}
	r.forecast(fillingsOf(r, stores))
	switch {
	case len(stores) > 1:
		r.report.Message = fmt.Sprintf("%s is another one on each of %d nodes.%s", r.report.Of, len(stores), r.nextFull())
	case len(r.report.Forecasts) > 0:
		r.report.Message = strings.TrimSpace(r.nextFull())
	default:
		r.report.Message = r.summary()
	}
	return nil
}

// askedOn is the node that is asked about a store: one that can use it, if there is one.
func askedOn(s cluster.Store) string {
	if len(s.Ready) > 0 {
		return s.Ready[0]
	}
	return s.Node.Value
}
