package proxmox

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// TaskUpdate is what [Client.Wait] has seen of a running task.
type TaskUpdate struct {
	Status TaskStatus
	// Lines are the lines that its log has gained since the last update, or the last of
	// them if there are very many. The first update has at most one line from before.
	Lines []LogLine
	// Progress is how far the task is by its whole log, if the client measures tasks.
	Progress Progress
}

const (
	// The pauses between two looks at a task grow from the first to the last.
	firstPause = 250 * time.Millisecond
	lastPause  = 3 * time.Second
	// looksForNewTask is how many looks may not find a task that PVE has just announced.
	looksForNewTask = 4
	// looksAtLog is after how many looks at the log one is at the status.
	looksAtLog = 10
	// doubtful is after how many looks at a log that stands still it is doubted.
	doubtful = 2
	// logPage is how many lines of a log are read at once, and linesKept how many are
	// kept for one who is slow to hear of them.
	logPage   = 5000
	linesKept = 500
)

// waits are the tasks that are waited for, each with one poller for all who wait.
type waits struct {
	mu    sync.Mutex
	polls map[string]*poll // guarded by mu; by UPID
	count func(change int) // is called with each change of their number
}

// waiter is one caller that waits for a task.
type waiter struct {
	wantsLog bool
	news     chan struct{} // holds one

	// What was not passed on to it yet, guarded by waits.mu.
	update TaskUpdate
	failed error // of the last look
	over   bool
	err    error
}

// UnseenError says that the time was over before a task had ended, and that the last look
// at it had failed.
type UnseenError struct{ Over, Look error }

func (e *UnseenError) Error() string {
	return fmt.Sprintf("%v; the last look failed: %v", e.Over, e.Look)
}
func (e *UnseenError) Unwrap() []error { return []error{e.Over, e.Look} }

// poll is the poller of a task. Its own goroutine alone uses what is not guarded.
type poll struct {
	client *Client
	upid   UPID
	stop   context.CancelFunc

	waiters []*waiter  // guarded by waits.mu
	seen    TaskUpdate // guarded by waits.mu
	failed  error      // of the last look, guarded by waits.mu

	status  TaskStatus
	measure Measure // nil if nobody knows how
	now     Progress
	fresh   []LogLine // not passed on to any waiter yet
	next    int       // line to be read
	reads   int       // of the log, since the last look at the status
	still   int       // looks at a log that has gained nothing, one after the other
}

// Wait follows a task until it has ended, and returns its last state. If ctx
// ends first, the error is ctx's, or an [UnseenError] of it, and the state is the last one
// seen, if any. If each is not nil, it is called after looks at the running task, and never
// after Wait has returned. A look that fails for a passing reason, such as a node that does
// not answer, is repeated.
//
// All callers that wait for a task share the looks at it. Each look is one request. It is
// for the task's status or, if a caller has passed each, mostly for its log: the end of the
// log says when to ask for the status.
func (c *Client) Wait(ctx context.Context, upid UPID, each func(TaskUpdate)) (TaskStatus, error) {
	if err := ctx.Err(); err != nil {
		return TaskStatus{}, err
	}
	w := c.join(ctx, upid, each != nil)
	defer c.leave(upid, w)
	for {
		select {
		case <-ctx.Done():
			update, failed := c.waits.last(w)
			if failed != nil {
				return update.Status, &UnseenError{ctx.Err(), failed}
			}
			return update.Status, ctx.Err()
		case <-w.news:
		}
		update, over, err := c.waits.take(w)
		if over {
			return update.Status, err
		}
		if each != nil {
			each(update)
		}
	}
}

// join adds one who waits for a task, whose poller begins with the first.
func (c *Client) join(ctx context.Context, upid UPID, wantsLog bool) *waiter {
	c.waits.mu.Lock()
	defer c.waits.mu.Unlock()
	p := c.waits.polls[upid.String()]
	if p == nil {
		polling, stop := context.WithCancel(context.WithoutCancel(ctx))
		p = &poll{client: c, upid: upid, stop: stop}
		if c.measure != nil {
			p.measure = c.measure()
		}
		c.waits.polls[upid.String()] = p
		c.waits.count(1)
		go p.run(polling)
	}
	w := &waiter{wantsLog: wantsLog, news: make(chan struct{}, 1), update: p.seen, failed: p.failed}
	p.waiters = append(p.waiters, w)
	return w
}

// leave ends the poller with the last one who waits.
func (c *Client) leave(upid UPID, w *waiter) {
	c.waits.mu.Lock()
	defer c.waits.mu.Unlock()
	p := c.waits.polls[upid.String()]
	if p == nil || !slices.Contains(p.waiters, w) {
		return // the task is over
	}
	p.waiters = slices.DeleteFunc(p.waiters, func(other *waiter) bool { return other == w })
	if len(p.waiters) == 0 {
		delete(c.waits.polls, upid.String())
		c.waits.count(-1)
		p.stop()
	}
}

// take returns what a waiter has not heard of yet.
func (s *waits) take(w *waiter) (update TaskUpdate, over bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	update = w.update
	w.update.Lines = nil
	return update, w.over, w.err
}

// last returns what a waiter knows who waits no longer, and why the last look failed.
func (s *waits) last(w *waiter) (update TaskUpdate, failed error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return w.update, w.failed
}

// run looks at the task until it has ended, or cannot be looked at, or nobody waits.
func (p *poll) run(ctx context.Context) {
	defer p.stop()
	pause := firstPause
	for look := 1; ; look++ {
		err := p.look(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && !passing(err, look <= looksForNewTask):
			p.tell(true, err)
			return
		case err == nil && !p.status.Running():
			p.client.changed()
			p.tell(true, nil)
			return
		case err == nil:
			p.tell(false, nil)
		default:
			p.miss(err)
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		pause = min(pause*3/2, lastPause)
	}
}

// look sends one request, and another one if the log says that the task has ended. A
// worker that was killed leaves no such line, so a log that stands still is doubted.
func (p *poll) look(ctx context.Context) error {
	if p.status.Running() && p.still < doubtful && p.reads < looksAtLog && p.wantsLog() {
		p.reads++
		ended, err := p.readLog(ctx)
		if err != nil || !ended {
			return err
		}
	}
	status, err := p.client.TaskStatus(ctx, p.upid)
	if err == nil {
		p.status, p.reads, p.still = status, 0, 0
	}
	return err
}

func (p *poll) wantsLog() bool {
	p.client.waits.mu.Lock()
	defer p.client.waits.mu.Unlock()
	return slices.ContainsFunc(p.waiters, func(w *waiter) bool { return w.wantsLog })
}

// readLog reads the lines that the log has gained, and whether the last one ends it. A
// log that cannot be read leaves the answer to the status.
func (p *poll) readLog(ctx context.Context) (ended bool, err error) {
	lines, total, err := p.client.TaskLog(ctx, p.upid, p.next, logPage)
	switch {
	case err != nil && passing(err, false):
		return false, err
	case err != nil:
		p.still = doubtful
		return false, nil
	case len(lines) == 0 || noContent(lines):
		p.still++
		return false, nil
	}
	p.still = 0
	p.next += len(lines)
	p.next = max(p.next, total-logPage) // of a very long log the middle is passed over
	p.fresh = append(p.fresh, lines...)
	if p.measure != nil {
		p.now = p.measure(lines)
	}
	_, ended = lines[len(lines)-1].End()
	return ended, nil
}

// tell tells all who wait what was seen.
func (p *poll) tell(over bool, err error) {
	s := p.client.waits
	s.mu.Lock()
	defer s.mu.Unlock()
	p.seen.Status, p.seen.Progress = p.status, p.now
	if n := len(p.fresh); n > 0 {
		p.seen.Lines = p.fresh[n-1:]
	}
	for _, w := range p.waiters {
		lines := append(slices.Clip(w.update.Lines), p.fresh...)
		w.update = TaskUpdate{Status: p.status, Progress: p.now, Lines: lines[max(0, len(lines)-linesKept):]}
		w.failed, w.over, w.err = nil, over, err
		select {
		case w.news <- struct{}{}:
		default:
		}
	}
	p.fresh, p.failed = nil, nil
	if over && s.polls[p.upid.String()] == p { // the last one who waited may have left just now
		delete(s.polls, p.upid.String())
		s.count(-1)
	}
}

// miss remembers why a look has failed, which is not over.
func (p *poll) miss(err error) {
	s := p.client.waits
	s.mu.Lock()
	defer s.mu.Unlock()
	p.failed = err
	for _, w := range p.waiters {
		w.failed = err
	}
}

// passing reports whether a look at a task that failed may succeed when it is
// repeated. A new task may not be known yet.
func passing(err error, isNew bool) bool {
	var refused *Error
	if errors.As(err, &refused) {
		return refused.NodeUnreachable() || isNew && refused.NoSuchTask()
	}
	return unanswered(err) && !distrusted(err)
}
