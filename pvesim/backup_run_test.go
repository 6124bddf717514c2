package pvesim_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pve-mcp/pve-mcp/pvesim"
)

// One storage that is broken spoils nothing for the others.
func TestStorages(t *testing.T) {
	m := pvesim.Cluster()
	nfs := slices.IndexFunc(m.Storages, func(s pvesim.Storage) bool { return s.ID == "nfs" })
	m.Storages[nfs].Broken = "storage 'nfs' is not online"
	for i := range m.Guests {
		if m.Guests[i].VMID == 104 {
			m.Guests[i].Config["scsi1"] = "nfs:104/vm-104-disk-0.raw,size=1G"
		}
	}
	m.Storages = append(m.Storages, pvesim.Storage{ID: "far", Type: "dir", Content: "images", Nodes: []string{"pve2"}, Size: 1 << 30})
	newWorld(t, m).story(`
		GET /nodes/pve1/storage#nfs#active                        => 0
		GET /nodes/pve1/storage#nfs#enabled                       => 1
		GET /nodes/pve1/storage#nfs#used_fraction                 => null
		GET /nodes/pve1/storage#pbs#active                        => 1
		GET /nodes/pve1/storage#old-nas#enabled                   => 0
		GET /nodes/pve1/storage#far#enabled                       => 0
		GET /nodes/pve2/storage#far#enabled                       => 1
		GET /nodes/pve1/storage?enabled=1#old-nas                 => null
		GET /nodes/pve1/storage?content=rootdir#pbs               => null
		GET /nodes/pve1/storage?content=rootdir#local-zfs#type    => zfspool
		GET /nodes/pve1/storage?storage=nosuch                    => 400 Parameter verification failed. storage: No such storage.
		GET /nodes/pve1/storage?target=pve2#local                 => null
		GET /nodes/pve1/storage?target=pve2#pbs#shared            => 1
		GET /nodes/pve1/storage/nfs/status#active                 => 0
		GET /nodes/pve1/storage/nfs/content                       => 500 storage 'nfs' is not online
		GET /nodes/pve1/storage/old-nas/content                   => 500 storage 'old-nas' is disabled
		GET /nodes/pve1/storage/far/content                       => 500 storage 'far' is not available on node 'pve1'
		GET /nodes/pve1/storage/local/content#local:snippets/vendor.yaml#size    => 612
		GET /nodes/pve2/storage/local/content#local:snippets/vendor.yaml         => null
		GET /cluster/resources?type=storage#storage/pve1/nfs#status      => unknown
		GET /cluster/resources?type=storage#storage/pve1/pbs#status      => available
		POST /nodes/pve1/vzdump?vmid=100&storage=nfs              => could not activate storage 'nfs': storage 'nfs' is not online
		POST /nodes/pve1/qemu/104/status/reboot                   => OK
		wait 5s
		GET /nodes/pve1/qemu/104/status/current#status            => stopped
		POST /nodes/pve1/qemu/104/status/start                    => storage 'nfs' is not online
		GET /storage/pbs#server                                   => 10.10.0.9
		GET /storage/old-nas#disable                              => 1
	`)
}

// Which volumes one sees depends on what they are and whose.
func TestWhoSeesVolumes(t *testing.T) {
	m := pvesim.Cluster()
	m.ACL = slices.DeleteFunc(m.ACL, func(a pvesim.ACL) bool { return a.Who == "ops@pve!mcp" })
	for path, role := range map[string]string{"/storage": "PVEDatastoreUser", "/vms/100": "PVEVMUser", "/vms/200": "PVEVMAdmin"} {
		m.ACL = append(m.ACL, pvesim.ACL{Path: path, Who: "ops@pve!mcp", Role: role})
	}
	newWorld(t, m).story(`
		as ops@pve!mcp
		GET /nodes/pve1/storage/nfs/content#nfs:backup/vzdump-qemu-100-2026_11_22-06_00_00.vma.zst#vmid      => 100
		GET /nodes/pve1/storage/nfs/content#nfs:backup/vzdump-qemu-101-2026_11_22-06_07_00.vma.zst           => null
		GET /nodes/pve1/storage/local/content#local:iso/virtio-win-0.1.271.iso#content                       => iso
		GET /nodes/pve1/storage/local/content#local:snippets/vendor.yaml                                     => null
		GET /nodes/pve1/storage/local-zfs/content#local-zfs:vm-100-disk-0                                    => null
		GET /nodes/pve1/storage/local-zfs/content#local-zfs:subvol-200-disk-0#content                        => rootdir
		GET /nodes/pve1/vzdump/extractconfig?volume=nfs:backup/vzdump-qemu-101-2026_11_22-06_07_00.vma.zst   => 403 Permission check failed (/vms/101, VM.Backup)
		DELETE /nodes/pve1/storage/nfs/content/nfs:backup%2Fvzdump-qemu-101-2026_11_22-06_07_00.vma.zst      => 403 Permission check failed (/vms/101, VM.Backup)
		DELETE /nodes/pve1/storage/local/content/local:iso%2Fvirtio-win-0.1.271.iso                          => 403 Permission check failed (/storage/local, Datastore.Allocate)
		DELETE /nodes/pve1/storage/nfs/prunebackups?prune-backups=keep-last%3D1                              => 403 Permission check failed (/storage/nfs, Datastore.Allocate)
		DELETE /nodes/pve1/storage/nfs/prunebackups?prune-backups=keep-last%3D1&vmid=100                     => OK
		GET /nodes/pve1/storage/nfs/content#nfs:backup/vzdump-qemu-100-2026_11_22-06_00_00.vma.zst#vmid      => 100
		GET /nodes/pve1/storage/nfs/content#nfs:backup/vzdump-qemu-100-2026_11_21-06_00_00.vma.zst           => null
		POST /nodes/pve1/vzdump?vmid=101&storage=nfs                                                         => OK
		POST /nodes/pve1/vzdump?vmid=104&storage=nfs                                                         => 403 Permission check failed (/vms/104, VM.Backup)
		POST /nodes/pve1/vzdump?vmid=100&storage=nfs&bwlimit=1                                               => 403 Permission check failed (/, Sys.Modify)
		POST /nodes/pve1/vzdump?vmid=100&storage=nfs&prune-backups=keep-last%3D1                             => 403 Permission check failed (/storage/nfs, Datastore.Allocate)
		POST /nodes/pve1/qemu?vmid=300&archive=nfs:backup/vzdump-qemu-100-2026_11_22-06_00_00.vma.zst        => 403 Permission check failed
	`)
}

// A backup's notes and protection are changed at once; deleting takes a task, whose
// end may be waited for.
func TestChangeOfVolumes(t *testing.T) {
	const old = "/nodes/pve/storage/local/content/local:backup%2Fvzdump-qemu-101-2026_10_06-12_00_00.vma.zst"
	newWorld(t, pvesim.Lab()).story(`
		GET /nodes/pve/storage/local/content#local:backup/vzdump-qemu-101-2026_10_06-12_00_00.vma.zst#notes  => before the move to new disks
		POST /nodes/pve/vzdump?pool=nosuch&storage=local          => 500 pool 'nosuch' does not exist
		DELETE ` + old + `                                        => cannot remove protected volume 'backup/vzdump-qemu-101-2026_10_06-12_00_00.vma.zst' on 'local'
		DELETE ` + old + `?delay=5                                => 500 cannot remove protected volume 'backup/vzdump-qemu-101-2026_10_06-12_00_00.vma.zst' on 'local'
		PUT ` + old + `?protected=0&notes=gone soon               => null
		GET ` + old + `#notes                                     => gone soon
		GET ` + old + `#path                                      => /var/lib/vz/dump/vzdump-qemu-101-2026_10_06-12_00_00.vma.zst
		DELETE ` + old + `?delay=5                                => null
		GET ` + old + `                                           => 500 volume_size_info on 'local:backup/vzdump-qemu-101-2026_10_06-12_00_00.vma.zst' failed - no format
		PUT /nodes/pve/storage/local/content/iso%2Fdebian-12.11.0-amd64-netinst.iso?notes=x      => 500 only backups can have notes
		PUT /nodes/pve/storage/local-lvm/content/vm-100-disk-0?notes=x                           => 500 attribute 'notes' is not supported for storage type 'lvmthin'
		GET /nodes/pve/storage/local/content/local-lvm:vm-100-disk-0                             => 400 Parameter verification failed. volume: storage ID mismatch (local-lvm != local)
		GET /nodes/pve/storage/local/content/nonsense                                            => 500 unable to parse directory volume name 'nonsense'
	`)
}

// A job backs up its guests one after the other, each locked while it is its turn;
// what fails of one does not keep it from the next.
func TestBackupOfSeveral(t *testing.T) {
	w := newWorld(t, pvesim.Cluster())
	upid := w.start("/nodes/pve3/vzdump", url.Values{"vmid": {"105,107,202,101,99999"}, "storage": {"nfs"}, "remove": {"0"}, "mode": {"stop"}})
	w.clock.Advance(time.Second)
	w.story(`
		GET /nodes/pve3/qemu/105/config#lock                      => backup
		GET /nodes/pve3/lxc/202/config#lock                       => null
		DELETE /nodes/pve3/qemu/105                               => VM is locked (backup)
	`)
	if got := w.exit(upid); got != "job errors" {
		t.Errorf("exit %q", got)
	}
	var said []string
	all := w.do("GET", "/nodes/pve3/tasks/"+url.PathEscape(upid)+"/log", url.Values{"limit": {"0"}})
	for _, entry := range all.Body.Data.([]any) {
		line := entry.(map[string]any)["t"].(string)
		if strings.Contains(line, "Backup of VM") || strings.Contains(line, "virtual guest") || strings.Contains(line, "skip external") {
			said = append(said, line)
		}
	}
	want := []string{
		"INFO: skip external VMs: 101",
		"INFO: Starting Backup of VM 105 (qemu)",
		"INFO: Finished Backup of VM 105 (00:06:55)",
		"INFO: Starting Backup of VM 107 (qemu)",
		"ERROR: Backup of VM 107 failed - VM is locked (backup)",
		"INFO: Starting Backup of VM 202 (lxc)",
		"INFO: stopping virtual guest",
		"INFO: Finished Backup of VM 202 (00:02:13)",
		"ERROR: Backup of VM 99999 failed - unable to find VM '99999'",
	}
	if !slices.Equal(said, want) {
		t.Errorf("said\n%s\nwant\n%s", strings.Join(said, "\n"), strings.Join(want, "\n"))
	}
	w.story(`
		GET /nodes/pve3/qemu/105/config#lock                      => null
		GET /nodes/pve3/qemu/107/config#lock                      => backup
		GET /nodes/pve3/lxc/202/status/current#status             => running
		POST /nodes/pve1/vzdump?vmid=102,103&storage=nfs          => OK
		POST /nodes/pve3/vzdump?vmid=103&storage=nfs&mode=stop    => job errors
		POST /nodes/pve3/vzdump?vmid=103&storage=nfs&all=1        => 400 Parameter verification failed. all: option conflicts with option 'vmid'
		POST /nodes/pve3/vzdump?all=1&storage=local-zfs           => could not get storage information for 'local-zfs': can't use storage 'local-zfs' for backups - wrong content type
	`)
}

// A node runs one job at a time; that a job is stopped lets the next one begin.
func TestBackupsQueue(t *testing.T) {
	w := newWorld(t, pvesim.Cluster())
	form := func(id string) url.Values { return url.Values{"vmid": {id}, "storage": {"nfs"}, "remove": {"0"}} }
	first := w.start("/nodes/pve1/vzdump", form("100"))
	second := w.start("/nodes/pve1/vzdump", form("104"))
	elsewhere := w.start("/nodes/pve2/vzdump", form("101"))
	w.clock.Advance(20 * time.Second)
	if log := w.log(second); len(log) != 1 || log[0] != "INFO: trying to get global lock - waiting..." {
		t.Errorf("the second job says %q", log)
	}
	if log := w.log(elsewhere); len(log) < 5 {
		t.Errorf("another node's job says %q", log)
	}
	progress := 0
	for _, line := range w.log(first) {
		if strings.Contains(line, "% (") {
			progress++
		}
	}
	if progress < 4 {
		t.Errorf("%d lines of progress in 20 s: %q", progress, w.log(first))
	}
	w.story(`
		DELETE /nodes/pve1/tasks/` + url.PathEscape(first) + `
		GET /nodes/pve1/qemu/100/config#lock                      => null
		wait 2s
		GET /nodes/pve1/qemu/104/config#lock                      => backup
	`)
	log := w.log(first)
	if got := w.exit(first); got != "interrupted by signal" || log[len(log)-2] != "ERROR: Backup job failed - interrupted by signal" {
		t.Errorf("exit %q after %q", got, log)
	}
	if got := w.exit(second); got != "OK" {
		t.Errorf("the second job's exit: %q", got)
	}
	if log := w.log(second); log[1] != "INFO: got global lock" {
		t.Errorf("the second job says %q", log[:3])
	}
}

// Retention: what the storage or the call keeps, and what may not be exceeded.
func TestRetention(t *testing.T) {
	m := pvesim.Lab()
	m.Storages[0].Options = map[string]string{"prune-backups": "keep-last=3"}
	newWorld(t, m).story(`
		GET /nodes/pve/storage/local/prunebackups?vmid=100#local:backup/vzdump-qemu-100-2026_11_22-03_00_00.vma.zst#mark                                => keep
		GET /nodes/pve/storage/local/prunebackups?vmid=100&prune-backups=keep-last%3D1#local:backup/vzdump-qemu-100-2026_11_21-03_00_00.vma.zst#mark    => remove
		GET /nodes/pve/storage/local/prunebackups?prune-backups=keep-last%3D1#local:backup/vzdump-qemu-101-2026_10_06-12_00_00.vma.zst#mark             => protected
		GET /nodes/pve/storage/local/prunebackups?prune-backups=keep-daily%3D2#local:backup/vzdump-lxc-102-2026_11_21-03_07_00.tar.zst#mark             => keep
		GET /nodes/pve/storage/local/prunebackups?prune-backups=keep-daily%3D2#local:backup/vzdump-lxc-102-2026_11_20-03_07_00.tar.zst#mark             => remove
		GET /nodes/pve/storage/local/prunebackups?prune-backups=keep-monthly%3D2#local:backup/vzdump-lxc-102-2026_11_20-03_07_00.tar.zst#mark           => remove
		POST /nodes/pve/vzdump?vmid=100&storage=local&remove=0                                                         => job errors
		POST /nodes/pve/vzdump?vmid=100&storage=local&remove=0&protected=1&notes-template=%7B%7Bguestname%7D%7D, kept  => OK
		GET /nodes/pve/storage/local/content#local:backup/vzdump-qemu-100-2026_11_20-03_00_00.vma.zst#vmid             => 100
		POST /nodes/pve/vzdump?vmid=100&storage=local                                                                  => OK
		GET /nodes/pve/storage/local/content#local:backup/vzdump-qemu-100-2026_11_20-03_00_00.vma.zst                  => null
		GET /nodes/pve/storage/local/content#local:backup/vzdump-qemu-100-2026_11_21-03_00_00.vma.zst#vmid             => 100
	`)
}

// What a backup holds can be a guest again, of another id or the old one.
func TestRestore(t *testing.T) {
	const vm, ct = "nfs:backup/vzdump-qemu-100-2026_11_22-06_00_00.vma.zst", "nfs:backup/vzdump-lxc-200-2026_11_22-06_28_00.tar.zst"
	w := newWorld(t, pvesim.Cluster())
	before := w.get("/nodes/pve1/qemu/100/config")
	w.story(`
		POST /nodes/pve1/qemu?vmid=300&archive=` + vm + `&storage=local-zfs&pool=web&name=copy&start=1    => OK
		wait 30s
		GET /nodes/pve1/qemu/300/config#scsi0                     => local-zfs:vm-300-disk-0,size=32G
		GET /nodes/pve1/qemu/300/config#name                      => copy
		GET /nodes/pve1/qemu/300/status/current#status            => running
		GET /cluster/resources#qemu/300#pool                      => web
		POST /nodes/pve2/qemu?vmid=300&archive=` + vm + `         => 500 unable to restore VM 300 - VM 300 already exists on node 'pve1'
		POST /nodes/pve1/qemu?vmid=300&archive=` + vm + `&force=1 => unable to restore VM 300 - vm is running
		GET /nodes/pve1/qemu/300/config#name                      => copy
		GET /nodes/pve1/qemu/300/config#lock                      => null
		POST /nodes/pve1/qemu/300/status/stop                     => OK
		PUT /nodes/pve1/qemu/300/config?scsi1=nfs:4&protection=1  => null
		POST /nodes/pve1/qemu?vmid=300&archive=` + vm + `&force=1 => unable to restore VM 300 - protection mode enabled
		PUT /nodes/pve1/qemu/300/config?protection=0              => null
		POST /nodes/pve1/qemu?vmid=300&archive=` + vm + `&force=1&unique=1    => OK
		GET /nodes/pve1/qemu/300/config#name                      => web-1
		GET /nodes/pve1/qemu/300/config#unused0                   => nfs:300/vm-300-disk-0.raw
		GET /nodes/pve1/storage/local-zfs/content?vmid=300#local-zfs:vm-300-disk-1    => null
		POST /nodes/pve1/qemu?vmid=301&archive=` + vm + `&storage=pbs        => 400 Parameter verification failed. storage: storage 'pbs' does not support vm images
		POST /nodes/pve1/qemu?vmid=301&archive=` + ct + `         => ERROR: file '/mnt/pve/nfs/dump/vzdump-lxc-200-2026_11_22-06_28_00.tar.zst' does not look like a QemuServer vzdump backup
		DELETE /nodes/pve1/qemu/301                               => OK
		POST /nodes/pve1/lxc?vmid=310&ostemplate=` + ct + `&restore=1&storage=local-zfs&hostname=twin&unique=1    => OK
		GET /nodes/pve1/lxc/310/config#hostname                   => twin
		GET /nodes/pve1/lxc/310/config#rootfs                     => local-zfs:subvol-310-disk-0,size=8G
		POST /nodes/pve1/lxc?vmid=310&ostemplate=` + ct + `&restore=1&storage=local-zfs             => 500 CT 310 already exists on node 'pve1'
		POST /nodes/pve1/lxc?vmid=200&ostemplate=` + ct + `&restore=1&storage=local-zfs&force=1     => 500 can't overwrite running container
		POST /nodes/pve1/lxc?vmid=311&ostemplate=` + ct + `&restore=1                               => 400 Parameter verification failed. storage: storage 'local' does not support container directories
		GET /nodes/pve1/lxc/200/config#hostname                   => proxy
	`)
	after := w.get("/nodes/pve1/qemu/300/config")
	for _, key := range []string{"net0", "smbios1", "vmgenid"} {
		if after[key] == before[key] {
			t.Errorf("%s is that of the VM that was backed up: %v", key, after[key])
		}
	}
	if text := w.answer("GET", "/nodes/pve1/vzdump/extractconfig?volume="+vm); !strings.Contains(text, "\nname: web-1\n") || !strings.HasSuffix(text, "#qmdump#map:scsi0:drive-scsi0:local-zfs:raw:\n") {
		t.Errorf("the backup's configuration is %q", text)
	}
}

// A backup on a backup server has other names and has been verified.
func TestBackupServer(t *testing.T) {
	w := newWorld(t, pvesim.Cluster())
	w.story(`
		GET /nodes/pve1/storage/pbs/content#pbs:backup/vm/103/2026-11-21T10:00:00Z#verification#state    => failed
		GET /nodes/pve1/storage/pbs/content#pbs:backup/vm/103/2026-11-20T10:00:00Z#verification          => null
		GET /nodes/pve1/storage/pbs/content#pbs:backup/vm/102/2026-11-21T10:00:00Z#format                => pbs-vm
		POST /nodes/pve1/vzdump?vmid=200&storage=pbs              => OK
		GET /nodes/pve1/storage/pbs/content#pbs:backup/ct/200/2026-11-22T12:00:00Z#subtype               => lxc
		POST /nodes/pve1/qemu?vmid=300&archive=pbs:backup/vm/102/2026-11-21T10:00:00Z&storage=local-zfs  => OK
		GET /nodes/pve1/qemu/300/config#name                      => db-1
	`)
}

// Jobs, when they run next, and who is in none.
func TestBackupJobs(t *testing.T) {
	w := newWorld(t, pvesim.Cluster())
	w.story(`
		GET /cluster/backup#backup-nightly#next-run               => 1.7953812e+09
		GET /cluster/backup#backup-weekly#next-run                => null
		GET /cluster/backup#backup-weekly#enabled                 => 0
		GET /cluster/backup/backup-nightly#prune-backups#keep-last    => 3
		GET /cluster/backup/nosuch                                => 400 Parameter verification failed. id: No such job 'nosuch'
		GET /cluster/backup-info/not-backed-up#build-1#vmid       => 105
		GET /cluster/backup-info/not-backed-up#web-1              => null
		GET /cluster/backup-info/not-backed-up#db-1               => null
		GET /cluster/jobs/schedule-analyze?schedule=sat 03:00&starttime=1795348800&iterations=2 => [map[timestamp:1.7958348e+09 utc:Sat Nov 28 03:00:00 2026] map[timestamp:1.7964396e+09 utc:Sat Dec  5 03:00:00 2026]]
	`)
}

// A job runs on every node with guests of it when its time has come, as root, and as it is then.
func TestJobsRun(t *testing.T) {
	m := pvesim.Cluster()
	m.JobsRun = true
	m.Jobs = []pvesim.BackupJob{
		{ID: "web", Schedule: "14:00", Options: map[string]string{"vmid": "200,201", "storage": "nfs", "mode": "snapshot", "comment": "x"}},
		{ID: "off", Schedule: "14:00", Disabled: true, Options: map[string]string{"all": "1", "storage": "nfs"}},
	}
	w := newWorld(t, m) // 12:00
	var seen []string
	runs := func(want ...string) {
		t.Helper()
		seen = seen[:0]
		for _, n := range m.Nodes {
			for _, task := range w.data("/nodes/" + n.Name + "/tasks?typefilter=vzdump&since=1795348801").([]any) {
				row := task.(map[string]any)
				at := time.Unix(int64(row["starttime"].(float64)), 0).UTC().Format("02 15:04")
				seen = append(seen, fmt.Sprint(at, " ", n.Name, " ", row["id"], " ", row["user"], " ", row["status"]))
			}
		}
		slices.Sort(seen)
		if !slices.Equal(seen, want) {
			t.Errorf("runs %q, want %q", seen, want)
		}
	}
	w.clock.Advance(time.Hour)
	runs()
	w.clock.Advance(2 * time.Hour)
	runs("22 14:00 pve1 200 root@pam OK", "22 14:00 pve2 201 root@pam OK")
	w.story("PUT /cluster/backup/web?schedule=16:00&vmid=200  => null")
	w.clock.Advance(24 * time.Hour) // not at 14:00 any more
	runs("22 14:00 pve1 200 root@pam OK", "22 14:00 pve2 201 root@pam OK", "22 16:00 pve1 200 root@pam OK")
	w.story("DELETE /cluster/backup/web  => null")
	w.clock.Advance(48 * time.Hour)
	runs("22 14:00 pve1 200 root@pam OK", "22 14:00 pve2 201 root@pam OK", "22 16:00 pve1 200 root@pam OK")
}

// What selects guests takes the place of what did before, as in PVE, and a pool takes a privilege.
func TestJobSelection(t *testing.T) {
	newWorld(t, pvesim.Cluster()).story(`
		PUT /cluster/backup/backup-nightly?pool=db                => null
		GET /cluster/backup/backup-nightly#all                    => null
		GET /cluster/backup/backup-nightly#exclude                => null
		GET /cluster/backup/backup-nightly#pool                   => db
		PUT /cluster/backup/backup-nightly?vmid=100               => null
		GET /cluster/backup/backup-nightly#pool                   => null
		PUT /cluster/backup/backup-nightly?exclude=100&delete=vmid  => null
		GET /cluster/backup/backup-nightly#all                    => 1
		PUT /cluster/backup/backup-nightly?all=1&delete=exclude   => null
		GET /cluster/backup/backup-nightly#exclude                => null
	`)
}

// Each disk of a guest, as a real cluster tells of them.
func TestIncludedVolumes(t *testing.T) {
	m := pvesim.Cluster()
	for i := range m.Guests {
		if g := &m.Guests[i]; g.VMID == 203 {
			g.Config["mp0"], g.Config["mp1"] = "local-zfs:subvol-203-disk-9,mp=/data,size=4G", "/srv,mp=/srv"
		}
	}
	m.Jobs = []pvesim.BackupJob{{ID: "a", Schedule: "daily", Options: map[string]string{"vmid": "100,203,999"}}}
	newWorld(t, m).story(`
		GET /cluster/backup/a/included_volumes#children => [` +
		`map[children:[map[id:100:scsi0 included:1 leaf:1 name:local-zfs:vm-100-disk-0 reason:backup=yes]] id:100 leaf:0 name:web-1 type:qemu] ` +
		`map[children:[map[id:203:mp0 included:0 leaf:1 name:local-zfs:subvol-203-disk-9 reason:disabled] ` +
		`map[id:203:mp1 included:0 leaf:1 name:/srv reason:not a volume] ` +
		`map[id:203:rootfs included:1 leaf:1 name:local-zfs:subvol-203-disk-0 reason:rootfs]] id:203 leaf:0 name:grafana type:lxc] ` +
		`map[id:999 leaf:1 type:unknown]]
	`)
}
