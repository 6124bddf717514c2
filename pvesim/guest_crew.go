package pvesim

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/pve/apischema"
	"github.com/pve-mcp/pve-mcp/pvesim/internal/propstring"
)

// crew is a task that starts one for each of many guests, some at a time: those with the same
// place in the order together, and the next when these have ended.
type crew struct {
	*call
	groups  [][]*guest
	workers int
	warns   bool // what fails is a warning
	// begin says what is done to a guest.
	begin func(*guest) step
	// failed are the lines about a task that failed; nil for none.
	failed func(step, *guest, string) []string
	// exit is how the whole ends, by the guests that failed.
	exit func(failed []string, started int) (string, []string)

	left     []*guest // of the present group
	running  []work
	until    time.Time // no other guest is begun before
	lost     []string
	started  int
	warnings int
}

// step is what is done to one of the guests.
type step struct {
	lines  []string                         // of the log
	do     func(*call, *guest) (any, error) // nil to leave it alone
	params apischema.Values
	pause  time.Duration // until another is begun
}

// work is a task under way.
type work struct {
	step
	guest *guest
	task  *task
}

// next goes on: it takes notice of what has ended, and begins what can be.
func (w *crew) next(now time.Time) outcome {
	o := outcome{then: w.next}
	w.running = slices.DeleteFunc(w.running, func(job work) bool {
		if job.task.over && job.task.outcome.exit != "OK" && !strings.HasPrefix(job.task.outcome.exit, "WARNINGS: ") {
			w.lose(&o, job.step, job.guest, job.task.outcome.exit)
		}
		return job.task.over
	})
	switch {
	case now.Before(w.until):
		o.took = min(w.until.Sub(now), time.Second)
	case len(w.left) > 0 && len(w.running) < w.workers:
		w.beginOne(&o, now)
	case len(w.running) > 0:
		o.took = time.Second
	case len(w.groups) > 0:
		w.left, w.groups = w.groups[0], w.groups[1:]
	default:
		exit, lines := w.exit(w.lost, w.started)
		for _, line := range lines {
			o.log = append(o.log, entry{text: line})
		}
		if o.exit = exit; exit == "OK" && w.warnings > 0 {
			o.exit = fmt.Sprintf("WARNINGS: %d", w.warnings)
		}
		o.then = nil
	}
	return o
}

// say writes lines, and counts the warnings among them.
func (w *crew) say(o *outcome, lines ...string) {
	for _, line := range lines {
		w.warnings += bit(strings.HasPrefix(line, "WARN: "))
		o.log = append(o.log, entry{text: line})
	}
}

func (w *crew) lose(o *outcome, s step, g *guest, why string) {
	w.lost = append(w.lost, strconv.Itoa(g.VMID))
	if w.failed != nil {
		w.say(o, w.failed(s, g, why)...)
	}
}

// beginOne begins with the next guest of the group.
func (w *crew) beginOne(o *outcome, now time.Time) {
	g := w.left[0]
	w.left = w.left[1:]
	if w.guests[g.VMID] != g {
		return
	}
	s := w.begin(g)
	w.say(o, s.lines...)
	if s.do == nil {
		return
	}
	sub := *w.call
	sub.ep = w.api().Endpoint("POST", "/nodes/{node}/"+g.Kind+"/{vmid}/migrate") // which tells the kind
	sub.node = w.nodeNamed(g.Node)
	sub.now, sub.arrived, sub.forked, sub.fault, sub.params = now, now, nil, Fault{}, s.params
	o.took, w.until = quickTakes, now.Add(s.pause)
	answer, err := s.do(&sub, g)
	if err != nil {
		w.refused(o, g, err)
		return
	}
	if t := w.byUPID[fmt.Sprint(answer)]; t != nil {
		w.started++
		w.running = append(w.running, work{s, g, t})
	}
}

// refused takes notice of a guest for which no task was started.
func (w *crew) refused(o *outcome, g *guest, err error) {
	refused := refusalOf(err)
	w.lost = append(w.lost, strconv.Itoa(g.VMID))
	if w.warns {
		w.say(o, fmt.Sprintf("WARN: %d %s", refused.status, strings.TrimSpace(refused.message)))
		return
	}
	w.say(o, strings.TrimSpace(refused.message))
}

// inOrder puts guests into groups by their place when a node starts, those of which nothing is
// said last.
func inOrder(guests []*guest) [][]*guest {
	var out [][]*guest
	guests = slices.Clone(guests)
	slices.SortStableFunc(guests, func(a, b *guest) int { return cmp.Compare(a.startOrder(), b.startOrder()) })
	for i, g := range guests {
		if i == 0 || g.startOrder() != guests[i-1].startOrder() {
			out = append(out, nil)
		}
		out[len(out)-1] = append(out[len(out)-1], g)
	}
	return out
}

// lastOrderFirst puts guests into groups, those that start last first.
func lastOrderFirst(guests []*guest) [][]*guest {
	groups := inOrder(guests)
	slices.Reverse(groups)
	return groups
}

// backwards are groups from the last guest to the first.
func backwards(groups [][]*guest) [][]*guest {
	groups = slices.Clone(groups)
	slices.Reverse(groups)
	for _, group := range groups {
		slices.Reverse(group)
	}
	return groups
}

// startupSeconds is a number of seconds that a guest's startup says, or another.
func (g *guest) startupSeconds(name string, otherwise int) int {
	n, err := strconv.Atoi(propstring.Get(g.Config["startup"], name))
	if err != nil {
		return otherwise
	}
	return n
}

// maxWorkers is how many guests a call is about at a time: what it or the cluster's options
// say, or something else.
func (c *call) maxWorkers(otherwise int) int {
	for _, text := range []string{c.str("max-workers"), c.str("maxworkers"), c.clusterOptions().Options["max_workers"]} {
		if n, err := strconv.Atoi(text); err == nil && n > 0 {
			return n
		}
	}
	return otherwise
}
