package metrics

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/forecast"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/survey"
	"github.com/pve-mcp/pve-mcp/pve"
)

// sizingRow says whether something that a guest was given is too much or too little.
type sizingRow struct {
	What    string `json:"what"`
	Verdict string `json:"verdict" jsonschema:"too big, too small, fits, or not clear"`
	Why     string `json:"why"`
}

// leastToJudge is how long a guest must have run, so that its size can be judged.
const leastToJudge = 2 * day

// size judges the size of a guest.
func (r *reading) size(g pve.Resource, h both) {
	if !r.in.wants("cpu") && !r.in.wants("memory") {
		return
	}
	config, ok := survey.One(r.Survey, "configuration", func(ctx context.Context) (pve.GuestConfig, error) { return r.PVE.GuestConfig(ctx, g.Ref()) })
	if !ok {
		return
	}
	for _, f := range guestFigures {
		judge := map[string]func(measured, forecast.Summary, both, pve.GuestConfig) sizingRow{"cpu": r.judgeCPU, "memory": r.judgeMemory}[f.name]
		m, known := f.measuredIn(h.averages, h.peaks, r.period)
		if judge == nil || !r.in.wants(f.group) || !known {
			continue
		}
		s, _ := forecast.Summarize(m.averages, m.peaks)
		if s.Measured < leastToJudge {
			r.report.Sizing = append(r.report.Sizing, sizingRow{f.name, notClear,
				fmt.Sprintf("it has run for %s of the time that was looked at: too short to judge", render.Duration(s.Measured.Round(time.Minute)))})
			continue
		}
		r.report.Sizing = append(r.report.Sizing, judge(m, s, h, config))
	}
}

const (
	tooBig   = "too big"
	tooSmall = "too small"
	fits     = "fits"
	notClear = "not clear"
)

// pressure is the p95 of how much of the time tasks wait for something, from PVE 9 on.
func (r *reading) pressure(h both, field string) (float64, bool) {
	m, ok := figure{field: field, unit: percent}.measuredIn(h.averages, pve.History{}, r.period)
	if !ok {
		return 0, false
	}
	s, ok := forecast.Summarize(m.averages, nil)
	return s.P95, ok
}

// waits is how much of the time, in percent, tasks may wait in a guest that is large enough.
const waits = 20

func (r *reading) judgeCPU(m measured, s forecast.Summary, h both, _ pve.GuestConfig) sizingRow {
	used := s.P95 / 100 * m.most
	why := fmt.Sprintf("95 %% of the time it used at most %s of %s", plain(used), m.configured())
	waiting, known := r.pressure(h, "pressurecpusome")
	if known {
		why += fmt.Sprintf("; its tasks waited for CPU up to %s %% of the time", plain(waiting))
	}
	enough := math.Ceil(used / 0.6) // CPUs of which it would use 60 %
	switch {
	case s.P95 > 80, known && waiting > waits:
		return sizingRow{"cpu", tooSmall, why}
	case s.P95 < 20 && s.Max < 60 && enough < m.most:
		return sizingRow{"cpu", tooBig, fmt.Sprintf("%s, and never more than %s: %s would do", why, m.text(s.Max), plain(max(enough, math.Ceil(s.Max/100*m.most))))}
	}
	return sizingRow{"cpu", fits, why}
}

func (r *reading) judgeMemory(m measured, s forecast.Summary, h both, config pve.GuestConfig) sizingRow {
	used := s.P95 / m.most * 100
	why := fmt.Sprintf("95 %% of the time it used at most %s of %s", m.bare(s.P95), m.configured())
	waiting, known := r.pressure(h, "pressurememorysome")
	if known {
		why += fmt.Sprintf("; its tasks waited for memory up to %s %% of the time", plain(waiting))
	}
	if floor, err := strconv.ParseInt(config.Values["balloon"], 10, 64); err == nil && floor > 0 && float64(floor<<20) < m.most {
		why += fmt.Sprintf("; ballooning may take it down to %s", render.Bytes(floor<<20))
	}
	switch {
	case known && waiting > waits:
		return sizingRow{"memory", tooSmall, why}
	case used > 90 && known:
		return sizingRow{"memory", fits, why + ": full, but not short of memory"}
	case used > 90:
		return sizingRow{"memory", notClear, why + "; how much of that is cache, only the guest knows"}
	case used < 40 && s.Max/m.most < 0.6:
		return sizingRow{"memory", tooBig, fmt.Sprintf("%s, and never more than %s", why, m.bare(s.Max))}
	}
	return sizingRow{"memory", fits, why}
}
