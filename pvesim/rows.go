package pvesim

// rows are the endpoints that are simulated, by method and template. What an
// endpoint accepts and whom it lets in stands in PVE's own description.
var rows = withVerbs(map[string]func(*call) (any, error){
	"GET /access/permissions":                                    getPermissions,
	"GET /cluster/nextid":                                        getNextID,
	"GET /cluster/resources":                                     getResources,
	"GET /cluster/status":                                        getClusterStatus,
	"GET /cluster/tasks":                                         getClusterTasks,
	"GET /nodes":                                                 getNodes,
	"GET /nodes/{node}/lxc":                                      listGuests("lxc"),
	"GET /nodes/{node}/lxc/{vmid}/config":                        onGuest(guestConfig),
	"GET /nodes/{node}/lxc/{vmid}/interfaces":                    onGuest(containerInterfaces),
	"GET /nodes/{node}/lxc/{vmid}/status/current":                onGuest(guestStatus),
	"GET /nodes/{node}/qemu":                                     listGuests("qemu"),
	"GET /nodes/{node}/qemu/{vmid}/agent/network-get-interfaces": withAgent(agentInterfaces),
	"GET /nodes/{node}/qemu/{vmid}/config":                       onGuest(guestConfig),
	"GET /nodes/{node}/qemu/{vmid}/status/current":               onGuest(guestStatus),
	"GET /nodes/{node}/status":                                   getNodeStatus,
	"GET /nodes/{node}/storage/{storage}/status":                 getStorageStatus,
	"GET /nodes/{node}/tasks":                                    getNodeTasks,
	"DELETE /nodes/{node}/tasks/{upid}":                          deleteTask,
	"GET /nodes/{node}/tasks/{upid}/log":                         getTaskLog,
	"GET /nodes/{node}/tasks/{upid}/status":                      getTaskStatus,
	"GET /nodes/{node}/time":                                     getNodeTime,
	"GET /nodes/{node}/version":                                  getVersion,
	"GET /version":                                               getVersion,
	"POST /nodes/{node}/qemu/{vmid}/agent/ping":                  withAgent(func(*call, *guest) any { return map[string]any{} }),
})

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
