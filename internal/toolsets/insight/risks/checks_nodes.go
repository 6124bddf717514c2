package risks

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/pve"
)

func nodeChecks() []check {
	return []check{
		{"cluster.no-quorum", "nodes", Critical, "The cluster has no quorum: nothing can be started or changed, and HA nodes reset themselves", []string{readQuorum}, findNoQuorum},
		{"node.offline", "nodes", High, "The node is offline: what ran there is down, unless HA has recovered it", nil, findOffline},
		{"node.silent", "nodes", High, "The node is online, and its status daemon tells nothing: the state of its guests and storages is unknown", nil, findSilent},
		{"ha.agent-dead", "ha", High, "HA's agent on the node is dead: HA neither starts nor recovers guests there, and may fence it", []string{readHA}, findDeadAgent},
		{"node.service-failed", "nodes", Medium, "A service of PVE has failed or was stopped", []string{readServices}, findFailedServices},
		{"node.clock", "nodes", Medium, "The clock is wrong: tickets, HA, Ceph, schedules and the ages of backups depend on it", []string{readClocks, readHA}, findClocks},
		{"node.maintenance", "nodes", Low, "The node is in HA maintenance: HA starts no guest there", nil, findMaintenance},
	}
}

func findNoQuorum(f *facts, found found) {
	for _, i := range f.items {
		if i.Type == "cluster" && i.Quorate.Set && !i.Quorate.Value {
			var away []string
			for _, n := range f.items {
				if n.Type == "node" && !n.Online.Value {
					away = append(away, n.Name)
				}
			}
			evidence := "missing: " + render.List(away)
			if away == nil {
				evidence = "all nodes are online: is the network of corosync well?"
			}
			found("cluster "+render.Text(i.Name, 40), evidence, command("pvecm status", "root on a node"))
		}
	}
}

func findOffline(f *facts, found found) {
	for _, n := range f.nodes {
		if n.Status.Value != "offline" {
			continue
		}
		guests := 0
		for _, g := range f.everyone {
			if g.Node.Value == n.name && !g.Template.Value {
				guests++
			}
		}
		found(n.name, fmt.Sprintf("%d guests are on it", guests), command("systemctl status corosync pve-cluster", "the console of "+n.name))
	}
}

func findSilent(f *facts, found found) {
	for _, n := range f.nodes {
		if n.Status.Value == "unknown" {
			found(n.name, "no news from pvestatd; a storage that hangs is the usual cause", command("systemctl restart pvestatd", rootOn(n.name)))
		}
	}
}

func findDeadAgent(f *facts, found found) {
	for _, i := range f.ha {
		if i.Type == "lrm" && strings.Contains(i.Status.Value, "dead?") && f.reports(i.Node.Value) {
			found(i.Node.Value, render.Text(i.Status.Value, 100), command("systemctl restart pve-ha-lrm", rootOn(i.Node.Value)))
		}
	}
}

// optional are services that a node may do without.
var optional = []string{"ksmtuned", "systemd-timesyncd", "chrony", "postfix", "spiceproxy", "syslog", "cron", "lxcfs"}

func findFailedServices(f *facts, found found) {
	alone := len(f.nodes) == 1
	for _, n := range f.nodes {
		var bad []string
		for _, s := range n.services {
			enabled := s.Unit.Value == "enabled"
			stopped := s.State.Value == "dead" && s.Active.Value == "inactive" && enabled && !slices.Contains(optional, s.Name) && (!alone || s.Name != "corosync")
			if s.Active.Value == "failed" || s.State.Value == "failed" || stopped {
				bad = append(bad, render.Text(s.Name, 40))
			}
		}
		if bad != nil {
			found(n.name, render.List(bad), command("systemctl restart "+strings.Join(bad, " "), rootOn(n.name)))
		}
	}
}

// mostSkew is how far a clock may be off.
const mostSkew = 15 * time.Second

// findClocks compares the clocks with the middle one of all, that of this process among them.
func findClocks(f *facts, found found) {
	all := []time.Duration{0}
	for _, n := range f.nodes {
		if n.clock != nil {
			all = append(all, n.clock.ahead)
		}
	}
	slices.Sort(all)
	middle := all[(len(all)-1)/2]
	if len(all) == 2 { // which of the two is wrong nobody knows
		middle = 0
	}
	for _, n := range f.nodes {
		if n.clock == nil {
			continue
		}
		off, word := n.clock.ahead-middle, "ahead"
		if off < 0 {
			off, word = -off, "behind"
		}
		if off-n.clock.unsure <= mostSkew {
			continue
		}
		found(n.name, fmt.Sprintf("about %s %s", render.Duration(off.Round(time.Second)), word), command("chronyc makestep", rootOn(n.name)))
	}
}

func findMaintenance(f *facts, found found) {
	for _, n := range f.nodes {
		listed := n.HAState.Value == "maintenance"
		told := slices.ContainsFunc(f.ha, func(i pve.HAItem) bool {
			return i.Type == "lrm" && i.Node.Value == n.name && strings.Contains(i.Status.Value, "maintenance mode")
		})
		if listed || told {
			found(n.name, "", command("ha-manager crm-command node-maintenance disable "+n.name, "root on a node"))
		}
	}
}
