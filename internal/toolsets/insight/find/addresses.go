package find

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/survey"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
)

// asksGuests reports whether running guests are to be asked.
func (f *finder) asksGuests() bool {
	return f.wanted.prefix.IsValid() || f.macReported || f.wanted.noAgent || f.in.Addresses
}

// reported is what a guest said of its interfaces.
type reported struct {
	list   []pve.Interface
	silent bool // its agent does not answer
}

// readAddresses asks the running guests for their interfaces, and SDN for the addresses that
// it has given out.
func (f *finder) readAddresses(ctx context.Context) {
	if !f.asksGuests() {
		return
	}
	if f.wanted.prefix.IsValid() || f.in.Addresses {
		f.readIPAM(ctx)
	}
	var asked []*guest
	stopped := 0
	for _, g := range f.guests {
		switch {
		case g.status == "unknown":
			f.NotSeen("addresses", nameOf(g), "its state is unknown")
		case g.status != "running":
			stopped++
		case g.Type == string(pve.QEMU) && !g.hasAgent():
			if !f.wanted.noAgent {
				f.NotSeen("addresses", nameOf(g), "no guest agent is configured")
			}
		case f.mayAsk(g):
			asked = append(asked, g)
		}
	}
	if stopped > 0 {
		f.notes = append(f.notes, fmt.Sprintf("%s not running: only what is configured is known", count(stopped)))
	}
	got := survey.Ask(f.Survey, "addresses", asked, nameOf, f.interfaces)
	for _, a := range got {
		a.From.interfaces = a.Value.list
		switch {
		case !a.Value.silent:
		case f.wanted.noAgent:
			a.From.where = append(a.From.where, "the guest agent is configured and does not answer")
		default:
			f.NotSeen("addresses", nameOf(a.From), "the guest agent does not answer")
		}
	}
}

// hasAgent reports whether a VM has a guest agent configured.
func (g *guest) hasAgent() bool {
	p := pve.ParseProperty(g.places[0].values["agent"], "enabled")
	enabled, _ := p.Get("enabled")
	return enabled == "1" || enabled == "on" || enabled == "yes" || enabled == "true"
}

// mayAsk reports whether the token may ask a guest for its addresses. If it may not, that is
// a blind spot.
func (f *finder) mayAsk(g *guest) bool {
	return g.Type == string(pve.LXC) || f.MayAskAgent("addresses", nameOf(g), g.VMID)
}

// interfaces asks a guest for its interfaces.
func (f *finder) interfaces(ctx context.Context, g *guest) (reported, error) {
	if g.Type == string(pve.LXC) {
		list, err := f.PVE.ContainerInterfaces(ctx, g.Ref())
		return reported{list: list}, err
	}
	list, err := f.PVE.AgentInterfaces(ctx, g.Ref())
	var said *proxmox.Error
	var refused *pve.AgentError
	if errors.As(err, &said) && said.Status == http.StatusInternalServerError || errors.As(err, &refused) {
		return reported{silent: refused == nil}, nil
	}
	return reported{list: list}, err
}

// readIPAM asks SDN for the addresses that it has given out. Most clusters have no SDN: a
// refusal is no blind spot, since the guests themselves are asked.
func (f *finder) readIPAM(ctx context.Context) {
	f.ipam = map[pve.VMID][]netip.Addr{}
	entries, _ := f.PVE.IPAM(ctx)
	for _, e := range entries {
		if a, err := netip.ParseAddr(e.IP.Value); err == nil && e.VMID.Value > 0 {
			f.ipam[pve.VMID(e.VMID.Value)] = append(f.ipam[pve.VMID(e.VMID.Value)], a)
		}
	}
}

// found is an address of a guest, and who says so.
type found struct {
	cidr netip.Prefix
	by   string
}

func (a found) String() string { return a.by + " " + shown(a.cidr) }

// shown writes an address with its prefix, if that says more than that it is one address.
func shown(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

// known are the addresses of a guest: what it reports, and what is configured or given out and
// not among them.
func (f *finder) known(g *guest) (out []found) {
	nics := (pve.GuestConfig{Values: g.places[0].values}).NICs(g.Ref().Kind)
	list := cluster.OwnInterfaces(g.interfaces, nics)
	if f.wanted.prefix.IsSingleIP() { // which may be that of a bridge for containers
		list = g.interfaces
	}
	for _, i := range list {
		for _, cidr := range cluster.Reachable(i) {
			out = append(out, found{cidr, render.Text(i.Name, 30)})
		}
	}
	add := func(cidr netip.Prefix, by string) {
		if !slices.ContainsFunc(out, func(a found) bool { return a.cidr.Addr() == cidr.Addr() }) {
			if g.interfaces != nil {
				by += " (not reported by the guest)"
			}
			out = append(out, found{cidr, by})
		}
	}
	for _, n := range nics {
		configured := []string{n.IP, n.IP6}
		key := n.Key
		if g.Type == string(pve.QEMU) {
			key = "ipconfig" + n.Key[len("net"):]
			c, _ := pve.IPConfigOf(g.places[0].values[key])
			configured = []string{c.IP, c.IP6}
		}
		for _, text := range configured {
			if p, err := netip.ParsePrefix(text); err == nil {
				add(p, "configured: "+key)
			}
		}
	}
	for _, a := range f.ipam[g.VMID] {
		add(netip.PrefixFrom(a, a.BitLen()), "SDN's IPAM:")
	}
	return out
}

// mostAddresses is how many addresses of a guest are shown.
const mostAddresses = 6

// testAddresses rules out the guests that have not the address that is wanted.
func (f *finder) testAddresses() {
	f.guests = slices.DeleteFunc(f.guests, func(g *guest) bool {
		w := f.wanted
		if w.noAgent && g.Type == string(pve.QEMU) && !g.hasAgent() {
			g.where = append(g.where, "no guest agent is configured")
		}
		known := f.known(g)
		if f.in.Addresses {
			for _, a := range known {
				g.addresses = append(g.addresses, a.String())
			}
			g.addresses = render.Few(g.addresses, mostAddresses)
		}
		matched := !w.prefix.IsValid()
		for _, a := range known {
			if w.prefix.IsValid() && w.prefix.Contains(a.cidr.Addr()) {
				matched = true
				g.where = append(g.where, a.String())
			}
		}
		if f.macReported {
			matched = matched && g.reports(w.mac)
		}
		return !matched || w.noAgent && !slices.ContainsFunc(g.where, aboutAgent)
	})
}

func aboutAgent(where string) bool {
	return where == "no guest agent is configured" || where == "the guest agent is configured and does not answer"
}

// reports reports whether a guest has an interface with a MAC address.
func (g *guest) reports(mac string) bool {
	for _, i := range g.interfaces {
		if plainMAC(i.MAC.Value) == mac {
			g.where = append(g.where, render.Text(i.Name, 30)+" within the guest")
			return true
		}
	}
	return false
}
