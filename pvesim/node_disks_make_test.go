package pvesim_test

import (
	"testing"

	"github.com/pve-mcp/pve-mcp/pvesim"
)

// withDisks is the lab with four disks that nothing is on.
func withDisks() pvesim.Model {
	m := pvesim.Lab()
	m.Nodes[0].Disks = []pvesim.Disk{{Path: "/dev/nvme0n1", Used: "BIOS boot"}}
	for _, dev := range []string{"/dev/sda", "/dev/sdb", "/dev/sdc", "/dev/sdd"} {
		m.Nodes[0].Disks = append(m.Nodes[0].Disks, pvesim.Disk{Path: dev, Size: 100 << 30})
	}
	return m
}

// A pool is made of disks, with a storage on it that guests can use, and both go again.
func TestZFSPoolOfDisks(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withDisks())
	w.story(`
		POST /nodes/pve/disks/zfs?name=tank&raidlevel=mirror&devices=/dev/sda          => 500 mirror needs at least 2 disks
		POST /nodes/pve/disks/zfs?name=tank&raidlevel=raid10&devices=/dev/sda,/dev/sdb,/dev/sdc => 500 raid10 needs an even number of disks
		POST /nodes/pve/disks/zfs?name=tank&raidlevel=single&devices=/dev/sda,/dev/sdb => 500 please give only one disk for single disk mode
		POST /nodes/pve/disks/zfs?name=tank&raidlevel=mirror&devices=/dev/sda,/dev/nvme0n1 => 500 device '/dev/nvme0n1' is already in use
		POST /nodes/pve/disks/zfs?name=tank&raidlevel=single&devices=/dev/sdz          => 500 not a valid block device
		POST /nodes/pve/disks/zfs?name=tank&raidlevel=single&devices=sda               => 500 got unusual device path 'sda'
		POST /nodes/pve/disks/zfs?name=local&raidlevel=single&devices=/dev/sda&add_storage=1 => 500 Storage ID 'local' already exists on node pve
		POST /nodes/pve/disks/zfs?name=tank&raidlevel=mirror&devices=/dev/sda,/dev/sdb&add_storage=1 => OK
		POST /nodes/pve/disks/zfs?name=tank&raidlevel=single&devices=/dev/sdc          => 500 pool 'tank' already exists on node 'pve'
		GET /nodes/pve/disks/zfs#tank#size                                             => 1.073741824e+11
		GET /nodes/pve/disks/zfs/tank#state                                            => ONLINE
		GET /nodes/pve/disks/list#/dev/sda#used                                        => ZFS
		GET /storage/tank#pool                                                         => tank
		GET /nodes/pve/storage/tank/status#active                                      => 1
		POST /nodes/pve/qemu?vmid=300&scsi0=tank:1                                     => OK
		POST /nodes/pve/qemu/300/status/start                                          => OK
		DELETE /nodes/pve/disks/zfs/tank                                               => command 'zpool destroy tank' failed: exit code 1
		POST /nodes/pve/qemu/300/status/stop                                           => OK
		DELETE /nodes/pve/disks/zfs/none                                               => command 'zpool destroy none' failed: exit code 1
		DELETE /nodes/pve/disks/zfs/tank?cleanup-disks=1                               => OK
		GET /nodes/pve/storage/tank/status#active                                      => 0
		GET /nodes/pve/disks/list#/dev/sda#used                                        => null
		GET /nodes/pve/disks/zfs#tank                                                  => null
		DELETE /storage/tank                                                           => null
		POST /nodes/pve/disks/zfs?name=tank&raidlevel=raidz&devices=/dev/sda,/dev/sdb,/dev/sdc&add_storage=1 => OK
		DELETE /nodes/pve/disks/zfs/tank?cleanup-config=1                              => OK
		GET /storage/tank                                                              => 500 storage 'tank' does not exist
		as ops@pve!mcp
		POST /nodes/pve/disks/zfs?name=tank&raidlevel=single&devices=/dev/sdd          => 403 Permission check failed (/, Sys.Modify)
	`)
}

// So do volume groups, thin pools and directories. What was made is in the model that is saved.
func TestOtherSetsOfDisks(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withDisks())
	w.login("root@pam", "simulated")
	w.story(`
		POST /nodes/pve/disks/lvm?name=vg1&device=/dev/sda&add_storage=1               => OK
		GET /nodes/pve/disks/lvm#children#vg1#lvcount                                  => 0
		GET /storage/vg1#vgname                                                        => vg1
		POST /nodes/pve/disks/lvm?name=vg1&device=/dev/sdb                             => volume group with name 'vg1' already exists on node 'pve'
		POST /nodes/pve/disks/lvm?name=vg2&device=/dev/sda                             => 500 device '/dev/sda' is already in use
		PUT /nodes/pve/disks/wipedisk?disk=/dev/sda                                    => 500 disk/partition '/dev/sda' has a holder
		POST /nodes/pve/disks/lvmthin?name=thin&device=/dev/sdb&add_storage=1          => OK
		GET /nodes/pve/disks/lvmthin#thin#vg                                           => thin
		POST /nodes/pve/qemu?vmid=300&scsi0=thin:1                                     => OK
		POST /nodes/pve/disks/directory?name=dir1&device=/dev/sdc&add_storage=1&filesystem=xfs => OK
		GET /storage/dir1#path                                                         => /mnt/pve/dir1
		GET /nodes/pve/disks/directory#xfs#path                                        => /mnt/pve/dir1
		PUT /nodes/pve/disks/wipedisk?disk=/dev/sdc                                    => 500 disk/partition '/dev/sdc' is mounted
		POST /nodes/pve/disks/initgpt?disk=/dev/sdc                                    => 500 disk /dev/sdc already in use
		POST /nodes/pve/disks/initgpt?disk=/dev/sdd                                    => OK
	`)
	saved, err := w.sim.Model()
	if err != nil {
		t.Fatal(err)
	}
	w = newWorld(t, saved)
	w.login("root@pam", "simulated")
	w.story(`
		DELETE /nodes/pve/disks/lvm/none                                               => no such volume group 'none'
		DELETE /nodes/pve/disks/lvm/vg1?cleanup-config=1&cleanup-disks=1               => OK
		GET /storage/vg1                                                               => 500 storage 'vg1' does not exist
		GET /nodes/pve/disks/list#/dev/sda#used                                        => null
		DELETE /nodes/pve/disks/lvmthin/thin?volume-group=other                        => no such thin pool other/thin
		DELETE /nodes/pve/disks/lvmthin/thin?volume-group=thin                         => OK
		GET /nodes/pve/disks/lvm#children#thin#name                                    => thin
		DELETE /nodes/pve/disks/directory/none                                         => command 'systemctl stop mnt-pve-none.mount' failed: exit code 5
		DELETE /nodes/pve/disks/directory/dir1                                         => OK
		GET /nodes/pve/disks/directory                                                 => []
		PUT /nodes/pve/disks/wipedisk?disk=/dev/sdc                                    => OK
		GET /nodes/pve/disks/list#/dev/sdc#used                                        => null
		PUT /nodes/pve/disks/wipedisk?disk=/dev/nvme0n1                                => error wiping '/dev/nvme0n1': wipefs: error: /dev/nvme0n1: probing initialization failed: Device or resource busy
	`)
}
