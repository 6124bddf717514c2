package docs

// examples are what a person types after pve-mcp to call each tool. A test runs them in the
// order of the page, on the cluster of the demo; ARCHIVE and UPID are a backup and a task of
// the reader's.
func examples() map[string]string {
	return map[string]string{
		"pve_clone_guest":         "call pve_clone_guest web-1 --name web-copy",
		"pve_cluster_status":      "call pve_cluster_status",
		"pve_create_backup":       "call pve_create_backup db-1 --storage nfs",
		"pve_create_snapshot":     "call pve_create_snapshot mail --snapname before-upgrade --description 'before the upgrade'",
		"pve_delete_guest":        "call pve_delete_guest 204 --confirm",
		"pve_delete_snapshot":     "call pve_delete_snapshot db-1 --snapname after-upgrade --confirm",
		"pve_guest_config":        "call pve_guest_config web-1",
		"pve_guest_power":         "call pve_guest_power web-1 --action reboot",
		"pve_guest_status":        "call pve_guest_status web-1",
		"pve_list_backups":        "call pve_list_backups --vmid web-1 --limit 3",
		"pve_list_guests":         "call pve_list_guests --status running --sort mem --limit 5",
		"pve_list_nodes":          "call pve_list_nodes",
		"pve_list_snapshots":      "call pve_list_snapshots db-1",
		"pve_list_storage":        "call pve_list_storage --node pve1",
		"pve_list_tasks":          "call pve_list_tasks --vmid web-1 --limit 3",
		"pve_migrate_guest":       "call pve_migrate_guest mail --target pve2 --with_local_disks",
		"pve_node_status":         "call pve_node_status --node pve1",
		"pve_resize_disk":         "call pve_resize_disk web-1 --disk scsi0 --size +10G",
		"pve_restore_backup":      `call pve_restore_backup --archive "$ARCHIVE" --storage local-zfs`,
		"pve_rollback_snapshot":   "call pve_rollback_snapshot mail --snapname before-upgrade --confirm",
		"pve_stop_task":           `--toolsets tasks call pve_stop_task --upid "$UPID"`,
		"pve_storage_content":     "call pve_storage_content --storage nfs --content backup",
		"pve_task_status":         `call pve_task_status --upid "$UPID"`,
		"pve_update_guest_config": "call pve_update_guest_config web-1 --set cores=8 --set memory=8192",
		"pve_vm_exec":             "--enable-exec call pve_vm_exec web-1 --command hostname",
	}
}
