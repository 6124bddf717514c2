package pvesim

import (
	"fmt"
	"slices"
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
			case i < 0 || c.serviceFields(services[i])["unit-state"] == "not-found":
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
