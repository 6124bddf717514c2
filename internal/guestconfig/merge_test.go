package guestconfig_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pve-mcp/pve-mcp/internal/guestconfig"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pve"
)

// An object changes the parts that it names, and loses no other: no address, size or tag.
func TestMerge(t *testing.T) {
	vm := map[string]string{
		"net0": "virtio=BC:24:11:00:00:64,bridge=vmbr0,firewall=1,tag=20", "net1": "model=e1000,macaddr=BC:24:11:00:00:65,bridge=vmbr0",
		"scsi0": "local-zfs:vm-100-disk-0,discard=on,size=32G", "cpu": "host", "agent": "1", "ipconfig0": "ip=10.0.0.5/24,gw=10.0.0.1", "boot": "order=scsi0",
	}
	ct := map[string]string{"net0": "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:00:66,ip=dhcp,type=veth", "mp0": "local-zfs:subvol-200-disk-1,mp=/srv,size=8G", "features": "nesting=1", "tags": "web;old"}
	for _, tt := range []struct {
		kind     pve.Kind
		now      map[string]string
		set, key string
		want     string
	}{
		{pve.QEMU, vm, `{"net0":{"tag":30}}`, "net0", "virtio=BC:24:11:00:00:64,bridge=vmbr0,firewall=1,tag=30"},
		{pve.QEMU, vm, `{"net0":{"link_down":true,"tag":null}}`, "net0", "virtio=BC:24:11:00:00:64,bridge=vmbr0,firewall=1,link_down=1"},
		{pve.QEMU, vm, `{"net0":{"model":"e1000"}}`, "net0", "e1000,bridge=vmbr0,firewall=1,tag=20,macaddr=BC:24:11:00:00:64"},
		{pve.QEMU, vm, `{"net0":{"macaddr":"BC:24:11:00:00:99"}}`, "net0", "virtio,bridge=vmbr0,firewall=1,tag=20,macaddr=BC:24:11:00:00:99"},
		{pve.QEMU, vm, `{"net0":{"vmxnet3":"BC:24:11:00:00:99"}}`, "net0", "vmxnet3,bridge=vmbr0,firewall=1,tag=20,macaddr=BC:24:11:00:00:99"},
		{pve.QEMU, vm, `{"net1":{"tag":30}}`, "net1", "model=e1000,macaddr=BC:24:11:00:00:65,bridge=vmbr0,tag=30"},
		{pve.QEMU, vm, `{"net2":{"model":"virtio","bridge":"vmbr1"}}`, "net2", "virtio,bridge=vmbr1"},
		{pve.QEMU, vm, `{"scsi0":{"cache":"none"}}`, "scsi0", "local-zfs:vm-100-disk-0,discard=on,size=32G,cache=none"},
		{pve.QEMU, vm, `{"cpu":{"flags":["+aes","+pcid"]}}`, "cpu", "host,flags=+aes;+pcid"},
		{pve.QEMU, vm, `{"cpu":{"cputype":"x86-64-v3"}}`, "cpu", "x86-64-v3"},
		{pve.QEMU, vm, `{"agent":{"fstrim_cloned_disks":1}}`, "agent", "1,fstrim_cloned_disks=1"},
		{pve.QEMU, vm, `{"ipconfig0":{"ip":"10.0.0.9/24"}}`, "ipconfig0", "ip=10.0.0.9/24,gw=10.0.0.1"},
		{pve.QEMU, vm, `{"ipconfig0":"ip=dhcp"}`, "ipconfig0", "ip=dhcp"},
		{pve.QEMU, vm, `{"boot":["net0","scsi0"]}`, "boot", "order=net0;scsi0"},
		{pve.LXC, ct, `{"net0":{"ip":"10.0.0.5/24","gw":"10.0.0.1"}}`, "net0", "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:00:66,ip=10.0.0.5/24,type=veth,gw=10.0.0.1"},
		{pve.LXC, ct, `{"net1":{"bridge":"vmbr0"}}`, "net1", "name=eth1,bridge=vmbr0"},
		{pve.LXC, ct, `{"net2":"bridge=vmbr0,ip=dhcp"}`, "net2", "name=eth2,bridge=vmbr0,ip=dhcp"},
		{pve.LXC, ct, `{"mp0":{"backup":1}}`, "mp0", "local-zfs:subvol-200-disk-1,mp=/srv,size=8G,backup=1"},
		{pve.LXC, ct, `{"tags":{"prod":true,"old":false}}`, "tags", "web;prod"},
		{pve.LXC, ct, `{"features":{"keyctl":1}}`, "features", "nesting=1,keyctl=1"},
	} {
		var set tool.Settings
		if err := json.Unmarshal([]byte(tt.set), &set); err != nil {
			t.Errorf("%s: %v", tt.set, err)
			continue
		}
		got, err := guestconfig.Merge(tt.kind, set, func(key string) string { return tt.now[key] })
		if diff := cmp.Diff(tt.want, got[tt.key]); diff != "" || err != nil || len(got) != 1 {
			t.Errorf("%s: %v, %v\n%s", tt.set, got, err, diff)
		}
		again, err := json.Marshal(set)
		var same tool.Settings
		if err != nil || json.Unmarshal(again, &same) != nil || !cmp.Equal(set, same) {
			t.Errorf("%s is written as %s", tt.set, again)
		}
	}
}

// What a property string cannot hold is refused by the name of its part.
func TestSettingsThatAreNone(t *testing.T) {
	for _, text := range []string{`{"net0":{"tag":{"a":1}}}`, `{"net0":{"tag":"1,2"}}`, `{"net0":{}}`, `{"description":{"a":1}}`, `{"nameserver":{"a":1}}`} {
		var set tool.Settings
		if err := json.Unmarshal([]byte(text), &set); err == nil {
			t.Errorf("%s is taken as %v", text, set)
		}
	}
}
