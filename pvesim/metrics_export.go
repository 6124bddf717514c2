package pvesim

import (
	"slices"
	"strconv"
	"time"

	"github.com/pve-mcp/pve-mcp/pve/apischema"
)

// sampled is a value of a metric at a time. It is a struct because there may be very many.
type sampled struct {
	ID        string `json:"id"`
	Metric    string `json:"metric"`
	Timestamp int64  `json:"timestamp"`
	Type      string `json:"type"`
	Value     any    `json:"value"`
}

// Nodes keep what they broadcast for half an hour.
const (
	sampleEvery = 10 * time.Second
	samplesKept = 181
)

// exportMetrics tells what the nodes last broadcast or, with history, what they still keep.
func exportMetrics(c *call) (any, error) {
	first, since := 0, int64(c.number("start-time", 0))
	if c.flag("history") {
		first = samplesKept - 1
	}
	out, guests, wanted := []sampled{}, c.byNode(), apischema.SplitList(c.str("node-list"))
	for _, n := range c.nodes {
		if n.Offline || n.neverHeard || c.flag("local-only") && n != c.receiver || len(wanted) > 0 && !slices.Contains(wanted, n.Name) {
			continue
		}
		for back := first; back >= 0; back-- {
			at := n.heardAt.Add(-time.Duration(back) * sampleEvery)
			if at.Unix() >= since && !at.Before(n.booted) {
				out = c.appendSamples(out, n, guests[n.Name], at)
			}
		}
	}
	return map[string]any{"data": out}, nil
}

// appendSamples appends what a node broadcast at a time.
func (c *call) appendSamples(out []sampled, n *node, guests []*guest, at time.Time) []sampled {
	var id string
	gauge := func(metric string, value any) { out = append(out, sampled{id, metric, at.Unix(), "gauge", value}) }
	derive := func(metric string, value any) { out = append(out, sampled{id, metric, at.Unix(), "derive", value}) }
	cpu, mem := c.load(n, guests, at)
	id = "node/" + n.Name
	gauge("uptime", uptime(n.booted, at))
	derive("net_in", 100_000*uptime(n.booted, at))
	derive("net_out", 200_000*uptime(n.booted, at))
	for _, minutes := range []string{"1", "5", "15"} {
		gauge("cpu_avg"+minutes, cpu*float64(n.CPUs))
	}
	gauge("cpu_max", n.CPUs)
	gauge("cpu_current", cpu)
	gauge("cpu_iowait", n.ioWait(cpu))
	gauge("mem_total", n.Memory)
	gauge("mem_used", mem)
	gauge("swap_total", n.Swap)
	gauge("swap_used", n.SwapUsed)
	gauge("disk_total", n.Disk)
	gauge("disk_used", n.rootUsed())
	for _, g := range guests {
		id = g.Kind + "/" + strconv.Itoa(g.VMID)
		st := g.now
		st.running = st.running && !at.Before(st.since)
		up := int64(0)
		if st.running {
			up = uptime(st.since, at)
		}
		gauge("uptime", up)
		gauge("cpu_max", c.cpus(g))
		gauge("mem_total", g.maxMem())
		gauge("disk_total", g.maxDisk())
		if !st.running {
			continue
		}
		u := c.usage(g, st, at)
		gauge("cpu_current", u.cpu)
		gauge("mem_used", u.mem)
		derive("disk_read", u.diskRead)
		derive("disk_write", u.diskWritten)
		derive("net_in", u.netIn)
		derive("net_out", u.netOut)
		if g.Kind == "lxc" {
			gauge("disk_used", u.disk)
		}
	}
	for i := range c.storages {
		if st := &c.storages[i]; !st.Disabled && st.on(n.Name) && st.broken(n.Name) == "" {
			id = "storage/" + n.Name + "/" + st.ID
			gauge("disk_total", st.size(n.Name))
			gauge("disk_used", c.bytesUsed(st, n.Name))
		}
	}
	return out
}
