package policy_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/pve-mcp/pve-mcp/internal/policy"
)

// What is no guest is protected by its name, and by each guest that depends on it.
func TestProtectedSubjects(t *testing.T) {
	const cannotTell = "which guests depend on "
	for _, tt := range []struct{ protect, request, want string }{
		// A storage that a protected guest has volumes on.
		{"103", "PUT /storage/local-zfs?disable=1", "guest 103 has local-zfs:vm-103-disk-0 as scsi0: guest 103 is protected"},
		{"103", "DELETE /storage/local-zfs", "guest 103 has local-zfs:vm-103-disk-0 as scsi0"},
		{"103", "PUT /storage/nfs?nodes=a", "nfs:backup/vzdump-qemu-103-2026_01_01-00_00_00.vma.zst is of guest 103: guest 103 is protected"},
		{"103", "DELETE /nodes/a/storage/nfs/prunebackups?type=qemu", "nfs:backup/vzdump-qemu-103-2026_01_01-00_00_00.vma.zst is of guest 103"},
		{"103", "DELETE /nodes/a/storage/nfs/prunebackups?vmid=103", "guest 103 is protected"},
		{"103", "DELETE /nodes/a/storage/nfs/prunebackups?vmid=100", noConsent},
		{"100", "PUT /storage/local-zfs?disable=1", sent},
		{"106", "DELETE /nodes/a/storage/local/content/local:iso%2Fx.iso", "guest 106 has local:iso/x.iso as ide2: guest 106 is protected"},
		{"106", "DELETE /nodes/a/storage/local/content/iso%2Fx.iso", "guest 106 has local:iso/x.iso as ide2"},
		{"106", "DELETE /nodes/a/storage/local/content/local:iso/x.iso", "guest 106 has local:iso/x.iso as ide2"},
		{"106", "DELETE /nodes/a/storage/local/content/local:iso%2Fy.iso", noConsent},
		{"106", "POST /nodes/a/storage/local/download-url?content=iso&filename=y.iso&url=http://example.org/", sent},
		{"103", "PUT /storage/broken?disable=1", cannotTell + "storage broken is unknown: no privilege"},
		{"tag:prod", "PUT /storage/local-zfs?disable=1", "whether guest 666 depends"},
		{"storage:nfs", "PUT /storage/nfs?nodes=a", "storage nfs is protected (PVE_MCP_PROTECT: storage:nfs)"},
		{"storage:nfs", "DELETE /nodes/a/storage/nfs/content/nfs:iso%2Fx.iso", "volume nfs:iso/x.iso is protected (PVE_MCP_PROTECT: storage:nfs)"},
		{"storage:nfs", "DELETE /nodes/a/storage/nfs/prunebackups?vmid=100", "storage nfs is protected"},
		{"storage:nfs", "DELETE /storage/nfs2", noConsent},
		{"storage:nfs", "POST /nodes/a/vzdump?vmid=100&storage=nfs&prune-backups=keep-last%3D1", "backups on storage nfs may be deleted: it is protected (PVE_MCP_PROTECT: storage:nfs)"},
		{"storage:nfs", "POST /nodes/a/vzdump?vmid=100&storage=nfs", "backups on storage nfs may be deleted"}, // as the storage's own settings say
		{"storage:nfs", "POST /nodes/a/vzdump?vmid=100", "backups may be deleted, and the storage is unknown"},
		{"storage:nfs", "POST /nodes/a/vzdump?vmid=100&storage=nfs&remove=0", sent},
		{"storage:nfs", "POST /nodes/a/vzdump?vmid=100&storage=other", noConsent},
		{"storage:nfs", "POST /cluster/backup?id=new&vmid=100&storage=nfs", "backups on storage nfs may be deleted"},
		{"storage:nfs", "POST /cluster/backup?id=new&vmid=100&storage=nfs&remove=0", sent},
		{"storage:nfs", "PUT /cluster/backup/other?storage=nfs", "backups on storage nfs may be deleted"},
		{"storage:nfs", "PUT /cluster/backup/other?prune-backups=keep-last%3D1", "backups may be deleted, and the storage is unknown"},
		{"storage:nfs", "PUT /cluster/backup/other?enabled=0", sent},
		{"103", "POST /storage?storage=new&type=dir&path=/x", sent},

		// A node that has a protected guest.
		{"103", "POST /nodes/b/status?command=reboot", "guest 103 is on node b: guest 103 is protected"},
		{"103", "POST /nodes/a/status?command=reboot", noConsent},
		{"103", "POST /nodes/broken/status?command=reboot", cannotTell + "node broken is unknown: no privilege"},
		{"103", "PUT /nodes/b/network", "guest 103 is on node b"},
		{"103", "PUT /nodes/b/disks/wipedisk?disk=/dev/sda", "guest 103 is on node b"},
		{"103", "PUT /nodes/a/disks/wipedisk?disk=/dev/sda", noConsent},
		{"103", "DELETE /nodes/a/disks/lvm/shared", "disk a:shared may concern any guest"},
		{"103", "POST /nodes/b/services/corosync/stop", "guest 103 is on node b"},
		{"103", "PUT /nodes/b/firewall/options?enable=1", "guest 103 is on node b"},
		{"103", "POST /nodes/b/firewall/rules?type=in&action=DROP", "guest 103 is on node b"},
		{"103", "POST /nodes/b/ceph/stop", "guest 103 is on node b"},
		{"103", "PUT /nodes/b/dns?search=x", sent},
		{"103", "DELETE /nodes/b/certificates/custom", noConsent},
		{"103", "DELETE /nodes/b/subscription", noConsent},
		{"node:a", "POST /nodes/a/status?command=reboot", "node a is protected (PVE_MCP_PROTECT: node:a)"},
		{"node:a", "PUT /nodes/a/dns?search=x", "node a is protected"},
		{"node:a", "DELETE /nodes/a/certificates/custom", "certificate a is protected"},
		{"node:a", "POST /nodes/a/network?iface=vmbr9&type=bridge", "network a/vmbr9 is protected"},
		{"node:a", "DELETE /nodes/a/firewall/rules/0", "firewall node/a is protected"},
		{"node:a", "PUT /nodes/a/disks/wipedisk?disk=/dev/sda", "disk a:/dev/sda is protected"},
		{"node:a", "PUT /nodes/a/qemu/100/config?cores=2", sent},
		{"node:a", "DELETE /nodes/a/ceph/osd/3?cleanup=1", "ceph node/a/osd/3 is protected (PVE_MCP_PROTECT: node:a)"},
		{"node:a", "DELETE /nodes/a/ceph/mon/a", "ceph node/a/mon/a is protected"},
		{"node:a", "DELETE /nodes/b/ceph/osd/3", noConsent},
		{"103", "DELETE /nodes/a/ceph/osd/3", "ceph node/a/osd/3 may concern any guest"},

		// A job that is of a protected guest.
		{"103", "PUT /cluster/backup/listed?enabled=0", "guest 103 is backed up by job listed: guest 103 is protected"},
		{"103", "DELETE /cluster/backup/listed", "guest 103 is backed up by job listed"},
		{"103", "DELETE /cluster/backup/other", noConsent},
		{"101", "DELETE /cluster/backup/pooled", "guest 101 is backed up by job pooled"},
		{"103", "DELETE /cluster/backup/all", "guest 103 is backed up by job all"},
		{"103", "DELETE /cluster/backup/excludes", noConsent},
		{"103", "DELETE /cluster/backup/on-a", noConsent},
		{"100", "DELETE /cluster/backup/on-a", "guest 100 is backed up by job on-a"},
		{"103", "DELETE /cluster/backup/hidden", cannotTell + "job hidden is unknown: no privilege"},
		{"103", "PUT /cluster/backup/gone?enabled=0", cannotTell + "job gone is unknown: no such job"},
		{"103", "PUT /cluster/backup/other?vmid=100,103", "guest 103 is protected"},
		{"103", "PUT /cluster/backup/other?all=1", "guest 103 is protected"},
		{"101", "PUT /cluster/backup/other?pool=web", "guest 101 is protected"},
		{"103", "POST /cluster/backup?id=new&vmid=103&storage=nfs", "guest 103 is protected"}, // it prunes
		{"103", "POST /cluster/backup?id=new&vmid=103&storage=nfs&remove=0", sent},
		{"103", "POST /cluster/backup?id=new&all=1&storage=nfs&remove=0&mode=stop", "guest 103 is protected"},
		{"103", "POST /cluster/backup?id=new&all=1&exclude=103,105&storage=nfs", sent},
		{"job:other", "DELETE /cluster/backup/other", "job other is protected (PVE_MCP_PROTECT: job:other)"},
		{"job:other", "DELETE /cluster/backup/listed", noConsent},

		// A pool.
		{"101", "PUT /pools/web?comment=x", "guest 101 is in pool web: guest 101 is protected"},
		{"101", "DELETE /pools?poolid=web", "guest 101 is in pool web"},
		{"100", "PUT /pools/web?comment=x", sent},
		{"103", "PUT /pools/web?vms=100,103", "guest 103 is protected"},
		{"103", "PUT /pools?poolid=web&vms=103&delete=1", "guest 103 is protected"},
		{"103", "PUT /pools/web?storage=local-zfs", "guest 103 has local-zfs:vm-103-disk-0 as scsi0"},
		{"storage:nfs", "PUT /pools/web?storage=local,nfs", "storage nfs is protected"},
		{"pool:web", "DELETE /pools/web", "pool web is protected (PVE_MCP_PROTECT: pool:web)"},
		{"pool:web", "POST /pools?poolid=web%2Fsub", "pool web/sub is protected"},
		{"pool:we", "POST /pools?poolid=web2", sent},
		{"103", "DELETE /pools/broken", cannotTell + "pool broken is unknown: no privilege"},

		// HA and replication.
		{"103", "PUT /cluster/ha/resources/vm:103?state=stopped", "guest 103 is protected"},
		{"103", "DELETE /cluster/ha/resources/103", "guest 103 is protected"},
		{"103", "POST /cluster/ha/resources?sid=vm:103", "guest 103 is protected"},
		{"103", "POST /cluster/ha/resources/vm:107/migrate?node=b", "HA moves guest 103, too"},
		{"103", "POST /cluster/ha/resources/vm:107/relocate?node=b", "HA moves guest 103, too"},
		{"103", "POST /cluster/ha/resources/vm:105/relocate?node=b", "guest 105 has local-zfs:vm-103-disk-1"},
		{"103", "PUT /cluster/ha/resources/vm:100?state=stopped", sent},
		{"103", "POST /cluster/ha/resources?sid=service:x", "which guests it changes is unknown"},
		{"103", "POST /cluster/ha/rules?rule=x&type=node-affinity&resources=vm:100,ct:103", "guest 103 is protected"},
		{"103", "PUT /cluster/ha/rules/pair?disable=1&type=resource-affinity", "guest 103 is in ha-rule pair: guest 103 is protected"},
		{"103", "DELETE /cluster/ha/rules/other", noConsent},
		{"103", "PUT /cluster/ha/groups/prefer?nodes=a", "guest 103 is in ha-group prefer"},
		{"103", "PUT /cluster/ha/groups/other?nodes=a", sent},
		{"103", "DELETE /cluster/ha/groups/broken", cannotTell + "ha-group broken is unknown"},
		{"103", "POST /cluster/ha/status/disarm-ha?resource-mode=freeze", "guest 103 is managed by HA: guest 103 is protected"},
		{"100", "POST /cluster/ha/status/disarm-ha?resource-mode=freeze", noConsent},
		{"103", "POST /cluster/replication?id=103-0&target=b&type=local", "guest 103 is protected"},
		{"103", "DELETE /cluster/replication/103-0", "guest 103 is protected"},
		{"103", "POST /nodes/a/replication/103-0/schedule_now", "guest 103 is protected"},
		{"103", "DELETE /cluster/replication/100-0", noConsent},

		// The firewall of a guest.
		{"103", "POST /nodes/a/qemu/103/firewall/rules?type=in&action=DROP", "guest 103 is protected"},
		{"103", "DELETE /nodes/a/lxc/103/firewall/ipset/x", "guest 103 is protected"},

		// Calls about many guests.
		{"103", "POST /nodes/b/stopall", "guest 103 is protected"},
		{"103", "POST /nodes/b/stopall?vms=104", sent},
		{"103", "POST /nodes/b/stopall?vms=104%3B103", "guest 103 is protected"},
		{"103", "POST /nodes/a/startall", "guest 105 has local-zfs:vm-103-disk-1 as scsi1: guest 103 is protected"},
		{"104", "POST /nodes/a/startall", sent},
		{"103", "POST /nodes/b/suspendall", "guest 103 is protected"},
		{"103", "POST /nodes/b/migrateall?target=a", "guest 103 is protected"},
		{"103", "POST /nodes/b/migrateall?target=a&vms=104", sent},
		{"103", "POST /nodes/b/migrateall?target=a&vms=104,107", "HA moves guest 103, too"},
		{"103", "POST /nodes/broken/stopall", "which guests it changes is unknown: no privilege"},
		{"103", "POST /nodes/b/stopall?vms=,", "which guests it changes is unknown"},
		{"103", "POST /cluster/bulk-action/guest/shutdown", "guest 103 is protected"},
		{"103", "POST /cluster/bulk-action/guest/shutdown?vms=100&vms=103", "guest 103 is protected"},
		{"103", "POST /cluster/bulk-action/guest/shutdown?vms=100&vms=104", sent},
		{"103", "POST /cluster/bulk-action/guest/migrate?target=a&vms=107", "HA moves guest 103, too"},
		{"100", "POST /nodes/a/vzdump?all=1&remove=0", sent},
		{"100", "POST /nodes/a/vzdump?vmid=101&remove=0&stop=1", "guest 100 is protected"}, // ends what runs
		{"100", "POST /nodes/a/vzdump?remove=0&stop=1", "guest 100 is protected"},
		{"103", "POST /nodes/a/vzdump?all=1&mode=stop&remove=0", "guest 105 has"},
		{"101", "POST /nodes/a/vzdump?pool=web&mode=stop&remove=0", "guest 101 is protected"},

		// What the whole cluster shares.
		{"103", "PUT /cluster/firewall/options?enable=0", "firewall cluster may concern any guest, and PVE_MCP_PROTECT is set"},
		{"103", "POST /cluster/firewall/rules?type=in&action=DROP", "firewall cluster may concern any guest"},
		{"103", "PUT /cluster/options?keyboard=de", "cluster options may concern any guest"},
		{"103", "PUT /cluster/sdn", "cluster sdn may concern any guest"},
		{"103", "DELETE /nodes/a/ceph/pool/rbd", "ceph pool/rbd may concern any guest"},
		{"103", "DELETE /nodes/a/tasks/UPID:a:00000001:00000001:60000000:imgcopy::root@pam:", "task UPID:"},
		{"103", "DELETE /cluster/notifications/matchers/x", noConsent},
		{"103", "DELETE /cluster/acme/plugins/x", noConsent},
		{"115", "DELETE /cluster/mapping/pci/gpu", "guest 115 has mapping=gpu as hostpci0: guest 115 is protected"},
		{"115", "DELETE /cluster/mapping/pci/gp", noConsent},
		{"115", "DELETE /cluster/mapping/usb/named", noConsent}, // the guest's name
		{"115", "DELETE /cluster/qemu/custom-cpu-models/mine", "guest 115 has custom-mine as cpu"},
		{"115", "DELETE /cluster/sdn/vnets/v1", "guest 115 has bridge=v1 as net0"},
		{"115", "PUT /cluster/sdn/vnets/v1/firewall/options?enable=1", "guest 115 has bridge=v1 as net0"},
		{"115", "DELETE /cluster/sdn/vnets/v2", noConsent},
		{"storage:nfs,job:x", "PUT /cluster/firewall/options?enable=0", noConsent}, // no guest is protected
	} {
		method, path, _ := strings.Cut(tt.request, " ")
		got := try(t.Context(), t, rules(t, tt.protect, ""), method, path)
		if !strings.HasPrefix(got, tt.want) || tt.want == "" && got != "" {
			t.Errorf("protect %q: %s: %q, want %q", tt.protect, tt.request, got, tt.want)
		}
	}
}

// Rules that allow guests allow nothing else, except what they name.
func TestAllowedSubjects(t *testing.T) {
	const notAmong = " is not among what this server may change (PVE_MCP_ALLOW)"
	for _, tt := range []struct{ protect, allow, request, want string }{
		{"", "100-199", "PUT /storage/nfs?disable=1", "storage nfs" + notAmong},
		{"", "100-199,storage:nfs", "PUT /storage/nfs?disable=1", sent},
		{"", "100-199,storage:nfs", "DELETE /nodes/a/storage/nfs/content/nfs:iso%2Fx.iso", noConsent},
		{"", "100-199", "DELETE /nodes/a/storage/nfs/content/nfs:iso%2Fx.iso", "volume nfs:iso/x.iso" + notAmong},
		{"", "100", "DELETE /nodes/a/storage/nfs/content/nfs:100%2Fvm-100-disk-7.raw", noConsent},
		{"", "storage:nfs", "DELETE /nodes/a/storage/nfs/content/nfs:100%2Fvm-100-disk-7.raw", "guest 100 is not among those"},
		{"", "100", "DELETE /nodes/a/storage/nfs/prunebackups?vmid=100", noConsent},
		{"", "100", "DELETE /nodes/a/storage/nfs/prunebackups", "storage nfs" + notAmong},
		{"", "node:a", "POST /nodes/a/status?command=reboot", noConsent},
		{"103", "node:b", "POST /nodes/b/status?command=reboot", "guest 103 is on node b: guest 103 is protected"},
		{"", "100-199", "POST /nodes/a/status?command=reboot", "node a" + notAmong},
		{"", "job:other", "DELETE /cluster/backup/other", noConsent},
		{"", "job:other", "PUT /cluster/backup/other?vmid=103", "guest 103 is not among those"},
		{"", "100-199", "DELETE /cluster/backup/other", "job other" + notAmong},
		{"", "100-199", "POST /cluster/backup?vmid=100&remove=0", "job" + notAmong},
		{"", "pool:web", "PUT /pools/web?comment=x", sent},
		{"", "pool:web", "PUT /pools/web?vms=103", "guest 103 is not among those"},
		{"", "pool:web", "DELETE /pools/lab", "pool lab" + notAmong},
		{"", "100", "PUT /cluster/ha/resources/vm:100?state=stopped", sent},
		{"", "100", "PUT /cluster/ha/resources/vm:101?state=stopped", "guest 101 is not among those"},
		{"", "100", "DELETE /cluster/replication/100-0", noConsent},
		{"", "100", "DELETE /cluster/replication/101-0", "guest 101 is not among those"},
		{"", "100", "PUT /cluster/firewall/options?enable=0", "firewall cluster" + notAmong},
		{"", "100", "POST /nodes/a/stopall", "guest 101 is not among those"},
		{"", "100-199", "POST /nodes/a/stopall", sent},
	} {
		method, path, _ := strings.Cut(tt.request, " ")
		got := try(t.Context(), t, rules(t, tt.protect, tt.allow), method, path)
		if !strings.HasPrefix(got, tt.want) || tt.want == "" && got != "" {
			t.Errorf("protect %q, allow %q: %s: %q, want %q", tt.protect, tt.allow, tt.request, got, tt.want)
		}
	}
}

// What is no guest can be consented to, by its kind and id, and with all that is changed
// beside it.
func TestGrantsOfSubjects(t *testing.T) {
	subject := func(kind policy.Kind, id string) policy.Subject { return policy.Subject{Kind: kind, ID: id} }
	const consentWas = "the consent was for"
	for _, tt := range []struct {
		target  policy.Target
		request string
		want    string
	}{
		{policy.Target{Path: "/storage/*", Subject: subject("storage", "nfs")}, "DELETE /storage/nfs", sent},
		{policy.Target{Path: "/storage/*", Subject: subject("storage", "nfs")}, "DELETE /storage/nfs2", consentWas},
		{policy.Target{Path: "/storage/*", Subject: subject("pool", "nfs")}, "DELETE /storage/nfs", consentWas},
		{policy.Target{Path: "/nodes/*/storage/*/content/*", Subject: subject("volume", "nfs:iso/x.iso")}, "DELETE /nodes/a/storage/nfs/content/nfs:iso%2Fx.iso", sent},
		{policy.Target{Path: "/nodes/*/storage/*/content/*", Subject: subject("volume", "nfs:iso/x.iso")}, "DELETE /nodes/a/storage/nfs/content/iso%2Fx.iso", sent},
		{policy.Target{Path: "/nodes/*/storage/*/content/*", Subject: subject("volume", "nfs:iso/x.iso")}, "DELETE /nodes/a/storage/nfs/content/nfs:iso%2Fy.iso", consentWas},
		{policy.Target{Path: "/nodes/*/storage/*/content/*", Subject: subject("volume", "nfs:100/vm-100-disk-0.raw")}, "DELETE /nodes/a/storage/nfs/content/nfs:100%2Fvm-100-disk-0.raw", sent},
		{policy.Target{Path: "/nodes/*/storage/*/content/*", Subject: subject("volume", "nfs:100/vm-100-disk-0.raw")}, "DELETE /nodes/a/storage/nfs/content/nfs:100%2Fvm-100-disk-0.raw?vmid=101", consentWas},
		{policy.Target{Path: "/cluster/backup/*", Subject: subject("job", "nightly")}, "DELETE /cluster/backup/nightly", sent},
		{policy.Target{Path: "/cluster/backup/*", Subject: subject("job", "nightly")}, "DELETE /cluster/backup/weekly", consentWas},
		{policy.Target{Path: "/cluster/firewall/rules/*", Subject: subject("firewall", "cluster")}, "DELETE /cluster/firewall/rules/3", sent},
		{policy.Target{Path: "/nodes/*/firewall/rules/*", Subject: subject("firewall", "node/a")}, "DELETE /nodes/b/firewall/rules/3", consentWas},
		{policy.Target{Path: "/pools", Subject: subject("pool", "web")}, "DELETE /pools?poolid=web", sent},
		{policy.Target{Path: "/pools", Subject: subject("pool", "web")}, "DELETE /pools", consentWas},
		{policy.Target{Path: "/pools", Subject: subject("pool", "")}, "DELETE /pools", consentWas},
		{policy.Target{Path: "/pools", Subject: subject("pool", "")}, "DELETE /pools?poolid=", consentWas},
		{policy.Target{Method: "POST", Path: "/nodes/*/status", Subject: subject("node", "a")}, "POST /nodes/a/status?command=reboot", sent},
		{policy.Target{Method: "POST", Path: "/nodes/*/status", Subject: subject("node", "a")}, "POST /nodes/b/status?command=reboot", consentWas},
		{policy.Target{Method: "PUT", Path: "/nodes/*/disks/wipedisk", Subject: subject("disk", "a:/dev/sdb")}, "PUT /nodes/a/disks/wipedisk?disk=/dev/sdb", sent},
		{policy.Target{Method: "PUT", Path: "/nodes/*/disks/wipedisk", Subject: subject("disk", "a:/dev/sdb")}, "PUT /nodes/a/disks/wipedisk?disk=/dev/sda", consentWas},
		{policy.Target{Path: "/cluster/replication/*", Subject: subject("replication", "100-0")}, "DELETE /cluster/replication/100-0", sent},
		{policy.Target{Path: "/cluster/ha/resources/*", Subject: policy.Guest(100)}, "DELETE /cluster/ha/resources/vm:100", sent},
		{policy.Target{Path: "/cluster/ha/resources/*", Subject: policy.Guest(100)}, "DELETE /cluster/ha/resources/vm:101", consentWas},
		{policy.Target{Path: "/nodes/*/storage/*/prunebackups", Subject: subject("storage", "nfs"), Also: policy.Guests([]int{100})}, "DELETE /nodes/a/storage/nfs/prunebackups?vmid=100", sent},
		{policy.Target{Path: "/nodes/*/storage/*/prunebackups", Subject: subject("storage", "nfs"), Also: policy.Guests([]int{100})}, "DELETE /nodes/a/storage/nfs/prunebackups?vmid=101", consentWas},
		{policy.Target{Path: "/nodes/*/storage/*/prunebackups", Subject: policy.Guest(100)}, "DELETE /nodes/a/storage/nfs/prunebackups?vmid=100", consentWas},
		{policy.Target{Method: "POST", Path: "/nodes/*/vzdump", Subject: policy.Guest(100), Also: policy.Guests([]int{101})}, "POST /nodes/a/vzdump?vmid=100,101", sent},
		{policy.Target{Method: "POST", Path: "/nodes/*/vzdump", Subject: policy.Guest(100)}, "POST /nodes/a/vzdump?vmid=100,101", consentWas},
		{policy.Target{Method: "POST", Path: "/nodes/*/vzdump", Subject: policy.Guest(100)}, "POST /nodes/a/vzdump?vmid=100&all=1", consentWas},
		{policy.Target{Method: "POST", Path: "/nodes/*/qemu/*/move_disk", Subject: policy.Guest(100), Also: policy.Guests([]int{101})}, "POST /nodes/a/qemu/100/move_disk?disk=scsi1&target-vmid=101", sent},
		{policy.Target{Method: "POST", Path: "/nodes/*/qemu/*/move_disk", Subject: policy.Guest(100)}, "POST /nodes/a/qemu/100/move_disk?disk=scsi1&target-vmid=101", consentWas},
		{policy.Target{Path: "/nodes/*/tasks/*", Subject: policy.Guest(100)}, "DELETE /nodes/a/tasks/UPID:a:00000001:00000001:60000000:qmrestore:100:root@pam:", sent},
		{policy.Target{Path: "/nodes/*/tasks/*", Subject: policy.Guest(101)}, "DELETE /nodes/a/tasks/UPID:a:00000001:00000001:60000000:qmrestore:100:root@pam:", consentWas},
		{policy.Target{Path: "/nodes/*/qemu/*"}, "DELETE /nodes/a/qemu/100", consentWas},
	} {
		if tt.target.Method == "" {
			tt.target.Method = http.MethodDelete
		}
		method, path, _ := strings.Cut(tt.request, " ")
		got := try(consented(t).Grant(t.Context(), tt.target), t, &policy.Guard{}, method, path)
		if !strings.HasPrefix(got, tt.want) || tt.want == "" && got != "" {
			t.Errorf("%+v: %s: %q, want %q", tt.target, tt.request, got, tt.want)
		}
		if got := try(t.Context(), t, &policy.Guard{}, method, path); got != noConsent {
			t.Errorf("without consent: %s: %q", tt.request, got)
		}
	}
}

// A plan hears before anybody is asked what its request would hear.
func TestRefuse(t *testing.T) {
	for _, tt := range []struct {
		protect, allow string
		target         policy.Target
		want           string
	}{
		{"103", "", policy.Target{Path: "/storage/*", Subject: policy.Subject{Kind: policy.StorageKind, ID: "local-zfs"}}, "guest 103 has local-zfs:vm-103-disk-0"},
		{"100", "", policy.Target{Path: "/storage/*", Subject: policy.Subject{Kind: policy.StorageKind, ID: "local-zfs"}}, sent},
		{"storage:nfs", "", policy.Target{Path: "/nodes/*/storage/*/content/*", Subject: policy.Subject{Kind: policy.VolumeKind, ID: "nfs:iso/x.iso"}}, "volume nfs:iso/x.iso is protected"},
		{"103", "", policy.Target{Path: "/nodes/*/storage/*/content/*", Subject: policy.Subject{Kind: policy.VolumeKind, ID: "nfs:103/vm-103-disk-0.raw"}}, "guest 103 is protected"},
		{"106", "", policy.Target{Path: "/nodes/*/storage/*/content/*", Subject: policy.Subject{Kind: policy.VolumeKind, ID: "local:iso/x.iso"}}, "guest 106 has local:iso/x.iso"},
		{"103", "", policy.Target{Path: "/nodes/*/storage/*/prunebackups", Subject: policy.Subject{Kind: policy.StorageKind, ID: "nfs"}}, "nfs:backup/"},
		{"103", "", policy.Target{Path: "/nodes/*/storage/*/prunebackups", Subject: policy.Subject{Kind: policy.StorageKind, ID: "nfs"}, Also: policy.Guests([]int{102})}, sent},
		{"103", "", policy.Target{Path: "/nodes/*/storage/*/prunebackups", Subject: policy.Subject{Kind: policy.StorageKind, ID: "nfs"}, Also: policy.Guests([]int{103})}, "guest 103 is protected"},
		{"103", "", policy.Target{Path: "/cluster/backup/*", Subject: policy.Subject{Kind: policy.JobKind, ID: "listed"}}, "guest 103 is backed up by job listed"},
		{"", "100", policy.Target{Path: "/cluster/backup/*", Subject: policy.Subject{Kind: policy.JobKind, ID: "other"}}, "job other is not among"},
		{"", "job:other", policy.Target{Path: "/cluster/backup/*", Subject: policy.Subject{Kind: policy.JobKind, ID: "other"}}, sent},
		{"103", "", policy.Target{Method: "POST", Path: "/nodes/*/status", Subject: policy.Subject{Kind: policy.NodeKind, ID: "b"}}, "guest 103 is on node b"},
		{"101", "", policy.Target{Path: "/pools/*", Subject: policy.Subject{Kind: policy.PoolKind, ID: "web"}}, "guest 101 is in pool web"},
		{"103", "", policy.Target{Path: "/cluster/replication/*", Subject: policy.Subject{Kind: "replication", ID: "103-0"}}, "guest 103 is protected"},
		{"103", "", policy.Target{Path: "/cluster/firewall/rules/*", Subject: policy.Subject{Kind: "firewall", ID: "cluster"}}, "firewall cluster may concern any guest"},
		{"103", "", policy.Target{Path: "/nodes/*/qemu/*", Subject: policy.Guest(105)}, "guest 105 has local-zfs:vm-103-disk-1 as scsi1"},
		{"103", "", policy.Target{Path: "/nodes/*/tasks/*", Subject: policy.Guest(105)}, sent},
		{"103", "", policy.Target{Subject: policy.Guest(105)}, "guest 105 has local-zfs:vm-103-disk-1 as scsi1"},
		{"103", "", policy.Target{Method: "POST", Path: "/nodes/*/vzdump", Subject: policy.Guest(100), Also: policy.Guests([]int{103})}, "guest 103 is protected"},
		{"", "", policy.Target{Method: "PUT", Path: "/nodes/*/qemu/*/config", Subject: policy.Guest(100), Also: policy.Guests([]int{102})}, "a volume of guest 102 is named, which is running"},
		{"", "", policy.Target{Method: "POST", Path: "/nodes/*/vzdump", Subject: policy.Guest(100), Also: policy.Guests([]int{102})}, sent},
	} {
		if tt.target.Method == "" {
			tt.target.Method = http.MethodDelete
		}
		if got := rules(t, tt.protect, tt.allow).Refuse(t.Context(), tt.target); !strings.HasPrefix(got, tt.want) || tt.want == "" && got != "" {
			t.Errorf("protect %q, allow %q: %+v: %q, want %q", tt.protect, tt.allow, tt.target, got, tt.want)
		}
	}
}
