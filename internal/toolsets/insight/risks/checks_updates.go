package risks

import (
	"fmt"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/pve"
)

func updateChecks() []check {
	return []check{
		{"node.end-of-life", "updates", Medium, "The version of PVE is past its end of life: it gets no security updates", []string{readVersions}, findEndOfLife},
		{"subscription.expired", "updates", Medium, "The subscription no longer holds: the enterprise repository gives no updates", []string{readSubscription}, findExpiredSubscriptions},
		{"node.versions-differ", "updates", Low, "The node runs an older PVE than others: migrations to older versions may fail", []string{readVersions}, findVersions},
		{"node.reboot-needed", "updates", Low, "A newer kernel is installed than the one that runs: its fixes need a reboot", []string{readVersions}, findReboots},
		{"node.updates", "updates", Low, "Updates wait to be installed", []string{readUpdates}, findUpdates},
		{"subscription.differs", "updates", Low, "The node has no subscription, though others have one", []string{readSubscription}, findMissingSubscriptions},
	}
}

// version is the installed version of PVE, "" if it is not known.
func (n *node) version() string {
	for _, p := range n.packages {
		if p.Name == "pve-manager" {
			return p.OldVersion.Or(p.Version.Value)
		}
	}
	return ""
}

func findEndOfLife(f *facts, found found) {
	for _, n := range f.nodes {
		major := pve.Version{Version: n.version()}.Major()
		if !pve.PastEndOfLife(major, f.now) {
			continue
		}
		end, _ := pve.EndOfLife(major)
		found(n.name, fmt.Sprintf("PVE %s, supported until %s", render.Text(n.version(), 20), end.Format(time.DateOnly)),
			command(fmt.Sprintf("pve%dto%d --full", major, major+1), rootOn(n.name)))
	}
}

func findVersions(f *facts, found found) {
	newest := ""
	for _, n := range f.nodes {
		if v := n.version(); pve.CompareNames(v, newest) > 0 {
			newest = v
		}
	}
	for _, n := range f.nodes {
		if v := n.version(); v != "" && v != newest {
			found(n.name, fmt.Sprintf("PVE %s; the newest in the cluster is %s", render.Text(v, 20), render.Text(newest, 20)), command("apt update && apt full-upgrade", rootOn(n.name)))
		}
	}
}

func findReboots(f *facts, found found) {
	for _, n := range f.nodes {
		if newest, running, ok := pve.WaitingKernel(n.packages); ok {
			found(n.name, fmt.Sprintf("%s runs, %s is installed", render.Text(running, 30), render.Text(newest, 30)), command("reboot, after its guests were moved away", rootOn(n.name)))
		}
	}
}

func findUpdates(f *facts, found found) {
	for _, n := range f.nodes {
		var names []string
		for _, p := range n.updates {
			names = append(names, render.Text(p.Name, 40))
		}
		if names == nil {
			continue
		}
		few := strings.Join(names[:min(3, len(names))], ", ")
		if len(names) > 3 {
			few += ", …"
		}
		found(n.name, fmt.Sprintf("%d: %s", len(names), few), command("apt update && apt full-upgrade", rootOn(n.name)))
	}
}

func findExpiredSubscriptions(f *facts, found found) {
	for _, n := range f.nodes {
		switch status := n.subscription.Status.Value; status {
		case "expired", "invalid", "suspended":
			found(n.name, render.Text(strings.TrimSpace(status+" "+n.subscription.NextDue.Value), 60), command("pvesubscription update --force", rootOn(n.name)))
		}
	}
}

func findMissingSubscriptions(f *facts, found found) {
	active := 0
	for _, n := range f.nodes {
		if s := n.subscription.Status.Value; s != "" && s != "notfound" {
			active++
		}
	}
	for _, n := range f.nodes {
		if active > 0 && n.subscription.Status.Value == "notfound" {
			found(n.name, "", command("pvesubscription set KEY", rootOn(n.name)))
		}
	}
}
