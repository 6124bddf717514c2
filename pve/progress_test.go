package pve

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/testkit/recorded"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/proxmox/lenient"
)

// inShort writes progress in short: 42% 10/20 5/s 2s.
func inShort(p proxmox.Progress) string {
	var out []string
	if p.Percent.Set {
		out = append(out, fmt.Sprintf("%.1f%%", p.Percent.Value))
	}
	if p.Done > 0 || p.Total > 0 {
		out = append(out, fmt.Sprintf("%d/%d", p.Done>>20, p.Total>>20))
	}
	if p.Rate > 0 {
		out = append(out, fmt.Sprintf("%d/s", p.Rate>>20))
	}
	if p.Left > 0 {
		out = append(out, p.Left.String())
	}
	return strings.Join(out, " ")
}

func linesOf(text ...string) []proxmox.LogLine {
	var out []proxmox.LogLine
	for i, t := range text {
		out = append(out, proxmox.LogLine{N: lenient.Some(int64(i + 1)), Text: lenient.Some(t)})
	}
	return out
}

// Each line of a log, and after => what is known then (in MiB), where it is not the same as before.
func TestProgress(t *testing.T) {
	for name, log := range map[string]string{
		"backup of a VM": `
INFO: starting new backup job: vzdump 100 --mode snapshot --storage local --remove 0
INFO: Starting Backup of VM 100 (qemu)
INFO: started backup task 'e80a47bd-b1f4-40fd-9a60-297888a04267'
INFO:   0% (112.0 MiB of 3.0 GiB) in 3s, read: 37.3 MiB/s, write: 36.0 MiB/s => 0.0% 112/3072 37/s 1m19s
INFO:  40% (1.2 GiB of 3.0 GiB) in 10s, read: 120.0 MiB/s, write: 80.1 MiB/s => 40.0% 1228/3072 120/s 15s
INFO:  80% (2.4 GiB of 3.0 GiB) in 1m 20s, read: 0 B/s, write: 0 B/s => 80.0% 2457/3072 20s
INFO: 100% (3.0 GiB of 3.0 GiB) in 1m 30s, read: 61.4 MiB/s, write: 0 B/s => 99.0% 3072/3072
INFO: archive file size: 1.20GB
INFO: Finished Backup of VM 100 (00:01:05)
INFO: Backup job finished successfully
TASK OK => 100.0% 3072/3072`,

		"backup of several guests, one of which fails": `
INFO: starting new backup job: vzdump 100 101 200 300 --storage local --mode snapshot
INFO: skip external VMs: 300
INFO: Starting Backup of VM 100 (qemu)
INFO:  50% (1.0 GiB of 2.0 GiB) in 10s, read: 102.4 MiB/s, write: 0 B/s => 16.7% 1024/2048 102/s
INFO: Finished Backup of VM 100 (00:00:20) => 33.3% 2048/2048
INFO: Starting Backup of VM 101 (qemu) => 33.3% 2048/0
ERROR: Backup of VM 101 failed - VM is locked (backup) => 66.7% 2048/0
INFO: Starting Backup of VM 200 (lxc)
INFO: Total bytes written: 1073741824 (1.0GiB, 155MiB/s) => 66.7% 3072/0 155/s
INFO: Finished Backup of VM 200 (00:00:07) => 99.0% 3072/0
INFO: Backup job finished with errors
TASK ERROR: job errors`,

		"backup of all guests": `
INFO: starting new backup job: vzdump --all 1 --mode snapshot --storage local
INFO: Starting Backup of VM 100 (qemu)
INFO:  50% (1.0 GiB of 2.0 GiB) in 10s, read: 102.4 MiB/s, write: 0 B/s => 1024/2048 102/s`,

		"backup of a container to a backup server": `
INFO: starting new backup job: vzdump 200 --storage pbs
INFO: Starting Backup of VM 200 (lxc)
INFO: processed 6.0 GiB in 1m, uploaded 1.3 GiB => 6144/0 102/s
INFO: Finished Backup of VM 200 (00:01:05) => 99.0% 6144/0
TASK OK => 100.0% 6144/0`,

		"disk that is moved while the VM runs": `
create full clone of drive scsi0 (local:100/vm-100-disk-0.qcow2)
drive mirror is starting for drive-scsi0
drive-scsi0: transferred 0.0 B of 32.0 GiB (0.00%) in 0s => 0.0% 0/32768
drive-scsi0: transferred 8.0 GiB of 32.0 GiB (25.00%) in 1m 20s => 25.0% 8192/32768 102/s 4m0s
drive-scsi0: transferred 7.9 GiB of 32.5 GiB (24.31%) in 1m 21s => 25.0% 8192/33280 99/s 4m12s
drive-scsi0: transferred 32.0 GiB of 32.0 GiB (100.00%) in 5m 20s, still busy => 99.0% 32768/32768
drive-scsi0: transferred 32.0 GiB of 32.0 GiB (100.00%) in 5m 21s, ready
drive-scsi0: Completing block job...
TASK OK => 100.0% 32768/32768`,

		"full clone with a disk for EFI": `
create full clone of drive efidisk0 (local:100/vm-100-disk-1.qcow2)
Formatting '/mnt/data/images/901/vm-901-disk-1.qcow2', fmt=qcow2 size=540672
transferred 0.0 B of 528.0 KiB (0.00%) => 0/0
transferred 528.0 KiB of 528.0 KiB (100.00%)
create full clone of drive scsi0 (local:100/vm-100-disk-0.qcow2)
Formatting '/mnt/data/images/901/vm-901-disk-0.qcow2', fmt=qcow2 size=2147483648
transferred 0.0 B of 2.0 GiB (0.00%) => 0.0% 0/2048
transferred 1.0 GiB of 2.0 GiB (50.00%) => 50.0% 1024/2048
transferred 2.0 GiB of 2.0 GiB (100.00%) => 99.0% 2048/2048
TASK OK => 100.0% 2048/2048`,

		"live migration of memory alone": `
2026-08-01 10:00:00 starting migration of VM 100 to node 'pve2' (10.0.0.2)
2026-08-01 10:00:00 starting VM 100 on remote node 'pve2'
2026-08-01 10:00:01 migration active, transferred 1.0 GiB of 4.0 GiB VM-state, 102.4 MiB/s => 25.0% 1024/4096 102/s 30s
2026-08-01 10:00:31 migration active, transferred 4.5 GiB of 4.0 GiB VM-state, 102.4 MiB/s, VM dirties lots of memory: 110.2 MiB/s => 99.0% 4608/4608 102/s
2026-08-01 10:00:35 migration completed, transferred 4.8 GiB VM-state => 99.0% 4915/4915
2026-08-01 10:00:36 migration finished successfully (duration 00:00:36)
TASK OK => 100.0% 4915/4915`,

		"live migration with two disks": `
2026-08-01 10:00:00 found local disk 'data:100/vm-100-disk-0.qcow2' (attached)
2026-08-01 10:00:00 found local disk 'data:100/vm-100-disk-1.qcow2' (attached)
2026-08-01 10:00:00 starting VM 100 on remote node 'pve2'
2026-08-01 10:00:01 starting storage migration
mirror-scsi0: transferred 1.0 GiB of 2.0 GiB (50.00%) in 10s => 22.5% 1024/2048 102/s
mirror-scsi0: transferred 2.0 GiB of 2.0 GiB (100.00%) in 20s, ready => 45.0% 2048/2048
mirror-scsi1: transferred 0.0 B of 6.0 GiB (0.00%) in 0s => 45.0% 2048/8192
mirror-scsi0: transferred 2.0 GiB of 2.0 GiB (100.00%) in 21s, still busy
mirror-scsi1: transferred 3.0 GiB of 6.0 GiB (50.00%) in 30s => 56.2% 5120/8192 102/s
mirror-scsi1: transferred 6.0 GiB of 6.0 GiB (100.00%) in 1m 0s, ready => 90.0% 8192/8192
2026-08-01 10:02:01 migration active, transferred 1.0 GiB of 2.0 GiB VM-state, 102.4 MiB/s => 95.0% 9216/10240 102/s 10s
2026-08-01 10:02:11 migration status: completed => 99.0% 9216/10240
TASK OK => 100.0% 9216/10240`,

		"offline migration of two volumes": `
2026-11-22 18:06:47 found local volume 'data:958/vm-958-disk-0.raw' (in current VM config)
2026-11-22 18:06:47 found local volume 'data:958/vm-958-disk-1.raw' (in current VM config)
2026-11-22 18:06:49 Formatting '/mnt/data/images/958/vm-958-disk-0.raw', fmt=raw size=1073741824 preallocation=off
2026-11-22 18:06:52 536870912 bytes (537 MB, 512 MiB) copied, 5 s, 107 MB/s  => 25.0% 512/1024 102/s
2026-11-22 18:06:58 262144+0 records in
2026-11-22 18:06:58 1073741824 bytes (1.1 GB, 1.0 GiB) copied, 9.8803 s, 109 MB/s => 50.0% 1024/1024
2026-11-22 18:06:58 1073741824 bytes (1.1 GB, 1.0 GiB) copied, 9.21343 s, 117 MB/s
2026-11-22 18:06:58 successfully imported 'data:958/vm-958-disk-0.raw'
2026-11-22 18:06:59 Formatting '/mnt/data/images/958/vm-958-disk-1.raw', fmt=raw size=1073741824 preallocation=off
2026-11-22 18:07:02 536870912 bytes (537 MB, 512 MiB) copied, 5 s, 107 MB/s => 75.0% 1536/2048 102/s 5s`,

		"offline migration by zfs": `
2026-08-01 10:00:00 found local disk 'local-zfs:vm-100-disk-0' (attached)
2026-08-01 10:00:01 full send of rpool/data/vm-100-disk-0@__migration__ estimated size is 4.00G
2026-08-01 10:00:01 total estimated size is 4.00G
2026-08-01 10:00:02 TIME        SENT   SNAPSHOT rpool/data/vm-100-disk-0@__migration__
2026-08-01 10:00:02 10:00:02   1.00G   rpool/data/vm-100-disk-0@__migration__ => 25.0% 1024/4096
2026-08-01 10:00:42 successfully imported 'local-zfs:vm-100-disk-0' => 99.0% 4096/4096`,

		"restore of two disks from an archive": `
DEV: dev_id=1 size: 1073741824 devname: drive-scsi0
DEV: dev_id=2 size: 1073741824 devname: drive-scsi1
new volume ID is 'data:903/vm-903-disk-0.qcow2'
new volume ID is 'data:903/vm-903-disk-1.qcow2'
progress 1% (read 21495808 bytes, duration 0 sec) => 1.0% 20/2048
progress 50% (read 1073741824 bytes, duration 10 sec) => 50.0% 1024/2048 102/s 10s
progress 100% (read 2147483648 bytes, duration 20 sec) => 99.0% 2048/2048`,

		"restore of two disks from a backup server": `
new volume ID is 'local-lvm:vm-100-disk-0'
new volume ID is 'local-lvm:vm-100-disk-1'
restore proxmox backup image: /usr/bin/pbs-restore --repository root@pam@pbs:main vm/100/2026-08-01T10:00:00Z drive-efidisk0.img.fidx /dev/pve/vm-100-disk-0 --verbose
progress 100% (read 540672 bytes, zeroes = 0% (0 bytes), duration 0 sec) => 0/0
restore image complete (bytes=540672, duration=0.10s, speed=5.00MB/s)
restore proxmox backup image: /usr/bin/pbs-restore --repository root@pam@pbs:main vm/100/2026-08-01T10:00:00Z drive-scsi0.img.fidx /dev/pve/vm-100-disk-1 --verbose
progress 25% (read 1073741824 bytes, zeroes = 3% (33554432 bytes), duration 10 sec) => 25.0% 1024/4096 102/s 30s
restore image complete (bytes=4294967296, duration=40.21s, speed=101.86MB/s) => 99.0% 4096/4096`,

		"download": `
downloading https://example.org/debian.iso to /var/lib/vz/template/iso/debian.iso
Length: 134217728 (128M) [application/x-iso9660-image]
     0K ........ ........ ........ ........ 25% 98.7M 1s => 25.0% 32/128 98/s 1s
 32768K ........ ........ ........ ........ 50% 90.0M 1m4s => 50.0% 64/128 90/s 1m4s
 65536K ........ ........ ........ ........ 75% 1.5G 0s => 75.0% 96/128 1536/s
 98304K ........ ........ ........ ........                               100%  110M=1.2s => 99.0% 128/128
download of 'https://example.org/debian.iso' to '/var/lib/vz/template/iso/debian.iso' finished
TASK OK => 100.0% 128/128`,

		"download of unknown length": `
     0K ........ ........ ........ ........  3% 98.7M 8s => 3.0% 32/0 98/s 8s`,

		"snapshot with memory": `
Formatting '/mnt/data/images/900/vm-900-state-withram.raw', fmt=raw size=1061158912 preallocation=off
saving VM state and RAM using storage 'data'
512.00 MiB in 5s => 512/0 102/s
1.25 GiB in 10s => 1280/0 128/s
completed saving the VM state in 11s, saved 1.25 GiB => 1280/0
TASK OK => 100.0% 1280/0`,

		"clone of a container": `
create full clone of mountpoint rootfs (data:950/vm-950-disk-0.raw)
Number of files: 308 (reg: 15, dir: 25, link: 268)
sent 1,073,741,824 bytes  received 1,216 bytes  104,857,600.00 bytes/sec => 1024/0 100/s
TASK OK => 100.0% 1024/0`,

		"what says nothing": `
50% of the people think 100% of 3 GiB is enough
INFO: backup is sparse: 2.00 GiB (100%) total zero data
INFO: transferred 2.00 GiB in 3 seconds (682.7 MiB/s)
drive-scsi0: Completed successfully.
TASK ERROR: 99% of it failed`,
	} {
		t.Run(name, func(t *testing.T) {
			var m Meter
			want := ""
			for _, line := range strings.Split(strings.TrimPrefix(log, "\n"), "\n") {
				line, after, changes := strings.Cut(line, " => ")
				if changes {
					want = after
				}
				got := inShort(m.Read(linesOf(line)))
				if got != want {
					t.Errorf("%s: %q, want %q", line, got, want)
				}
				want = got
			}
		})
	}
}

// checkProgress says what is wrong with what a meter shows after something else.
func checkProgress(before, p proxmox.Progress) string {
	switch {
	case p.Percent.Value < before.Percent.Value, before.Percent.Set && !p.Percent.Set, p.Done < before.Done:
		return "it falls"
	case p.Percent.Value < 0 || p.Percent.Value > 100, p.Total > 0 && p.Done > p.Total:
		return "it is more than all"
	case min(p.Done, p.Total, p.Rate) < 0 || p.Left < 0 || p.Left > 366*24*time.Hour:
		return "a number cannot be"
	}
	return ""
}

func TestProgressOfRecordedTasks(t *testing.T) {
	tasks, figures := 0, 0
	for _, row := range recorded.Rows(t) {
		var lines []proxmox.LogLine
		if row.Task == "" || json.Unmarshal(row.Log, &lines) != nil || len(lines) == 0 {
			continue
		}
		tasks++
		var m Meter
		var last proxmox.Progress
		for i := range lines {
			p := m.Read(lines[i : i+1])
			if wrong := checkProgress(last, p); wrong != "" {
				t.Errorf("%v: %q: %+v after %+v: %s", row, lines[i].Text.Value, p, last, wrong)
			}
			last = p
			if end := lines[i].Says() == ""; !end && p.Percent.Value == 100 {
				t.Errorf("%v: %q: 100 %% before the end", row, lines[i].Text.Value)
			}
		}
		if last.Done > 0 {
			figures++
		}
		if all := new(Meter).Read(lines); all != last {
			t.Errorf("%v: at once %+v, line by line %+v", row, all, last)
		}
	}
	t.Logf("%d logs of tasks, %d with a figure", tasks, figures)
	if figures < 20 {
		t.Errorf("only %d of %d logs give a figure", figures, tasks)
	}
}

func FuzzMeter(f *testing.F) {
	seed(f, "", "TASK OK\ntransferred 1.0 GiB of 2.0 GiB (50.00%)",
		"INFO: starting new backup job: vzdump 1 2 3 --x\nINFO: Starting Backup of VM 1 (qemu)\nINFO: 250% (9999999999999999 PiB of 0 B) in 99999999999999999d, read: 1 B/s, write: 1",
		"a: transferred 1.0 B of 2.0 PiB (9.99%) in 5s\nb: transferred 1.0 B of 2.0 B (100%) in 1h\nmigration active, transferred 5.0 GiB of 4.0 GiB VM-state, 1.1 MiB/s",
		"Formatting 'x', size=5\n7 bytes (7 B) copied, 3 s, 84.3 MB/s\nsuccessfully imported 'x'\n2026-08-01 10:00:00 1 bytes () copied, 3 s, 1 MB/s",
		"DEV: dev_id=1 size: 0 devname: x\nprogress 50% (read 1 bytes, duration 0 sec)\nprogress 1% (read 0 bytes, duration 9 sec)",
		"Length: 0\n 1K .... 900% 98.7M 8s\n9999999K 1% 1..1M 1..1s")
	f.Fuzz(func(t *testing.T, log string) {
		var m Meter
		var last proxmox.Progress
		for _, line := range strings.Split(log, "\n") {
			p := m.Read(linesOf(line))
			if wrong := checkProgress(last, p); wrong != "" {
				t.Fatalf("%q: %+v after %+v: %s", line, p, last, wrong)
			}
			last = p
		}
	})
}
