package pve

import (
	"context"
	"fmt"
	"math"
	"net/url"
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
	row := map[string]float64{}
	for object := range jsonscan.Elements(data) {
		if object[0] != '{' {
			continue
		}
		clear(row)
		for name, value := range jsonscan.Members(object) {
			var n lenient.Opt[float64]
			if n.UnmarshalJSON(value) == nil && n.Set {
				row[string(name)] = n.Value
			}
		}
		at, ok := row["time"]
		if !ok || math.Abs(at) > 1e12 || len(h.Times) > 0 && time.Unix(int64(at), 0).Compare(h.Times[len(h.Times)-1]) <= 0 {
			continue
		}
		delete(row, "time")
		for name, v := range row {
			if h.fields[name] == nil {
				h.fields[name] = absent(rows)
			}
			h.fields[name][len(h.Times)] = v
		}
		h.Times = append(h.Times, time.Unix(int64(at), 0))
	}
	for name, values := range h.fields {
		h.fields[name] = values[:len(h.Times)]
	}
	return h, nil
}

// absent are values of so many rows that have none.
func absent(rows int) []float64 {
	out := make([]float64, rows)
	for i := range out {
		out[i] = math.NaN()
	}
	return out
}
