package pvesim

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"
)

// journalLine is a line of a node's journal.
type journalLine struct {
	at   time.Time
	from string // the program
	pid  int
	text string
}

func (l journalLine) render(node string) string {
	return fmt.Sprintf("%s %s %s[%d]: %s", l.at.UTC().Format("Jan _2 15:04:05"), node, l.from, l.pid, l.text)
}

// journal are the lines about the node's tasks and those that its model has, oldest first.
// The journal of a node in a container is its host's.
func (c *call) journal() []journalLine {
	var lines []journalLine
	for _, l := range c.log(true) {
		if l.t.node == c.node.Name && !c.node.Contained {
			lines = append(lines, journalLine{l.at, "pvedaemon", l.t.pid, "<" + l.t.user + "> " + l.text})
		}
	}
	for _, l := range c.node.Journal {
		from := cmp.Or(l.From, "kernel")
		lines = append(lines, journalLine{c.built.Add(-l.Ago), from, 500 + int(hash(from)%500), l.Text})
	}
	slices.SortStableFunc(lines, func(a, b journalLine) int { return a.at.Compare(b.at) })
	return lines
}

// getJournal answers with lines between the cursors of the first and the last of them.
// PVE's program for that writes compressed JSON of its own, which is in no recording as
// text: the cursors are those that its documentation tells of.
func getJournal(c *call) (any, error) {
	if c.flag("structured") {
		return nil, &refusal{status: 501, message: "structured lines of the journal are not simulated"}
	}
	all := c.journal()
	first, last := 0, len(all)
	for i, l := range all {
		at := l.at.Unix()
		switch {
		case c.str("since") != "" && at < int64(c.number("since", 0)), c.str("startcursor") != "" && c.cursor(all, i) <= c.str("startcursor"):
			first = i + 1
		case last == len(all) && (c.str("until") != "" && at > int64(c.number("until", 0)) || c.str("endcursor") != "" && c.cursor(all, i) >= c.str("endcursor")):
			last = i
		}
	}
	chosen := []int{}
	for i := first; i < last; i++ {
		if matched, _ := path.Match(cmp.Or(c.str("service"), "*"), all[i].from); matched && (!c.flag("kernel") || all[i].from == "kernel") {
			chosen = append(chosen, i)
		}
	}
	if n := c.number("lastentries", 0); n > 0 && n < len(chosen) {
		chosen = chosen[len(chosen)-n:]
	}
	lines := []string{}
	for _, i := range chosen {
		lines = append(lines, all[i].render(c.node.Name))
	}
	if len(chosen) > 0 {
		lines = append(append([]string{c.cursor(all, chosen[0])}, lines...), c.cursor(all, chosen[len(chosen)-1]))
	}
	return compressed{lines}, nil
}

// cursor names a line in the journal. Cursors are in the order of the lines.
func (c *call) cursor(all []journalLine, i int) string {
	return fmt.Sprintf("s=%032x;i=%08x;t=%x", hash(c.model.Seed, c.node.Name, "journal"), i+1, all[i].at.UnixMicro())
}

// getSyslog numbers the lines of the journal.
func getSyslog(c *call) (any, error) {
	all, out := c.journal(), []any{}
	first, limit := c.number("start", 0), c.number("limit", 50)
	for i, l := range all {
		text := l.render(c.node.Name)
		if i >= first && len(out) < limit && strings.Contains(text, c.str("service")) {
			out = append(out, map[string]any{"n": i + 1, "t": text})
		}
	}
	if len(all) == 0 {
		out = append(out, map[string]any{"n": 1, "t": "no content"})
	}
	return page{out, len(all)}, nil
}
