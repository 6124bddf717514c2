package pvesim

import (
	"cmp"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/pvesim/internal/propstring"
)

// theGuest returns the guest that the path names, on the node that it names.
func (c *call) theGuest() (*guest, error) {
	kind := "qemu"
	if strings.HasPrefix(c.ep.Path, "/nodes/{node}/lxc/") {
		kind = "lxc"
	}
	id := c.number("vmid", 0)
	if g := c.guests[id]; g != nil && g.Kind == kind && g.Node == c.str("node") {
		return g, nil
	}
	return nil, noConfig(c.str("node"), kind, id)
}

// noConfig is what PVE says of a guest that a node does not have.
func noConfig(node, kind string, id int) error {
	dir := map[string]string{"qemu": "qemu-server", "lxc": "lxc"}[kind]
	return die("Configuration file 'nodes/%s/%s/%d.conf' does not exist", node, dir, id)
}

// onGuest is a handler about one guest.
func onGuest(do func(c *call, g *guest) (any, error)) handler {
	return func(c *call) (any, error) {
		g, err := c.theGuest()
		if err != nil {
			return nil, err
		}
		return do(c, g)
	}
}

// onGuestOr is a handler about one guest, which says in other words that there is none.
func onGuestOr(none func(c *call) error, do func(c *call, g *guest) (any, error)) handler {
	return func(c *call) (any, error) {
		g, err := c.theGuest()
		if err != nil {
			return nil, none(c)
		}
		return do(c, g)
	}
}

// onGuestOrNothing is a handler about one guest that answers nothing if there is none.
func onGuestOrNothing(do func(c *call, g *guest) (any, error)) handler {
	return func(c *call) (any, error) {
		g, err := c.theGuest()
		if err != nil {
			return nil, nil //nolint:nilerr // PVE looks for its processes, not for its configuration
		}
		return do(c, g)
	}
}

// onGuestIndex is an index of what there is of one guest.
func onGuestIndex(key string) handler {
	list := index(key)
	return onGuest(func(c *call, _ *guest) (any, error) { return list(c) })
}

// noVMHere is what PVE says of a VM that the node does not have if it first looks whether that
// runs.
func noVMHere(c *call) error {
	return die("unable to find configuration file for VM %d on node '%s'", c.number("vmid", 0), c.node.Name)
}

func listGuests(kind string) handler {
	return func(c *call) (any, error) {
		out := []any{}
		for _, id := range c.order {
			g := c.guests[id]
			if g.Kind == kind && g.Node == c.str("node") && c.may(g.path, "VM.Audit") {
				out = append(out, c.brief(g))
			}
		}
		return out, nil
	}
}

// brief are the fields of a guest in a node's list.
func (c *call) brief(g *guest) map[string]any {
	u, st := c.usage(g, g.now, c.now), g.now
	out := map[string]any{
		"vmid": g.VMID, "name": g.name(), "status": "stopped", "cpus": c.cpus(g), "cpu": u.cpu,
		"mem": u.mem, "maxmem": g.maxMem(), "disk": u.disk, "maxdisk": g.maxDisk(),
		"netin": u.netIn, "netout": u.netOut, "uptime": 0,
	}
	for _, key := range []string{"lock", "tags"} {
		if g.Config[key] != "" {
			out[key] = g.Config[key]
		}
	}
	if g.template() {
		out["template"] = 1
	}
	if g.Kind == "qemu" && g.Config["serial0"] != "" {
		out["serial"] = 1
	}
	if st.running {
		out["status"], out["uptime"], out["pid"] = "running", uptime(st.since, c.now), c.pidOf(g)
	}
	nine := c.node.version.major >= 9
	if g.Kind == "lxc" {
		swap := g.intConfig("swap", 512) << 20
		maps.Copy(out, map[string]any{"type": "lxc", "swap": 0, "maxswap": swap, "diskread": u.diskRead, "diskwrite": u.diskWritten})
	} else if nine {
		out["memhost"] = hostMemory(g, u)
	}
	if nine && st.running {
		for _, k := range []string{"cpusome", "cpufull", "iosome", "iofull", "memorysome", "memoryfull"} {
			out["pressure"+k] = g.Pressure[k]
			if g.Kind == "lxc" { // as recorded; a kernel may keep none for containers
				out["pressure"+k] = nil
			}
		}
	}
	return out
}

func uptime(since, now time.Time) int64 { return int64(max(now.Sub(since), 0) / time.Second) }

// pidOf is the process id of a running guest.
func (c *call) pidOf(g *guest) uint64 {
	return 1000 + hash(c.model.Seed, g.VMID, g.now.since.Unix())%30000
}

// hostMemory is what a VM takes on its host: a bit more than it uses itself.
func hostMemory(g *guest, u usage) int64 {
	if u.mem == 0 {
		return 0
	}
	return u.mem + g.maxMem()/20
}

func guestStatus(c *call, g *guest) (any, error) {
	out := c.brief(g)
	out["ha"] = c.haOf(g)
	if g.Kind == "lxc" {
		return out, nil
	}
	if g.agentOn() {
		out["agent"] = 1
	}
	if balloon := g.intConfig("balloon", 0); balloon > 0 {
		out["balloon_min"], out["shares"] = balloon<<20, g.intConfig("shares", 1000)
	}
	out["qmpstatus"] = "stopped"
	if g.now.running {
		maps.Copy(out, c.monitor(g))
	}
	return out, nil
}

// agentOn reports whether an agent is configured, which is not alive.
func (g *guest) agentOn() bool {
	agent, _, _ := strings.Cut(g.Config["agent"], ",")
	return strings.TrimPrefix(agent, "enabled=") == "1"
}

// monitor are the fields that QEMU itself answers. The balloon driver of a system
// that is up tells more of the memory.
func (c *call) monitor(g *guest) map[string]any {
	u := c.usage(g, g.now, c.now)
	nics, drives := map[string]any{}, map[string]any{}
	for key, value := range g.Config {
		if index, ok := strings.CutPrefix(key, "net"); ok {
			nics["tap"+strconv.Itoa(g.VMID)+"i"+index] = map[string]any{"netin": u.netIn, "netout": u.netOut}
		}
		if propstring.IsDriveKey(g.Kind, key) && withoutIndex(key) != "unused" {
			drives[key] = c.blockStat(g, key, value, u)
		}
	}
	support := map[string]any{"pbs-library-version": "1.5.1 (stub)"}
	for _, feature := range []string{
		"query-bitmap-info", "pbs-dirty-bitmap", "pbs-dirty-bitmap-savevm", "pbs-dirty-bitmap-migration", "pbs-masterkey", "backup-max-workers",
	} {
		support[feature] = true
	}
	out := map[string]any{
		"qmpstatus": cmp.Or(g.now.qmp, "running"), "diskread": u.diskRead, "diskwrite": u.diskWritten,
		"balloon": g.maxMem(), "ballooninfo": map[string]any{"actual": g.maxMem(), "max_mem": g.maxMem()},
		"running-machine": c.runningMachine(), "running-qemu": c.node.version.qemu(),
		"blockstat": drives, "proxmox-support": support,
	}
	if len(nics) > 0 {
		out["nics"] = nics
	}
	if g.Config["balloon"] == "0" { // the VM has no balloon
		delete(out, "balloon")
		delete(out, "ballooninfo")
		return out
	}
	if c.booted(g, c.now) {
		out["freemem"] = g.maxMem() - u.mem
		maps.Copy(out["ballooninfo"].(map[string]any), map[string]any{
			"total_mem": g.maxMem(), "free_mem": g.maxMem() - u.mem, "last_update": c.now.Unix(), "mem_swapped_in": 0, "mem_swapped_out": 0,
			"major_page_faults": 0, "minor_page_faults": 0,
		})
	}
	return out
}

// runningMachine is the type of machine that a running VM is.
func (c *call) runningMachine() string { return "pc-i440fx-" + c.node.version.machine() + "+pve0" }

// blockStat are QEMU's counters of a drive. It tells how long a drive has been idle
// once that was used: the one to boot from at once, the others a moment later.
func (c *call) blockStat(g *guest, key, drive string, u usage) map[string]any {
	out := map[string]any{"account_invalid": true, "account_failed": true, "timed_stats": []any{}, "wr_highest_offset": 0}
	for _, what := range []string{"rd", "wr", "unmap"} {
		for _, field := range []string{what + "_bytes", what + "_operations", what + "_merged", what + "_total_time_ns"} {
			out[field] = 0
		}
	}
	for _, what := range []string{"rd", "wr", "unmap", "flush"} {
		out["failed_"+what+"_operations"], out["invalid_"+what+"_operations"] = 0, 0
	}
	out["flush_operations"], out["flush_total_time_ns"] = 0, 0
	if !propstring.IsCDROM(drive) {
		out["rd_bytes"], out["wr_bytes"] = u.diskRead, u.diskWritten
	}
	first, _, _ := strings.Cut(strings.TrimPrefix(g.Config["boot"], "order="), ";")
	if up := c.now.Sub(g.now.since); up >= 2*time.Second || key == first && !g.now.warm {
		out["idle_time_ns"] = int64(up / 2)
	}
	return out
}

// interfaces are what a guest reports of its network.
func (c *call) interfaces(g *guest) (names, macs []string, ips [][]string) {
	names, macs, ips = []string{"lo"}, []string{"00:00:00:00:00:00"}, [][]string{{"127.0.0.1/8", "::1/128"}}
	all := c.addresses(g, c.now)
	if all == nil {
		ips[0] = nil
	}
	for i, mac := range g.macs() {
		key := strconv.Itoa(i)
		name := "eth" + key
		if g.Kind == "lxc" { // whose configuration names it
			name = cmp.Or(propstring.Get(g.Config["net"+key], "name"), name)
		}
		names, macs, ips = append(names, name), append(macs, strings.ToLower(mac)), append(ips, nil)
		if all != nil {
			ips[i+1] = all[i]
		}
	}
	return names, macs, ips
}

func macOf(net string) string {
	for part := range strings.SplitSeq(net, ",") {
		if _, mac, ok := strings.Cut(part, "="); ok && strings.Count(mac, ":") == 5 {
			return mac
		}
	}
	return ""
}

func containerInterfaces(c *call, g *guest) (any, error) {
	if !g.now.running {
		return nil, nil
	}
	names, macs, ips := c.interfaces(g)
	out := []any{}
	for i, name := range names {
		addresses := []any{}
		item := map[string]any{"name": name, "hwaddr": macs[i]}
		if c.node.version.atLeast(8, 4) {
			item["hardware-address"] = macs[i]
		}
		for _, cidr := range ips[i] {
			ip, prefix, _ := strings.Cut(cidr, "/")
			family := "inet"
			if strings.Contains(ip, ":") {
				family = "inet6"
			}
			item[family] = cidr
			addresses = append(addresses, map[string]any{"ip-address": ip, "ip-address-type": family, "prefix": prefix})
		}
		if c.node.version.atLeast(8, 4) {
			item["ip-addresses"] = addresses
		}
		out = append(out, item)
	}
	return out, nil
}
