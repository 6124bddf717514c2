package pvesim

import (
	"fmt"

	"github.com/pve-mcp/pve-mcp/pve/apischema"
)

// checkAll wants a privilege on everything, or on each guest that is named.
func checkAll(priv string) func(*call) error {
	return func(c *call) error {
		if c.caller.Require("/", priv) == nil {
			return nil
		}
		ids := c.guestIDs()
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

// checkRollback wants the right to start the VM for start=1, since qemu-server 9.1.10.
func checkRollback(c *call) error {
	if !c.flag("start") || !c.node.version.atLeast(9, 2) {
		return nil
	}
	return c.caller.Require("/vms/"+c.str("vmid"), "VM.PowerMgmt")
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
	if g := c.guests[c.number("vmid", 0)]; storage == "" && g != nil {
		storage = c.stateStorage(g)
	}
	return c.caller.Require("/storage/"+storage, "Datastore.AllocateSpace")
}
