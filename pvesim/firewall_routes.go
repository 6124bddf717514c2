package pvesim

import (
	"maps"
	"strings"
)

// firewallRoutes are the endpoints of the firewalls of the cluster, nodes and guests.
func firewallRoutes() routes {
	all := routes{
		"GET /cluster/firewall/groups":            {serve: listGroupsOfRules},
		"POST /cluster/firewall/groups":           {serve: createGroupOfRules},
		"DELETE /cluster/firewall/groups/{group}": {serve: deleteGroupOfRules},
		"GET /cluster/firewall/macros":            {serve: listMacros},
	}
	maps.Copy(all, ruleRoutes("/cluster/firewall/groups/{group}"))
	for _, base := range []string{"/cluster/firewall", "/nodes/{node}/firewall", "/nodes/{node}/qemu/{vmid}/firewall", "/nodes/{node}/lxc/{vmid}/firewall"} {
		all["GET "+base] = route{serve: index("name")}
		all["GET "+base+"/options"] = route{serve: getFirewallOptions}
		all["PUT "+base+"/options"] = route{serve: putFirewallOptions}
		maps.Copy(all, ruleRoutes(base+"/rules"))
		if base != "/cluster/firewall" {
			all["GET "+base+"/log"] = route{serve: getFirewallLog}
		}
		if base != "/nodes/{node}/firewall" {
			all["GET "+base+"/refs"] = route{serve: listRefs}
			maps.Copy(all, aliasRoutes(base+"/aliases"))
			maps.Copy(all, ipsetRoutes(base+"/ipset"))
		}
	}
	return all
}

// firewall is one that has rules: that of the cluster, a node or a guest, or a group of rules.
type firewall struct {
	env  string // as PVE calls the kind: cluster, host, vm, ct or group
	file string // below /etc/pve
	list string // the type of the sections that are its rules
}

const clusterFirewall = "firewall/cluster.fw"

func guestFirewall(vmid string) string { return "firewall/" + vmid + ".fw" }

// theFirewall is the one that the call is about.
func (c *call) theFirewall() firewall {
	path := c.ep.Path
	switch {
	case strings.HasPrefix(path, "/cluster/firewall/groups/{group}"):
		return firewall{"group", clusterFirewall, "rule of " + c.str("group")}
	case strings.HasPrefix(path, "/cluster/"):
		return firewall{"cluster", clusterFirewall, "rule"}
	case strings.Contains(path, "/qemu/"):
		return firewall{"vm", guestFirewall(c.str("vmid")), "rule"}
	case strings.Contains(path, "/lxc/"):
		return firewall{"ct", guestFirewall(c.str("vmid")), "rule"}
	}
	return firewall{"host", "nodes/" + c.node.Name + "/host.fw", "rule"}
}

// listDigest is PVE's digest of entries of a firewall.
func listDigest(entries []map[string]any) string {
	var text strings.Builder
	for _, entry := range entries {
		for _, key := range sortedKeys(entry) {
			text.WriteString(key + ":" + optionText(entry[key]) + "\n")
		}
	}
	return sha1Hex(text.String())
}

// withDigest gives entries the digest of all of them.
func withDigest(entries []map[string]any) []map[string]any {
	digest := listDigest(entries)
	out := []map[string]any{}
	for _, entry := range entries {
		entry["digest"] = digest
		out = append(out, entry)
	}
	return out
}

// getFirewallLog tells that nothing was logged.
func getFirewallLog(*call) (any, error) {
	return noLogFile(), nil
}
