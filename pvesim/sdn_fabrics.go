package pvesim

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/pvesim/internal/propstring"
)

// Fabrics are networks of routes between nodes, since PVE 9. Those that were configured are in
// one file, and the nodes in them in another.
const (
	fabricsFile     = "sdn/fabrics.cfg"
	fabricNodesFile = "sdn/fabric-nodes.cfg"
)

func fabricRoutes() routes {
	const fabrics, nodes, status = "/cluster/sdn/fabrics/fabric", "/cluster/sdn/fabrics/node", "/nodes/{node}/sdn/fabrics/{fabric}"
	return routes{
		"GET /cluster/sdn/fabrics":                   {serve: index("subdir")},
		"GET /cluster/sdn/fabrics/all":               {serve: listAllFabrics},
		"GET " + fabrics:                             {serve: listFabrics},
		"POST " + fabrics:                            {serve: changeFabrics("adding fabric", addFabric)},
		"GET " + fabrics + "/{id}":                   {serve: getFabric},
		"PUT " + fabrics + "/{id}":                   {serve: changeFabrics("updating fabric", updateFabric)},
		"DELETE " + fabrics + "/{id}":                {serve: changeFabrics("deleting fabric", deleteFabric)},
		"GET " + nodes:                               {serve: listFabricNodes},
		"GET " + nodes + "/{fabric_id}":              {serve: listFabricNodes},
		"POST " + nodes + "/{fabric_id}":             {serve: changeFabrics("adding node", addFabricNode)},
		"GET " + nodes + "/{fabric_id}/{node_id}":    {serve: getFabricNode},
		"PUT " + nodes + "/{fabric_id}/{node_id}":    {serve: changeFabrics("updating node", updateFabricNode)},
		"DELETE " + nodes + "/{fabric_id}/{node_id}": {serve: changeFabrics("deleting node", deleteFabricNode)},
		"GET " + status:                              {serve: index("subdir")},
		"GET " + status + "/interfaces":              {serve: onFabricHere(fabricInterfaces)},
		"GET " + status + "/neighbors":               {serve: onFabricHere(fabricNeighbors)},
		"GET " + status + "/routes":                  {serve: onFabricHere(fabricWays)},
	}
}

// changeFabrics does something under the lock on the network.
func changeFabrics(words string, do func(*call) error) handler {
	return func(c *call) (any, error) {
		err := c.mayChangeSDN()
		if err == nil && c.str("digest") != "" && c.str("digest") != c.fabricDigest() {
			err = die("%s", otherDigest)
		}
		if err == nil {
			err = do(c)
		}
		return nil, refusedInLock(words+" failed: ", err)
	}
}

func (c *call) fabricDigest() string { return c.fileDigest(fabricsFile) }

// fabricFields are the properties of a fabric beside its id, and nodeFields those of a node in one.
var (
	fabricFields     = []string{"area", "csnp_interval", "hello_interval", "ip6_prefix", "ip_prefix"}
	fabricNodeFields = []string{"interfaces", "ip", "ip6"}
)

// fill gives an object of a fabric what the call says of it.
func (c *call) fill(s *Section, fields []string) {
	for _, name := range fields {
		if slices.Contains(c.deleted(), name) {
			delete(s.Options, name)
		}
		if value := c.params[name]; value != nil {
			setOrDelete(s.Options, name, optionText(value))
		}
	}
}

func addFabric(c *call) error {
	s := Section{ID: c.str("id"), Type: c.str("protocol"), Options: map[string]string{}}
	if c.section(fabricsFile, "", s.ID) != nil {
		return die("fabric '%s' already exists in config", s.ID)
	}
	c.fill(&s, fabricFields)
	if err := checkFabric(s); err != nil {
		return err
	}
	c.files[fabricsFile] = append(slices.Clone(c.files[fabricsFile]), s)
	return nil
}

// checkFabric refuses a fabric that its protocol cannot have.
func checkFabric(s Section) error {
	if s.Type == "ospf" && s.Options["area"] == "" {
		return die("missing field `area`")
	}
	if s.Options["ip_prefix"] == "" && s.Options["ip6_prefix"] == "" {
		return die("fabric '%s' does not have an IP prefix configured", s.ID)
	}
	return nil
}

// theFabric is the fabric of an id.
func (c *call) theFabric(id string) (*Section, error) {
	if s := c.section(fabricsFile, "", id); s != nil {
		return s, nil
	}
	return nil, die("fabric '%s' does not exist in configuration", id)
}

func updateFabric(c *call) error {
	s, err := c.theFabric(c.str("id"))
	if err != nil {
		return err
	}
	changed := cloneSections([]Section{*s})[0]
	c.fill(&changed, fabricFields)
	if err := checkFabric(changed); err != nil {
		return err
	}
	*s = changed
	return nil
}

// deleteFabric deletes a fabric with its nodes, if nothing is built on it.
func deleteFabric(c *call) error {
	id := c.str("id")
	if _, err := c.theFabric(id); err != nil {
		return err
	}
	for _, s := range c.files[controllersFile] {
		if s.Type == "evpn" && s.Options["fabric"] == id {
			return die(`this fabric is still used in the EVPN controller "%s" at /usr/share/perl5/PVE/API2/Network/SDN/Fabrics/Fabric.pm line 296.`, s.ID)
		}
	}
	for _, s := range c.files[zonesFile] {
		if s.Type == "vxlan" && s.Options["fabric"] == id {
			return die(`this fabric is still used in the VXLAN zone "%s" at /usr/share/perl5/PVE/API2/Network/SDN/Fabrics/Fabric.pm line 305.`, s.ID)
		}
	}
	c.setSectionsOf(fabricsFile, slices.DeleteFunc(slices.Clone(c.files[fabricsFile]), func(s Section) bool { return s.ID == id }))
	c.setSectionsOf(fabricNodesFile, slices.DeleteFunc(slices.Clone(c.files[fabricNodesFile]), func(s Section) bool { return s.Options["fabric_id"] == id }))
	return nil
}

// fabricNodeID names a node in a fabric.
func fabricNodeID(fabric, node string) string { return fabric + "_" + node }

func (c *call) theFabricNode() (*Section, error) {
	fabric, node := c.str("fabric_id"), c.str("node_id")
	if s := c.section(fabricNodesFile, "", fabricNodeID(fabric, node)); s != nil {
		return s, nil
	}
	return nil, die("node '%s' does not exist in fabric '%s'", node, fabric)
}

func addFabricNode(c *call) error {
	fabric, err := c.theFabric(c.str("fabric_id"))
	if err != nil {
		return err
	}
	s := Section{ID: fabricNodeID(fabric.ID, c.str("node_id")), Type: c.str("protocol"), Options: map[string]string{"fabric_id": fabric.ID, "node_id": c.str("node_id")}}
	if c.section(fabricNodesFile, "", s.ID) != nil {
		return die("node '%s' already exists in config for fabric %s", s.Options["node_id"], fabric.ID)
	}
	c.fill(&s, fabricNodeFields)
	if err := c.checkFabricNode(*fabric, s); err != nil {
		return err
	}
	c.files[fabricNodesFile] = append(slices.Clone(c.files[fabricNodesFile]), s)
	return nil
}

// checkFabricNode refuses a node that does not fit into its fabric.
func (c *call) checkFabricNode(fabric, s Section) error {
	if s.Type != fabric.Type {
		return die("node has a different protocol than the referenced fabric")
	}
	if s.Options["ip"] == "" && s.Options["ip6"] == "" {
		return die("node '%s' does not have an IP configured", s.Options["node_id"])
	}
	for address, prefix := range map[string]string{"ip": "ip_prefix", "ip6": "ip6_prefix"} {
		ip, err := netip.ParseAddr(s.Options[address])
		if err != nil {
			continue
		}
		within, err := netip.ParsePrefix(fabric.Options[prefix])
		if err != nil {
			return die("fabric '%s' does not have an IP prefix for the node IP", fabric.ID)
		}
		if !within.Contains(ip) {
			return die("node IP %s is outside the IP prefix %s of the fabric", ip, fabric.Options[prefix])
		}
		for _, other := range c.files[fabricNodesFile] {
			if other.ID != s.ID && other.Options["fabric_id"] == fabric.ID && other.Options[address] == s.Options[address] {
				return die("fabric %s contains nodes with duplicated IPs", fabric.ID)
			}
		}
	}
	return nil
}

func updateFabricNode(c *call) error {
	s, err := c.theFabricNode()
	if err != nil {
		return err
	}
	fabric, err := c.theFabric(s.Options["fabric_id"])
	if err != nil {
		return err
	}
	changed := cloneSections([]Section{*s})[0]
	c.fill(&changed, fabricNodeFields)
	if err := c.checkFabricNode(*fabric, changed); err != nil {
		return err
	}
	*s = changed
	return nil
}

func deleteFabricNode(c *call) error {
	s, err := c.theFabricNode()
	if err != nil {
		return err
	}
	id := s.ID
	c.setSectionsOf(fabricNodesFile, slices.DeleteFunc(slices.Clone(c.files[fabricNodesFile]), func(s Section) bool { return s.ID == id }))
	return nil
}

// fabricObjects are the fabrics, or the nodes in them, as PVE shows them: as configured, in
// force, or what would change.
func (c *call) fabricObjects(file string) []map[string]any {
	show := func(file string) []map[string]any {
		out := []map[string]any{}
		for _, s := range c.files[file] {
			out = append(out, c.fabricObject(s))
		}
		return out
	}
	var out []map[string]any
	switch {
	case c.flag("pending"):
		out = waitingSDN(show(inForce(file)), show(file), "id")
	case c.flag("running"):
		out = show(inForce(file))
	default:
		out = show(file)
	}
	for _, entry := range out {
		if !c.flag("running") {
			entry["digest"] = c.fabricDigest()
		}
	}
	return out
}

func (c *call) fabricObject(s Section) map[string]any {
	ep := c.api().Endpoint("POST", "/cluster/sdn/fabrics/fabric")
	out := c.options(ep, s)
	out["id"], out["protocol"] = s.ID, s.Type
	if s.Options["node_id"] != "" {
		out["interfaces"] = []any{}
		if list := s.Options["interfaces"]; list != "" {
			interfaces := []any{}
			for _, item := range strings.Split(list, listSeparator) {
				interfaces = append(interfaces, item)
			}
			out["interfaces"] = interfaces
		}
	}
	return out
}

func (c *call) seesFabric(id string) bool {
	return c.may("/sdn/fabrics/"+id, "SDN.Audit") || c.may("/sdn/fabrics/"+id, "SDN.Allocate")
}

// visibleFabrics are those of the objects that the caller may see. That a node's id is made of
// two is nobody's business.
func (c *call) visibleFabrics(file string) []any {
	out := []any{}
	for _, entry := range c.fabricObjects(file) {
		fabric := entry["id"].(string)
		if file == fabricNodesFile {
			id, node, _ := strings.Cut(fabric, "_")
			fabric = id
			delete(entry, "id")
			if !c.may("/nodes/"+node, "Sys.Audit") && !c.may("/nodes/"+node, "Sys.Modify") || c.str("fabric_id") != "" && c.str("fabric_id") != fabric {
				continue
			}
		}
		if c.seesFabric(fabric) {
			out = append(out, entry)
		}
	}
	return out
}

func listFabrics(c *call) (any, error)     { return c.visibleFabrics(fabricsFile), nil }
func listFabricNodes(c *call) (any, error) { return c.visibleFabrics(fabricNodesFile), nil }

func listAllFabrics(c *call) (any, error) {
	return map[string]any{"fabrics": c.visibleFabrics(fabricsFile), "nodes": c.visibleFabrics(fabricNodesFile)}, nil
}

func getFabric(c *call) (any, error) {
	s, err := c.theFabric(c.str("id"))
	if err != nil {
		return nil, err
	}
	out := c.fabricObject(*s)
	out["digest"] = c.fabricDigest()
	return out, nil
}

func getFabricNode(c *call) (any, error) {
	s, err := c.theFabricNode()
	if err != nil {
		return nil, err
	}
	out := c.fabricObject(*s)
	delete(out, "id")
	out["digest"] = c.fabricDigest()
	return out, nil
}

// onFabricHere is a handler about the nodes of a fabric in force that the answering node is in.
func onFabricHere(do func(here Section, others []Section) []any) handler {
	return func(c *call) (any, error) {
		if c.section(inForce(fabricsFile), "", c.str("fabric")) == nil {
			return nil, die("fabric '%s' does not exist in configuration", c.str("fabric"))
		}
		here, others := Section{}, []Section{}
		for _, s := range c.files[inForce(fabricNodesFile)] {
			switch n := c.nodeNamed(s.Options["node_id"]); {
			case s.Options["fabric_id"] != c.str("fabric"):
			case s.Options["node_id"] == c.node.Name:
				here = s
			case n != nil && !n.Offline:
				others = append(others, s)
			}
		}
		if here.ID == "" {
			return []any{}, nil
		}
		return do(here, others), nil
	}
}

func interfacesOf(s Section) []string {
	var out []string
	for item := range strings.SplitSeq(s.Options["interfaces"], listSeparator) {
		if name := propstring.Get(item, "name"); name != "" {
			out = append(out, name)
		}
	}
	return out
}

func fabricInterfaces(here Section, _ []Section) []any {
	out := []any{map[string]any{"name": "dummy_" + here.Options["fabric_id"], "type": "Loopback", "state": "Up"}}
	for _, name := range interfacesOf(here) {
		out = append(out, map[string]any{"name": name, "type": "Broadcast", "state": "Up"})
	}
	return out
}

func fabricNeighbors(here Section, others []Section) []any {
	out := []any{}
	for _, s := range others {
		if len(interfacesOf(here)) > 0 && len(interfacesOf(s)) > 0 {
			out = append(out, map[string]any{"neighbor": s.Options["node_id"], "status": "Up", "uptime": "1h0m0s"})
		}
	}
	return out
}

func fabricWays(here Section, others []Section) []any {
	out := []any{}
	for _, s := range others {
		ways := interfacesOf(here)
		if len(ways) == 0 || len(interfacesOf(s)) == 0 {
			continue
		}
		address := cmp.Or(s.Options["ip"], s.Options["ip6"])
		bits := 32
		if strings.Contains(address, ":") {
			bits = 128
		}
		out = append(out, map[string]any{"route": fmt.Sprintf("%s/%d", address, bits), "via": ways})
	}
	return out
}
