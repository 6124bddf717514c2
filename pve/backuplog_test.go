package pve

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pve-mcp/pve-mcp/internal/testkit/recorded"
	"github.com/pve-mcp/pve-mcp/proxmox"
)

func TestBackups(t *testing.T) {
	for _, tt := range []struct {
		name  string
		lines []string
		want  BackupLog
	}{
		// As a real node has written it.
		{"a VM and a container", []string{
			"INFO: starting new backup job: vzdump 900 950 --compress 0 --node pve1 --protected 1 --mode snapshot --storage local --remove 0",
			"INFO: Starting Backup of VM 900 (qemu)",
			"INFO: Backup started at 2026-11-22 18:05:37",
			"INFO: creating vzdump archive '/var/lib/vz/dump/vzdump-qemu-900-2026_11_22-18_05_37.vma'",
			"INFO: 100% (2.0 GiB of 2.0 GiB) in 3s, read: 682.7 MiB/s, write: 0 B/s",
			"INFO: archive file size: 295KB",
			"INFO: marking backup as protected",
			"INFO: Finished Backup of VM 900 (00:00:06)",
			"INFO: Backup finished at 2026-11-22 18:05:43",
			"INFO: Starting Backup of VM 950 (lxc)",
			"INFO: archive file size: 2MB",
			"INFO: Finished Backup of VM 950 (00:00:01)",
			"INFO: Backup job finished successfully",
			"TASK OK",
		}, BackupLog{IDs: []string{"900", "950"}, Options: map[string]string{
			"compress": "0", "node": "pve1", "protected": "1", "mode": "snapshot", "storage": "local", "remove": "0",
		}, Guests: []GuestBackup{
			{VMID: 900, State: BackupDone, Took: 6 * time.Second, Size: "295KB"},
			{VMID: 950, State: BackupDone, Took: time.Second, Size: "2MB"},
		}}},
		{"no such guest", []string{
			"INFO: starting new backup job: vzdump 99999 --remove 0 --node pve1 --storage local",
			"ERROR: Backup of VM 99999 failed - unable to find VM '99999'",
			"INFO: Failed at 2026-11-22 18:05:45",
			"INFO: Backup job finished with errors",
			"TASK ERROR: job errors",
		}, BackupLog{IDs: []string{"99999"}, Options: map[string]string{"remove": "0", "node": "pve1", "storage": "local"}, Guests: []GuestBackup{{VMID: 99999, State: BackupFailed, Reason: "unable to find VM '99999'"}}}},
		{"interrupted, with guests of other nodes", []string{
			"INFO: starting new backup job: vzdump 100 101 102 103 200 --storage nfs --quiet 1",
			"INFO: skip external VMs: 101, 102",
			"INFO: Starting Backup of VM 100 (qemu)",
			"INFO: archive file size: 1.20GB",
			"INFO: Finished Backup of VM 100 (12:34:56)",
			"INFO: Starting Backup of VM 103 (qemu)",
			"INFO: archive file size: 1.20GB",
			"ERROR: Backup of VM 103 failed - interrupted by signal",
			"ERROR: Backup job failed - interrupted by signal",
			"TASK ERROR: interrupted by signal",
		}, BackupLog{IDs: []string{"100", "101", "102", "103", "200"}, Options: map[string]string{"storage": "nfs", "quiet": "1"}, Guests: []GuestBackup{
			{VMID: 100, State: BackupDone, Took: 12*time.Hour + 34*time.Minute + 56*time.Second, Size: "1.20GB"},
			{VMID: 103, State: BackupFailed, Reason: "interrupted by signal"},
		}, Waiting: []VMID{200}}},
		{"under way", []string{"INFO: starting new backup job: vzdump --all 1 --storage nfs", "INFO: Starting Backup of CT 200 (lxc)"},
			BackupLog{Options: map[string]string{"all": "1", "storage": "nfs"}, Guests: []GuestBackup{{VMID: 200, State: BackupBegun}}}},
		{"of a job", []string{"INFO: starting new backup job: vzdump 100 --quiet 1 --notes-template '{{guestname}} - {{node}}' --job-id backup-db --exclude-path /tmp/?* --storage nfs"},
			BackupLog{Job: "backup-db", IDs: []string{"100"}, Waiting: []VMID{100}, Options: map[string]string{
				"quiet": "1", "notes-template": "{{guestname}} - {{node}}", "job-id": "backup-db", "exclude-path": "/tmp/?*", "storage": "nfs",
			}}},
		{"another task", []string{"INFO: Finished Backup of VM 0 (00:00:01)", "ERROR: Backup of VM 99999999999 failed - x", "transferred 1.0 GiB"}, BackupLog{}},
	} {
		if diff := cmp.Diff(tt.want, Backups(linesOf(tt.lines...))); diff != "" {
			t.Errorf("%s: %s", tt.name, diff)
		}
	}
}

// What a recorded log says of its guests agrees with how the task ended.
func TestRecordedBackups(t *testing.T) {
	found := 0
	for _, row := range recorded.Rows(t) {
		var lines []proxmox.LogLine
		if !strings.Contains(row.Task, ":vzdump:") || json.Unmarshal(row.Log, &lines) != nil || len(lines) == 0 {
			continue
		}
		found++
		log, well := Backups(lines), lines[len(lines)-1].Text.Value == "TASK OK"
		for _, g := range log.Guests {
			if well != (g.State == BackupDone) || well != (g.Size != "") || well == (g.Reason != "") {
				t.Errorf("%v: %+v", row, g)
			}
		}
		began := strings.HasPrefix(lines[0].Text.Value, "INFO: starting new backup job: ")
		if began != (len(log.Guests) > 0) || len(log.Waiting) > 0 {
			t.Errorf("%v: %+v", row, log)
		}
	}
	if found < 5 {
		t.Errorf("only %d recorded backups", found)
	}
}
