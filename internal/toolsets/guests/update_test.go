package guests_test

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

const (
	putVM  = "PUT /nodes/{node}/qemu/{vmid}/config"
	postVM = "POST /nodes/{node}/qemu/{vmid}/config"
	putCT  = "PUT /nodes/{node}/lxc/{vmid}/config"
)

func TestUpdate(t *testing.T) {
	attached := sim.Set(105, "scsi1=nfs:105/vm-105-disk-1.qcow2,size=5G")
	sim.Tell(t, "pve_update_guest_config", []sim.Story{
		{Name: "stopped VM", Args: `{"vmid":105,"set":{"cores":4,"description":"two\nlines; a=b&c","tags":"z,a"},"delete":["agent"]}`, Outcome: tool.OK,
			Writes: []string{putVM}, Sent: 4, Says: []string{
				`"message":"Change of VM 105 (build-1) on pve3: done."`, `"digest":"`,
				`"changes":[{"key":"cores","before":"16","after":"4"},{"key":"description","after":"two\nlines; a=b&c"},{"key":"tags","before":"ci","after":"a;z"},{"key":"agent","before":"1","removed":true}]`,
			}, Lacks: []string{"restart_needed"}},
		{Name: "running VM", Args: `{"vmid":100,"set":{"cores":8,"onboot":true},"delete":["agent"]}`, Outcome: tool.OK, Writes: []string{putVM}, Sent: 4, Says: []string{
			`{"key":"cores","before":"4","after":"4","pending":"8","waits":true}`, `{"key":"onboot","after":"1"}`,
			`{"key":"agent","before":"1","after":"1","removed":true,"waits":true}`, `"restart_needed":true`,
		}},
		{Name: "CT", Args: `{"vmid":200,"set":{"memory":2048,"hostname":"edge"}}`, Outcome: tool.OK, Writes: []string{putCT}, Sent: 4, Says: []string{
			`"name":"edge"`, `{"key":"memory","before":"1024","after":"2048"}`,
		}},
		{Name: "a part of a NIC", Options: sim.Options{Model: sim.Cluster(sim.Set(105, "net0=virtio=BC:24:11:00:00:69,bridge=vmbr0,tag=20"))}, Args: `{"vmid":105,"set":{"net0":{"link_down":true}}}`, Outcome: tool.OK, Writes: []string{putVM}, Says: []string{
			`{"key":"net0","before":"virtio=BC:24:11:00:00:69,bridge=vmbr0,tag=20","after":"virtio=BC:24:11:00:00:69,bridge=vmbr0,link_down=1,tag=20"}`,
		}},
		{Name: "a part of a container's NIC", Options: sim.Options{Model: sim.Cluster(sim.Set(204, "net0=name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:02:04,ip=dhcp,type=veth"))}, Args: `{"vmid":204,"set":{"net0":{"tag":30}}}`, Outcome: tool.OK, Writes: []string{putCT}, Says: []string{
			`"after":"name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:02:04,ip=dhcp,tag=30,type=veth"`,
		}},
		{Name: "a part of a disk, of another guest's", Args: `{"vmid":105,"set":{"scsi2":{"file":"local-zfs:vm-107-disk-0"}}}`, Outcome: tool.NeedsConfirmation, Says: []string{"is a volume of VM 107"}},
		{Name: "single node, PVE 8", Options: sim.Options{Model: sim.Lab(sim.Version("8.4.1"))}, Args: `{"vmid":100,"set":{"name":"ha"}}`, Outcome: tool.OK,
			Writes: []string{putVM}, Says: []string{`{"key":"name","before":"homeassistant","after":"ha"}`}},
		{Name: "new disk, in a task", Args: `{"vmid":100,"set":{"scsi1":"nfs:4"}}`, Outcome: tool.OK, Writes: []string{postVM}, Sent: 4, Says: []string{
			`{"key":"scsi1","after":"nfs:100/vm-100-disk-0.raw,size=4G"}`, `"upid":"UPID:pve1:`,
		}},
		{Name: "new mount point", Args: `{"vmid":200,"set":{"mp0":"nfs:4,mp=/srv"}}`, Outcome: tool.OK, Writes: []string{putCT}, Says: []string{`"after":"nfs:200/vm-200-disk-0.raw,mp=/srv,size=4G"`}},
		{Name: "detached", Options: sim.Options{Model: sim.Cluster(attached)}, Args: `{"vmid":105,"delete":["scsi1"]}`, Outcome: tool.OK, Writes: []string{putVM},
			Says: []string{`{"key":"scsi1","before":"nfs:105/vm-105-disk-1.qcow2,size=5G","removed":true}`}},
		{Name: "scratch VM", On: sim.VM, Args: `{"vmid":$vmid,"set":{"cores":2,"description":"two\nlines; a=b&c"},"delete":["ostype"]}`, Outcome: tool.OK, Writes: []string{putVM}, Sent: 4, Says: []string{
			`"message":"Change of VM $vmid (scratch) on $node: done."`,
			`"changes":[{"key":"cores","before":"1","after":"2"},{"key":"description","after":"two\nlines; a=b&c"},{"key":"ostype","before":"l26","removed":true}]`,
		}, Lacks: []string{"restart_needed"}},
		{Name: "scratch VM that runs", On: sim.RunningVM, Args: `{"vmid":$vmid,"set":{"memory":256,"onboot":true}}`, Outcome: tool.OK, Writes: []string{putVM}, Sent: 4, Says: []string{
			`{"key":"memory","before":"128","after":"128","pending":"256","waits":true}`, `{"key":"onboot","after":"1"}`, `"restart_needed":true`,
		}},
		{Name: "scratch CT that runs", On: sim.RunningCT, Args: `{"vmid":$vmid,"set":{"memory":512}}`, Outcome: tool.OK, Writes: []string{putCT}, Sent: 4, Says: []string{`{"key":"memory","before":"256","after":"512"}`}},
		{Name: "one more disk", On: sim.VM, Args: `{"vmid":$vmid,"set":{"scsi1":"$storage:1"}}`, Outcome: tool.OK, Writes: []string{postVM}, Sent: 4, Says: []string{`{"key":"scsi1","after":"$storage:`, `,size=1G"}`, `"upid":"UPID:$node:`}},
		{Name: "one disk less", On: sim.VM, First: `pve_update_guest_config {"vmid":$vmid,"set":{"scsi1":"$storage:1"}}`, Args: `{"vmid":$vmid,"delete":["scsi1"]}`, Outcome: tool.OK, Writes: []string{putVM},
			Says: []string{`{"key":"scsi1","before":"$storage:`, `,size=1G","removed":true}`}},
		{Name: "a detached disk, not confirmed", On: sim.VM, First: `pve_update_guest_config {"vmid":$vmid,"set":{"scsi1":"$storage:1"}}
			pve_update_guest_config {"vmid":$vmid,"delete":["scsi1"]}`, Args: `{"vmid":$vmid,"delete":["unused0"]}`, Outcome: tool.NeedsConfirmation, Says: []string{"the detached volume unused0 ($storage:"}},
		{Name: "a detached disk", On: sim.VM, First: `pve_update_guest_config {"vmid":$vmid,"set":{"scsi1":"$storage:1"}}
			pve_update_guest_config {"vmid":$vmid,"delete":["scsi1"]}`, Args: `{"vmid":$vmid,"delete":["unused0"],"confirm":true}`, Outcome: tool.OK, Writes: []string{postVM}, Says: []string{`{"key":"unused0","before":"$storage:`, `"removed":true}`}},
		{Name: "CD", On: sim.VM, Args: `{"vmid":$vmid,"set":{"ide2":"$iso,media=cdrom"}}`, Outcome: tool.OK, Writes: []string{putVM}},
		{Name: "cloud-init", Args: `{"vmid":105,"set":{"ciuser":"me","cipassword":"secret1","sshkeys":"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEkwkMV4onX7zKYikV+cTtgg2h3g8Dysq2MpztcbBpKH me@home\nssh-rsa AAAAB3NzaC1yc2EAAAAJZ01WirwHYSML","ipconfig0":"ip=dhcp"}}`, Outcome: tool.OK,
			Writes: []string{putVM}, Lacks: []string{"secret1"}, Says: []string{
				`{"key":"cipassword","after":"**********"}`, `{"key":"sshkeys","after":"ssh-ed25519 SHA256:`, ` me@home\nssh-rsa SHA256:`, `{"key":"ipconfig0","after":"ip=dhcp"}`,
			}},
		{Name: "lists", Args: `{"vmid":105,"set":{"tags":["z","a"],"nameserver":"[\"9.9.9.9\",\"1.1.1.1\"]","boot":["scsi0","net0"],"sshkeys":["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEkwkMV4onX7zKYikV+cTtgg2h3g8Dysq2MpztcbBpKH me@home\n","ssh-rsa AAAAB3NzaC1yc2EAAAAJZ01WirwHYSML"]}}`,
			Outcome: tool.OK, Writes: []string{putVM}, Says: []string{
				`"after":"a;z"`, `"after":"9.9.9.9 1.1.1.1"`, `"after":"order=scsi0;net0"`, ` me@home\nssh-rsa SHA256:`,
			}},
		{Name: "objects", Args: `{"vmid":105,"set":{"net1":{"model":"virtio","bridge":"vmbr0","firewall":true,"trunks":[5,6]},"cores":"[2]"}}`, Outcome: tool.Failed, Writes: []string{putVM},
			Says: []string{"got '[2]'"}},
		{Name: "an object", Args: `{"vmid":105,"set":{"net1":{"model":"virtio","bridge":"vmbr0","firewall":true,"trunks":[5,6]}}}`, Outcome: tool.OK, Writes: []string{putVM},
			Says: []string{`bridge=vmbr0`, `firewall=1`, `trunks=5;6`}},
		{Name: "units", Args: `{"vmid":105,"set":{"memory":"8G","balloon":"512 MB","scsi1":"nfs:1GB,discard=on"}}`, Outcome: tool.OK, Writes: []string{postVM}, Says: []string{
			`"message":"Change of VM 105 (build-1) on pve3 (balloon 512 MB read as 512; memory 8G read as 8192; scsi1 nfs:1GB read as nfs:1,discard=on): done."`,
			`"after":"8192"`, `size=1G`,
		}},
		{Name: "units of a CT", Args: `{"vmid":204,"set":{"swap":"512M","memory":1024,"mp0":"nfs:512M,mp=/srv"}}`, Outcome: tool.OK, Writes: []string{putCT}, Says: []string{
			"(mp0 nfs:512M read as nfs:0.5,mp=/srv; swap 512M read as 512)", `"after":"nfs:204/vm-204-disk-0.raw,mp=/srv,size=512M"`,
		}},
		{Name: "name of a CT", Args: `{"vmid":204,"set":{"name":"edge"}}`, Outcome: tool.OK, Writes: []string{putCT}, Says: []string{"(name read as hostname)", `{"key":"hostname","before":"sandbox","after":"edge"}`}},
		{Name: "hostname of a VM", Args: `{"vmid":105,"set":{"hostname":"edge"}}`, Outcome: tool.OK, Writes: []string{putVM}, Says: []string{"(hostname read as name)", `"name":"edge"`}},
		{Name: "the digest is right", Options: sim.Options{Model: sim.Cluster(), Before: checkDigest()}, Args: `{"vmid":105,"set":{"cores":4}}`, Outcome: tool.OK, Writes: []string{putVM}},
		{Name: "hotplug refused", Args: `{"vmid":106,"delete":["net0"]}`, Outcome: tool.Warnings, Writes: []string{putVM}, Sent: 5, Says: []string{
			"done, with a warning: PVE could not apply all of it now, and keeps the rest for the next start:  net0: hotplug problem - error on hot-unplugging device 'net0'",
			`"removed":true,"waits":true`, `"restart_needed":true`,
		}},
		{Name: "hotplug refused again", First: `pve_update_guest_config {"vmid":106,"delete":["net0"]}`, Args: `{"vmid":106,"delete":["net0"]}`, Outcome: tool.Warnings, Writes: []string{putVM}},
		{Name: "refused while the same key waits", First: `pve_update_guest_config {"vmid":100,"set":{"cores":8}}`, Args: `{"vmid":100,"set":{"cores":"two"}}`, Outcome: tool.Failed,
			Writes: []string{putVM}, Says: []string{"PVE refused the parameters: cores: type check ('integer') failed - got 'two'."}},
		{Name: "moved", Options: sim.Options{Model: sim.Cluster(shared), Before: sim.Moves(105, "pve1", "PUT", "/config")},
			Args: `{"vmid":105,"set":{"cores":4}}`, Outcome: tool.OK, Writes: []string{putVM, putVM}, Sent: 6, Says: []string{`"node":"pve1"`, `"after":"4"`}},
	})
}

// checkDigest fails a test whose change does not say what it is based on.
func checkDigest() func(*sim.World, *http.Request) {
	return func(w *sim.World, req *http.Request) {
		if req.Method != http.MethodPut {
			return
		}
		body, err := req.GetBody()
		if err != nil {
			w.Fatal(err)
		}
		text, err := io.ReadAll(body)
		if form, _ := url.ParseQuery(string(text)); err != nil || len(form.Get("digest")) != 40 {
			w.Errorf("no digest in %s (%v)", text, err)
		}
	}
}

func TestUpdateRefused(t *testing.T) {
	with := func(changes ...func(*pvesim.Model)) sim.Options {
		return sim.Options{Model: sim.Cluster(changes...)}
	}
	sim.Tell(t, "pve_update_guest_config", []sim.Story{
		{Name: "memory without meaning", Args: `{"vmid":105,"set":{"memory":"lots"}}`, Outcome: tool.Failed, Sent: 2, Says: []string{`has \"memory\": \"lots\" is not an amount of memory; give MiB, such as 8192, or a size, such as 8G.`}},
		{Name: "half a MiB", Args: `{"vmid":105,"set":{"memory":"512K"}}`, Outcome: tool.Failed, Sent: 2, Says: []string{`is not a whole number of MiB`}},
		{Name: "a disk without a storage", Args: `{"vmid":105,"set":{"scsi1":"20G"}}`, Outcome: tool.Failed, Sent: 2, Says: []string{`a new disk is STORAGE:SIZE in GiB, such as local-lvm:20`}},
		{Name: "locked", Args: `{"vmid":107,"set":{"cores":2}}`, Outcome: tool.Failed, Sent: 5, Says: []string{"VM 107 is locked (backup).", "qm unlock 107"}},
		{Name: "suspended", Args: `{"vmid":109,"set":{"cores":2}}`, Outcome: tool.Failed, Sent: 2, Says: []string{"VM 109 is locked (suspended).", "resume it first"}},
		{Name: "stale digest", On: sim.VM, Args: `{"vmid":$vmid,"set":{"cores":2},"digest":"0123456789012345678901234567890123456789"}`, Outcome: tool.Failed, Sent: 2,
			Says: []string{"was changed since it had the digest 0123456789012345678901234567890123456789; nothing was sent.", "Read it again with pve_guest_config"}},
		{Name: "changed meanwhile", Options: sim.Options{Before: sim.Meanwhile("PUT", "/config", `pve_update_guest_config {"vmid":105,"set":{"memory":4096}}`)}, Args: `{"vmid":105,"set":{"cores":2}}`,
			Outcome: tool.Failed, Writes: []string{putVM}, Says: []string{"file change by other user", "then try again"}},
		{Name: "changed meanwhile, CT", Options: sim.Options{Before: sim.Meanwhile("PUT", "/config", `pve_update_guest_config {"vmid":204,"set":{"memory":4096}}`)}, Args: `{"vmid":204,"set":{"cores":2}}`,
			Outcome: tool.Failed, Writes: []string{putCT}, Says: []string{"file changed by other user", "as it is now"}},
		{Name: "unknown key", On: sim.VM, Args: `{"vmid":$vmid,"set":{"core":2}}`, Outcome: tool.Failed, Writes: []string{putVM}, Sent: 4, Says: []string{"PVE refused the parameters: core: property is not defined in schema"}},
		{Name: "unknown key to delete", On: sim.VM, Args: `{"vmid":$vmid,"delete":["core"]}`, Outcome: tool.Failed, Writes: []string{putVM}, Says: []string{"unknown option 'core'"}},
		{Name: "bad values", On: sim.VM, Args: `{"vmid":$vmid,"set":{"cores":0,"name":"has space"}}`, Outcome: tool.Failed, Writes: []string{putVM},
			Says: []string{"cores: value must have a minimum value of 1; name: invalid format - value does not look like a valid DNS name."}},
		{Name: "for root alone", Options: sim.Options{Token: "root@pam!full"}, Args: `{"vmid":105,"set":{"args":"-S"}}`, Outcome: tool.Failed, Writes: []string{putVM}, Says: []string{"only root can set 'args' config"}},
		{Name: "no such storage", On: sim.VM, Args: `{"vmid":$vmid,"set":{"scsi1":"nowhere:1"}}`, Outcome: tool.Failed, Writes: []string{postVM}, Says: []string{"nowhere"}},
		{Name: "no such volume", Options: sim.Options{Token: "root@pam!full"}, Args: `{"vmid":105,"set":{"ide2":"local:iso/none.iso,media=cdrom"}}`, Outcome: tool.Failed, Writes: []string{putVM}, Says: []string{"volume 'local:iso/none.iso' does not exist"}},
		{Name: "protected", Options: with(sim.Set(104, "protection=1")), Args: `{"vmid":104,"delete":["unused0"],"confirm":true}`, Outcome: tool.Failed, Writes: []string{postVM},
			Says: []string{"protection mode enabled"}},
		{Name: "force for a CT", On: sim.RunningCT, Args: `{"vmid":$vmid,"delete":["mp0"],"force":true,"confirm":true}`, Outcome: tool.Failed, Sent: 2, Says: []string{"is for VMs", "unusedN"}},
		{Name: "the root of a CT", On: sim.CT, Args: `{"vmid":$vmid,"delete":["rootfs"]}`, Outcome: tool.Failed, Writes: []string{putCT}, Says: []string{"unable to delete required option 'rootfs'"}},
		{Name: "no privilege", Options: sim.Options{Token: "audit@pve!mcp"}, Args: `{"vmid":105,"set":{"cores":2}}`, Outcome: tool.Failed, Writes: []string{putVM},
			Says: []string{"The token audit@pve!mcp lacks VM.Config.Disk or VM.Config.CDROM", "on /vms/105", "pveum acl modify /vms/105 --roles PVEVMAdmin"}},
		{Name: "no privilege for space", Options: sim.Options{Model: sim.Cluster(sim.Grant("/vms", "PVEVMAdmin")), Token: "none@pve!mcp"},
			Args: `{"vmid":105,"set":{"scsi1":"nfs:1"}}`, Outcome: tool.Failed, Writes: []string{postVM}, Says: []string{"lacks Datastore.AllocateSpace on /storage/nfs."}},
		{Name: "no privilege for the bridge", Options: sim.Options{Model: sim.Cluster(sim.Grant("/vms", "PVEVMAdmin")), Token: "none@pve!mcp"},
			Args: `{"vmid":105,"set":{"net1":"virtio,bridge=vmbr0"}}`, Outcome: tool.Failed, Writes: []string{putVM}, Says: []string{"lacks SDN.Use on /sdn/zones/localnetwork/vmbr0."}},
		{Name: "read-only", On: sim.VM, Options: sim.Options{Policy: policy.Policy{ReadOnly: true}}, Args: `{"vmid":$vmid,"set":{"cores":2}}`, Outcome: tool.Failed, Says: []string{"Nothing was sent: this server is read-only"}},
		{Name: "no guest", On: sim.NoGuest, Args: `{"vmid":$vmid,"set":{"cores":2}}`, Outcome: tool.Failed, Sent: 1, Says: []string{"There is no guest $vmid"}},
		{Name: "node down", Options: with(sim.Offline("pve3")), Args: `{"vmid":105,"set":{"cores":2}}`, Outcome: tool.Failed, Says: []string{"could not get an answer from the node"}},
		{Name: "node down before it is sent", Fault: pvesim.Fault{Match: "PUT /**", Status: 595, Message: "No route to host"}, Args: `{"vmid":105,"set":{"cores":2}}`,
			Outcome: tool.Failed, Writes: []string{putVM}, Says: []string{"could not get an answer from the node", "(595)"}},
		{Name: "no answer from the node", Fault: pvesim.Fault{Match: "PUT /**", Status: 596, Message: "Connection timed out"}, Args: `{"vmid":105,"set":{"cores":2}}`,
			Outcome: tool.Unknown, Writes: []string{putVM}, Says: []string{"Whether PVE carried out PUT /nodes/pve3/qemu/105/config is unknown", "VM 105 on pve3 is stopped now"}},
		{Name: "lost answer", Fault: pvesim.Fault{Match: "PUT /**", Drop: true}, Args: `{"vmid":105,"set":{"cores":2}}`, Outcome: tool.Unknown, Writes: []string{putVM}, Sent: 5,
			Says: []string{"is unknown", "before you try again", `"found":["sent at `}},
		{Name: "task fails", Fault: pvesim.Fault{Match: "POST /nodes/*/qemu/105/config", TaskFails: "unable to create image: out of space"}, Args: `{"vmid":105,"set":{"scsi1":"nfs:1"}}`,
			Outcome: tool.Failed, Writes: []string{postVM}, Says: []string{"Change of VM 105 (build-1) on pve3 failed: unable to create image: out of space", `{"key":"scsi1","removed":true}`}},
		{Name: "unreadable afterwards", Fault: pvesim.Fault{Match: "GET /nodes/*/qemu/105/pending", Skip: 1, Status: 500, Message: "got timeout"}, Args: `{"vmid":105,"set":{"cores":2}}`,
			Outcome: tool.OK, Writes: []string{putVM}, Says: []string{"done. The current state could not be read: PVE refused: got timeout."}},
	})
}

// What destroys something is not sent before it is confirmed, however it is written.
func TestUpdateAsks(t *testing.T) {
	attached := sim.Set(105, "scsi1=nfs:105/vm-105-disk-1.qcow2,size=5G")
	for _, tt := range []struct {
		name   string
		change func(*pvesim.Model)
		args   string // without confirm
		lost   string
		write  string
	}{
		{"detached volume", sim.Set(104), `"vmid":104,"delete":["unused0"]`, "the detached volume unused0 (local-zfs:vm-104-disk-1) is destroyed", postVM},
		{"in a list", sim.Set(104), `"vmid":104,"delete":["agent,unused0"]`, "unused0 (local-zfs:vm-104-disk-1)", postVM},
		{"with blanks", sim.Set(104), `"vmid":104,"delete":" unused0 "`, "unused0 (local-zfs:vm-104-disk-1)", postVM},
		{"with a semicolon", sim.Set(104), `"vmid":104,"delete":["agent;unused0"]`, "unused0 (local-zfs:vm-104-disk-1)", postVM},
		{"of a CT", sim.Set(204, "unused0=local-zfs:subvol-204-disk-1"), `"vmid":204,"delete":["unused0"]`, "unused0 (local-zfs:subvol-204-disk-1)", putCT},
		{"suspended state", sim.Set(109, "vmstate=local-zfs:vm-109-state-suspend"), `"vmid":109,"delete":["vmstate"]`, "the suspended state is discarded", postVM},
		{"protection deleted", sim.Set(105, "protection=1"), `"vmid":105,"delete":["protection"]`, "its protection against removal ends", putVM},
		{"protection set", sim.Set(105, "protection=1"), `"vmid":105,"set":{"protection":false}`, "its protection against removal ends", putVM},
		{"protection of a CT", sim.Set(204, "protection=1"), `"vmid":204,"set":{"protection":0}`, "its protection against removal ends", putCT},
		{"force", attached, `"vmid":105,"delete":["scsi1"],"force":true`, "the disk scsi1 (nfs:105/vm-105-disk-1.qcow2,size=5G) is destroyed", postVM},
		{"force on what is none", sim.Set(105), `"vmid":105,"delete":["tags"],"force":true`, "", postVM},
		{"another volume", attached, `"vmid":105,"set":{"scsi1":"nfs:2"}`, "the disk scsi1 (nfs:105/vm-105-disk-1.qcow2,size=5G) is replaced by another volume", postVM},
		{"nothing in it", attached, `"vmid":105,"set":{"scsi1":"none,media=cdrom"}`, "is replaced by another volume", putVM},
		{"another volume of a CT", sim.Set(204, "mp0=nfs:204/vm-204-disk-1.raw,mp=/srv,size=5G"), `"vmid":204,"set":{"mp0":"volume=nfs:2,mp=/srv"}`, "the disk mp0 (nfs:204/", putCT},
	} {
		args := tt.args
		options := sim.Options{Model: sim.Cluster(tt.change)}
		sent := 6 + 5 // five places may have backups
		if !strings.Contains(args, "104") {
			sent++ // to say what backups may be hidden, of a guest that has none
		}
		sim.Tell(t, "pve_update_guest_config", []sim.Story{
			{Name: tt.name, Options: options, Args: "{" + args + "}", Outcome: tool.NeedsConfirmation, Sent: sent,
				Says: []string{"loses what cannot be brought back; nothing was done yet.", tt.lost, "call again: "}},
			{Name: tt.name + ", confirmed", Options: options, Args: "{" + args + `,"confirm":true}`, Outcome: tool.OK, Writes: []string{tt.write}},
		})
	}
}

func TestUpdateAsksForNothingHarmless(t *testing.T) {
	same := sim.Set(105, "scsi1=nfs:105/vm-105-disk-1.qcow2,size=5G", "ide2=none,media=cdrom", "protection=1")
	for _, args := range []string{
		`{"vmid":105,"set":{"scsi1":"nfs:105/vm-105-disk-1.qcow2,size=5G,discard=on"}}`,
		`{"vmid":105,"set":{"scsi1":"discard=on,file=nfs:105/vm-105-disk-1.qcow2"}}`,
		`{"vmid":105,"set":{"ide2":"local:iso/debian-12.11.0-amd64-netinst.iso,media=cdrom"}}`,
		`{"vmid":105,"set":{"protection":true}}`,
		`{"vmid":105,"set":{"description":"Delete unused0?\n***"}}`,
	} {
		sim.Tell(t, "pve_update_guest_config", []sim.Story{
			{Name: args, Options: sim.Options{Model: sim.Cluster(same), Token: "root@pam!full"}, Args: args, Outcome: tool.OK, Writes: []string{putVM}},
		})
	}
}

func TestUpdateRefusesNonsense(t *testing.T) {
	w := sim.New(t, sim.Options{})
	for args, want := range map[string]string{
		`"a":1`:                                         `There is no argument "a".`,
		`"set":{}`:                                      `The argument "set" is missing, and so is "delete": there is nothing to change.`,
		`"delete":[" , "]`:                              `The argument "set" is missing, and so is "delete": there is nothing to change.`,
		`"set":{"cores":2},"delete":["cores"]`:          `The argument "set" has "cores", which is in "delete" too.`,
		`"set":{"cores":""}`:                            `The argument "set" has an empty "cores"; name it in "delete" instead.`,
		`"set":{"cores":[2]}`:                           `The argument "set": the value of "cores" is a list, which PVE does not have there; give it as PVE writes it, such as "virtio,bridge=vmbr0".`,
		`"set":{"cores":2,"cores":4}`:                   `The arguments have "cores" twice; give it once.`,
		`"set":{"cores":null}`:                          `The argument "set": the value of "cores" is neither text nor a number nor true or false.`,
		`"set":{"description":{"a":1}}`:                 `The argument "set": the value of "description" is an object; give text.`,
		`"set":{"tags":["a;b"]}`:                        `The argument "set": the value of "tags" has the element "a;b", which PVE cannot keep in a list.`,
		`"set":{"tags":[]}`:                             `The argument "set": the value of "tags" is an empty list; name it in "delete" instead.`,
		`"set":{"net0":{"bridge":"a,b"}}`:               `The argument "set": the value of "net0" has "bridge", which PVE cannot keep in a property string.`,
		`"set":{"cipassword":"**********"}`:             `The argument "set" has a "cipassword" with the mark of a masked or shortened value, which would be stored; give the whole value.`,
		`"set":{"description":"abc…(+99)"}`:             `The argument "set" has a "description" with the mark of a masked or shortened value, which would be stored; give the whole value.`,
		`"set":{"cdrom":"none"}`:                        `The argument "set" has "cdrom", an old name: set ide2: …,media=cdrom.`,
		`"set":{"skiplock":true}`:                       `The argument "set" has "skiplock", which is not a key of a configuration.`,
		`"set":{"delete":"unused0"}`:                    `The argument "set" has "delete", which is not a key of a configuration.`,
		`"set":{"revert":"cores"}`:                      `The argument "set" has "revert", which is not a key of a configuration.`,
		`"set":{"cores":2},"force":true,"confirm":true`: `The argument "force" is for "delete" only.`,
	} {
		if a := w.Call("pve_update_guest_config", fmt.Sprintf(`{"vmid":105,%s}`, args)); a.Fault != tool.BadArguments || a.Fields["message"] != want {
			t.Errorf("%s: %s", args, a.Text)
		}
	}
	if sent := w.Sent(); len(sent) > 0 {
		t.Errorf("requests %v", sent)
	}
}
