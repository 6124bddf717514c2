package pvesim

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/pve/apischema"
	"github.com/pve-mcp/pve-mcp/pvesim/internal/cloudinit"
	"github.com/pve-mcp/pve-mcp/pvesim/internal/propstring"
)

// How long a VM's system needs until its agent answers, how much longer if cloud-init
// installs the agent first, and when a container has its address.
const (
	bootTakes    = 10 * time.Second
	installTakes = 30 * time.Second
	leaseTakes   = 3 * time.Second
)

// guestAgent is the package of the agent.
const guestAgent = "qemu-guest-agent"

// bootDrives are the drives from which a guest may boot, in order: those that its
// configuration lists, or all.
func (g *guest) bootDrives() []string {
	if order, ok := strings.CutPrefix(g.Config["boot"], "order="); ok && g.Kind == "qemu" {
		return slices.DeleteFunc(apischema.SplitList(order), func(key string) bool { return !propstring.IsDriveKey(g.Kind, key) })
	}
	return drivesInOrder(g.Kind, g.Config)
}

// drivesInOrder are the keys of drives in the order in which PVE looks for one to boot from.
func drivesInOrder(kind string, config map[string]string) []string {
	var keys []string
	for key := range config {
		if propstring.IsDriveKey(kind, key) && !slices.Contains([]string{"unused", "efidisk", "tpmstate"}, withoutIndex(key)) {
			keys = append(keys, key)
		}
	}
	rank := func(key string) int {
		base := withoutIndex(key)
		n, _ := strconv.Atoi(key[len(base):])
		return 1000*slices.Index([]string{"ide", "scsi", "virtio", "sata"}, base) + n
	}
	slices.SortFunc(keys, func(a, b string) int { return rank(a) - rank(b) })
	return keys
}

// missingBridge is the failure to start a guest with a network device on a bridge that its
// node does not have. Not recorded: the words are those of QEMU and LXC.
func (c *call) missingBridge(g *guest) (outcome, bool) {
	n := c.nodeNamed(g.Node)
	for i := range g.macs() {
		bridge := propstring.Get(g.Config["net"+strconv.Itoa(i)], "bridge")
		if bridge == "" || n.Contained || c.hasVNet(n.Name, bridge) || slices.ContainsFunc(c.networkNow(n), func(i map[string]any) bool { return i["iface"] == bridge && i["active"] == 1 }) {
			continue
		}
		o := failed(failTakes, "start failed: QEMU exited with code 1")
		lines := []string{fmt.Sprintf("bridge '%s' does not exist", bridge), fmt.Sprintf("kvm: -netdev type=tap,id=net%d,ifname=tap%di%d,"+
			"script=/usr/libexec/qemu-server/pve-bridge,downscript=/usr/libexec/qemu-server/pve-bridgedown,vhost=on: network script "+
			"/usr/libexec/qemu-server/pve-bridge failed with status 512", i, g.VMID, i)}
		if g.Kind == "lxc" {
			o = failed(failTakes, "startup for container '%d' failed", g.VMID)
			lines = []string{"run_buffer: 571 Script exited with status 2", fmt.Sprintf("lxc_create_network_priv: 3466 bridge '%s' does not exist", bridge),
				fmt.Sprintf("__lxc_start: 2119 Failed to initialize container \"%d\"", g.VMID)}
		}
		for _, line := range lines {
			o.log = append(o.log, entry{failTakes / 2, line})
		}
		return o, true
	}
	return outcome{}, false
}

// bootVolume is the volume with the system that a guest starts; nil if there is none or
// nothing is known of it.
func (s *state) bootVolume(g *guest) *volume {
	for _, key := range g.bootDrives() {
		if v := s.volumeOf(propstring.Volume(g.Config[key]), g.Node); v != nil && !v.Blank && !propstring.IsCloudInit(g.Config[key]) {
			return v
		}
	}
	return nil
}

// hasBootDisk reports whether there is a system that a guest starts. A VM whose disks
// are all blank and that has no medium to boot from has none.
func (s *state) hasBootDisk(g *guest) bool {
	if v := s.bootVolume(g); v != nil {
		return !v.Image.Broken
	}
	for _, key := range drivesInOrder(g.Kind, g.Config) {
		if v := s.volumeOf(propstring.Volume(g.Config[key]), g.Node); v != nil && !propstring.IsCloudInit(g.Config[key]) {
			return false
		}
	}
	return true
}

// booted reports whether the guest's system is up.
func (s *state) booted(g *guest, now time.Time) bool {
	return g.now.running && s.hasBootDisk(g) && (g.now.warm || g.Kind == "lxc" || now.Sub(g.now.since) >= bootTakes)
}

// agentAnswers reports whether the agent of a VM's system does.
func (c *call) agentAnswers(g *guest) bool {
	if g.AgentDead || g.now.qmp != "" || !c.booted(g, c.now) || !g.now.warm && c.now.Sub(g.now.since) < bootTakes+g.now.installs {
		return false
	}
	v := c.bootVolume(g)
	return v == nil || v.Image.System == "" || v.Image.Agent
}

// boot lets cloud-init of a system that starts do what the data say that are attached: set
// up the network and, if the network reaches a server, install the agent.
func (s *state) boot(g *guest) {
	v := s.bootVolume(g)
	if g.Kind != "qemu" || v == nil || v.Image.System == "" || v.Image.NoCloudInit {
		return
	}
	seed, ok := s.seedOf(g)
	if !ok {
		return
	}
	macs := g.macs()
	v.Image.Net = seed.Networks(macs)
	online := slices.ContainsFunc(v.Image.Net, func(way string) bool { return way != cloudinit.None && (way != cloudinit.DHCP || !s.model.NoDHCP) })
	if !v.Image.Agent && online && seed.Installs(guestAgent) {
		v.Image.Agent, g.now.installs = true, installTakes
	}
}

// seedOf is what cloud-init finds: on an attached NoCloud image, or on PVE's own, of which
// it takes the first.
func (s *state) seedOf(g *guest) (cloudinit.Seed, bool) {
	for _, key := range drivesInOrder(g.Kind, g.Config) {
		if propstring.IsCloudInit(g.Config[key]) {
			return s.ownSeed(g), true
		}
		if v := s.volumeOf(propstring.Volume(g.Config[key]), g.Node); v != nil && v.Data != nil {
			if seed, ok := cloudinit.FromISO(v.Data); ok {
				return seed, true
			}
		}
	}
	return cloudinit.Seed{}, false
}

// ownSeed is what PVE writes: from the configuration, or from the snippets that it names.
func (s *state) ownSeed(g *guest) cloudinit.Seed {
	seed := cloudinit.Seed{UserData: s.userData(g, true), NetworkConfig: s.networkConfig(g)}
	for key, file := range map[string]*string{"user": &seed.UserData, "network": &seed.NetworkConfig} {
		if v := s.volumeOf(propstring.Get(g.Config["cicustom"], key), g.Node); v != nil {
			*file = string(v.Data)
		}
	}
	if v := s.volumeOf(propstring.Get(g.Config["cicustom"], "vendor"), g.Node); v != nil && !seed.Installs(guestAgent) {
		if vendor := (cloudinit.Seed{UserData: string(v.Data)}); vendor.Installs(guestAgent) {
			seed.UserData = vendor.UserData
		}
	}
	return seed
}

// macs are the hardware addresses of the guest's network devices.
func (g *guest) macs() []string {
	var out []string
	for i := 0; g.Config["net"+strconv.Itoa(i)] != ""; i++ {
		out = append(out, macOf(g.Config["net"+strconv.Itoa(i)]))
	}
	return out
}

// networks say for each network device how it gets its address.
func (s *state) networks(g *guest) []string {
	macs := g.macs()
	out := make([]string, len(macs))
	for i := range macs {
		out[i] = cloudinit.DHCP
		if g.Kind == "lxc" {
			out[i] = strings.Replace(propstring.Get(g.Config["net"+strconv.Itoa(i)], "ip"), "manual", cloudinit.None, 1)
		}
	}
	v := s.bootVolume(g)
	if g.Kind != "qemu" || v == nil || v.Image.NoCloudInit {
		return out
	}
	if v.Image.Net != nil {
		return append(slices.Clone(v.Image.Net), out...)[:len(out)]
	}
	if v.Image.System == "" && slices.ContainsFunc(drivesInOrder(g.Kind, g.Config), func(key string) bool { return propstring.IsCloudInit(g.Config[key]) }) {
		return s.ownSeed(g).Networks(macs)
	}
	return out
}

// addresses are those of each network device, with their prefixes; nil means that nothing
// in the guest has set up its network. Those of the model are the first device's.
func (s *state) addresses(g *guest, now time.Time) [][]string {
	macs := g.macs()
	out := make([][]string, len(macs))
	if v := s.bootVolume(g); g.IPs == nil && v != nil && v.Image.NoNetwork {
		return nil
	}
	for i, way := range s.networks(g) {
		switch {
		case i == 0 && g.IPs != nil:
			out[i] = g.IPs
			continue
		case way == cloudinit.DHCP && !s.model.NoDHCP && (g.Kind == "qemu" || now.Sub(g.now.since) >= leaseTakes):
			h := hash(s.model.Seed, "dhcp", macs[i])
			out[i] = []string{fmt.Sprintf("10.99.%d.%d/24", byte(h), 2+byte(h>>8)%250)}
		case way != cloudinit.DHCP && way != cloudinit.None:
			out[i] = []string{way}
		}
		if local := linkLocal(macs[i]); local != "" {
			out[i] = append(out[i], local)
		}
	}
	return out
}

// linkLocal is the address that a system makes of a hardware address; "" if it is none.
func linkLocal(mac string) string {
	hw, err := net.ParseMAC(mac)
	if err != nil || len(hw) != 6 {
		return ""
	}
	ip := net.IP{0xfe, 0x80, 0, 0, 0, 0, 0, 0, hw[0] ^ 2, hw[1], hw[2], 0xff, 0xfe, hw[3], hw[4], hw[5]}
	return ip.String() + "/64"
}
