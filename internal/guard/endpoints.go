package guard

import (
	"net/url"
	"slices"
	"strings"

	"pve-mcp/pve/lazyregexp"
)

// endpoint is a row of the table of what may leave the process beside reads.
type endpoint struct {
	method string
	path   string // below /api2/json; * stands for one element, ** at the end for the rest
	risk   Risk
	// worse says, by the parameters, whether the request is destructive after all.
	worse func(params url.Values) bool
	// spares reports whether the guest that the path or vmid names is left as it is.
	spares func(params url.Values) bool
	// makes names the parameter with the id of a guest that is made.
	makes string
}

// endpoints are all that is known beside GET; what is not here is refused.
var endpoints = []endpoint{
	{method: "POST", path: "/nodes/*/qemu/*/status/*", risk: Write},
	{method: "POST", path: "/nodes/*/lxc/*/status/*", risk: Write},
	{method: "PUT", path: "/nodes/*/qemu/*/config", risk: Write, worse: destroysConfig},
	{method: "POST", path: "/nodes/*/qemu/*/config", risk: Write, worse: destroysConfig},
	{method: "PUT", path: "/nodes/*/lxc/*/config", risk: Write, worse: destroysConfig},
	{method: "PUT", path: "/nodes/*/qemu/*/resize", risk: Write},
	{method: "PUT", path: "/nodes/*/lxc/*/resize", risk: Write},
	{method: "POST", path: "/nodes/*/qemu/*/clone", risk: Write, spares: always, makes: "newid"},
	{method: "POST", path: "/nodes/*/lxc/*/clone", risk: Write, spares: always, makes: "newid"},
	{method: "POST", path: "/nodes/*/qemu/*/migrate", risk: Write},
	{method: "POST", path: "/nodes/*/lxc/*/migrate", risk: Write},
	{method: "POST", path: "/nodes/*/qemu/*/snapshot", risk: Write},
	{method: "POST", path: "/nodes/*/lxc/*/snapshot", risk: Write},
	{method: "DELETE", path: "/nodes/*/qemu/*/snapshot/*", risk: Destructive},
	{method: "DELETE", path: "/nodes/*/lxc/*/snapshot/*", risk: Destructive},
	{method: "POST", path: "/nodes/*/qemu/*/snapshot/*/rollback", risk: Destructive},
	{method: "POST", path: "/nodes/*/lxc/*/snapshot/*/rollback", risk: Destructive},
	{method: "DELETE", path: "/nodes/*/qemu/*", risk: Destructive},
	{method: "DELETE", path: "/nodes/*/lxc/*", risk: Destructive},
	{method: "POST", path: "/nodes/*/qemu", risk: Write, worse: forced, makes: "vmid"},
	{method: "POST", path: "/nodes/*/lxc", risk: Write, worse: forced, makes: "vmid"},
	{method: "POST", path: "/nodes/*/vzdump", risk: Write, worse: prunes, spares: snapshotMode},
	{method: "DELETE", path: "/nodes/*/storage/*/content/**", risk: Destructive},
	{method: "DELETE", path: "/nodes/*/storage/*/prunebackups", risk: Destructive},
	{method: "DELETE", path: "/nodes/*/tasks/*", risk: Write},
	{method: "POST", path: "/nodes/*/qemu/*/agent/exec", risk: Exec},
}

// readsGuest are the reads that look into a guest by its agent: what a command printed,
// and files.
var readsGuest = lazyregexp.New(`^/nodes/[^/]+/qemu/[^/]+/agent/(exec-status|file-read)$`)

func always(url.Values) bool { return true }

func forced(params url.Values) bool { return on(params.Get("force")) }

func on(v string) bool { return v != "" && v != "0" }

var unusedRE = lazyregexp.New(`^unused\d+$`)

// destroysConfig reports whether a change of a configuration removes data or lays it
// open.
func destroysConfig(params url.Values) bool {
	remove := strings.FieldsFunc(strings.Join(params["delete"], ","), func(r rune) bool { return strings.ContainsRune(",; \x00", r) })
	return forced(params) || params.Has("protection") && !on(params.Get("protection")) ||
		slices.ContainsFunc(remove, func(key string) bool {
			return unusedRE.MatchString(key) || key == "vmstate" || key == "protection"
		})
}

// prunes reports whether a backup may delete older ones: PVE does by itself unless it is
// told not to.
func prunes(params url.Values) bool {
	return params.Get("remove") != "0" || params.Has("prune-backups")
}

// snapshotMode reports whether a backup leaves its guests running and older backups
// alone.
func snapshotMode(params url.Values) bool {
	mode := params.Get("mode")
	return (mode == "" || mode == "snapshot") && !prunes(params)
}

// find returns the row of a request.
func find(method, path string) (endpoint, bool) {
	i := slices.IndexFunc(endpoints, func(e endpoint) bool { return e.method == method && matches(e.path, path) })
	if i < 0 {
		return endpoint{}, false
	}
	return endpoints[i], true
}

// matches compares a path with a pattern, element by element.
func matches(pattern, path string) bool {
	want, got := strings.Split(pattern, "/"), strings.Split(path, "/")
	for i, w := range want {
		switch {
		case w == "**":
			return i < len(got) && got[i] != ""
		case i >= len(got), w != "*" && w != got[i], w == "*" && got[i] == "":
			return false
		}
	}
	return len(got) == len(want)
}

// riskOf is what a request can do.
func (e endpoint) riskOf(params url.Values) Risk {
	if e.worse != nil && e.worse(params) {
		return max(e.risk, Destructive)
	}
	return e.risk
}

var (
	guestPathRE = lazyregexp.New(`^/nodes/[^/]+/(?:qemu|lxc)/(\d+)(?:/|$)`)
	sidRE       = lazyregexp.New(`^(?:vm|ct):(\d+)$`)
	upidRE      = lazyregexp.New(`/UPID(?::[^:]*){5}:(\d+)[@:]`)
	// ownerRE finds the guest that a volume belongs to: of a disk, a backup in a file, a
	// backup on a backup server.
	ownerRE = lazyregexp.New(`(?:^|[:/])(?:vm|base|subvol|basevol)-(\d+)-|vzdump-(?:qemu|lxc|openvz)-(\d+)-|backup/(?:vm|ct)/(\d+)/`)
)

// touched are the guests that a request changes, and those that it makes. ok says that
// they are known: a request that names none may be about any.
func (e endpoint) touched(path string, params url.Values) (changed, made []int, ok bool) {
	var ids []string
	if m := guestPathRE.FindStringSubmatch(path); m != nil {
		ids = append(ids, m[1])
	}
	for _, key := range []string{"vmid", "vms"} {
		for _, list := range params[key] {
			ids = append(ids, strings.FieldsFunc(list, func(r rune) bool { return strings.ContainsRune(",; \x00", r) })...)
		}
	}
	for _, sid := range params["sid"] {
		if m := sidRE.FindStringSubmatch(sid); m != nil {
			ids = append(ids, m[1])
		}
	}
	if m := ownerRE.FindStringSubmatch(path); m != nil {
		ids = append(ids, m[1]+m[2]+m[3])
	}
	if m := upidRE.FindStringSubmatch(path); m != nil {
		ids = append(ids, m[1])
	}
	creates := e.makes == "vmid" && !forced(params)
	for _, text := range ids {
		id, err := vmid(text)
		switch {
		case err != nil:
			return nil, nil, false
		case creates:
			made = append(made, id)
		case e.spares == nil || !e.spares(params):
			changed = append(changed, id)
		}
	}
	if e.makes == "newid" {
		id, err := vmid(params.Get("newid"))
		if err != nil {
			return nil, nil, false
		}
		made = append(made, id)
	}
	return changed, made, len(ids) > 0 || len(made) > 0
}
