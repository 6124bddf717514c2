package pvesim

import (
	"maps"
	"slices"
	"time"
)

// archive is how long PVE keeps values of a timeframe, and how fine.
type archive struct {
	step time.Duration
	rows int
}

var archives = map[string]archive{
	"hour": {time.Minute, 60}, "day": {time.Minute, 1440}, "week": {30 * time.Minute, 336},
	"month": {30 * time.Minute, 1440}, "year": {6 * time.Hour, 1440}, "decade": {7 * day, 570},
}

// archives8 are those up to PVE 8.
var archives8 = map[string]archive{
	"hour": {time.Minute, 70}, "day": {30 * time.Minute, 70}, "week": {3 * time.Hour, 70},
	"month": {12 * time.Hour, 70}, "year": {7 * day, 70},
}

// span is a stretch of time.
type span struct{ from, to time.Time }

// middle is the time that stands for the span.
func (s span) middle() time.Time { return s.from.Add(s.to.Sub(s.from) / 2) }

// meets returns what two spans have in common.
func (s span) meets(o span) (span, bool) {
	if o.from.After(s.from) {
		s.from = o.from
	}
	if o.to.Before(s.to) {
		s.to = o.to
	}
	return s, s.from.Before(s.to)
}

// series answers with a row for each step, that has what value returns for it. With
// nothing, PVE had heard nothing in that time.
func (c *call) series(value func(step span, peak float64) map[string]any) (any, error) {
	a := archives[c.str("timeframe")]
	if c.node.version.major < 9 {
		a = archives8[c.str("timeframe")]
	}
	peak := 1.0
	if c.str("cf") == "MAX" {
		peak = 1.2
	}
	last := c.now.Unix() / int64(a.step/time.Second) * int64(a.step/time.Second)
	out := []any{}
	for i := range a.rows {
		at := time.Unix(last, 0).Add(-time.Duration(a.rows-1-i) * a.step)
		row := map[string]any{"time": at.Unix()}
		maps.Copy(row, value(span{at.Add(-a.step), at}, peak))
		out = append(out, row)
	}
	return out, nil
}

// noRRD is what PVE says where nothing was ever heard of.
func (c *call) noRRD(kind, name string) error {
	dir := "pve2-" + kind
	if c.node.version.major >= 9 {
		dir = "pve-" + kind + "-9.0"
	}
	return die("RRD error: opening '/var/lib/rrdcached/db/%s/%s': No such file or directory", dir, name)
}

// pressures are fields that nodes and guests have since PVE 9. Nobody waits here.
func pressures(row map[string]any, kinds ...string) {
	for _, kind := range kinds {
		row["pressure"+kind] = 0
	}
}

// getNodeRRD is answered by the receiver: each node has the values of all.
func getNodeRRD(c *call) (any, error) {
	n := c.nodeNamed(c.str("node"))
	if c.str("node") == "localhost" {
		n = c.receiver
	}
	if n == nil {
		return nil, c.noRRD("node", c.str("node"))
	}
	guests := c.byNode()[n.Name]
	return c.series(func(step span, peak float64) map[string]any {
		t := step.middle()
		if t.After(n.aired) {
			return nil
		}
		cpu, mem := c.load(n, guests, t)
		cpu = min(cpu*peak, 1)
		row := map[string]any{
			"maxcpu": n.CPUs, "cpu": cpu, "iowait": cpu / 50, "loadavg": cpu * float64(n.CPUs), "memtotal": n.Memory, "memused": mem,
			"swaptotal": 0, "swapused": 0, "roottotal": n.Disk, "rootused": n.Disk / 5, "netin": 1e5 * cpu, "netout": 2e5 * cpu,
		}
		if c.node.version.major >= 9 && n.version.major >= 9 {
			row["memavailable"], row["arcsize"] = n.Memory-mem, 0
			pressures(row, "cpusome", "iosome", "iofull", "memorysome", "memoryfull")
		}
		return row
	})
}

// getGuestRRD is answered by the receiver, wherever the guest is.
func getGuestRRD(c *call) (any, error) {
	g := c.guests[c.number("vmid", 0)]
	if g == nil || g.fresh {
		return nil, c.noRRD("vm", c.str("vmid"))
	}
	n := c.nodeNamed(g.Node)
	return c.series(func(step span, peak float64) map[string]any {
		if step.middle().After(n.aired) || step.to.Before(g.known) {
			return nil
		}
		row := map[string]any{"maxcpu": c.cpus(g), "maxmem": g.maxMem(), "maxdisk": g.maxDisk(), "disk": 0}
		st, t, running := g.during(step)
		if !running {
			return row
		}
		u, before := c.usage(g, st, t), c.usage(g, st, t.Add(-time.Second))
		row["cpu"], row["mem"], row["disk"] = min(u.cpu*peak, 1), u.mem, u.disk
		row["netin"], row["netout"] = u.netIn-before.netIn, u.netOut-before.netOut
		row["diskread"], row["diskwrite"] = u.diskRead-before.diskRead, u.diskWritten-before.diskWritten
		if c.node.version.major >= 9 && n.version.major >= 9 {
			row["memhost"] = hostMemory(g, u)
			pressures(row, "cpusome", "cpufull", "iosome", "iofull", "memorysome", "memoryfull")
		}
		return row
	})
}

// during is the guest's state in a step, and when it was that. A minute is known
// that it ran in for a moment, a longer step where that was half of it.
func (g *guest) during(step span) (guestState, time.Time, bool) {
	runs := g.runs
	if g.now.running {
		runs = append(slices.Clip(runs), span{g.now.since, step.to})
	}
	for _, run := range runs {
		both, some := step.meets(run)
		if size := step.to.Sub(step.from); some && (size == time.Minute || both.to.Sub(both.from) >= size/2) {
			return guestState{running: true, since: run.from}, both.middle(), true
		}
	}
	return guestState{}, time.Time{}, false
}

func getStorageRRD(c *call) (any, error) {
	st := c.storageNamed(c.str("storage"))
	if st == nil || !st.on(c.node.Name) {
		return nil, c.noRRD("storage", c.node.Name+"/"+c.str("storage"))
	}
	used := c.taken(st, c.node.Name)
	return c.series(func(span, float64) map[string]any {
		if st.Disabled || st.Broken != "" {
			return nil
		}
		return map[string]any{"total": st.Size, "used": used}
	})
}
