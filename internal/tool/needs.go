package tool

import (
	"strings"
)

// Object is what a privilege is held on.
type Object string

// The objects, as paths of PVE's access control.
const (
	OnGuest   Object = "/vms/{vmid}"
	OnNode    Object = "/nodes/{node}"
	OnStorage Object = "/storage/{storage}"
	OnPool    Object = "/pool/{pool}"
	OnRoot    Object = "/"
	// OnNewGuest is on the guest that is made, or on the pool that it is made in.
	OnNewGuest Object = "/vms/{newid} or /pool/{pool}"
	// OnBridge is on each bridge that the guest is connected to; plain bridges are in
	// the zone localnetwork.
	OnBridge Object = "/sdn/zones/{zone}/{bridge}"
)

// Need is a privilege that a tool uses.
type Need struct {
	On Object
	// Privs are alternatives: one of them is enough.
	Privs []string
	// When says for which calls; "" for all.
	When string
	// Without says what is missing from the answer where the privilege is not
	// held; "" says that the call is refused.
	Without string
	// Before and From bound the major versions of PVE for which it holds; 0 does
	// not.
	Before, From int
	// Admin marks a privilege that allows far more than the tool does: who is no
	// administrator is better off without it, and without these calls.
	Admin bool
	// Extra names an Admin need, so that others than administrators can ask for it all the
	// same. "" is no name.
	Extra string
}

// On declares a need of one of some privileges.
func On(on Object, privs ...string) Need { return Need{On: on, Privs: privs} }

// If limits a need to some calls.
func (n Need) If(when string) Need { n.When = when; return n }

// Else says what is missing without the privilege.
func (n Need) Else(without string) Need { n.Without = without; return n }

// Until limits a need to major versions before v.
func (n Need) Until(v int) Need { n.Before = v; return n }

// Since limits a need to major versions from v on.
func (n Need) Since(v int) Need { n.From = v; return n }

// ForAdmins marks a privilege that allows far more than the tool does.
func (n Need) ForAdmins() Need { n.Admin = true; return n }

// Named names a need for those who ask for it all the same.
func (n Need) Named(extra string) Need { n.Extra = extra; return n }

// Holds reports whether the need is one with a major version of PVE.
func (n Need) Holds(major int) bool {
	return (n.Before == 0 || major < n.Before) && major >= n.From
}

// Area is the path above all that the privilege is held on, such as /vms.
func (o Object) Area() string {
	area, _, _ := strings.Cut(string(o), "/{")
	return area
}

// String writes the need as its privileges and their path.
func (n Need) String() string { return strings.Join(n.Privs, " or ") + " on " + string(n.On) }
