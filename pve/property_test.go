package pve_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pve-mcp/pve-mcp/proxmox/lenient"
	"github.com/pve-mcp/pve-mcp/pve"
	"github.com/pve-mcp/pve-mcp/pve/apischema"
)

// keysOf shows what All yields.
func keysOf(p pve.Property) string {
	var out []string
	for k, v := range p.All() {
		out = append(out, k+" is "+v)
	}
	return strings.Join(out, "; ")
}

func TestPropertyReads(t *testing.T) {
	for _, tt := range []struct{ give, defaultKey, want string }{
		{"", "file", ""},
		{"local:100/vm-100-disk-0.qcow2,size=32G", "file", "file is local:100/vm-100-disk-0.qcow2; size is 32G"},
		{"size=32G,local:100/x", "file", "size is 32G; file is local:100/x"},
		{"virtio=BC:24:11:77:21:A2,bridge=vmbr0", "model", "virtio is BC:24:11:77:21:A2; bridge is vmbr0"},
		{"order=scsi0;net0", "legacy", "order is scsi0;net0"},
		{"serial=a=b==,flags=+aes;-pcid", "cputype", "serial is a=b==; flags is +aes;-pcid"},
		{"a=1,,b=2, ,", "", "a is 1; b is 2"},
		{"1,fstrim_cloned_disks=1,Fstrim_cloned_disks=1", "enabled", "enabled is 1; fstrim_cloned_disks is 1; Fstrim_cloned_disks is 1"},
		{"a=1,a=2", "", "a is 1; a is 2"},
		{"dhcp,a=", "", " is dhcp; a is "},
	} {
		p := pve.ParseProperty(tt.give, tt.defaultKey)
		if got := keysOf(p); got != tt.want {
			t.Errorf("%q: %s, want %s", tt.give, got, tt.want)
		}
		if p.String() != tt.give {
			t.Errorf("%q prints %q", tt.give, p)
		}
	}
}

func TestPropertyChanges(t *testing.T) {
	for _, tt := range []struct{ give, defaultKey, key, value, want string }{
		{"", "file", "file", "none", "none"},
		{"", "", "ip", "dhcp", "ip=dhcp"},
		{"media=cdrom", "file", "file", "none", "none,media=cdrom"},
		{"none,media=cdrom", "file", "file", "local:iso/x.iso", "local:iso/x.iso,media=cdrom"},
		{"file=none,media=cdrom", "file", "file", "cdrom", "file=cdrom,media=cdrom"},
		{"none", "file", "file", "nfs:a=b", "file=nfs:a=b"},
		{"x:1,discard=on,,ssd=1", "file", "discard", "ignore", "x:1,discard=ignore,,ssd=1"},
		{"x:1,ssd=1", "file", "discard", "on", "x:1,ssd=1,discard=on"},
		{"a=1,b=2,a=3", "", "a", "4", "a=4,b=2"},
		{"1", "enabled", "enabled", " ", "enabled= "},
		{"x:1,ssd=1,y,ssd=0", "file", "ssd", "", "x:1,y"},
		{"x:1,ssd=1", "file", "file", "", "ssd=1"},
		{"x:1", "file", "nosuch", "", "x:1"},
	} {
		p := pve.ParseProperty(tt.give, tt.defaultKey)
		before := p
		if tt.value == "" {
			p.Delete(tt.key)
		} else if err := p.Set(tt.key, tt.value); err != nil {
			t.Errorf("%q: %v", tt.give, err)
		}
		if p.String() != tt.want {
			t.Errorf("%q with %s=%s: %q, want %q", tt.give, tt.key, tt.value, p, tt.want)
		}
		if before.String() != tt.give {
			t.Errorf("a copy of %q became %q", tt.give, before)
		}
	}
	for _, bad := range [][2]string{{"", "x"}, {"a=b", "x"}, {"a,b", "x"}, {"a", ""}, {"a", "x,y"}} {
		p := pve.ParseProperty("a=1", "")
		if err := p.Set(bad[0], bad[1]); err == nil || p.String() != "a=1" {
			t.Errorf("Set(%q, %q): %v, %q", bad[0], bad[1], err, p)
		}
	}
}

func TestDisks(t *testing.T) {
	type disk struct{ Source, Volume, Size, Rest string }
	for _, tt := range []struct {
		kind       pve.Kind
		key, value string
		want       disk
		also       func(pve.Disk) bool
	}{
		{pve.QEMU, "scsi0", "local-lvm:vm-100-disk-0,cache=writeback,discard=on,iops_rd=100,iothread=1,size=32G,ssd=on",
			disk{"local-lvm:vm-100-disk-0", "local-lvm:vm-100-disk-0", "32G", "iops_rd=100"},
			func(d pve.Disk) bool {
				return d.Bus == "scsi" && d.Cache == "writeback" && d.Discard == "on" && d.IOThread.Value && d.SSD.Value && !d.Backup.Set && !d.IsCDROM()
			}},
		{pve.QEMU, "ide2", "local:iso/miniguest.iso,media=cdrom,size=19122K",
			disk{"local:iso/miniguest.iso", "local:iso/miniguest.iso", "19122K", ""},
			func(d pve.Disk) bool { return d.IsCDROM() && !d.IsCloudInit() }},
		{pve.QEMU, "ide2", "none,media=cdrom", disk{"none", "", "", ""}, pve.Disk.IsCDROM},
		{pve.QEMU, "ide2", "cdrom", disk{"cdrom", "", "", ""}, pve.Disk.IsCDROM},
		{pve.QEMU, "ide3", "local:100/vm-100-cloudinit.qcow2,media=cdrom", disk{"local:100/vm-100-cloudinit.qcow2", "local:100/vm-100-cloudinit.qcow2", "", ""}, pve.Disk.IsCloudInit},
		{pve.QEMU, "ide3", "zfs:vm-100-cloudinit,media=cdrom", disk{"zfs:vm-100-cloudinit", "zfs:vm-100-cloudinit", "", ""}, pve.Disk.IsCloudInit},
		{pve.QEMU, "virtio1", "/dev/disk/by-id/ata-X:1,backup=0,size=big", disk{"/dev/disk/by-id/ata-X:1", "", "", "size=big"},
			func(d pve.Disk) bool { return d.Backup.Set && !d.Backup.Value }},
		{pve.QEMU, "efidisk0", "volume=a1:x,efitype=4m,format=raw,size=528K", disk{"a1:x", "a1:x", "528K", ""},
			func(d pve.Disk) bool { return d.Bus == "efidisk" && d.Format == "raw" && d.EFIType == "4m" }},
		{pve.QEMU, "unused3", "data:900/vm-900-disk-1.qcow2", disk{"data:900/vm-900-disk-1.qcow2", "data:900/vm-900-disk-1.qcow2", "", ""},
			func(d pve.Disk) bool { return d.Bus == "unused" }},
		{pve.LXC, "mp0", "nfs:ct-data,mp=/srv,backup=1,ro=1,acl=0,size=8G,replicate=no", disk{"nfs:ct-data", "nfs:ct-data", "8G", "acl=0"},
			func(d pve.Disk) bool {
				return d.Mount == "/srv" && d.Backup.Value && d.ReadOnly.Value && !d.Replicate.Value
			}},
		{pve.LXC, "mp1", "/mnt/host,mp=/srv", disk{"/mnt/host", "", "", ""}, func(d pve.Disk) bool { return d.Mount == "/srv" }},
		{pve.LXC, "rootfs", "volume=data:953/vm-953-disk-1.raw,size=2G,size=3G", disk{"data:953/vm-953-disk-1.raw", "data:953/vm-953-disk-1.raw", "2G", "size=3G"},
			func(d pve.Disk) bool { return d.Bus == "rootfs" }},
	} {
		d := pve.DiskOf(tt.kind, tt.key, tt.value)
		got := disk{Source: d.Source, Rest: d.Rest.String()}
		if d.Volume != (pve.VolID{}) {
			got.Volume = d.Volume.String()
		}
		if d.Size.Set {
			got.Size = pve.FormatSize(d.Size.Value)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" || !tt.also(d) || d.Key != tt.key {
			t.Errorf("%s: %s: %+v\n%s", tt.key, tt.value, d, diff)
		}
	}
}

func TestNICs(t *testing.T) {
	for _, tt := range []struct {
		kind  pve.Kind
		value string
		want  pve.NIC
		rest  string
	}{
		{pve.QEMU, "virtio=BC:24:11:77:21:A2,bridge=vmbr0,firewall=1,tag=20,trunks=1;2-4", pve.NIC{
			Model: "virtio", MAC: "BC:24:11:77:21:A2", Bridge: "vmbr0", Firewall: lenient.Some(true), Tag: lenient.Some(int64(20)),
		}, "trunks=1;2-4"},
		{pve.QEMU, "model=e1000e,macaddr=bc:24:11:77:21:a2,link_down=1,rate=1.5,mtu=1,queues=4", pve.NIC{
			Model: "e1000e", MAC: "bc:24:11:77:21:a2", LinkDown: lenient.Some(true), Rate: lenient.Some(1.5), MTU: lenient.Some(int64(1)), Queues: lenient.Some(int64(4)),
		}, ""},
		{pve.QEMU, "virtio,bridge=vmbr1,tag=x,rate=nan", pve.NIC{Model: "virtio", Bridge: "vmbr1"}, "tag=x,rate=nan"},
		{pve.LXC, "name=eth0,bridge=vmbr0,gw=10.99.0.1,gw6=fd00::1,host-managed=1,hwaddr=BC:24:11:D1:65:B3,ip=10.99.0.50/24,ip6=auto,type=veth", pve.NIC{
			Name: "eth0", Model: "veth", MAC: "BC:24:11:D1:65:B3", Bridge: "vmbr0",
			IPConfig: pve.IPConfig{IP: "10.99.0.50/24", Gateway: "10.99.0.1", IP6: "auto", Gateway6: "fd00::1"},
		}, "host-managed=1"},
	} {
		got := pve.NICOf(tt.kind, "net0", tt.value)
		if got.Rest.String() != tt.rest {
			t.Errorf("%s: the rest is %q, want %q", tt.value, got.Rest, tt.rest)
		}
		tt.want.Key, got.Rest = "net0", pve.Property{}
		if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(pve.Property{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.value, diff)
		}
	}
	c, rest := pve.IPConfigOf("ip=dhcp,ip6=fd00::5/64,gw6=fd00::1,mtu=9000")
	if want := (pve.IPConfig{IP: "dhcp", IP6: "fd00::5/64", Gateway6: "fd00::1"}); c != want || rest.String() != "mtu=9000" {
		t.Errorf("%+v, the rest %q", c, rest)
	}
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "1": 1, "512": 512, "19122K": 19122 << 10, "512M": 512 << 20, "32G": 32 << 30, "1T": 1 << 40,
		"8191P": -1, "1.5G": 3 << 29, "0.3K": 307, "1.9": 1, "1024T": 1 << 50, "8388607T": 8388607 << 40,
		"8388608T": -1, "9223372036854775807": 1<<63 - 1, "9223372036854775808": -1,
		"": -1, "G": -1, "-1G": -1, "1g": -1, "1.G": -1, " 1G": -1, "1G ": -1, "+1G": -1, "1e3": -1,
	} {
		got, err := pve.ParseSize(text)
		if err != nil {
			got = -1
		}
		if got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
	for bytes, want := range map[int64]string{0: "0", 1: "1", 1024: "1K", 1025: "1025", 3 << 29: "1536M", 1 << 40: "1T", 5 << 50: "5120T"} {
		if got := pve.FormatSize(bytes); got != want {
			t.Errorf("%d: %s, want %s", bytes, got, want)
		}
	}
}

// Which keys hold disks and interfaces, and what the first part of a disk is called,
// is as in PVE's own description.
func TestKeysAreThoseOfTheSchema(t *testing.T) {
	for _, major := range []int{8, 9} {
		api, err := apischema.Load(major)
		if err != nil {
			t.Fatal(err)
		}
		for kind, template := range map[pve.Kind]string{
			pve.QEMU: "/nodes/{node}/qemu/{vmid}/config", pve.LXC: "/nodes/{node}/lxc/{vmid}/config",
		} {
			ep := api.Endpoint("PUT", template)
			disks := 0
			for name, s := range ep.Params {
				key, indexed := strings.CutSuffix(name, "[n]")
				if indexed {
					key += "7"
				}
				isDisk := holdsVolume(s, pve.SourceKey(kind)) && name != "cdrom" // another name of ide2
				if isDisk {
					disks++
				}
				if pve.IsDiskKey(kind, key) != isDisk {
					t.Errorf("PVE %d, %s: is %s a disk? %v", major, kind, key, isDisk)
				}
				if pve.IsNICKey(key) != (key == "net7") {
					t.Errorf("is %s an interface?", key)
				}
			}
			if want := map[pve.Kind]int{pve.QEMU: 7, pve.LXC: 3}[kind]; disks != want {
				t.Errorf("PVE %d, %s: %d kinds of disks, want %d", major, kind, disks, want)
			}
		}
	}
	odd := []string{"", "scsi", "scsi01", "scsi0x", "xscsi0", "efidisk1", "mp0", "rootfs", "vmstate", "virtiofs0"}
	if i := slices.IndexFunc(odd, func(k string) bool { return pve.IsDiskKey(pve.QEMU, k) }); i >= 0 {
		t.Errorf("%s is a disk of a VM", odd[i])
	}
}

// holdsVolume reports whether a parameter is a volume, with or without options.
func holdsVolume(s *apischema.Schema, defaultKey string) bool {
	if s.Format == nil {
		return false
	}
	if key := s.Format.Keys[defaultKey]; key != nil {
		return key.DefaultKey
	}
	return s.Format.Name == "pve-qm-ide"
}

func ExampleProperty_Set() {
	disk := pve.ParseProperty("local-lvm:vm-100-disk-0,iothread=1,size=32G", "file")
	if err := disk.Set("discard", "on"); err != nil {
		panic(err)
	}
	fmt.Println(disk)
	// Output: local-lvm:vm-100-disk-0,iothread=1,size=32G,discard=on
}
