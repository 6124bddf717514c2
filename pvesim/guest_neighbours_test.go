package pvesim_test

import (
	"testing"

	"github.com/pve-mcp/pve-mcp/pvesim"
)

// onBoth tells a story to a cluster of either version.
func onBoth(t *testing.T, story string) {
	t.Parallel()
	for _, version := range bothVersions {
		t.Run(version, func(t *testing.T) { newWorld(t, clusterOf(version)).story(story) })
	}
}

// bothVersions are those that were recorded.
var bothVersions = []string{"8.4.21", "9.2.11"}

func clusterOf(version string) pvesim.Model {
	m := pvesim.Cluster()
	m.PVE, m.HARules = version, nil
	return m
}

// Where PVE notices that there is no such guest differs from endpoint to endpoint.
func TestNoSuchGuest(t *testing.T) {
	onBoth(t, `
		GET /nodes/pve1/qemu/99999/status                                => 500 Configuration file 'nodes/pve1/qemu-server/99999.conf' does not exist
		GET /nodes/pve1/lxc/99999                                        => 500 Configuration file 'nodes/pve1/lxc/99999.conf' does not exist
		GET /nodes/pve1/qemu/99999/feature?feature=snapshot              => 500 unable to find configuration file for VM 99999 on node 'pve1'
		GET /nodes/pve1/lxc/99999/feature?feature=snapshot               => 500 Configuration file 'nodes/pve1/lxc/99999.conf' does not exist
		GET /nodes/pve1/lxc/99999/interfaces                             => null
		PUT /nodes/pve1/qemu/99999/resize?disk=scsi0&size=%2B1G          => Configuration file 'nodes/pve1/qemu-server/99999.conf' does not exist
		PUT /nodes/pve1/lxc/99999/resize?disk=rootfs&size=%2B1G          => 500 Configuration file 'nodes/pve1/lxc/99999.conf' does not exist
		POST /nodes/pve1/qemu/99999/snapshot?snapname=one                => 500 Configuration file 'nodes/pve1/qemu-server/99999.conf' does not exist
		POST /nodes/pve1/lxc/99999/snapshot?snapname=one                 => Configuration file 'nodes/pve1/lxc/99999.conf' does not exist
		DELETE /nodes/pve1/qemu/99999/snapshot/one                       => Configuration file 'nodes/pve1/qemu-server/99999.conf' does not exist
		DELETE /nodes/pve1/lxc/99999/snapshot/one                        => Configuration file 'nodes/pve1/lxc/99999.conf' does not exist
		POST /nodes/pve1/qemu/99999/snapshot/one/rollback                => Configuration file 'nodes/pve1/qemu-server/99999.conf' does not exist
		POST /nodes/pve1/lxc/99999/snapshot/one/rollback                 => Configuration file 'nodes/pve1/lxc/99999.conf' does not exist
		POST /nodes/pve1/lxc/99999/status/resume                         => command 'lxc-checkpoint -n 99999 -r --foreground -D /var/lib/vz/dump' failed: exit code 1
		POST /nodes/pve1/lxc/99999/status/reboot                         => 500 VM 99999 not running
		PUT /nodes/pve1/lxc/99999/config?delete=banana                   => 500 Configuration file 'nodes/pve1/lxc/99999.conf' does not exist
		PUT /nodes/pve1/qemu/99999/config?delete=banana                  => 400 Parameter verification failed. delete: unknown option 'banana'
		POST /nodes/pve1/qemu/99999/migrate?target=pve1                  => 400 Parameter verification failed. target: target is local node.
		POST /nodes/pve1/lxc/99999/migrate?target=nosuch                 => 500 no such cluster node 'nosuch'
		POST /nodes/pve1/qemu/99999/move_disk?disk=scsi0&target-vmid=100 => 500 Configuration file 'nodes/pve1/qemu-server/99999.conf' does not exist
	`)
}

// What power can do to containers, and to guests that HA manages.
func TestPowerOfContainers(t *testing.T) {
	onBoth(t, `
		POST /nodes/pve3/lxc/204/status/resume                           => command 'lxc-checkpoint -n 204 -r --foreground -D /var/lib/vz/dump' failed: exit code 1
		POST /nodes/pve1/lxc/200/status/resume                           => 500 CT 200 already running
		POST /nodes/pve3/lxc/204/status/reboot                           => 500 VM 204 not running
		POST /nodes/pve3/lxc/204/status/suspend                          => 500 CT 204 not running
		POST /nodes/pve3/qemu/103/status/stop?overrule-shutdown=1        => 400 Parameter verification failed. overrule-shutdown: Not applicable for HA resources.
		POST /nodes/pve2/lxc/201/status/stop?overrule-shutdown=1         => 400 Parameter verification failed. overrule-shutdown: Not applicable for HA resources.
	`)
}

// Names of snapshots that are PVE's own, and guests that cannot go back.
func TestSnapshotRefusals(t *testing.T) {
	onBoth(t, `
		POST /nodes/pve1/qemu/104/snapshot?snapname=PENDING              => 500 unable to use snapshot name 'pending' (reserved name)
		POST /nodes/pve1/lxc/200/snapshot?snapname=vzdump                => 500 unable to use snapshot name 'vzdump' (reserved name)
		POST /nodes/pve1/lxc/200/snapshot?snapname=current               => 500 unable to use snapshot name 'current' (reserved name)
		POST /nodes/pve1/lxc/200/snapshot?snapname=pending               => OK
		POST /nodes/pve1/qemu/104/snapshot?snapname=vzdump               => OK
		POST /nodes/pve1/qemu/900/snapshot?snapname=one                  => you can't take a snapshot if it's a template
		POST /nodes/pve1/qemu/900/snapshot/none/rollback                 => you can't rollback if vm is a template
		DELETE /nodes/pve1/qemu/900/snapshot/none                        => snapshot 'none' does not exist
	`)
}

// Disks can go to another storage, and to another guest of the same kind and node.
func TestMovesOfDisks(t *testing.T) {
	onBoth(t, `
		POST /nodes/pve1/qemu/104/move_disk?disk=scsi0                   => 400 Parameter verification failed. storage: both 'storage' and 'target-vmid' missing, either needs to be set target-vmid: both 'storage' and 'target-vmid' missing, either needs to be set
		POST /nodes/pve1/qemu/104/move_disk?disk=scsi0&storage=local-zfs&format=qcow2  => 500 you can't move to the same storage with same format
		POST /nodes/pve1/qemu/104/move_disk?disk=scsi0&storage=nosuch    => 500 storage 'nosuch' does not exist
		POST /nodes/pve1/qemu/104/move_disk?disk=scsi0&storage=local     => 400 Parameter verification failed. storage: storage 'local' does not support vm images
		POST /nodes/pve1/qemu/104/move_disk?disk=scsi9&storage=nosuch    => 500 disk 'scsi9' does not exist
		POST /nodes/pve1/qemu/104/move_disk?disk=scsi0&target-vmid=104   => 400 Parameter verification failed. target-vmid: must be different than source VMID to reassign disk
		POST /nodes/pve1/qemu/104/move_disk?disk=scsi0&target-vmid=999   => 500 could not find target VM 999
		POST /nodes/pve1/qemu/104/move_disk?disk=scsi0&target-vmid=101   => 500 Both VMs need to be on the same node (pve1 != pve2)
		POST /nodes/pve1/qemu/104/move_disk?disk=scsi0&target-vmid=200   => 500 Configuration file 'nodes/pve1/qemu-server/200.conf' does not exist
		POST /nodes/pve1/qemu/104/move_disk?disk=scsi0&target-vmid=900   => 500 Can't move disks from or to template VMs
		POST /nodes/pve1/qemu/104/move_disk?disk=scsi9&target-vmid=100   => 500 Disk 'scsi9' for VM '104' does not exist
		POST /nodes/pve1/qemu/104/move_disk?disk=scsi0&target-vmid=100   => 500 Target disk key 'scsi0' is already in use for VM '100'
		POST /nodes/pve1/qemu/104/move_disk?disk=scsi0&target-vmid=100&target-disk=scsi7  => 500 Cannot move disk to another VM while the source VM is running - detach first
		POST /nodes/pve1/qemu/104/move_disk?disk=scsi0&target-vmid=100&target-disk=scsi7&digest=abc  => 500 VM 104: detected modified configuration - file changed by other user? Try again.
		POST /nodes/pve1/qemu/104/move_disk?disk=unused0&target-vmid=100&target-disk=scsi7  => OK
		GET /nodes/pve1/qemu/100/config#scsi7                            => local-zfs:vm-100-disk-1
		POST /nodes/pve1/lxc/203/move_volume?volume=rootfs&target-vmid=200  => 500 Cannot move to/from 'rootfs'
		POST /nodes/pve1/lxc/203/move_volume?volume=unused0&target-vmid=200&target-volume=mp0  => 500 Moving an unused volume to a used one is not possible
		POST /nodes/pve1/lxc/203/move_volume?volume=mp0&target-vmid=999  => 500 could not find CT 999
		POST /nodes/pve1/lxc/203/move_volume?volume=mp0&target-vmid=201  => 500 Both containers need to be on the same node (pve1 != pve2)
		POST /nodes/pve1/lxc/203/move_volume?volume=mp0&target-vmid=200  => 500 volume 'mp0' for container '203' does not exist
		POST /nodes/pve1/lxc/203/move_volume?volume=rootfs&storage=nfs   => 500 cannot move volumes of a running container
		POST /nodes/pve3/lxc/204/move_volume?volume=rootfs&storage=nosuch  => storage 'nosuch' does not exist
		POST /nodes/pve3/lxc/204/move_volume?volume=rootfs&storage=local => content type 'rootdir' is not available or configured on storage 'local'
	`)
}

// What cannot be cloned, in the order in which PVE looks.
func TestCloneRefusals(t *testing.T) {
	onBoth(t, `
		POST /nodes/pve1/qemu/900/clone?newid=300&storage=nfs&full=0     => 500 parameter 'storage' not allowed for linked clones
		POST /nodes/pve1/qemu/900/clone?newid=300&format=raw             => 500 parameter 'format' not allowed for linked clones
		POST /nodes/pve1/qemu/104/clone?newid=300&snapname=none&full=0&storage=nfs  => 500 snapshot 'none' does not exist
		POST /nodes/pve1/qemu/104/clone?newid=300&target=pve2            => 500 can't clone VM to node 'pve2' (VM uses local storage)
		POST /nodes/pve1/qemu/104/clone?newid=300&target=pve2&storage=local-zfs  => 500 can't clone to non-shared storage 'local-zfs'
		POST /nodes/pve1/qemu/104/clone?newid=300&storage=old-nas        => 500 storage 'old-nas' is disabled
		POST /nodes/pve1/qemu/104/clone?newid=300&pool=nosuch            => 403 Permission check failed (pool 'nosuch' does not exist)
		POST /nodes/pve1/qemu/104/clone?newid=100&full=0                 => 500 unable to create VM 100: config file already exists
		POST /nodes/pve1/qemu/104/clone?newid=300&full=0                 => 500 Linked clone feature is not supported for 'local-zfs:vm-104-disk-0' (scsi0)
		POST /nodes/pve3/lxc/204/clone?newid=202                         => 500 CT 202 already exists on node 'pve3'
		POST /nodes/pve3/lxc/204/clone?newid=104                         => 500 VM 104 already exists on node 'pve1'
		POST /nodes/pve3/lxc/204/clone?newid=300&full=0                  => 500 Linked clone feature for 'local-zfs:subvol-204-disk-0' is not available
		POST /nodes/pve3/lxc/910/clone?newid=300&storage=nfs&snapname=none  => 500 parameter 'storage' not allowed for linked clones
	`)
}

// A guest that is destroyed leaves what is configured about it only if it is to be purged.
func TestDestroyed(t *testing.T) {
	onBoth(t, `
		POST /cluster/replication?id=104-0&target=pve2&type=local        => null
		POST /cluster/backup?id=two&vmid=104,105&schedule=daily&storage=nfs  => null
		POST /cluster/backup?id=one&vmid=104&schedule=daily&storage=nfs  => null
		POST /cluster/backup?id=not&all=1&exclude=104&schedule=daily&storage=nfs  => null
		POST /nodes/pve1/qemu/104/status/stop                            => OK
		DELETE /nodes/pve1/qemu/104                                      => 500 There is a replication job '104-0' for guest '104' - Please remove that first.
		DELETE /nodes/pve3/qemu/103                                      => 500 unable to remove VM 103 - used in HA resources and purge parameter not set.
		DELETE /nodes/pve1/qemu/104?purge=1                              => OK
		GET /cluster/replication                                         => []
		GET /cluster/backup/two#vmid                                     => 105
		GET /cluster/backup/one                                          => 400 Parameter verification failed. id: No such job 'one'
		GET /cluster/backup/not#exclude                                  => null
		DELETE /nodes/pve3/qemu/105                                      => OK
		GET /cluster/backup/two#vmid                                     => 105
		GET /cluster/backup/two/included_volumes#children#unknown#id     => 105
		DELETE /nodes/pve3/lxc/202                                       => 500 unable to destroy CT 202 - container is running
	`)
}
