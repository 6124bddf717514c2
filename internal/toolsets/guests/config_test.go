package guests_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// shared puts the disk of the VM 105, which is stopped, where all nodes see it.
var shared = sim.Set(105, "scsi0=nfs:105/vm-105-disk-0.qcow2,size=120G")

func TestConfig(t *testing.T) {
	cloudInit := sim.Set(105, "cipassword=secret", "sshkeys=ssh-ed25519%20AAAA%20me%40home%0A", "ide2=local-zfs:vm-105-cloudinit,media=cdrom",
		"efidisk0=local-zfs:vm-105-disk-1,size=1M", "unused0=local-zfs:vm-105-disk-9", "net1=e1000=AA:BB:CC:00:11:22,bridge=vmbr1,tag=30,firewall=1,link_down=1")
	many, later := []string{"virtio0=local-zfs:vm-105-disk-7,size=1G"}, []string{}
	for i := range 60 {
		many = append(many, fmt.Sprintf("unused%d=local-zfs:vm-105-disk-%d", i, 10+i))
		later = append(later, fmt.Sprintf(`{"key":"smbios%d","value":"a","pending":"b"}`, i))
	}
	sim.Tell(t, "pve_guest_config", []sim.Story{
		{Name: "many disks", Options: sim.Options{Model: sim.Cluster(sim.Set(105, many...))}, Args: `{"vmid":105}`, Outcome: tool.OK,
			Says: []string{`"key":"virtio0"`, `"key":"unused47"`, `"notes":["12 further disks are left out; pve_storage_content with vmid lists their volumes"]`}, Lacks: []string{`"key":"unused48"`}},
		{Name: "much that waits", Options: sim.Options{Wire: sim.Answers("/pending", "["+strings.Join(later, ",")+"]")}, Args: `{"vmid":104}`, Outcome: tool.OK,
			Says: []string{`"key":"smbios19"`, `"notes":["40 further pending changes are left out"]`}, Lacks: []string{`"key":"smbios20"`}},
		{Name: "VM", Args: `{"vmid":104}`, Outcome: tool.OK, Sent: 3, Says: []string{
			`"name":"mail","type":"qemu","node":"pve1","digest":"`, `"cores":"2"`, `"memory":"8192"`,
			`{"key":"scsi0","value":"local-zfs:vm-104-disk-0,size=80G","kind":"disk","storage":"local-zfs","size":85899345920,"size_human":"80 GiB"}`,
			`{"key":"unused0","value":"local-zfs:vm-104-disk-1","kind":"unused","storage":"local-zfs"}`,
			`"nics":[{"key":"net0","value":"virtio=BC:24:11:`, `"model":"virtio","mac":"BC:24:11:`, `"bridge":"vmbr0"}]`,
		}, Lacks: []string{`"pending"`}},
		{Name: "CT", Args: `{"vmid":200}`, Outcome: tool.OK, Sent: 3, Says: []string{
			`"name":"proxy","type":"lxc"`, `{"key":"rootfs","value":"local-zfs:subvol-200-disk-0,size=8G","kind":"disk"`, `"name":"eth0"`, `"ip":"dhcp"`,
		}},
		{Name: "single node", Options: sim.Options{Model: sim.Lab()}, Args: `{"vmid":103}`, Outcome: tool.OK, Sent: 3, Says: []string{`"node":"pve"`, `"storage":"local-lvm"`}},
		{Name: "kinds of disks, and secrets", Options: sim.Options{Model: sim.Cluster(cloudInit)}, Args: `{"vmid":105}`, Outcome: tool.OK, Says: []string{
			`"cipassword":"**********"`, `"sshkeys":"ssh-ed25519 SHA256:`, ` me@home"`, `"kind":"cloudinit"`, `"kind":"efi"`, `"kind":"unused"`,
			`"model":"e1000","mac":"AA:BB:CC:00:11:22","bridge":"vmbr1","vlan":30,"firewall":true,"link_down":true}`,
		}, Lacks: []string{"secret"}},
		{Name: "what waits", First: `pve_update_guest_config {"vmid":100,"set":{"cores":8},"delete":["agent"]}`, Args: `{"vmid":100}`, Outcome: tool.OK, Says: []string{
			`"cores":"4"`, `{"key":"cores","now":"4","next":"8"}`, `{"key":"agent","now":"1","delete":true}`,
		}},
		{Name: "scratch VM", On: sim.VM, Args: `{"vmid":$vmid}`, Outcome: tool.OK, Sent: 3, Says: []string{
			`"name":"scratch","type":"qemu","node":"$node","digest":"`, `"cores":"1"`, `"memory":"128"`, `{"key":"scsi0","value":"$storage:`, `"kind":"disk","storage":"$storage","size":1073741824,"size_human":"1 GiB"}`,
		}, Lacks: []string{`"pending"`}},
		{Name: "scratch CT", On: sim.RunningCT, Args: `{"vmid":$vmid}`, Outcome: tool.OK, Sent: 3, Says: []string{`"name":"scratch","type":"lxc"`, `{"key":"rootfs","value":"$storage:`, `"size_human":"2 GiB"`}, Lacks: []string{`"pending"`}},
		{Name: "what waits for a restart", On: sim.RunningVM, First: `pve_update_guest_config {"vmid":$vmid,"set":{"memory":256}}`, Args: `{"vmid":$vmid}`, Outcome: tool.OK, Says: []string{`"memory":"128"`, `{"key":"memory","now":"128","next":"256"}`}},
		{Name: "of a snapshot of now", On: sim.VM, First: `pve_create_snapshot {"vmid":$vmid,"snapname":"monday"}
			pve_update_guest_config {"vmid":$vmid,"set":{"description":"later"}}`, Args: `{"vmid":$vmid,"snapshot":"monday"}`, Outcome: tool.OK, Sent: 2, Says: []string{`"name":"scratch"`, `"kind":"disk"`}, Lacks: []string{"later", `"pending"`}},
		{Name: "of a snapshot", First: `pve_update_guest_config {"vmid":102,"set":{"description":"later"}}`, Args: `{"vmid":102,"snapshot":"before-upgrade"}`,
			Outcome: tool.OK, Sent: 2, Says: []string{`"name":"db-1"`, `"kind":"disk"`}, Lacks: []string{"later", `"pending"`}},
		{Name: "no such snapshot", On: sim.VM, Args: `{"vmid":$vmid,"snapshot":"monday"}`, Outcome: tool.Failed, Sent: 2,
			Says: []string{"snapshot 'monday' does not exist.", "pve_list_snapshots"}},
		{Name: "hostile", Options: sim.Options{Model: sim.Cluster(sim.Set(105, "description=\x1b[31mred\u202e\nline"))},
			Args: `{"vmid":105}`, Outcome: tool.OK, Says: []string{`"description":"red\nline"`}},

		{Name: "locked, it is shown", Args: `{"vmid":107}`, Outcome: tool.OK, Says: []string{`"lock":"backup"`}},
		{Name: "moved before the first look", Options: sim.Options{Model: sim.Cluster(shared), Before: sim.Moves(105, "pve1", "GET", "/config")},
			Args: `{"vmid":105}`, Outcome: tool.OK, Says: []string{`"node":"pve1"`}, Sent: 5},
		{Name: "moved before the second look", Options: sim.Options{Model: sim.Cluster(shared), Before: sim.Moves(105, "pve1", "GET", "/pending")},
			Args: `{"vmid":105}`, Outcome: tool.OK, Sent: 5},
		{Name: "its node is down", Options: sim.Options{Model: sim.Cluster(sim.Offline("pve3"))}, Args: `{"vmid":105}`, Outcome: tool.Failed,
			Says: []string{"could not get an answer from the node", "(595)", "other nodes still answer"}},
		{Name: "no guest", On: sim.NoGuest, Args: `{"vmid":$vmid}`, Outcome: tool.Failed, Sent: 1, Says: []string{"There is no guest $vmid"}},
		{Name: "no privilege", Options: sim.Options{Token: "none@pve!mcp"}, Args: `{"vmid":104}`, Outcome: tool.Failed, Sent: 1, Says: []string{"VM.Audit", "This token sees no guests at all"}},
		{Name: "bad vmid", Args: `{"vmid":5}`, Outcome: tool.Failed, Says: []string{`The argument "vmid" is 5, which is not`}},
		{Name: "broken answer", Fault: pvesim.Fault{Match: "GET /nodes/*/qemu/*/pending", Drop: true}, Args: `{"vmid":104}`, Outcome: tool.Failed, Says: []string{"no usable answer", "try again"}},
		{Name: "broken answer, once", Fault: pvesim.Fault{Match: "GET /nodes/*/qemu/*/pending", Drop: true, Max: 1}, Args: `{"vmid":104}`, Outcome: tool.OK, Sent: 4},
	})
}
