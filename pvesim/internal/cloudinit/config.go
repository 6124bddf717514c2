package cloudinit

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Installs reports whether the user-data makes the guest install a package: in its list of
// packages or by a command. User-data that cloud-init cannot read installs nothing.
func (s Seed) Installs(name string) bool {
	if strings.HasPrefix(s.UserData, "#!") || strings.HasPrefix(s.UserData, "Content-Type:") {
		return strings.Contains(s.UserData, name)
	}
	var config struct {
		Packages []any `yaml:"packages"`
		Commands []any `yaml:"runcmd"`
	}
	if !strings.HasPrefix(s.UserData, "#cloud-config") || yaml.Unmarshal([]byte(s.UserData), &config) != nil {
		return false
	}
	return slices.ContainsFunc(append(config.Packages, config.Commands...), func(item any) bool {
		return strings.Contains(fmt.Sprint(item), name)
	})
}

// Ways in which a network device gets its address, beside a fixed one with its prefix.
const (
	DHCP = "dhcp"
	None = ""
)

// Networks says for each network device, given by hardware addresses, how it gets its
// address. Without a network configuration the first one asks a DHCP server.
func (s Seed) Networks(macs []string) []string {
	out := make([]string, len(macs))
	var config network
	if yaml.Unmarshal([]byte(s.NetworkConfig), &config) == nil && config.Network != nil {
		config = *config.Network
	}
	for _, device := range config.devices() {
		i := slices.IndexFunc(macs, func(mac string) bool { return strings.EqualFold(mac, device.mac) })
		if i < 0 && device.mac == "" {
			i = slices.Index(out, None)
		}
		if i >= 0 {
			out[i] = device.address
		}
	}
	if strings.TrimSpace(s.NetworkConfig) == "" && len(out) > 0 {
		out[0] = DHCP
	}
	return out
}

// network is a network configuration of version 1 or 2.
type network struct {
	Network *network `yaml:"network"`
	Config  []struct {
		Type    string `yaml:"type"`
		MAC     string `yaml:"mac_address"`
		Subnets []struct {
			Type    string `yaml:"type"`
			Address string `yaml:"address"`
			Netmask string `yaml:"netmask"`
		} `yaml:"subnets"`
	} `yaml:"config"`
	Ethernets map[string]struct {
		Match struct {
			MAC string `yaml:"macaddress"`
		} `yaml:"match"`
		DHCP4     any      `yaml:"dhcp4"`
		Addresses []string `yaml:"addresses"`
	} `yaml:"ethernets"`
}

type device struct{ mac, address string }

func (n network) devices() []device {
	var out []device
	for _, c := range n.Config {
		d := device{mac: c.MAC}
		for _, subnet := range c.Subnets {
			if strings.HasPrefix(subnet.Type, "dhcp") && d.address == None {
				d.address = DHCP
			}
			if subnet.Type == "static" && d.address == None {
				d.address = withPrefix(subnet.Address, subnet.Netmask)
			}
		}
		if c.Type == "physical" {
			out = append(out, d)
		}
	}
	for _, name := range sortedNames(n.Ethernets) {
		e := n.Ethernets[name]
		d := device{mac: e.Match.MAC}
		if on := fmt.Sprint(e.DHCP4); on == "true" || on == "yes" {
			d.address = DHCP
		}
		if len(e.Addresses) > 0 {
			d.address = e.Addresses[0]
		}
		out = append(out, d)
	}
	return out
}

func sortedNames[V any](m map[string]V) []string {
	var names []string
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// withPrefix writes an address with the length of its netmask.
func withPrefix(address, netmask string) string {
	if strings.Contains(address, "/") || netmask == "" {
		return address
	}
	bits := 0
	for part := range strings.SplitSeq(netmask, ".") {
		var octet int
		_, _ = fmt.Sscan(part, &octet)
		for ; octet > 0; octet = octet << 1 & 0xff {
			bits++
		}
	}
	return fmt.Sprintf("%s/%d", address, bits)
}
