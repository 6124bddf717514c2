package metrics

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/forecast"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/pve"
)

// unit is what a figure is counted in.
type unit int

const (
	ofCPUs  unit = iota // percent of its CPUs
	percent             // of the time
	size                // bytes
	rate                // bytes a second
	number
)

// figure is one that PVE records.
type figure struct {
	name, group string
	field       string
	limit       string // the field with what is configured, "" for none
	unit        unit
	scale       float64 // from PVE's unit, 0 for 1
}

var guestFigures = []figure{
	{"cpu", "cpu", "cpu", "maxcpu", ofCPUs, 100},
	{"memory", "memory", "mem", "maxmem", size, 0},
	{"memory on the host", "memory", "memhost", "", size, 0},
	{"disk", "disk", "disk", "maxdisk", size, 0},
	{"disk read", "disk_io", "diskread", "", rate, 0},
	{"disk written", "disk_io", "diskwrite", "", rate, 0},
	{"network in", "network", "netin", "", rate, 0},
	{"network out", "network", "netout", "", rate, 0},
	{"waits for CPU", "pressure", "pressurecpusome", "", percent, 0},
	{"waits for disks", "pressure", "pressureiosome", "", percent, 0},
	{"waits for memory", "pressure", "pressurememorysome", "", percent, 0},
}

var nodeFigures = []figure{
	{"cpu", "cpu", "cpu", "maxcpu", ofCPUs, 100},
	{"waiting for disks", "iowait", "iowait", "", percent, 100},
	{"load", "load", "loadavg", "", number, 0},
	{"memory", "memory", "memused", "memtotal", size, 0},
	{"swap", "swap", "swapused", "swaptotal", size, 0},
	{"root disk", "disk", "rootused", "roottotal", size, 0},
	{"network in", "network", "netin", "", rate, 0},
	{"network out", "network", "netout", "", rate, 0},
	{"tasks wait for CPU", "pressure", "pressurecpusome", "", percent, 0},
	{"tasks wait for disks", "pressure", "pressureiosome", "", percent, 0},
	{"tasks wait for memory", "pressure", "pressurememorysome", "", percent, 0},
}

var storeFigures = []figure{{"used", "disk", "used", "total", size, 0}}

// wanted are those of some figures that a question asks for.
func (in question) wanted(figures []figure) []figure {
	if len(in.Figures) == 0 {
		return figures
	}
	return slices.DeleteFunc(slices.Clone(figures), func(f figure) bool { return !slices.Contains(in.Figures, f.group) })
}

// wants reports whether a question asks for a group of figures.
func (in question) wants(group string) bool {
	return len(in.Figures) == 0 || slices.Contains(in.Figures, group)
}

// measured is a figure over time.
type measured struct {
	figure
	averages, peaks []forecast.Point
	most            float64 // what is configured, 0 if that is not known
}

// measuredIn returns a figure of histories; peaks may be empty. ok is false if it was not
// recorded.
func (f figure) measuredIn(averages, peaks pve.History, p period) (m measured, ok bool) {
	if averages.Values(f.field) == nil {
		return measured{}, false
	}
	m = measured{figure: f, averages: f.points(averages, p), peaks: f.points(peaks, p)}
	if f.limit != "" {
		m.most, _ = averages.Latest(f.limit)
	}
	if _, ok = forecast.Summarize(m.averages, nil); !ok || f.unit == size && f.limit != "" && m.most == 0 {
		return measured{}, false // such as swap of a node without any
	}
	return m, true
}

// points are the values of a field in a period, NaN for those that are absent.
func (f figure) points(h pve.History, p period) []forecast.Point {
	values := h.Values(f.field)
	if values == nil {
		return nil
	}
	scale := f.scale
	if scale == 0 {
		scale = 1
	}
	from := h.Times[len(h.Times)-1].Add(-p.length)
	var out []forecast.Point
	for i, at := range h.Times {
		if at.After(from) {
			out = append(out, forecast.Point{At: at, Value: values[i] * scale, Over: over(h.Times, i)})
		}
	}
	return out
}

// over is how long the time of a row is.
func over(times []time.Time, i int) time.Duration {
	switch {
	case len(times) < 2:
		return time.Minute
	case i == 0:
		return times[1].Sub(times[0])
	}
	return times[i].Sub(times[i-1])
}

// lineWidth is how many characters the line of a figure has.
const lineWidth = 24

func (m measured) row(p period) (figureRow, bool) {
	s, ok := forecast.Summarize(m.averages, m.peaks)
	if !ok {
		return figureRow{}, false
	}
	row := figureRow{Figure: m.name, Of: m.configured(), Now: m.text(s.Now)}
	if s.Min == s.Max {
		row.Trend = "always the same"
		return row, true
	}
	row.Average, row.P95, row.Min = m.text(s.Average), m.text(s.P95), m.text(s.Min)
	row.Max, row.MaxAt = m.text(s.Max), render.Time(s.MaxAt)
	row.Trend, row.Line = m.trend(p), forecast.Line(m.averages, lineWidth)
	return row, true
}

// configured is what the percents are of.
func (m measured) configured() string {
	switch {
	case m.most <= 0:
		return ""
	case m.unit == ofCPUs:
		return plain(m.most) + " CPUs"
	}
	return m.bare(m.most)
}

// text writes a value, with its part of what is configured.
func (m measured) text(v float64) string {
	if m.unit == size && m.most > 0 {
		return fmt.Sprintf("%s (%s %%)", m.bare(v), plain(v/m.most*100))
	}
	return m.bare(v)
}

// bare writes a value with its unit.
func (m measured) bare(v float64) string {
	switch m.unit {
	case size:
		return render.Bytes(int64(v))
	case rate:
		return render.Bytes(int64(v)) + "/s"
	case number:
		return plain(v)
	}
	return plain(v) + " %"
}

// plain writes a number with one decimal, or two significant digits if it is small.
func plain(v float64) string {
	if math.Abs(v) < 1 {
		return strconv.FormatFloat(math.Round(v*100)/100, 'f', -1, 64)
	}
	return strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64)
}

// trend says in words where the figure goes.
func (m measured) trend(p period) string {
	t := forecast.TrendOf(m.averages)
	if t.Direction != forecast.Rising && t.Direction != forecast.Falling {
		return string(t.Direction)
	}
	return fmt.Sprintf("%s %s", t.Direction, m.growth(t, p))
}

// growth writes a slope and its interval: 1.2 GiB a day (0.9 to 1.5).
func (m measured) growth(t forecast.Trend, p period) string {
	per, times := "a day", 1.0
	if p.length <= day {
		per, times = "an hour", 1.0/24
	}
	least, most := math.Abs(t.Low)*times, math.Abs(t.High)*times
	return fmt.Sprintf("%s %s (%s to %s)", m.bare(math.Abs(t.PerDay)*times), per, m.bare(min(least, most)), m.bare(max(least, most)))
}
