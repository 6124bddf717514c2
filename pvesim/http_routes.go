package pvesim

import (
	"maps"
	"slices"
	"sync"
)

// handler is the code behind an endpoint. It returns the data of the answer.
type handler func(*call) (any, error)

// route is an endpoint that is simulated. Its parameters, and who may call it, are in
// PVE's own description.
type route struct {
	serve handler
	// check is what PVE checks in code, before the endpoint does anything: privileges, if
	// the description lets in every user, and parameters beyond the description. May be nil.
	check func(*call) error
}

// answer checks a call and serves it.
func (r route) answer(c *call) (any, error) {
	if r.check != nil {
		if err := r.check(c); err != nil {
			return nil, err
		}
	}
	if err := c.quorumRefusal(); err != nil {
		return nil, err
	}
	return r.serve(c)
}

// routes are endpoints by method and path template.
type routes map[string]route

// simulated are all endpoints that are simulated. They are made when a request comes:
// most processes that could run a simulation do not.
var simulated = sync.OnceValue(func() routes {
	all := routes{}
	for _, table := range []routes{
		accessRoutes(), acmeRoutes(), nodeSettingRoutes(), realmRoutes(), agentRoutes(), backupRoutes(), bulkRoutes(), cephRoutes(), clusterRoutes(), configRoutes(), consoleRoutes(), firewallRoutes(), guestRoutes(), haRoutes(), nodeRoutes(), poolRoutes(), replicationRoutes(), sdnRoutes(), storageRoutes(), taskRoutes(),
	} {
		maps.Copy(all, table)
	}
	return all
})

// Endpoints lists what is simulated, sorted: method and path template, such as
// "GET /nodes/{node}/qemu".
func Endpoints() []string { return slices.Sorted(maps.Keys(simulated())) }
