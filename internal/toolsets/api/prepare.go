package api

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
	"github.com/pve-mcp/pve-mcp/pve/apischema"
)

// prepare turns a path and parameters into a request. It checks their form, fills templates,
// and checks the parameters against the description of the node that will answer. Those that
// the user types later need not be there. It sends only look-ups.
func prepare(ctx context.Context, c *tool.Call, method, path string, given params, typed ...string) (request, error) {
	if err := checkPath(path); err != nil {
		return request{}, err
	}
	values, err := given.values()
	if err != nil {
		return request{}, err
	}
	t, err := fillPath(ctx, c, path, values)
	if err != nil {
		return request{}, err
	}
	node := t.answering(method)
	d, err := apiOf(ctx, c, node)
	if err != nil {
		if _, unknown := c.Node(ctx, node); node != "" && unknown != nil {
			return request{}, unknown
		}
		return request{}, err
	}
	if d.lacks(method, t.path(), values) && d.isOfEndpoint(ctx, c, node) {
		d = d.asShown(ctx, c)
		if method != http.MethodGet && !d.lacks(method, t.path(), values) {
			return request{}, explain.Refusal("Only what is known is changed.", "Nothing was sent: the node has %s %s, or a parameter of it, that this server does not know.", method, t.path())
		}
	}
	return check(d, method, t.path(), values, typed...)
}

// check checks a request against the description of an API, as far as it is known before the
// user types the rest.
func check(d described, method, path string, given apischema.Values, typed ...string) (request, error) {
	ep, values, ok := d.Find(method, path)
	if !ok {
		return request{}, noEndpoint(d.API, d.version, method, path)
	}
	for name, value := range given {
		if inPath, is := values[name]; is && inPath != value {
			return request{}, explain.Refusal("Give it in one of them.", "Nothing was sent: %s is %s in path, and something else in params.", name, render.Text(fmt.Sprint(inPath), 60))
		}
		values[name] = value
	}
	if err := refuseClearSecrets(d.API, ep, values, typed); err != nil {
		return request{}, err
	}
	toCheck, err := withoutTyped(d.API, ep, typed, values)
	if err != nil {
		return request{}, err
	}
	form, err := checkParams(d.API, toCheck, values)
	if err != nil {
		return request{}, err
	}
	return request{method, ep, elementsOf(ep, values), form, values, typed, d.API}, nil
}

// elementsOf returns the elements of a path. A volume or a network is one element, although it
// has a slash.
func elementsOf(ep *apischema.Endpoint, values apischema.Values) (out []string) {
	for part := range strings.SplitSeq(strings.TrimPrefix(ep.Path, "/"), "/") {
		if strings.HasPrefix(part, "{") {
			part, _ = values[strings.Trim(part, "{}")].(string)
		}
		out = append(out, part)
	}
	return out
}

// template is a path, by its elements.
type template []string

func (t template) path() string { return "/" + strings.Join(t, "/") }

func (t template) at(i int) string {
	if i < len(t) {
		return t[i]
	}
	return ""
}

// answering is the node whose version counts, "" for the host that is asked. That host forwards
// a request for another node unread.
func (t template) answering(method string) string {
	if t.at(0) != "nodes" || len(t) < 2 || t.at(1) == "localhost" {
		return ""
	}
	for _, major := range []int{newestKnown, oldestKnown} {
		if known, err := apischema.Load(major); err == nil {
			if ep, _, ok := known.Find(method, t.path()); ok && ep.ProxyTo == "node" {
				return t.at(1)
			}
		}
	}
	return ""
}

func isOpen(elem string) bool { return strings.HasPrefix(elem, "{") && strings.HasSuffix(elem, "}") }

// fillPath fills the templates of a path: from the parameters, and {node} from what is on it.
// Parameters that were used are taken out of values.
func fillPath(ctx context.Context, c *tool.Call, path string, values apischema.Values) (template, error) {
	t := template(strings.Split(strings.TrimPrefix(path, "/"), "/"))
	for i, elem := range t {
		if text, ok := values[strings.Trim(elem, "{}")].(string); isOpen(elem) && ok && text != "" {
			t[i] = text
			delete(values, strings.Trim(elem, "{}"))
		}
	}
	if err := t.fillGuest(ctx, c); err != nil {
		return nil, err
	}
	if t.at(0) == "nodes" && isOpen(t.at(1)) {
		node, err := t.nodeOf(ctx, c)
		if err != nil {
			return nil, err
		}
		t[1] = node
	}
	if i := slices.IndexFunc(t, isOpen); i >= 0 {
		name := strings.Trim(t[i], "{}")
		return nil, explain.Refusal(fmt.Sprintf("GET %s lists what there is.", t[:i].path()),
			"Nothing was sent: %s in the path is a placeholder for a %s: replace it, or give it in params.", render.Text(t[i], 40), render.Text(name, 40))
	}
	return t, nil
}

// fillGuest puts the id of a guest in the place of its name, and refuses the path of a VM for
// a container.
func (t template) fillGuest(ctx context.Context, c *tool.Call) error {
	kind := t.at(2)
	if t.at(0) != "nodes" || kind != "qemu" && kind != "lxc" || len(t) < 4 || isOpen(t.at(3)) {
		return nil
	}
	id, err := strconv.Atoi(t.at(3))
	if err != nil {
		g, err := namedGuest(ctx, c, t.at(3))
		if err != nil {
			return err
		}
		t[3], id = g.VMID.String(), int(g.VMID)
	}
	if !isOpen(t.at(1)) || id < int(pve.MinVMID) {
		return nil // PVE's own words are as good
	}
	g, err := c.Guest(ctx, pve.VMID(id))
	if err != nil {
		return err
	}
	if g.Type != kind {
		right := slices.Clone(t)
		right[2] = g.Type
		return explain.Refusal("The path is "+right.path()+".", "Nothing was sent: %d is a %s.", id, map[string]string{"qemu": "VM", "lxc": "container"}[g.Type])
	}
	return nil
}

// namedGuest finds a guest by its exact name. What is not a name of one is left to PVE's
// description.
func namedGuest(ctx context.Context, c *tool.Call, name string) (pve.Resource, error) {
	all, err := c.List(ctx, "vm")
	if err != nil {
		return pve.Resource{}, err
	}
	var found []pve.Resource
	var names []string
	for _, r := range all.Resources() {
		if r.IsGuest() && r.Name.Value == name {
			found = append(found, r)
			names = append(names, fmt.Sprintf("%v on %s", r.VMID, r.Node.Value))
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return pve.Resource{}, noNumber(name)
	}
	return pve.Resource{}, explain.Refusal("They are "+render.List(names)+".", "Nothing was sent: several guests are called %s.", render.Text(name, 60))
}

// nodeOf is the node that the rest of a path is about. It is never guessed.
func (t template) nodeOf(ctx context.Context, c *tool.Call) (string, error) {
	switch kind, name := t.at(2), t.at(3); {
	case isOpen(name) || name == "":
	case kind == "qemu" || kind == "lxc":
		return nodeOfGuest(ctx, c, name)
	case kind == "replication":
		id, _, _ := strings.Cut(name, "-")
		return nodeOfGuest(ctx, c, id)
	case kind == "tasks":
		if upid, err := proxmox.ParseUPID(name); err == nil {
			return upid.Node, nil
		}
		return "", explain.Refusal("pve_list_tasks has those of tasks.", "Nothing was sent: Parameter verification failed. upid: %s.", noTask)
	case kind == "storage":
		return nodeOfStorage(ctx, c, name)
	}
	nodes, err := c.Nodes(ctx)
	if err != nil {
		return "", err
	}
	if len(nodes) == 1 {
		return nodes[0].Node.Value, nil
	}
	var names []string
	for _, n := range nodes {
		names = append(names, n.Node.Value)
	}
	return "", explain.Refusal("The nodes are "+render.List(names)+".", "Nothing was sent: %s does not say which node it is about.", render.Text(t.path(), 120))
}

// noNumber is PVE's refusal of an invalid id of a guest.
func noNumber(text string) error {
	return explain.Refusal("Right would be the id of a guest, such as 100, or its exact name: no guest that can be seen is called so.",
		"Nothing was sent: Parameter verification failed. vmid: type check ('integer') failed - got '%s'.", render.Text(text, 60))
}

func nodeOfGuest(ctx context.Context, c *tool.Call, text string) (string, error) {
	id, err := strconv.Atoi(text)
	if err != nil {
		return "", noNumber(text)
	}
	g, err := c.Guest(ctx, pve.VMID(id))
	return g.Node.Value, err
}

// nodeOfStorage is a node that can use a shared storage, or the one that has it.
func nodeOfStorage(ctx context.Context, c *tool.Call, name string) (string, error) {
	all, err := c.Stores(ctx)
	if err != nil {
		return "", err
	}
	var stores []cluster.Store
	for _, s := range all {
		if s.Storage.Value == name {
			stores = append(stores, s)
		}
	}
	switch {
	case len(stores) == 0:
		return "", cluster.NoStorageError(name, all)
	case len(stores) > 1:
		return "", explain.Refusal("Say which: it is on "+render.List(nodesOf(stores))+".",
			"Nothing was sent: each node has a storage %s of its own.", render.Text(name, 60))
	case len(stores[0].Ready) > 0:
		return stores[0].Ready[0], nil
	}
	return stores[0].Nodes[0], nil
}

func nodesOf(stores []cluster.Store) (out []string) {
	for _, s := range stores {
		out = append(out, s.Nodes...)
	}
	return out
}
