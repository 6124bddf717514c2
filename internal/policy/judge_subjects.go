package policy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/lazyregexp"
	"github.com/pve-mcp/pve-mcp/pve/apischema"
)

// refuseSubject returns why the rules forbid to change something other than a guest, or "".
func (j judge) refuseSubject(s Subject, e effect) string {
	if rule, is := j.Policy.Protect.naming(s); is {
		return fmt.Sprintf("%v is protected (PVE_MCP_PROTECT: %v)", s, rule)
	}
	ofGuests := s.owner() > 0 || e.onlyListed // which refuseGuest judges
	if _, is := j.Policy.Allow.naming(s); !is && !ofGuests && len(j.Policy.Allow) > 0 {
		return fmt.Sprintf("%v is not among what this server may change (PVE_MCP_ALLOW)", s)
	}
	return ""
}

// refusePruning returns why a request must not be sent that may delete older backups, or "":
// their storage is protected.
func (j judge) refusePruning(e effect) string {
	storages := slices.ContainsFunc(j.Policy.Protect, func(r Rule) bool { return r.Subject.Kind == StorageKind })
	switch rule, is := j.Policy.Protect.naming(Subject{StorageKind, e.prunesOn}); {
	case !e.prunes || !storages:
		return ""
	case e.prunesOn == "":
		return "backups may be deleted, and the storage is unknown (a storage is in PVE_MCP_PROTECT)"
	case is:
		return fmt.Sprintf("backups on storage %s may be deleted: it is protected (PVE_MCP_PROTECT: %v)", e.prunesOn, rule)
	}
	return ""
}

// refuseDependents returns why something must not be changed because a protected guest depends
// on it, or "". A rule that allows a change also allows its effects on guests that the rule
// does not name.
func (j judge) refuseDependents(ctx context.Context, s Subject, e effect) string {
	if e.onlyListed || e.creates && s.Kind != VolumeKind || !j.Policy.Protect.nameGuests() {
		return ""
	}
	all, some, err := j.dependents(ctx, s, e)
	switch {
	case err != nil:
		return fmt.Sprintf("which guests depend on %v is unknown: %v", s, err)
	case all:
		return fmt.Sprintf("%v may concern any guest, and PVE_MCP_PROTECT is set", s)
	}
	some = slices.DeleteFunc(some, func(d dependent) bool { return !j.mayProtect(d.vmid) })
	if i := slices.IndexFunc(some, func(d dependent) bool { return d.err == nil && j.protectedByID(d.vmid) }); i >= 0 {
		some = some[i : i+1] // it is enough, and needs no look-up
	} else if slices.ContainsFunc(j.Policy.Protect, func(r Rule) bool { return r.Tag != "" }) {
		var places []Where
		for _, d := range some {
			places = append(places, Where{VMID: d.vmid})
		}
		j.readConfigs(ctx, places)
	}
	return firstOf(some, func(d dependent) string {
		reason := j.refuseProtected(ctx, Where{VMID: d.vmid})
		switch {
		case reason == "":
			return ""
		case d.err != nil:
			return fmt.Sprintf("whether guest %d depends on %v is unknown (%v): %s", d.vmid, s, d.err, reason)
		}
		return d.why + ": " + reason
	})
}

// dependent is a guest that depends on something. err says why that is unknown.
type dependent struct {
	vmid int
	why  string // guest 103 is on node pve1
	err  error
}

// dependents returns the guests that a change of something affects: possibly all, or some.
func (j judge) dependents(ctx context.Context, s Subject, e effect) (all bool, some []dependent, err error) {
	if s.ID == "" {
		return false, nil, errors.New("it does not say which is meant")
	}
	switch s.Kind {
	case "acme-account", "acme-plugin", "metrics-server", "notification-target", "notification-matcher",
		userKind, groupKind, tokenKind, roleKind, aclKind, realmKind, realmSyncKind, // permissions on a guest leave it as it is
		certificateKind, subscriptionKind, replicationKind: // a replication job is its guest's
		return false, nil, nil
	case diskKind:
		if !strings.Contains(s.ID, ":/") { // a volume group or a pool, other nodes may share it
			return true, nil, nil
		}
		some, err = j.dependentsOnNode(ctx, s, e)
	case NodeKind, networkKind, serviceKind:
		some, err = j.dependentsOnNode(ctx, s, e)
	case firewallKind, cephKind:
		vnet, isVNet := strings.CutPrefix(s.ID, "vnet/")
		switch {
		case isVNet:
			some, err = j.holding(ctx, s, mentions(netKeyRE, "bridge="+vnet))
		case s.ID == "node/"+s.node(): // a part of Ceph holds data of guests on any node
			some, err = j.dependentsOnNode(ctx, s, e)
		default:
			all = true
		}
	case StorageKind:
		some, err = j.dependentsOnStorage(ctx, s)
	case VolumeKind: // refuseHolders judges the volume of a guest
		if s.owner() == 0 && (e.destroys || e.creates) {
			some, err = j.holding(ctx, s, func(key, value string) (string, bool) {
				return s.ID, slices.Contains(volumeIDs(key, value), s.ID)
			})
		}
	case vnetKind:
		some, err = j.holding(ctx, s, mentions(netKeyRE, "bridge="+s.ID))
	case mappingKind:
		some, err = j.holding(ctx, s, mentions(mappedKeyRE, "mapping="+s.ID, "dirid="+s.ID, s.ID))
	case cpuModelKind:
		name := strings.TrimPrefix(s.ID, "custom-")
		some, err = j.holding(ctx, s, mentions(cpuKeyRE, "custom-"+name, "cputype=custom-"+name))
	case JobKind, PoolKind:
		some, err = j.dependentsBySelection(ctx, s)
	case haGroupKind, haRuleKind, clusterKind:
		if s.Kind == clusterKind && s.ID != "ha" {
			return true, nil, nil
		}
		some, err = j.dependentsByHA(ctx, s)
	default:
		all = true
	}
	return all, some, err
}

// The keys of a configuration that name virtual networks, mapped devices and CPU models.
var (
	netKeyRE    = lazyregexp.New(`^net\d+$`)
	mappedKeyRE = lazyregexp.New(`^(?:hostpci|usb|virtiofs)\d+$`)
	cpuKeyRE    = lazyregexp.New(`^cpu$`)
)

// mentions finds one of some parts in the value of a key, such as net0 for keys that match net.
func mentions(keys *lazyregexp.Regexp, parts ...string) func(key, value string) (string, bool) {
	return func(key, value string) (string, bool) {
		if !keys.MatchString(key) {
			return "", false
		}
		for part := range strings.SplitSeq(value, ",") {
			if part = strings.TrimSpace(part); slices.Contains(parts, part) {
				return part, true
			}
		}
		return "", false
	}
}

// volumeIDs returns the volumes that a value names, including snippets.
func volumeIDs(key, value string) (ids []string) {
	if key == "cicustom" || key == "hookscript" {
		for part := range strings.SplitSeq(value, ",") {
			ids = append(ids, strings.TrimSpace(part[strings.IndexByte(part, '=')+1:]))
		}
	}
	for _, v := range VolumesIn(key, value) {
		ids = append(ids, v.Source)
	}
	return ids
}

// holding returns the guests in whose configuration find finds something.
func (j judge) holding(ctx context.Context, s Subject, find func(key, value string) (string, bool)) (out []dependent, err error) {
	if _, err := j.guestsOn(ctx, ""); err != nil { // a hidden guest may have it, too
		return nil, err
	}
	if j.Lookup.Having == nil {
		return nil, errors.New("configurations cannot be read")
	}
	holders, err := j.Lookup.Having(ctx, find, j.mayProtect)
	for _, h := range holders {
		out = append(out, dependent{h.VMID, fmt.Sprintf("guest %d has %s as %s", h.VMID, h.What, h.Key), h.Err})
	}
	return out, err
}

// dependentsOnNode returns the guests on a node, if the request interrupts the node.
func (j judge) dependentsOnNode(ctx context.Context, s Subject, e effect) ([]dependent, error) {
	if !e.destroys && s.Kind != firewallKind {
		return nil, nil
	}
	ids, err := j.guestsOn(ctx, s.node())
	return eachBecause(ids, "is on node "+s.node()), err
}

// eachBecause returns guests that depend on something for the same reason.
func eachBecause(ids []int, why string) (out []dependent) {
	for _, id := range ids {
		out = append(out, dependent{vmid: id, why: fmt.Sprintf("guest %d %s", id, why)})
	}
	return out
}

// dependentsOnStorage returns the guests that use a storage or have a volume on it, such as a
// backup.
func (j judge) dependentsOnStorage(ctx context.Context, s Subject) ([]dependent, error) {
	out, err := j.holding(ctx, s, func(key, value string) (string, bool) {
		ids := volumeIDs(key, value)
		i := slices.IndexFunc(ids, func(id string) bool { return strings.HasPrefix(id, s.ID+":") })
		if i < 0 {
			return "", false
		}
		return ids[i], true
	})
	if err != nil {
		return nil, err
	}
	if j.Lookup.Content == nil {
		return nil, errors.New("its content cannot be read")
	}
	ids, err := j.Lookup.Content(ctx, s.ID)
	for _, id := range ids {
		if owner, _ := apischema.VolumeOwner(id); owner > 0 {
			out = append(out, dependent{vmid: owner, why: fmt.Sprintf("%s is of guest %d", id, owner)})
		}
	}
	return out, err
}

// dependentsBySelection returns the guests of a backup job or of a pool.
func (j judge) dependentsBySelection(ctx context.Context, s Subject) ([]dependent, error) {
	why, selection := "is in "+s.String(), Selection{Pool: s.ID}
	if s.Kind == JobKind {
		if j.Lookup.Job == nil {
			return nil, errors.New("jobs cannot be read")
		}
		var err error
		if selection, err = j.Lookup.Job(ctx, s.ID); err != nil {
			return nil, err
		}
		why = "is backed up by " + s.String()
	}
	ids, err := j.selected(ctx, selection)
	return eachBecause(ids, why), err
}

// dependentsByHA returns the guests of an HA group or rule, or all that HA manages.
func (j judge) dependentsByHA(ctx context.Context, s Subject) ([]dependent, error) {
	if j.Lookup.HA == nil {
		return nil, errors.New("HA cannot be read")
	}
	group, rule := "", ""
	switch s.Kind {
	case haGroupKind:
		group = s.ID
	case haRuleKind:
		rule = s.ID
	}
	ids, err := j.Lookup.HA(ctx, group, rule)
	if s.Kind == clusterKind {
		return eachBecause(ids, "is managed by HA"), err
	}
	return eachBecause(ids, "is in "+s.String()), err
}
