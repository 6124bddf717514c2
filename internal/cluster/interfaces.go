package cluster

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/lazyregexp"
	"github.com/pve-mcp/pve-mcp/pve"
)

// containerRE matches the names that container engines give bridges and interfaces.
var containerRE = lazyregexp.New(`^(veth|docker|br-[0-9a-f]{12}|podman|cni|cali|flannel|cilium|lxc|lxd|incus|virbr|kube-|weave|nodelocaldns|tunl)`)

// IsForContainers reports whether an interface within a guest is one that container engines
// make.
func IsForContainers(i pve.Interface) bool { return containerRE.MatchString(i.Name) }

// OwnInterfaces returns the interfaces of a guest, first those whose MAC address is in its
// configuration. Of the others it leaves out those for containers.
func OwnInterfaces(list []pve.Interface, nics []pve.NIC) []pve.Interface {
	macs := map[string]bool{}
	for _, n := range nics {
		macs[strings.ToLower(n.MAC)] = n.MAC != ""
	}
	own := func(i pve.Interface) bool { return macs[strings.ToLower(i.MAC.Value)] }
	list = slices.DeleteFunc(slices.Clone(list), func(i pve.Interface) bool { return !own(i) && IsForContainers(i) })
	slices.SortStableFunc(list, func(a, b pve.Interface) int {
		rank := func(i pve.Interface) int {
			if own(i) {
				return 0
			}
			return 1
		}
		return rank(a) - rank(b)
	})
	return list
}

// Reachable are the addresses of an interface by which others reach the guest: no loopback,
// and none of the link.
func Reachable(i pve.Interface) []netip.Prefix {
	var out []netip.Prefix
	for _, cidr := range i.CIDRs() {
		p, err := netip.ParsePrefix(cidr)
		if err != nil {
			continue
		}
		a := p.Addr().WithZone("").Unmap()
		if !a.IsLoopback() && !a.IsLinkLocalUnicast() {
			out = append(out, netip.PrefixFrom(a, min(p.Bits(), a.BitLen())))
		}
	}
	return out
}
