package cluster_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/testkit/recorded"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/proxmox/lenient"
)

func logOf(text string) []proxmox.LogLine {
	var out []proxmox.LogLine
	for i, line := range strings.Split(strings.Trim(text, "\n"), "\n") {
		out = append(out, proxmox.LogLine{N: lenient.Some(int64(i + 1)), Text: lenient.Some(line)})
	}
	return out
}

func TestWhy(t *testing.T) {
	mirror := ""
	for i := range 500 {
		mirror += fmt.Sprintf("drive-scsi0: transferred %d.0 MiB of 32.0 GiB (%d.00%%) in %ds\n", i*64, i/5, i)
	}
	for _, tt := range []struct{ name, log, want string }{
		{"only the end", `
TASK ERROR: VM 900 already running`, ``},
		{"a program's words", `
lxc-checkpoint: 950: ../src/lxc/criu.c: criu_version_ok: 767 No such file or directory - execing criu failed, is it installed?
lxc-checkpoint: 950: ../src/lxc/tools/lxc_checkpoint.c: checkpoint: 182 Checkpointing 950 failed
TASK ERROR: command 'lxc-checkpoint -n 950 -s -D /var/lib/vz/dump' failed: exit code 1`, `
lxc-checkpoint: 950: ../src/lxc/criu.c: criu_version_ok: 767 No such file or directory - execing criu failed, is it installed?
lxc-checkpoint: 950: ../src/lxc/tools/lxc_checkpoint.c: checkpoint: 182 Checkpointing 950 failed`},
		{"words that do not sound bad", `
generating cloud-init ISO
one
two
three
TASK ERROR: start failed: QEMU exited with code 1`, `
two
three`},
		{"after much progress", mirror + `
drive-scsi0: Cancelling block job
drive-scsi0: Done.
2026-08-01 10:08:20 ERROR: online migrate failure - block job (mirror) error: drive-scsi0: Input/output error (io-status: ok)
2026-08-01 10:08:20 aborting phase 2 - cleanup resources
2026-08-01 10:08:22 ERROR: migration finished with problems (duration 00:08:22)
TASK ERROR: migration problems`, `
2026-08-01 10:08:20 ERROR: online migrate failure - block job (mirror) error: drive-scsi0: Input/output error (io-status: ok)
2026-08-01 10:08:22 ERROR: migration finished with problems (duration 00:08:22)`},
		{"a backup job with guests that failed", `
INFO: starting new backup job: vzdump 100 101 102 103 --mode snapshot --storage nfs
INFO: Starting Backup of VM 100 (qemu)
INFO: status = running
INFO: 100% (3.0 GiB of 3.0 GiB) in 30s, read: 100.0 MiB/s, write: 0 B/s
INFO: Finished Backup of VM 100 (00:00:31)
INFO: Starting Backup of VM 101 (qemu)
ERROR: Backup of VM 101 failed - VM is locked (snapshot)
INFO: Failed at 2026-08-01 02:00:31
INFO: Starting Backup of VM 102 (qemu)
INFO:  50% (1.5 GiB of 3.0 GiB) in 30s, read: 100.0 MiB/s, write: 0 B/s
ERROR: vma_queue_write: write error - Broken pipe
INFO: aborting backup job
INFO: resuming VM again
ERROR: Backup of VM 102 failed - vma_queue_write: write error - Broken pipe
INFO: Failed at 2026-08-01 02:01:31
INFO: Starting Backup of VM 103 (qemu)
INFO: Finished Backup of VM 103 (00:00:31)
INFO: Backup job finished with errors
TASK ERROR: job errors`, `
ERROR: Backup of VM 101 failed - VM is locked (snapshot)
ERROR: Backup of VM 102 failed - vma_queue_write: write error - Broken pipe`},
		{"many guests that failed", `
ERROR: Backup of VM 101 failed - a
tar: x: Cannot open: Permission denied
ERROR: Backup of VM 102 failed - b
ERROR: Backup of VM 103 failed - c
ERROR: Backup of VM 104 failed - d
TASK ERROR: job errors`, `
ERROR: Backup of VM 102 failed - b
ERROR: Backup of VM 103 failed - c
ERROR: Backup of VM 104 failed - d
(and 2 more such lines)`},
		{"warnings", `
WARN: old systemd (< v232) detected, container won't run in a pure cgroupv2 environment!
explicitly configured lxc.apparmor.profile overrides the following settings: features:nesting
done
TASK WARNINGS: 1`, `
WARN: old systemd (< v232) detected, container won't run in a pure cgroupv2 environment!`},
		{"killed", `
INFO: Starting Backup of VM 100 (qemu)
INFO:  50% (1.5 GiB of 3.0 GiB) in 30s, read: 100.0 MiB/s, write: 0 B/s`, ``},
	} {
		want := strings.Split(strings.TrimPrefix(tt.want, "\n"), "\n")
		if tt.want == "" {
			want = []string{}
		}
		most := 3
		if diff := cmp.Diff(want, cluster.ReasonLines(logOf(tt.log), most)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

// What the tasks of a real node that failed had said, beside their exit status.
func TestWhyRecordedTasksFailed(t *testing.T) {
	want := map[string]string{
		"vzdump job errors":                                  "ERROR: Backup of VM 99999 failed - unable to find VM '99999'",
		"vzdump interrupted by signal":                       "ERROR: Backup of VM 900 failed - interrupted by signal; ERROR: Backup job failed - interrupted by signal",
		"qmrestore unable to restore VM 903 - vm is running": "error before or during data restore, some or all disks were not completely restored. VM 903 state is NOT cleaned up.",
		"vzsuspend command 'lxc-checkpoint -n 950 -s -D /var/lib/vz/dump' failed: exit code 1": "lxc-checkpoint: 950: ../src/lxc/criu.c: criu_version_ok: 767 No such file or directory - execing criu failed, is it installed?; " +
			"lxc-checkpoint: 950: ../src/lxc/tools/lxc_checkpoint.c: checkpoint: 182 Checkpointing 950 failed",
		"download download failed: exit code 8": "2026-11-29 18:24:51 ERROR 404: File not found.",
		"qmconfig cannot import from 'data:930/nosuch.qcow2' - could not get size of data:930/nosuch.qcow2": "failed to stat '/mnt/data/images/930/nosuch.qcow2'",
		"bulk-start Some guests failed to start: 200, 902": "WARN: 500 CT 200 already running; " +
			"WARN: Starting CT 902 failed: volume 'snap:902/vm-902-disk-0.raw' does not exist",
		"bulk-migrate Some guests failed to migrate 900": "WARN: 500 no such cluster node 'pve9'",
	}
	found := map[string]bool{}
	tasks := 0
	for _, row := range recorded.Rows(t) {
		var lines []proxmox.LogLine
		if row.Task == "" || len(row.Statuses) == 0 || json.Unmarshal(row.Log, &lines) != nil {
			continue
		}
		var status proxmox.TaskStatus
		if err := json.Unmarshal(row.Statuses[len(row.Statuses)-1], &status); err != nil || status.Running() || status.Succeeded() {
			continue
		}
		tasks++
		why := cluster.ReasonLines(lines, 5)
		name := status.Type + " " + status.ExitStatus.Value
		switch said, known := want[name]; {
		case strings.HasPrefix(name, "qmigrate"):
			said := strings.Join(why, "; ")
			if !strings.Contains(said, "without with-local-disks option") || !strings.Contains(said, "migration aborted (duration 00:00:01): Problem found") || len(why) > 3 {
				t.Errorf("%v: %q", row, why)
			}
		case known:
			found[name] = true
			if got := strings.Join(why, "; "); got != said {
				t.Errorf("%v: %s", row, got)
			}
		case len(why) > 0:
			t.Errorf("%v: %s: %q", row, name, why)
		}
	}
	t.Logf("%d tasks that failed", tasks)
	if len(found) != len(want) {
		t.Errorf("found only %v", found)
	}
}
