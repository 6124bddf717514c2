package pvesim

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/pvesim/internal/propstring"
)

// verb is what a power endpoint does: a row of the table of a guest's states.
type verb struct {
	task      string // type of the task
	ha        string // type of the task that asks the HA manager instead; "" = never
	needsRun  bool   // refused at once if the guest does not run
	needsStop bool   // refused at once if it does
	work      func(c *call, g *guest, now time.Time) outcome
}

var qemuVerbs = map[string]verb{
	"start":    {task: "qmstart", ha: "hastart", work: startVM},
	"stop":     {task: "qmstop", ha: "hastop", work: stopVM},
	"shutdown": {task: "qmshutdown", ha: "hastop", work: shutdownVM},
	"reboot":   {task: "qmreboot", needsRun: true, work: rebootGuest},
	"reset":    {task: "qmreset", needsRun: true, work: changeAtOnce(func(*runState) {})},
	"suspend":  {task: "qmpause", needsRun: true, work: suspendVM},
	"resume":   {task: "qmresume", work: resumeVM},
}

var lxcVerbs = map[string]verb{
	"start":    {task: "vzstart", ha: "hastart", needsStop: true, work: startCT},
	"stop":     {task: "vzstop", ha: "hastop", needsRun: true, work: stopCT},
	"shutdown": {task: "vzshutdown", ha: "hastop", needsRun: true, work: shutdownCT},
	"reboot":   {task: "vzreboot", needsRun: true, work: rebootGuest},
	"suspend":  {task: "vzsuspend", needsRun: true, work: suspendCT},
	"resume":   {task: "vzresume", needsStop: true, work: resumeCT},
}

// How long what PVE itself does takes, from recordings.
const (
	startTakes   = 1600 * time.Millisecond
	startCTTakes = 3200 * time.Millisecond
	startCTRuns  = 50 * time.Millisecond // until it has its first process
	stopTakes    = 1100 * time.Millisecond
	failTakes    = 800 * time.Millisecond
	quickTakes   = 100 * time.Millisecond
	haTakes      = 1400 * time.Millisecond
	haActs       = 10 * time.Second // later, the HA manager acts
)

func power(name string, verbs map[string]verb) handler {
	v := verbs[name]
	act := onGuest(func(c *call, g *guest) (any, error) {
		if err := c.onlyRoot("skiplock", "stateuri", "migratedfrom", "migration_type", "migration_network", "keepActive", "nocheck", "force-cpu"); err != nil {
			return nil, err
		}
		switch {
		case v.needsRun && !g.now.running, v.task == "qmresume" && !g.now.running && g.Config["lock"] != "suspended":
			return nil, v.notRunning(g.VMID)
		case v.needsStop && g.now.running:
			return nil, die("%s %d already running", g.noun(), g.VMID)
		}
		if paused := g.now.qmp == "paused" && !c.flag("forceStop"); paused && (name == "shutdown" || name == "reboot") {
			return nil, die("VM is paused - cannot shutdown")
		}
		if c.flag("todisk") {
			if err := g.suspendRefusal(); err != nil {
				return nil, err
			}
		}
		if v.ha != "" && g.managed() {
			if c.flag("overrule-shutdown") {
				return nil, badParam("overrule-shutdown", "Not applicable for HA resources.")
			}
			return c.askHA(v, g), nil
		}
		typ := v.task
		if c.flag("todisk") {
			typ = "qmsuspend"
		}
		if c.flag("overrule-shutdown") {
			c.overruleShutdown(g)
		}
		id := fmt.Sprint(g.VMID)
		return c.fork(c.now, c.node, c.caller.User, typ, id, g.VMID, func(now time.Time) outcome {
			return v.work(c, g, now)
		}), nil
	})
	return func(c *call) (any, error) {
		// For a container PVE looks for its processes before its configuration.
		if id := c.number("vmid", 0); v.needsRun && strings.HasPrefix(v.task, "vz") && !c.runsHere(id) {
			return nil, v.notRunning(id)
		}
		if _, err := c.theGuest(); err != nil {
			return c.powerNothing(v, err)
		}
		return act(c)
	}
}

// runsHere reports whether a guest runs on the node that executes the call.
func (c *call) runsHere(id int) bool {
	g := c.guests[id]
	return g != nil && g.Node == c.node.Name && g.now.running
}

// start starts a guest in a task of its own.
func (c *call) start(g *guest, now time.Time) {
	v := qemuVerbs["start"]
	if g.Kind == "lxc" {
		v = lxcVerbs["start"]
	}
	c.fork(now, c.node, c.caller.User, v.task, fmt.Sprint(g.VMID), g.VMID, func(now time.Time) outcome { return v.work(c, g, now) })
}

// overruleShutdown ends the shutdown tasks that hold the guest's lock.
func (c *call) overruleShutdown(g *guest) {
	for _, t := range c.active {
		if t.locks == g.VMID && strings.HasSuffix(t.typ, "shutdown") {
			c.stop(t, c.now)
		}
	}
}

// locked refuses if the guest has a lock that is not among the allowed ones.
func locked(g *guest, allowed ...string) (outcome, bool) {
	lock := g.Config["lock"]
	if lock == "" || slices.Contains(allowed, lock) {
		return outcome{}, false
	}
	return failed(0, "%s is locked (%s)", g.noun(), lock), true
}

func startVM(c *call, g *guest, _ time.Time) outcome {
	if g.template() {
		return failed(0, "you can't start a vm if it's a template")
	}
	if o, no := locked(g, "suspended"); no {
		return o
	}
	if g.now.running {
		return failed(0, "VM %d already running", g.VMID)
	}
	return c.startWork(g, startTakes)
}

func startCT(c *call, g *guest, _ time.Time) outcome {
	if g.template() {
		return failed(0, "you can't start a CT if it's a template")
	}
	if o, no := locked(g, "mounted"); no {
		return o
	}
	o := c.startWork(g, startCTRuns)
	if o.apply == nil {
		return o
	}
	exit, log := o.exit, o.log
	o.then = func(time.Time) outcome { return outcome{took: startCTTakes - startCTRuns, exit: exit} }
	o.log = log
	return o
}

func (c *call) startWork(g *guest, takes time.Duration) outcome {
	if n := len(g.StartFails); n > 0 {
		o := failed(failTakes, "%s", g.StartFails[n-1])
		for _, line := range g.StartFails[:n-1] {
			o.log = append(o.log, entry{failTakes / 2, line})
		}
		return o
	}
	if why := c.brokenStorage(g); why != "" {
		return failed(failTakes, "%s", why)
	}
	if id := c.missingVolume(g); id != "" {
		return failed(failTakes, "volume '%s' does not exist", id)
	}
	if o, no := c.missingBridge(g); no {
		return o
	}
	warm := g.Config["lock"] == "suspended"
	o := done(takes, func(end time.Time) {
		if !warm {
			g.makeCloudInitImage()
		}
		if warm {
			c.freeVolume(g.Config["vmstate"], g.Node)
			delete(g.Config, "lock")
			delete(g.Config, "vmstate")
			delete(g.Config, "runningmachine")
		}
		c.applyPendingIfStopped(g)
		c.setRunState(g, runState{running: true, warm: warm, since: end})
	})
	if !warm && g.hasCloudInit() {
		o.log = append(o.log, entry{takes / 4, "generating cloud-init ISO"})
	}
	for _, line := range g.StartWarns {
		o.log = append(o.log, entry{takes / 2, "WARN: " + line})
		o.exit = fmt.Sprintf("WARNINGS: %d", len(g.StartWarns))
	}
	return o
}

func (c *call) turnOff(g *guest) func(time.Time) {
	return func(time.Time) {
		c.setRunState(g, runState{})
		c.applyPendingIfStopped(g)
	}
}

// applyPendingIfStopped makes all pending changes true, as PVE does when a guest starts or
// has stopped. One that fails stays pending.
func (s *state) applyPendingIfStopped(g *guest) {
	if !g.now.running {
		_ = s.applyPending(g)
	}
}

// missingVolume returns the volume that keeps a guest from starting.
func (s *state) missingVolume(g *guest) string {
	for _, key := range sortedKeys(g.Config) {
		id := propstring.Volume(g.Config[key])
		storage, _, ok := strings.Cut(id, ":")
		if !ok || !propstring.IsDriveKey(g.Kind, key) || withoutIndex(key) == "unused" || s.storageNamed(storage) == nil {
			continue
		}
		if s.volumeOf(id, g.Node) == nil {
			return id
		}
	}
	return ""
}

func stopVM(c *call, g *guest, _ time.Time) outcome {
	if !g.now.running {
		return done(0, nil)
	}
	if o, no := locked(g); no {
		return o
	}
	return done(stopTakes, c.turnOff(g))
}

func stopCT(c *call, g *guest, _ time.Time) outcome {
	if o, no := locked(g, "mounted"); no {
		return o
	}
	return done(stopTakes, c.turnOff(g))
}

// shutdownTime is how long the guest takes, and whether that is in time.
func (c *call) shutdownTime(g *guest) (time.Duration, bool) {
	timeout := time.Duration(c.number("timeout", 60)) * time.Second
	takes := g.ShutdownTakes
	if takes == 0 {
		takes = 2 * time.Second
	}
	if g.IgnoresShutdown || !c.hasBootDisk(g) || takes > timeout {
		return timeout, false
	}
	return takes, true
}

func shutdownVM(c *call, g *guest, _ time.Time) outcome {
	switch {
	case !g.now.running:
		return done(0, nil)
	case g.now.qmp == "paused":
		return done(stopTakes, c.turnOff(g))
	}
	if o, no := locked(g); no {
		return o
	}
	return c.shutdown(g, "VM quit/powerdown failed - got timeout", "VM quit/powerdown failed - terminating now with SIGTERM")
}

// shutdown waits for the guest, and ends in a failure, or by force if that is
// asked for, when the time is up.
func (c *call) shutdown(g *guest, failure, forced string) outcome {
	takes, ok := c.shutdownTime(g)
	switch {
	case ok:
		return done(takes, c.turnOff(g))
	case !c.flag("forceStop"):
		return failed(takes, "%s", failure)
	}
	o := done(takes+stopTakes, c.turnOff(g))
	if forced != "" {
		o.log = []entry{{takes, forced}}
	}
	return o
}

func shutdownCT(c *call, g *guest, _ time.Time) outcome {
	if o, no := locked(g, "mounted"); no {
		return o
	}
	return c.shutdown(g, fmt.Sprintf("command 'lxc-stop -n %d --nokill --timeout %d' failed: exit code 1", g.VMID, c.number("timeout", 60)), "")
}

// rebootGuest is a shutdown and a start. A VM is started by another process after
// the task has ended, so that it reads stopped for a moment.
func rebootGuest(c *call, g *guest, _ time.Time) outcome {
	if o, no := locked(g, "mounted"); no {
		return o
	}
	takes, ok := c.shutdownTime(g)
	if !ok {
		return failed(takes, "VM quit/powerdown failed - got timeout")
	}
	on := func(now time.Time) {
		c.setRunState(g, runState{}) // pending changes apply to a guest that is off
		if len(g.StartFails) == 0 && c.brokenStorage(g) == "" {
			c.applyPendingIfStopped(g)
			c.setRunState(g, runState{running: true, since: now})
		}
	}
	if g.Kind == "lxc" {
		return done(takes+startCTTakes, on)
	}
	return done(takes, func(end time.Time) {
		c.setRunState(g, runState{})
		c.schedule(end.Add(time.Second), on)
	})
}

// changeAtOnce changes a state at once, in spite of the locks that are named.
func changeAtOnce(change func(*runState), locks ...string) func(*call, *guest, time.Time) outcome {
	return func(c *call, g *guest, _ time.Time) outcome {
		if o, no := locked(g, locks...); no {
			return o
		}
		return done(quickTakes, func(time.Time) {
			st := g.now
			change(&st)
			c.setRunState(g, st)
		})
	}
}

func suspendVM(c *call, g *guest, now time.Time) outcome {
	if !c.flag("todisk") {
		return changeAtOnce(func(st *runState) { st.qmp = "paused" }, "backup")(c, g, now)
	}
	if o, no := locked(g); no {
		return o
	}
	storage := c.str("statestorage")
	if storage == "" {
		storage = c.stateStorage(g)
	}
	if _, err := c.usable(storage, g.Node); err != nil {
		return failedBy(err)
	}
	j := &journal{began: now}
	v := c.saveRAM(j, g, fmt.Sprintf("state-suspend-%s", now.UTC().Format("2006-01-02")), storage)
	g.Config["lock"] = "suspending"
	j.pass(quickTakes)
	o := j.done(func(time.Time) {
		g.Config["lock"], g.Config["vmstate"], g.Config["runningmachine"] = "suspended", v.ID, c.runningMachine()
		c.setRunState(g, runState{})
	})
	o.brief = true
	o.undo = func() {
		delete(g.Config, "lock")
		c.removeVolume(v)
	}
	return o
}

func resumeVM(c *call, g *guest, now time.Time) outcome {
	if g.Config["lock"] == "suspended" {
		return startVM(c, g, now)
	}
	return changeAtOnce(func(st *runState) { st.qmp = "" }, "backup")(c, g, now)
}
