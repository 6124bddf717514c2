package diagnose

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
)

func linkDown(f *facts) {
	if !f.about("no network", "does not answer") {
		return
	}
	nics := f.now.NICs(f.ref.Kind)
	for _, n := range nics {
		if n.LinkDown.Value {
			f.blame(cause{ID: "nic.link-down", What: n.Key + " is unplugged", Confidence: certain, Evidence: []string{n.Key + ": link_down=1"},
				Next: f.call("pve_update_guest_config", "set", map[string]any{n.Key: map[string]int{"link_down": 0}})})
		}
	}
	if len(nics) == 0 && len(f.now.Values) > 0 {
		f.blame(cause{ID: "nic.none", What: "it has no network interface", Confidence: certain, Evidence: []string{"no netN in its configuration"}, Next: f.call("pve_guest_config")})
	}
}

// agentSilent asks the guest itself.
func agentSilent(f *facts) {
	if !f.running() || f.status.State() != "running" || !f.about("no network", "does not answer", "slow") {
		return
	}
	if f.ref.Kind == pve.LXC {
		list, ok := look(f.diagnosis, "addresses", func(ctx context.Context) ([]pve.Interface, error) { return f.PVE.ContainerInterfaces(ctx, f.ref) })
		if ok {
			f.noAddress(list)
		}
		return
	}
	if !f.status.Agent.Value {
		f.lookedAt = append(f.lookedAt, "guest agent: not configured")
		return
	}
	list, err := f.PVE.AgentInterfaces(f.ctx, f.ref)
	var said *proxmox.Error
	errors.As(err, &said)
	switch {
	case err == nil:
		f.lookedAt = append(f.lookedAt, "guest agent")
		f.noAddress(list)
		f.diskFull()
	case said != nil && proxmox.IsDenied(err):
		path, privs, _ := said.Denied()
		f.NotSeen("guest agent", f.ref.VMID.String(), strings.Join(privs, " or ")+" on "+path)
	case said == nil:
		f.NotSeen("guest agent", f.ref.VMID.String(), f.Explain(err).What)
	case said.Status == http.StatusInternalServerError:
		f.blame(cause{ID: "agent.silent", What: "the guest agent does not answer: it is not installed, not started, or the system hangs or still boots", Confidence: possible,
			Evidence: []string{render.Said(said.Message, 150)}, Next: f.whenNothing})
	}
}

// noAddress blames a guest whose interfaces have no address.
func (f *facts) noAddress(list []pve.Interface) {
	if !f.about("no network", "does not answer") || len(f.now.NICs(f.ref.Kind)) == 0 {
		return
	}
	own := cluster.OwnInterfaces(list, f.now.NICs(f.ref.Kind))
	if slices.ContainsFunc(own, func(i pve.Interface) bool { return len(cluster.Reachable(i)) > 0 }) {
		return
	}
	f.blame(cause{ID: "guest.no-address", What: "the system in it has no IP address", Confidence: likely,
		Evidence: []string{fmt.Sprintf("%d interfaces, none with an address but of the link", len(own))}, Next: &step{Do: "look at DHCP, the VLAN and the network settings within it"}})
}

// diskFull looks at the file systems of a VM.
func (f *facts) diskFull() {
	list, err := f.PVE.AgentFileSystems(f.ctx, f.ref)
	if err != nil {
		return
	}
	for _, fs := range list {
		if fs.Total.Value > 0 && float64(fs.Used.Value) >= fullAt*float64(fs.Total.Value) && !slices.Contains([]string{"squashfs", "iso9660", "udf", "CDFS", "UDF"}, fs.Type) {
			f.blame(cause{ID: "guest.disk-full", What: "a file system in it is full: " + render.Text(fs.Mount, 60), Confidence: likely,
				Evidence: []string{fmt.Sprintf("%s of %s", render.Bytes(fs.Used.Value), render.Bytes(fs.Total.Value))}, Next: f.call("pve_resize_disk")})
		}
	}
}

// firewallDrops looks whether PVE's firewall is in the way: it needs the cluster's switch, the
// guest's, and that of the interface.
func firewallDrops(f *facts) {
	if !f.about("no network", "does not answer") {
		return
	}
	var through []string
	for _, n := range f.now.NICs(f.ref.Kind) {
		if n.Firewall.Value {
			through = append(through, n.Key)
		}
	}
	if through == nil || !f.May("the cluster's firewall", "", "Sys.Audit", "/") {
		return
	}
	all, ok := look(f.diagnosis, "firewall", f.PVE.ClusterFirewall)
	if !ok || !all.On() {
		return
	}
	own, ok := look(f.diagnosis, "firewall", func(ctx context.Context) (pve.FirewallOptions, error) { return f.PVE.GuestFirewall(ctx, f.ref) })
	if !ok || !own.On() {
		return
	}
	policy := own.Policy("in")
	if policy == "" {
		policy = "DROP"
	}
	if policy == "ACCEPT" {
		return
	}
	f.blame(cause{ID: "firewall.drops", What: "PVE's firewall drops what none of its rules lets in", Confidence: possible,
		Evidence: []string{fmt.Sprintf("enabled in the cluster and for the guest, firewall=1 on %s, policy in: %s", render.List(through), render.Text(policy, 20))},
		Next:     &step{Tool: "pve_api_read", Arguments: map[string]any{"path": fmt.Sprintf("/nodes/%s/%s/%v/firewall/rules", f.ref.Node, f.ref.Kind, f.ref.VMID)}}})
}

func changesWait(f *facts) {
	if len(f.waiting) == 0 || !f.running() {
		return
	}
	slices.Sort(f.waiting)
	f.blame(cause{ID: "guest.pending", What: "changes of its configuration wait for a restart", Confidence: possible,
		Evidence: []string{render.Text(render.List(f.waiting), 150)}, Next: f.call("pve_guest_power", "action", "reboot")})
}

// Shares from which something is busy.
const (
	busyCPU   = 0.95
	busyWait  = 0.2
	busyUse   = 0.95
	busySwap  = 0.8
	busyPress = 20.0 // percent of the time
)

// nodeBusy looks why a guest is slow.
func nodeBusy(f *facts) {
	if !f.about("slow", "does not answer") || !f.running() {
		return
	}
	if f.status.CPU.Value >= busyCPU {
		f.blame(cause{ID: "guest.cpu-busy", What: "it uses all of its CPUs", Confidence: likely, Evidence: []string{fmt.Sprintf("%.0f %% of %v CPUs", 100*f.status.CPU.Value, f.status.CPUs.Value)}, Next: f.call("pve_guest_status")})
	}
	for key, what := range map[string]string{"pressureiofull": "disks", "pressurecpusome": "CPUs", "pressurememoryfull": "memory"} {
		if p := number(f.status.Extra[key]); p >= busyPress {
			f.blame(cause{ID: "guest.pressure", What: "it waits for " + what, Confidence: likely, Evidence: []string{fmt.Sprintf("%s %.0f %%", key, p)}, Next: f.call("pve_guest_status")})
		}
	}
	if f.node != nil {
		f.busy(f.ref.Node, *f.node)
	}
}

// number is a number in JSON, which PVE also writes as text.
func number(raw json.RawMessage) float64 {
	n, _ := strconv.ParseFloat(strings.Trim(string(raw), `"`), 64) // 0 if there is none
	return n
}

// busy blames what a node has too little of.
func (d *diagnosis) busy(name string, n pve.NodeStatus) {
	next := &step{Tool: "pve_list_guests", Arguments: map[string]any{"node": name, "sort": "cpu"}}
	share := func(of map[string]int64) float64 {
		if of["total"] <= 0 {
			return 0
		}
		return float64(of["used"]) / float64(of["total"])
	}
	plain := func(used, total int64) float64 { return share(map[string]int64{"used": used, "total": total}) }
	add := func(id, what string, is, most float64) {
		if is >= most {
			d.blame(cause{ID: id, What: what + " " + name, Confidence: likely, Evidence: []string{fmt.Sprintf("%.0f %%", 100*is)}, Next: next})
		}
	}
	add("node.cpu", "all CPUs are busy on", n.CPU.Value, busyCPU)
	add("node.io-wait", "CPUs wait for disks on", n.Wait.Value, busyWait)
	add("node.memory", "memory is nearly used up on", plain(n.Memory["used"].Value, n.Memory["total"].Value), busyUse)
	add("node.swap", "swap is nearly used up on", plain(n.Swap["used"].Value, n.Swap["total"].Value), busySwap)
	add("node.root-full", "the root file system is nearly full on", plain(n.RootFS["used"].Value, n.RootFS["total"].Value), busyUse)
}

// notOnBoot blames that a guest is not started with its node.
func notOnBoot(f *facts) {
	if f.running() || f.node == nil || f.status.Template.Value || len(f.causes) > 0 || f.now.Values["onboot"] == "1" || !f.about("does not answer") {
		return
	}
	up := time.Duration(f.node.Uptime.Value) * time.Second
	if len(f.tasks) > 0 && f.Ago(time.Unix(f.tasks[0].StartTime.Value, 0)) < up || up > 7*24*time.Hour {
		return
	}
	f.blame(cause{ID: "guest.not-on-boot", What: "its node was restarted, and it is not set to start with it", Confidence: possible,
		Evidence: []string{fmt.Sprintf("node up for %s, onboot not set", render.Duration(up))}, Next: f.call("pve_guest_power", "action", "start")})
}
