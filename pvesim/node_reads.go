package pvesim

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"
)

// service is a service of systemd that PVE tells of.
type service struct {
	name, desc string
	since      int // the major version of PVE
}

var services = []service{
	{"chrony", "chrony, an NTP client/server", 0},
	{"corosync", "Corosync Cluster Engine", 0},
	{"cron", "Regular background program processing daemon", 0},
	{"ksmtuned", "Kernel Samepage Merging (KSM) Tuning Daemon", 0},
	{"lxcfs", "FUSE filesystem for LXC", 9},
	{"postfix", "Postfix Mail Transport Agent", 0},
	{"proxmox-firewall", "Proxmox nftables firewall", 9},
	{"pve-cluster", "The Proxmox VE cluster filesystem", 0},
	{"pve-firewall", "Proxmox VE firewall", 0},
	{"pve-ha-crm", "PVE Cluster HA Resource Manager Daemon", 0},
	{"pve-ha-lrm", "PVE Local HA Resource Manager Daemon", 0},
	{"pve-lxc-syscalld", "Proxmox VE LXC Syscall Daemon", 9},
	{"pvedaemon", "PVE API Daemon", 0},
	{"pvefw-logger", "Proxmox VE firewall logger", 0},
	{"pveproxy", "PVE API Proxy Server", 0},
	{"pvescheduler", "Proxmox VE scheduler", 0},
	{"pvestatd", "PVE Status Daemon", 0},
	{"qmeventd", "PVE Qemu Event Daemon", 9},
	{"spiceproxy", "PVE SPICE Proxy Server", 0},
	{"sshd", "OpenBSD Secure Shell server", 0},
	{"syslog", "System Logging Service", 0},
	{"systemd-journald", "Journal Service", 0},
	{"systemd-timesyncd", "Network Time Synchronization", 0},
}

// serviceFields tells of a service. chrony takes the place of timesyncd and the journal that
// of syslog; corosync runs in a cluster.
func (c *call) serviceFields(s service) map[string]any {
	out := map[string]any{
		"service": s.name, "name": s.name, "desc": s.desc, "state": "running", "active-state": "active", "unit-state": "enabled",
	}
	switch {
	case s.name == "systemd-timesyncd", s.name == "syslog":
		out["state"], out["active-state"], out["unit-state"] = "dead", "inactive", "not-found"
	case slices.Contains(c.node.FailedServices, s.name):
		out["state"], out["active-state"] = "failed", "failed"
	case c.node.stopped(s.name), s.name == "corosync" && c.model.Cluster == "":
		out["state"], out["active-state"] = "dead", "inactive"
	}
	return out
}

func listServices(c *call) (any, error) {
	out := []any{}
	for _, s := range services {
		if c.node.version.major >= s.since {
			out = append(out, c.serviceFields(s))
		}
	}
	return out, nil
}

func getService(c *call) (any, error) {
	i := slices.IndexFunc(services, func(s service) bool { return s.name == c.str("service") })
	return c.serviceFields(services[i]), nil // PVE's description lists their names
}

// getNetstat are the counters of the guests' network cards, which PVE sends as text.
func getNetstat(c *call) (any, error) {
	out := []any{}
	for _, id := range c.order {
		g := c.guests[id]
		if g.Node != c.node.Name || !g.now.running {
			continue
		}
		u := c.usage(g, g.now, c.now)
		for _, key := range sortedKeys(g.Config) {
			if withoutIndex(key) == "net" {
				out = append(out, map[string]any{
					"vmid": strconv.Itoa(id), "dev": key, "in": strconv.FormatInt(u.netIn, 10), "out": strconv.FormatInt(u.netOut, 10),
				})
			}
		}
	}
	return out, nil
}

// getSubscription tells of the node's subscription. Whose the node is, only those learn who
// may audit it.
func getSubscription(c *call) (any, error) {
	sub, audits := c.node.Subscription, c.may("/nodes/"+c.node.Name, "Sys.Audit")
	out := map[string]any{
		"status": "notfound", "message": "There is no subscription key", "url": "https://www.proxmox.com/en/proxmox-virtual-environment/pricing",
	}
	if sub.Status != "" {
		out["status"], out["message"] = sub.Status, sub.Message
	}
	if !audits {
		return out, nil
	}
	out["serverid"] = fmt.Sprintf("%016X%016X", hash(c.model.Seed, c.node.Name, "id"), hash(c.model.Seed, c.node.Name, "server"))
	if sub.Status != "" {
		maps.Copy(out, map[string]any{
			"key": cmp.Or(sub.Key, "pve1c-0000000000"), "level": cmp.Or(sub.Level, "c"), "nextduedate": sub.NextDue, "regdate": "2024-01-01 00:00:00",
			"productname": "Proxmox VE Community Subscription 1 CPU/year", "sockets": 1, "checktime": c.now.Add(-12 * time.Hour).Unix(),
		})
	}
	return out, nil
}
