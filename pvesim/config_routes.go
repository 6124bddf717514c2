package pvesim

import (
	"maps"
	"slices"
	"strings"
)

// configRoutes are the endpoints of settings that are files of sections: metrics servers,
// mapped devices, notifications, the options of nodes and of the cluster.
func configRoutes() routes {
	all := routes{
		"GET /cluster/jobs/realm-sync":                    {serve: listNothing},
		"GET /cluster/mapping":                            {serve: index("name")},
		"GET /cluster/notifications":                      {serve: index("name")},
		"GET /cluster/notifications/endpoints":            {serve: index("name")},
		"GET /cluster/notifications/matcher-field-values": {serve: listMatcherValues},
		"GET /cluster/notifications/matcher-fields":       {serve: listMatcherFields},
		"GET /cluster/notifications/targets":              {serve: listTargets},
		"GET /cluster/options":                            {serve: getOptions},
		"PUT /cluster/options":                            {serve: putOptions},
		"GET /nodes/{node}/config":                        {serve: getNodeConfig},
		"PUT /nodes/{node}/config":                        {serve: putNodeConfig},
	}
	for _, kind := range slices.Concat([]sectionKind{metricsServers()}, mappings(), endpointsOfNotifications(), []sectionKind{matchers()}) {
		maps.Copy(all, kind.routes())
	}
	return all
}

func metricsServers() sectionKind {
	return sectionKind{
		path: "/cluster/metrics/server", at: "/cluster/metrics/server/{id}", file: "status.cfg", key: "id",
		needed: map[string]string{"graphite": "server", "influxdb": "port server", "opentelemetry": "server"},
		optional: map[string]string{
			"graphite":      "disable mtu path port proto timeout",
			"influxdb":      "api-path-prefix bucket disable influxdbproto max-body-size mtu organization timeout token verify-certificate",
			"opentelemetry": "disable otel-compression otel-headers otel-max-body-size otel-path otel-protocol otel-resource-attributes otel-timeout otel-verify-ssl port",
		},
		hidden:  []string{"token"},
		unknown: func(id string) error { return die("status server entry '%s' does not exist", id) },
		gone:    func(id string) error { return die("no such server '%s'", id) },
		taken:   func(id string) error { return die("Metric server '%s' already exists", id) },
		absent:  func(string) error { return die("cannot lookup undefined type!") },
		fields: func(_ *call, all map[string]any) map[string]any {
			out := map[string]any{"disable": 0}
			for _, name := range []string{"disable", "id", "port", "server", "type"} {
				if value, ok := all[name]; ok {
					out[name] = value
				}
			}
			return out
		},
	}
}

// mappings are the devices and directories that guests of all nodes know by one name.
func mappings() (out []sectionKind) {
	for _, typ := range []string{"dir", "pci", "usb"} {
		path := "/cluster/mapping/" + typ
		out = append(out, sectionKind{
			path: path, file: "mapping/" + typ + ".cfg", key: "id", typ: typ, inList: true, inOne: true,
			unknown: func(id string) error { return die("mapping '%s' not found", id) },
			gone: func(id string) error {
				return die("update hardware mapping failed: %s ID '%s' does not exist", typ, id)
			},
			taken: func(id string) error {
				return die("create hardware mapping failed: %s ID '%s' already defined", typ, id)
			},
			visible: func(c *call, id string) bool {
				on := strings.TrimPrefix(path, "/cluster") + "/" + id
				return c.may(on, "Mapping.Modify") || c.may(on, "Mapping.Use") || c.may(on, "Mapping.Audit")
			},
		})
	}
	return out
}
