package pvesim

import (
	"cmp"
	"slices"
	"strconv"
	"time"
)

func getClusterStatus(c *call) (any, error) {
	out := []any{}
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
		}
		out = append(out, item)
	}
	if c.model.Cluster != "" {
		out = append(out, map[string]any{
			"type": "cluster", "id": "cluster", "name": c.model.Cluster, "version": len(c.nodes),
			"nodes": len(c.nodes), "quorate": bit(c.quorate()),
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
			if g := c.guests[id]; c.may(g.path, "VM.Audit") {
				out = append(out, c.guestResource(g))
			}
		}
	}
	if want("node") {
		guests := c.byNode()
		for _, n := range c.nodes {
			out = append(out, c.nodeResource(n, guests[n.Name]))
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

// guestRow is a guest in /cluster/resources. It is a struct because there may be
// 10,000 of them.
type guestRow struct {
	ID     string `json:"id"`
	Type   string `json:"type"`
	VMID   int    `json:"vmid"`
	Node   string `json:"node"`
	Status string `json:"status"`
	*announcedFields
	Lock    string `json:"lock,omitempty"`
	Tags    string `json:"tags,omitempty"`
	Pool    string `json:"pool,omitempty"`
	HAState string `json:"hastate,omitempty"`
}

// announcedFields is what a node broadcasts of a guest.
type announcedFields struct {
	Name      string  `json:"name"`
	Template  int     `json:"template"`
	Uptime    int64   `json:"uptime"`
	CPU       float64 `json:"cpu"`
	MaxCPU    int64   `json:"maxcpu"`
	Mem       int64   `json:"mem"`
	MaxMem    int64   `json:"maxmem"`
	MemHost   *int64  `json:"memhost,omitempty"`
	Disk      int64   `json:"disk"`
	MaxDisk   int64   `json:"maxdisk"`
	NetIn     int64   `json:"netin"`
	NetOut    int64   `json:"netout"`
	DiskRead  int64   `json:"diskread"`
	DiskWrite int64   `json:"diskwrite"`
}

// guestResource shows a guest as of the last broadcast. Of a newer one, only its id is
// known, or the state of the guest that had this id before. The parts of its configuration
// are known at once.
func (c *call) guestResource(g *guest) guestRow {
	row := guestRow{
		ID: g.Kind + "/" + g.path[len("/vms/"):], Type: g.Kind, VMID: g.VMID, Node: g.Node, Status: "unknown",
		Lock: g.Config["lock"], Tags: g.Config["tags"],
	}
	heard := g
	if g.isNew {
		heard = c.removedGuests[g.VMID]
	}
	if n := c.nodeNamed(g.Node); heard != nil && !c.isForgotten(n) && (heard == g || c.now.Sub(heard.lastAnnounced) <= broadcastLasts) {
		row.announcedFields, row.Status = c.announcedOf(heard, n), "stopped"
		if heard.announced.running {
			row.Status = cmp.Or(heard.announced.qmp, "running")
		}
	}
	if pools := c.poolsWith[g.path]; len(pools) > 0 && c.may("/pool/"+pools[0], "Pool.Audit") {
		row.Pool = pools[0]
	}
	if g.managed() && !c.now.Before(g.queued) {
		row.HAState = g.haState()
	}
	return row
}

// isForgotten reports whether the cluster no longer has what a node broadcast.
func (c *call) isForgotten(n *node) bool {
	return n.neverHeard || c.now.Sub(n.heardAt) > broadcastLasts
}

// broadcastLasts is how long the cluster keeps what a node broadcast.
const broadcastLasts = 5 * time.Minute

// announcedOf is what node n said of a guest of its own when it was last heard.
func (c *call) announcedOf(g *guest, n *node) *announcedFields {
	st := g.announced
	u := c.usage(g, st, n.heardAt)
	out := &announcedFields{
		Name: g.announcedName, Template: bit(g.template()), CPU: u.cpu, MaxCPU: c.cpus(g), Mem: u.mem, MaxMem: g.maxMem(), Disk: u.disk,
		MaxDisk: g.maxDisk(), NetIn: u.netIn, NetOut: u.netOut, DiskRead: u.diskRead, DiskWrite: u.diskWritten,
	}
	if st.running {
		out.Uptime = uptime(st.since, n.heardAt)
	}
	if c.node.version.major >= 9 && g.Kind == "qemu" {
		mem := hostMemory(g, u)
		out.MemHost = &mem
	}
	return out
}

func (c *call) nodeResource(n *node, guests []*guest) map[string]any {
	out := map[string]any{"id": "node/" + n.Name, "type": "node", "node": n.Name, "status": "online", "level": "", "cgroup-mode": 2}
	if n.Offline {
		out = map[string]any{"id": "node/" + n.Name, "type": "node", "node": n.Name, "status": "offline"}
	}
	if c.haUsed && c.node.version.atLeast(8, 3) {
		out["hastate"] = c.haNodeState(n)
	}
	if n.Offline {
		return out
	}
	if n.StatusHangs && c.isForgotten(n) {
		out["status"] = "unknown"
		delete(out, "level")
		return out
	}
	if c.may("/nodes/"+n.Name, "Sys.Audit") {
		cpu, mem := c.load(n, guests, n.heardAt)
		out["cpu"], out["maxcpu"], out["mem"], out["maxmem"] = cpu, n.CPUs, mem, n.Memory
		out["disk"], out["maxdisk"], out["uptime"] = n.rootUsed(), n.Disk, uptime(n.booted, c.now)
	}
	return out
}

func getNodes(c *call) (any, error) {
	out, guests := []any{}, c.byNode()
	for _, n := range c.nodes {
		item := c.nodeResource(n, guests[n.Name])
		delete(item, "cgroup-mode")
		delete(item, "hastate")
		item["ssl_fingerprint"] = n.fingerprint
		out = append(out, item)
	}
	return out, nil
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
	if !c.isForgotten(n) && st.broken(n.Name) == "" {
		item["status"], item["disk"], item["maxdisk"] = "available", c.bytesUsed(st, n.Name), st.size(n.Name)
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
			if g == nil || !g.announced.running {
				continue
			}
			n := c.nodeNamed(g.Node)
			if c.isForgotten(n) {
				continue
			}
			cpus += c.cpus(g)
			mem += c.usage(g, g.announced, n.heardAt).mem
			maxmem += g.maxMem()
			up = max(up, uptime(g.announced.since, n.heardAt))
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
		for _, zone := range c.zoneNames(n.Name) {
			if !c.may("/sdn/zones/"+zone, "SDN.Audit") {
				continue
			}
			row := map[string]any{"id": "sdn/" + n.Name + "/" + zone, "type": "sdn", "sdn": zone}
			if c.node.version.atLeast(9, 1) {
				row = map[string]any{"id": "network/" + n.Name + "/zone/" + zone, "type": "network", "network": zone, "network-type": "zone"}
			}
			row["node"], row["status"] = n.Name, "ok"
			out = append(out, row)
		}
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
