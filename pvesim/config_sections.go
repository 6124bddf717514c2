package pvesim

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/pve/apischema"
)

// sectionKind is a kind of objects that PVE keeps as the sections of a file, and that its API
// lists, shows, makes, changes and removes in the same way.
type sectionKind struct {
	path string // of the endpoints
	file string // below /etc/pve
	key  string // the parameter with an object's id
	typ  string // of the objects; "" for what the parameter type says
	// shownKey is the field with an object's id in answers, if it is not key.
	shownKey string
	// at is the path with which an object is made, if that is not path.
	at string
	// idOf is the id that a call is about; nil if that is the parameter.
	idOf func(*call) string

	// needed and optional are the options of a type that allows no others.
	needed, optional map[string]string
	hidden           []string  // options that PVE tells nobody
	builtin          []Section // objects that PVE has by itself
	hasOrigin        bool      // a list says where an object is from
	keepsEmpty       bool      // options without a value are kept

	// What PVE says of an object that is to be shown or changed and is not there, and of one that
	// is to be made and is.
	unknown, gone, taken func(id string) error
	absent               func(id string) error // that is to be removed; nil if PVE does not mind

	inList, inOne bool                                       // the digest is shown there
	fields        func(*call, map[string]any) map[string]any // of an entry in the list, nil to leave it out; nil for all
	visible       func(c *call, id string) bool              // in the list; nil for all
	check         func(c *call, s Section, create bool) error
	free          func(c *call, id string) error // to be removed; nil for always
}

// routes are the endpoints of the objects.
func (k sectionKind) routes() routes {
	one := k.path + "/{" + k.key + "}"
	return routes{
		"GET " + k.path:                {serve: k.list},
		"POST " + cmp.Or(k.at, k.path): {serve: k.create},
		"GET " + one:                   {serve: k.get},
		"PUT " + one:                   {serve: k.put},
		"DELETE " + one:                {serve: k.remove},
	}
}

// described is the endpoint whose parameters describe the options.
func (k sectionKind) described(c *call) *apischema.Endpoint {
	return c.api().Endpoint("POST", cmp.Or(k.at, k.path))
}

// all are the objects, those of PVE itself included.
func (k sectionKind) all(c *call) []Section {
	var out []Section
	for _, s := range c.files[k.file] {
		if k.typ == "" || s.Type == k.typ {
			out = append(out, s)
		}
	}
	for _, s := range k.builtin {
		if c.section(k.file, s.Type, s.ID) == nil {
			out = append(out, s)
		}
	}
	slices.SortFunc(out, func(a, b Section) int { return strings.Compare(a.ID, b.ID) })
	return out
}

// id is that of the object that the call is about.
func (k sectionKind) id(c *call) string {
	if k.idOf != nil {
		return k.idOf(c)
	}
	return c.str(k.key)
}

func (k sectionKind) find(c *call) (Section, bool) {
	all, id := k.all(c), k.id(c)
	i := slices.IndexFunc(all, func(s Section) bool { return s.ID == id })
	if i < 0 {
		return Section{}, false
	}
	return all[i], true
}

// show is an object as PVE shows it.
func (k sectionKind) show(c *call, s Section) map[string]any {
	out := c.options(k.described(c), s)
	for _, name := range k.hidden {
		delete(out, name)
	}
	return out
}

func (k sectionKind) list(c *call) (any, error) {
	out := []any{}
	for _, s := range k.all(c) {
		if k.visible != nil && !k.visible(c, s.ID) {
			continue
		}
		entry := k.show(c, s)
		entry[cmp.Or(k.shownKey, k.key)] = s.ID
		if k.typ == "" {
			entry["type"] = s.Type
		}
		if k.inList {
			entry["digest"] = c.fileDigest(k.file)
		}
		if k.hasOrigin {
			entry["origin"] = k.origin(c, s)
		}
		if k.fields != nil {
			entry = k.fields(c, entry)
		}
		if entry != nil {
			out = append(out, entry)
		}
	}
	return out, nil
}

// origin says where an object is from.
func (k sectionKind) origin(c *call, s Section) string {
	isBuiltin := slices.ContainsFunc(k.builtin, func(b Section) bool { return b.ID == s.ID })
	switch {
	case !isBuiltin:
		return "user-created"
	case c.section(k.file, s.Type, s.ID) != nil:
		return "modified-builtin"
	}
	return "builtin"
}

func (k sectionKind) get(c *call) (any, error) {
	s, ok := k.find(c)
	if !ok {
		return nil, k.unknown(k.id(c))
	}
	out := k.show(c, s)
	if k.typ == "" {
		out["type"] = s.Type
	} else {
		out[k.key] = s.ID
	}
	if k.shownKey != "" {
		out[k.shownKey] = s.ID
	}
	if k.inOne {
		out["digest"] = c.fileDigest(k.file)
	}
	return out, nil
}

func (k sectionKind) create(c *call) (any, error) {
	id := k.id(c)
	s := Section{ID: id, Type: cmp.Or(k.typ, c.str("type"))}
	if _, ok := k.find(c); ok || c.section(k.file, "", id) != nil {
		return nil, k.taken(id)
	}
	if err := k.complete(c, s); err != nil {
		return nil, err
	}
	c.setSection(&s, k.key, "type")
	k.dropUnwritten(&s)
	if k.check != nil {
		if err := k.check(c, s, true); err != nil {
			return nil, err
		}
	}
	c.files[k.file] = append(c.files[k.file], s)
	return nil, nil
}

// complete refuses an object without options that its type needs, or with others than it has.
func (k sectionKind) complete(c *call, s Section) error {
	if err := k.knows(c, s.Type); err != nil {
		return err
	}
	for _, name := range strings.Fields(k.needed[s.Type]) {
		if v := c.params[name]; v == nil || optionText(v) == "" {
			return die("missing value for required option '%s'", name)
		}
	}
	return nil
}

// knows refuses options that a type does not have.
func (k sectionKind) knows(c *call, typ string) error {
	if k.needed == nil {
		return nil
	}
	known := strings.Fields(k.needed[typ] + " " + k.optional[typ])
	for _, name := range sortedKeys(c.params) {
		if c.params[name] != nil && !slices.Contains([]string{k.key, "type", "delete", "digest"}, name) && !slices.Contains(known, name) {
			return die("unexpected property '%s'", name)
		}
	}
	for _, name := range c.deleted() {
		switch {
		case !slices.Contains(known, name):
			return die("no such option '%s'", name)
		case slices.Contains(strings.Fields(k.needed[typ]), name):
			return die("unable to delete required option '%s'", name)
		case c.params[name] != nil:
			return die("cannot set and delete property '%s' at the same time!", name)
		}
	}
	return nil
}

// dropUnwritten drops options that PVE's files of sections cannot say: those without a value,
// and that an object is not disabled.
func (k sectionKind) dropUnwritten(s *Section) {
	if k.keepsEmpty {
		return
	}
	maps.DeleteFunc(s.Options, func(name, value string) bool { return value == "" || name == "disable" && value == "0" })
}

func (k sectionKind) put(c *call) (any, error) {
	if err := c.checkDigestOf(c.fileDigest(k.file)); err != nil {
		return nil, err
	}
	s, ok := k.find(c)
	if !ok {
		return nil, k.gone(k.id(c))
	}
	if err := k.knows(c, s.Type); err != nil {
		return nil, err
	}
	changed := cloneSections([]Section{s})[0]
	c.setSection(&changed, k.key)
	k.dropUnwritten(&changed)
	if k.check != nil {
		if err := k.check(c, changed, false); err != nil {
			return nil, err
		}
	}
	*c.sectionOrNew(k.file, s.Type, s.ID) = changed
	return nil, nil
}

func (k sectionKind) remove(c *call) (any, error) {
	id := k.id(c)
	s, ok := k.find(c)
	switch {
	case !ok && k.absent != nil:
		return nil, k.absent(id)
	case !ok:
		return nil, nil
	case k.free != nil:
		if err := k.free(c, id); err != nil {
			return nil, err
		}
	}
	c.removeSection(k.file, s.Type, id)
	return nil, nil
}
