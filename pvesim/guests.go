package pvesim

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
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
	dir := map[string]string{"qemu": "qemu-server", "lxc": "lxc"}[kind]
	return nil, die("Configuration file 'nodes/%s/%s/%d.conf' does not exist", c.str("node"), dir, id)
}

// onGuest is a handler about one guest.
func onGuest(do func(c *call, g *guest) (any, error)) func(*call) (any, error) {
	return func(c *call) (any, error) {
		g, err := c.theGuest()
		if err != nil {
			return nil, err
		}
		return do(c, g)
	}
}

func listGuests(kind string) func(*call) (any, error) {
	return func(c *call) (any, error) {
		out := []any{}
		for _, id := range c.order {
			g := c.guests[id]
			if g.Kind == kind && g.Node == c.str("node") && c.may(aclPath(id), "VM.Audit") {
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
			out["pressure"+k] = 0
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
	out["ha"] = map[string]any{"managed": 0}
	if g.HA != "" {
		out["ha"] = map[string]any{"managed": 1, "state": g.HA}
	}
	if g.Kind == "lxc" {
		return out, nil
	}
	if g.agentOn() {
		out["agent"] = 1
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

// monitor are the fields that QEMU itself answers.
func (c *call) monitor(g *guest) map[string]any {
	u := c.usage(g, g.now, c.now)
	nics := map[string]any{}
	for key := range g.Config {
		if index, ok := strings.CutPrefix(key, "net"); ok {
			nics["tap"+strconv.Itoa(g.VMID)+"i"+index] = map[string]any{"netin": u.netIn, "netout": u.netOut}
		}
	}
	return map[string]any{
		"qmpstatus": cmp.Or(g.now.qmp, "running"), "diskread": u.diskRead, "diskwrite": u.diskWritten, "nics": nics,
		"balloon": g.maxMem(), "freemem": g.maxMem() - u.mem,
		"ballooninfo": map[string]any{
			"actual": g.maxMem(), "max_mem": g.maxMem(), "total_mem": g.maxMem(), "free_mem": g.maxMem() - u.mem,
			"last_update": c.now.Unix(), "mem_swapped_in": 0, "mem_swapped_out": 0,
			"major_page_faults": 0, "minor_page_faults": 0,
		},
		"running-machine": "pc-i440fx-9.2+pve1", "running-qemu": "9.2.0",
		"blockstat": map[string]any{}, "proxmox-support": map[string]any{"query-bitmap-info": true},
	}
}

func guestConfig(c *call, g *guest) (any, error) {
	out := map[string]any{"digest": g.digest()}
	put := c.api().Endpoint("PUT", strings.TrimSuffix(c.ep.Path, "/config")+"/config")
	for _, k := range slices.Sorted(maps.Keys(g.Config)) {
		out[k] = g.Config[k]
		s := c.api().Param(put, k)
		if s == nil || s.Type == "string" {
			continue
		}
		if n, err := strconv.ParseFloat(g.Config[k], 64); err == nil {
			out[k] = n
		}
	}
	return out, nil
}

// interfaces are what a guest reports of its network.
func (g *guest) interfaces() (names, macs []string, ips [][]string) {
	names, macs, ips = []string{"lo"}, []string{"00:00:00:00:00:00"}, [][]string{{"127.0.0.1/8", "::1/128"}}
	for i := 0; g.Config["net"+strconv.Itoa(i)] != ""; i++ {
		names = append(names, "eth"+strconv.Itoa(i))
		macs = append(macs, strings.ToLower(macOf(g.Config["net"+strconv.Itoa(i)])))
		ips = append(ips, nil)
	}
	if len(ips) > 1 {
		ips[1] = g.IPs
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
	names, macs, ips := g.interfaces()
	out := []any{}
	for i, name := range names {
		addresses := []any{}
		item := map[string]any{"name": name, "hwaddr": macs[i], "hardware-address": macs[i]}
		for _, cidr := range ips[i] {
			ip, prefix, _ := strings.Cut(cidr, "/")
			family := "inet"
			if strings.Contains(ip, ":") {
				family = "inet6"
			}
			item[family] = cidr
			addresses = append(addresses, map[string]any{"ip-address": ip, "ip-address-type": family, "prefix": prefix})
		}
		item["ip-addresses"] = addresses
		out = append(out, item)
	}
	return out, nil
}

// withAgent is a handler that asks a VM's guest agent. One that does not answer
// costs the 3 s of a ping.
func withAgent(do func(c *call, g *guest) any) func(*call) (any, error) {
	return onGuest(func(c *call, g *guest) (any, error) {
		switch {
		case g.Config["agent"] == "":
			return nil, die("No QEMU guest agent configured")
		case !g.now.running:
			return nil, die("VM %d is not running", g.VMID)
		case g.AgentDead || g.now.qmp != "" || !g.agentOn():
			return nil, c.after(agentPing, die("QEMU guest agent is not running"))
		}
		return map[string]any{"result": do(c, g)}, nil
	})
}

const agentPing = 3 * time.Second

func agentInterfaces(_ *call, g *guest) any {
	names, macs, ips := g.interfaces()
	out := []any{}
	for i, name := range names {
		addresses := []any{}
		for _, cidr := range ips[i] {
			ip, prefix, _ := strings.Cut(cidr, "/")
			family := "ipv4"
			if strings.Contains(ip, ":") {
				family = "ipv6"
			}
			n, _ := strconv.Atoi(prefix)
			addresses = append(addresses, map[string]any{"ip-address": ip, "ip-address-type": family, "prefix": n})
		}
		statistics := map[string]any{}
		for _, k := range []string{"rx-bytes", "rx-packets", "rx-errs", "rx-dropped", "tx-bytes", "tx-packets", "tx-errs", "tx-dropped"} {
			statistics[k] = 0
		}
		out = append(out, map[string]any{"name": name, "hardware-address": macs[i], "ip-addresses": addresses, "statistics": statistics})
	}
	return out
}
