package pvesim_test

import (
	"testing"

	"github.com/pve-mcp/pve-mcp/pvesim"
)

// What PVE's code refuses beyond the description of its API, in its words.
func TestRefusalsInCode(t *testing.T) {
	t.Parallel()
	newWorld(t, pvesim.Lab()).story(`
		PUT /nodes/pve/qemu/100/config?cpu=banana                        => 400 Parameter verification failed. cpu: invalid format - Built-in cputype 'banana' is not defined (missing 'custom-' prefix?)
		PUT /nodes/pve/qemu/100/config?cpu=host,flags%3D%2Baes           => null
		PUT /nodes/pve/qemu/100/config?sshkeys=no%2520key                => 500 SSH public key validation error
		PUT /nodes/pve/qemu/100/config?delete=digest                     => 400 Parameter verification failed. delete: unknown option 'digest'
		PUT /nodes/pve/qemu/100/config?cdrom=none                        => null
		GET /nodes/pve/qemu/100/config#ide2                              => none,media=cdrom
		PUT /nodes/pve/qemu/100/config?delete=cdrom                      => null
		PUT /nodes/pve/qemu/100/config?skiplock=0&onboot=1               => null
		PUT /nodes/pve/qemu/100/config?skiplock=1&onboot=1               => 400 Parameter verification failed. skiplock: Only root may use this option.
		PUT /nodes/pve/qemu/100/resize?disk=scsi0&size=%2B1G&skiplock=1  => 400 Parameter verification failed. skiplock: Only root may use this option.
		DELETE /nodes/pve/qemu/100?skiplock=1                            => 400 Parameter verification failed. skiplock: Only root may use this option.
		PUT /nodes/pve/qemu/100/sendkey?key=ret&skiplock=1               => 400 Parameter verification failed. skiplock: Only root may use this option.
		PUT /nodes/pve/qemu/100/unlink?idlist=banana                     => 400 Parameter verification failed. delete: unknown option 'banana'
		PUT /nodes/pve/qemu/100/config?scsi5=local-lvm:1,import-from%3Dlocal:iso/a.iso  => 400 Parameter verification failed. scsi5: 'import-from' requires special syntax - use <storage ID>:0,import-from=<source>
		PUT /nodes/pve/qemu/100/config?scsi5=local-lvm:0,import-from%3Dlocal:iso/a.iso  => 400 Parameter verification failed. scsi5: local:iso/a.iso has wrong type 'iso' - needs to be 'images' or 'import'
		PUT /nodes/pve/qemu/100/config?efidisk0=local-lvm:0,import-from%3Dlocal:100/vm-100-disk-0.raw => 400 Parameter verification failed. efidisk0: need to specify 'efitype' when using 'import-from'
		PUT /nodes/pve/qemu/100/config?usb0=host%3D1234:5678             => 500 only root can set 'usb0' config for real devices
		PUT /nodes/pve/qemu/100/config?serial1=/dev/ttyS0                => 500 only root can modify 'serial1' config for real devices
		POST /nodes/pve/qemu?vmid=300&archive=-                          => 500 pipe requires cli environment
		POST /nodes/pve/lxc?vmid=300&ostemplate=local:iso/a.iso          => 500 unable to use volume local:iso/a.iso - content type needs to be 'vztmpl'
		POST /nodes/pve/lxc?vmid=300&unprivileged=0&ostemplate=local:vztmpl/a.tar.gz&features=nesting%3D1 => 403 Permission check failed (changing feature flags for privileged container is only allowed for root@pam)
	`)
}
