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

// chosen are the guests of the node that the call names, or all that HA does not manage, in
// the order in which they start: templates never do.
func (c *call) chosen() []*guest {
	ids := apischema.SplitList(c.str("vms"))
	var out []*guest
	for _, id := range c.order {
		g := c.guests[id]
		named := slices.Contains(ids, strconv.Itoa(id))
		if g.Node == c.node.Name && !g.template() && (named || len(ids) == 0 && !g.managed()) {
			out = append(out, g)
		}
	}
	slices.SortStableFunc(out, func(a, b *guest) int { return cmp.Compare(a.startOrder(), b.startOrder()) })
	return out
}

// startOrder is a guest's place when a node starts; those of which nothing is said come
// last.
func (g *guest) startOrder() int {
	startup := g.Config["startup"]
	n, err := strconv.Atoi(cmp.Or(propstring.Get(startup, "order"), propstring.Get(startup, "")))
	if err != nil {
		return 1 << 30
	}
	return n
}

// step is what is done to one of the guests.
type step struct {
	line   string // of the log
	do     func(*call, *guest) (any, error)
	params apischema.Values
}

// oneByOne starts a task that starts one for each guest, and awaits it.
func (c *call) oneByOne(typ string, guests []*guest, step func(*guest) step) (any, error) {
	return c.fork(c.now, c.node, c.caller.User, typ, "", 0, func(time.Time) outcome {
		return outcome{took: quickTakes, then: func(now time.Time) outcome { return c.nextOf(guests, step, now) }}
	}), nil
}

func (c *call) nextOf(guests []*guest, step func(*guest) step, now time.Time) outcome {
	if len(guests) == 0 {
		return done(0, nil)
	}
	g, rest := guests[0], guests[1:]
	next := func(now time.Time) outcome { return c.nextOf(rest, step, now) }
	if c.guests[g.VMID] != g {
		return next(now)
	}
	s := step(g)
	if s.do == nil {
		return next(now)
	}
	sub := *c
	sub.ep = c.api().Endpoint("POST", "/nodes/{node}/"+g.Kind+"/{vmid}/migrate") // which tells the kind
	sub.now, sub.arrived, sub.forked, sub.params = now, now, nil, s.params
	upid, err := s.do(&sub, g)
	o := outcome{log: []entry{{text: s.line}}, took: quickTakes, then: next}
	if err != nil {
		o.log = append(o.log, entry{text: strings.TrimSpace(refusalOf(err).message)})
		return o
	}
	t := c.byUPID[fmt.Sprint(upid)]
	o.then = func(now time.Time) outcome { return c.awaitTask(t, s.line, next, now) }
	return o
}

// awaitTask goes on when a task has ended.
func (c *call) awaitTask(t *task, line string, next func(time.Time) outcome, now time.Time) outcome {
	switch {
	case t == nil || t.over && t.outcome.exit == "OK":
		return next(now)
	case t.over:
		o := outcome{took: quickTakes, then: next}
		o.log = []entry{{text: line + " failed: " + t.outcome.exit}}
		return o
	}
	return outcome{took: time.Second, then: func(now time.Time) outcome { return c.awaitTask(t, line, next, now) }}
}

// verbOn does to a guest what a power endpoint does.
func verbOn(g *guest, name string) func(*call, *guest) (any, error) {
	verbs := qemuVerbs
	if g.Kind == "lxc" {
		verbs = lxcVerbs
	}
	do := power(name, verbs)
	return func(c *call, _ *guest) (any, error) { return do(c) }
}

// guestParams are the parameters of a call guestParams a guest.
func guestParams(g *guest, more apischema.Values) apischema.Values {
	params := apischema.Values{"node": g.Node, "vmid": strconv.Itoa(g.VMID)}
	for key, value := range more {
		params[key] = value
	}
	return params
}

// startAll starts guests that do not run, as soon as the node has quorum: those that start
// with it, or with force any.
func startAll(c *call) (any, error) {
	start := func(g *guest) step {
		if g.now.running || !c.flag("force") && g.Config["onboot"] != "1" {
			return step{}
		}
		return step{fmt.Sprintf("Starting %s %d", g.noun(), g.VMID), verbOn(g, "start"), guestParams(g, nil)}
	}
	return c.fork(c.now, c.node, c.caller.User, "startall", "", 0, c.whenQuorate(func(time.Time) outcome {
		return outcome{took: quickTakes, log: c.dropBackupLocks(), then: func(now time.Time) outcome { return c.nextOf(c.chosen(), start, now) }}
	})), nil
}

// stopAll shuts guests down, the last that started first, and by default stops those
// that do not within the time.
func stopAll(c *call) (any, error) {
	guests := c.chosen()
	slices.Reverse(guests)
	force := bit(c.params["force-stop"] == nil || c.flag("force-stop"))
	timeout := strconv.Itoa(c.number("timeout", 180))
	return c.oneByOne("stopall", guests, func(g *guest) step {
		if !g.now.running {
			return step{}
		}
		line := fmt.Sprintf("Stopping %s %d (timeout = %s seconds)", g.noun(), g.VMID, timeout)
		return step{line, verbOn(g, "shutdown"), guestParams(g, apischema.Values{"timeout": timeout, "forceStop": strconv.Itoa(force)})}
	})
}

// suspendAll suspends VMs to disk; containers are left alone.
func suspendAll(c *call) (any, error) {
	return c.oneByOne("suspendall", c.chosen(), func(g *guest) step {
		if !g.now.running || g.Kind == "lxc" {
			return step{}
		}
		return step{fmt.Sprintf("Suspending VM %d", g.VMID), verbOn(g, "suspend"), guestParams(g, apischema.Values{"todisk": "1"})}
	})
}

// migrateAll moves guests to another node: VMs as they run, containers by a restart.
func migrateAll(c *call) (any, error) {
	target := c.nodeNamed(c.str("target"))
	switch {
	case c.str("target") == c.node.Name:
		return nil, badParam("target", "target is local node.")
	case target == nil:
		return nil, die("no such cluster node '%s'", c.str("target"))
	}
	return c.oneByOne("migrateall", c.chosen(), func(g *guest) step {
		do, how := migrateVM, "online"
		if g.Kind == "lxc" {
			do, how = migrateCT, "restart"
		}
		params := guestParams(g, apischema.Values{"target": target.Name})
		if g.now.running {
			params[how] = "1"
		}
		if g.Kind == "qemu" && c.flag("with-local-disks") {
			params["with-local-disks"] = "1"
		}
		return step{fmt.Sprintf("Migrating %s %d", g.noun(), g.VMID), do, params}
	})
}
