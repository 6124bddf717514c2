package pvesim_test

import (
	"strings"
	"testing"

	"github.com/pve-mcp/pve-mcp/pvesim"
)

// flows are what Terraform's provider for PVE asks to create a resource, to compare it with what
// was asked for, to change it, and to destroy it. What comes back is what it compares: anything
// else would be a change in the next plan.
var flows = map[string]string{
	"a VM": `
		POST /nodes/pve1/qemu?vmid=500&name=tf-vm&description=one%0A&tags=a;b&agent=enabled%3D0,fstrim_cloned_disks%3D0,type%3Dvirtio&balloon=0&bios=seabios&boot=order%3Dscsi0;net0&ciuser=me&cipassword=pw&cores=2&cpu=qemu64&ide2=file%3Dlocal-zfs:cloudinit,&ipconfig0=gw%3D10.0.0.1,ip%3D10.0.0.9/24&memory=1024&net0=model%3Dvirtio,bridge%3Dvmbr0,firewall%3D0,macaddr%3DBC:24:11:00:00:09&onboot=1&ostype=l26&scsi0=file%3Dlocal-zfs:8,size%3D8589934592,aio%3Dio_uring,backup%3D1,iothread%3D1,ssd%3D0,discard%3Don,cache%3Dnone,replicate%3D1&scsihw=virtio-scsi-pci&serial0=socket&sockets=1&startup=order%3D3,up%3D60,down%3D60&template=0 => OK
		GET /nodes/pve1/qemu/500/status/current#status   => stopped
		POST /nodes/pve1/qemu/500/status/start?timeout=1800 => OK
		GET /nodes/pve1/qemu/500/config#agent            => enabled=0,fstrim_cloned_disks=0,type=virtio
		GET /nodes/pve1/qemu/500/config#description      => one
		GET /nodes/pve1/qemu/500/config#tags             => a;b
		GET /nodes/pve1/qemu/500/config#balloon          => 0
		GET /nodes/pve1/qemu/500/config#memory           => 1024
		GET /nodes/pve1/qemu/500/config#net0             => virtio=BC:24:11:00:00:09,bridge=vmbr0,firewall=0
		GET /nodes/pve1/qemu/500/config#scsi0            => local-zfs:vm-500-disk-0,aio=io_uring,backup=1,cache=none,discard=on,iothread=1,replicate=1,size=8G,ssd=0
		GET /nodes/pve1/qemu/500/config#ide2             => local-zfs:vm-500-cloudinit,media=cdrom
		GET /nodes/pve1/qemu/500/config#startup          => order=3,up=60,down=60
		GET /nodes/pve1/qemu/500/config#cipassword       => **********
		GET /nodes/pve1/storage/local-zfs/content/local-zfs:vm-500-disk-0#format => raw
		GET /cluster/resources?type=vm#qemu/500#node     => pve1
		PUT /nodes/pve1/qemu/500/config?cores=4&cpu=qemu64&delete=vcpus,cpulimit,startup&description=two&name=tf-vm2&numa=0&sockets=1&tags=c => null
		POST /nodes/pve1/qemu/500/status/stop            => OK
		POST /nodes/pve1/qemu/500/status/start?timeout=1800 => OK
		GET /nodes/pve1/qemu/500/config#cores            => 4
		GET /nodes/pve1/qemu/500/config#startup          => null
		GET /nodes/pve1/qemu/500/config#tags             => c
		POST /nodes/pve1/qemu/500/status/stop            => OK
		DELETE /nodes/pve1/qemu/500?destroy-unreferenced-disks=1&purge=1 => OK
		GET /nodes/pve1/qemu/500/status/current          => 500 Configuration file 'nodes/pve1/qemu-server/500.conf' does not exist`,
	"a container": `
		POST /nodes/pve1/lxc?vmid=510&ostemplate=local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst&arch=amd64&cmode=tty&console=1&cores=1&cpuunits=1024&description=box&features=nesting%3D1&hostname=tf-ct&memory=512&mp0=backup%3D1,mp%3D/mnt/data,volume%3Dlocal-zfs:2&nameserver=1.1.1.1&net0=bridge%3Dvmbr0,firewall%3D0,ip%3D10.0.0.8/24,gw%3D10.0.0.1,hwaddr%3DBC:24:11:00:00:08,name%3Dveth0&onboot=1&ostype=debian&password=password1&rootfs=volume%3Dlocal-zfs:4&searchdomain=example.org&startup=down%3D10,order%3D1,up%3D10&swap=0&tags=x&tty=2&unprivileged=1 => OK
		POST /nodes/pve1/lxc/510/status/start            => OK
		GET /nodes/pve1/lxc/510/config#rootfs            => local-zfs:subvol-510-disk-0,size=4G
		GET /nodes/pve1/lxc/510/config#mp0               => local-zfs:subvol-510-disk-1,mp=/mnt/data,backup=1,size=2G
		GET /nodes/pve1/lxc/510/config#net0              => name=veth0,bridge=vmbr0,firewall=0,gw=10.0.0.1,hwaddr=BC:24:11:00:00:08,ip=10.0.0.8/24,type=veth
		GET /nodes/pve1/lxc/510/config#features          => nesting=1
		GET /nodes/pve1/lxc/510/config#unprivileged      => 1
		GET /nodes/pve1/lxc/510/config#swap              => 0
		wait 10s
		GET /nodes/pve1/lxc/510/interfaces#veth0#inet    => 10.0.0.8/24
		PUT /nodes/pve1/lxc/510/config?arch=amd64&cores=2&delete=cpulimit&description=&memory=1024&swap=512&tags= => null
		GET /nodes/pve1/lxc/510/config#cores             => 2
		GET /nodes/pve1/lxc/510/config#tags              => null
		GET /nodes/pve1/lxc/510/config#description       => null
		POST /nodes/pve1/lxc/510/status/shutdown?forceStop=1&timeout=55 => OK
		DELETE /nodes/pve1/lxc/510                       => OK
		GET /nodes/pve1/lxc/510/status/current           => 500 Configuration file 'nodes/pve1/lxc/510.conf' does not exist`,
	"a download": `
		GET /nodes/pve1/query-url-metadata?url=https://example.org/x.iso&verify-certificates=1#size => 9.26941184e+08
		POST /nodes/pve1/storage/local/download-url?content=iso&filename=tf.iso&node=pve1&storage=local&url=https://example.org/x.iso&verify-certificates=1 => OK
		GET /nodes/pve1/storage/local/content?content=iso#local:iso/tf.iso#size => 9.26941184e+08
		DELETE /nodes/pve1/storage/local/content/local:iso%2Ftf.iso => OK
		GET /nodes/pve1/storage/local/content?content=iso#local:iso/tf.iso => null`,
	"a bridge": `
		POST /nodes/pve1/network?autostart=1&bridge_vlan_aware=1&cidr=10.9.0.1/24&iface=vmbr7&mtu=1499&type=bridge => null
		GET /nodes/pve1/network#vmbr7#mtu                => 1499
		GET /nodes/pve1/network/vmbr7                    => map[address:10.9.0.1 autostart:1 bridge_fd:0 bridge_ports: bridge_stp:off bridge_vids:2-4094 bridge_vlan_aware:1 cidr:10.9.0.1/24 families:[inet] method:static method6:manual mtu:1499 netmask:24 priority:5 type:bridge]
		PUT /nodes/pve1/network                          => OK
		GET /nodes/pve1/network#vmbr7#active             => 1
		POST /nodes/pve1/network?cidr=10.9.1.1/24&gateway=10.9.1.254&iface=vmbr8&type=bridge => 400 Parameter verification failed. gateway: Default gateway already exists on interface 'vmbr0'.
		POST /nodes/pve1/network?bridge_ports=eth0&iface=vmbr8&type=bridge => 400 Parameter verification failed. bridge_ports: eth0 is already used on interface 'vmbr0'.
		POST /nodes/pve1/network?bridge_ports=eth9&iface=vmbr8&type=bridge => 500 bridge 'vmbr8' - unable to find bridge port 'eth9'
		PUT /nodes/pve1/network/vmbr7?cidr6=fe80::1/64&delete=cidr,mtu,bridge_vlan_aware&type=bridge => null
		GET /nodes/pve1/network/vmbr7                    => map[active:1 address6:fe80::1 autostart:1 bridge_fd:0 bridge_ports: bridge_stp:off cidr6:fe80::1/64 families:[inet6] method:manual method6:static netmask6:64 priority:5 type:bridge]
		PUT /nodes/pve1/network/vmbr0?bridge_ports=eth0&cidr=10.10.0.1/24&gateway=10.10.0.254&mtu=1400&type=bridge => null
		GET /nodes/pve1/network/vmbr0#mtu                => 1400
		GET /nodes/pve1/network/vmbr0#autostart          => 1
		DELETE /nodes/pve1/network/vmbr7                 => null
		GET /nodes/pve1/network#vmbr7                    => null`,
	"a VLAN and a bond": `
		POST /nodes/pve1/network?iface=eth0.40&mtu=1499&type=vlan => null
		GET /nodes/pve1/network/eth0.40#vlan-id          => 40
		GET /nodes/pve1/network/eth0.40#vlan-raw-device  => eth0
		GET /nodes/pve1/network/eth0.40#exists           => 1
		POST /nodes/pve1/network?iface=eth7.40&type=vlan => 500 vlan 'eth7.40' - unable to find parent 'eth7'
		POST /nodes/pve1/network?iface=eth0.41&mtu=9000&type=vlan => 500 interface 'eth0' - mtu 1500 is lower than 'eth0.41' - mtu 9000
		POST /nodes/pve1/network?iface=uplink&vlan-id=42&vlan-raw-device=eth0&type=vlan => null
		GET /nodes/pve1/network#uplink#type              => vlan
		POST /nodes/pve1/network?iface=bond1&slaves=eth8&type=bond => 500 bond 'bond1' - unable to find slave 'eth8'
		POST /nodes/pve1/network?iface=eth8&type=eth     => null
		POST /nodes/pve1/network?iface=bond1&slaves=eth8&bond_mode=balance-rr&bond_xmit_hash_policy=layer2&type=bond => null
		GET /nodes/pve1/network#bond1#bond_miimon        => 100
		GET /nodes/pve1/network#bond1#bond_xmit_hash_policy => null
		POST /nodes/pve1/network?iface=vmbr5&type=OVSBridge => 500 Open VSwitch is not installed (need package 'openvswitch-switch')`,
	"settings without a value": `
		POST /access/domains?realm=corp&type=openid&issuer-url=https://id.example.org&client-id=pve&scopes=&autocreate=0 => null
		GET /access/domains/corp#scopes                  => null
		GET /access/domains/corp#autocreate              => 0
		POST /cluster/metrics/server/graph?type=graphite&server=10.0.0.9&port=2003&disable=0 => null
		GET /cluster/metrics/server/graph#disable        => null
		PUT /cluster/metrics/server/graph?server=10.0.0.9&port=2003&disable=1 => null
		GET /cluster/metrics/server/graph#disable        => 1`,
	"a VM that is a template": `
		POST /nodes/pve1/qemu?vmid=520&template=1&scsi0=local-zfs:8&ide2=local-zfs:cloudinit => OK
		GET /nodes/pve1/qemu/520/config#scsi0            => local-zfs:base-520-disk-0,size=8G
		GET /nodes/pve1/qemu/520/config#ide2             => local-zfs:vm-520-cloudinit,media=cdrom
		POST /nodes/pve1/qemu/520/config?scsi1=local-zfs:1 => OK
		GET /nodes/pve1/qemu/520/config#scsi1            => local-zfs:base-520-disk-1,size=1G
		POST /nodes/pve1/lxc?vmid=530&template=1&rootfs=local-zfs:4&ostemplate=local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst => OK
		GET /nodes/pve1/lxc/530/config#rootfs            => local-zfs:subvol-530-disk-0,size=4G`,
	"a VM with Windows": `
		POST /nodes/pve1/qemu?vmid=540&ostype=win11&machine=q35,viommu=intel => OK
		GET /nodes/pve1/qemu/540/config#machine          => pc-q35-VERSION,viommu=intel
		POST /nodes/pve1/qemu?vmid=541&ostype=win10      => OK
		GET /nodes/pve1/qemu/541/config#machine          => pc-i440fx-VERSION
		POST /nodes/pve1/qemu?vmid=542&ostype=win10&machine=pc-q35-8.1 => OK
		GET /nodes/pve1/qemu/542/config#machine          => pc-q35-8.1
		POST /nodes/pve1/qemu?vmid=543&ostype=l26&machine=q35 => OK
		GET /nodes/pve1/qemu/543/config#machine          => q35`,
	"a pool": `
		POST /pools?comment=a&poolid=tf                  => null
		GET /pools?poolid=tf#tf#comment                  => a
		PUT /pools?poolid=tf&comment=                    => null
		GET /pools?poolid=tf#tf#comment                  => null
		DELETE /pools?poolid=tf                          => null`,
	"a firewall rule": `
		POST /nodes/pve1/qemu/100/firewall/rules?action=ACCEPT&comment=ssh&dest=&dport=22&enable=1&log=info&macro=&proto=tcp&source=10.0.0.0/8&sport=&type=in => null
		GET /nodes/pve1/qemu/100/firewall/rules/0#source => 10.0.0.0/8
		GET /nodes/pve1/qemu/100/firewall/rules/0#dest   => null
		GET /nodes/pve1/qemu/100/firewall/rules/0#log    => info
		POST /nodes/pve1/qemu/100/firewall/rules?action=DROP&comment=&dest=&dport=23&enable=1&macro=&proto=tcp&source=&sport=&type=in => null
		GET /nodes/pve1/qemu/100/firewall/rules/0#action => DROP
		DELETE /nodes/pve1/qemu/100/firewall/rules/1     => null
		DELETE /nodes/pve1/qemu/100/firewall/rules/0     => null
		GET /nodes/pve1/qemu/100/firewall/rules          => []`,
	"a user with a token": `
		POST /access/users?comment=a&email=a@b.org&enable=1&expire=0&firstname=&keys=&lastname=&password=password1&userid=tf@pve => null
		PUT /access/acl?delete=0&path=/vms&propagate=1&roles=PVEAuditor&users=tf@pve => null
		GET /access/users/tf@pve#comment                 => a
		GET /access/acl#tf@pve#roleid                    => PVEAuditor
		POST /access/users/tf@pve/token/tf?comment=a&expire=1893535200&privsep=1
		GET /access/users/tf@pve/token/tf#expire         => 1.8935352e+09
		PUT /access/users/tf@pve/token/tf?expire=0&privsep=0
		GET /access/users/tf@pve/token/tf#privsep        => 0
		DELETE /access/users/tf@pve/token/tf             => null
		PUT /access/users/tf@pve?comment=&email=&enable=0&expire=0&firstname=&keys=&lastname= => null
		PUT /access/password?password=password2&userid=tf@pve => null
		PUT /access/acl?delete=1&path=/vms&propagate=1&roles=PVEAuditor&users=tf@pve => null
		GET /access/users/tf@pve#comment                 => null
		GET /access/users/tf@pve#enable                  => 0
		DELETE /access/users/tf@pve                      => null
		GET /access/users/tf@pve                         => 500 no such user ('tf@pve')`,
}

func TestFlowsOfTerraform(t *testing.T) {
	t.Parallel()
	for version, machine := range map[string]string{"8.4.21": "9.2+pve1", "9.2.11": "11.0+pve2"} {
		for name, flow := range flows {
			t.Run(name+" on "+version, func(t *testing.T) {
				m := pvesim.Cluster()
				m.PVE = version
				w := newWorld(t, m)
				w.login("root@pam", "simulated")
				w.story(strings.ReplaceAll(flow, "VERSION", machine))
			})
		}
	}
}
