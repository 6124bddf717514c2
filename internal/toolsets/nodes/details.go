package nodes

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/survey"
	"github.com/pve-mcp/pve-mcp/pve"
)

// details are what a caller asks for besides, each in lines.
type details struct {
	Disks        []string `json:"disks,omitzero" jsonschema:"without SMART, which may wake them"`
	SMART        []string `json:"smart,omitzero"`
	Updates      []string `json:"updates,omitzero" jsonschema:"packages that wait"`
	Reboot       []string `json:"reboot_needed,omitzero" jsonschema:"with updates: why"`
	Certificates []string `json:"certificates,omitzero"`
	Services     []string `json:"services,omitzero" jsonschema:"those that are enabled and do not run, and how many do"`
	Network      []string `json:"network,omitzero"`
	Subscription []string `json:"subscription,omitzero"`
}

// mostLines is how many lines of each kind of a node an answer has room for.
const mostLines = 12

// part is a kind of details: the word that asks for it, how it is read, and where it goes.
type part struct {
	word, check string
	read        func(ctx context.Context, s *survey.Survey, node string) ([]string, error)
	put         func(d *details, lines []string)
}

// parts are the kinds of details.
func parts() []part {
	return []part{
		{"disks", "disks", readDisks, func(d *details, lines []string) { d.Disks = lines }},
		{"smart", "smart", readSMART, func(d *details, lines []string) { d.SMART = lines }},
		{"updates", "updates", readUpdates, func(d *details, lines []string) { d.Updates = lines }},
		{"updates", "whether a reboot is needed", readReboot, func(d *details, lines []string) { d.Reboot = lines }},
		{"certificates", "certificates", readCertificates, func(d *details, lines []string) { d.Certificates = lines }},
		{"services", "services", readServices, func(d *details, lines []string) { d.Services = lines }},
		{"network", "network", readNetwork, func(d *details, lines []string) { d.Network = lines }},
		{"subscription", "subscription", readSubscription, func(d *details, lines []string) { d.Subscription = lines }},
	}
}

// addDetails reads what is asked for of nodes that are there.
func addDetails(s *survey.Survey, include []string, rows []*statusRow) {
	for _, p := range parts() {
		if !slices.Contains(include, p.word) {
			continue
		}
		var there []*statusRow
		for _, r := range rows {
			if r.Status != "online" {
				s.NotSeen(p.check, r.Node, "the node is "+r.Status)
				continue
			}
			there = append(there, r)
		}
		name := func(r *statusRow) string { return r.Node }
		got := survey.Ask(s, p.check, there, name, func(ctx context.Context, r *statusRow) ([]string, error) { return p.read(ctx, s, r.Node) })
		for _, g := range got {
			p.put(&g.From.details, render.Few(g.Value, mostLines))
		}
	}
}

func readDisks(ctx context.Context, s *survey.Survey, node string) ([]string, error) {
	disks, err := s.PVE.PhysicalDisks(ctx, node, false)
	out := []string{}
	for _, d := range disks {
		line := fmt.Sprintf("%s %s %s %s", d.Path, d.Type.Value, render.Bytes(d.Size.Value), d.Model.Value)
		if d.Used.Value != "" {
			line += ", " + d.Used.Value
		}
		out = append(out, render.Text(line, 120))
	}
	return out, err
}

// readSMART asks the disks for their health and wear, which may wake them.
func readSMART(ctx context.Context, s *survey.Survey, node string) ([]string, error) {
	disks, err := s.PVE.PhysicalDisks(ctx, node, true)
	out := []string{}
	for _, d := range disks {
		line := fmt.Sprintf("%s %s: %s", d.Path, d.Model.Value, d.Health.Or("unknown"))
		if left, err := strconv.Atoi(d.Left.Value); err == nil {
			line += fmt.Sprintf(", %d %% of its life left", left)
		}
		out = append(out, render.Text(line, 120))
	}
	return out, err
}

// readReboot says why a node needs a reboot, nothing if it does not.
func readReboot(ctx context.Context, s *survey.Survey, node string) ([]string, error) {
	packages, err := s.PVE.PackageVersions(ctx, node)
	if installed, runs, ok := pve.WaitingKernel(packages); ok {
		return []string{fmt.Sprintf("the kernel %s is installed, and %s runs", render.Text(installed, 30), render.Text(runs, 30))}, err
	}
	return nil, err
}

func readUpdates(ctx context.Context, s *survey.Survey, node string) ([]string, error) {
	packages, err := s.PVE.Updates(ctx, node)
	out := []string{}
	for _, p := range packages {
		out = append(out, render.Text(fmt.Sprintf("%s %s (now %s)", p.Name, p.Version.Value, p.OldVersion.Or("not installed")), 120))
	}
	return out, err
}

func readCertificates(ctx context.Context, s *survey.Survey, node string) ([]string, error) {
	certificates, err := s.PVE.Certificates(ctx, node)
	out := []string{}
	for _, c := range certificates {
		line := c.File
		if c.NotAfter.Set {
			if end := time.Unix(c.NotAfter.Value, 0).UTC(); s.Ago(end) > 0 {
				line += ": expired on " + end.Format(time.DateOnly)
			} else {
				line += fmt.Sprintf(": until %s, %s left", end.Format(time.DateOnly), render.Duration(end.Sub(s.Now()).Round(time.Hour)))
			}
		}
		out = append(out, render.Text(line, 120))
	}
	return out, err
}

func readServices(ctx context.Context, s *survey.Survey, node string) ([]string, error) {
	services, err := s.PVE.Services(ctx, node)
	run, out := 0, []string{}
	for _, one := range services {
		switch {
		case one.Unit.Value == "not-found", one.Unit.Value == "disabled", one.Unit.Value == "masked":
		case one.State.Value == "running" && one.Active.Or("active") == "active":
			run++
		case one.Active.Value == "failed" || one.Unit.Value == "enabled" && one.Active.Value != "active":
			out = append(out, render.Text(fmt.Sprintf("%s: %s", one.Name, one.Active.Or(one.State.Value)), 80))
		}
	}
	return append(out, fmt.Sprintf("%d run", run)), err
}

func readNetwork(ctx context.Context, s *survey.Survey, node string) ([]string, error) {
	if zone := "/sdn/zones/localnetwork"; !s.Permissions.Has(zone, "SDN.Use") {
		s.May("network: bridges", node, "SDN.Audit", zone)
	}
	interfaces, err := s.PVE.Networks(ctx, node)
	slices.SortFunc(interfaces, func(a, b pve.Network) int { return pve.CompareNames(a.Iface, b.Iface) })
	out := []string{}
	for _, n := range interfaces {
		words := []string{n.Iface, n.Type.Value, n.CIDR.Value}
		if n.Ports.Value != "" {
			words = append(words, "ports "+n.Ports.Value)
		}
		if n.VLANAware.Value {
			words = append(words, "VLAN-aware")
		}
		if !n.Active.Value {
			words = append(words, "inactive")
		}
		out = append(out, render.Text(strings.Join(slices.DeleteFunc(words, func(w string) bool { return w == "" }), " "), 120))
	}
	return out, err
}

func readSubscription(ctx context.Context, s *survey.Survey, node string) ([]string, error) {
	sub, err := s.PVE.Subscription(ctx, node)
	line := sub.Status.Or("unknown")
	if sub.Level.Value != "" {
		line += ", level " + sub.Level.Value
	}
	if sub.NextDue.Value != "" {
		line += ", until " + sub.NextDue.Value
	}
	return []string{render.Text(line, 120)}, err
}
