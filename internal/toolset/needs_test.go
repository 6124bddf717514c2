package toolset_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/toolset"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// stories are calls of each tool that together meet every check of PVE that the tool can
// meet. {backup} stands for one of VM 100, {task} for one of root.
var stories = map[string][]string{
	"pve_clone_guest":     {`{"vmid":900,"start":true}`, `{"vmid":105,"storage":"nfs","full":true}`},
	"pve_cluster_status":  {`{}`},
	"pve_create_backup":   {`{"vmid":201,"storage":"nfs"}`, `{"vmid":910,"storage":"nfs","prune":"keep-last=3","confirm":true}`},
	"pve_create_snapshot": {`{"vmid":104,"snapname":"one"}`},
	"pve_delete_guest":    {`{"vmid":204,"confirm":true}`},
	"pve_delete_snapshot": {`{"vmid":102,"snapname":"before-upgrade","confirm":true}`},
	"pve_guest_config":    {`{"vmid":100}`},
	"pve_list_backups":    {`{}`},
	"pve_list_storage":    {`{}`, `{"node":"pve1"}`},
	"pve_list_snapshots":  {`{"vmid":100}`},
	"pve_list_tasks":      {`{}`},
	"pve_migrate_guest":   {`{"vmid":105,"target":"pve1","targetstorage":"nfs"}`, `{"vmid":204,"target":"pve2"}`},
	"pve_restore_backup": {
		`{"archive":"{backup}","start":true}`, `{"archive":"{backup}","name":"copy","disconnect_nics":true}`, `{"archive":"{backup}","vmid":105,"overwrite":true,"storage":"nfs","confirm":true}`,
	},
	"pve_resize_disk":       {`{"vmid":105,"disk":"scsi0","size":"+1G"}`},
	"pve_rollback_snapshot": {`{"vmid":102,"snapname":"after-upgrade","start":true,"confirm":true}`},
	"pve_storage_content":   {`{"storage":"local"}`, `{"storage":"local-zfs"}`, `{"storage":"nfs"}`},
	"pve_stop_task":         {`{"upid":"{running}"}`},
	"pve_task_status":       {`{"upid":"{task}"}`},
	"pve_update_guest_config": {
		`{"vmid":105,"set":{"cores":2,"memory":2048,"scsi1":"nfs:1","ide2":"none,media=cdrom","net0":"virtio,bridge=vmbr0","ipconfig0":"ip=dhcp","vga":"std","description":"x"}}`,
	},
	"pve_vm_exec":      {`{"vmid":100,"command":["true"]}`},
	"pve_guest_power":  {`{"vmid":100,"action":"suspend","todisk":true}`, `{"vmid":204,"action":"stop"}`},
	"pve_guest_status": {`{"vmid":100}`},
	"pve_list_guests":  {`{}`},
	"pve_list_nodes":   {`{}`},
	"pve_node_status":  {`{"node":"pve2"}`},
}

// limited are the tools whose stories are told with a token that lacks Datastore.Allocate,
// which stands for every other privilege on storages.
var limited = []string{"pve_list_backups", "pve_restore_backup", "pve_storage_content"}

// filledIn returns the stories of a tool with what another world of the same model and
// time has.
func filledIn(t *testing.T, m pvesim.Model, name string) []string {
	t.Helper()
	all := stories[name]
	if !slices.ContainsFunc(all, func(args string) bool { return strings.Contains(args, "{backup}") || strings.Contains(args, "{task}") }) {
		return all
	}
	w := sim.New(t, sim.Options{Model: &m, Token: "root@pam!full"})
	first := func(tool, args, list, field string) string {
		rows, _ := w.Call(tool, args).Fields[list].([]any)
		if len(rows) == 0 {
			t.Fatalf("%s %s: nothing", tool, args)
		}
		return rows[0].(map[string]any)[field].(string)
	}
	fill := strings.NewReplacer(
		"{backup}", first("pve_list_backups", `{"vmid":100,"storage":"nfs"}`, "backups", "volid"),
		"{task}", first("pve_list_tasks", `{"type":"vzdump"}`, "tasks", "upid"),
	)
	var out []string
	for _, args := range all {
		out = append(out, fill.Replace(args))
	}
	return out
}

// What a tool says it needs is what PVE asks for when it is called.
func TestNeeds(t *testing.T) {
	for major, version := range map[int]string{8: "8.4.1", 9: "9.2.0"} {
		for _, tl := range toolset.All() {
			t.Run(version+" "+tl.Name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					m := pvesim.Cluster()
					m.PVE = version
					calls := filledIn(t, m, tl.Name)
					if calls == nil {
						t.Fatal("no story")
					}
					token := "root@pam!full"
					if slices.Contains(limited, tl.Name) {
						token = "ops@pve!mcp"
					}
					w := sim.New(t, sim.Options{Model: &m, Token: token, Policy: policy.Policy{Exec: true}})
					for _, args := range calls {
						if strings.Contains(args, "{running}") {
							other := w.As("ops@pve!mcp").Call("pve_guest_power", `{"vmid":102,"action":"shutdown","wait":0}`)
							args = strings.Replace(args, "{running}", fmt.Sprint(other.Fields["upid"]), 1)
							w.Sent()
						}
						if a := w.Run(tl, args); a.IsError {
							t.Errorf("%s: %s", args, a.Text)
						}
					}
					said := sim.Needs(tl, major)
					required, filtered := w.Checked()
					for need := range said { // what a list leaves out for lack of it is one, too
						required[need] = required[need] || filtered[need]
					}
					maps.DeleteFunc(required, func(need string, met bool) bool { return !met || implied(need, said) })
					if diff := cmp.Diff(said, required); diff != "" {
						t.Errorf("(-said +checked):\n%s", diff)
					}
				})
			})
		}
	}
}

// implied reports whether a need with alternatives is met by one of them that is said to
// be needed anyway.
func implied(need string, said map[string]bool) bool {
	privs, on, _ := strings.Cut(need, " on ")
	alternatives := strings.Split(privs, " or ")
	return !said[need] && slices.ContainsFunc(alternatives, func(p string) bool { return said[p+" on "+on] })
}
