package pvesim_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/pve-mcp/pve-mcp/pvesim"
)

// thing is what the reference model knows of a guest.
type thing struct {
	kind      string
	state     string // stopped, running, paused, or suspended (to disk)
	name      string
	template  bool
	protected bool
	snaps     map[string]thing // the guest then
}

func (g *thing) up() bool     { return g.state == "running" || g.state == "paused" }
func (g *thing) locked() bool { return g.state == "suspended" }

// power is what a verb makes of a guest's state, "" if PVE refuses.
func (g *thing) power(verb string) string {
	ct := g.kind == "lxc"
	switch verb {
	case "start":
		if !g.template && !g.up() {
			return "running"
		}
	case "shutdown":
		if g.up() && !ct { // no system is on its disk that would hear of it
			return ""
		}
		return g.power("stop")
	case "stop", "shutdown?forceStop=1":
		if g.up() || !ct {
			return map[bool]string{true: "stopped", false: g.state}[g.up()]
		}
	case "reset":
		if g.up() && !ct {
			return g.state
		}
	case "suspend":
		if g.up() && !ct {
			return "paused"
		}
	case "suspend?todisk=1":
		if g.up() && !ct {
			return "suspended"
		}
	case "resume":
		if (g.up() || g.locked()) && !ct {
			return "running"
		}
	}
	return ""
}

// reference is a cluster as a tester of it would note it down.
type reference struct {
	w      *world
	guests map[int]*thing
}

func (r *reference) path(id int) string {
	kind := "qemu"
	if g := r.guests[id]; g != nil {
		kind = g.kind
	}
	return fmt.Sprintf("/nodes/pve/%s/%d", kind, id)
}

// expect asks, and wants a success or a refusal.
func (r *reference) expect(t *rapid.T, ok bool, method, target string) {
	t.Helper()
	got := r.w.answer(method, target)
	if (got == "OK" || got == "null") != ok {
		t.Fatalf("%s %s: %s, want success %v", method, target, got, ok)
	}
	r.w.clock.Advance(2 * time.Second) // a guest that reboots is up again
}

// actions are what may happen, each to a guest that may be there or not.
func (r *reference) actions() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"create VM":       r.createVM,
		"create CT":       r.createCT,
		"destroy":         r.destroy,
		"power":           r.changePower,
		"rename":          r.rename,
		"protect":         func(t *rapid.T) { r.configure(t, "protection", "1", func(g *thing) { g.protected = true }) },
		"unprotect":       func(t *rapid.T) { r.configure(t, "protection", "0", func(g *thing) { g.protected = false }) },
		"snapshot":        r.takeSnapshot,
		"rollback":        r.rollBack,
		"delete snapshot": r.deleteSnapshot,
		"clone":           r.clone,
		"template":        r.makeTemplate,
		"":                r.compare,
	}
}

func drawID(t *rapid.T, label string) int { return rapid.IntRange(100, 105).Draw(t, label) }

func drawName(t *rapid.T) string {
	return rapid.SampledFrom([]string{"alpha", "beta", "gamma"}).Draw(t, "name")
}

func drawSnapshot(t *rapid.T) string {
	return rapid.SampledFrom([]string{"one", "two", "three"}).Draw(t, "snapshot")
}

func (r *reference) createVM(t *rapid.T) {
	id, name := drawID(t, "id"), drawName(t)
	r.expect(t, r.guests[id] == nil, "POST", fmt.Sprintf("/nodes/pve/qemu?vmid=%d&name=%s&scsi0=local-lvm:2", id, name))
	if r.guests[id] == nil {
		r.guests[id] = &thing{kind: "qemu", state: "stopped", name: name, snaps: map[string]thing{}}
	}
}

func (r *reference) createCT(t *rapid.T) {
	id, name := drawID(t, "id"), drawName(t)
	r.expect(t, r.guests[id] == nil, "POST", fmt.Sprintf("/nodes/pve/lxc?vmid=%d&hostname=%s&rootfs=local-lvm:2&ostemplate=%s", id, name, template(r.w.model)))
	if r.guests[id] == nil {
		r.guests[id] = &thing{kind: "lxc", state: "stopped", name: name, snaps: map[string]thing{}}
	}
}

func (r *reference) destroy(t *rapid.T) {
	id := drawID(t, "id")
	g := r.guests[id]
	ok := g != nil && !g.up() && !g.protected
	r.expect(t, ok, "DELETE", r.path(id))
	if ok {
		delete(r.guests, id)
	}
}

func (r *reference) changePower(t *rapid.T) {
	id, verb := drawID(t, "id"), rapid.SampledFrom([]string{"start", "start", "start", "stop", "shutdown", "shutdown?forceStop=1", "reset", "suspend", "suspend?todisk=1", "resume"}).Draw(t, "verb")
	g := r.guests[id]
	if g != nil && g.kind == "lxc" && strings.Contains("reset suspend?todisk=1 resume", verb) {
		t.Skip("not of containers")
	}
	next := ""
	if g != nil {
		next = g.power(verb)
	}
	r.expect(t, next != "", "POST", r.path(id)+"/status/"+verb)
	if next != "" {
		g.state = next
	}
}

func (r *reference) rename(t *rapid.T) {
	name := drawName(t)
	id := drawID(t, "id")
	g, key := r.guests[id], "name"
	if g != nil && g.kind == "lxc" {
		key = "hostname"
	}
	ok := g != nil && !g.locked()
	r.expect(t, ok, "PUT", r.path(id)+"/config?"+key+"="+name)
	if ok {
		g.name = name
	}
}

// configure gives a key of a configuration a value, and notes by set what that changes.
func (r *reference) configure(t *rapid.T, key, value string, set func(*thing)) {
	id := drawID(t, "id")
	g := r.guests[id]
	ok := g != nil && !g.locked()
	r.expect(t, ok, "PUT", r.path(id)+"/config?"+key+"="+value)
	if ok {
		set(g)
	}
}

func (r *reference) takeSnapshot(t *rapid.T) {
	id, snap := drawID(t, "id"), drawSnapshot(t)
	g := r.guests[id]
	ok := g != nil && !g.template && !g.locked()
	if ok {
		_, taken := g.snaps[snap]
		ok = !taken
	}
	r.expect(t, ok, "POST", r.path(id)+"/snapshot?snapname="+snap)
	if ok {
		g.snaps[snap] = *g
	}
}

func (r *reference) rollBack(t *rapid.T) {
	id, snap := drawID(t, "id"), drawSnapshot(t)
	g := r.guests[id]
	ok := g != nil && !g.locked() && g.snaps[snap].kind != ""
	r.expect(t, ok, "POST", r.path(id)+"/snapshot/"+snap+"/rollback")
	if ok {
		g.name, g.protected, g.state = g.snaps[snap].name, g.snaps[snap].protected, "stopped"
	}
}

func (r *reference) deleteSnapshot(t *rapid.T) {
	id, snap := drawID(t, "id"), drawSnapshot(t)
	g := r.guests[id]
	ok := g != nil && !g.locked() && g.snaps[snap].kind != ""
	r.expect(t, ok, "DELETE", r.path(id)+"/snapshot/"+snap)
	if ok {
		delete(g.snaps, snap)
	}
}

func (r *reference) clone(t *rapid.T) {
	id, to, name := drawID(t, "id"), drawID(t, "to"), drawName(t)
	g := r.guests[id]
	if g == nil || g.kind == "lxc" {
		t.Skip("VMs only")
	}
	ok := r.guests[to] == nil && !g.locked()
	r.expect(t, ok, "POST", fmt.Sprintf("%s/clone?newid=%d&full=1&name=%s", r.path(id), to, name))
	if ok {
		r.guests[to] = &thing{kind: g.kind, state: "stopped", name: name, protected: g.protected && !g.template, snaps: map[string]thing{}}
	}
}

func (r *reference) makeTemplate(t *rapid.T) {
	id := drawID(t, "id")
	g := r.guests[id]
	if g == nil || g.kind == "lxc" {
		t.Skip("VMs only")
	}
	ok := g.state == "stopped" && len(g.snaps) == 0 && !g.template
	r.expect(t, ok, "POST", r.path(id)+"/template")
	if ok {
		g.template = true
	}
}

// compare looks at everything: guests, their snapshots and their disks.
func (r *reference) compare(t *rapid.T) {
	t.Helper()
	r.w.clock.Advance(10 * time.Second)
	seen := map[int]string{}
	for _, item := range r.w.do("GET", "/cluster/resources", nil).Body.Data.([]any) {
		item := item.(map[string]any)
		if id, ok := item["vmid"].(float64); ok {
			seen[int(id)] = fmt.Sprintf("%v %v %v %v %v", item["type"], item["name"], item["status"], item["lock"], item["template"])
		}
	}
	want, disks := map[int]string{}, []string{}
	for id, g := range r.guests {
		status, lock := g.state, "<nil>"
		if g.locked() {
			status, lock = "stopped", "suspended"
		}
		want[id] = fmt.Sprintf("%s %s %s %s %d", g.kind, g.name, status, lock, map[bool]int{true: 1}[g.template])
		names := []string{"current"}
		for _, s := range r.w.do("GET", r.path(id)+"/snapshot", nil).Body.Data.([]any) {
			names = append(names, s.(map[string]any)["name"].(string))
		}
		slices.Sort(names)
		if known := slices.Sorted(maps.Keys(g.snaps)); !slices.Equal(slices.Compact(names), slices.Compact(slices.Sorted(slices.Values(append(known, "current"))))) {
			t.Fatalf("guest %d has the snapshots %v, want %v", id, names, known)
		}
		disks = append(disks, fmt.Sprint(id))
		if g.locked() {
			disks = append(disks, fmt.Sprint(id)) // its RAM
		}
	}
	if !maps.Equal(seen, want) {
		t.Fatalf("guests: %v, want %v", seen, want)
	}
	var volumes []string
	for _, v := range r.w.do("GET", "/nodes/pve/storage/local-lvm/content", nil).Body.Data.([]any) {
		volumes = append(volumes, fmt.Sprint(v.(map[string]any)["vmid"]))
	}
	slices.Sort(volumes)
	if slices.Sort(disks); !slices.Equal(volumes, disks) {
		t.Fatalf("volumes of the guests %v, want %v", volumes, disks)
	}
}

// Whatever is done in whatever order, the cluster is what a simple model says.
func TestRandomOperations(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := pvesim.Lab()
		m.Guests = nil
		r := &reference{w: newWorld(t, m), guests: map[int]*thing{}}
		rt.Repeat(r.actions())
	})
}
