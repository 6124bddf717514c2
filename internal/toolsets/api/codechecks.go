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
	if strings.HasPrefix(ep.Path, "/nodes/{node}/qemu/{vmid}/") && ep.Method == "POST" {
		for _, name := range rootsGuest {
			if known.Param(ep, name) != nil && on(text(name)) {
				return map[string]string{name: "Only root may use this option."}
			}
		}
	}
	if storage, _, isID := strings.Cut(text("volume"), ":"); isID && given["storage"] != nil && storage != text("storage") && strings.HasSuffix(ep.Path, "/{volume}") {
		return map[string]string{"volume": fmt.Sprintf("storage ID mismatch (%s != %s)", storage, text("storage"))}
	}
	switch _, path, _ := strings.Cut(ep.Path, "/nodes/{node}"); {
	case ep.Method == "GET":
	case path == "/qemu/{vmid}/unlink":
		config := known.Endpoint("PUT", "/nodes/{node}/qemu/{vmid}/config")
		return checkKeys(known, config, apischema.Values{"delete": text("idlist")})
	case strings.HasSuffix(path, "/{vmid}/config"):
		return checkKeys(known, ep, given)
	case (strings.HasSuffix(path, "/{vmid}/migrate") || path == "/migrateall") && text("target") == text("node"):
		return map[string]string{"target": "target is local node."}
	case path == "/vzdump":
		return checkBackup(given, text)
	case ep.Method == "POST" && ep.Path == "/cluster/backup" && text("schedule") == "" && text("starttime") == "":
		return map[string]string{"schedule": "neither 'starttime' nor 'schedule' were set"}
	case ep.Path == "/cluster/backup", ep.Path == "/cluster/backup/{id}" && ep.Method == "PUT" && text("vmid") != "":
		return checkBackup(given, text)
	case ep.Path == "/cluster/backup/{id}":
		return checkForRoot(given, rootsBackup)
	case ep.Path == "/cluster/replication/{id}" && on(text("force")) && on(text("keep")):
		return map[string]string{"keep": "conflicts with parameter 'force'"}
	case ep.Path == "/cluster/ha/rules" && given["type"] == nil:
		return map[string]string{"type": "property is missing and it is not optional"}
	case ep.Path == "/cluster/ha/rules" && !slices.Contains([]string{"node-affinity", "resource-affinity"}, text("type")):
		return map[string]string{"type": fmt.Sprintf("value '%s' does not have a value in the enumeration 'node-affinity, resource-affinity'", text("type"))}
	case ep.Path == "/cluster/ha/rules" && text("type") == "resource-affinity" && len(apischema.SplitList(text("resources"))) < 2:
		return map[string]string{"resources": "rule is ineffective as there are less than two resources"}
	case strings.Contains(path, "/{vmid}/move_") && text("target-vmid") == "" && text("storage") == "":
		const neither = "both 'storage' and 'target-vmid' missing, either needs to be set"
		return map[string]string{"storage": neither, "target-vmid": neither}
	case strings.Contains(path, "/{vmid}/move_") && text("target-vmid") != "" && text("target-vmid") == text("vmid"):
		return map[string]string{"target-vmid": "must be different than source VMID to reassign disk"}
	case strings.HasSuffix(path, "/download-url"):
		return checkExtension(text("content"), text("filename"))
	case strings.Contains(ep.Path, "/firewall/"):
		return checkFirewall(ep, given)
	case isMailEndpoint(ep) && ep.Method == "POST" && given["mailto"] == nil && given["mailto-user"] == nil:
		return map[string]string{"mailto": "must at least provide one recipient, either in mailto or in mailto-user"}
	}
	return nil
}

func isMailEndpoint(ep *apischema.Endpoint) bool {
	return strings.HasPrefix(ep.Path, "/cluster/notifications/endpoints/s") // sendmail, smtp
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

func on(text string) bool { return text != "" && text != "0" }

// rootsBackup are the parameters of backups that no token may set.
var rootsBackup = []string{"dumpdir", "job-id", "script", "tmpdir"}

// rootsGuest are those of a start or a migration of a VM.
var rootsGuest = []string{"stateuri", "migratedfrom", "migration_type", "migration_network", "nocheck", "force-cpu"}

// checkForRoot refuses parameters that only root itself may set, which no token is.
func checkForRoot(given apischema.Values, names []string) map[string]string {
	for _, name := range names {
		if given[name] != nil {
			return map[string]string{name: "Only root may set this option."}
		}
	}
	return nil
}

// checkBackup holds a backup, or a job of some, to what PVE says of both.
func checkBackup(given apischema.Values, text func(string) string) map[string]string {
	if problems := checkForRoot(given, rootsBackup); problems != nil {
		return problems
	}
	if problems := checkSelection(text); problems != nil {
		return problems
	}
	if strings.Contains(text("notes-template"), "\n") {
		return map[string]string{"notes-template": "contains a line feed"}
	}
	return nil
}

// checkSelection checks that a backup names its guests in exactly one way.
func checkSelection(text func(string) string) map[string]string {
	isSet := func(name string) bool { return on(text(name)) }
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
