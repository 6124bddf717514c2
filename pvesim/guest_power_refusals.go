package pvesim

import (
	"fmt"
	"strings"
	"time"
)

// notRunning refuses what only a running guest can do. A container that is to be rebooted PVE
// calls a VM.
func (v verb) notRunning(id int) error {
	noun := "VM"
	if strings.HasPrefix(v.task, "vz") && v.task != "vzreboot" {
		noun = "CT"
	}
	return die("%s %d not running", noun, id)
}

// suspendRefusal says why a VM's state cannot be written to a disk.
func (g *guest) suspendRefusal() error {
	if g.managed() {
		return die("Cannot suspend HA managed VM to disk")
	}
	for key := range g.Config {
		if withoutIndex(key) == "hostpci" {
			return die("cannot suspend VM to disk due to passed-through PCI device(s), which lack the possibility to save/restore their internal state")
		}
	}
	return nil
}

// powerNothing is what a power endpoint does with a guest that the node does not have. PVE
// starts a task that fails, unless it looks first whether the guest runs.
func (c *call) powerNothing(v verb, missing error) (any, error) {
	id := c.number("vmid", 0)
	end := failedBy(missing)
	switch {
	case v.needsRun || v.task == "qmresume":
		return nil, noVMHere(c)
	case v.task == "qmstop" || v.task == "qmshutdown":
		end = failedBy(noVMHere(c))
	case v.task == "vzresume":
		end = checkpointFails(id, "-r --foreground")
	}
	return c.fork(c.now, c.node, c.caller.User, v.task, fmt.Sprint(id), id, func(time.Time) outcome { return end }), nil
}

// inTask starts a task about a guest that the node does not have, which fails, and else does
// something with the guest: PVE looks for the guest only in the task.
func inTask(typ string, do func(c *call, g *guest) (any, error)) handler {
	return func(c *call) (any, error) {
		g, err := c.theGuest()
		if err != nil {
			id := c.number("vmid", 0)
			return c.fork(c.now, c.node, c.caller.User, typ, fmt.Sprint(id), id, func(time.Time) outcome { return failedBy(err) }), nil
		}
		return do(c, g)
	}
}

// suspendCT and resumeCT fail as on every node without criu, which PVE does not bring.
func suspendCT(_ *call, g *guest, _ time.Time) outcome {
	o := checkpointFails(g.VMID, "-s")
	o.log = []entry{
		{0, fmt.Sprintf("lxc-checkpoint: %d: ../src/lxc/criu.c: criu_version_ok: 767 No such file or directory - execing criu failed, is it installed?", g.VMID)},
		{0, fmt.Sprintf("lxc-checkpoint: %d: ../src/lxc/tools/lxc_checkpoint.c: checkpoint: 182 Checkpointing %d failed", g.VMID, g.VMID)},
	}
	return o
}

func resumeCT(_ *call, g *guest, _ time.Time) outcome {
	return checkpointFails(g.VMID, "-r --foreground")
}

func checkpointFails(id int, options string) outcome {
	return failed(4*quickTakes, "command 'lxc-checkpoint -n %d %s -D /var/lib/vz/dump' failed: exit code 1", id, options)
}
