package pvesim

import (
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/pve-mcp/pve-mcp/pvesim/internal/rrd"
)

// series answers with a row for each step, that has what value returns for it. With
// nothing, PVE had heard nothing in that time.
func (c *call) series(trends []Trend, value func(step rrd.Span, peak float64) map[string]any) (any, error) {
	peak, largest := 1.0, c.str("cf") == "MAX"
	if largest {
		peak = 1.2
	}
	out := []any{}
	for _, step := range rrd.Steps(c.node.version.major, c.str("timeframe"), c.now) {
		row := map[string]any{"time": step.To.Unix()}
		if h := c.model.History; h == 0 || step.Middle().After(c.born.Add(-h)) {
			maps.Copy(row, value(step, peak))
			c.apply(trends, row, step, largest)
		}
		out = append(out, row)
	}
	return out, nil
}

// noRRD is what PVE says if nothing was ever heard of.
func (c *call) noRRD(kind, name string) error {
	dir := "pve2-" + kind
	if c.node.version.major >= 9 {
		dir = "pve-" + kind + "-9.0"
	}
	return die("RRD error: opening '/var/lib/rrdcached/db/%s/%s': No such file or directory", dir, name)
}

// pressures are fields that nodes and guests have since PVE 9.
func pressures(row map[string]any, of map[string]float64, kinds ...string) {
	for _, kind := range kinds {
		row["pressure"+kind] = of[kind]
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
	return c.series(c.trendsOf("node/"+n.Name), func(step rrd.Span, peak float64) map[string]any {
		t := step.Middle()
		if t.After(n.heardAt) {
			return nil
		}
		cpu, mem := c.load(n, guests, t)
		cpu = min(cpu*peak, 1)
		row := map[string]any{
			"maxcpu": n.CPUs, "cpu": cpu, "iowait": n.ioWait(cpu), "loadavg": cpu * float64(n.CPUs), "memtotal": n.Memory, "memused": mem,
			"swaptotal": n.Swap, "swapused": n.SwapUsed, "roottotal": n.Disk, "rootused": n.rootUsed(), "netin": 1e5 * cpu, "netout": 2e5 * cpu,
		}
		if c.node.version.major >= 9 && n.version.major >= 9 {
			row["memavailable"], row["arcsize"] = n.Memory-mem, 0
			pressures(row, n.Pressure, "cpusome", "iosome", "iofull", "memorysome", "memoryfull")
		}
		return row
	})
}

// getGuestRRD is answered by the receiver, wherever the guest is.
func getGuestRRD(c *call) (any, error) {
	g := c.guests[c.number("vmid", 0)]
	if g == nil || g.isNew {
		return nil, c.noRRD("vm", c.str("vmid"))
	}
	n := c.nodeNamed(g.Node)
	return c.series(c.trendsOf(g.Kind+"/"+strconv.Itoa(g.VMID)), func(step rrd.Span, peak float64) map[string]any {
		if step.Middle().After(n.heardAt) || step.To.Before(g.firstAnnounced) {
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
			pressures(row, g.Pressure, "cpusome", "cpufull", "iosome", "iofull", "memorysome", "memoryfull")
		}
		return row
	})
}

// during is the guest's state in a step, and when it was that. A minute is known
// if it ran for a moment in it, a longer step if it ran for half of it.
func (g *guest) during(step rrd.Span) (runState, time.Time, bool) {
	runs := g.runs
	if g.now.running {
		runs = append(slices.Clip(runs), rrd.Span{From: g.now.since, To: step.To})
	}
	for _, run := range runs {
		both, some := step.Intersect(run)
		if size := step.To.Sub(step.From); some && (size == time.Minute || both.To.Sub(both.From) >= size/2) {
			return runState{running: true, since: run.From}, both.Middle(), true
		}
	}
	return runState{}, time.Time{}, false
}

func getStorageRRD(c *call) (any, error) {
	st := c.storageNamed(c.str("storage"))
	if st == nil || !st.on(c.node.Name) {
		return nil, c.noRRD("storage", c.node.Name+"/"+c.str("storage"))
	}
	used := c.bytesUsed(st, c.node.Name)
	return c.series(c.trendsOf("storage/"+st.ID, "storage/"+c.node.Name+"/"+st.ID), func(rrd.Span, float64) map[string]any {
		if st.Disabled || st.broken(c.node.Name) != "" {
			return nil
		}
		return map[string]any{"total": st.size(c.node.Name), "used": used}
	})
}
