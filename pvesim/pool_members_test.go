package pvesim_test

import (
	"testing"

	"github.com/pve-mcp/pve-mcp/pvesim"
)

// A guest is in one pool at most; pools may hold pools.
func TestPools(t *testing.T) {
	newWorld(t, pvesim.Cluster()).story(`
		POST /pools?poolid=web                                    => 500 create pool failed: pool 'web' already exists
		POST /pools?poolid=lab/a                                  => 500 create pool failed: parent 'lab' of pool 'lab/a' does not exist
		POST /pools?poolid=lab                                    => null
		POST /pools?poolid=lab/a&comment=inner                    => null
		GET /pools#lab/a#comment                                  => inner
		PUT /pools?poolid=lab/a&vms=104,100                       => 500 update pools failed: VM 100 belongs already to pool 'web' and 'allow-move' is not set
		GET /pools?poolid=lab/a                                   => [map[comment:inner members:[] poolid:lab/a]]
		PUT /pools?poolid=lab/a&vms=104,100&allow-move=1&storage=nfs    => null
		GET /cluster/resources#qemu/100#pool                      => lab/a
		PUT /pools/web?vms=100&delete=1                           => 500 update pools failed: VM 100 is not a pool member
		PUT /pools/web?vms=101                                    => 500 update pools failed: VM 101 is already a pool member
		PUT /pools/web?storage=nfs&delete=1                       => 500 update pools failed: Storage 'nfs' is not a pool member
		DELETE /pools/lab                                         => 500 delete pool failed: pool 'lab' is not empty (contains pool 'lab/a')
		DELETE /pools?poolid=lab/a                                => 500 delete pool failed: pool 'lab/a' is not empty (contains VM 100)
		PUT /pools?poolid=lab/a&vms=104,100&delete=1              => null
		DELETE /pools?poolid=lab/a                                => 500 delete pool failed: pool 'lab/a' is not empty (contains storage 'nfs')
		PUT /pools?poolid=lab/a&storage=nfs&delete=1              => null
		DELETE /pools?poolid=lab/a                                => null
		DELETE /pools/lab                                         => null
		GET /pools/lab                                            => 500 pool 'lab' does not exist
	`)
}

// What is done to a pool's members follows from the rights to each of them, and a
// member from the pool's.
func TestPoolPrivileges(t *testing.T) {
	m := pvesim.Cluster()
	m.ACL = append(m.ACL,
		pvesim.ACL{Path: "/pool/web", Who: "none@pve", Role: "PVEPoolAdmin"}, pvesim.ACL{Path: "/pool/web", Who: "none@pve!mcp", Role: "PVEPoolAdmin"},
		pvesim.ACL{Path: "/pool/db", Who: "none@pve", Role: "PVEVMUser"}, pvesim.ACL{Path: "/pool/db", Who: "none@pve!mcp", Role: "PVEVMUser"},
		pvesim.ACL{Path: "/vms/104", Who: "none@pve", Role: "PVEVMAdmin"}, pvesim.ACL{Path: "/vms/104", Who: "none@pve!mcp", Role: "PVEVMAdmin"})
	newWorld(t, m).story(`
		as none@pve!mcp
		GET /pools#web#comment                                    => the web shop
		GET /pools#db                                             => null
		GET /pools/db                                             => 403 Permission check failed (/pool/db, Pool.Audit)
		POST /pools?poolid=mine                                   => 403 Permission check failed (/pool/mine, Pool.Allocate)
		PUT /pools/web?vms=105                                    => 500 update pools failed: 403 Permission check failed (/vms/105, Permissions.Modify|VM.Allocate)
		PUT /pools/web?vms=104                                    => null
		PUT /pools/web?storage=nfs                                => 500 update pools failed: 403 Permission check failed (/storage/nfs, Permissions.Modify|Datastore.Allocate)
		GET /nodes/pve2/qemu/102/status/current#status            => running
		as root@pam!full
		PUT /pools/db?vms=102&delete=1                            => null
		as none@pve!mcp
		GET /nodes/pve2/qemu/102/status/current                   => 403 Permission check failed (/vms/102, VM.Audit)
	`)
}
