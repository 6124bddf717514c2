package terminal

import (
	"encoding/json"
	"io"
	"slices"
	"strings"
)

const (
	between = 2  // spaces between columns
	shorten = 20 // to how many characters text with spaces is cut at most
	wide    = 40 // what is wider may stand below its row
)

// Table writes rows below their headings, as [Answer] does with a list of objects.
func Table(w io.Writer, headings []string, rows [][]string, width int) error {
	p := page{width: width}
	var columns []*column
	for i, heading := range headings {
		c := &column{name: heading}
		for _, row := range rows {
			c.add(row[i])
		}
		columns = append(columns, c)
	}
	p.columns(0, columns, len(rows))
	_, err := io.WriteString(w, p.String())
	return err
}

// column is a column of a table.
type column struct {
	name   string
	cells  []string
	width  int
	prose  bool // it has spaces, and may be cut between words
	number bool
}

func (c *column) add(cell string) {
	c.cells = append(c.cells, cell)
	c.width = max(c.width, runes(cell), runes(c.name))
	c.prose = c.prose || strings.Contains(cell, " ")
}

// table writes objects as rows. A column that is empty everywhere is none.
func (p *page) table(indent int, rows []object) {
	var columns []*column
	for _, row := range rows {
		for _, f := range row {
			if !slices.ContainsFunc(columns, func(c *column) bool { return c.name == f.name }) {
				columns = append(columns, &column{name: f.name, number: true})
			}
		}
	}
	for _, c := range columns {
		for _, row := range rows {
			v := row.get(c.name)
			_, number := v.(json.Number)
			c.number = c.number && (number || v == nil)
			if list, isList := v.([]any); isList && len(list) == 0 {
				v = nil
			}
			c.add(inline(v))
		}
	}
	columns = slices.DeleteFunc(columns, func(c *column) bool { return strings.Join(c.cells, "") == "" })
	p.columns(indent, columns, len(rows))
}

func (p *page) columns(indent int, columns []*column, rows int) {
	margin := strings.Repeat(" ", indent)
	l := layout{shown: columns}
	if p.width > 0 {
		l.fit(p.width - indent)
	}
	p.WriteString(margin + line(l.shown, func(c *column) string { return strings.ToUpper(c.name) }))
	for row := range rows {
		p.WriteString(margin + line(l.shown, func(c *column) string { return c.cells[row] }))
		for _, c := range l.below {
			if c.cells[row] != "" {
				p.WriteString(margin + "  " + c.name + " " + c.cells[row] + "\n")
			}
		}
	}
	if l.missing != nil {
		p.wrap(margin, margin, "(too narrow for "+strings.Join(l.missing, ", ")+"; -o json has all)")
	}
}

func line(columns []*column, cell func(*column) string) string {
	var b strings.Builder
	for _, c := range columns {
		text := cut(cell(c), c.width)
		if c.number {
			text = strings.Repeat(" ", max(0, c.width-runes(text))) + text
		}
		b.WriteString(pad(text, c.width) + strings.Repeat(" ", between))
	}
	return strings.TrimRight(b.String(), " ") + "\n"
}

// layout is where columns stand.
type layout struct {
	shown   []*column
	below   []*column // on lines of their own
	missing []string  // names of those that are left out
}

// fit makes columns fit a width: text with spaces is cut, the widest before others; then
// what is wide comes to stand below its row; then the last columns are left out. What can
// be an argument of the next call is never cut.
func (l *layout) fit(width int) {
	for {
		total, prose, long := -between, -1, -1
		for i, c := range l.shown {
			total += c.width + between
			if c.prose && c.width > max(shorten, runes(c.name)) && (prose < 0 || c.width > l.shown[prose].width) {
				prose = i
			}
			if !c.prose && c.width > wide && (long < 0 || c.width > l.shown[long].width) {
				long = i
			}
		}
		last := len(l.shown) - 1
		switch {
		case total <= width:
			return
		case prose >= 0:
			c := l.shown[prose]
			c.width = max(shorten, runes(c.name), c.width-(total-width))
		case last < 1:
			return
		case long >= 0:
			l.below = append(l.below, l.shown[long])
			l.shown = slices.Delete(slices.Clone(l.shown), long, long+1)
		default:
			l.missing = append([]string{l.shown[last].name}, l.missing...)
			l.shown = l.shown[:last]
		}
	}
}

// cut shortens a text, and shows that it does.
func cut(s string, width int) string {
	if runes(s) <= width {
		return s
	}
	return string([]rune(s)[:width-1]) + "…"
}
