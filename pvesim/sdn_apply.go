package pvesim

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/pve/apischema"
)

func listSDN(c *call) (any, error) {
	out := []any{}
	areas := []string{"vnets", "zones", "controllers", "ipams", "dns"}
	if c.api().Endpoint("GET", "/cluster/sdn/fabrics") != nil {
		areas = append(areas, "fabrics")
	}
	for _, id := range areas {
		out = append(out, map[string]any{"id": id})
	}
	return out, nil
}

// waitingSDN are objects with what would change if all were applied: an object in force has
// its values, and beside them those that it would have.
func waitingSDN(running, configured []map[string]any, key string) []map[string]any {
	byID := func(list []map[string]any) map[string]map[string]any {
		out := map[string]map[string]any{}
		for _, entry := range list {
			out[entry[key].(string)] = entry
		}
		return out
	}
	now, then := byID(running), byID(configured)
	all := map[string]bool{}
	for id := range now {
		all[id] = true
	}
	for id := range then {
		all[id] = true
	}
	out := []map[string]any{}
	for _, id := range sortedKeys(all) {
		out = append(out, waitingObject(now[id], then[id], key))
	}
	return out
}

func waitingObject(now, then map[string]any, key string) map[string]any {
	entry, pending := map[string]any{}, map[string]any{}
	for name, value := range now {
		entry[name] = value
		if _, stays := then[name]; then != nil && !stays {
			pending[name] = "deleted"
		}
	}
	for name, value := range then {
		switch old, known := now[name]; {
		case name == "type" || name == "vnet" || name == key:
			entry[name] = value
		case !known || fmt.Sprint(old) != fmt.Sprint(value):
			pending[name] = value
		}
	}
	switch {
	case now == nil:
		entry["state"] = "new"
	case then == nil:
		entry["state"] = "deleted"
	case len(pending) > 0:
		entry["state"] = "changed"
	}
	if entry["state"] != nil {
		entry["pending"] = pending
	}
	return entry
}

// sdnLockFile has the token of the lock that somebody has taken on the network.
const sdnLockFile = "sdn/.lock"

// mayChangeSDN refuses who does not have the token of the lock, if there is one.
func (c *call) mayChangeSDN() error {
	if held := c.section(sdnLockFile, "", ""); held != nil && held.Type != c.str("lock-token") {
		return die("invalid lock token provided! at /usr/share/perl5/PVE/Network/SDN.pm line 291.")
	}
	return nil
}

// isStaged reports whether something of the network waits to be applied.
func (c *call) isStaged() bool {
	inOrder := func(file string) string {
		sections := slices.Clone(c.files[file])
		slices.SortFunc(sections, func(a, b Section) int { return strings.Compare(a.ID, b.ID) })
		return fmt.Sprint(sections)
	}
	return slices.ContainsFunc(stagedFiles, func(file string) bool { return inOrder(file) != inOrder(inForce(file)) })
}

func lockSDN(c *call) (any, error) {
	const words = "could not acquire lock for SDN config: "
	if err := c.mayChangeSDN(); err != nil {
		return nil, refusedInLock(words, err)
	}
	if !c.flag("allow-pending") && c.isStaged() {
		return nil, die("%sconfiguration has pending changes at /usr/share/perl5/PVE/API2/Network/SDN.pm line 151.", words)
	}
	token := c.uuid("sdn lock")
	c.files[sdnLockFile] = []Section{{Type: token}}
	return token, nil
}

func unlockSDN(c *call) (any, error) {
	if !c.flag("force") {
		if err := c.mayChangeSDN(); err != nil {
			return nil, refusedInLock("could not release lock: ", err)
		}
	}
	delete(c.files, sdnLockFile)
	return nil, nil
}

// releaseSDN gives the lock back whose token the call has, unless it is to stay.
func (c *call) releaseSDN() {
	if c.str("lock-token") != "" && !c.isOff("release-lock") {
		delete(c.files, sdnLockFile)
	}
}

// rollBackSDN drops what waits to be applied.
func rollBackSDN(c *call) (any, error) {
	if err := c.mayChangeSDN(); err != nil {
		return nil, refusedInLock("could not rollback SDN configuration: ", err)
	}
	for _, file := range stagedFiles {
		c.setSectionsOf(file, c.files[inForce(file)])
	}
	c.releaseSDN()
	return nil, nil
}

// setSectionsOf makes a file have some sections.
func (p *configPart) setSectionsOf(file string, sections []Section) {
	if len(sections) == 0 {
		delete(p.files, file)
		return
	}
	p.files[file] = cloneSections(sections)
}

// applySDN puts into force what waits, at once, and lets each node load it in a task.
func applySDN(c *call) (any, error) {
	if err := c.mayChangeSDN(); err != nil {
		return nil, refusedInLock("could not commit SDN config: ", err)
	}
	for _, file := range stagedFiles {
		c.setSectionsOf(inForce(file), c.files[file])
	}
	c.releaseSDN()
	const reload = 2 * time.Second
	return c.fork(c.now, c.receiver, c.caller.User, "reloadnetworkall", "", 0, func(now time.Time) outcome {
		j := &journal{began: now}
		for _, n := range c.nodes {
			if n.Offline {
				continue
			}
			j.say("%s: reloading network config", n.Name)
			c.fork(j.now(), n, c.caller.User, "srvreload", "networking", 0, func(time.Time) outcome { return done(reload, nil) })
			j.pass(reload)
		}
		return j.done(nil)
	}), nil
}

// zonesInForce are those that a node has.
func (s *state) zonesInForce(node string) []Section {
	return slices.DeleteFunc(slices.Clone(s.files[inForce(zonesFile)]), func(z Section) bool {
		nodes := apischema.SplitList(z.Options["nodes"])
		return len(nodes) > 0 && !slices.Contains(nodes, node)
	})
}

// zoneOf is the zone of a bridge: that of a virtual network, or that of the nodes' own bridges.
func (s *state) zoneOf(bridge string) string {
	if v := s.section(inForce(vnetsFile), "", bridge); v != nil {
		return v.Options["zone"]
	}
	return "localnetwork"
}

// hasVNet reports whether a node has a virtual network as a bridge.
func (s *state) hasVNet(node, bridge string) bool {
	zone := s.zoneOf(bridge)
	return slices.ContainsFunc(s.zonesInForce(node), func(z Section) bool { return z.ID == zone })
}

// listZoneStatus lists the zones of a node.
func listZoneStatus(c *call) (any, error) {
	out := []any{}
	for _, z := range c.zonesInForce(c.node.Name) {
		if path := "/sdn/zones/" + z.ID; c.may(path, "SDN.Audit") || c.may(path, "SDN.Allocate") {
			out = append(out, map[string]any{"zone": z.ID, "status": "available"})
		}
	}
	return out, nil
}

// zoneNames are the zones of a node, sorted, with that of its own bridges.
func (s *state) zoneNames(node string) []string {
	names := []string{"localnetwork"}
	for _, z := range s.zonesInForce(node) {
		names = append(names, z.ID)
	}
	slices.Sort(names)
	return names
}

// listVNetStatus lists the virtual networks of a zone on a node.
func listVNetStatus(c *call) (any, error) {
	out := []any{}
	for _, v := range c.files[inForce(vnetsFile)] {
		path := "/sdn/zones/" + c.str("zone") + "/" + v.ID
		if v.Options["zone"] == c.str("zone") && (c.may(path, "SDN.Audit") || c.may(path, "SDN.Allocate")) {
			out = append(out, map[string]any{"vnet": v.ID, "status": "available"})
		}
	}
	return out, nil
}
