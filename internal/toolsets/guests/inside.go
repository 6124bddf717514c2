package guests

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/show"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/proxmox/lenient"
	"github.com/pve-mcp/pve-mcp/pve"
)

// mount is a file system in a VM.
type mount struct {
	Mount string `json:"mount"`
	show.Use
}

// The most interfaces and file systems in an answer, and addresses of an interface. A guest may
// report any number.
const (
	mostInterfaces = 30
	mostIPs        = 8
	mostMounts     = 15
)

// ask asks the guest itself, if it can answer.
func (out *statusOut) ask(ctx context.Context, c *tool.Call, g pve.GuestRef, s pve.GuestStatus) {
	var list []pve.Interface
	var err error
	switch {
	case g.Kind == pve.LXC:
		out.AddressesFrom = "the container's network namespace"
		list, err = c.PVE.ContainerInterfaces(ctx, g)
	case !s.Agent.Value:
		out.Agent, out.AddressesUnknown = "not configured", "no guest agent is configured"
		return
	default:
		out.AddressesFrom = "guest agent"
		c.Report(cluster.Progress{Done: 1, Message: fmt.Sprintf("asking the guest agent of %v, which takes some seconds if it does not answer", g)})
		out.Agent = "answers"
		list, err = c.PVE.AgentInterfaces(ctx, g)
	}
	if err != nil {
		why := problemWithin(c, err)
		out.AddressesFrom, out.AddressesUnknown = "", why.String()
		if g.Kind == pve.QEMU {
			out.Agent = why.What
		}
		return
	}
	out.addresses(ctx, c, g, list)
	if g.Kind == pve.QEMU {
		out.fileSystems(ctx, c, g)
	}
}

// problemWithin says why the guest did not answer, and what to do about it.
func problemWithin(c *tool.Call, err error) explain.Explanation {
	var said *proxmox.Error
	if errors.As(err, &said) && said.Status == http.StatusInternalServerError {
		return explain.Explanation{What: render.Said(said.Message, 200)}
	}
	return c.Explain(err)
}

// addresses shows the interfaces that have addresses, the guest's own first. Interfaces for
// containers in the guest are left out.
func (out *statusOut) addresses(ctx context.Context, c *tool.Call, g pve.GuestRef, list []pve.Interface) {
	out.Addresses = []address{}
	list = slices.DeleteFunc(list, func(i pve.Interface) bool { return i.Name == "lo" || len(i.CIDRs()) == 0 })
	if len(list) > mostInterfaces || slices.ContainsFunc(list, cluster.IsForContainers) {
		all := len(list)
		list = configuredFirst(ctx, c, g, list)
		out.Dropped = all - len(list)
	}
	for _, i := range list {
		ips := i.CIDRs()
		if len(out.Addresses) == mostInterfaces {
			out.LeftOut += len(ips)
			continue
		}
		some := ips[:min(mostIPs, len(ips))]
		out.LeftOut += len(ips) - len(some)
		for n := range some {
			some[n] = render.Text(some[n], 60)
		}
		out.Addresses = append(out.Addresses, address{render.Text(i.Name, 40), render.Text(i.MAC.Value, 20), some})
	}
}

// configuredFirst returns the interfaces, first those whose MAC is in the guest's
// configuration. Of the others it leaves out those for containers. If the configuration cannot
// be read, none counts as configured.
func configuredFirst(ctx context.Context, c *tool.Call, g pve.GuestRef, list []pve.Interface) []pve.Interface {
	config, err := c.PVE.GuestConfig(ctx, g)
	if err != nil {
		config = pve.GuestConfig{}
	}
	return cluster.OwnInterfaces(list, config.NICs(g.Kind))
}

// fileSystems shows how full the guest's file systems are, and their sum as the use of its
// disks. If the agent does not report them, the size of the boot disk stays in the answer.
func (out *statusOut) fileSystems(ctx context.Context, c *tool.Call, g pve.GuestRef) {
	list, err := c.PVE.AgentFileSystems(ctx, g)
	if err != nil {
		return
	}
	list = slices.DeleteFunc(list, func(f pve.FileSystem) bool { return !f.HoldsData() })
	slices.SortStableFunc(list, func(a, b pve.FileSystem) int { return cmp.Compare(len(a.Mount), len(b.Mount)) })
	var used, total int64
	seen := map[string]bool{}
	for _, f := range list {
		if seen[f.Name] { // mounted twice
			continue
		}
		seen[f.Name] = true
		used, total = used+f.Used.Value, total+f.Total.Value
		out.Mounts = append(out.Mounts, mount{render.Text(f.Mount, 100), show.UseOf(f.Used, f.Total)})
	}
	if out.Mounts == nil {
		return
	}
	out.Disk = show.UseOf(lenient.Some(used), lenient.Some(total))
	out.Disk.Note = "the sum of its file systems, as the guest agent reports"
	slices.SortStableFunc(out.Mounts, func(a, b mount) int { return cmp.Compare(*b.Percent, *a.Percent) })
	if over := len(out.Mounts) - mostMounts; over > 0 {
		out.Mounts = out.Mounts[:mostMounts]
		out.Disk.Note += fmt.Sprintf("; %d further ones are less full than those listed", over)
	}
	if len(out.Mounts) == 1 { // the sum is its use already
		out.Disk.Note = "of " + out.Mounts[0].Mount + ", as the guest agent reports"
		out.Mounts = nil
	}
}
