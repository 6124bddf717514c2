package pvesim_test

import (
	"strings"
	"testing"

	"github.com/pve-mcp/pve-mcp/pvesim"
)

// Without quorum nothing below /etc/pve can be written. What needs no file of the cluster
// goes on.
func TestWithoutQuorum(t *testing.T) {
	t.Parallel()
	m := pvesim.Cluster()
	m.NoQuorum = true
	w := newWorld(t, m)
	w.story(`
		GET /cluster/status#demo#quorate                        => 0
		POST /nodes/pve3/qemu/105/status/start                  => 500 cluster not ready - no quorum?
		POST /nodes/pve3/qemu/103/status/start                  => 500 cluster not ready - no quorum?
		POST /nodes/pve1/qemu?vmid=700                          => 500 cluster not ready - no quorum?
		POST /nodes/pve1/qemu/900/clone?newid=700               => 500 cluster not ready - no quorum?
		GET /nodes/pve1/qemu/100/migrate                        => 500 cluster not ready - no quorum?
		POST /nodes/pve1/qemu/100/migrate?target=pve2           => 500 cluster not ready - no quorum?
		POST /nodes/pve1/migrateall?target=pve2&maxworkers=1    => 500 cluster not ready - no quorum?
		POST /cluster/ha/resources?sid=vm:100                   => 500 cluster not ready - no quorum?
		PUT /cluster/ha/resources/vm:103?state=stopped          => 500 update resource failed: cfs-lock 'domain-ha' error: no quorum!
		DELETE /cluster/ha/rules/db-2-home                      => 500 delete ha rule failed: cfs-lock 'domain-ha' error: no quorum!
		POST /pools?poolid=new                                  => 500 create pool failed: cfs-lock 'file-user_cfg' error: no quorum!
		PUT /access/acl?path=/&roles=PVEAuditor&users=root@pam  => 500 ACL update failed: cfs-lock 'file-user_cfg' error: no quorum!
		POST /storage?storage=xyz&type=dir&path=/x                => 500 create storage failed: cfs-lock 'file-storage_cfg' error: no quorum!
		POST /cluster/backup?schedule=02:00&all=1               => 500 cfs-lock 'file-jobs_cfg' error: no quorum!
		PUT /nodes/pve1/qemu/100/firewall/options?enable=1      => 500 cfs-lock 'firewall-vm-100' error: no quorum!
		PUT /cluster/firewall/options?enable=1                  => 500 cfs-lock 'firewall-cluster' error: no quorum!
		POST /nodes/pve1/qemu/100/status/reset                  => OK
		POST /nodes/pve1/qemu/100/status/stop                   => OK
		POST /nodes/pve1/vzdump?vmid=104&storage=nfs            => job errors
		POST /nodes/pve3/qemu/103/status/stop                   => command 'ha-manager crm-command stop vm:103 0' failed: exit code 255
	`)
	for _, ask := range []string{"PUT /nodes/pve1/qemu/104/config?cores=1", "PUT /nodes/pve1/lxc/203/config?cores=1"} {
		if got := w.answer("PUT", strings.TrimPrefix(ask, "PUT ")); !strings.HasPrefix(got, "500 unable to open file '/etc/pve/nodes/pve1/") || !strings.HasSuffix(got, " - Permission denied") {
			t.Errorf("%s: %s", ask, got)
		}
	}
	if got := w.answer("POST", "/nodes/pve1/qemu/104/snapshot?snapname=abc"); !strings.HasSuffix(got, " - Permission denied") {
		t.Errorf("a snapshot's task ends %q", got)
	}
	w.story(`GET /nodes/pve1/qemu/104/snapshot#abc => null`)
}
