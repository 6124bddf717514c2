package pvesim

import (
	"maps"
	"sync"
)

// rows are the endpoints that are simulated, by method and template. What an
// endpoint accepts and whom it lets in stands in PVE's own description. They are made when
// there is a simulation: most processes that could run one do not.
var rows = sync.OnceValue(func() map[string]func(*call) (any, error) {
	return merged(agentRows(), backupRows(), bulkRows(), clusterRows(), consoleRows(), grantRows(), haRows(), indexRows(), nodeRows(), poolRows(), replicationRows(), serviceRows(), storageRows(), userRows(), withVerbs(usualRows()))
})

func usualRows() map[string]func(*call) (any, error) {
	return map[string]func(*call) (any, error){
		"GET /cluster/nextid":             getNextID,
		"GET /cluster/resources":          getResources,
		"GET /cluster/status":             getClusterStatus,
		"GET /cluster/tasks":              getClusterTasks,
		"GET /nodes":                      getNodes,
		"DELETE /nodes/{node}/lxc/{vmid}": onGuest(destroyCT),
		"DELETE /nodes/{node}/lxc/{vmid}/snapshot/{snapname}":         onGuest(deleteSnapshot),
		"DELETE /nodes/{node}/qemu/{vmid}":                            onGuest(destroyVM),
		"DELETE /nodes/{node}/qemu/{vmid}/snapshot/{snapname}":        onGuest(deleteSnapshot),
		"GET /nodes/{node}/lxc":                                       listGuests("lxc"),
		"GET /nodes/{node}/lxc/{vmid}/config":                         onGuest(guestConfig),
		"GET /nodes/{node}/lxc/{vmid}/feature":                        onGuest(guestFeature),
		"GET /nodes/{node}/lxc/{vmid}/interfaces":                     onGuest(containerInterfaces),
		"GET /nodes/{node}/lxc/{vmid}/migrate":                        onGuest(getMigrateCT),
		"GET /nodes/{node}/lxc/{vmid}/pending":                        onGuest(guestPending),
		"GET /nodes/{node}/lxc/{vmid}/snapshot":                       onGuest(listSnapshots),
		"GET /nodes/{node}/lxc/{vmid}/snapshot/{snapname}/config":     onGuest(getSnapshotConfig),
		"GET /nodes/{node}/lxc/{vmid}/status/current":                 onGuest(guestStatus),
		"GET /nodes/{node}/qemu":                                      listGuests("qemu"),
		"GET /nodes/{node}/qemu/{vmid}/cloudinit":                     onGuest(getCloudInit),
		"GET /nodes/{node}/qemu/{vmid}/cloudinit/dump":                onGuest(dumpCloudInit),
		"PUT /nodes/{node}/qemu/{vmid}/cloudinit":                     onGuest(putCloudInit),
		"GET /nodes/{node}/qemu/{vmid}/config":                        onGuest(guestConfig),
		"GET /nodes/{node}/qemu/{vmid}/feature":                       onGuest(guestFeature),
		"GET /nodes/{node}/qemu/{vmid}/migrate":                       onGuest(getMigrateVM),
		"GET /nodes/{node}/qemu/{vmid}/pending":                       onGuest(guestPending),
		"GET /nodes/{node}/qemu/{vmid}/snapshot":                      onGuest(listSnapshots),
		"GET /nodes/{node}/qemu/{vmid}/snapshot/{snapname}/config":    onGuest(getSnapshotConfig),
		"GET /nodes/{node}/qemu/{vmid}/status/current":                onGuest(guestStatus),
		"POST /nodes/{node}/lxc":                                      createCT,
		"POST /nodes/{node}/lxc/{vmid}/clone":                         onGuest(cloneCT),
		"POST /nodes/{node}/lxc/{vmid}/migrate":                       onGuest(migrateCT),
		"POST /nodes/{node}/lxc/{vmid}/move_volume":                   onGuest(moveVolume),
		"POST /nodes/{node}/lxc/{vmid}/snapshot":                      onGuest(createSnapshot),
		"POST /nodes/{node}/lxc/{vmid}/snapshot/{snapname}/rollback":  onGuest(rollbackSnapshot),
		"POST /nodes/{node}/lxc/{vmid}/template":                      onGuest(makeTemplate),
		"POST /nodes/{node}/qemu":                                     createVM,
		"POST /nodes/{node}/qemu/{vmid}/clone":                        onGuest(cloneVM),
		"POST /nodes/{node}/qemu/{vmid}/config":                       onGuest(postConfig),
		"POST /nodes/{node}/qemu/{vmid}/migrate":                      onGuest(migrateVM),
		"POST /nodes/{node}/qemu/{vmid}/move_disk":                    onGuest(moveDisk),
		"POST /nodes/{node}/qemu/{vmid}/snapshot":                     onGuest(createSnapshot),
		"POST /nodes/{node}/qemu/{vmid}/snapshot/{snapname}/rollback": onGuest(rollbackSnapshot),
		"POST /nodes/{node}/qemu/{vmid}/template":                     onGuest(makeTemplate),
		"PUT /nodes/{node}/lxc/{vmid}/config":                         onGuest(putConfig),
		"PUT /nodes/{node}/lxc/{vmid}/resize":                         onGuest(resizeCT),
		"PUT /nodes/{node}/lxc/{vmid}/snapshot/{snapname}/config":     onGuest(putSnapshotConfig),
		"PUT /nodes/{node}/qemu/{vmid}/config":                        onGuest(putConfig),
		"PUT /nodes/{node}/qemu/{vmid}/resize":                        onGuest(resizeVM),
		"PUT /nodes/{node}/qemu/{vmid}/sendkey":                       onGuest(sendKey),
		"PUT /nodes/{node}/qemu/{vmid}/snapshot/{snapname}/config":    onGuest(putSnapshotConfig),
		"PUT /nodes/{node}/qemu/{vmid}/unlink":                        onGuest(unlinkDisks),
		"GET /nodes/{node}/status":                                    getNodeStatus,
		"GET /nodes/{node}/tasks":                                     getNodeTasks,
		"DELETE /nodes/{node}/tasks/{upid}":                           deleteTask,
		"GET /nodes/{node}/tasks/{upid}/log":                          getTaskLog,
		"GET /nodes/{node}/tasks/{upid}/status":                       getTaskStatus,
		"GET /nodes/{node}/time":                                      getNodeTime,
		"GET /nodes/{node}/version":                                   getVersion,
		"GET /version":                                                getVersion,
	}
}

func merged(tables ...map[string]func(*call) (any, error)) map[string]func(*call) (any, error) {
	all := map[string]func(*call) (any, error){}
	for _, rows := range tables {
		maps.Copy(all, rows)
	}
	return all
}

// withVerbs adds a row for each verb that changes a guest's power state.
func withVerbs(rows map[string]func(*call) (any, error)) map[string]func(*call) (any, error) {
	for path, verbs := range map[string]map[string]verb{
		"POST /nodes/{node}/lxc/{vmid}/status/":  lxcVerbs,
		"POST /nodes/{node}/qemu/{vmid}/status/": qemuVerbs,
	} {
		for name := range verbs {
			rows[path+name] = power(name, verbs)
		}
	}
	return rows
}
