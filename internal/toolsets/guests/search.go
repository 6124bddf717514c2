package guests

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pve"
)

// knowledge is what is known of guests beyond their rows in PVE's list.
type knowledge struct {
	offline []string // nodes
	changed map[pve.VMID]pve.Resource
}

func offlineNodes(all *pve.ResourceList) []string {
	var out []string
	for r := range all.Rows() {
		if r.Type() == "node" && r.Status() != "online" {
			out = append(out, r.Node())
		}
	}
	slices.SortFunc(out, pve.CompareNames)
	return out
}

// status is a guest's status, "unknown" if its node is offline: PVE's list goes on to show the
// last status.
func (k knowledge) status(r *pve.Row) string {
	if len(k.offline) > 0 && slices.Contains(k.offline, r.Node()) {
		return "unknown"
	}
	return k.lastStatus(r)
}

// lastStatus is the latest status of a guest that PVE or this process saw.
func (k knowledge) lastStatus(r *pve.Row) string {
	if now, ok := k.changed[r.VMID()]; ok {
		return now.State()
	}
	return r.State()
}

// name is a guest's name, "" if unknown.
func (k knowledge) name(r *pve.Row) string {
	if now, ok := k.changed[r.VMID()]; ok {
		return now.Name.Value
	}
	return r.Name()
}

// use is what is known of the use of a guest.
func (k knowledge) use(r *pve.Row) pve.Resource {
	if now, ok := k.changed[r.VMID()]; ok {
		return now
	}
	return r.Use()
}

// mostLooked is how many guests a call looks at because their rows in PVE's list may be out of
// date.
const mostLooked = 10

// search returns the guests that match, and notes about those that may match. PVE's list has
// names and states as of its nodes' last broadcast: a new guest has none yet, or those of an
// earlier guest with its id. Such guests are looked at.
func search(ctx context.Context, c *tool.Call, in listIn, all *pve.ResourceList, known knowledge) (found []*pve.Row, notes []string) {
	name := nameMatcher(in.Name)
	var unheard, matching []*pve.Row
	for r := range all.Rows() {
		if !r.IsGuest() || !in.selects(r) {
			continue
		}
		found = append(found, r)
		switch _, looked := known.changed[r.VMID()]; {
		case looked || slices.Contains(known.offline, r.Node()):
		case r.Name() == "":
			unheard = append(unheard, r)
		case in.Name != "" && name(r.Name()):
			matching = append(matching, r)
		}
	}
	doubtful := append(unheard, matching...)
	looked := doubtful[:min(mostLooked, len(doubtful))]
	maps.Copy(known.changed, c.LiveStates(ctx, looked))
	var nameless []string
	found = slices.DeleteFunc(found, func(r *pve.Row) bool {
		if in.Status != "" && known.status(r) != in.Status {
			return true
		}
		if known.name(r) == "" {
			nameless = append(nameless, r.VMID().String())
		}
		return in.Name != "" && !name(known.name(r))
	})
	if in.Name != "" && len(looked) < len(doubtful) {
		notes = append(notes, fmt.Sprintf("names are up to 20 s old: of %d guests that match or are new %d were looked at", len(doubtful), len(looked)))
	}
	if len(nameless) > 0 && (in.Name != "" || in.Sort == "name") {
		where := map[bool]string{true: "left out", false: "last"}[in.Name != ""]
		notes = append(notes, fmt.Sprintf("the names of %d guests are not known, because their node is offline or has not reported them yet; they are %s: %s",
			len(nameless), where, render.List(nameless)))
	}
	return found, notes
}

// selects reports whether a guest matches the filters that need no name or state.
func (in listIn) selects(r *pve.Row) bool {
	return (in.Node == "" || r.Node() == in.Node) &&
		(in.Type == "" || r.Type() == in.Type) &&
		(in.Tag == "" || slices.ContainsFunc(r.TagList(), func(t string) bool { return strings.EqualFold(t, in.Tag) })) &&
		(in.Pool == "" || r.Pool() == in.Pool)
}

// nameMatcher returns a function that reports whether a name matches. It has to contain the
// wanted text; a text with * has to match the whole name.
func nameMatcher(wanted string) func(name string) bool {
	wanted = strings.ToLower(wanted)
	if !strings.Contains(wanted, "*") {
		return func(name string) bool { return strings.Contains(strings.ToLower(name), wanted) }
	}
	re := regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(wanted), `\*`, ".*") + "$")
	return func(name string) bool { return re.MatchString(strings.ToLower(name)) }
}

// explainNoMatch explains filters that cannot match anything, and lists what they could match.
func explainNoMatch(in listIn, all *pve.ResourceList, perms pve.Permissions) (notes []string) {
	tags, pools := map[string]bool{}, map[string]bool{}
	for r := range all.Rows() {
		if r.Type() == "pool" || r.IsGuest() {
			pools[r.Pool()] = true
		}
		if r.IsGuest() {
			for _, t := range r.TagList() {
				tags[strings.ToLower(t)] = true
			}
		}
	}
	delete(pools, "")
	if in.Tag != "" && !tags[strings.ToLower(in.Tag)] {
		notes = append(notes, noneCalled("tag", in.Tag, tags))
	}
	if in.Pool != "" && !pools[in.Pool] && perms.Has("/pool/"+in.Pool, "Pool.Audit") {
		notes = append(notes, noneCalled("pool", in.Pool, pools))
	}
	switch _, macErr := net.ParseMAC(in.Name); {
	case macErr == nil:
		notes = append(notes, fmt.Sprintf("%s is a MAC, and name is compared with names; pve_guest_config shows the MACs of a guest", render.Text(in.Name, 60)))
	case isAddress(in.Name):
		notes = append(notes, fmt.Sprintf("%s is an address, and name is compared with names; pve_guest_status shows the addresses of a guest that runs", render.Text(in.Name, 60)))
	case in.Name != "":
		notes = append(notes, "guests that others made or renamed in the last 20 s may not be found by name yet")
	}
	return notes
}

// noneCalled says that there is nothing of a name, and lists what there is.
func noneCalled(what, wanted string, have map[string]bool) string {
	note := fmt.Sprintf("there is no %s %q that this token may see", what, render.Text(wanted, 60))
	if len(have) == 0 {
		return note + ", nor any other"
	}
	return note + "; there are " + render.Text(render.List(slices.SortedFunc(maps.Keys(have), pve.CompareNames)), 500)
}

// isAddress reports whether a text is an address, with or without a prefix, or a part of one.
func isAddress(s string) bool {
	_, prefixErr := netip.ParsePrefix(s)
	_, addrErr := netip.ParseAddr(s)
	return prefixErr == nil || addrErr == nil || strings.Count(s, ".") > 1 && strings.Trim(s, "0123456789./*") == ""
}
