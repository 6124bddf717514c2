package newguest

import (
	"strings"

	"github.com/pve-mcp/pve-mcp/pve"
)

// DHCPFor returns what lets the NICs of a VM ask DHCP for their addresses, of which its drive for
// cloud-init says nothing: PVE sets up no address there otherwise.
func DHCPFor(config pve.GuestConfig) map[string]string {
	out := map[string]string{}
	for _, n := range config.NICs(pve.QEMU) {
		if key := "ipconfig" + strings.TrimPrefix(n.Key, "net"); config.Values[key] == "" {
			out[key] = "ip=dhcp"
		}
	}
	return out
}
