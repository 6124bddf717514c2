package pvesim

import (
	"fmt"
	"strconv"
	"time"
)

// offerTerminal offers a guest's terminal, of a VM one on a serial port.
func offerTerminal(c *call, g *guest) (any, error) {
	port := c.str("serial")
	if g.Kind == "qemu" && port == "" {
		for n := range 4 {
			if g.Config["serial"+strconv.Itoa(n)] == "socket" {
				port = "serial" + strconv.Itoa(n)
				break
			}
		}
	}
	why := ""
	switch {
	case !g.now.running:
		why = fmt.Sprintf("%s %d not running", g.noun(), g.VMID)
	case g.Kind == "qemu" && (port == "" || g.Config[port] != "socket"):
		why = "unable to find a serial interface"
	}
	return c.terminal(g.VMID, "vncproxy", why)
}

// offerShell refuses: a shell of a node is the user's own, and every caller here is a token.
func offerShell(c *call) (any, error) {
	return nil, die("value '%s' does not look like a valid user name", c.caller.User)
}

// offerSPICE refuses: no VM here has a display that speaks SPICE.
func offerSPICE(_ *call, g *guest) (any, error) {
	if !g.now.running {
		return nil, die("VM %d not running", g.VMID)
	}
	return nil, die("VM %d qmp command 'query-spice' failed - The command query-spice has not been found", g.VMID)
}

// terminal starts the task that waits for the client of a terminal, which the
// simulated one does not serve.
func (c *call) terminal(vmid int, typ, why string) (any, error) {
	con := &console{vmid: vmid, user: c.caller.User, port: c.freePort(), until: c.now.Add(ticketLasts), text: true}
	c.made++
	con.ticket = fmt.Sprintf("PVEVNC:%08X::%064x", c.now.Unix(), hash(c.model.Seed, "term", c.made))
	id := ""
	if vmid != 0 {
		id = strconv.Itoa(vmid)
	}
	upid := c.fork(c.now, c.receiver, c.caller.User, typ, id, 0, func(time.Time) outcome {
		if why != "" {
			return failed(quickTakes, "%s", why)
		}
		return failed(consoleWaits, "connection timed out")
	})
	con.task = c.byUPID[upid]
	c.consoles[con.ticket] = con
	return map[string]any{"user": con.user, "ticket": con.ticket, "port": strconv.Itoa(con.port), "upid": upid}, nil
}
