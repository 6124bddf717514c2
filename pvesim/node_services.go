package pvesim

import (
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
