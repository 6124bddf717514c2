package pvesim

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/pve/apischema"
	"github.com/pve-mcp/pve-mcp/pvesim/internal/propstring"
)

// chosen are the guests of a node, or of all, that the call names, or all if it names none:
// templates, and guests that HA manages, then only if that is said.
func (c *call) chosen(n *node, ha, templates bool) []*guest {
	ids := c.guestIDs()
	var out []*guest
	for _, id := range c.order {
		g := c.guests[id]
		named := slices.Contains(ids, strconv.Itoa(id))
		switch {
		case n != nil && g.Node != n.Name, len(ids) > 0 && !named, !templates && g.template(), !ha && !named && g.managed():
			continue
		}
		out = append(out, g)
	}
	return out
}

// guestIDs are those that the call names, as a list or one by one.
func (c *call) guestIDs() []string {
	if list, ok := c.params["vms"].([]any); ok {
		var ids []string
		for _, id := range list {
			ids = append(ids, fmt.Sprint(id))
		}
		return ids
	}
	return apischema.SplitList(c.str("vms"))
}

// startOrder is a guest's place when a node starts; those of which nothing is said come
// last.
func (g *guest) startOrder() int {
	startup := g.Config["startup"]
	for _, key := range []string{"order", ""} {
		if n, err := strconv.Atoi(propstring.Get(startup, key)); err == nil {
			return n
		}
	}
	return 1 << 30
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

// guestParams are the parameters of a call about a guest.
func guestParams(g *guest, more apischema.Values) apischema.Values {
	params := apischema.Values{"node": g.Node, "vmid": strconv.Itoa(g.VMID)}
	for key, value := range more {
		params[key] = value
	}
	return params
}

// send starts the task of a crew.
func (w *crew) send(typ string, gather func() [][]*guest, before ...entry) any {
	return w.fork(w.now, w.node, w.caller.User, typ, "", 0, func(time.Time) outcome {
		return outcome{took: quickTakes, log: before, then: func(now time.Time) outcome {
			w.groups = gather()
			return w.next(now)
		}}
	})
}

// anyhow is how a task of a node ends, whatever became of its guests.
func anyhow([]string, int) (string, []string) { return "OK", nil }

// nodeWorkers is how many guests a node starts or stops at a time.
func (c *call) nodeWorkers() int { return c.maxWorkers(min(c.node.CPUs, 8)) }

// startAll starts guests that do not run, as soon as the node has quorum: those that start
// with it, or with force any.
func startAll(c *call) (any, error) {
	w := &crew{call: c, workers: c.nodeWorkers(), exit: anyhow}
	w.failed = func(_ step, g *guest, why string) []string {
		return []string{fmt.Sprintf("Starting %s %d failed: %s", g.noun(), g.VMID, why)}
	}
	w.begin = func(g *guest) step {
		if g.now.running || !c.flag("force") && g.Config["onboot"] != "1" {
			return step{}
		}
		pause := map[string]int{"qemu": 3}[g.Kind]
		s := step{lines: []string{fmt.Sprintf("Starting %s %d", g.noun(), g.VMID)}, do: verbOn(g, "start"), params: guestParams(g, nil)}
		if up := g.startupSeconds("up", pause); up > 0 {
			s.pause = time.Duration(up) * time.Second
			if propstring.Get(g.Config["startup"], "up") != "" {
				s.lines = append(s.lines, fmt.Sprintf("Waiting for %d seconds (startup delay)", up))
			}
		}
		return s
	}
	return c.fork(c.now, c.node, c.caller.User, "startall", "", 0, c.whenQuorate(func(time.Time) outcome {
		return outcome{took: quickTakes, log: c.dropBackupLocks(), then: func(now time.Time) outcome {
			w.groups = inOrder(c.chosen(c.node, false, false))
			return w.next(now)
		}}
	})), nil
}

// stopAll shuts guests down, the last that started first, and by default stops those
// that do not within the time.
func stopAll(c *call) (any, error) {
	force := bit(c.params["force-stop"] == nil || c.flag("force-stop"))
	w := &crew{call: c, workers: c.nodeWorkers(), exit: anyhow}
	w.begin = func(g *guest) step {
		if !g.now.running {
			return step{}
		}
		timeout := g.startupSeconds("down", c.number("timeout", 180))
		return step{
			lines: []string{fmt.Sprintf("Stopping %s %d (timeout = %d seconds)", g.noun(), g.VMID, timeout)}, do: verbOn(g, "shutdown"),
			params: guestParams(g, apischema.Values{"timeout": strconv.Itoa(timeout), "forceStop": strconv.Itoa(force)}),
		}
	}
	return w.send("stopall", func() [][]*guest { return backwards(inOrder(c.chosen(c.node, false, false))) }), nil
}

// suspendAll suspends VMs to disk; containers are left alone.
func suspendAll(c *call) (any, error) {
	w := &crew{call: c, workers: c.nodeWorkers(), exit: anyhow}
	w.begin = func(g *guest) step {
		switch {
		case g.Kind != "qemu":
			return step{lines: []string{fmt.Sprintf("WARN: skipping %d, only VMs can be suspended", g.VMID)}}
		case !g.now.running:
			return step{lines: []string{fmt.Sprintf("VM %d not running, skipping suspension", g.VMID)}}
		}
		return step{lines: []string{fmt.Sprintf("Suspending VM %d", g.VMID)}, do: verbOn(g, "suspend"), params: guestParams(g, apischema.Values{"todisk": "1"})}
	}
	return w.send("suspendall", func() [][]*guest { return backwards(inOrder(c.chosen(c.node, false, false))) }), nil
}

// migrateAll moves guests to another node: VMs as they run, containers by a restart.
func migrateAll(c *call) (any, error) {
	target := c.nodeNamed(c.str("target"))
	workers := c.maxWorkers(0)
	switch {
	case c.str("target") == c.node.Name:
		return nil, badParam("target", "target is local node.")
	case target == nil:
		return nil, die("no such cluster node '%s'", c.str("target"))
	case workers == 0:
		return nil, die("either 'max-workers' parameter or max_workers in datacenter.cfg must be set!")
	}
	w := &crew{call: c, workers: workers}
	w.exit = func(_ []string, started int) (string, []string) {
		if started == 0 {
			return "no migrations worker started...", nil
		}
		return "OK", []string{fmt.Sprintf("All jobs finished, used %d workers in total.", started)}
	}
	w.begin = func(g *guest) step {
		params := guestParams(g, apischema.Values{"target": target.Name})
		line := fmt.Sprintf("Migrating %s %d", g.noun(), g.VMID)
		if g.Kind == "lxc" {
			params["restart"] = strconv.Itoa(bit(g.now.running))
			return step{lines: []string{line}, do: migrateCT, params: params}
		}
		if why := c.cannotMoveByMass(g, target); len(why) > 0 {
			return step{lines: append([]string{fmt.Sprintf("Check VM %d: skip VM %d - precondition check failed:", g.VMID, g.VMID)}, why...)}
		}
		params["online"], params["with-local-disks"] = strconv.Itoa(bit(g.now.running)), strconv.Itoa(bit(c.flag("with-local-disks")))
		return step{lines: []string{fmt.Sprintf("Check VM %d: precondition check passed", g.VMID), line}, do: migrateVM, params: params}
	}
	return w.send("migrateall", func() [][]*guest { return [][]*guest{c.chosen(c.node, true, true)} }), nil
}

// cannotMoveByMass says what keeps migrateall from moving a VM, a line each.
func (c *call) cannotMoveByMass(g *guest, target *node) []string {
	var out, local []string
	for _, d := range c.localDisks(g) {
		local = append(local, d.ID)
	}
	if g.now.running && !c.flag("with-local-disks") && len(local) > 0 {
		out = append(out, "  Has local disks: "+strings.Join(local, ", "))
	}
	if missing := c.unavailable(g, target.Name); len(missing) > 0 {
		out = append(out, "  Has unavailable storages: "+strings.Join(missing, ", "))
	}
	return out
}
