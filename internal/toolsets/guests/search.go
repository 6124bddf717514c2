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

// knowledge is what is known of guests besides their rows of PVE's list.
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

// status is a guest's status as far as it is known: PVE goes on to show what it
// saw last of a node that is offline.
func (k knowledge) status(r *pve.Row) string {
	if len(k.offline) > 0 && slices.Contains(k.offline, r.Node()) {
		return "unknown"
	}
	return k.seen(r)
}

// seen is the status of a guest when PVE or this process saw it last.
func (k knowledge) seen(r *pve.Row) string {
	if now, ok := k.changed[r.VMID()]; ok {
		return now.State()
	}
	return r.State()
}

// name is a guest's name, "" where it is not known.
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

// mostLooked is how many guests a call asks their nodes about, where what PVE's list says of
// them may be out of date.
const mostLooked = 10

// search returns the guests that match, and what is to be said about those of which it is
// not known whether they do. PVE's list tells names and states as of its nodes' last
// broadcast: a guest that was just made has none yet, or those of the guest that had its id
// before. Such guests are looked at.
func search(ctx context.Context, c *tool.Call, in listIn, all *pve.ResourceList, known knowledge) (found []*pve.Row, notes []string) {
	name := named(in.Name)
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
		notes = append(notes, fmt.Sprintf("the names of %d guests are not known, because their node is offline or has not told of them yet; they are %s: %s",
			len(nameless), where, render.List(nameless)))
	}
	return found, notes
}

// selects reports whether a guest matches by what PVE's list always knows.
func (in listIn) selects(r *pve.Row) bool {
	return (in.Node == "" || r.Node() == in.Node) &&
		(in.Type == "" || r.Type() == in.Type) &&
		(in.Tag == "" || slices.ContainsFunc(r.TagList(), func(t string) bool { return strings.EqualFold(t, in.Tag) })) &&
		(in.Pool == "" || r.Pool() == in.Pool)
}

// named returns what tells whether a name matches: it has the wanted text in it or, where
// this has a *, all of it is like that.
func named(wanted string) func(name string) bool {
	wanted = strings.ToLower(wanted)
	if !strings.Contains(wanted, "*") {
		return func(name string) bool { return strings.Contains(strings.ToLower(name), wanted) }
	}
	re := regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(wanted), `\*`, ".*") + "$")
	return func(name string) bool { return re.MatchString(strings.ToLower(name)) }
}

// absent says of filters by which nothing was found that nothing can be found by them, and
// what there is.
func absent(in listIn, all *pve.ResourceList, perms pve.Permissions) (notes []string) {
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
		notes = append(notes, none("tag", in.Tag, tags))
	}
	if in.Pool != "" && !pools[in.Pool] && perms.Has("/pool/"+in.Pool, "Pool.Audit") {
		notes = append(notes, none("pool", in.Pool, pools))
	}
	switch _, macErr := net.ParseMAC(in.Name); {
	case macErr == nil:
		notes = append(notes, fmt.Sprintf("%s is a MAC, and name is compared with names; pve_guest_config shows the MACs of a guest", render.Text(in.Name, 60)))
	case isAddress(in.Name):
		notes = append(notes, fmt.Sprintf("%s is an address, and name is compared with names; pve_guest_status shows the addresses of a guest that runs", render.Text(in.Name, 60)))
	case in.Name != "":
		notes = append(notes, "what was made or renamed by others in the last 20 s may not be found by its name yet")
	}
	return notes
}

// none says that nothing is like what was looked for, and what there is.
func none(what, wanted string, have map[string]bool) string {
	note := fmt.Sprintf("there is no %s %q that this token may see", what, render.Text(wanted, 60))
	if len(have) == 0 {
		return note + ", nor any other"
	}
	return note + "; there are " + render.Text(render.List(slices.SortedFunc(maps.Keys(have), pve.CompareNames)), 500)
}

// isAddress reports whether a text is an address, one with its prefix, or a part of one.
func isAddress(s string) bool {
	_, prefixErr := netip.ParsePrefix(s)
	_, addrErr := netip.ParseAddr(s)
	return prefixErr == nil || addrErr == nil || strings.Count(s, ".") > 1 && strings.Trim(s, "0123456789./*") == ""
}
