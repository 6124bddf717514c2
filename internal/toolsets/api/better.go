package api

import "sync"

// betters are the tools of other toolsets that do what an endpoint does, by method and path. If
// each does a part of it, the text says which.
var betters = sync.OnceValue(func() map[string]string {
	out := map[string]string{}
	for key, name := range map[string]string{
		"GET /cluster/resources":                                          "pve_list_guests for guests, pve_list_nodes for nodes, pve_list_storage for storages",
		"GET /cluster/status":                                             "pve_cluster_status",
		"GET /cluster/tasks":                                              "pve_list_tasks",
		"GET /nodes":                                                      "pve_list_nodes",
		"GET /nodes/{node}/status":                                        "pve_node_status",
		"GET /nodes/{node}/tasks":                                         "pve_list_tasks",
		"GET /nodes/{node}/tasks/{upid}/status":                           "pve_task_status",
		"GET /nodes/{node}/tasks/{upid}/log":                              "pve_task_status",
		"GET /nodes/{node}/storage":                                       "pve_list_storage",
		"GET /nodes/{node}/storage/{storage}/status":                      "pve_list_storage",
		"GET /nodes/{node}/storage/{storage}/content":                     "pve_storage_content",
		"POST /nodes/{node}/vzdump":                                       "pve_create_backup",
		"GET /nodes/{node}/qemu|lxc":                                      "pve_list_guests",
		"POST /nodes/{node}/qemu|lxc":                                     "pve_clone_guest for a copy, pve_restore_backup for a backup",
		"DELETE /nodes/{node}/qemu|lxc/{vmid}":                            "pve_delete_guest",
		"GET /nodes/{node}/qemu|lxc/{vmid}/config":                        "pve_guest_config",
		"GET /nodes/{node}/qemu|lxc/{vmid}/pending":                       "pve_guest_config",
		"PUT /nodes/{node}/qemu|lxc/{vmid}/config":                        "pve_update_guest_config",
		"POST /nodes/{node}/qemu/{vmid}/config":                           "pve_update_guest_config",
		"PUT /nodes/{node}/qemu|lxc/{vmid}/resize":                        "pve_resize_disk",
		"POST /nodes/{node}/qemu|lxc/{vmid}/clone":                        "pve_clone_guest",
		"POST /nodes/{node}/qemu|lxc/{vmid}/migrate":                      "pve_migrate_guest",
		"GET /nodes/{node}/qemu|lxc/{vmid}/snapshot":                      "pve_list_snapshots",
		"POST /nodes/{node}/qemu|lxc/{vmid}/snapshot":                     "pve_create_snapshot",
		"DELETE /nodes/{node}/qemu|lxc/{vmid}/snapshot/{snapname}":        "pve_delete_snapshot",
		"POST /nodes/{node}/qemu|lxc/{vmid}/snapshot/{snapname}/rollback": "pve_rollback_snapshot",
		"GET /nodes/{node}/qemu|lxc/{vmid}/status/current":                "pve_guest_status",
		"GET /nodes/{node}/lxc/{vmid}/interfaces":                         "pve_guest_status",
		"GET /nodes/{node}/qemu/{vmid}/agent/network-get-interfaces":      "pve_guest_status",
		"POST /nodes/{node}/qemu/{vmid}/agent/exec":                       "pve_vm_exec",
		"POST /nodes/{node}/qemu|lxc/{vmid}/status/start":                 "pve_guest_power",
		"POST /nodes/{node}/qemu|lxc/{vmid}/status/stop":                  "pve_guest_power",
		"POST /nodes/{node}/qemu|lxc/{vmid}/status/shutdown":              "pve_guest_power",
		"POST /nodes/{node}/qemu|lxc/{vmid}/status/reboot":                "pve_guest_power",
		"POST /nodes/{node}/qemu/{vmid}/status/reset":                     "pve_guest_power",
		"POST /nodes/{node}/qemu|lxc/{vmid}/status/suspend":               "pve_guest_power",
		"POST /nodes/{node}/qemu|lxc/{vmid}/status/resume":                "pve_guest_power",
	} {
		for _, each := range bothKinds(key) {
			out[each] = name
		}
	}
	return out
})
