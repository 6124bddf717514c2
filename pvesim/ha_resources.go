package pvesim

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/pve/apischema"
	"github.com/pve-mcp/pve-mcp/pvesim/internal/perl"
)

// haPart is what the simulation knows of HA, apart from what each guest holds.
type haPart struct {
	haGroups []HASection
	haRules  []HASection
	haUsed   bool                // the HA manager has had something to do
	manageHA func(now time.Time) // lets the manager work
	haDisarm disarm
	haWakes  time.Time // when it looks at its resources next; zero if nothing has changed
}

// addHA makes the HA groups and rules of the model.
func (s *state) addHA(m Model) {
	s.haGroups, s.haRules = sectionsOf(m.HAGroups), sectionsOf(m.HARules)
	if m.HADisarmed != "" {
		s.haDisarm = disarm{m.HADisarmed, "disarmed"}
	}
	s.haUsed = m.HAUsed || slices.ContainsFunc(m.Nodes, func(n Node) bool { return n.Maintenance }) ||
		slices.ContainsFunc(m.Guests, func(g Guest) bool { return g.HA != "" })
}

// managed reports whether the HA manager takes care of the guest. One that is
// ignored counts as not.
func (g *guest) managed() bool { return g.HA != "" && g.HA != "ignored" }

// sid is the guest's name as an HA resource.
func (g *guest) sid() string {
	return fmt.Sprintf("%s:%d", map[string]string{"qemu": "vm", "lxc": "ct"}[g.Kind], g.VMID)
}

// haOf is what a guest's status says of HA. The state is not known before the
// manager has taken notice.
func (c *call) haOf(g *guest) map[string]any {
	if !g.managed() {
		return map[string]any{"managed": 0}
	}
	out := map[string]any{"managed": 1, "state": g.haState()}
	if c.now.Before(g.queued) {
		out["state"] = nil
	}
	if c.node.version.major < 9 {
		out["group"] = nil
	}
	if group := g.HAOptions["group"]; group != "" {
		out["group"] = group
	}
	return out
}

// requestByHA tells the HA manager what state a guest should have, and whether to stop it at
// once. Some seconds later the manager sees to it.
func (s *state) requestByHA(g *guest, want string, atOnce bool, now time.Time) {
	g.HA, g.atOnce, s.haUsed = want, atOnce, true
	g.acts = now.Add(haActs)
	s.wakeHA(now)
}

// askHA tells the HA manager what state the guest should have. The task ends when
// the manager has the request; the manager acts some seconds later.
func (c *call) askHA(v verb, g *guest) string {
	want, word, command := "started", "start", fmt.Sprintf("set %s --state started", g.sid())
	atOnce := v.task == "qmstop" || v.task == "vzstop"
	if v.ha == "hastop" {
		timeout := c.number("timeout", 60)
		if atOnce {
			timeout = 0
		}
		want, word, command = "stopped", "stop", fmt.Sprintf("crm-command stop %s %d", g.sid(), timeout)
	}
	id := fmt.Sprint(g.VMID)
	return c.fork(c.now, c.node, c.caller.User, v.ha, id, 0, func(time.Time) outcome {
		if !c.quorateAt(c.node) {
			o := failed(failTakes, "command 'ha-manager %s' failed: exit code 255", command)
			o.log = []entry{{text: strings.TrimSpace(noLock("domain-ha").Error())}}
			return o
		}
		o := done(haTakes, func(end time.Time) { c.requestByHA(g, want, atOnce, end) })
		o.log = []entry{{text: fmt.Sprintf("Requesting HA %s for %s %d", word, g.noun(), g.VMID)}}
		return o
	})
}

// byAgent is a task that the HA manager's agent on a node has started.
func byAgent(o outcome) outcome {
	o.log = append([]entry{{text: "task started by HA resource agent"}}, o.log...)
	return o
}

// resourceOf reads the name of an HA resource: vm:100, ct:200, or a guest's id.
func (c *call) resourceOf() (sid string, g *guest, err error) {
	sid = c.str("sid")
	if id, err := strconv.Atoi(sid); err == nil {
		if g = c.guests[id]; g == nil {
			return sid, nil, die("unable do add resource - VM/CT %d does not exist", id)
		}
		return g.sid(), g, nil
	}
	_, id, _ := strings.Cut(sid, ":")
	if n, err := strconv.Atoi(id); err == nil && c.guests[n] != nil && c.guests[n].sid() == sid {
		g = c.guests[n]
	}
	return sid, g, nil
}

// onResource is a handler about a guest that HA manages.
func onResource(do func(c *call, g *guest) (any, error)) handler {
	return func(c *call) (any, error) {
		sid, g, err := c.resourceOf()
		switch {
		case err != nil:
			return nil, err
		case g == nil || g.HA == "":
			return nil, die("resource '%s' is not HA managed", sid)
		}
		return do(c, g)
	}
}

// haDigest is that of a file of the HA manager's configuration.
func haDigest(content any) string {
	sum := sha1.Sum(fmt.Append(nil, content))
	return hex.EncodeToString(sum[:])
}

// resourcesDigest is that of the file with all resources.
func (s *state) resourcesDigest() string {
	var all []any
	for _, id := range s.order {
		if g := s.guests[id]; g.HA != "" {
			all = append(all, g.sid(), g.requested(), g.HAOptions)
		}
	}
	return haDigest(all)
}

// requested is the state that the resource is configured to have. One that is in
// error was to run.
func (g *guest) requested() string {
	if g.HA == "error" {
		return "started"
	}
	return g.HA
}

func (c *call) resource(g *guest) map[string]any {
	kind, _, _ := strings.Cut(g.sid(), ":")
	out := withNumbers(g.HAOptions)
	maps.Copy(out, map[string]any{"sid": g.sid(), "type": kind, "state": g.requested(), "digest": c.resourcesDigest()})
	return out
}

// withNumbers gives the options of a section their JSON types.
func withNumbers(options map[string]string) map[string]any {
	out := map[string]any{}
	for key, value := range options {
		out[key] = value
		if n, err := strconv.Atoi(value); err == nil {
			out[key] = n
		}
	}
	return out
}

func listResources(c *call) (any, error) {
	out := []any{}
	for _, id := range c.order {
		g := c.guests[id]
		if kind := c.str("type"); g.HA != "" && (kind == "" || strings.HasPrefix(g.sid(), kind+":")) {
			out = append(out, c.resource(g))
		}
	}
	return out, nil
}

func getResource(c *call) (any, error) {
	sid, g, err := c.resourceOf()
	switch {
	case err != nil:
		return nil, err
	case g == nil || g.HA == "":
		return nil, die("no such resource '%s'", sid)
	}
	return c.resource(g), nil
}

// haOption are the keys of a resource that are kept as they are given.
var haOption = []string{"comment", "failback", "group", "max_relocate", "max_restart"}

// groupRefusal refuses a group that does not exist, or any if the cluster has rules instead.
func (c *call) groupRefusal() error {
	group := c.str("group")
	switch {
	case group == "":
		return nil
	case c.rulesOnly():
		return die("invalid parameter 'group': ha groups have been migrated to rules")
	case sectionNamed(c.haGroups, group) < 0:
		return die("HA group '%s' does not exist", group)
	}
	return nil
}

func createResource(c *call) (any, error) {
	sid, g, err := c.resourceOf()
	switch {
	case err != nil:
		return nil, err
	case g == nil:
		return nil, die("resource '%s' does not exist in cluster", sid)
	case c.str("type") != "" && !strings.HasPrefix(sid, c.str("type")+":"):
		return nil, die("types does not match")
	}
	if err := c.groupRefusal(); err != nil {
		return nil, err
	}
	if g.HA != "" {
		return nil, die("create resource failed: resource ID '%s' already defined", sid)
	}
	g.HAOptions = map[string]string{}
	c.setOptions(g)
	g.queued = c.now.Add(haActs)
	c.requestByHA(g, c.wantedState("started"), false, c.now)
	return nil, nil
}

// wantedState is the state that a call asks for.
func (c *call) wantedState(otherwise string) string {
	switch state := c.str("state"); state {
	case "":
		return otherwise
	case "enabled":
		return "started"
	default:
		return state
	}
}

func (c *call) setOptions(g *guest) {
	for _, key := range haOption {
		if value := c.params[key]; value != nil {
			g.HAOptions[key] = perl.Text(value)
		}
	}
}

func putResource(c *call) (any, error) {
	sid, g, err := c.resourceOf()
	if err != nil {
		return nil, err
	}
	if err := c.groupRefusal(); err != nil {
		return nil, err
	}
	want := ""
	if g != nil {
		want = c.wantedState("")
	}
	switch {
	case g == nil || g.HA == "":
		return nil, die("update resource failed: no such resource '%s'", sid)
	case g.HA == "error" && want != "disabled":
		return nil, die("service '%s' in error state, must be disabled and fixed first", sid)
	case c.str("digest") != "" && c.str("digest") != c.resourcesDigest():
		return nil, die("update resource failed: %s", otherDigest)
	}
	if g.HAOptions == nil {
		g.HAOptions = map[string]string{}
	}
	c.setOptions(g)
	for _, key := range apischema.SplitList(c.str("delete")) {
		delete(g.HAOptions, key)
		if key == "state" && want == "" {
			want = "started"
		}
	}
	c.wakeHA(c.now)
	if want != "" && want != g.HA {
		c.requestByHA(g, want, false, c.now)
	}
	return nil, nil
}

// deleteResource makes the HA manager forget a guest, which stays as it is.
func deleteResource(c *call, g *guest) (any, error) {
	g.HA, g.HAOptions, g.resource = "", nil, resource{}
	if c.params["purge"] == nil || c.flag("purge") {
		c.dropFromRules(g.sid())
	}
	return nil, nil
}

// askResourceMove asks the HA manager to move a guest.
func askResourceMove(restart bool) func(*call, *guest) (any, error) {
	return func(c *call, g *guest) (any, error) {
		if g.HA == "error" {
			return nil, die("service '%s' in error state, must be disabled and fixed first", g.sid())
		}
		if target := c.nodeNamed(c.str("node")); target != nil {
			c.askMove(g, target, restart, c.now)
		}
		if c.node.version.major < 9 {
			return nil, nil
		}
		out := map[string]any{"sid": g.sid(), "requested-node": c.str("node")}
		if together := c.affine(g, "positive"); len(together) > 0 {
			out["comigrated-resources"] = together
		}
		if blocking := c.blocking(g, c.str("node")); len(blocking) > 0 {
			out["blocking-resources"] = blocking
		}
		return out, nil
	}
}
