package pvesim_test

import (
	"testing"

	"github.com/pve-mcp/pve-mcp/pvesim"
)

// The HA manager takes notice of a guest some seconds later, and sees to the state
// that is wanted.
func TestHAResources(t *testing.T) {
	newWorld(t, pvesim.Cluster()).story(`
		GET /cluster/ha/resources#vm:103#state                    => started
		GET /cluster/ha/resources/105                             => 500 no such resource 'vm:105'
		POST /cluster/ha/resources?sid=vm:999                     => 500 resource 'vm:999' does not exist in cluster
		POST /cluster/ha/resources?sid=vm:103                     => 500 create resource failed: resource ID 'vm:103' already defined
		POST /cluster/ha/resources?sid=ct:204&max_restart=2&comment=c    => null
		GET /cluster/ha/status/current#service:ct:204#state       => queued
		GET /nodes/pve3/lxc/204/status/current#ha#managed         => 1
		GET /nodes/pve3/lxc/204/status/current#ha#state           => null
		wait 20s
		GET /cluster/ha/status/current#service:ct:204#state       => started
		GET /cluster/ha/status/current#service:ct:204#max_restart => 2
		GET /nodes/pve3/lxc/204/status/current#status             => running
		PUT /cluster/ha/resources/ct:204?state=stopped            => null
		wait 30s
		GET /nodes/pve3/lxc/204/status/current#status             => stopped
		PUT /cluster/ha/resources/ct:204?state=ignored&delete=comment    => null
		GET /cluster/ha/resources/ct:204#comment                  => null
		GET /nodes/pve3/lxc/204/status/current#ha#managed         => 0
		DELETE /nodes/pve3/lxc/204                                => 500 unable to remove CT 204 - used in HA resources and purge parameter not set.
		DELETE /nodes/pve3/lxc/204?purge=1                        => OK
		GET /cluster/ha/resources#ct:204                          => null
		GET /cluster/ha/status/current#lrm:pve1#status            => pve1 (idle, Sun Nov 22 12:00:50 2026)
		GET /cluster/resources#node/pve1#hastate                  => online
		as audit@pve!mcp
		POST /cluster/ha/resources?sid=vm:100                     => 403 Permission check failed (/, Sys.Console)
	`)
}

// A guest moves when the HA manager gets to it, in a task of its own.
func TestHAMoves(t *testing.T) {
	m := pvesim.Cluster()
	for i := range m.Guests {
		if m.Guests[i].VMID == 104 {
			m.Guests[i].HA = "error"
		}
	}
	newWorld(t, m).story(`
		POST /cluster/ha/resources/vm:103/migrate?node=pve2       => map[requested-node:pve2 sid:vm:103]
		GET /nodes/pve3/qemu/103/status/current#status            => running
		wait 12s
		GET /nodes/pve3/qemu/103/config#lock                      => migrate
		wait 10s
		GET /nodes/pve2/qemu/103/status/current#status            => running
		POST /nodes/pve2/qemu/103/migrate?target=pve1&online=1    => OK
		GET /nodes/pve2/qemu/103/status/current#status            => running
		wait 20s
		GET /nodes/pve1/qemu/103/status/current#status            => running
		POST /cluster/ha/resources/vm:100/migrate?node=pve2       => 500 resource 'vm:100' is not HA managed
		POST /cluster/ha/resources/vm:104/relocate?node=pve2      => 500 service 'vm:104' in error state, must be disabled and fixed first
		PUT /cluster/ha/resources/vm:104?state=started            => 500 service 'vm:104' in error state, must be disabled and fixed first
		PUT /cluster/ha/resources/vm:104?state=disabled           => null
		PUT /cluster/ha/resources/vm:104?state=started            => null
	`)
}

// Groups are those of PVE 8; where all nodes have 9 there are rules.
func TestHAGroupsAndRules(t *testing.T) {
	nine := pvesim.Cluster()
	nine.HARules = append(nine.HARules, pvesim.HASection{ID: "apart", Type: "resource-affinity", Options: map[string]string{
		"affinity": "negative", "resources": "vm:103,ct:201",
	}})
	newWorld(t, nine).story(`
		GET /cluster/ha/groups                                    => 500 cannot index groups: ha groups have been migrated to rules
		PUT /cluster/ha/resources/vm:103?group=all                => 500 invalid parameter 'group': ha groups have been migrated to rules
		GET /cluster/ha/rules/db-2-home#nodes                     => pve3:2,pve2:1
		GET /cluster/ha/rules?resource=ct:201#apart#affinity      => negative
		GET /cluster/ha/rules?resource=ct:201#db-2-home           => null
		GET /cluster/ha/rules?type=node-affinity#apart            => null
		DELETE /cluster/ha/resources/vm:103                       => null
		GET /cluster/ha/rules/db-2-home                           => 500 no such ha rule 'db-2-home'
		GET /cluster/ha/rules/apart#resources                     => ct:201
		DELETE /cluster/ha/rules/apart                            => null
		GET /cluster/ha/rules                                     => []
	`)
	m := pvesim.Cluster()
	m.PVE = "8.4.1"
	newWorld(t, m).story(`
		POST /cluster/ha/groups?group=odd&nodes=pve1:2,pve3&restricted=1    => null
		POST /cluster/ha/groups?group=odd&nodes=pve1              => 500 create ha group failed: group ID 'odd' already defined
		PUT /cluster/ha/resources/vm:103?group=even               => 500 HA group 'even' does not exist
		PUT /cluster/ha/resources/vm:103?group=odd                => null
		GET /nodes/pve3/qemu/103/status/current#ha#group          => odd
		GET /cluster/ha/status/current#service:vm:103#group       => odd
		DELETE /cluster/ha/groups/odd                             => 500 delete ha group failed: ha group is used by service 'vm:103'
		PUT /cluster/ha/resources/vm:103?delete=group             => null
		DELETE /cluster/ha/groups/odd                             => null
		POST /cluster/ha/resources/vm:103/migrate?node=pve2       => null
	`)
}
