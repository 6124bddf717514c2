package pvesim

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// stopped reports whether somebody has stopped a service of the node.
func (n *node) stopped(service string) bool { return slices.Contains(n.Stopped, service) }

// systemctl is a command about a service. Without the two that answer requests
// nothing could start them again, so PVE restarts them only.
func systemctl(command string) handler {
	return func(c *call) (any, error) {
		name := c.str("service")
		i := slices.IndexFunc(services, func(s service) bool { return s.name == name })
		return c.fork(c.now, c.node, c.caller.User, "srv"+command, name, 0, func(time.Time) outcome {
			switch {
			case command != "restart" && (name == "pveproxy" || name == "pvedaemon"):
				return failed(quickTakes, "invalid service cmd '%s %s': ERROR", name, command)
			case i < 0 || c.show(services[i])["unit-state"] == "not-found":
				return failed(quickTakes, "command 'systemctl %s %s' failed: exit code 5", command, name)
			case command == "reload" && c.node.stopped(name):
				return failed(quickTakes, "command 'systemctl reload %s' failed: exit code 1", name)
			}
			return done(300*time.Millisecond, func(time.Time) {
				c.node.Stopped = without(slices.Clone(c.node.Stopped), name)
				if command == "stop" {
					c.node.Stopped = append(c.node.Stopped, name)
				}
			})
		}), nil
	}
}

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
		c.set(g, now)
		return "", nil
	case "quit":
		c.set(g, guestState{})
		return "", nil
	}
	return "unknown command: '" + command + "'\r\n", nil
}

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

// getJournal tells of the tasks of the node, between the cursors of its first and its
// last line.
func getJournal(c *call) (any, error) {
	if c.node.Contained { // whose journal is its host's
		return []any{}, nil
	}
	since, until := int64(c.number("since", 0)), int64(c.number("until", 0))
	var lines []string
	for _, l := range c.log(true) {
		at := l.at.Unix()
		if l.t.node == c.node.Name && at >= since && (until == 0 || at <= until) {
			lines = append(lines, l.asSyslog())
		}
	}
	if n := c.number("lastentries", len(lines)); n < len(lines) {
		lines = lines[len(lines)-n:]
	}
	cursor := func(n int) string {
		return fmt.Sprintf("s=%016x%016x;i=%x", hash(c.model.Seed, c.node.Name, "boot"), hash(c.model.Seed, c.node.Name, "journal"), n)
	}
	return append(append([]string{cursor(1)}, lines...), cursor(len(lines))), nil
}

// asSyslog writes the line as a log on the node has it.
func (l logLine) asSyslog() string {
	return fmt.Sprintf("%s %s pvedaemon[%d]: <%s> %s", l.at.UTC().Format("Jan _2 15:04:05"), l.t.node, l.t.pid, l.t.user, l.text)
}
