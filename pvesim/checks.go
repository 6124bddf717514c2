package pvesim

import (
	"fmt"
	"slices"
	"strings"

	"pve-mcp/pve/apischema"
)

// checks are what PVE checks in code: the privileges of endpoints whose
// description lets in every user, and parameters beyond their description. They
// run before an endpoint's row, and where there is none yet.
var checks = map[string]func(*call) error{
	"DELETE /nodes/{node}/tasks/{upid}":    checkDeleteTask,
	"POST /nodes/{node}/lxc":               checkCreate,
	"POST /nodes/{node}/migrateall":        checkAll("VM.Migrate"),
	"POST /nodes/{node}/qemu":              checkCreate,
	"POST /nodes/{node}/startall":          checkAll("VM.PowerMgmt"),
	"POST /nodes/{node}/stopall":           checkAll("VM.PowerMgmt"),
	"POST /nodes/{node}/suspendall":        checkAll("VM.PowerMgmt"),
	"POST /nodes/{node}/vzdump":            checkVZDump,
	"PUT /nodes/{node}/qemu/{vmid}/config": checkConfig,

	"POST /nodes/{node}/qemu/{vmid}/status/suspend": checkSuspend,
}

// checkCreate wants VM.Allocate for the new guest or its pool.
func checkCreate(c *call) error {
	for _, path := range []string{"/vms/" + c.str("vmid"), "/pool/" + c.str("pool")} {
		if !strings.HasSuffix(path, "/") && c.caller.Require(path, "VM.Allocate") == nil {
			return nil
		}
	}
	return &apischema.PermissionError{}
}

// checkAll wants a privilege on everything, or on each guest that is named.
func checkAll(priv string) func(*call) error {
	return func(c *call) error {
		if c.caller.Require("/", priv) == nil {
			return nil
		}
		ids := apischema.SplitList(c.str("vms"))
		if len(ids) == 0 {
			return &apischema.PermissionError{What: "/, " + priv}
		}
		for _, id := range ids {
			if err := c.caller.Require("/vms/"+id, priv); err != nil {
				return err
			}
		}
		return nil
	}
}

func checkVZDump(c *call) error {
	if !c.flag("all") && !c.flag("stop") && c.str("pool") == "" && c.str("vmid") == "" {
		return badParam("vmid", "property is missing")
	}
	for _, p := range []string{"tmpdir", "dumpdir", "script", "job-id"} {
		if c.params[p] != nil {
			return badParam(p, "Only root may use this option.")
		}
	}
	storage := c.str("storage")
	if storage == "" {
		storage = "local"
	}
	if err := c.caller.Require("/storage/"+storage, "Datastore.AllocateSpace"); err != nil {
		return err
	}
	for _, id := range apischema.SplitList(c.str("vmid")) {
		if err := c.caller.Require("/vms/"+id, "VM.Backup"); err != nil {
			return err
		}
	}
	return nil
}

func checkConfig(c *call) error {
	remove, options := apischema.SplitList(c.str("delete")), 0
	for name := range c.params {
		switch name {
		case "node", "vmid", "digest", "skiplock", "force", "background_delay":
		default:
			options++
		}
	}
	if options == 0 {
		return die("no options specified")
	}
	for _, key := range remove {
		if c.params[key] != nil {
			return badParam("delete", "you can't use '-%s' and -delete %s' at the same time", key, key)
		}
		if c.api().Param(c.ep, key) == nil {
			return badParam("delete", "unknown option '%s'", key)
		}
	}
	for _, key := range []string{"affinity", "args", "hookscript", "lock"} {
		if c.params[key] != nil || slices.Contains(remove, key) {
			return die("only root can set '%s' config", key)
		}
	}
	g, err := c.theGuest()
	if err != nil {
		return err
	}
	if err := c.awaitLock(g); err != nil {
		return err
	}
	if digest := c.str("digest"); digest != "" && digest != g.digest() {
		return die("checksum mismatch (file change by other user?)")
	}
	if lock := g.Config["lock"]; lock != "" {
		return die("%s is locked (%s)", g.noun(), lock)
	}
	return nil
}

// checkSuspend wants more for a suspension to disk: the right to a volume.
func checkSuspend(c *call) error {
	if !c.flag("todisk") {
		return nil
	}
	vm := fmt.Sprintf("/vms/%s", c.str("vmid"))
	if err := c.caller.Require(vm, "VM.Config.Disk"); err != nil {
		return err
	}
	storage := c.str("statestorage")
	if storage == "" {
		storage = "local"
	}
	return c.caller.Require("/storage/"+storage, "Datastore.AllocateSpace")
}
