// Package risks looks through a cluster for what is wrong or at risk. A check is a row of a
// table: a kind of finding, what has to be read for it, and a function that finds it in what
// was read. What could not be read is a blind spot, and no area with one counts as well.
package risks

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/selection"
	"github.com/pve-mcp/pve-mcp/internal/survey"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pve"
)

// Severity is how bad a finding is, by what may be lost.
type Severity int

// The severities, from the mildest.
const (
	Info Severity = iota
	Low
	Medium
	High
	Critical
)

// Severities are the names of the severities, from the mildest.
func Severities() []string { return []string{"info", "low", "medium", "high", "critical"} }

// String returns the name of the severity.
func (s Severity) String() string { return Severities()[s] }

// SeverityNamed returns the severity of a name.
func SeverityNamed(name string) Severity { return Severity(slices.Index(Severities(), name)) }

// Areas are what checks are about.
func Areas() []string {
	return []string{"nodes", "guests", "backups", "snapshots", "storage", "disks", "ha", "replication", "updates", "certificates", "tasks", "capacity", "access"}
}

// Scope says what is looked at.
type Scope struct {
	Focus  []string // areas; none means all
	Guests string   // a selection of guests; "" means all
	// Period is how far back failed tasks count.
	Period time.Duration
	Deep   bool // looks into every guest
	SMART  bool // asks the disks
	// Offered returns a fix as this process offers it.
	Offered func(Fix) Fix
}

// Fix is what corrects a finding.
type Fix = tool.NextCall

// Subject is one thing that a finding is about.
type Subject struct {
	Name     string
	Evidence string
	Fix      Fix
}

// Finding is a kind of trouble, with all that have it.
type Finding struct {
	ID       string
	Severity Severity
	What     string
	On       []Subject
}

// Picture is what was seen of a cluster.
type Picture struct {
	// Findings are the worst first.
	Findings []Finding
	Blind    []survey.Blind
	// Well are areas that were wholly seen, and have no finding.
	Well []string
	AsOf time.Time
}

// Look looks at a cluster.
func Look(ctx context.Context, v *cluster.View, scope Scope) (Picture, error) {
	s, end, err := survey.Begin(ctx, v, survey.Deadline)
	if err != nil {
		return Picture{}, err
	}
	defer end()
	all, err := v.List(ctx, "")
	if err != nil {
		return Picture{}, err
	}
	f := &facts{Survey: s, scope: scope, now: v.Now(), inside: map[pve.VMID]*inside{}}
	if err := f.list(all.Resources()); err != nil {
		return Picture{}, err
	}
	checks := f.checks()
	f.readCluster()
	if err := f.readCoverage(ctx); err != nil {
		return Picture{}, err
	}
	f.readContents()
	f.readNodes()
	f.readGuests(checks)
	if err := s.Err(); err != nil {
		return Picture{}, err
	}
	p := Picture{Findings: f.find(checks), AsOf: v.AsOf()}
	p.Blind = s.Blind()
	p.Well = f.well(checks, p)
	return p, nil
}

// ofGuests are the areas that a selection of guests is about.
func ofGuests() []string {
	return []string{"guests", "backups", "snapshots", "ha", "replication", "tasks"}
}

// checks are those that the scope asks for.
func (f *facts) checks() []check {
	focus := f.scope.Focus
	if len(focus) == 0 && f.scope.Guests != "" {
		focus = ofGuests()
	}
	f.reads = map[string]bool{}
	var out []check
	for _, c := range allChecks() {
		if len(focus) > 0 && !slices.Contains(focus, c.area) {
			continue
		}
		out = append(out, c)
		for _, r := range c.reads {
			f.reads[r] = true
		}
	}
	return out
}

// find makes the checks, and ranks what they find.
func (f *facts) find(checks []check) []Finding {
	var out []Finding
	for _, c := range checks {
		found := Finding{ID: c.id, Severity: c.severity, What: c.what}
		c.find(f, func(subject, evidence string, fix Fix) {
			found.On = append(found.On, Subject{subject, render.Text(evidence, 160), f.scope.Offered(fix)})
		})
		if found.On == nil {
			continue
		}
		slices.SortStableFunc(found.On, func(a, b Subject) int { return pve.CompareNames(a.Name, b.Name) })
		out = append(out, found)
	}
	slices.SortStableFunc(out, func(a, b Finding) int { return cmp.Compare(b.Severity, a.Severity) })
	return out
}

// well lists the areas of some checks that were wholly seen and have no finding.
func (f *facts) well(checks []check, p Picture) []string {
	ill := map[string]bool{}
	unseen := map[string]bool{}
	for _, b := range p.Blind {
		unseen[b.Check] = true
	}
	for _, c := range checks {
		for _, r := range c.reads {
			ill[c.area] = ill[c.area] || unseen[r] || f.absent && ofNodes[r]
		}
		ill[c.area] = ill[c.area] || slices.ContainsFunc(p.Findings, func(found Finding) bool { return found.ID == c.id })
	}
	var out []string
	for _, area := range Areas() {
		asked := slices.ContainsFunc(checks, func(c check) bool { return c.area == area })
		if asked && !ill[area] {
			out = append(out, area)
		}
	}
	return out
}

// list takes up what the list of resources says.
func (f *facts) list(all []pve.Resource) error {
	f.guests = make([]pve.Resource, 0, len(all)) // most of them are guests
	for _, r := range all {
		switch {
		case r.Type == "node":
			f.nodes = append(f.nodes, &node{Resource: r, name: r.Node.Value})
		case r.IsGuest():
			f.guests = append(f.guests, r)
		}
	}
	f.everyone = f.guests
	f.stores = cluster.StoresIn(all)
	slices.SortFunc(f.nodes, func(a, b *node) int { return pve.CompareNames(a.name, b.name) })
	slices.SortFunc(f.guests, func(a, b pve.Resource) int { return cmp.Compare(a.VMID, b.VMID) })
	if f.scope.Guests == "" {
		return nil
	}
	var err error
	f.guests, err = selection.Choose(f.scope.Guests, f.guests)
	return err
}

// Kind is a kind of finding.
type Kind struct {
	ID, Area, What string
	Severity       Severity
}

// Kinds are all kinds of findings, the worst first.
func Kinds() []Kind {
	var out []Kind
	for _, c := range allChecks() {
		out = append(out, Kind{c.id, c.area, c.what, c.severity})
	}
	slices.SortStableFunc(out, func(a, b Kind) int { return cmp.Compare(b.Severity, a.Severity) })
	return out
}
