package pvesim

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// taskPart is what the simulation knows of tasks, and of what happens by itself.
type taskPart struct {
	active  []*task          // that have not ended
	ended   []*task          // oldest end first
	byUPID  map[string]*task // all of them
	lastPID int
	timers  []timer
	happens time.Time // when what happens does: the clock's time, or that of an earlier event
}

// addTasks makes the ended tasks of the model.
func (s *state) addTasks(m Model, now time.Time) error {
	s.byUPID, s.happens = map[string]*task{}, now
	s.lastPID = 1000 + int(hash(m.Seed, "pid")%1000)
	for _, t := range m.Tasks {
		if err := s.addPastTask(t, now); err != nil {
			return err
		}
	}
	slices.SortStableFunc(s.ended, func(a, b *task) int { return a.end.Compare(b.end) })
	return nil
}

// task is data, not a goroutine: its state and log are functions of the time.
type task struct {
	upid          string
	node, typ, id string
	user          string // user id or token id
	pid           int
	pstart        int64 // 1/100 s since the node booted
	start         time.Time
	locks         int // the guest whose configuration lock it holds, or 0
	work          func(now time.Time) outcome
	begun         bool // has the lock, so outcome is known
	began         time.Time
	waited        bool // for the lock
	outcome       outcome
	over          bool
	end           time.Time
	inert         bool                // the model has it: it changes nothing
	after         func(end time.Time) // what its end sets off; may be nil
}

// outcome is what a task does once it has its lock.
type outcome struct {
	took  time.Duration
	log   []entry
	exit  string              // OK, WARNINGS: n, or what went wrong
	apply func(end time.Time) // makes it true; may be nil
	undo  func()              // cleans up if the task is stopped before; may be nil
	// brief says that the lock on the configuration was needed for the beginning only:
	// the guest's own lock takes its place.
	brief bool
	// interrupted is how it ends when it is stopped; "" means the usual way.
	interrupted string
	// last are lines that it says then; may be nil.
	last func(now time.Time) []string
	// then goes on if this was not all: what follows is known when it begins. May
	// be nil.
	then func(now time.Time) outcome
	// needs is the other node that it works with, without which it breaks off; may be nil.
	needs *node
}

// entry is a line of a log and when it is written, counted from the task's begin.
type entry struct {
	after time.Duration
	text  string
}

func done(took time.Duration, apply func(time.Time)) outcome {
	return outcome{took: took, exit: "OK", apply: apply}
}

func failed(took time.Duration, format string, args ...any) outcome {
	return outcome{took: took, exit: fmt.Sprintf(format, args...)}
}

// timer is something that happens by itself at a time.
type timer struct {
	at   time.Time
	do   func(now time.Time)
	rule bool // a [Fault] or a backup job does it, which the model has
}

// lockWait is how long PVE waits for the lock on a guest's configuration.
const lockWait = 10 * time.Second

// fork starts a task and returns its UPID. With a guest in locks it waits for the
// lock on that guest's configuration first.
func (s *state) fork(now time.Time, n *node, user, typ, id string, locks int, work func(time.Time) outcome) string {
	s.lastPID += 1 + int(hash(s.model.Seed, s.lastPID)%20)
	t := &task{
		node: n.Name, typ: typ, id: id, user: user, pid: s.lastPID,
		pstart: int64(now.Sub(n.booted) / (10 * time.Millisecond)),
		start:  now, locks: locks, work: work,
	}
	t.name()
	s.active, s.byUPID[t.upid] = append(s.active, t), t
	s.step(now)
	return t.upid
}

// name gives the task its UPID.
func (t *task) name() {
	t.upid = fmt.Sprintf("UPID:%s:%08X:%08X:%08X:%s:%s:%s:", t.node, t.pid, t.pstart, t.start.Unix(), t.typ, t.id, t.user)
}

// schedule makes something happen by itself.
func (s *state) schedule(at time.Time, do func(time.Time)) {
	s.timers = append(s.timers, timer{at: at, do: do})
}

// advance lets everything happen that is due until now, in its order.
func (s *state) advance(now time.Time) {
	for {
		next, ok := s.nextEvent()
		if !ok || next.After(now) {
			break
		}
		s.broadcast(next)
		s.happens = next
		s.step(next)
	}
	s.broadcast(now)
	s.happens = now
}

func (s *state) nextEvent() (next time.Time, ok bool) {
	consider := func(at time.Time) {
		if !ok || at.Before(next) {
			next, ok = at, true
		}
	}
	for _, t := range s.active {
		consider(s.due(t))
	}
	for _, t := range s.timers {
		consider(t.at)
	}
	return next, ok
}

// due is when a task's state changes next: it gets its lock, gives up waiting for
// it, or ends.
func (s *state) due(t *task) time.Time {
	if t.begun {
		return t.end
	}
	giveUp := t.start.Add(lockWait)
	if holder := s.lockHolder(t.locks); holder != nil && holder.end.Before(giveUp) {
		return holder.end
	} else if holder == nil {
		return t.start
	}
	return giveUp
}

func (s *state) lockHolder(vmid int) *task {
	if vmid == 0 {
		return nil
	}
	for _, t := range s.active {
		if t.begun && t.locks == vmid && !t.outcome.brief {
			return t
		}
	}
	return nil
}

// step does what is due at this moment. Ends come before begins, so that a lock
// that is given up can be had.
func (s *state) step(now time.Time) {
	timers := s.timers
	s.timers = nil
	for _, t := range timers {
		if t.at.After(now) {
			s.timers = append(s.timers, t)
			continue
		}
		t.do(now)
	}
	for _, t := range s.active {
		if t.begun && !t.end.After(now) {
			s.finish(t, t.end)
		}
	}
	s.dropEnded()
	for _, t := range s.active {
		if !t.begun {
			s.tryBegin(t, now)
		}
	}
}

func (s *state) tryBegin(t *task, now time.Time) {
	if s.lockHolder(t.locks) != nil {
		if now.Sub(t.start) < lockWait {
			t.waited = true
			return
		}
		g := s.guests[t.locks]
		t.locks = 0
		t.work = func(time.Time) outcome { return failed(0, "can't lock file '%s' - got timeout", g.lockFile()) }
	}
	t.begun, t.began = true, now
	t.outcome = t.work(now)
	t.end = now.Add(t.outcome.took)
	if t.outcome.took == 0 {
		s.finish(t, now)
	}
}

func (s *state) finish(t *task, end time.Time) {
	if t.over {
		return
	}
	if t.outcome.then != nil {
		s.beginNextPart(t, end)
		return
	}
	t.over, t.end = true, end
	if t.outcome.apply != nil {
		t.outcome.apply(end)
	}
	s.ended = append(s.ended, t)
	if t.after != nil {
		t.after(end)
	}
}

// beginNextPart begins the next part of a task.
func (s *state) beginNextPart(t *task, now time.Time) {
	part := t.outcome
	t.outcome = outcome{log: part.log}
	t.end = now.Add(365 * 24 * time.Hour) // whatever is started meanwhile does not end it
	if part.apply != nil {
		part.apply(now)
	}
	next, passed := part.then(now), now.Sub(t.began)
	for _, e := range next.log {
		part.log = append(part.log, entry{passed + e.after, e.text})
	}
	took := next.took
	next.log, next.took = part.log, passed+took
	t.outcome, t.end = next, now.Add(took)
	if took == 0 {
		s.finish(t, now)
	}
}

// stop ends a task before its time, as a signal does.
func (s *state) stop(t *task, now time.Time) {
	if t.over {
		return
	}
	if t.began.IsZero() {
		t.began = now
	}
	t.begun = true
	t.outcome.exit, t.outcome.apply, t.outcome.then = cmp.Or(t.outcome.interrupted, "received interrupt"), nil, nil
	if t.outcome.undo != nil {
		t.outcome.undo()
	}
	passed := now.Sub(t.began)
	t.outcome.log = slices.DeleteFunc(slices.Clone(t.outcome.log), func(e entry) bool { return e.after > passed })
	if t.outcome.last != nil {
		for _, line := range t.outcome.last(now) {
			t.outcome.log = append(t.outcome.log, entry{passed, line})
		}
	}
	s.finish(t, now)
	s.dropEnded()
}

func (s *state) dropEnded() {
	var rest []*task
	for _, t := range s.active {
		if !t.over {
			rest = append(rest, t)
		}
	}
	s.active = rest
}

// logAt returns the log as it stands at a time.
func (t *task) logAt(now time.Time) []string {
	var lines []string
	if t.waited {
		line := "trying to acquire lock..."
		if t.begun && t.locks != 0 {
			line = " OK"
			lines = append(lines, "trying to acquire lock...")
		}
		lines = append(lines, line)
	}
	for _, e := range t.outcome.log {
		if t.begun && !t.began.Add(e.after).After(now) {
			lines = append(lines, e.text)
		}
	}
	if !t.over || t.outcome.exit == brokenOff {
		return lines
	}
	switch {
	case t.outcome.exit == "OK":
		return append(lines, "TASK OK")
	case strings.HasPrefix(t.outcome.exit, "WARNINGS:"):
		return append(lines, "TASK "+t.outcome.exit)
	}
	return append(lines, "TASK ERROR: "+t.outcome.exit)
}

func (s *state) addPastTask(p PastTask, now time.Time) error {
	start := now.Add(-p.Ago)
	t := &task{
		upid: p.UPID, node: p.Node, typ: p.Type, id: p.ID, user: p.User,
		start: start, begun: true, began: start, over: p.Took <= p.Ago, end: start.Add(p.Took),
		outcome: outcome{took: p.Took, exit: cmp.Or(p.Exit, "OK")}, inert: true,
	}
	if t.upid != "" && !t.parse() {
		return fmt.Errorf("task %q: that is no UPID", p.UPID)
	}
	n := s.nodeNamed(t.node)
	if n == nil {
		return fmt.Errorf("task %s: there is no node %q", t.typ, t.node)
	}
	for _, line := range p.Log {
		t.outcome.log = append(t.outcome.log, entry{text: line})
	}
	if t.upid == "" {
		s.lastPID += 7
		t.pid, t.pstart = s.lastPID, int64(max(start.Sub(n.booted), 0)/(10*time.Millisecond))
		t.name()
	}
	s.byUPID[t.upid] = t
	if t.over {
		s.ended = append(s.ended, t)
	} else {
		s.active = append(s.active, t)
	}
	return nil
}

// parse takes what a UPID says, and reports whether it is one.
func (t *task) parse() bool {
	m := upidRE.FindStringSubmatch(t.upid)
	if m == nil {
		return false
	}
	pid, err1 := strconv.ParseInt(m[2], 16, 64)
	pstart, err2 := strconv.ParseInt(m[3], 16, 64)
	t.node, t.pid, t.pstart, t.typ, t.id, t.user = m[1], int(pid), pstart, m[5], m[6], m[7]
	return err1 == nil && err2 == nil
}

func (g *guest) lockFile() string {
	if g.Kind == "lxc" {
		return "/run/lock/lxc/pve-config-" + strconv.Itoa(g.VMID) + ".lock"
	}
	return "/var/lock/qemu-server/lock-" + strconv.Itoa(g.VMID) + ".conf"
}
