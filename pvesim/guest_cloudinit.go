package pvesim

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/pvesim/internal/propstring"
)

// isCloudInitKey reports whether a key of a VM's configuration goes into its
// cloud-init image.
func isCloudInitKey(key string) bool {
	return withoutIndex(key) == "ipconfig" || slices.Contains(strings.Fields(cloudInitKeys), key) || key == "name"
}

// getCloudInit lists what is in the image and what will be.
func getCloudInit(c *call, g *guest) (any, error) {
	out := []any{}
	for _, key := range sortedKeys(g.Config) {
		if isCloudInitKey(key) {
			out = append(out, map[string]any{"key": key, "value": c.typed(g, key, g.Config[key])})
		}
	}
	return out, nil
}

// putCloudInit makes the image anew.
func putCloudInit(c *call, g *guest) (any, error) {
	if err := c.awaitLock(g); err != nil {
		return nil, err
	}
	return nil, g.unlocked()
}

// dumpCloudInit is a file of the image. Only those see the password who may set it.
func dumpCloudInit(c *call, g *guest) (any, error) {
	switch c.str("type") {
	case "meta":
		return fmt.Sprintf("instance-id: %016x\n", hash(g.file())), nil
	case "network":
		out := "version: 1\nconfig:\n"
		for i := 0; g.Config[fmt.Sprint("net", i)] != ""; i++ {
			out += fmt.Sprintf("    - type: physical\n      name: eth%d\n      mac_address: '%s'\n", i, strings.ToLower(macOf(g.Config[fmt.Sprint("net", i)])))
			if ip := propstring.Get(g.Config[fmt.Sprint("ipconfig", i)], "ip"); ip == "dhcp" {
				out += "      subnets:\n      - type: dhcp4\n"
			} else if ip != "" {
				out += fmt.Sprintf("      subnets:\n      - type: static\n        address: '%s'\n", ip)
			}
		}
		return out, nil
	}
	out := "#cloud-config\nhostname: " + g.name() + "\nmanage_etc_hosts: true\nfqdn: " + g.name() + "\n"
	if user := g.Config["ciuser"]; user != "" {
		out += "user: " + user + "\n"
	}
	if password := g.Config["cipassword"]; password != "" {
		if !c.may(aclPath(g.VMID), "VM.Config.Cloudinit") {
			password = "**********"
		}
		out += "password: " + password + "\n"
	}
	return out + "chpasswd:\n  expire: False\nusers:\n  - default\npackage_upgrade: true\n", nil
}
