package telemetry

import (
	"net/url"
	"slices"
	"strings"
)

// words are what paths of PVE's API are made of besides names, as far as package pve
// sends them.
var words = []string{
	"access", "agent", "clone", "cluster", "config", "content", "current", "exec", "exec-status", "extractconfig", "feature", "ha", "interfaces", "log",
	"lxc", "migrate", "network-get-interfaces", "nextid", "nodes", "pending", "permissions", "pools", "prunebackups", "qemu", "reboot", "replication",
	"reset", "resize", "resources", "resume", "rollback", "shutdown", "snapshot", "start", "status", "stop", "storage", "suspend", "tasks", "template",
	"upload", "version", "vzdump",
}

// Endpoint is the path of a request to PVE with * in place of every name, of which there
// may be any number: /nodes/*/qemu/*/config.
func Endpoint(u *url.URL) string {
	_, path, _ := strings.Cut(u.EscapedPath(), "/api2/json/") // a name may have a slash, escaped
	parts := strings.Split(path, "/")
	for i, part := range parts {
		if !slices.Contains(words, part) {
			parts[i] = "*"
		}
	}
	return "/" + strings.Join(parts, "/")
}
