package main

import (
	"os"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// line is a figure over the number of guests.
type line struct {
	title string
	unit  string
	of    func(result) bool
}

func tool(name, of string) func(result) bool {
	return func(r result) bool { return r.key("tool") == name && r.key("of") == of }
}

func clients(n string) func(result) bool {
	return func(r result) bool { return r.key("clients") == n }
}

// many are lines for the tools that look into many guests, or change them.
func many(unit string) []line {
	return []line{
		{"audit", unit, tool("pve_audit", "")}, {"find", unit, tool("pve_find", "bridge")}, {"100 snapshots, their plan", unit, tool("pve_bulk_action", "plan")}, {"100 snapshots", unit, tool("pve_bulk_action", "snapshot")},
		{"drain, its plan", unit, tool("pve_drain_node", "plan")}, {"drain", unit, tool("pve_drain_node", "drain")}, {"what if: drain", unit, tool("pve_what_if", "drain")},
	}
}

// plots draws how the figures grow with the guests, on logarithmic axes.
func plots(file string, all []result) error {
	const list, status = "pve_list_guests", "pve_guest_status"
	var rows [][]*plot.Plot
	for _, panels := range [][]struct {
		title, y string
		lines    []line
	}{
		{
			{"pve_list_guests: time of a call", "ms", []line{
				{"ours", "ours-ms", tool(list, "")}, {"bare exchange", "bare-ms", tool(list, "")}, {"own time", "own-ms", tool(list, "")}, {"list kept", "kept-ms", tool(list, "")}}},
			{"pve_guest_status: time of a call", "ms", []line{
				{"ours", "ours-ms", tool(status, "")}, {"bare exchange", "bare-ms", tool(status, "")}, {"own time", "own-ms", tool(status, "")}, {"list kept", "kept-ms", tool(status, "")}}},
		},
		{
			{"Allocations and bytes of an answer", "", []line{
				{"list: allocations", "own-allocs", tool(list, "")}, {"status: allocations", "own-allocs", tool(status, "")},
				{"list: bytes", "answer-B", tool(list, "")}, {"status: bytes", "answer-B", tool(status, "")}}},
			{"Requests to PVE for a call", "", []line{
				{"list", "requests", tool(list, "")}, {"status", "requests", tool(status, "")},
				{"HTTP, 10 clients", "pve/call", clients("10")}, {"HTTP, 100 clients", "pve/call", clients("100")}}},
		},
		{
			{"HTTP, mixed calls: calls per second", "", []line{
				{"1 client", "ours-calls/s", clients("1")}, {"10", "ours-calls/s", clients("10")}, {"100", "ours-calls/s", clients("100")}, {"10, bare", "bare-calls/s", clients("10")}}},
			{"HTTP, mixed calls: 99 of 100 take at most", "ms", []line{
				{"1 client", "ours-p99-ms", clients("1")}, {"10", "ours-p99-ms", clients("10")}, {"100", "ours-p99-ms", clients("100")}, {"10, bare", "bare-p99-ms", clients("10")}}},
		},
		{
			{"Tools about many guests: own time", "ms", many("own-ms")},
			{"Tools about many guests: requests to PVE", "", many("requests")},
		},
	} {
		var row []*plot.Plot
		for _, p := range panels {
			one, err := panel(p.title, p.y, p.lines, all)
			if err != nil {
				return err
			}
			row = append(row, one)
		}
		rows = append(rows, row)
	}
	return write(file, rows)
}

func panel(title, y string, lines []line, all []result) (*plot.Plot, error) {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = title, "guests", y
	p.X.Scale, p.Y.Scale = plot.LogScale{}, plot.LogScale{}
	p.X.Tick.Marker, p.Y.Tick.Marker = plot.LogTicks{Prec: -1}, plot.LogTicks{Prec: -1}
	p.Legend.Top, p.Legend.Left = true, true
	p.Add(plotter.NewGrid())
	var args []any
	for _, l := range lines {
		var points plotter.XYs
		for _, r := range all {
			if v := r.values[l.unit]; l.of(r) && v > 0 {
				points = append(points, plotter.XY{X: r.number("guests"), Y: v})
			}
		}
		slices.SortFunc(points, func(a, b plotter.XY) int { return int(a.X - b.X) })
		if len(points) > 0 {
			args = append(args, l.title, points)
		}
	}
	if err := plotutil.AddLinePoints(p, args...); err != nil {
		return nil, err
	}
	p.Y.Max *= 20 // room for the legend
	return p, nil
}

func write(file string, rows [][]*plot.Plot) error {
	const width, height = 24 * vg.Centimeter, 36 * vg.Centimeter
	canvas := vgsvg.New(width, height)
	all := draw.New(canvas)
	tiles := draw.Tiles{Rows: len(rows), Cols: 2, PadX: vg.Centimeter, PadY: vg.Centimeter, PadTop: vg.Points(8), PadBottom: vg.Points(8), PadLeft: vg.Points(8), PadRight: vg.Points(8)}
	for i, row := range plot.Align(rows, tiles, all) {
		for j, c := range row {
			rows[i][j].Draw(c)
		}
	}
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	if _, err := canvas.WriteTo(f); err != nil {
		return err
	}
	return f.Close()
}
