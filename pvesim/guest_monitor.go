package pvesim

import (
	"fmt"
	"strings"
)

// monitorCommand gives QEMU's monitor a command, of which the simulated one knows
// few. What does more than tell needs a privilege on everything.
func monitorCommand(c *call, g *guest) (any, error) {
	command := strings.TrimSpace(c.str("command"))
	word, _, _ := strings.Cut(command, " ")
	if word != "info" && word != "help" && word != "?" {
		if err := c.caller.Require("/", "Sys.Modify"); err != nil {
			return nil, err
		}
	}
	if !g.now.running {
		return fmt.Sprintf("ERROR: VM %d not running\n", g.VMID), nil
	}
	switch strings.Join(strings.Fields(command), " ") {
	case "info version":
		return c.node.version.qemu() + "pve-qemu-kvm_" + c.node.version.qemu() + "-1\r\n", nil
	case "info status":
		if g.now.qmp == "" {
			return "VM status: running\r\n", nil
		}
		return "VM status: paused\r\n", nil
	case "info name":
		return g.name() + "\r\n", nil
	case "stop", "cont":
		now := g.now
		now.qmp = map[string]string{"stop": "paused"}[command]
		c.setRunState(g, now)
		return "", nil
	case "quit":
		c.setRunState(g, runState{})
		return "", nil
	}
	return "unknown command: '" + command + "'\r\n", nil
}
