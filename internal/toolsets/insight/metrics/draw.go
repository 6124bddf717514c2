package metrics

import (
	"bytes"
	"cmp"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/go-analyze/charts"

	"github.com/pve-mcp/pve-mcp/internal/forecast"
)

const (
	mostPanels   = 8
	chartWidth   = 800
	panelHeight  = 150
	headHeight   = 30
	mostPNGBytes = 60_000
)

// picturePNG draws panels below each other, as a PNG of a bounded size. Its background is its own,
// so that it can be read on a light page and on a dark one.
func picturePNG(title string, panels []measured) ([]byte, error) {
	panels = panels[:min(len(panels), mostPanels)]
	const finest = 240 // points of a line
	for points := finest; ; points /= 2 {
		data, err := drawn(title, panels, points)
		if err != nil || len(data) <= mostPNGBytes || points < 8 {
			return data, err
		}
	}
}

func drawn(title string, panels []measured, points int) ([]byte, error) {
	p := charts.NewPainter(charts.PainterOptions{
		OutputFormat: charts.ChartOutputPNG, Width: chartWidth, Height: headHeight + panelHeight*len(panels),
		Theme: charts.GetTheme(charts.ThemeLight),
	})
	p.FilledRect(0, 0, chartWidth, headHeight+panelHeight*len(panels), charts.ColorWhite, charts.ColorWhite, 0)
	p.Text(title, 12, 20, 0, charts.NewFontStyleWithSize(13).WithColor(charts.ColorBlack))
	for i, m := range panels {
		top := headHeight + i*panelHeight
		child := p.Child(charts.PainterBoxOption(charts.Box{Left: 8, Top: top, Right: chartWidth - 12, Bottom: top + panelHeight, IsSet: true}))
		if err := child.LineChart(m.chart(points)); err != nil {
			return nil, err
		}
	}
	data, err := p.Bytes()
	if err != nil {
		return nil, err
	}
	return withPalette(data)
}

// withPalette returns a PNG with few colours, which is a quarter as large: that of the library
// has four bytes for each point.
func withPalette(data []byte) ([]byte, error) {
	decoded, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	all := image.NewRGBA(decoded.Bounds())
	draw.Draw(all, all.Rect, decoded, all.Rect.Min, draw.Src)
	count := map[color.RGBA]int{}
	for i := 0; i < len(all.Pix); i += 4 {
		count[rgba(all.Pix[i:])]++
	}
	const most = 32
	colors := slices.Collect(maps.Keys(count))
	slices.SortFunc(colors, func(a, b color.RGBA) int {
		return cmp.Or(count[b]-count[a], cmp.Compare(a.R, b.R), cmp.Compare(a.G, b.G), cmp.Compare(a.B, b.B))
	})
	few := image.NewPaletted(all.Rect, nil)
	for _, c := range colors[:min(len(colors), most)] {
		few.Palette = append(few.Palette, c)
	}
	nearest := map[color.RGBA]uint8{}
	for _, c := range colors {
		nearest[c] = uint8(few.Palette.Index(c))
	}
	for i := range few.Pix {
		few.Pix[i] = nearest[rgba(all.Pix[4*i:])]
	}
	var out bytes.Buffer
	err = png.Encode(&out, few)
	return out.Bytes(), err
}

func rgba(pix []uint8) color.RGBA { return color.RGBA{pix[0], pix[1], pix[2], pix[3]} }

// chart is the line of a figure, and that of its peaks.
func (m measured) chart(points int) charts.LineChartOption {
	averages := forecast.Fewer(m.averages, points, forecast.Mean)
	values, names := [][]float64{valuesOf(averages)}, []string{"average"}
	if peaks := forecast.Fewer(m.peaks, points, forecast.Most); len(peaks) == len(averages) {
		values, names = append(values, valuesOf(peaks)), append(names, "max")
	}
	o := charts.NewLineChartOptionWithData(values)
	caption := m.name
	if of := m.configured(); of != "" {
		caption = fmt.Sprintf("%s (of %s)", m.name, of)
	}
	o.Theme = charts.GetTheme(charts.ThemeLight).WithSeriesColors([]charts.Color{
		charts.ColorFromHex("#1f5fd0"), charts.ColorFromHex("#d9690a"), // which people who are colour-blind can distinguish
	})
	o.Title = charts.TitleOption{Text: caption, FontStyle: charts.NewFontStyleWithSize(11)}
	o.Legend = charts.LegendOption{SeriesNames: names, Offset: charts.OffsetRight, FontStyle: charts.NewFontStyleWithSize(9)}
	o.Symbol = charts.Symbol{Shape: charts.SymbolNone}
	o.LineStrokeWidth = 1.5
	o.Padding = charts.NewBoxEqual(4)
	o.XAxis = charts.XAxisOption{Labels: labelsOf(averages), LabelCount: 7, BoundaryGap: charts.Ptr(false), LabelFontStyle: charts.NewFontStyleWithSize(9)}
	o.YAxis = []charts.YAxisOption{{Min: charts.Ptr(0.0), LabelCount: 4, LabelFontStyle: charts.NewFontStyleWithSize(9), ValueFormatter: m.bare}}
	return o
}

// valuesOf are the values of points, as the library takes those that are absent.
func valuesOf(points []forecast.Point) []float64 {
	out := make([]float64, len(points))
	for i, p := range points {
		if out[i] = p.Value; math.IsNaN(p.Value) {
			out[i] = charts.GetNullValue()
		}
	}
	return out
}

// labelsOf are the times of points, as fine as their distance allows.
func labelsOf(points []forecast.Point) []string {
	layout := "2 Jan"
	switch first, last := points[0].At, points[len(points)-1].At; {
	case last.Sub(first) <= 36*time.Hour:
		layout = "15:04"
	case last.Sub(first) <= 10*day:
		layout = "Mon 15:04"
	}
	out := make([]string, len(points))
	for i, p := range points {
		out[i] = p.At.Format(layout)
	}
	return out
}
