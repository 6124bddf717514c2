package pvesim

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/pve-mcp/pve-mcp/pve/apischema"
)

// viewerPath is where a node shows its API to everybody, without login.
const viewerPath = "/pve-docs/api-viewer/apidoc.js"

// viewer answers a request for the script of the API viewer. Its descriptions are pvesim's
// own, not PVE's, and say so.
func (s *Sim) viewer(req Request) (Response, bool) {
	if req.Path != viewerPath || req.Method != http.MethodGet || s.model.NoViewer {
		return Response{}, false
	}
	n := s.receiver(req.Node)
	var script strings.Builder
	script.WriteString("// Made by pvesim. The descriptions are its own, not those of Proxmox VE.\nconst apiSchema = ")
	var tree []any
	for _, ep := range s.apis[n.version.schema()].Endpoints() {
		tree = append(tree, map[string]any{"path": ep.Path, "info": map[string]any{ep.Method: viewerInfo(ep)}})
	}
	script.Write(encode(tree))
	script.WriteString(";\n")
	s.recordRequest(Record{Node: n.Name, Method: req.Method, Path: req.Path, Status: http.StatusOK})
	return Response{Status: http.StatusOK, Reason: "OK", Header: http.Header{"Content-Type": {"application/javascript"}}, Body: []byte(script.String())}, true
}

func viewerInfo(ep *apischema.Endpoint) map[string]any {
	info := map[string]any{
		"description": viewerTexts[ep.Method+" "+ep.Path], "method": ep.Method, "proxyto": ep.ProxyTo, "allowtoken": perlFlag(!ep.NoToken), "protected": perlFlag(ep.Protected),
		"parameters": inPerl(&apischema.Schema{Properties: ep.Params, Closed: ep.Closed}),
	}
	if ep.Permissions != nil {
		info["permissions"] = ep.Permissions
	}
	if ep.Returns != nil {
		info["returns"] = inPerl(ep.Returns)
	}
	return info
}

// viewerTexts are descriptions of some endpoints.
var viewerTexts = map[string]string{
	"GET /cluster/resources":                                     "Everything in the cluster in one table.",
	"GET /cluster/backup":                                        "All configured jobs for regular backups.",
	"POST /cluster/backup":                                       "Configure one more job for regular backups.",
	"GET /nodes/{node}/disks/smart":                              "Health data as the drive reports it.",
	"PUT /nodes/{node}/network":                                  "Activate the staged interface configuration.",
	"DELETE /nodes/{node}/network":                               "Throw away the staged interface configuration.",
	"PUT /cluster/sdn":                                           "Activate the staged SDN configuration everywhere.",
	"POST /nodes/{node}/apt/update":                              "Fetch package indexes anew.",
	"GET /nodes/{node}/apt/update":                               "Packages for which there is a newer version.",
	"POST /nodes/{node}/qemu":                                    "Set up a virtual machine, empty or out of a backup.",
	"POST /nodes/{node}/lxc":                                     "Set up a container, out of a template or a backup.",
	"PUT /nodes/{node}/qemu/{vmid}/config":                       "Write options of a virtual machine.",
	"GET /nodes/{node}/qemu/{vmid}/agent/network-get-interfaces": "Interfaces and addresses, as the guest's agent sees them.",
	"POST /access/users/{userid}/token/{tokenid}":                "Issue a token for programs; its value is shown once.",
	"PUT /access/acl":                                            "Write entries of the access control list.",
	"GET /cluster/status":                                        "Membership, votes and quorum.",
	"POST /nodes/{node}/vzdump":                                  "Run one backup.",
	"POST /cluster/ha/resources":                                 "Let the HA manager look after one more guest.",
	"POST /cluster/replication":                                  "Configure one more replication of a guest's volumes.",
	"POST /storage":                                              "Configure one more storage.",
}

func perlFlag(b bool) int {
	if b {
		return 1
	}
	return 0
}

// inPerl writes a schema as PVE's viewer has it: flags as numbers, and what is closed as
// without additional properties.
func inPerl(s *apischema.Schema) any {
	var v any
	if err := json.Unmarshal(encode(s), &v); err != nil {
		panic(err) // it was encoded just now
	}
	return asPerl(v)
}

func asPerl(v any) any {
	switch v := v.(type) {
	case bool:
		return perlFlag(v)
	case []any:
		for i := range v {
			v[i] = asPerl(v[i])
		}
	case map[string]any:
		closed, isFlag := v["closed"].(bool)
		for k := range v {
			v[k] = asPerl(v[k])
		}
		if isFlag && closed {
			delete(v, "closed")
			v["additionalProperties"] = 0
		}
	}
	return v
}
