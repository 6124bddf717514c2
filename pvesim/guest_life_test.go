package pvesim_test

import (
	"fmt"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pve-mcp/pve-mcp/pvesim"
)

// Snapshots form a tree, and on ZFS only the newest can be rolled back to.
func TestSnapshotTree(t *testing.T) {
	newWorld(t, pvesim.Lab()).story(`
		POST /nodes/pve/qemu/100/snapshot?snapname=one                   => OK
		POST /nodes/pve/qemu/100/snapshot?snapname=two&vmstate=1         => OK
		GET /nodes/pve/qemu/100/snapshot#two#parent                      => one
		GET /nodes/pve/qemu/100/snapshot#two#vmstate                     => 1
		GET /nodes/pve/qemu/100/snapshot/two/config#vmstate              => local-lvm:vm-100-state-two
		GET /nodes/pve/qemu/100/snapshot#current#parent                  => two
		PUT /nodes/pve/qemu/100/config?name=renamed                      => null
		POST /nodes/pve/qemu/100/snapshot/one/rollback                   => OK
		GET /nodes/pve/qemu/100/config#name                              => homeassistant
		GET /nodes/pve/qemu/100/snapshot#current#parent                  => one
		GET /nodes/pve/qemu/100/status/current#status                    => stopped
		POST /nodes/pve/qemu/100/snapshot/two/rollback                   => OK
		GET /nodes/pve/qemu/100/status/current#status                    => running
		DELETE /nodes/pve/qemu/100/snapshot/one                          => OK
		GET /nodes/pve/qemu/100/snapshot#two#parent                      => null
		DELETE /nodes/pve/qemu/100/snapshot/one                          => snapshot 'one' does not exist
		POST /nodes/pve/qemu/900/snapshot?snapname=no                    => you can't take a snapshot if it's a template
		PUT /nodes/pve/qemu/100/snapshot/two/config?description=why      => null
		GET /nodes/pve/qemu/100/snapshot#two#description                 => why
		GET /nodes/pve/qemu/100/config?snapshot=two&current=1            => 400 Parameter verification failed. current: cannot use 'snapshot' parameter with 'current' snapshot: cannot use 'snapshot' parameter with 'current'
		POST /nodes/pve/lxc/102/snapshot?snapname=one                    => OK
		GET /nodes/pve/lxc/102/feature?feature=snapshot#hasFeature       => 1
	`)
	newWorld(t, pvesim.Cluster()).story(`
		POST /nodes/pve1/qemu/100/snapshot?snapname=one                  => OK
		POST /nodes/pve1/qemu/100/snapshot?snapname=two                  => OK
		POST /nodes/pve1/qemu/100/snapshot/one/rollback                  => can't rollback, 'one' is not most recent snapshot on 'local-zfs:vm-100-disk-0'
		POST /nodes/pve1/qemu/100/snapshot/two/rollback?start=1          => OK
		wait 3s
		GET /nodes/pve1/qemu/100/status/current#status                   => running
	`)
}

// A running VM keeps what cannot be plugged for its next start.
func TestPendingChanges(t *testing.T) {
	newWorld(t, pvesim.Cluster()).story(`
		PUT /nodes/pve1/qemu/100/config?cores=8&description=busy&net1=virtio,bridge=vmbr0    => null
		GET /nodes/pve1/qemu/100/pending#cores#value                     => 4
		GET /nodes/pve1/qemu/100/pending#cores#pending                   => 8
		GET /nodes/pve1/qemu/100/config?current=1#cores                  => 4
		GET /nodes/pve1/qemu/100/config#cores                            => 8
		GET /nodes/pve1/qemu/100/pending#description#value               => busy
		GET /nodes/pve1/qemu/100/pending#net1#pending                    => null
		PUT /nodes/pve1/qemu/100/config?delete=ostype                    => null
		GET /nodes/pve1/qemu/100/pending#ostype#delete                   => 1
		PUT /nodes/pve1/qemu/100/config?revert=ostype                    => null
		GET /nodes/pve1/qemu/100/pending#ostype#delete                   => null
		POST /nodes/pve1/qemu/100/status/reboot                          => OK
		wait 5s
		GET /nodes/pve1/qemu/100/config?current=1#cores                  => 8
		PUT /nodes/pve1/qemu/100/config?delete=net1&net1=virtio          => 400 Parameter verification failed. delete: you can't use '-net1' and -delete net1' at the same time
		PUT /nodes/pve1/qemu/100/config?boot=order%3Dscsi7               => 500 invalid bootorder: device 'scsi7' does not exist'
		PUT /nodes/pve1/qemu/100/config?balloon=9000                     => 500 balloon value too large (must be smaller than assigned memory)
		PUT /nodes/pve1/lxc/200/config?memory=2048&cmode=shell           => null
		GET /nodes/pve1/lxc/200/pending#memory#pending                   => null
		GET /nodes/pve1/lxc/200/pending#cmode#pending                    => shell
		POST /nodes/pve1/lxc/200/status/reboot                           => OK
		GET /nodes/pve1/lxc/200/pending#cmode#pending                    => null
		GET /nodes/pve1/lxc/200/config#cmode                             => shell
		PUT /nodes/pve1/qemu/100/config?hotplug=0                        => null
		PUT /nodes/pve1/qemu/100/config?scsi1=local-zfs:4                => null
		GET /nodes/pve1/qemu/100/pending#scsi1#pending                   => local-zfs:vm-100-disk-1,size=4G
		PUT /nodes/pve1/qemu/100/config?revert=scsi1                     => null
		GET /nodes/pve1/qemu/100/config#unused0                          => local-zfs:vm-100-disk-1
		POST /nodes/pve1/qemu/100/config?onboot=1&background_delay=5     => null
		POST /nodes/pve1/qemu/100/config?onboot=0                        => OK
	`)
}

// Volumes are named as each type of storage names them, and go their way: used,
// unused, moved, grown, gone.
func TestDisks(t *testing.T) {
	newWorld(t, pvesim.Lab()).story(`
		PUT /nodes/pve/qemu/101/config?scsi1=local-lvm:8                 => null
		GET /nodes/pve/qemu/101/config#scsi1                             => local-lvm:vm-101-disk-1,size=8G
		PUT /nodes/pve/qemu/101/config?delete=scsi1                      => null
		GET /nodes/pve/qemu/101/config#unused0                           => local-lvm:vm-101-disk-1
		PUT /nodes/pve/qemu/101/config?scsi2=local-lvm:vm-101-disk-1     => null
		GET /nodes/pve/qemu/101/config#scsi2                             => local-lvm:vm-101-disk-1,size=8G
		GET /nodes/pve/qemu/101/config#unused0                           => null
		PUT /nodes/pve/qemu/101/unlink?idlist=scsi2&force=1              => null
		GET /nodes/pve/qemu/101/config#unused0                           => null
		PUT /nodes/pve/qemu/101/config?scsi2=local-lvm:vm-101-disk-1     => 500 volume 'local-lvm:vm-101-disk-1' does not exist
		PUT /nodes/pve/qemu/101/config?ide2=local:iso/debian-12.11.0-amd64-netinst.iso,media=cdrom  => null
		GET /nodes/pve/qemu/101/config#boot                              => order=scsi0;net0;ide2
		PUT /nodes/pve/qemu/101/config?ide3=local-lvm:cloudinit          => null
		GET /nodes/pve/qemu/101/config#ide3                              => local-lvm:vm-101-cloudinit,media=cdrom
		PUT /nodes/pve/qemu/101/resize?disk=scsi0&size=%2B6G             => OK
		GET /nodes/pve/qemu/101/config#scsi0                             => local-lvm:vm-101-disk-0,size=70G
		PUT /nodes/pve/qemu/101/resize?disk=ide2&size=%2B6G              => disk 'ide2' does not exist
		PUT /nodes/pve/qemu/101/config?scsi5=local:1                     => 400 Parameter verification failed. storage: storage 'local' does not support vm images
		PUT /nodes/pve/lxc/102/config?mp0=local-lvm:2,mp=/srv            => null
		GET /nodes/pve/lxc/102/config#mp0                                => local-lvm:vm-102-disk-1,mp=/srv,size=2G
		PUT /nodes/pve/lxc/102/resize?disk=rootfs&size=4G                => 500 unable to shrink disk size
		POST /nodes/pve/lxc/102/move_volume?volume=rootfs                => 400 Parameter verification failed. storage: both 'storage' and 'target-vmid' missing, either needs to be set target-vmid: both 'storage' and 'target-vmid' missing, either needs to be set
		POST /nodes/pve/lxc/102/move_volume?volume=rootfs&storage=local-lvm   => 500 cannot move volumes of a running container
	`)
	newWorld(t, pvesim.Cluster()).story(`
		POST /nodes/pve1/qemu/100/move_disk?disk=scsi0&storage=nfs&format=qcow2   => OK
		GET /nodes/pve1/qemu/100/config#scsi0                            => nfs:100/vm-100-disk-0.qcow2,size=32G
		GET /nodes/pve1/qemu/100/config#unused0                          => local-zfs:vm-100-disk-0
		POST /nodes/pve1/qemu/100/move_disk?disk=scsi9&storage=nfs       => 500 disk 'scsi9' does not exist
		PUT /nodes/pve1/lxc/200/config?protection=1                      => null
		PUT /nodes/pve1/lxc/200/config?delete=rootfs                     => 500 unable to delete required option 'rootfs'
		DELETE /nodes/pve1/lxc/200                                       => 500 can't remove CT 200 - protection mode enabled
		PUT /nodes/pve1/qemu/100/config?protection=1                     => null
		PUT /nodes/pve1/qemu/100/config?delete=unused0                   => 500 can't remove unused disk 'local-zfs:vm-100-disk-0' - protection mode enabled
		POST /nodes/pve1/qemu/104/move_disk?disk=scsi0&target-vmid=100&target-disk=scsi5   => 500 Cannot move disk to another VM while the source VM is running - detach first
		POST /nodes/pve1/qemu/108/snapshot?snapname=one                  => OK
		PUT /nodes/pve1/qemu/108/config?delete=scsi0&force=1             => 400 Parameter verification failed. scsi0: hotplug problem - unable to delete 'local-zfs:vm-108-disk-0' - volume is still in use (snapshot?)
		GET /nodes/pve1/qemu/108/pending#scsi0#delete                    => 2
		PUT /nodes/pve1/qemu/108/config?revert=scsi0                     => null
		GET /nodes/pve1/qemu/108/pending#scsi0#delete                    => null
		POST /nodes/pve1/qemu/104/status/stop                            => OK
		POST /nodes/pve1/qemu/104/move_disk?disk=scsi0&target-vmid=100&target-disk=scsi5   => OK
		GET /nodes/pve1/qemu/100/config#scsi5                            => local-zfs:vm-100-disk-1,size=80G
	`)
}

// Clones link to a template's disks, which cannot go while they are used.
func TestClones(t *testing.T) {
	newWorld(t, pvesim.Cluster()).story(`
		POST /nodes/pve1/qemu/900/clone?newid=120&name=linked            => OK
		GET /nodes/pve1/qemu/120/config#scsi0                            => local-zfs:base-900-disk-0/vm-120-disk-0,size=16G
		GET /nodes/pve1/qemu/120/config#template                         => null
		DELETE /nodes/pve1/qemu/900                                      => base volume 'local-zfs:base-900-disk-0' is still in use by linked cloned
		POST /nodes/pve1/qemu/900/clone?newid=121&full=1&storage=nfs     => OK
		GET /nodes/pve1/qemu/121/config#scsi0                            => nfs:121/vm-121-disk-0.raw,size=16G
		GET /nodes/pve1/qemu/121/config#name                             => Copy-of-VM-debian-12
		POST /nodes/pve1/qemu/900/clone?newid=122&storage=nfs            => 500 parameter 'storage' not allowed for linked clones
		POST /nodes/pve1/qemu/100/clone?newid=122&full=0                 => 500 Linked clone feature is not supported for 'local-zfs:vm-100-disk-0' (scsi0)
		POST /nodes/pve1/qemu/100/clone?newid=122&target=pve2            => 500 can't clone VM to node 'pve2' (VM uses local storage)
		POST /nodes/pve1/qemu/121/clone?newid=122&target=pve2&pool=web   => OK
		GET /nodes/pve2/qemu/122/config#scsi0                            => nfs:122/vm-122-disk-0.raw,size=16G
		wait 20s
		GET /cluster/resources#qemu/122#pool                             => web
		POST /nodes/pve1/qemu/100/clone?newid=200                        => close (rename) atomic file '/etc/pve/nodes/pve1/qemu-server/200.conf' failed: File exists
		POST /nodes/pve1/lxc/203/clone?newid=223                         => 500 Cannot do full clones on a running container without snapshots
		POST /nodes/pve3/lxc/910/clone?newid=224&hostname=small          => OK
		GET /nodes/pve3/lxc/224/config#rootfs                            => local-zfs:basevol-910-disk-0/subvol-224-disk-0,size=2G
		DELETE /nodes/pve1/qemu/120                                      => OK
		DELETE /nodes/pve1/qemu/900                                      => OK
		POST /nodes/pve1/qemu/121/template                               => OK
		GET /nodes/pve1/qemu/121/config#scsi0                            => nfs:121/base-121-disk-0.raw,size=16G
		POST /nodes/pve1/qemu/121/template                               => 500 you can't convert a template to a template
	`)
}

// A clone that is stopped leaves nothing behind.
func TestStoppedCloneCleansUp(t *testing.T) {
	w := newWorld(t, pvesim.Cluster())
	upid := w.start("/nodes/pve1/qemu/100/clone", url.Values{"newid": {"130"}, "full": {"1"}})
	w.clock.Advance(time.Second)
	w.story(`
		GET /nodes/pve1/qemu/130/config#lock                             => clone
		DELETE /nodes/pve1/tasks/` + url.PathEscape(upid) + `
		GET /nodes/pve1/qemu/130/config                                  => 500 Configuration file 'nodes/pve1/qemu-server/130.conf' does not exist
		POST /nodes/pve1/qemu?vmid=130&scsi0=local-zfs:1                 => OK
		GET /nodes/pve1/qemu/130/config#scsi0                            => local-zfs:vm-130-disk-0,size=1G
	`)
	if got := w.exit(upid); got != "clone failed: interrupted by signal" {
		t.Errorf("exit %q", got)
	}
}

// So does a snapshot.
func TestStoppedSnapshotCleansUp(t *testing.T) {
	w := newWorld(t, pvesim.Cluster())
	upid := w.start("/nodes/pve2/qemu/102/snapshot", url.Values{"snapname": {"late"}, "vmstate": {"1"}})
	w.clock.Advance(time.Second)
	w.story(`
		GET /nodes/pve2/qemu/102/snapshot#late#snapstate                 => prepare
		POST /nodes/pve2/qemu/102/snapshot?snapname=other                => VM is locked (snapshot)
		DELETE /nodes/pve2/tasks/` + url.PathEscape(upid) + `
		GET /nodes/pve2/qemu/102/snapshot#late                           => null
		GET /nodes/pve2/qemu/102/config#lock                             => null
		GET /nodes/pve2/qemu/102/snapshot#after-upgrade#parent           => before-upgrade
	`)
}

// What a new guest gets, by the version of its node, and how it is listed.
func TestCreate(t *testing.T) {
	m := pvesim.Cluster()
	m.Nodes[1].PVE = "8.4.1"
	w := newWorld(t, m)
	w.story(`
		POST /nodes/pve3/lxc?vmid=250&ostemplate=local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst&storage=local-zfs   => OK
		GET /cluster/resources#lxc/250#status                            => unknown
		GET /cluster/resources#lxc/250#name                              => null
		wait 10s
		GET /cluster/resources#lxc/250#name                              => CT250
		GET /nodes/pve3/lxc/250/config#rootfs                            => local-zfs:subvol-250-disk-0,size=4G
		GET /nodes/pve3/lxc/250/config#unprivileged                      => 1
		GET /nodes/pve3/lxc/250/config#ostype                            => debian
		POST /nodes/pve2/lxc?vmid=251&ostemplate=local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst&storage=local-zfs   => OK
		GET /nodes/pve2/lxc/251/config#unprivileged                      => null
		POST /nodes/pve2/lxc?vmid=252&ostemplate=local:vztmpl/none.tar.zst&storage=local-zfs   => unable to create CT 252 - volume 'local:vztmpl/none.tar.zst' does not exist
		GET /nodes/pve2/lxc/252/config                                   => 500 Configuration file 'nodes/pve2/lxc/252.conf' does not exist
		POST /nodes/pve2/lxc?vmid=252&ostemplate=local:vztmpl/none.tar.zst&mp0=local-zfs:1,mp=/a   => 500 mount points configured, but 'rootfs' not set - aborting
		POST /nodes/pve2/qemu?vmid=251                                   => 500 unable to create VM 251 - CT 251 already exists on node 'pve2'
		POST /nodes/pve1/qemu?vmid=260&scsi0=local-zfs:8&net0=virtio,bridge=vmbr0&tags=b,a&start=1   => OK
		wait 3s
		GET /nodes/pve1/qemu/260/status/current#status                   => running
		GET /nodes/pve1/qemu/260/config#tags                             => a;b
		GET /nodes/pve1/qemu/260/config#boot                             => order=scsi0;net0
		# nothing is on its disk, so that nothing hears the shutdown
		POST /nodes/pve1/qemu/260/status/shutdown?timeout=5              => VM quit/powerdown failed - got timeout
		DELETE /nodes/pve1/qemu/260                                      => 500 VM 260 is running - destroy failed
		POST /nodes/pve1/qemu/260/status/stop                            => OK
		DELETE /nodes/pve1/qemu/260?purge=1                              => OK
		POST /nodes/pve1/qemu?vmid=260&scsi0=nfs:8                       => OK
		DELETE /nodes/pve1/qemu/260                                      => OK
		POST /nodes/pve1/qemu?vmid=260&scsi0=old-nas:8                   => 400 Parameter verification failed. storage: storage 'old-nas' does not support vm images
		POST /nodes/pve1/qemu?vmid=260&ide2=local:iso/none.iso           => 400 Parameter verification failed. ide2: explicit 'media=cdrom' is required for iso images
		POST /nodes/pve1/qemu?vmid=260&ide2=local:iso/none.iso,media=cdrom   => unable to create VM 260 - volume 'local:iso/none.iso' does not exist
		POST /nodes/pve1/qemu?vmid=260&pool=nopool                       => 403 Permission check failed (pool 'nopool' does not exist)
	`)
}

// LVM-thin and Btrfs name linked clones as any other volume: their templates can go.
func TestClonesThatKeepNothing(t *testing.T) {
	m := pvesim.Lab()
	m.Storages = append(m.Storages, pvesim.Storage{ID: "snap", Type: "btrfs", Content: "images,rootdir", Size: 100 << 30})
	newWorld(t, m).story(`
		POST /nodes/pve/qemu?vmid=300&scsi0=local-lvm:1                  => OK
		POST /nodes/pve/qemu/300/template                                => OK
		POST /nodes/pve/qemu/300/clone?newid=301                         => OK
		GET /nodes/pve/qemu/301/config#scsi0                             => local-lvm:vm-301-disk-0,size=1G
		DELETE /nodes/pve/qemu/300                                       => OK
		POST /nodes/pve/qemu/301/status/start                            => OK
		POST /nodes/pve/qemu?vmid=310&scsi0=snap:1                       => OK
		POST /nodes/pve/qemu/310/template                                => OK
		POST /nodes/pve/qemu/310/clone?newid=311                         => OK
		GET /nodes/pve/qemu/311/config#scsi0                             => snap:311/vm-311-disk-0.raw,size=1G
		DELETE /nodes/pve/qemu/310                                       => OK
		POST /nodes/pve/qemu/311/status/start                            => OK
		POST /nodes/pve/qemu?vmid=320&scsi0=snap:1,format%3Dqcow2        => OK
		POST /nodes/pve/qemu/320/template                                => OK
		POST /nodes/pve/qemu/320/clone?newid=321                         => OK
		GET /nodes/pve/qemu/321/config#scsi0                             => snap:320/base-320-disk-0.qcow2/321/vm-321-disk-0.qcow2,size=1G
		DELETE /nodes/pve/qemu/320                                       => base volume 'snap:320/base-320-disk-0.qcow2' is still in use by linked cloned
	`)
}

// Space that is taken is reported, and freed again.
func TestSpace(t *testing.T) {
	w := newWorld(t, pvesim.Cluster())
	used := func() float64 { return w.get("/nodes/pve1/storage/nfs/status")["used"].(float64) }
	before := used()
	w.story(`POST /nodes/pve1/qemu/900/clone?newid=121&full=1&storage=nfs => OK`)
	if used() <= before {
		t.Error("a full clone takes no space")
	}
	w.story(`DELETE /nodes/pve1/qemu/121 => OK`)
	if used() != before {
		t.Errorf("%v bytes are in use after the clone is gone, %v before it came", used(), before)
	}
}

// Each key of a configuration has its privilege, and disks need room that is the
// caller's.
func TestConfigPrivileges(t *testing.T) {
	m := pvesim.Cluster()
	m.ACL = slices.DeleteFunc(m.ACL, func(a pvesim.ACL) bool { return a.Who == "ops@pve!mcp" })
	m.ACL = append(m.ACL, pvesim.ACL{Path: "/", Who: "ops@pve!mcp", Role: "PVEVMUser"}, pvesim.ACL{Path: "/vms/104", Who: "ops@pve!mcp", Role: "PVEVMAdmin"})
	newWorld(t, m).story(`
		as ops@pve!mcp
		PUT /nodes/pve1/qemu/100/config?cores=2                          => 403 Permission check failed (/vms/100, VM.Config.CPU)
		PUT /nodes/pve1/qemu/100/config?memory=512                       => 403 Permission check failed (/vms/100, VM.Config.Memory)
		PUT /nodes/pve1/qemu/100/config?vga=std                          => 403 Permission check failed (/vms/100, VM.Config.HWType)
		PUT /nodes/pve1/qemu/100/config?description=x                    => 403 Permission check failed (/vms/100, VM.Config.Options)
		PUT /nodes/pve1/qemu/100/config?delete=scsi0                     => 403 Permission check failed (/vms/100, VM.Config.Disk)
		PUT /nodes/pve1/qemu/100/config?ide2=none,media=cdrom            => null
		PUT /nodes/pve1/qemu/100/config?ciuser=me                        => null
		PUT /nodes/pve1/qemu/104/config?startup=order%3D1                => 403 Permission check failed (/, Sys.Modify)
		PUT /nodes/pve1/qemu/104/config?scsi1=nfs:1                      => 403 Permission check failed (/storage/nfs, Datastore.AllocateSpace)
		PUT /nodes/pve1/qemu/104/config?net0=virtio,bridge=vmbr0         => 403 Permission check failed (/sdn/zones/localnetwork/vmbr0, SDN.Use)
		PUT /nodes/pve1/qemu/104/config?args=-x                          => 500 only root can set 'args' config
		PUT /nodes/pve1/qemu/104/config?hostpci0=0000:01:00.0            => 500 only root can set 'hostpci0' config for non-mapped devices
		PUT /nodes/pve1/lxc/200/config?hostname=x                        => 403 Permission check failed (/vms/200, VM.Config.Disk|VM.Config.CPU|VM.Config.Memory|VM.Config.Network|VM.Config.Options)
		POST /nodes/pve1/qemu?vmid=300                                   => 403 Permission check failed
	`)
}

// A guest takes its disks along, and what keeps it is said before or by the task.
func TestMigration(t *testing.T) {
	m := pvesim.Cluster()
	m.Storages[1].Nodes = []string{"pve1", "pve2"}
	w := newWorld(t, m)
	w.story(`
		GET /nodes/pve1/qemu/100/migrate#allowed_nodes                   => [pve2]
		GET /nodes/pve1/qemu/100/migrate#not_allowed_nodes#pve3          => map[unavailable_storages:[local-zfs]]
		POST /nodes/pve1/qemu/100/migrate?target=pve3&online=1           => 500 storage 'local-zfs' is not available on node 'pve3'
		POST /nodes/pve1/qemu/100/migrate?target=pve2                    => 500 can't migrate running VM without --online
		POST /nodes/pve1/qemu/100/migrate?target=pve2&online=1           => migration aborted
		POST /nodes/pve1/qemu/100/migrate?target=pve2&online=1&with-local-disks=1   => OK
		GET /nodes/pve2/qemu/100/status/current#status                   => running
		POST /nodes/pve2/qemu/100/migrate?target=pve1&online=1&with-local-disks=1&targetstorage=nfs   => OK
		GET /nodes/pve1/qemu/100/config#scsi0                            => nfs:100/vm-100-disk-0.raw,size=32G
		POST /nodes/pve1/qemu/100/migrate?target=pve3&online=1           => OK
		POST /nodes/pve1/lxc/203/migrate?target=pve2                     => 500 can't migrate running container without --online or --restart
		POST /nodes/pve1/lxc/203/migrate?target=pve2&restart=1           => OK
		GET /nodes/pve2/lxc/203/status/current#status                    => running
		GET /nodes/pve3/qemu/107/migrate                                 => 500 VM is locked (backup)
		POST /nodes/pve2/lxc/203/migrate?target=pve9                     => 500 no such cluster node 'pve9'
	`)
	exit, log := w.run("/nodes/pve2/lxc/201/migrate", url.Values{"target": {"pve1"}, "restart": {"1"}})
	if diff := cmp.Diff([]string{"Requesting HA migration for CT 201 to node pve1", "TASK OK"}, log); exit != "OK" || diff != "" {
		t.Errorf("exit %q, log (-want +got):\n%s", exit, diff)
	}
}

// Suspension to disk takes a volume that waking up frees.
func TestSuspendToDisk(t *testing.T) {
	newWorld(t, pvesim.Cluster()).story(`
		POST /nodes/pve1/qemu/100/status/suspend?todisk=1                => OK
		GET /nodes/pve1/qemu/100/config#lock                             => suspended
		GET /nodes/pve1/qemu/100/config#vmstate                          => local-zfs:vm-100-state-suspend-2026-11-22
		PUT /nodes/pve1/qemu/100/config?cores=1                          => 500 VM is locked (suspended)
		POST /nodes/pve1/qemu/100/status/resume                          => OK
		GET /nodes/pve1/qemu/100/config#vmstate                          => null
		POST /nodes/pve1/qemu/100/status/suspend?todisk=1                => OK
		PUT /nodes/pve1/qemu/100/config?delete=vmstate                   => null
		GET /nodes/pve1/qemu/100/config#lock                             => null
		POST /nodes/pve3/qemu/103/status/suspend?todisk=1                => 500 Cannot suspend HA managed VM to disk
	`)
}

// The agent runs what the model scripts and what every system has, and answers when
// the system is up.
func TestAgentRunsPrograms(t *testing.T) {
	m := pvesim.Cluster()
	for i := range m.Guests {
		if m.Guests[i].VMID == 100 {
			m.Guests[i].Programs = map[string]pvesim.Program{"systemctl restart nginx": {Err: "Job failed\n", Exit: 1, Takes: 3 * time.Second}}
		}
	}
	w := newWorld(t, m)
	const agent = "/nodes/pve1/qemu/100/agent/"
	run := func(argv ...string) map[string]any {
		t.Helper()
		r := w.do("POST", agent+"exec", url.Values{"command": argv})
		if r.Status != 200 {
			t.Fatalf("%v: %d %s", argv, r.Status, r.Reason)
		}
		pid := r.Body.Data.(map[string]any)["pid"]
		for {
			r := w.do("GET", agent+"exec-status", url.Values{"pid": {fmt.Sprint(pid)}})
			got, _ := r.Body.Data.(map[string]any)
			if got["exited"] == 1.0 {
				return got
			}
			w.clock.Advance(time.Second)
		}
	}
	if got := run("systemctl", "restart", "nginx"); got["exitcode"] != 1.0 || got["err-data"] != "Job failed\n" {
		t.Errorf("a scripted program: %v", got)
	}
	if got := run("sh", "-c", "echo a; nosuch; exit 4"); got["exitcode"] != 4.0 || got["out-data"] != "a\n" || got["err-data"] != "sh: 1: nosuch: not found\n" {
		t.Errorf("a script: %v", got)
	}
	w.story(`
		POST ` + agent + `exec?command=nosuch                            => 500 Agent error: Failed to execute child process “nosuch” (No such file or directory)
		POST ` + agent + `file-write?file=/etc/motd&content=hi           => null
		GET ` + agent + `file-read?file=/etc/motd#content                => hi
		POST /nodes/pve1/qemu/100/status/stop                            => OK
		POST /nodes/pve1/qemu/100/status/start                           => OK
		POST ` + agent + `ping                                           => 500 QEMU guest agent is not running
		wait 10s
		POST ` + agent + `ping#result                                    => map[]
		POST ` + agent + `shutdown#result                                => map[]
		wait 5s
		GET /nodes/pve1/qemu/100/status/current#status                   => stopped
	`)
}
