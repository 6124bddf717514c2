package pvesim

import (
	"maps"
	"strings"

	"github.com/pve-mcp/pve-mcp/pve/apischema"
)

// sdnRoutes are the endpoints of the software-defined network.
func sdnRoutes() routes {
	all := routes{
		"GET /cluster/sdn":                           {serve: listSDN},
		"PUT /cluster/sdn":                           {serve: applySDN},
		"POST /cluster/sdn/lock":                     {serve: lockSDN},
		"DELETE /cluster/sdn/lock":                   {serve: unlockSDN},
		"POST /cluster/sdn/rollback":                 {serve: rollBackSDN},
		"GET /nodes/{node}/sdn":                      {serve: index("name")},
		"GET /nodes/{node}/sdn/zones":                {serve: listZoneStatus},
		"GET /nodes/{node}/sdn/zones/{zone}/content": {serve: listVNetStatus},
	}
	maps.Copy(all, fabricRoutes())
	for _, kind := range sdnKinds() {
		maps.Copy(all, kind.routes())
	}
	return all
}

// sdnKind is a kind of objects of the software-defined network. A change waits until all are
// applied, if the kind is staged.
type sdnKind struct {
	sectionKind
	noun   string // that PVE calls it
	staged bool
	// access lets callers write or read an object, where the description of PVE's API leaves
	// that to code. May be nil.
	access func(c *call, privs ...string) error
}

// The kinds, and where their objects are kept: those that were configured.
const (
	zonesFile       = "sdn/zones.cfg"
	vnetsFile       = "sdn/vnets.cfg"
	subnetsFile     = "sdn/subnets.cfg"
	controllersFile = "sdn/controllers.cfg"
	dnsServersFile  = "sdn/dns.cfg"
	ipamsFile       = "sdn/ipams.cfg"
)

// stagedFiles are those of kinds that are staged.
var stagedFiles = []string{zonesFile, vnetsFile, subnetsFile, controllersFile, fabricsFile, fabricNodesFile}

// inForce is where the objects of a file are kept that are in force.
func inForce(file string) string { return "sdn/running/" + strings.TrimPrefix(file, "sdn/") }

func sdnKinds() []sdnKind {
	return []sdnKind{zones(), vnets(), sdnSubnets(), controllers(), dnsServers(), ipams()}
}

// newSDNKind fills in what all kinds have in common.
func newSDNKind(noun, path, file string, staged bool) sdnKind {
	unknown := func(id string) error { return die("sdn '%s' does not exist", id) }
	return sdnKind{noun: noun, staged: staged, sectionKind: sectionKind{
		path: path, file: file, key: noun, inList: true, inOne: true, unknown: unknown, gone: unknown, absent: unknown,
		taken: func(id string) error { return die("sdn %s object ID '%s' already defined", noun, id) },
	}}
}

func (k sdnKind) routes() routes {
	one := k.path + "/{" + k.key + "}"
	all := routes{
		"GET " + k.path:  {serve: k.listSDN},
		"POST " + k.path: {serve: k.createSDN},
		"GET " + one:     {serve: k.getSDN},
		"PUT " + one:     {serve: k.locked("update", k.put)},
		"DELETE " + one:  {serve: k.locked("delete", k.remove)},
	}
	if k.access == nil {
		return all
	}
	for key, route := range all {
		privs := []string{"SDN.Allocate"}
		if strings.HasPrefix(key, "GET ") {
			privs = []string{"SDN.Audit", "SDN.Allocate"}
		}
		if key != "GET "+k.path || k.noun == "subnet" {
			route.check = func(c *call) error { return k.access(c, privs...) }
		}
		all[key] = route
	}
	return all
}

func (k sdnKind) listSDN(c *call) (any, error) {
	entries, err := k.asked(c)
	if err != nil {
		return nil, err
	}
	out := []any{}
	for _, entry := range entries {
		if k.visible == nil || k.visible(c, entry[k.key].(string)) {
			out = append(out, entry)
		}
	}
	return out, nil
}

func (k sdnKind) getSDN(c *call) (any, error) {
	entries, err := k.asked(c)
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		if entry[k.key] == c.str(k.key) {
			return entry, nil
		}
	}
	return nil, k.unknown(c.str(k.key))
}

// createSDN checks the options before it takes the lock.
func (k sdnKind) createSDN(c *call) (any, error) {
	token := c.params["lock-token"]
	delete(c.params, "lock-token")
	if err := k.complete(c, Section{Type: c.str("type")}); err != nil {
		return nil, err
	}
	c.params["lock-token"] = token
	return k.locked("create", k.create)(c)
}

// locked does something under the lock on the network, in which refusals lose their form.
func (k sdnKind) locked(verb string, do handler) handler {
	words := verb + " sdn " + k.noun + " object failed: "
	return func(c *call) (any, error) {
		if err := c.mayChangeSDN(); err != nil {
			return nil, die("%s%s", words, strings.TrimSpace(err.Error()))
		}
		delete(c.params, "lock-token")
		data, err := do(c)
		return data, refusedInLock(words, err)
	}
}

// refusedInLock is a refusal as the lock's code repeats it: as text.
func refusedInLock(words string, err error) error {
	switch err := err.(type) {
	case nil, *apischema.PermissionError:
		return err
	case *apischema.ParamError:
		text := "400 Parameter verification failed."
		for _, name := range sortedKeys(err.Errors) {
			text += "\n" + name + ": " + err.Errors[name]
		}
		return die("%s%s", words, text)
	}
	return die("%s%s", words, strings.TrimSuffix(err.Error(), "\n"))
}

// asked are the objects that the call asks for: as configured, in force, or what would change.
func (k sdnKind) asked(c *call) ([]map[string]any, error) {
	running := k.sectionKind
	running.file = inForce(k.file)
	var out []map[string]any
	switch {
	case k.staged && c.flag("pending"):
		out = waitingSDN(k.shownAll(c, running), k.shownAll(c, k.sectionKind), k.key)
	case k.staged && c.flag("running"):
		out = k.shownAll(c, running)
	default:
		out = k.shownAll(c, k.sectionKind)
	}
	kept := out[:0]
	for _, entry := range out {
		entry["digest"] = c.fileDigest(k.file)
		if typ := c.str("type"); typ != "" && entry["type"] != typ {
			continue
		}
		if k.fields != nil {
			entry = k.fields(c, entry)
		}
		if entry != nil {
			kept = append(kept, entry)
		}
	}
	return kept, nil
}

// shownAll are the objects of a kind as PVE shows them.
func (sdnKind) shownAll(c *call, k sectionKind) []map[string]any {
	out := []map[string]any{}
	for _, s := range k.all(c) {
		entry := k.show(c, s)
		entry[k.key], entry["type"] = s.ID, s.Type
		out = append(out, entry)
	}
	return out
}
