// Package terminal shows answers to people on a terminal: JSON as tables and lines, pages
// of Markdown as text, and how far work is.
package terminal

import (
	"encoding/json"
	"io"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/pve-mcp/pve-mcp/internal/render"
)

// Answer writes an answer of JSON for people: lists of objects as tables, anything else
// as lines of name and value, in the order of the answer. The text is safe for a
// terminal. If a table is wider than width, in characters, columns are left out and
// named. A width of 0 is no limit.
func Answer(w io.Writer, data json.RawMessage, width int) error {
	v, err := decode(data)
	if err != nil {
		return err
	}
	p := page{width: width}
	if o, ok := v.(object); ok {
		p.object(0, o)
	} else {
		p.object(0, object{{"answer", v}})
	}
	_, err = io.WriteString(w, strings.TrimLeft(p.String(), "\n"))
	return err
}

// page is text in the making.
type page struct {
	strings.Builder
	width int
}

// object writes the fields of an object, indented.
func (p *page) object(indent int, o object) {
	var lines object // that stand together
	flush := func() {
		p.lines(indent, lines)
		lines = nil
	}
	for i, f := range o {
		switch rows, isTable := table(f.value); {
		case isTable:
			flush()
			p.gap()
			inner := indent
			if i > 0 || indent > 0 {
				p.WriteString(strings.Repeat(" ", indent) + f.name + ":\n")
				inner += 2
			}
			p.table(inner, rows)
			p.gap()
		case isLarge(f.value):
			flush()
			p.large(indent, f)
		default:
			lines = append(lines, f)
		}
	}
	flush()
}

// gap leaves one line empty, unless there is one.
func (p *page) gap() {
	if p.Len() > 0 && !strings.HasSuffix(p.String(), "\n\n") {
		p.WriteByte('\n')
	}
}

// table returns the rows of a list of objects.
func table(v any) (rows []object, ok bool) {
	list, _ := v.([]any)
	for _, item := range list {
		row, isObject := item.(object)
		if !isObject {
			return nil, false
		}
		rows = append(rows, row)
	}
	return rows, len(rows) > 0
}

// inlineFields is how many fields of an object stand on one line.
const inlineFields = 6

// isLarge reports whether a value needs lines of its own.
func isLarge(v any) bool {
	switch v := v.(type) {
	case string:
		return strings.Contains(strings.TrimRight(v, "\n"), "\n")
	case []any:
		for _, item := range v {
			if s, ok := item.(string); !ok && isLarge(item) || strings.Contains(s, " ") {
				return true
			}
		}
	case object:
		if len(v) > inlineFields {
			return true
		}
		for _, f := range v {
			if _, isTable := table(f.value); isTable || isLarge(f.value) {
				return true
			}
		}
	}
	return false
}

// large writes a field whose value needs lines of its own.
func (p *page) large(indent int, f field) {
	margin := strings.Repeat(" ", indent)
	p.WriteString(margin + f.name + ":\n")
	switch v := f.value.(type) {
	case object:
		p.object(indent+2, v)
	case []any:
		for _, item := range v {
			p.wrap(margin+"  - ", margin+"    ", inline(item))
		}
	case string:
		for line := range strings.Lines(safe(v)) {
			p.WriteString(margin + "  " + strings.TrimSuffix(line, "\n") + "\n")
		}
	}
}

// lines writes fields as lines, their values below each other.
func (p *page) lines(indent int, fields object) {
	longest := 0
	for _, f := range fields {
		longest = max(longest, runes(f.name))
	}
	margin := strings.Repeat(" ", indent)
	for _, f := range fields {
		name := margin + pad(f.name, longest) + "  "
		p.wrap(name, strings.Repeat(" ", runes(name)), inline(f.value))
	}
}

// Wrap breaks the paragraphs of a text between words if they are wider than the page; 0
// leaves them as they are. Lines that are indented stay as they are.
func Wrap(text string, width int) string {
	if width <= 0 {
		return text
	}
	var p page
	p.width = width
	for i, paragraph := range strings.Split(text, "\n\n") {
		if i > 0 {
			p.WriteString("\n")
		}
		if strings.HasPrefix(paragraph, " ") {
			p.WriteString(paragraph + "\n")
			continue
		}
		p.wrap("", "", paragraph)
	}
	return strings.TrimRight(p.String(), "\n")
}

// wrap writes a text after a first part, broken between words if it is wider than the
// page; the lines after the first begin with rest.
func (p *page) wrap(first, rest, text string) {
	line, begins := first, true
	for word := range strings.FieldsSeq(text) {
		switch {
		case begins:
			line += word
		case p.width > 0 && runes(line)+1+runes(word) > p.width:
			p.WriteString(line + "\n")
			line = rest + word
		default:
			line += " " + word
		}
		begins = false
	}
	p.WriteString(strings.TrimRight(line, " ") + "\n")
}

// inline writes a value on one line.
func inline(v any) string {
	var parts []string
	switch v := v.(type) {
	case nil:
		return ""
	case bool:
		if v {
			return "yes"
		}
		return "no"
	case string:
		return strings.Join(strings.Fields(safe(v)), " ")
	case json.Number:
		return v.String()
	case []any:
		if len(v) == 0 {
			return "none"
		}
		for _, item := range v {
			parts = append(parts, inline(item))
		}
	case object:
		for _, f := range v {
			parts = append(parts, safe(f.name)+" "+inline(f.value))
		}
	}
	return strings.Join(parts, ", ")
}

// safe removes what a terminal would take for a command.
func safe(s string) string { return render.Lines(s, math.MaxInt) }

func runes(s string) int { return utf8.RuneCountInString(s) }

func pad(s string, width int) string { return s + strings.Repeat(" ", max(0, width-runes(s))) }
