package find_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/testkit/effort"
	"github.com/pve-mcp/pve-mcp/internal/testkit/live"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

const (
	root    = "root@pam!full"
	auditor = "audit@pve!mcp"
	pooled  = "none@pve!mcp"
	image   = "local:iso/debian-12.11.0-amd64-netinst.iso"
)

// both makes stories of both major versions.
func both(stories []sim.Story) (out []sim.Story) {
	for _, version := range []string{"8.4.1", "9.2.0"} {
		for _, s := range stories {
			m := pvesim.Cluster()
			if s.Model != nil {
				m = *s.Model
			}
			m.PVE = version
			s.Model, s.Name = &m, s.Name+" on "+version
			out = append(out, s)
		}
	}
	return out
}

func TestByAddress(t *testing.T) {
	moved := sim.Cluster(
		sim.Set(103, "ipconfig0=ip=10.10.1.99/24"),
		sim.Set(105, "ipconfig0=ip=10.10.1.55/24"),
		sim.Set(203, "net0=name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:02:03,ip=10.10.1.42/24,type=veth"),
	)
	sim.Tell(t, "pve_find", both([]sim.Story{
		{Name: "one", Args: `{"ip":"10.10.1.12"}`, Options: sim.Options{Token: root}, Outcome: tool.OK,
			Says: []string{`"message":"1 of 18 guests: 101 web-2`, `{"guest":"101 web-2","node":"pve2","status":"running","where":["`, `10.10.1.12/24"]}`, `"the guest agent does not answer"`, `"106 win-2022"`}},
		{Name: "of a container", Args: `{"ip":"10.10.1.53"}`, Options: sim.Options{Token: root}, Outcome: tool.OK, Says: []string{`"guest":"201 dns"`, `eth0 10.10.1.53/24`}},
		{Name: "of the sixth version", Args: `{"ip":"fd00:10::11"}`, Options: sim.Options{Token: root}, Outcome: tool.OK, Says: []string{`"guest":"100 web-1"`}},
		{Name: "a network", Args: `{"ip":"10.10.1.16/28","guests":"vm"}`, Options: sim.Options{Token: root}, Outcome: tool.OK, Says: []string{`102 db-1`, `103 db-2`, `104 mail`, `"total":3`}},
		{Name: "configured of one that is off", Args: `{"ip":"10.10.1.55"}`, Options: sim.Options{Token: root, Model: moved}, Outcome: tool.OK,
			Says: []string{`"guest":"105 build-1"`, `"configured: ipconfig0 10.10.1.55/24"`}},
		{Name: "configured and another one in use", Args: `{"ip":"10.10.1.99"}`, Options: sim.Options{Token: root, Model: moved}, Outcome: tool.OK,
			Says: []string{`configured: ipconfig0 (not reported by the guest) 10.10.1.99/24`}},
		{Name: "none", Args: `{"ip":"10.99.9.9"}`, Options: sim.Options{Token: root}, Outcome: tool.OK,
			Says: []string{`"message":"No guest that could be looked at matches; addresses (1) could not be looked at (blind)."`, `"guests":[]`, `not running: only what is configured is known`}},
		{Name: "given out by SDN", Args: `{"ip":"10.7.0.4"}`, Options: sim.Options{Token: root, Model: sim.Cluster(func(m *pvesim.Model) { m.Leases = []pvesim.Lease{{Zone: "z", VNet: "v", IP: "10.7.0.4", VMID: 105}} })}, Outcome: tool.OK,
			Says: []string{`"guest":"105 build-1"`, `SDN's IPAM: 10.7.0.4`}},
		{Name: "of a token that may not ask agents", Args: `{"ip":"10.10.1.53"}`, Options: sim.Options{Token: pooled, Model: sim.Cluster(sim.Grant("/vms", "Looker"), func(m *pvesim.Model) { m.Roles = map[string][]string{"Looker": {"VM.Audit"}} })}, Outcome: tool.OK,
			Says: []string{`"guest":"201 dns"`, `"check":"addresses"`, ` on /vms"`}},
		{Name: "all", Args: `{"addresses":true}`, Options: sim.Options{Token: root}, Outcome: tool.OK,
			Says: []string{`The addresses of 18 guests`, `"guest":"100 web-1"`, `"addresses":["`, `10.10.1.11/24`, `fd00:10::11/64`}, Lacks: []string{"127.0.0.1", "fe80"}},
		{Name: "a text", Args: `{"ip":"web-1"}`, Options: sim.Options{Token: root}, Outcome: tool.Failed, Says: []string{`ip: "web-1" is neither an IP address nor a network. Such as 10.0.0.5`}},
		{Name: "of an interface", Args: `{"ip":"10.10.1.12/24"}`, Options: sim.Options{Token: root}, Outcome: tool.Failed, Says: []string{`10.10.1.12 for the guest that has it, or 10.10.1.0/24 for all`}},
		{Name: "nothing", Args: `{"guests":"all"}`, Options: sim.Options{Token: root}, Outcome: tool.Failed, Says: []string{`Nothing was given to look for. Such as ip:`}},
	}))
}

func TestByMAC(t *testing.T) {
	set := sim.Cluster(sim.Set(101, "net0=virtio=BC:24:11:AB:CD:EF,bridge=vmbr0,tag=30"))
	for _, spelling := range []string{"BC:24:11:AB:CD:EF", "bc-24-11-ab-cd-ef", "bc24.11ab.cdef", "bc2411abcdef"} {
		sim.Tell(t, "pve_find", both([]sim.Story{
			{Name: spelling, Args: fmt.Sprintf(`{"mac":%q}`, spelling), Options: sim.Options{Token: auditor, Model: set}, Outcome: tool.OK,
				Says: []string{`1 of 18 guests: 101 web-2`, `"net0, vmbr0, VLAN 30, BC:24:11:AB:CD:EF"`}},
		}))
	}
	sim.Tell(t, "pve_find", both([]sim.Story{
		{Name: "within a guest", Args: `{"mac":"02:00:00:00:00:07"}`, Outcome: tool.OK,
			Options: sim.Options{Token: root, Wire: sim.Answers("/qemu/100/agent/network-get-interfaces", `{"result":[{"name":"bond0","hardware-address":"02:00:00:00:00:07","ip-addresses":[]}]}`)},
			Says:    []string{`"guest":"100 web-1"`, `"bond0 within the guest"`}},
		{Name: "none", Args: `{"mac":"10.0.0.1"}`, Options: sim.Options{Token: root}, Outcome: tool.Failed, Says: []string{`mac: "10.0.0.1" is no MAC address. Such as BC:24:11:5A:00:01`}},
	}))
}

func TestByImage(t *testing.T) {
	used := sim.Cluster(
		sim.Set(101, "ide2="+image+",media=cdrom,size=600M"),
		sim.Set(102, "ide2="+image+",media=cdrom"), sim.Snapshot(102, "prepatch"), sim.Set(102, "ide2=none,media=cdrom"),
		sim.Guest(104, func(g *pvesim.Guest) { g.Pending = map[string]string{"ide2": image + ",media=cdrom"} }),
		sim.Set(105, "ide2=local-zfs:vm-105-cloudinit,media=cdrom"),
	)
	sim.Tell(t, "pve_find", both([]sim.Story{
		{Name: "in drives, snapshots and what is pending", Args: fmt.Sprintf(`{"iso":%q}`, image), Options: sim.Options{Token: auditor, Model: used}, Outcome: tool.OK,
			Says:  []string{`3 of 18 guests: 101 web-2, 102 db-1 and 104 mail`, `["ide2"]`, `["snapshot prepatch: ide2"]`, `["pending: ide2"]`, `is on storage local on pve1, storage local on pve2 and storage local on pve3`},
			Lacks: []string{"blind"}},
		{Name: "by a part of its name", Args: `{"iso":"debian-12*"}`, Options: sim.Options{Token: auditor, Model: used}, Outcome: tool.OK, Says: []string{`"ide2, ` + image + `"`}},
		{Name: "that nobody uses", Args: fmt.Sprintf(`{"iso":%q}`, image), Options: sim.Options{Token: auditor}, Outcome: tool.OK,
			Says: []string{`"message":"Nothing that this token sees uses it."`}, Lacks: []string{"blind"}},
		{Name: "seen by a pool's token", Args: fmt.Sprintf(`{"iso":%q}`, image), Outcome: tool.OK,
			Options: sim.Options{Token: pooled, Model: sim.Cluster(sim.Grant("/pool/web", "PVEVMUser"))},
			Says:    []string{`Nothing that this token sees uses it; guests could not be looked at (blind)`, `{"check":"guests","missing":"VM.Audit on /vms"}`}},
		{Name: "with a node that is down", Args: fmt.Sprintf(`{"iso":%q}`, image), Options: sim.Options{Token: root, Model: sim.Cluster(sim.Offline("pve3"))}, Outcome: tool.OK,
			Says: []string{`"check":"configuration","on":["103 db-2","105 build-1","107 erp-old","202 gitea","204 sandbox"],"count":6,"missing":"its node is offline"`}},
		{Name: "that is not there", Args: `{"iso":"local:iso/nothing.iso"}`, Options: sim.Options{Token: root}, Outcome: tool.OK, Says: []string{`local:iso/nothing.iso is not there, as far as this token sees`}},
		{Name: "a volume", Args: `{"volume":"local-zfs:vm-101-disk-0"}`, Options: sim.Options{Token: root}, Outcome: tool.OK, Says: []string{`"guest":"101 web-2"`, `["scsi0"]`}},
		{Name: "a base", Args: `{"volume":"local-zfs:base-900-disk-0"}`, Outcome: tool.OK,
			Options: sim.Options{Token: root, Model: sim.Cluster(sim.Set(100, "scsi0=local-zfs:base-900-disk-0/vm-100-disk-0,size=16G"))},
			Says:    []string{`2 of 18 guests: 100 web-1 and 900 debian-12`, `a linked clone of it`, `"status":"template"`}},
	}))
}

func TestByStorage(t *testing.T) {
	used := sim.Cluster(
		sim.Set(101, "scsi1=nfs:101/vm-101-disk-1.qcow2,size=10G"), sim.Set(103, "scsi0=nfs:103/vm-103-disk-0.qcow2,size=200G"),
		sim.Set(104, "ide2=nfs:iso/x.iso,media=cdrom"),
		sim.Set(900, "scsi0=nfs:900/base-900-disk-0.qcow2,size=16G"),
		sim.Set(105, "scsi2=nfs:105/vm-105-disk-2.qcow2,size=1G"), sim.Snapshot(105, "old"), sim.Set(105, "scsi2="),
		func(m *pvesim.Model) {
			m.Jobs = []pvesim.BackupJob{{ID: "nightly", Schedule: "02:00", Options: map[string]string{"storage": "nfs", "all": "1"}}}
		},
	)
	sim.Tell(t, "pve_find", both([]sim.Story{
		{Name: "all that uses it", Args: `{"storage":"nfs"}`, Options: sim.Options{Token: auditor, Model: used}, Outcome: tool.OK,
			Says: []string{
				`nfs: 2 guests have disks on it (2 run, 1 have no other disk), 1 template, 1 guest has an image`, `1 guest uses it in a snapshot or for a file and 1 backup job writes to it`,
				`"scsi1, 10 GiB"`, `"snapshot old: scsi2, 1 GiB"`, `"ide2, x.iso"`, `"ha":{"count":1,"on":["103 db-2"]}`, `"backup_jobs":{"count":1,"on":["nightly"]}`,
			}},
		{Name: "what is lost with it", Args: `{"storage":"nfs"}`, Options: sim.Options{Token: root, Model: lone}, Outcome: tool.OK,
			Says: []string{`1 of them and of the templates has no backup elsewhere`, `"lost":{"count":1,"on":["105 build-1"]}`}, Lacks: []string{"blind"}},
		{Name: "of a token without Sys.Audit", Args: `{"storage":"nfs"}`, Options: sim.Options{Token: pooled, Model: sim.Cluster(sim.Grant("/vms", "PVEVMUser"), sim.Grant("/storage", "PVEDatastoreUser"))}, Outcome: tool.OK,
			Says: []string{`nothing that this token sees uses it`, `{"check":"backup jobs","missing":"Sys.Audit on /"}`}},
		{Name: "that is not there", Args: `{"storage":"nowhere"}`, Options: sim.Options{Token: root}, Outcome: tool.Failed, Says: []string{`There is no storage "nowhere"`}},
	}))
}

// lone has two guests wholly on one storage, one of which has no backup.
var lone = sim.Cluster(sim.Set(103, "scsi0=nfs:103/vm-103-disk-0.qcow2,size=200G"), sim.Set(105, "scsi0=nfs:105/vm-105-disk-0.qcow2,size=120G"))

func TestByConfiguration(t *testing.T) {
	m := sim.Cluster(
		sim.Set(100, "cpu=host,flags=+aes", "hostpci0=0000:01:00,pcie=1", "description=call Anna, password: hunter2secret"), sim.Set(101, "cpu=x86-64-v2-AES", "usb0=host=0951:1666", "net0=e1000=BC:24:11:00:00:01,bridge=vmbr1,trunks=10;20-40"),
		sim.Set(102, "hostpci0=mapping=gpu", "net0=virtio=BC:24:11:00:00:02,bridge=vmbr0,tag=30"), sim.Set(103, "cpu=cputype=kvm64", "agent=0"),
		sim.Guest(104, func(g *pvesim.Guest) {
			g.Pending = map[string]string{"net0": "virtio=BC:24:11:00:00:04,bridge=vmbr0,tag=30"}
		}),
		sim.Set(105, "cipassword=topsecret", "net0=virtio=BC:24:11:00:00:05,bridge=lab"),
	)
	mapping := sim.Answers("/cluster/mapping/pci", `[{"id":"gpu","map":["node=pve2,path=0000:03:00.0,id=10de:2204"]}]`)
	vnets := sim.Answers("/cluster/sdn/vnets", `[{"vnet":"lab","zone":"z","tag":30,"type":"vnet"}]`)
	sim.Tell(t, "pve_find", both([]sim.Story{
		{Name: "CPU", Args: `{"config":{"cpu":"kvm64*"},"guests":"100-103"}`, Options: sim.Options{Token: auditor, Model: m}, Outcome: tool.OK,
			Says: []string{`2 of 4 guests: 102 db-1 and 103 db-2`, `cpu: not set, which means kvm64`, `"cpu: cputype=kvm64"`}},
		{Name: "not CPU", Args: `{"config":{"cpu":"!host"},"guests":"100-103"}`, Options: sim.Options{Token: auditor, Model: m}, Outcome: tool.OK, Says: []string{`3 of 4 guests: 101 web-2, 102 db-1 and 103 db-2`}},
		{Name: "a key with a wildcard", Args: `{"config":{"net*":"e1000*"}}`, Options: sim.Options{Token: auditor, Model: m}, Outcome: tool.OK, Says: []string{`1 of 18 guests: 101 web-2`, `"net0: e1000=BC:24:11:00:00:01,bridge=vmbr1`}},
		{Name: "two values", Args: `{"config":{"cpu":"host","hostpci*":"*"}}`, Options: sim.Options{Token: auditor, Model: m}, Outcome: tool.OK, Says: []string{`1 of 18 guests: 100 web-1`}},
		{Name: "the default of a switch", Args: `{"config":{"onboot":0},"guests":"100"}`, Options: sim.Options{Token: auditor, Model: m}, Outcome: tool.OK, Says: []string{`onboot: not set, which means 0`}},
		{Name: "a password", Args: `{"config":{"cipassword":"topsecret"}}`, Options: sim.Options{Token: root, Model: m}, Outcome: tool.Failed, Says: []string{`The value of cipassword is a secret`}},
		{Name: "any key", Args: `{"config":{"ci*":"*"}}`, Options: sim.Options{Token: root, Model: m}, Outcome: tool.OK, Says: []string{`"guests":[]`}, Lacks: []string{"topsecret", "***"}},
		{Name: "VLAN", Args: `{"vlan":30}`, Options: sim.Options{Token: auditor, Model: m, Wire: vnets}, Outcome: tool.OK,
			Says: []string{`4 of 18 guests`, `"net0, vmbr0, VLAN 30"`, `"net0, vmbr1, trunk of VLANs 10;20-40"`, `"pending: net0, vmbr0, VLAN 30"`, `"net0, lab, VLAN 30 by its vnet"`, `bond0.30`}},
		{Name: "VLAN and bridge of one interface", Args: `{"vlan":30,"bridge":"vmbr1"}`, Options: sim.Options{Token: auditor, Model: m}, Outcome: tool.OK, Says: []string{`1 of 18 guests: 101 web-2`}},
		{Name: "bridge", Args: `{"bridge":"vmbr1"}`, Options: sim.Options{Token: auditor, Model: m}, Outcome: tool.OK, Says: []string{`1 of 18 guests: 101 web-2`}},
		{Name: "a PCI device of one function", Args: `{"device":"01:00.0"}`, Options: sim.Options{Token: auditor, Model: m}, Outcome: tool.OK, Says: []string{`1 of 18 guests: 100 web-1`, `hostpci0: 0000:01:00,pcie=1`}},
		{Name: "a PCI device behind a mapping", Args: `{"device":"0000:03:00.0"}`, Options: sim.Options{Token: auditor, Model: m, Wire: mapping}, Outcome: tool.OK, Says: []string{`1 of 18 guests: 102 db-1`}},
		{Name: "a mapping", Args: `{"device":"gpu"}`, Options: sim.Options{Token: auditor, Model: m}, Outcome: tool.OK, Says: []string{`1 of 18 guests: 102 db-1`}},
		{Name: "a USB device", Args: `{"device":"0951:1666"}`, Options: sim.Options{Token: auditor, Model: m}, Outcome: tool.OK, Says: []string{`1 of 18 guests: 101 web-2`}},
		{Name: "any device", Args: `{"device":"*"}`, Options: sim.Options{Token: auditor, Model: m}, Outcome: tool.OK, Says: []string{`3 of 18 guests`}},
		{Name: "notes", Args: `{"notes":"anna"}`, Options: sim.Options{Token: auditor, Model: m}, Outcome: tool.OK, Says: []string{`1 of 18 guests: 100 web-1`, `notes: call Anna`}, Lacks: []string{"hunter2"}},
		{Name: "notes by a secret", Args: `{"notes":"hunter2secret"}`, Options: sim.Options{Token: auditor, Model: m}, Outcome: tool.OK, Says: []string{`"guests":[]`}},
		{Name: "no agent", Args: `{"no_agent":true}`, Options: sim.Options{Token: root, Model: m}, Outcome: tool.OK,
			Says: []string{`103 db-2`, `106 win-2022`, `no guest agent is configured`, `the guest agent is configured and does not answer`, `"total":2`}},
		{Name: "no agent, of a token that may ask none", Args: `{"no_agent":true}`, Options: sim.Options{Token: pooled, Model: sim.Cluster(sim.Set(103, "agent=0"), sim.Grant("/vms", "Looker"), func(m *pvesim.Model) { m.Roles = map[string][]string{"Looker": {"VM.Audit"}} })}, Outcome: tool.OK,
			Says: []string{`"total":1`, `"check":"addresses"`}},
		{Name: "no such guests", Args: `{"vlan":30,"guests":"tag:nothing"}`, Options: sim.Options{Token: root}, Outcome: tool.Failed, Says: []string{`tag "nothing"`}},
	}))
}

// On 10,000 guests and 30 nodes an answer is short, and goes on where it ended.
func TestManyGuests(t *testing.T) {
	effort.SkipShort(t)
	if live.Wanted() {
		t.Skip(live.NoStory)
	}
	synctest.Test(t, func(t *testing.T) {
		m := pvesim.Huge()
		w := sim.New(t, sim.Options{Model: &m, Token: root})
		seen, offset := map[string]bool{}, 0
		for range 3 {
			a := w.Call("pve_find", fmt.Sprintf(`{"bridge":"vmbr0","limit":200,"offset":%d}`, offset))
			if a.IsError || len(a.Text) > 6000 {
				t.Fatalf("%d bytes: %.300s", len(a.Text), a.Text)
			}
			for _, r := range a.Fields["guests"].([]any) {
				name := r.(map[string]any)["guest"].(string)
				if seen[name] {
					t.Errorf("%s again", name)
				}
				seen[name] = true
			}
			more, _ := a.Fields["more"].(string)
			if n, err := fmt.Sscanf(more, "offset: %d", &offset); n != 1 {
				t.Fatalf("%v: %q", err, more)
			}
		}
		if len(seen) != offset {
			t.Errorf("%d guests by offset %d", len(seen), offset)
		}
	})
}

// A configuration that hangs costs its own answer only, and what there is no time for is named.
func TestTime(t *testing.T) {
	if live.Wanted() {
		t.Skip(live.NoStory)
	}
	synctest.Test(t, func(t *testing.T) {
		for hangs, others := range map[string]string{"100": `"guest":"203 grafana"`, "*": `"blind"`} {
			m := pvesim.Cluster()
			w := sim.New(t, sim.Options{Model: &m, Token: root})
			if err := w.Sim.Fault(pvesim.Fault{Match: "GET /nodes/*/qemu/" + hangs + "/pending", Slow: 25 * time.Second}); err != nil {
				t.Fatal(err)
			}
			a := w.Call("pve_find", `{"bridge":"vmbr0"}`)
			if a.IsError || !strings.Contains(a.Text, "no answer within 15s") || !strings.Contains(a.Text, others) || len(a.Progress) == 0 {
				t.Errorf("%s: %s", hangs, a.Text)
			}
		}
	})
}
