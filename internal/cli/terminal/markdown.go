package terminal

import (
	"io"
	"strings"
)

// Markdown writes a page of our own as text: its headings, paragraphs, lists and tables.
func Markdown(w io.Writer, text string, width int) error {
	p := page{width: width}
	lines := strings.Split(strings.TrimSuffix(strings.ReplaceAll(text, "`", ""), "\n"), "\n")
	for len(lines) > 0 {
		n := 1
		line := lines[0]
		switch {
		case strings.HasPrefix(line, "|"):
			for n < len(lines) && strings.HasPrefix(lines[n], "|") {
				n++
			}
			p.rows(lines[:n])
		case strings.HasPrefix(line, "#"):
			p.WriteString(strings.ToUpper(strings.TrimLeft(line, "# ")) + "\n")
		case strings.HasPrefix(line, "- "):
			p.wrap("  - ", "    ", line[2:])
		case line == "":
			p.gap()
		default:
			p.wrap("", "", line)
		}
		lines = lines[n:]
	}
	_, err := io.WriteString(w, p.String())
	return err
}

// rows writes the lines of a table: headings, a rule, and rows. The last column, which is
// prose, continues below itself.
func (p *page) rows(lines []string) {
	var rows [][]string
	var widths []int
	for i, line := range lines {
		if i == 1 {
			continue
		}
		row := strings.Split(strings.Trim(line, "|"), "|")
		for j := range row {
			row[j] = strings.TrimSpace(row[j])
			if len(widths) <= j {
				widths = append(widths, 0)
			}
			widths[j] = max(widths[j], min(runes(row[j]), 2*shorten))
		}
		rows = append(rows, row)
	}
	for i, row := range rows {
		if len(rows) == 1 {
			row = []string{"none"}
		}
		first := "  "
		for j, cell := range row[:len(row)-1] {
			first += pad(cell, widths[j]) + strings.Repeat(" ", between)
		}
		last := row[len(row)-1]
		if i == 0 && len(rows) > 1 {
			first, last = strings.ToUpper(first), strings.ToUpper(last)
		}
		rest := 2
		for _, width := range widths[:len(row)-1] {
			rest += width + between
		}
		p.wrap(first, strings.Repeat(" ", rest), last)
	}
}
