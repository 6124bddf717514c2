package toolset_test

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/testkit/recorded"
)

// operation is a request that a tool can send: the pattern of its method and path, and
// what its parameters are called in the tool, "" for the same.
type operation struct {
	pattern *regexp.Regexp
	tool    string
	params  map[string]string
}

func op(pattern, tool string, params ...string) operation {
	o := operation{regexp.MustCompile("^" + pattern + "$"), tool, map[string]string{}}
	for _, p := range params {
		theirs, ours, renamed := strings.Cut(p, "=")
		if !renamed {
			ours = theirs
		}
		o.params[theirs] = ours
	}
	return o
}

const guestPath = `/nodes/(?P<node>[^/]+)/(?P<kind>qemu|lxc)/(?P<vmid>\d+)`

var operations = []operation{
	op("POST "+guestPath+"/status/(?P<action>start|shutdown|stop|reboot|reset|suspend|resume)", "pve_guest_power", "timeout", "forceStop", "todisk"),
	op("PUT "+guestPath+"/resize", "pve_resize_disk", "disk", "size"),
	op("POST "+guestPath+"/clone", "pve_clone_guest", "newid", "name", "hostname=name", "full", "storage", "target", "snapname", "pool"),
	op("POST "+guestPath+"/snapshot", "pve_create_snapshot", "snapname", "description", "vmstate"),
	op("DELETE "+guestPath+"/snapshot/(?P<snapname>[^/]+)", "pve_delete_snapshot", "force"),
	op("POST "+guestPath+"/snapshot/(?P<snapname>[^/]+)/rollback", "pve_rollback_snapshot", "start"),
	op("DELETE "+guestPath, "pve_delete_guest", "purge", "destroy-unreferenced-disks=destroy_unreferenced_disks"),
	op("POST "+guestPath+"/migrate", "pve_migrate_guest", "target", "restart", "with-local-disks=with_local_disks", "online="),
	op("POST "+guestPath+"/agent/exec", "pve_vm_exec", "command", "input-data=stdin"),
	op("POST /nodes/(?P<node>[^/]+)/vzdump", "pve_create_backup", "vmid", "storage", "mode", "compress", "notes-template=notes", "protected", "remove="),
	op("POST /nodes/(?P<node>[^/]+)/qemu", "pve_restore_backup", "archive", "vmid", "storage", "force=overwrite", "unique", "start"),
	op("POST /nodes/(?P<node>[^/]+)/lxc", "pve_restore_backup", "ostemplate=archive", "vmid", "storage", "force=overwrite", "unique", "start", "restore="),
	op("PUT "+guestPath+"/config", "pve_update_guest_config"),
}

// expressed returns the tool and its arguments for a row, "" if no tool can say it,
// or if the recording did something else before the task had ended.
func (d *driver) expressed(rows []recorded.Row, i int) (name string, args map[string]any) {
	return d.expressedBy(operations, rows, i)
}

// expressedBy is expressed with some operations.
func (d *driver) expressedBy(operations []operation, rows []recorded.Row, i int) (name string, args map[string]any) {
	row := rows[i]
	if !row.IsRequest() || row.Token == "" || labels[row.Token] == "" || row.RawBody != "" || len(row.Headers) > 0 {
		return "", nil
	}
	if upid := upidOf(row); upid != "" && (i+1 == len(rows) || rows[i+1].Task != upid) {
		return "", nil
	}
	for _, o := range operations {
		m := o.pattern.FindStringSubmatch(row.Method + " " + row.Path)
		if m == nil {
			continue
		}
		args := map[string]any{}
		for j, group := range o.pattern.SubexpNames() {
			if group != "" && group != "node" && group != "kind" {
				args[group] = m[j]
			}
		}
		if args["vmid"] != nil && d.elsewhere(m[o.pattern.SubexpIndex("node")], fmt.Sprint(args["vmid"])) {
			return "", nil // a tool would find the guest
		}
		if o.tool == "pve_update_guest_config" {
			return configArgs(args, row)
		}
		for key, value := range row.Params {
			ours, known := o.params[key]
			if !known {
				return "", nil
			}
			if ours != "" {
				args[ours] = value
			}
		}
		return d.complete(o.tool, args)
	}
	return "", nil
}

// elsewhere reports whether a guest is on another node.
func (d *driver) elsewhere(node, vmid string) bool {
	list, _ := dataOf(d.ask("full", "GET", "/cluster/resources", url.Values{"type": {"vm"}}, nil, nil).Body).([]any)
	for _, item := range list {
		if m := item.(map[string]any); fmt.Sprint(m["vmid"]) == vmid {
			return m["node"] != node
		}
	}
	return false
}

// configArgs are those of a change of a configuration: what is not one of the tool's
// own is a key to set.
func configArgs(args map[string]any, row recorded.Row) (string, map[string]any) {
	set := map[string]any{}
	for key, value := range row.Params {
		switch key {
		case "revert":
			return "", nil
		case "delete":
			args["delete"] = strings.FieldsFunc(fmt.Sprint(value), func(c rune) bool { return c == ',' || c == ';' || c == ' ' })
		case "digest", "force":
			args[key] = value
		default:
			set[key] = value
		}
	}
	if len(set) > 0 {
		args["set"] = set
	}
	args["confirm"] = true
	return "pve_update_guest_config", args
}

// flags are arguments that are true or false.
var flags = strings.Fields("forceStop todisk full vmstate force start purge destroy_unreferenced_disks restart with_local_disks protected overwrite unique")

// complete gives the arguments the tool's types, and what a tool needs beside them.
func (d *driver) complete(name string, args map[string]any) (string, map[string]any) {
	for key, value := range args {
		text := fmt.Sprint(value)
		switch {
		case slices.Contains(flags, key):
			args[key] = text == "1"
		case key == "command":
			if _, list := value.([]any); !list {
				args[key] = []any{value}
			}
		case d.mine[text] != "":
			args[key] = d.mine[text]
		}
	}
	switch name {
	case "pve_vm_exec":
		return name, args
	case "pve_clone_guest":
		if args["newid"] == nil {
			return "", nil // the tool takes the next free one
		}
	case "pve_create_backup":
		if strings.Contains(fmt.Sprint(args["vmid"]), ",") {
			return "", nil // one guest a call
		}
	case "pve_restore_backup":
		if args["archive"] == nil || strings.Contains(fmt.Sprint(args["archive"]), ":vztmpl/") {
			return "", nil // a new guest
		}
		if args["storage"] == nil {
			args["storage"] = "local" // PVE's choice; the tool asks if there are several
		}
		fallthrough
	case "pve_delete_snapshot", "pve_rollback_snapshot", "pve_delete_guest":
		args["confirm"] = true
	}
	args["wait"] = 3600
	return name, args
}
