package pve

import (
	"github.com/pve-mcp/pve-mcp/lazyregexp"
	"github.com/pve-mcp/pve-mcp/proxmox/lenient"
)

// IPConfig is how an interface gets its addresses: that of a container, or what
// cloud-init tells a VM.
type IPConfig struct {
	IP       string // an address with its prefix, dhcp, or manual
	Gateway  string
	IP6      string // an address with its prefix, dhcp, auto, or manual
	Gateway6 string
}

// IPConfigOf reads the value of ipconfig0 and its like. rest are options that have no
// field.
func IPConfigOf(value string) (c IPConfig, rest Property) {
	rest = ParseProperty(value, "")
	return rest.takeIPConfig(), rest
}

func (p *Property) takeIPConfig() IPConfig {
	return IPConfig{
		IP:       p.takeText("ip"),
		Gateway:  p.takeText("gw"),
		IP6:      p.takeText("ip6"),
		Gateway6: p.takeText("gw6"),
	}
}

// NIC is what a guest's configuration says of a network interface.
type NIC struct {
	Key      string // such as net0
	Name     string // within a container, such as eth0
	Model    string // such as virtio; veth in a container
	MAC      string
	Bridge   string
	Tag      lenient.Opt[int64] // the VLAN
	Firewall lenient.Opt[bool]
	LinkDown lenient.Opt[bool]
	Rate     lenient.Opt[float64] // MB/s
	MTU      lenient.Opt[int64]   // of a VM; 1 means that of the bridge
	Queues   lenient.Opt[int64]
	IPConfig // of a container
	// Rest are the options that have no field here, and those whose value is odd.
	Rest Property
}

var macRE = lazyregexp.New(`^[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){5}$`)

// NICOf reads the value of a network interface's key.
func NICOf(kind Kind, key, value string) NIC {
	n := NIC{Key: key}
	var p Property
	if kind == LXC {
		p = ParseProperty(value, "")
		n.Name = p.takeText("name")
		n.Model = p.takeText("type")
		n.MAC = p.takeText("hwaddr")
		n.IPConfig = p.takeIPConfig()
	} else {
		p = ParseProperty(value, "model")
		n.Model = p.takeText("model")
		n.MAC = p.takeText("macaddr")
		if n.Model == "" && n.MAC == "" {
			n.Model, n.MAC = p.takeModel()
		}
	}
	n.Bridge = p.takeText("bridge")
	n.Tag = p.takeInt("tag")
	n.Firewall = p.takeFlag("firewall")
	n.LinkDown = p.takeFlag("link_down")
	n.Rate = take(&p, "rate", func(s string) (float64, error) { return lenient.ParseFloat([]byte(s)) })
	n.MTU = p.takeInt("mtu")
	n.Queues = p.takeInt("queues")
	n.Rest = p
	return n
}

// takeModel takes PVE's own way to write model and address as one: virtio=MAC.
func (p *Property) takeModel() (model, mac string) {
	for key, value := range p.All() {
		if macRE.MatchString(value) {
			return key, p.takeText(key)
		}
	}
	return "", ""
}
