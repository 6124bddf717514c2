package pve

import (
	"context"
	"fmt"
	"math"
	"net/url"
	"slices"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/jsonscan"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/proxmox/lenient"
)

// Timeframe is a span of recorded figures.
type Timeframe string

// The timeframes that every version has, and how fine they are. PVE 8 sends 70 rows of each;
// PVE 9 sends up to 1440, and 336 of a week. A cluster that was upgraded has rows of both kinds.
const (
	Hour  Timeframe = "hour"  // 1 minute
	Day   Timeframe = "day"   // 30 minutes, from PVE 9 on 1 minute
	Week  Timeframe = "week"  // 3 hours, from PVE 9 on 30 minutes
	Month Timeframe = "month" // 12 hours, from PVE 9 on 30 minutes
	Year  Timeframe = "year"  // 7 days, from PVE 9 on 6 hours
)

// Consolidation says which of the values in the time of a row the row has.
type Consolidation string

// The consolidations.
const (
	Averages Consolidation = "AVERAGE"
	Maxima   Consolidation = "MAX"
)

// History is what PVE has recorded of something, oldest first. Its fields have PVE's names;
// those of a row are absent while nothing was measured, which is often so of the last one.
type History struct {
	Times  []time.Time // when the time of each row ends
	fields map[string][]float64
}

// Values returns a field in each row, NaN if it is absent from the row; nil if it is absent
// from all.
func (h History) Values(field string) []float64 { return h.fields[field] }

// Latest returns a field in the newest row that has it.
func (h History) Latest(field string) (value float64, ok bool) {
	values := h.fields[field]
	for i := len(values) - 1; i >= 0; i-- {
		if !math.IsNaN(values[i]) {
			return values[i], true
		}
	}
	return 0, false
}

// NodeHistory reads the recorded figures of a node (Sys.Audit on it): cpu, iowait (shares of
// 1), maxcpu, loadavg, memused, memtotal, swapused, swaptotal, rootused, roottotal (bytes),
// netin, netout (bytes a second), from PVE 9 also memavailable, arcsize, and pressurecpusome,
// pressureiosome, pressureiofull, pressurememorysome, pressurememoryfull (percent). Every node
// has those of all.
func (c *Client) NodeHistory(ctx context.Context, node string, frame Timeframe, cf Consolidation) (History, error) {
	return c.history(ctx, proxmox.Join("nodes", node, "rrddata"), frame, cf)
}

// GuestHistory reads the recorded figures of a guest (VM.Audit): cpu (the share of maxcpu),
// maxcpu, mem, maxmem, disk, maxdisk (bytes; disk is 0 for a VM), netin, netout, diskread,
// diskwrite (bytes a second), from PVE 9 also memhost and the pressures, as of a node, with
// pressurecpufull. Every node has those of all.
func (c *Client) GuestHistory(ctx context.Context, g GuestRef, frame Timeframe, cf Consolidation) (History, error) {
	return c.history(ctx, g.path("rrddata"), frame, cf)
}

// StorageHistory reads what a storage had on a node: used and total, in bytes
// (Datastore.Audit or Datastore.AllocateSpace). The node itself is asked.
func (c *Client) StorageHistory(ctx context.Context, node, storage string, frame Timeframe, cf Consolidation) (History, error) {
	return c.history(ctx, proxmox.Join("nodes", node, "storage", storage, "rrddata"), frame, cf)
}

func (c *Client) history(ctx context.Context, p proxmox.Path, frame Timeframe, cf Consolidation) (History, error) {
	ans, err := c.ask(ctx, p, url.Values{"timeframe": {string(frame)}, "cf": {string(cf)}})
	if err != nil {
		return History{}, err
	}
	h, err := historyIn(ans.Data)
	if err != nil {
		return History{}, fmt.Errorf("GET %s: %w", p, err)
	}
	return h, nil
}

// historyIn reads rows, which are valid JSON. One without a time, or not later than the row
// before it, is left out.
func historyIn(data []byte) (History, error) {
	if data = jsonscan.Trim(data); data[0] != '[' {
		return History{}, fmt.Errorf("%.40q where a list was expected", data)
	}
	h := History{fields: map[string][]float64{}}
	rows := 0
	for range jsonscan.Elements(data) {
		rows++
	}
	places := map[string]int{} // of the fields in a row, of which there may be many thousands
	var row []float64
	var names []string
	for object := range jsonscan.Elements(data) {
		if object[0] != '{' {
			continue
		}
		for i := range row {
			row[i] = math.NaN()
		}
		for name, value := range jsonscan.Members(object) {
			var n lenient.Opt[float64]
			if n.UnmarshalJSON(value) != nil || !n.Set {
				continue
			}
			place, known := places[string(name)]
			if !known {
				place = len(row)
				places[string(name)], names, row = place, append(names, string(name)), append(row, 0)
			}
			row[place] = n.Value
		}
		h.add(names, row, rows)
	}
	for name, values := range h.fields {
		h.fields[name] = values[:len(h.Times)]
	}
	return h, nil
}

// add adds a row with values of names, NaN for what it has not, unless it has no time or is not
// later than the one before it.
func (h *History) add(names []string, row []float64, rows int) {
	i := slices.Index(names, "time")
	if i < 0 || math.IsNaN(row[i]) || math.Abs(row[i]) > 1e12 {
		return
	}
	at := time.Unix(int64(row[i]), 0)
	if n := len(h.Times); n > 0 && !at.After(h.Times[n-1]) {
		return
	}
	for k, v := range row {
		if k == i || math.IsNaN(v) {
			continue
		}
		if h.fields[names[k]] == nil {
			h.fields[names[k]] = absent(rows)
		}
		h.fields[names[k]][len(h.Times)] = v
	}
	h.Times = append(h.Times, at)
}

// absent are values of so many rows that have none.
func absent(rows int) []float64 {
	out := make([]float64, rows)
	for i := range out {
		out[i] = math.NaN()
	}
	return out
}
