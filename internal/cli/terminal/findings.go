package terminal

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// finding is a row of a health check.
type finding struct {
	ID, Severity, What, Evidence string
	On                           []string
	Count                        int
	Fix                          fix
}

type fix struct {
	Tool, Command, Where, Setting string
	Arguments                     map[string]any
}

// colors are those of a terminal, by severity.
var colors = map[string]string{"critical": "1;31", "high": "31", "medium": "33", "low": "36", "info": "2"}

// Findings writes the answer of a health check for people: the worst first, each with what it
// concerns and how to correct it, then what could not be checked. The text is safe for a
// terminal. A width of 0 is no limit.
func Findings(w io.Writer, data json.RawMessage, width int, color bool) error {
	var a struct {
		Message  string
		Findings []finding
		Concerns []struct {
			On, Evidence string
			Fix          fix
		}
		LeftOut int `json:"left_out"`
		More    string
		Blind   []struct {
			Check, Missing string
			On             []string
			Count          int
		}
		Well []string
	}
	if err := json.Unmarshal(data, &a); err != nil {
		return err
	}
	p := page{width: width}
	p.wrap("", "", safe(a.Message))
	for _, f := range a.Findings {
		p.gap()
		p.finding(f, color)
	}
	for _, c := range a.Concerns {
		p.gap()
		p.wrap("", margin, safe(c.On)+": "+safe(c.Evidence))
		p.fix(c.Fix)
	}
	if a.LeftOut > 0 {
		p.gap()
		p.wrap("", "", fmt.Sprintf("%d more: %s", a.LeftOut, safe(a.More)))
	}
	if len(a.Blind) > 0 {
		p.gap()
		p.WriteString("NOT CHECKED\n")
		for _, b := range a.Blind {
			p.wrap("  - ", "    ", safe(b.Check)+few(b.On, b.Count)+": "+safe(b.Missing))
		}
	}
	if len(a.Well) > 0 {
		p.gap()
		p.wrap("Well: ", "      ", safe(strings.Join(a.Well, ", ")))
	}
	_, err := io.WriteString(w, p.String())
	return err
}

// margin is below the severity of a finding.
const margin = "          "

func (p *page) finding(f finding, color bool) {
	word := strings.ToUpper(safe(f.Severity))
	begin := pad(word, len(margin))
	p.wrap(begin, margin, safe(f.What))
	if c := colors[f.Severity]; color && c != "" {
		text := p.String()
		at := strings.LastIndex(text, begin)
		p.Reset()
		p.WriteString(text[:at] + "\x1b[" + c + "m" + word + "\x1b[0m" + text[at+len(word):])
	}
	line := strings.TrimPrefix(few(f.On, f.Count), " on ")
	if f.Evidence != "" {
		line += " (" + safe(f.Evidence) + ")"
	}
	p.wrap(margin, margin, line)
	p.fix(f.Fix)
	p.wrap(margin, margin, "["+safe(f.ID)+"]")
}

// few lists what a row names, and how many more there are.
func few(on []string, count int) string {
	if len(on) == 0 {
		return ""
	}
	text := " on " + safe(strings.Join(on, ", "))
	if more := count - len(on); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// fix writes how to correct something, as a command to type.
func (p *page) fix(f fix) {
	switch {
	case f.Command != "":
		p.wrap(margin+"-> ", margin+"   ", safe(f.Where)+": "+safe(f.Command))
	case f.Tool != "":
		line := "pve-mcp call " + f.Tool + flags(f.Arguments)
		if f.Setting != "" {
			line += " (off now: " + f.Setting + ")"
		}
		p.wrap(margin+"-> ", margin+"   ", safe(line))
	}
}

// flags are the arguments of a call as flags of the command line.
func flags(args map[string]any) string {
	line := ""
	for _, key := range slices.Sorted(maps.Keys(args)) {
		switch v := args[key].(type) {
		case map[string]any:
			for _, k := range slices.Sorted(maps.Keys(v)) {
				line += fmt.Sprintf(" --%s %s=%v", key, k, v[k])
			}
		default:
			line += fmt.Sprintf(" --%s %v", key, v)
		}
	}
	return line
}
