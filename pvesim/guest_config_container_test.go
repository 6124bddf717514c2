package pvesim_test

import "testing"

// A change of a container is checked under its lock, in words of its own, and made as a whole
// or not at all.
func TestContainerRefusals(t *testing.T) {
	onBoth(t, `
		PUT /nodes/pve1/lxc/203/config                                   => 500 no options specified
		PUT /nodes/pve1/lxc/203/config?digest=abc&onboot=1               => 500 detected modified configuration - file changed by other user? Try again.
		PUT /nodes/pve1/lxc/203/config?digest=abc&delete=banana          => 500 detected modified configuration - file changed by other user? Try again.
		PUT /nodes/pve1/lxc/203/config?delete=banana                     => 400 Parameter verification failed. delete: unknown option 'banana'
		PUT /nodes/pve1/lxc/203/config?revert=banana                     => 400 Parameter verification failed. revert: unknown option 'banana'
		PUT /nodes/pve1/lxc/203/config?revert=cores&cores=2              => 400 Parameter verification failed. revert: you can't use '-cores' and '-revert cores' at the same time
		PUT /nodes/pve1/lxc/203/config?delete=cores&cores=2              => 400 Parameter verification failed. delete: you can't use '-cores' and -delete cores' at the same time
		PUT /nodes/pve1/lxc/203/config?delete=cores&revert=cores         => 400 Parameter verification failed. delete: you can't use '-delete cores' and '-revert cores' at the same time
		PUT /nodes/pve1/lxc/203/config?delete=rootfs                     => 500 unable to delete required option 'rootfs'
		PUT /nodes/pve1/lxc/203/config?delete=ostype                     => 500 unable to delete required option 'ostype'
		PUT /nodes/pve1/lxc/203/config?delete=mp7                        => null
		PUT /nodes/pve1/lxc/203/config?unprivileged=1                    => 500 unable to modify read-only option: 'unprivileged'
		PUT /nodes/pve1/lxc/203/config?mp0=nosuch:1,mp=/x                => 500 storage 'nosuch' does not exist
		PUT /nodes/pve1/lxc/203/config?mp0=local:1,mp=/x                 => 500 storage 'local' does not allow content type 'rootdir' (Container)
		PUT /nodes/pve1/lxc/203/config?mp0=/mnt/x,mp=/x                  => 403 Permission check failed (mount point type bind is only allowed for root@pam)
		PUT /nodes/pve1/lxc/203/config?dev0=/dev/null                    => 403 Permission check failed (configuring device passthrough is only allowed for root@pam)
		PUT /nodes/pve1/lxc/203/config?hookscript=local:snippets/a.sh    => 403 Permission check failed (changing the hookscript is only allowed for root@pam)
		PUT /nodes/pve1/lxc/203/config?net0=name=eth0,bridge=vmbr0,mtu=9000  => 500 net0: MTU size '9000' is bigger than bridge MTU '1500'
		PUT /nodes/pve1/lxc/203/config?protection=1                      => null
		PUT /nodes/pve1/lxc/203/config?mp0=local-zfs:1,mp=/x             => 500 can't update CT 203 drive 'mp0' - protection mode enabled
		PUT /nodes/pve1/lxc/203/config?protection=0                      => null
		PUT /nodes/pve1/lxc/203/config?cores=8&delete=memory             => 500 unable to delete required option 'memory'
		PUT /nodes/pve1/lxc/203/config?cores=8&mp0=local:1,mp=/x         => 500 storage 'local' does not allow content type 'rootdir' (Container)
		GET /nodes/pve1/lxc/203/config#cores                             => 2
	`)
}

// What of a container's settings changes while it runs, what waits, and how either is written:
// what waits is as it was sent, and its volume is made when it starts anew.
func TestPendingOfContainers(t *testing.T) {
	onBoth(t, `
		PUT /nodes/pve1/lxc/203/config?memory=1024&cores=2&hostname=new  => null
		GET /nodes/pve1/lxc/203/pending#cores#pending                    => null
		GET /nodes/pve1/lxc/203/config?current=1#memory                  => 1024
		PUT /nodes/pve1/lxc/203/config?nameserver=1.1.1.1,8.8.8.8&tty=3  => null
		GET /nodes/pve1/lxc/203/pending#nameserver#pending               => 1.1.1.1 8.8.8.8
		GET /nodes/pve1/lxc/203/pending#tty#pending                      => 3
		PUT /nodes/pve1/lxc/203/config?mp0=mp=/srv,volume=local-zfs:1    => null
		GET /nodes/pve1/lxc/203/config?current=1#mp0                     => local-zfs:subvol-203-disk-1,mp=/srv,size=1G
		PUT /nodes/pve1/lxc/203/config?mp0=mp=/data,volume=local-zfs:2   => null
		GET /nodes/pve1/lxc/203/pending#mp0#pending                      => mp=/data,volume=local-zfs:2
		GET /nodes/pve1/lxc/203/pending#mp0#value                        => local-zfs:subvol-203-disk-1,mp=/srv,size=1G
		GET /nodes/pve1/storage/local-zfs/content#local-zfs:subvol-203-disk-2#vmid  => null
		PUT /nodes/pve1/lxc/203/config?revert=mp0                        => null
		GET /nodes/pve1/lxc/203/pending#mp0#pending                      => null
		PUT /nodes/pve1/lxc/203/config?mp0=mp=/data,volume=local-zfs:2&delete=tty  => null
		POST /nodes/pve1/lxc/203/status/stop                             => OK
		POST /nodes/pve1/lxc/203/status/start                            => OK
		GET /nodes/pve1/lxc/203/config#mp0                               => local-zfs:subvol-203-disk-2,mp=/data,size=2G
		GET /nodes/pve1/lxc/203/config#unused0                           => local-zfs:subvol-203-disk-1
		GET /nodes/pve1/lxc/203/config#nameserver                        => 1.1.1.1 8.8.8.8
		PUT /nodes/pve1/lxc/203/config?delete=mp0                        => null
		GET /nodes/pve1/lxc/203/pending#mp0#delete                       => 1
		PUT /nodes/pve1/lxc/203/config?delete=unused0                    => null
		GET /nodes/pve1/lxc/203/config#unused0                           => null
		PUT /nodes/pve1/lxc/203/config?cpuunits=20000                    => null
		GET /nodes/pve1/lxc/203/config#cpuunits                          => 10000
	`)
}

// What the code behind the creation of a container refuses, and takes.
func TestNewContainers(t *testing.T) {
	const of = "&ostemplate=local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst&unprivileged=1"
	onBoth(t, `
		POST /nodes/pve1/lxc?vmid=300&net0=name=eth0,bridge=vmbr0,mtu=9000&storage=local-zfs`+of+`  => 500 net0: MTU size '9000' is bigger than bridge MTU '1500'
		POST /nodes/pve1/lxc?vmid=300`+of+`                              => 400 Parameter verification failed. storage: storage 'local' does not support container directories
		POST /nodes/pve1/lxc?vmid=300&rootfs=2`+of+`                     => 400 Parameter verification failed. storage: storage 'local' does not support container directories
		POST /nodes/pve1/lxc?vmid=300&rootfs=2&storage=local-zfs&nameserver=9.9.9.9,1.1.1.1`+of+`  => OK
		GET /nodes/pve1/lxc/300/config#rootfs                            => local-zfs:subvol-300-disk-0,size=2G
		GET /nodes/pve1/lxc/300/config#nameserver                        => 9.9.9.9 1.1.1.1
		PUT /nodes/pve1/lxc/300/config?mp0=local-zfs:subvol-300-disk-9,mp=/x  => null
		GET /nodes/pve1/lxc/300/config#mp0                               => local-zfs:subvol-300-disk-9,mp=/x
	`)
}
