package pvesim

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"net"
	"net/url"
	"strings"

	"github.com/pve-mcp/pve-mcp/pvesim/internal/propstring"
)

// hasCloudInit reports whether the VM has a drive that PVE fills for cloud-init.
func (g *guest) hasCloudInit() bool {
	for key, drive := range g.Config {
		if propstring.IsDriveKey(g.Kind, key) && propstring.IsCloudInit(drive) {
			return true
		}
	}
	return false
}

// cloudInitSettings are those of the configuration that go into the image and that PVE
// shows as pending until it is made anew.
func (g *guest) cloudInitSettings() map[string]string {
	out := map[string]string{}
	for _, key := range strings.Fields(cloudInitKeys) {
		if value, ok := g.Config[key]; ok {
			out[key] = value
		}
	}
	return out
}

// makeCloudInitImage makes the image of what the configuration says now.
func (g *guest) makeCloudInitImage() {
	if g.hasCloudInit() {
		g.inImage = g.cloudInitSettings()
	}
}

// getCloudInit lists what is in the image and what will be. Only a running VM's can lag
// behind: the image is made anew at each start.
func getCloudInit(c *call, g *guest) (any, error) {
	out, now := []any{}, g.cloudInitSettings()
	was := g.inImage
	if !g.now.running || was == nil {
		was = now
	}
	for _, key := range sortedKeys(now) {
		item := map[string]any{"key": key, "value": c.typed(g, key, now[key])}
		old, ok := was[key]
		if old != now[key] {
			item["pending"] = item["value"]
			delete(item, "value")
			if ok {
				item["value"] = c.typed(g, key, old)
			}
		}
		out = append(out, item)
	}
	for _, key := range sortedKeys(was) {
		if _, ok := now[key]; !ok {
			out = append(out, map[string]any{"key": key, "delete": 1})
		}
	}
	return out, nil
}

// putCloudInit makes the image anew.
func putCloudInit(c *call, g *guest) (any, error) {
	if err := c.awaitLock(g); err != nil {
		return nil, err
	}
	if err := g.unlocked(); err != nil {
		return nil, err
	}
	g.makeCloudInitImage()
	return nil, nil
}

// dumpCloudInit is a file of the image. Only those see the password who may set it.
func dumpCloudInit(c *call, g *guest) (any, error) {
	switch c.str("type") {
	case "meta":
		sum := sha1.Sum([]byte(c.userData(g, true) + c.networkConfig(g)))
		return "instance-id: " + hex.EncodeToString(sum[:]) + "\n", nil
	case "network":
		return c.networkConfig(g), nil
	}
	return c.userData(g, c.may(aclPath(g.VMID), "VM.Config.Cloudinit")), nil
}

// userData is what PVE makes of the configuration.
func (s *state) userData(g *guest, password bool) string {
	host, _, dotted := strings.Cut(g.name(), ".")
	name := g.name()
	if domain := g.Config["searchdomain"]; !dotted && domain != "" {
		name += "." + domain
	}
	out := "#cloud-config\nhostname: " + host + "\nmanage_etc_hosts: true\nfqdn: " + name + "\n"
	user := g.Config["ciuser"]
	if user != "" {
		out += "user: " + user + "\n"
	}
	if user == "root" {
		out += "disable_root: False\n"
	}
	if secret := g.Config["cipassword"]; secret != "" {
		if !password {
			secret = "**********"
		}
		out += "password: " + secret + "\n"
	}
	if keys, err := url.PathUnescape(g.Config["sshkeys"]); err == nil && keys != "" {
		out += "ssh_authorized_keys:\n"
		for key := range strings.SplitSeq(keys, "\n") {
			if strings.TrimSpace(key) != "" {
				out += "  - " + key + "\n"
			}
		}
	}
	out += "chpasswd:\n  expire: False\n"
	if user != "root" {
		out += "users:\n  - default\n"
	}
	if g.Config["ciupgrade"] != "0" {
		out += "package_upgrade: true\n"
	}
	return out
}

// networkConfig is what PVE makes of the network devices that have an ipconfig.
func (s *state) networkConfig(g *guest) string {
	out := "version: 1\nconfig:\n"
	for i, mac := range g.macs() {
		ip := g.Config[fmt.Sprint("ipconfig", i)]
		if ip == "" {
			continue
		}
		out += fmt.Sprintf("    - type: physical\n      name: eth%d\n      mac_address: '%s'\n      subnets:\n", i, strings.ToLower(mac))
		out += subnets(ip)
	}
	out += "    - type: nameserver\n"
	servers, domains := strings.Fields(g.Config["nameserver"]), strings.Fields(g.Config["searchdomain"])
	if len(servers) == 0 {
		servers = s.nameServers(g.Node)
	}
	if search := s.dns(g.Node)["search"]; len(domains) == 0 && search != "" {
		domains = []string{search}
	}
	for _, list := range []struct {
		name  string
		items []string
	}{{"address", servers}, {"search", domains}} {
		if len(list.items) > 0 {
			out += "      " + list.name + ":\n      - '" + strings.Join(list.items, "'\n      - '") + "'\n"
		}
	}
	return out
}

// subnets are the addresses of a network device as its ipconfig gives them.
func subnets(config string) (out string) {
	gateway := func(key string) string {
		if gw := propstring.Get(config, key); gw != "" {
			return "        gateway: '" + gw + "'\n"
		}
		return ""
	}
	switch ip := propstring.Get(config, "ip"); ip {
	case "":
	case "dhcp":
		out += "      - type: dhcp4\n"
	default:
		address, mask := ip, ""
		if ip, network, err := net.ParseCIDR(ip); err == nil {
			address, mask = ip.String(), net.IP(network.Mask).String()
		}
		out += "      - type: static\n        address: '" + address + "'\n        netmask: '" + mask + "'\n" + gateway("gw")
	}
	switch ip := propstring.Get(config, "ip6"); ip {
	case "":
	case "dhcp":
		out += "      - type: dhcp6\n"
	case "auto":
		out += "      - type: ipv6_slaac\n"
	default:
		out += "      - type: static6\n        address: '" + ip + "'\n" + gateway("gw6")
	}
	return out
}

// refuseSecondCloudInit refuses a cloud-init drive of a VM that has one already.
func refuseSecondCloudInit(key string, config map[string]string) error {
	for _, other := range drivesInOrder("qemu", config) {
		if other != key && propstring.IsCloudInit(config[other]) {
			return die("%s - cloud-init drive is already attached at '%s'", key, other)
		}
	}
	return nil
}
