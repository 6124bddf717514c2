package api

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve/apischema"
)

// checkCode returns what PVE's code refuses of parameters that its description allows, by
// parameter and in PVE's words, as far as the request alone shows it.
func checkCode(known *apischema.API, ep *apischema.Endpoint, given apischema.Values) map[string]string {
	text := func(name string) string { s, _ := given[name].(string); return s }
	if upid := text("upid"); given["upid"] != nil {
		if _, err := proxmox.ParseUPID(upid); err != nil {
			return map[string]string{"upid": noTask}
		}
	}
	switch _, path, _ := strings.Cut(ep.Path, "/nodes/{node}"); {
	case ep.Method == "GET":
	case strings.HasSuffix(path, "/{vmid}/config"):
		return checkKeys(known, ep, given)
	case (strings.HasSuffix(path, "/{vmid}/migrate") || path == "/migrateall") && text("target") == text("node"):
		return map[string]string{"target": "target is local node."}
	case path == "/vzdump":
		return checkSelection(text)
	case strings.HasSuffix(path, "/download-url"):
		return checkExtension(text("content"), text("filename"))
	case strings.Contains(ep.Path, "/firewall/") && given["action"] != nil && text("type") != "group":
		if !slices.Contains([]string{"ACCEPT", "DROP", "REJECT"}, text("action")) && text("type") != "" {
			return map[string]string{"action": fmt.Sprintf("unknown action '%s'", text("action"))}
		}
	}
	return nil
}

// checkKeys checks that the keys that a change of a guest's configuration removes are keys that
// it can set.
func checkKeys(known *apischema.API, ep *apischema.Endpoint, given apischema.Values) map[string]string {
	notOptions := []string{"background_delay", "delete", "digest", "force", "import-working-storage", "node", "revert", "skiplock", "vmid"}
	removed, _ := given["delete"].(string)
	reverted, _ := given["revert"].(string)
	for _, list := range []struct{ name, keys string }{{"revert", reverted}, {"delete", removed}} {
		for _, key := range apischema.SplitList(list.keys) {
			switch {
			case key == "vmstate" || key == "cdrom":
			case given[key] != nil:
				return map[string]string{"delete": fmt.Sprintf("you can't use '-%s' and -%s %s' at the same time", key, list.name, key)}
			case known.Param(ep, key) == nil || slices.Contains(notOptions, key):
				return map[string]string{list.name: fmt.Sprintf("unknown option '%s'", key)}
			}
		}
	}
	return nil
}

// checkSelection checks that a backup names its guests in exactly one way.
func checkSelection(text func(string) string) map[string]string {
	isSet := func(name string) bool { return text(name) != "" && text(name) != "0" }
	for _, name := range []string{"all", "exclude", "pool"} {
		if isSet(name) && isSet("vmid") {
			return map[string]string{name: "option conflicts with option 'vmid'"}
		}
	}
	if !slices.ContainsFunc([]string{"vmid", "all", "exclude", "pool", "stop"}, isSet) {
		return map[string]string{"vmid": "property is missing"}
	}
	return nil
}

// checkExtension checks that the name of a file fits its content.
func checkExtension(content, name string) map[string]string {
	ends := map[string][]string{"iso": {".iso", ".img"}, "vztmpl": {".tar.gz", ".tar.xz", ".tar.zst", ".tar"}}[content]
	lower := strings.ToLower(name)
	if ends == nil || slices.ContainsFunc(ends, func(end string) bool { return strings.HasSuffix(lower, end) }) {
		return nil
	}
	return map[string]string{"filename": "wrong file extension"}
}
