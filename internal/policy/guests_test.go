package policy_test

import (
	"strings"
	"testing"
)

func TestProtectedGuests(t *testing.T) {
	for _, tt := range []struct{ protect, allow, request, want string }{
		{"100", "", "POST /nodes/a/qemu/100/status/stop", "guest 100 is protected (PVE_MCP_PROTECT: 100)"},
		{"100", "", "POST /nodes/a/qemu/101/status/stop", sent},
		{"100-199", "", "PUT /nodes/a/lxc/150/config?cores=1", "guest 150 is protected (PVE_MCP_PROTECT: 100-199)"},
		{"tag:prod", "", "PUT /nodes/a/qemu/100/resize?disk=scsi0", "guest 100 is protected (PVE_MCP_PROTECT: tag:prod)"},
		{"tag:PROD", "", "POST /nodes/a/qemu/101/status/stop", sent},
		{"pool:web", "", "POST /nodes/a/qemu/101/migrate?target=b", "guest 101 is protected (PVE_MCP_PROTECT: pool:web)"},
		{"pool:web", "", "POST /nodes/a/qemu/101/agent/exec?command=ls", "guest 101 is protected"},
		{"tag:prod", "", "POST /nodes/a/qemu/666/status/stop", "whether guest 666 is protected is unknown: rule tag:prod: no answer"},
		{"pool:broken", "", "POST /nodes/a/qemu/100/status/stop", "whether guest 100 is protected is unknown: rule pool:broken: no privilege"},
		{"666,tag:prod", "", "POST /nodes/a/qemu/666/status/stop", "guest 666 is protected (PVE_MCP_PROTECT: 666)"},

		{"", "tag:lab", "POST /nodes/a/qemu/111/migrate?target=b", "guest 111 is not among those that this server may change"}, // its snapshots have the tag
		{"tag:lab", "", "POST /nodes/a/qemu/111/migrate?target=b", sent},

		{"103", "", "POST /nodes/a/qemu/100/move_disk?disk=scsi0&target-vmid=103", "guest 103 is protected (PVE_MCP_PROTECT: 103)"},
		{"", "100", "POST /nodes/a/lxc/100/move_volume?volume=mp0&target-vmid=103", "guest 103 is not among those"},
		{"113", "", "PUT /nodes/a/qemu/114/resize?disk=scsi0", "guest 113 has local-zfs:vm-114-disk-0 as scsi1: guest 113 is protected (PVE_MCP_PROTECT: 113)"},
		{"113", "", "DELETE /nodes/a/qemu/114", "guest 113 has local-zfs:vm-114-disk-0 as scsi1: guest 113 is protected (PVE_MCP_PROTECT: 113)"},
		{"", "114", "DELETE /nodes/a/qemu/114", "guest 113 has local-zfs:vm-114-disk-0 as scsi1: guest 113 is not among those"},
		{"", "113-114", "DELETE /nodes/a/qemu/114", noConsent},
		{"113", "", "PUT /nodes/a/qemu/114/config?cores=2", sent},
		{"113", "", "PUT /nodes/a/qemu/114/config?delete=unused0", "guest 113 has local-zfs:vm-114-disk-0 as scsi1"},
		{"tag:prod", "", "DELETE /nodes/a/qemu/112", "whether guest 666 has a volume of guest 112 is unknown (no answer)"},
		{"113", "", "DELETE /nodes/a/qemu/112", noConsent},

		{"100", "", "POST /nodes/a/vzdump?vmid=100&remove=0", sent},
		{"100", "", "POST /nodes/a/vzdump?vmid=100&remove=0&mode=stop", "guest 100 is protected"},
		{"100", "", "POST /nodes/a/vzdump?vmid=100", "guest 100 is protected"},
		{"100", "", "POST /nodes/a/vzdump?vmid=100,102&remove=0&mode=suspend", "guest 100 is protected"},
		{"100,102", "", "POST /nodes/a/vzdump?vmid=100,101,102&remove=0&mode=stop", "guest 100 is protected (PVE_MCP_PROTECT: 100); guest 102 is protected"},
		{"100", "", "POST /nodes/a/vzdump?all=1&remove=0&mode=stop", "guest 100 is protected"},
		{"100", "", "POST /nodes/a/qemu/100/clone?newid=300", sent},
		{"100,300-399", "", "POST /nodes/a/qemu/100/clone?newid=300", "the new guest 300 would be protected (PVE_MCP_PROTECT: 300-399)"},
		{"pool:web", "", "POST /nodes/a/qemu/102/clone?newid=300&pool=web", "the new guest 300 would be protected (PVE_MCP_PROTECT: pool:web)"},
		{"100", "", "POST /nodes/a/qemu?vmid=100&archive=x", "the new guest 100 would be protected"},
		{"100", "", "POST /nodes/a/qemu?vmid=100&archive=x&force=1", "guest 100 is protected"},
		{"100", "", "DELETE /nodes/a/storage/s/content/s:vm-100-disk-0", "guest 100 is protected"},
		{"100", "", "DELETE /nodes/a/storage/s/content/s:100%2Fvm-100-disk-0.qcow2", "guest 100 is protected"},
		{"100", "", "DELETE /nodes/a/storage/s/content/s:backup%2Fvzdump-lxc-100-x.tar", "guest 100 is protected"},
		{"100", "", "DELETE /nodes/a/storage/s/content/s:backup%2Fvm%2F100%2F2026-01-01T00:00:00Z", "guest 100 is protected"},
		{"100", "", "DELETE /nodes/a/storage/s/content/s:iso%2Fx.iso", noConsent},
		{"100", "", "DELETE /nodes/a/tasks/UPID:a:00000001:00000001:60000000:qmstart:100:root@pam:", "guest 100 is protected"},

		{"100", "", "POST /nodes/a/vzdump?vmid=101&all=1&remove=0&mode=stop", "guest 100 is protected"},
		{"100", "", "POST /nodes/a/vzdump?vmid=101&pool=broken&remove=0&mode=stop", "which guests it changes is unknown"},
		{"100", "", "POST /nodes/a/vzdump?vmid=101&all=0&remove=0&mode=stop", sent},
		{"100", "", "POST /nodes/a/vzdump?vmid=101%09100&remove=0&mode=stop", "guest 100 is protected"},

		{"pool:web", "", "POST /nodes/a/qemu/104/status/stop", "guest 104 is protected (PVE_MCP_PROTECT: pool:web)"},
		{"pool:web/sub", "", "POST /nodes/a/qemu/101/status/stop", sent},
		{"pool:we", "", "POST /nodes/a/qemu/104/status/stop", sent},
		{"pool:web", "", "POST /nodes/a/qemu/102/clone?newid=300&pool=web%2Fsub", "the new guest 300 would be protected (PVE_MCP_PROTECT: pool:web)"},
		{"", "pool:web", "POST /nodes/a/qemu/104/status/stop", sent},
		{"", "pool:web", "POST /nodes/a/qemu/104/clone?newid=300&pool=web%2Fsub", sent},
		{"", "pool:web", "POST /nodes/a/qemu/104/clone?newid=300&pool=website", "the new guest 300 is not among those"},

		{"103", "", "PUT /nodes/a/qemu/100/config?scsi1=local-zfs:vm-103-disk-0", "guest 103 is protected"},
		{"103", "", "PUT /nodes/a/qemu/100/config?scsi1=size=8G,file=local-zfs:vm-103-disk-0", "guest 103 is protected"},
		{"103", "", "PUT /nodes/a/qemu/100/config?scsi1=local-zfs:0,import-from=local-zfs:vm-103-disk-0", "guest 103 is protected"},
		{"103", "", "PUT /nodes/a/qemu/100/config?unused3=local-zfs:vm-103-disk-0", "guest 103 is protected"},
		{"103", "", "PUT /nodes/a/qemu/100/config?efidisk0=local-zfs:vm-103-disk-0", "guest 103 is protected"},
		{"103", "", "PUT /nodes/a/qemu/100/config?tpmstate0=local-zfs:vm-103-disk-0", "guest 103 is protected"},
		{"103", "", "PUT /nodes/a/qemu/100/config?cdrom=local-zfs:vm-103-cloudinit", "guest 103 is protected"},
		{"103", "", "PUT /nodes/a/lxc/100/config?mp0=local-zfs:subvol-103-disk-0,mp%3D/x", "guest 103 is protected"},
		{"103", "", "PUT /nodes/a/lxc/100/config?rootfs=volume%3Dlocal:103/vm-103-disk-0.raw", "guest 103 is protected"},
		{"103", "", "PUT /nodes/a/qemu/100/config?scsi1=/dev/zvol/rpool/data/vm-103-disk-0", "guest 103 is protected"},
		{"103", "", "PUT /nodes/a/qemu/100/config?scsi1=/dev/zd16", "the owner of the volume /dev/zd16 is unknown"},
		{"103", "", "PUT /nodes/a/qemu/100/config?scsi1=iscsi:0.0.0.scsi-1", "the owner of the volume iscsi:0.0.0.scsi-1 is unknown"},
		{"103", "", "PUT /nodes/a/qemu/100/config?net0=virtio%3DAA:BB:CC:DD:EE:FF&description=vm-103-disk-0", sent},
		{"103", "", "PUT /nodes/a/qemu/100/config?scsi1=local-zfs:8&ide2=local:iso/x.iso,media%3Dcdrom&scsi2=local-zfs:vm-100-disk-7", sent},
		{"103", "", "POST /nodes/a/qemu?vmid=300&scsi0=local-zfs:vm-103-disk-0", "guest 103 is protected"},
		{"", "100", "PUT /nodes/a/qemu/100/config?scsi1=local-zfs:vm-103-disk-0", "guest 103 is not among those"},

		{"103", "", "PUT /nodes/a/qemu/105/resize?disk=scsi0&size=%2B1G", "guest 105 has local-zfs:vm-103-disk-1 as scsi1: guest 103 is protected"},
		{"103", "", "POST /nodes/a/qemu/105/snapshot?snapname=x", "guest 105 has"},
		{"103", "", "POST /nodes/a/qemu/105/snapshot/x/rollback", "guest 105 has"},
		{"103", "", "DELETE /nodes/a/qemu/105/snapshot/x", "guest 105 has"},
		{"103", "", "DELETE /nodes/a/qemu/105", "guest 105 has"},
		{"103", "", "POST /nodes/a/qemu/105/status/start", "guest 105 has"},
		{"103", "", "POST /nodes/a/qemu/105/migrate?target=b", "guest 105 has"},
		{"103", "", "POST /nodes/a/qemu/105/clone?newid=300", "guest 105 has"},
		{"103", "", "POST /nodes/a/qemu?vmid=105&archive=x&force=1", "guest 105 has"},
		{"103", "", "POST /nodes/a/vzdump?vmid=105&remove=0&mode=stop", "guest 105 has"},
		{"103", "", "POST /nodes/a/vzdump?vmid=105&remove=0", sent},
		{"", "105", "POST /nodes/a/qemu/105/status/start", "guest 105 has local-zfs:vm-103-disk-1 as scsi1: guest 103 is not among those"},
		{"103", "", "POST /nodes/a/qemu/106/status/start", sent},
		{"103", "", "POST /nodes/a/qemu/106/snapshot/x/rollback", "guest 106 has local-zfs:vm-103-disk-3 as scsi3: guest 103 is protected"},
		{"103", "", "POST /nodes/a/qemu/106/clone?newid=300", sent},
		{"103", "", "POST /nodes/a/qemu/106/clone?newid=300&snapname=x", "guest 106 has"},
		{"103", "", "DELETE /nodes/a/qemu/106", "guest 106 has"},
		{"103", "", "POST /nodes/a/qemu/108/status/start", "guest 108 has local-zfs:vm-103-disk-2 as scsi0"},
		{"103", "", "POST /nodes/a/qemu/109/status/start", sent}, // its base nobody can change
		{"103", "", "POST /nodes/a/qemu/110/status/start", "guest 110 has iscsi:0.0.0.scsi-1 as scsi0: the owner of the volume"},
		{"1000", "", "POST /nodes/a/qemu/666/status/start", "the owners of the volumes that guest 666 has are unknown: no answer"},

		{"103", "", "POST /nodes/a/qemu/107/migrate?target=b", "HA moves guest 103, too: guest 103 is protected"},
		{"", "107", "POST /nodes/a/qemu/107/migrate?target=b", "HA moves guest 103, too: guest 103 is not among"},
		{"104", "", "POST /nodes/a/qemu/107/migrate?target=b", sent},

		{"", "200-299,tag:prod", "POST /nodes/a/qemu/200/status/stop", sent},
		{"", "200-299,tag:prod", "POST /nodes/a/qemu/100/status/stop", sent},
		{"", "200-299,pool:web", "POST /nodes/a/qemu/101/status/stop", sent},
		{"", "200-299", "POST /nodes/a/qemu/101/status/stop", "guest 101 is not among those that this server may change (PVE_MCP_ALLOW)"},
		{"", "tag:prod", "POST /nodes/a/qemu/666/status/stop", "whether guest 666 may be changed is unknown: rule tag:prod: no answer"},
		{"", "200-299", "POST /nodes/a/qemu/101/clone?newid=201", sent},
		{"", "200-299", "POST /nodes/a/qemu/200/clone?newid=300", "the new guest 300 is not among those"},
		{"", "200-299,pool:web", "POST /nodes/a/qemu/200/clone?newid=300&pool=web", sent},
		{"", "200-299,tag:prod", "POST /nodes/a/qemu/100/clone?newid=300", "the new guest 300 is not among those"},
		{"250", "200-299", "POST /nodes/a/qemu/250/status/stop", "guest 250 is protected"},
	} {
		method, path, _ := strings.Cut(tt.request, " ")
		got := try(t.Context(), t, rules(t, tt.protect, tt.allow), method, path)
		if got == noConsent && strings.Contains(tt.want, "protected") || !strings.HasPrefix(got, tt.want) || tt.want == "" && got != "" {
			t.Errorf("protect %q, allow %q: %s: %q, want %q", tt.protect, tt.allow, tt.request, got, tt.want)
		}
	}
}
