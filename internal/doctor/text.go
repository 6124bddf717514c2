package doctor

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/pve-mcp/pve-mcp/internal/render"
)

// Printer writes checks and reports for people.
type Printer struct {
	W     io.Writer
	Color bool
	// Hosts are those that are checked; if there are several, each line names its own.
	Hosts []string
}

// colors are those of a terminal, by status.
var colors = map[Status]string{OK: "32", NotChecked: "2", Warning: "33", Refused: "31", Failed: "31"}

// Check writes a line, and what to do below it.
func (p Printer) Check(c Check) {
	status := fmt.Sprintf("%-11s", strings.ReplaceAll(string(c.Status), "_", " "))
	if p.Color {
		status = "\x1b[" + colors[c.Status] + "m" + status + "\x1b[0m"
	}
	name := fmt.Sprintf("%-10s", c.Name)
	if len(p.Hosts) > 1 {
		width := 0
		for _, h := range p.Hosts {
			width = max(width, len(h))
		}
		name += fmt.Sprintf("  %-*s", width, c.Host)
	}
	lines := strings.Split(c.Text, "\n")
	fmt.Fprintf(p.W, "%s  %s  %s\n", name, status, lines[0])
	for _, line := range lines[1:] {
		fmt.Fprintf(p.W, "            %s\n", line)
	}
	if c.Remedy == "" {
		return
	}
	for line := range strings.SplitSeq(c.Remedy, "\n") {
		fmt.Fprintf(p.W, "            -> %s\n", line)
	}
}

// Privileges writes what the token may do with each tool, and the commands that grant
// what is missing.
func (p Printer) Privileges(r Report) error {
	if len(r.Tools) == 0 {
		return nil
	}
	w := tabwriter.NewWriter(p.W, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nTOOL\tUSE\tWHERE\tLACKS")
	for _, t := range r.Tools {
		use := string(t.Use)
		if t.Off != "" {
			use = "off"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", t.Name, use, some(t.Where), t.lacks())
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if len(r.Grants) > 0 {
		fmt.Fprintf(p.W, "\nTo grant what is missing, as root on a node:\n\n%s\n", strings.Join(r.Grants, "\n"))
	}
	return nil
}

// lacks says in a line what a tool lacks.
func (t Tool) lacks() string {
	if t.Off != "" {
		return t.Off
	}
	var parts []string
	for _, m := range t.Missing {
		text := anyOf(m.Privileges) + " on " + some(m.Paths)
		switch {
		case m.For == "" && m.Without == "":
		case t.Use == Not: // what it needs for all calls comes first
			continue
		case m.Without != "":
			text += " (" + m.Without + ")"
		default:
			text += " (for " + m.For + ")"
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, "; ")
}

// anyOf writes alternatives.
func anyOf(privs []string) string {
	if len(privs) > 2 {
		return privs[0] + fmt.Sprintf(" or one of %d others", len(privs)-1)
	}
	return strings.Join(privs, " or ")
}

// some shows the first few of some paths.
func some(paths []string) string {
	const most = 4
	out := make([]string, 0, most+1)
	for _, p := range paths[:min(most, len(paths))] {
		out = append(out, render.Text(p, 60))
	}
	if more := len(paths) - len(out); more > 0 {
		out = append(out, fmt.Sprintf("%d more", more))
	}
	return strings.Join(out, ", ")
}
