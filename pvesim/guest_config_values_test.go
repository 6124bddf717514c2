package pvesim_test

import "testing"

// Values of a VM that PVE changes, or refuses because of what the VM is.
func TestValuesOfVMs(t *testing.T) {
	onBoth(t, `
		PUT /nodes/pve1/qemu/104/config?revert=cores&cores=2             => 400 Parameter verification failed. delete: you can't use '-cores' and -revert cores' at the same time
		PUT /nodes/pve1/qemu/104/config?delete=cores&revert=cores        => 400 Parameter verification failed. revert: you can't use '-delete cores' and -revert cores' at the same time
		PUT /nodes/pve1/qemu/104/config?revert=banana                    => 400 Parameter verification failed. revert: unknown option 'banana'
		PUT /nodes/pve1/qemu/104/config?delete=parent                    => 500 only root can set 'parent' config
		PUT /nodes/pve1/qemu/104/config?cpuunits=200000                  => null
		GET /nodes/pve1/qemu/104/config#cpuunits                         => 10000
		PUT /nodes/pve1/qemu/104/config?vga=type=serial0,clipboard=vnc   => 500 vga type serial0 is not compatible with VNC clipboard
		PUT /nodes/pve1/qemu/104/config?ostype=banana                    => 400 Parameter verification failed. ostype: value 'banana' does not have a value in the enumeration 'other, wxp, w2k, w2k3, w2k8, wvista, win7, win8, win10, win11, l24, l26, solaris'
		PUT /nodes/pve3/qemu/105/config?ostype=win11                     => null
		POST /nodes/pve3/qemu?vmid=300&ostype=win11&machine=q35          => OK
		POST /nodes/pve3/qemu?vmid=301&vga=type=none,clipboard=vnc       => unable to create VM 301 - vga type none is not compatible with VNC clipboard
		POST /nodes/pve3/qemu?vmid=302&scsi0=nfs:1,format=qcow2&tpmstate0=nfs:1,version=v2.0  => OK
		GET /nodes/pve3/qemu/302/config#scsi0                            => nfs:302/vm-302-disk-0.qcow2,size=1G
		PUT /nodes/pve3/qemu/302/config?scsi0=nfs:302/vm-302-disk-0.qcow2,format=raw  => 500 drive 'scsi0' - volume 'nfs:302/vm-302-disk-0.qcow2' - 'format=raw' option different from storage format 'qcow2'
		PUT /nodes/pve3/qemu/302/config?tpmstate0=nfs:302/vm-302-disk-1.raw,version=v1.2  => 500 cannot change TPM state version after creation
		POST /nodes/pve1/qemu?vmid=303&archive=local:backup/x.vma.zst&scsi0=nfs:1  => 400 Parameter verification failed. scsi0: option conflicts with option 'archive'
	`)
}
