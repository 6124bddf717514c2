package tool

import (
	"fmt"
	"regexp"
	"strconv"
	"time"

	"pve-mcp/internal/render"
	"pve-mcp/pve"
)

// maxLine is the length to which a line of a log is shown.
const maxLine = 400

// LogText returns up to most of the last lines of a log that say something.
func LogText(lines []pve.LogLine, most int) []string {
	out := []string{}
	for _, l := range lines {
		if text := render.Text(l.Says(), maxLine); text != "" {
			out = append(out, text)
		}
	}
	return out[max(0, len(out)-most):]
}

// percentRE finds the share of its work that a task says to have done. Its own
// formats are many; all end in a percentage.
var percentRE = regexp.MustCompile(`(\d{1,3}(?:\.\d+)?)%`)

// PercentIn returns the last percentage that a log names.
func PercentIn(lines []pve.LogLine) (float64, bool) {
	for i := len(lines) - 1; i >= 0; i-- {
		all := percentRE.FindAllStringSubmatch(lines[i].Text.Value, -1)
		if len(all) == 0 {
			continue
		}
		if p, err := strconv.ParseFloat(all[len(all)-1][1], 64); err == nil && p <= 100 {
			return p, true
		}
	}
	return 0, false
}

// watcher turns what is seen of a task into progress, which only increases.
type watcher struct {
	report func(Progress)
	about  string
	now    func() time.Time
	begun  time.Time

	looks   float64
	percent float64
	last    string // line of the log
}

func (w *watcher) see(u pve.TaskUpdate) {
	if said := LogText(u.Lines, 1); len(said) > 0 {
		w.last = said[0]
	}
	message := w.about + ": begun"
	if running := w.now().Sub(w.begun).Round(100 * time.Millisecond); running > 0 {
		message = fmt.Sprintf("%s: running for %s", w.about, render.Duration(running))
	}
	if w.last != "" {
		message += ": " + w.last
	}
	if p, ok := PercentIn(u.Lines); ok && p > max(w.percent, w.looks) {
		w.percent = p
		w.report(Progress{Done: p, Total: 100, Message: message})
		return
	}
	if w.percent == 0 { // no percentage yet: count the looks
		w.looks++
		w.report(Progress{Done: w.looks, Message: message})
	}
}
