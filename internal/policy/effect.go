package policy

import (
	"cmp"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
	"github.com/pve-mcp/pve-mcp/pve/apischema"
)

// effect is what a request changes.
type effect struct {
	subjects   []Subject // what its row says that is changed, other than guests
	changed    []int     // the guests that it changes
	made       []int     // those that it makes
	uses       []Where   // those whose volumes it changes or copies, whichever guest they belong to
	named      []Volume  // the volumes of others that its parameters name
	selection  Selection // guests that it changes without naming them
	snapshot   string    // whose disks count of those, as in [Where]
	spreads    bool      // a change of the guests' own volumes affects every guest that has one
	pool       string    // that guests are made in
	target     string    // the node to which HA may move others, too
	prunes     bool      // it may delete older backups, on the storage prunesOn
	prunesOn   string    // "" if the request does not say
	creates    bool      // it creates its subject
	destroys   bool      // it is destructive
	onlyListed bool      // it is only about the guests that it names, not about all that depend on its subject
	complete   bool      // every parameter of its row's subject is given, so consent is possible
	known      bool      // what it changes is known
}

// Selection describes the guests of a backup job or of a call without a list.
type Selection struct {
	Guests  []int
	Pool    string // the guests in it, too
	All     bool   // every guest except Exclude
	Node    string // where not "", All are those on this node
	Exclude []int
}

func (s Selection) isEmpty() bool { return len(s.Guests) == 0 && s.Pool == "" && !s.All }

// all returns the subjects of the request, guests included, each once.
func (e effect) all() []Subject {
	out := slices.Clone(e.subjects)
	for _, s := range Guests(slices.Concat(e.changed, e.made)) {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// effectOf returns what a request changes.
func (e row) effectOf(r request) effect {
	ids, ok := e.guestsNamed(r)
	own := 0
	if len(ids) > 0 {
		own = ids[0]
	}
	unknown := effect{named: Foreign(own, r.params)}
	if !ok {
		return unknown
	}
	out := unknown
	out.pool, out.creates, out.known = r.params.Get("pool"), e.creates(), true
	left := e.leavesGuests != nil && e.leavesGuests(r)
	if e.makes == "vmid" && !forced(r) {
		out.made = ids
	} else if !left {
		out.changed = ids
	}
	if e.usesVolumes(r) && (!left || e.makes != "") && !(e.makes == "vmid" && !forced(r)) { // a copy may have what its original only refers to
		out.uses = e.places(r, ids)
	}
	if e.makes == "newid" {
		made, ok := guestIDs(r.params.Get("newid"))
		if !ok || len(made) != 1 {
			return unknown
		}
		out.made = made
	}
	if e.targetParam != "" {
		out.target = r.params.Get(e.targetParam)
	}
	if e.selects != nil {
		out.selection = e.selects(r)
		if e.from != nil {
			out.snapshot = e.from(r)
		}
	}
	if e.prunes != nil {
		out.prunes, out.prunesOn = e.prunes(r), r.params.Get("storage")
	}
	if left && !out.selection.isEmpty() {
		out.selection, out.known = Selection{}, true
	} else if e.kind() == GuestKind {
		out.known = len(ids) > 0 || len(out.made) > 0 || !out.selection.isEmpty()
	}
	out.onlyListed = e.onlyListed != nil && e.onlyListed(r)
	out.addSubjects(e, r)
	return out
}

// addSubjects adds the subjects that the row of a request names.
func (out *effect) addSubjects(e row, r request) {
	template, complete := e.subjectOf(r)
	out.complete = complete && out.selection.isEmpty()
	if _, ok := apischema.VolumeOwner(template.ID); template.Kind == VolumeKind && !ok {
		out.known = false
	}
	switch owner := template.owner(); {
	case template.Kind == GuestKind:
		return // guestsNamed has them
	case template.Kind == taskKind:
		if upid, err := proxmox.ParseUPID(template.ID); err == nil {
			if _, ok := pve.GuestOf(upid); ok {
				return // the task of a guest is the guest's, which guestsNamed has
			}
		}
	case owner > 0 && !slices.Contains(out.changed, owner):
		out.changed = append(out.changed, owner)
	}
	if template.Kind != "" {
		out.subjects = append(out.subjects, template)
	}
	if template.Kind == PoolKind {
		for _, name := range apischema.SplitList(r.params.Get("storage")) {
			out.subjects = append(out.subjects, Subject{StorageKind, name})
		}
	}
}

// guestsNamed returns the guests that a request names anywhere, that of its path first. ok is
// false if a parameter should name a guest but does not.
func (e row) guestsNamed(r request) (ids []int, ok bool) {
	var texts []string
	if r.at(0) == "nodes" && (r.at(2) == "qemu" || r.at(2) == "lxc") && len(r.elems) > 3 {
		texts = append(texts, r.at(3))
	}
	for _, key := range []string{"vmid", "vms", "target-vmid", "sid", "resources"} {
		texts = append(texts, r.params[key]...)
	}
	if sid := e.inPath(r, "sid"); sid != "" {
		texts = append(texts, sid)
	}
	for _, text := range texts {
		more, ok := guestIDs(text)
		if !ok || len(more) == 0 && text != "" {
			return ids, false
		}
		ids = append(ids, more...)
	}
	if upid, err := proxmox.ParseUPID(r.at(3)); err == nil && r.at(2) == "tasks" {
		if id, ok := pve.GuestOf(upid); ok {
			ids = append(ids, int(id))
		}
	}
	return once(ids), true
}

// once returns values in their order, without repetitions.
func once[T comparable](values []T) (out []T) {
	seen := map[T]bool{}
	for _, v := range values {
		if !seen[v] {
			seen[v] = true
			out = append(out, v)
		}
	}
	return out
}

// places returns where the guests of a request are, and which of their volumes count.
func (e row) places(r request, ids []int) (out []Where) {
	where, inPath := r.guest()
	for _, id := range ids {
		use := Where{VMID: id}
		if inPath && where.VMID == id {
			use = where
		}
		if e.from != nil {
			use.Snapshot = e.from(r)
		}
		out = append(out, use)
	}
	return out
}

// usesVolumes reports whether PVE uses the volumes of the guests that a request names.
func (e row) usesVolumes(r request) bool {
	switch r.at(0) {
	case "nodes":
		return r.at(2) != "tasks" && r.at(2) != "storage"
	case "cluster":
		return slices.Contains([]string{"ha", "bulk-action", "backup", "replication"}, r.at(1))
	}
	return false
}

// namesVolumes reports whether a request may give volumes of other guests to the guest.
func (e row) namesVolumes() bool {
	return e.rewrites || e.makes == "vmid" || strings.HasSuffix(e.path, "/{vmid}/config")
}

// kind is the kind of what the endpoint changes.
func (e row) kind() Kind {
	kind, _, _ := strings.Cut(e.subject, " ")
	return Kind(kind)
}

// subjectOf fills in the subject of the row. whole is false if a parameter that it needs is
// missing or empty.
func (e row) subjectOf(r request) (s Subject, complete bool) {
	_, template, _ := strings.Cut(e.subject, " ")
	var pairs []string
	for _, name := range paramsIn(template) {
		value := cmp.Or(e.inPath(r, name), r.params.Get(name))
		if value == "" {
			return Subject{Kind: e.kind()}, false
		}
		if name == "filename" && strings.Contains(template, "{content}/") {
			value = storedName(value)
		}
		pairs = append(pairs, "{"+name+"}", value)
	}
	s = Subject{e.kind(), strings.NewReplacer(pairs...).Replace(template)}
	if s.Kind == VolumeKind && !strings.Contains(s.ID, ":") { // PVE looks for it on the storage in the path
		s.ID = e.inPath(r, "storage") + ":" + s.ID
	}
	return s, true
}

// storedName is the name that PVE gives to an uploaded or downloaded file.
func storedName(name string) string {
	name = strings.TrimSuffix(name, "\n")
	name = name[strings.LastIndexAny(name, `/\`)+1:]
	return strings.Map(func(r rune) rune {
		if r < 0x80 && (r == '_' || r == '.' || r == '-' || '0' <= r && r <= '9' || 'A' <= r && r <= 'Z' || 'a' <= r && r <= 'z') {
			return r
		}
		return '_'
	}, name)
}

// paramsIn are the names of the parameters in a template.
func paramsIn(template string) (names []string) {
	for part := range strings.SplitSeq(template, "{") {
		if name, _, found := strings.Cut(part, "}"); found {
			names = append(names, name)
		}
	}
	return names
}

// inPath returns a parameter that the path of a request has, or "".
func (e row) inPath(r request, name string) string {
	for i, part := range strings.Split(e.path, "/")[1:] {
		switch {
		case part != "{"+name+"}":
		case name == "volume" && i < len(r.elems): // its name may have slashes
			return strings.Join(r.elems[i:], "/")
		default:
			return r.at(i)
		}
	}
	return ""
}

// creates reports whether the endpoint creates its subject: a POST that destroys nothing names
// the subject outside its path.
func (e row) creates() bool {
	return e.method == "POST" && e.class == writes && slices.ContainsFunc(paramsIn(e.subject), func(name string) bool { return !strings.Contains(e.path, "{"+name+"}") })
}

// riskOf is what a request can do. If it names a volume of another or of an unknown guest, it
// can do to that guest what it does to its own.
func (e row) riskOf(r request, t effect) Risk {
	if e.isDestructive != nil && e.isDestructive(r) || Lend(t.named) {
		return max(e.class.risk(), Destructive)
	}
	return e.class.risk()
}
