package pvesim

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"time"
)

func getClusterStatus(c *call) (any, error) {
	out := []any{}
	online := 0
	for i, n := range c.nodes {
		item := map[string]any{
			"type": "node", "id": "node/" + n.Name, "name": n.Name, "nodeid": i + 1,
			"level": "", "local": bit(n == c.receiver), "online": bit(!n.Offline),
		}
		if c.model.Cluster == "" {
			item["nodeid"] = 0
		}
		if !n.Offline {
			item["ip"] = n.IP
			online++
		}
		out = append(out, item)
	}
	if c.model.Cluster != "" {
		out = append(out, map[string]any{
			"type": "cluster", "id": "cluster", "name": c.model.Cluster, "version": len(c.nodes),
			"nodes": len(c.nodes), "quorate": bit(online*2 > len(c.nodes) || len(c.nodes) == 2),
		})
	}
	return out, nil
}

func getResources(c *call) (any, error) {
	out := []any{}
	want := func(kind string) bool { return c.str("type") == "" || c.str("type") == kind }
	if c.str("type") == "" {
		out = append(out, c.poolResources()...)
	}
	if want("vm") {
		for _, id := range c.order {
			if c.may(aclPath(id), "VM.Audit") {
				out = append(out, c.guestResource(c.guests[id]))
			}
		}
	}
	if want("node") {
		for _, n := range c.nodes {
			out = append(out, c.nodeResource(n))
		}
	}
	if want("storage") {
		out = append(out, c.storageResources()...)
	}
	if want("sdn") {
		out = append(out, c.zoneResources()...)
	}
	return out, nil
}

// guestResource shows a guest as of the last broadcast; of one that is newer
// nothing but its id is known. What stands in its configuration is known at once.
func (c *call) guestResource(g *guest) map[string]any {
	out := map[string]any{"status": "unknown"}
	if n := c.nodeNamed(g.Node); !g.fresh && !c.forgotten(n) {
		out = c.seen(g, n)
	}
	out["id"], out["type"], out["vmid"], out["node"] = fmt.Sprintf("%s/%d", g.Kind, g.VMID), g.Kind, g.VMID, g.Node
	for _, key := range []string{"lock", "tags"} {
		if g.Config[key] != "" {
			out[key] = g.Config[key]
		}
	}
	if pools := c.poolsWith[aclPath(g.VMID)]; len(pools) > 0 && c.may("/pool/"+pools[0], "Pool.Audit") {
		out["pool"] = pools[0]
	}
	if g.managed() && !c.now.Before(g.queued) {
		out["hastate"] = g.HA
	}
	return out
}

// forgotten reports whether the cluster no longer has what a node broadcast.
func (c *call) forgotten(n *node) bool { return n.unheard || c.now.Sub(n.aired) > 5*time.Minute }

// seen is what node n said of a guest of its own when it was last heard.
func (c *call) seen(g *guest, n *node) map[string]any {
	st := g.seen
	u := c.usage(g, st, n.aired)
	out := map[string]any{
		"name": g.name(), "status": "stopped", "template": bit(g.template()), "uptime": 0,
		"cpu": u.cpu, "maxcpu": c.cpus(g), "mem": u.mem, "maxmem": g.maxMem(), "disk": u.disk, "maxdisk": g.maxDisk(),
		"netin": u.netIn, "netout": u.netOut, "diskread": u.diskRead, "diskwrite": u.diskWritten,
	}
	if st.running {
		out["status"], out["uptime"] = cmp.Or(st.qmp, "running"), uptime(st.since, n.aired)
	}
	if c.node.version.major >= 9 && g.Kind == "qemu" {
		out["memhost"] = hostMemory(g, u)
	}
	return out
}

func (c *call) nodeResource(n *node) map[string]any {
	out := map[string]any{"id": "node/" + n.Name, "type": "node", "node": n.Name, "status": "online", "level": "", "cgroup-mode": 2}
	if n.Offline {
		out = map[string]any{"id": "node/" + n.Name, "type": "node", "node": n.Name, "status": "offline"}
	}
	if c.haUsed && c.node.version.atLeast(8, 3) {
		out["hastate"] = map[bool]string{false: "online", true: "unknown"}[n.Offline]
	}
	if n.Offline {
		return out
	}
	if c.may("/nodes/"+n.Name, "Sys.Audit") {
		cpu, mem := c.load(n, n.aired)
		out["cpu"], out["maxcpu"], out["mem"], out["maxmem"] = cpu, n.CPUs, mem, n.Memory
		out["disk"], out["maxdisk"], out["uptime"] = n.Disk/5, n.Disk, uptime(n.booted, c.now)
	}
	return out
}

func getNodes(c *call) (any, error) {
	out := []any{}
	for _, n := range c.nodes {
		item := c.nodeResource(n)
		delete(item, "cgroup-mode")
		delete(item, "hastate")
		item["ssl_fingerprint"] = n.fingerprint
		out = append(out, item)
	}
	return out, nil
}

func getNodeStatus(c *call) (any, error) {
	n := c.node
	cpu, mem := c.load(n, c.now)
	kernel := n.version.kernel()
	memory := map[string]any{"total": n.Memory, "used": mem, "free": n.Memory - mem}
	boot := map[string]any{"mode": "efi", "secureboot": 0}
	if n.BIOS {
		boot = map[string]any{"mode": "legacy-bios"}
	}
	cpuinfo := map[string]any{
		"cpus": n.CPUs, "cores": n.CPUs, "sockets": 1, "model": "AMD EPYC 7302P 16-Core Processor",
		"mhz": "3000.000", "hvm": "1", "flags": "fpu vme de pse", "user_hz": 100,
	}
	if n.version.major >= 9 {
		memory["available"] = n.Memory - mem
		cpuinfo["family"], cpuinfo["vendor"] = "6", "GenuineIntel"
	}
	return map[string]any{
		"uptime": uptime(n.booted, c.now), "idle": 0, "cpu": cpu, "wait": cpu / 50,
		"loadavg": []string{oneLoad(cpu, n, 1), oneLoad(cpu, n, 0.9), oneLoad(cpu, n, 0.8)},
		"memory":  memory, "swap": map[string]any{"total": 0, "used": 0, "free": 0}, "ksm": map[string]any{"shared": 0},
		"rootfs":         map[string]any{"total": n.Disk, "used": n.Disk / 5, "free": n.Disk - n.Disk/5, "avail": n.Disk - n.Disk/4},
		"cpuinfo":        cpuinfo,
		"kversion":       "Linux " + kernel + " #1 SMP PREEMPT_DYNAMIC",
		"current-kernel": map[string]any{"release": kernel, "sysname": "Linux", "machine": "x86_64", "version": "#1 SMP PREEMPT_DYNAMIC"},
		"boot-info":      boot,
		"pveversion":     "pve-manager/" + n.version.text + "/" + n.version.repoID(),
	}, nil
}

func oneLoad(cpu float64, n *node, factor float64) string {
	return strconv.FormatFloat(cpu*float64(n.CPUs)*factor, 'f', 2, 64)
}

func (c *call) storageResources() []any {
	out := []any{}
	for i := range c.storages {
		st := &c.storages[i]
		for _, n := range c.nodes {
			if !st.Disabled && st.on(n.Name) && c.may("/storage/"+st.ID, "Datastore.Audit") {
				out = append(out, c.storageResource(st, n))
			}
		}
	}
	return out
}

// storageResource shows a storage as its node broadcasts it, which it does while
// the storage works.
func (c *call) storageResource(st *Storage, n *node) map[string]any {
	item := map[string]any{
		"id": "storage/" + n.Name + "/" + st.ID, "type": "storage", "storage": st.ID, "node": n.Name, "status": "unknown",
		"plugintype": st.Type, "content": st.Content, "shared": bit(st.everywhere()),
	}
	if !c.forgotten(n) && st.Broken == "" {
		item["status"], item["disk"], item["maxdisk"] = "available", c.taken(st, n.Name), st.Size
	}
	return item
}

func (st Storage) on(node string) bool { return len(st.Nodes) == 0 || slices.Contains(st.Nodes, node) }

func (c *call) poolResources() []any {
	out := []any{}
	for _, p := range c.pools {
		if !c.may("/pool/"+p.ID, "Pool.Audit") {
			continue
		}
		var cpus, mem, maxmem, up int64
		for _, id := range p.VMIDs {
			g := c.guests[id]
			if g == nil || !g.seen.running {
				continue
			}
			n := c.nodeNamed(g.Node)
			if c.forgotten(n) {
				continue
			}
			cpus += c.cpus(g)
			mem += c.usage(g, g.seen, n.aired).mem
			maxmem += g.maxMem()
			up = max(up, uptime(g.seen.since, n.aired))
		}
		out = append(out, map[string]any{
			"id": "/pool/" + p.ID, "type": "pool", "pool": p.ID, "cpu": 0, "maxcpu": cpus, "mem": mem, "maxmem": maxmem, "uptime": up,
		})
	}
	return out
}

func (c *call) zoneResources() []any {
	out := []any{}
	for _, n := range c.nodes {
		if !c.may("/sdn/zones/localnetwork", "SDN.Audit") {
			continue
		}
		if c.node.version.atLeast(9, 1) {
			out = append(out, map[string]any{
				"id": "network/" + n.Name + "/zone/localnetwork", "type": "network", "network": "localnetwork",
				"network-type": "zone", "node": n.Name, "status": "ok",
			})
			continue
		}
		out = append(out, map[string]any{"id": "sdn/" + n.Name + "/localnetwork", "type": "sdn", "sdn": "localnetwork", "node": n.Name, "status": "ok"})
	}
	return out
}

// getNextID answers with a string, as Perl makes of a number that was a key.
func getNextID(c *call) (any, error) {
	if wanted := c.str("vmid"); wanted != "" {
		if c.guests[c.number("vmid", 0)] != nil {
			return nil, badParam("vmid", "VM %s already exists", wanted)
		}
		return wanted, nil
	}
	for id := 100; ; id++ {
		if c.guests[id] == nil {
			return strconv.Itoa(id), nil
		}
	}
}

func getNodeTime(c *call) (any, error) {
	return map[string]any{"time": c.now.Unix(), "localtime": c.now.Unix(), "timezone": time.UTC.String()}, nil
}
