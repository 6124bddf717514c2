package pvesim

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/pve-mcp/pve-mcp/pve/apischema"
)

// bulkRoutes are the endpoints that do one thing to guests of the whole cluster.
func bulkRoutes() routes {
	return routes{
		"GET /cluster/bulk-action":                 {serve: index("name")},
		"GET /cluster/bulk-action/guest":           {serve: listBulkActions},
		"POST /cluster/bulk-action/guest/start":    {serve: bulkStart, check: checkAll("VM.PowerMgmt")},
		"POST /cluster/bulk-action/guest/shutdown": {serve: bulkShutdown, check: checkAll("VM.PowerMgmt")},
		"POST /cluster/bulk-action/guest/suspend":  {serve: bulkSuspend, check: checkBulkSuspend},
		"POST /cluster/bulk-action/guest/migrate":  {serve: bulkMigrate, check: checkAll("VM.Migrate")},
	}
}

func listBulkActions(*call) (any, error) {
	out := []any{}
	for _, name := range []string{"start", "shutdown", "migrate", "suspend"} {
		out = append(out, map[string]any{"name": name})
	}
	return out, nil
}

// bulk is the crew of a bulk action, whose words are "Starting", "start:" and so on.
func (c *call) bulk(doing, failing string, workers int) *crew {
	w := &crew{call: c, workers: c.maxWorkers(workers), warns: true}
	w.failed = func(_ step, g *guest, why string) []string {
		return []string{fmt.Sprintf("WARN: %s %s %d failed: %s", doing, g.noun(), g.VMID, why)}
	}
	w.exit = func(failed []string, _ int) (string, []string) {
		if len(failed) > 0 {
			return fmt.Sprintf("Some guests failed to %s %s", failing, strings.Join(failed, ", ")), nil
		}
		return "OK", nil
	}
	return w
}

// bulkTitle is the first line of a bulk action.
func (c *call) bulkTitle(doing, more string) entry {
	if ids := c.guestIDs(); len(ids) > 0 {
		return entry{text: fmt.Sprintf("%s guests%s: %s", doing, more, strings.Join(ids, ", "))}
	}
	return entry{text: fmt.Sprintf("%s all guests%s", doing, more)}
}

// skipped leaves a guest alone, with a warning.
func skipped(format string, args ...any) step {
	return step{lines: []string{"WARN: " + fmt.Sprintf(format, args...)}}
}

// bulkStart starts guests, and resumes those that are paused.
func bulkStart(c *call) (any, error) {
	w := c.bulk("Starting", "start:", 4)
	w.begin = func(g *guest) step {
		verb := "start"
		switch {
		case g.now.running && g.Kind == "qemu" && g.now.qmp != "paused":
			return skipped("Skipping %s %d, already running.", g.noun(), g.VMID)
		case g.now.running && g.Kind == "qemu":
			verb = "resume"
		}
		return step{lines: []string{fmt.Sprintf("Starting %s %d", g.noun(), g.VMID)}, do: verbOn(g, verb), params: guestParams(g, nil)}
	}
	return w.send("bulk-start", func() [][]*guest { return inOrder(c.chosen(nil, false, false)) }, c.bulkTitle("Starting", "")), nil
}

func bulkShutdown(c *call) (any, error) {
	force := c.params["force-stop"] == nil || c.flag("force-stop")
	w := c.bulk("Stopping", "shutdown", 4)
	w.begin = func(g *guest) step {
		switch {
		case !g.now.running:
			return skipped("Skipping %s %d, not running.", g.noun(), g.VMID)
		case g.now.qmp == "paused" && !c.flag("force-stop"):
			return skipped("Skipping %s %d, resume paused VM before shutdown.", g.noun(), g.VMID)
		}
		timeout := g.startupSeconds("down", c.number("timeout", 180))
		return step{
			lines:  []string{fmt.Sprintf("Shutting down %s %d (Timeout = %d seconds)", g.noun(), g.VMID, timeout)},
			do:     verbOn(g, "shutdown"),
			params: guestParams(g, apischema.Values{"timeout": strconv.Itoa(timeout), "forceStop": strconv.Itoa(bit(force))}),
		}
	}
	return w.send("bulk-shutdown", func() [][]*guest { return lastOrderFirst(c.chosen(nil, false, false)) }, c.bulkTitle("Shutting down", "")), nil
}

// checkBulkSuspend wants more for a suspension to disk.
func checkBulkSuspend(c *call) error {
	if err := checkAll("VM.PowerMgmt")(c); err != nil || !c.flag("to-disk") {
		return err
	}
	if err := checkAll("VM.Config.Disk")(c); err != nil || c.str("statestorage") == "" {
		return err
	}
	return c.caller.Require("/storage/"+c.str("statestorage"), "Datastore.AllocateSpace")
}

func bulkSuspend(c *call) (any, error) {
	w := c.bulk("Stopping", "suspend", 4)
	w.begin = func(g *guest) step {
		switch {
		case g.Kind != "qemu":
			return skipped("skipping %d, only VMs can be suspended", g.VMID)
		case !g.now.running:
			return skipped("Skipping VM %d, not running.", g.VMID)
		}
		params := guestParams(g, apischema.Values{"todisk": strconv.Itoa(bit(c.flag("to-disk")))})
		if storage := c.str("statestorage"); storage != "" && c.flag("to-disk") {
			params["statestorage"] = storage
		}
		return step{lines: []string{fmt.Sprintf("Suspending VM %d", g.VMID)}, do: verbOn(g, "suspend"), params: params}
	}
	return w.send("bulk-suspend", func() [][]*guest { return lastOrderFirst(c.chosen(nil, false, false)) }, c.bulkTitle("Suspending", "")), nil
}

func bulkMigrate(c *call) (any, error) {
	target := c.str("target")
	w := c.bulk("Migrating", "migrate", 1)
	w.begin = func(g *guest) step {
		if g.Node == target {
			return skipped("%s %d already on %s, skipping.", g.noun(), g.VMID, target)
		}
		params := guestParams(g, apischema.Values{"target": target})
		how, do := "online", migrateVM
		if g.Kind == "lxc" {
			how, do = "restart", migrateCT
		}
		if c.params["online"] != nil {
			params[how] = strconv.Itoa(bit(c.flag("online")))
		}
		if g.Kind == "qemu" && c.params["with-local-disks"] != nil {
			params["with-local-disks"] = strconv.Itoa(bit(c.flag("with-local-disks")))
		}
		return step{lines: []string{fmt.Sprintf("Migrating %s %d", g.noun(), g.VMID)}, do: do, params: params}
	}
	return w.send("bulk-migrate", func() [][]*guest { return [][]*guest{c.chosen(nil, true, true)} }, c.bulkTitle("Migrating", " to "+target)), nil
}
