package catalog_test

import (
	"maps"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"pve-mcp/internal/catalog"
	"pve-mcp/internal/guard"
	"pve-mcp/internal/simtest"
	"pve-mcp/pvesim"
)

// stories are calls of each tool that together meet every check of PVE that the tool can
// meet.
var stories = map[string][]string{
	"pve_clone_guest":       {`{"vmid":900,"start":true}`, `{"vmid":105,"storage":"nfs","full":true}`},
	"pve_cluster_status":    {`{}`},
	"pve_create_snapshot":   {`{"vmid":104,"snapname":"one"}`},
	"pve_delete_guest":      {`{"vmid":204,"confirm":true}`},
	"pve_delete_snapshot":   {`{"vmid":102,"snapname":"before-upgrade","confirm":true}`},
	"pve_guest_config":      {`{"vmid":100}`},
	"pve_list_backups":      {`{}`},
	"pve_list_storage":      {`{}`},
	"pve_list_snapshots":    {`{"vmid":100}`},
	"pve_list_tasks":        {`{}`},
	"pve_migrate_guest":     {`{"vmid":105,"target":"pve1","targetstorage":"nfs"}`},
	"pve_resize_disk":       {`{"vmid":105,"disk":"scsi0","size":"+1G"}`},
	"pve_rollback_snapshot": {`{"vmid":102,"snapname":"before-upgrade","start":true,"confirm":true}`},
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

// What a tool says it needs is what PVE asks for when it is called.
func TestNeeds(t *testing.T) {
	for major, version := range map[int]string{8: "8.4.1", 9: "9.2.0"} {
		for _, tl := range catalog.All() {
			t.Run(version+" "+tl.Name, func(t *testing.T) {
				calls := stories[tl.Name]
				if calls == nil {
					t.Fatal("no story")
				}
				synctest.Test(t, func(t *testing.T) {
					m := pvesim.Cluster()
					m.PVE = version
					w := simtest.New(t, simtest.Options{Model: &m, Token: "root@pam!full", Policy: guard.Policy{Exec: true}})
					for _, args := range calls {
						w.Run(tl, args)
					}
					said := simtest.Needs(tl, major)
					required, filtered := w.Checked()
					for need := range said { // what a list leaves out for lack of it is one, too
						required[need] = required[need] || filtered[need]
					}
					maps.DeleteFunc(required, func(_ string, met bool) bool { return !met })
					if diff := cmp.Diff(said, required); diff != "" {
						t.Errorf("(-said +checked):\n%s", diff)
					}
				})
			})
		}
	}
}
