package pvesim

import (
	"net"
	"slices"
	"strings"
	"time"
)

// The interfaces that were added to a node or changed: those in force, and those that wait
// to be, as a whole.
func (n *node) networkFile() string    { return "nodes/" + n.Name + "/interfaces" }
func (n *node) waitingNetwork() string { return n.networkFile() + ".new" }

// removedInterface is the type of an interface that was removed.
const removedInterface = "removed"

// networkOf are a node's interfaces: a network card in a bridge with its address.
// The network of a node in a container is not its own. What a node up to PVE 8
// takes for a card there is none for PVE 9.
func (c *call) networkOf(n *node) []map[string]any {
	card := map[string]any{"iface": "eth0", "type": "eth", "method": "manual", "method6": "manual", "active": 1, "exists": 1, "families": []any{"inet"}}
	out := []map[string]any{}
	if !n.Contained || n.version.major < 9 {
		out = append(out, card)
	}
	if n.Contained && n.Bridges == nil {
		return out
	}
	bridge := bridgeFields("vmbr0", "eth0", 4)
	bridge["method"] = "static"
	if ip := net.ParseIP(n.IP).To4(); ip != nil {
		bridge["address"], bridge["netmask"], bridge["cidr"] = n.IP, "24", n.IP+"/24"
		if !n.Contained {
			bridge["gateway"] = net.IPv4(ip[0], ip[1], ip[2], 254).String()
			card["priority"] = 3
		}
	}
	out = append(out, bridge)
	for i, name := range n.Bridges {
		out = append(out, bridgeFields(name, "", 5+i))
	}
	return out
}

// bridgeFields tell of a bridge without an address.
func bridgeFields(name, ports string, priority int) map[string]any {
	return map[string]any{
		"iface": name, "type": "bridge", "method": "manual", "method6": "manual", "active": 1, "autostart": 1, "priority": priority,
		"families": []any{"inet"}, "bridge_ports": ports, "bridge_stp": "off", "bridge_fd": "0",
	}
}

// networkNow are a node's interfaces with what was changed of them.
func (c *call) networkNow(n *node) []map[string]any {
	out := c.networkOf(n)
	inForce := map[string]bool{}
	for _, s := range c.files[n.networkFile()] {
		inForce[s.ID] = true
	}
	exists := func(name string) any {
		if i := indexOfInterface(out, name); i >= 0 {
			return out[i]["exists"]
		}
		return 0
	}
	for _, s := range c.changedInterfaces(n) {
		i := indexOfInterface(out, s.ID)
		if s.Type == removedInterface {
			if i >= 0 {
				out = slices.Delete(out, i, i+1)
			}
			continue
		}
		entry := readInterface(s, exists)
		if i < 0 {
			i = len(out)
			out = append(out, nil)
			entry["priority"] = 3 + i
			if inForce[s.ID] {
				entry["active"] = 1
			}
		}
		for _, name := range []string{"active", "exists", "priority"} { // of the machine
			if known := out[i][name]; known != nil {
				entry[name] = known
			}
		}
		out[i] = entry
	}
	return out
}

func indexOfInterface(all []map[string]any, name string) int {
	return slices.IndexFunc(all, func(i map[string]any) bool { return i["iface"] == name })
}

// changedInterfaces are those that wait, or that are in force if none do.
func (c *call) changedInterfaces(n *node) []Section {
	if waiting, ok := c.files[n.waitingNetwork()]; ok {
		return waiting
	}
	return c.files[n.networkFile()]
}

// listNetwork lists interfaces, and of bridges those that the caller may see.
func listNetwork(c *call) (any, error) {
	wanted := c.str("type")
	out := []any{}
	for _, i := range c.networkNow(c.node) {
		bridge := i["type"] == "bridge"
		if wanted != "" && wanted != i["type"] && !(bridge && strings.HasPrefix(wanted, "any_")) {
			continue
		}
		zone := "/sdn/zones/localnetwork/" + i["iface"].(string)
		if !bridge || c.node.version.major < 8 || c.may(zone, "SDN.Audit") || c.may(zone, "SDN.Use") {
			out = append(out, i)
		}
	}
	return out, nil
}

func (c *call) theInterface() map[string]any {
	for _, i := range c.networkNow(c.node) {
		if i["iface"] == c.str("iface") {
			return i
		}
	}
	return nil
}

func getInterface(c *call) (any, error) {
	i := c.theInterface()
	if i == nil {
		return nil, badParam("iface", "interface does not exist")
	}
	delete(i, "iface")
	return i, nil
}

// changeNetwork keeps a change until it is applied.
func (c *call) changeNetwork(s Section) {
	all := slices.DeleteFunc(cloneSections(c.changedInterfaces(c.node)), func(old Section) bool { return old.ID == s.ID })
	c.files[c.node.waitingNetwork()] = append(all, s)
}

func createInterface(c *call) (any, error) {
	if c.theInterface() != nil {
		return nil, badParam("iface", "interface already exists")
	}
	if strings.HasPrefix(c.str("type"), "OVS") {
		return nil, die("Open VSwitch is not installed (need package 'openvswitch-switch')")
	}
	return nil, c.writeInterface(Section{ID: c.str("iface")})
}

func putInterface(c *call) (any, error) {
	now := c.theInterface()
	if now == nil {
		return nil, badParam("iface", "interface does not exist")
	}
	old := Section{ID: c.str("iface"), Options: map[string]string{}}
	for _, changed := range c.changedInterfaces(c.node) {
		if changed.ID == old.ID {
			return nil, c.writeInterface(changed)
		}
	}
	for name, value := range now {
		if text, isText := value.(string); isText && !slices.Contains([]string{"iface", "type", "cidr", "cidr6"}, name) {
			old.Options[name] = text
		}
	}
	if now["autostart"] != nil {
		old.Options["autostart"] = "1"
	}
	return nil, c.writeInterface(old)
}

// writeInterface makes an interface what the call says of it.
func (c *call) writeInterface(old Section) error {
	s, err := c.changedInterface(old)
	if err != nil {
		return err
	}
	if err := c.checkInterface(s); err != nil {
		return err
	}
	c.changeNetwork(s)
	return nil
}

func deleteInterface(c *call) (any, error) {
	if c.theInterface() == nil {
		return nil, badParam("iface", "interface does not exist")
	}
	c.changeNetwork(Section{ID: c.str("iface"), Type: removedInterface})
	return nil, nil
}

// revertNetwork drops what waits to be applied.
func revertNetwork(c *call) (any, error) {
	delete(c.files, c.node.waitingNetwork())
	return nil, nil
}

// applyNetwork puts into force what waits.
func applyNetwork(c *call) (any, error) {
	n := c.node
	return c.fork(c.now, n, c.caller.User, "srvreload", "networking", 0, func(time.Time) outcome {
		return done(2*time.Second, func(time.Time) {
			if waiting, ok := c.files[n.waitingNetwork()]; ok {
				c.files[n.networkFile()] = waiting
				delete(c.files, n.waitingNetwork())
			}
		})
	}), nil
}
