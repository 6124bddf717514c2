package backupstatus_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/testkit/effort"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

const day = 24 * time.Hour

// version gives the nodes a version.
func version(v string) func(*pvesim.Model) {
	return func(m *pvesim.Model) {
		if m.PVE = v; v[0] == '8' {
			m.HARules = nil
		}
	}
}

// backup adds a backup.
func backup(vmid int, age time.Duration, change func(*pvesim.Volume)) func(*pvesim.Model) {
	return func(m *pvesim.Model) {
		v := pvesim.Volume{ID: fmt.Sprintf("nfs:backup/vzdump-qemu-%d-*.vma.zst", vmid), Content: "backup", Format: "vma.zst", Size: 1 << 30, VMID: vmid, Age: age}
		change(&v)
		m.Volumes = append(m.Volumes, v)
	}
}

// weekly puts guests into a job of their own that runs each Monday. A world begins on a
// Saturday.
func weekly(ids string) func(*pvesim.Model) {
	return func(m *pvesim.Model) {
		m.Jobs = append(m.Jobs, pvesim.BackupJob{ID: "backup-monday", Schedule: "mon 02:00", Options: map[string]string{"vmid": ids, "storage": "nfs"}})
	}
}

// pool makes a token that has everything in a pool, and no more.
func pool(m *pvesim.Model) {
	m.ACL = append(m.ACL, pvesim.ACL{Path: "/pool/db", Who: "none@pve", Role: "PVEVMAdmin"}, pvesim.ACL{Path: "/pool/db", Who: "none@pve!mcp", Role: "PVEVMAdmin"})
}

func TestBackupStatus(t *testing.T) {
	const (
		all  = `"message":"9 of 15 guests have a good backup younger than 2d, or as their job schedules it; 103 db-2 and 107 erp-old only an older one; `
		none = `105 build-1, 106 win-2022, 109 desktop and 204 sandbox none. `
		rest = `The newest backup of 103 db-2 failed its verification. The last backup of 107 erp-old failed. In no enabled job: 105 build-1, 106 win-2022 and 204 sandbox."`
	)
	var stories []sim.Story
	for _, v := range []string{"8.4.21", "9.0.11"} {
		stories = append(stories, sim.Story{
			Name: "by default on " + v, Args: `{}`, Outcome: tool.OK, Options: sim.Options{Model: sim.Cluster(version(v))}, Sent: 16,
			Says: []string{all + none + rest,
				`{"guest":"105 build-1","node":"pve3","state":"none","why":["it has no backup","it is in no enabled job"],"fix":{"tool":"pve_create_backup","arguments":{"storage":"nfs","vmid":105}}}`,
				`"why":["its newest good backup is 9d old","its last backup failed","it is locked (backup): a backup of it fails (pve_diagnose says why)"]`,
				`"last_failure":{"ago":"6h","why":"vma_queue_write: write error - No space left on device"`,
				`"verified":"not yet"`, `"jobs":["backup-db: next 2000-01-01T01:00:00Z"]`, `"total":6,`,
				`"counts":{"guests":15,"fresh":9,"old":2,"none":4,"last_failed":1,"newest_is_bad":1,"never_verified":1,"in_no_job":3}`,
				`"good":["100 web-1","101 web-2","102 db-1","104 mail"`},
			Lacks: []string{`"blind"`, `"gone"`, `backup-weekly`},
		})
	}
	stories = append(stories, []sim.Story{
		{Name: "an auditor sees no backup, and none is said to be missing", Args: `{}`, Outcome: tool.OK, Options: sim.Options{Token: "audit@pve!mcp"},
			Says: []string{`"message":"Whether guests have backups cannot be seen: see blind. The last backup of 107 erp-old failed. In no enabled job: 105 build-1, 106 win-2022 and 204 sandbox."`,
				`"unknown":15`, `"missing":"Datastore.AllocateSpace on /storage"`},
			Lacks: []string{"no backup", `"none"`, "pve_create_backup", "never ran"}},
		{Name: "a pool's token", Args: `{}`, Outcome: tool.OK, Options: sim.Options{Token: "none@pve!mcp", Model: sim.Cluster(pool)},
			Says:  []string{`Whether guests have backups cannot be seen`, `"guests":2`, `"missing":"Datastore.Audit on /storage"`, `"missing":"Sys.Audit on /"`, `"missing":"VM.Audit on /vms"`},
			Lacks: []string{"no backup", "no enabled job"}},
		{Name: "a token without privileges", Args: `{}`, Outcome: tool.OK, Options: sim.Options{Token: "none@pve!mcp"},
			Says: []string{`"message":"There is no guest that this token may see."`, `"missing":"VM.Audit on /vms"`}},
		{Name: "a node is away", Args: `{}`, Outcome: tool.OK, Options: sim.Options{Model: sim.Cluster(func(m *pvesim.Model) { m.Nodes[2].Offline = true })},
			Says: []string{`of 105 build-1, 106 win-2022, 109 desktop and 204 sandbox it cannot be seen.`, `{"check":"backups","on":["storage local on pve3"],"missing":"it is not available, or its node is not"}`,
				`its newest good backup that can be seen is 9d old`, `there may be newer ones: storage local on pve3, which could not be read`},
			Lacks: []string{"no backup\""}},
		{Name: "a week", Args: `{"older_than":"7d"}`, Outcome: tool.OK,
			Says: []string{`10 of 15 guests have a good backup younger than 7d; 107 erp-old only an older one;`}},
		{Name: "a selection", Args: `{"guests":"pool:db"}`, Outcome: tool.OK, Says: []string{`"message":"1 of 2 guests have`, `"guest":"103 db-2"`}, Lacks: []string{"107"}},
		{Name: "a template that is asked for", Args: `{"guests":"900,901","older_than":"30d"}`, Outcome: tool.OK,
			Says: []string{`0 of 2 guests have a good backup younger than 30d; 900 debian-12 only an older one; 901 ubuntu-24.04 none.`, `"protected":true`}, Lacks: []string{"no enabled job"}},
		{Name: "without any", Args: `{"without":true,"limit":2}`, Outcome: tool.OK, Says: []string{`"total":4,"left_out":2,"more":"offset: 2, or a filter"`, `105 build-1`}, Lacks: []string{`"guest":"103`}},
		{Name: "all", Args: `{"all":true,"limit":50}`, Outcome: tool.OK,
			Says: []string{`"total":18,`, `"guest":"100 web-1","node":"pve1","state":"good","newest":{"volid":"nfs:backup/vzdump-qemu-100-`, `"id":"backup-weekly"`}, Lacks: []string{`"good":[`}},
		{Name: "a weekly job is kept to its schedule", Args: `{"guests":"107"}`, Outcome: tool.OK,
			Options: sim.Options{Model: sim.Cluster(weekly("107"), backup(107, 5*day-2*time.Hour, func(*pvesim.Volume) {}), func(m *pvesim.Model) { m.Tasks = nil })},
			Says:    []string{`"message":"1 of 1 guest have a good backup younger than 2d, or as their job schedules it."`}},
		{Name: "a job that has not run twice", Args: `{}`, Outcome: tool.OK, Options: sim.Options{Model: sim.Cluster(weekly("106"), backup(106, 20*day, func(*pvesim.Volume) {}))},
			Says: []string{`{"id":"backup-monday","schedule":"mon 02:00","guests":"106","storage":"nfs","next":"2000-01-03T02:00:00Z","last":"20d","why":["it has not run as scheduled: it was to run at 1999-12-20T02:00:00Z"]}`}},
		{Name: "a job that never ran", Args: `{}`, Outcome: tool.OK, Options: sim.Options{Model: sim.Cluster(weekly("106,999"))},
			Says: []string{`"why":["no task and no backup shows that it ever ran","it names guests that do not exist: 999"]`}},
		{Name: "a guest that is not there has backups", Args: `{}`, Outcome: tool.OK, Options: sim.Options{Model: sim.Cluster(backup(777, day, func(v *pvesim.Volume) { v.Notes = "shop\x1b[31m" }))},
			Says: []string{`"gone":{"guests":["777 shop: newest 1d old"],"count":1,"backups":1}`}},
		{Name: "the id had another name", Args: `{"guests":"105"}`, Outcome: tool.OK, Options: sim.Options{Model: sim.Cluster(backup(105, day, func(v *pvesim.Volume) { v.Notes = "old-ci" }))},
			Says: []string{`"state":"doubtful"`, `the notes of its newest good backup say \"old-ci\": it may be of a guest that had the id before`, `Those of 105 build-1 may be of another guest.`}},
		{Name: "the id was of a container", Args: `{"guests":"204"}`, Outcome: tool.OK, Options: sim.Options{Model: sim.Cluster(backup(204, day, func(*pvesim.Volume) {}))},
			Says: []string{`204 sandbox none.`, `1 backups of its id are of another guest, and do not count`}},
		{Name: "disks that no job includes", Args: `{"guests":"104"}`, Outcome: tool.OK, Options: sim.Options{Model: sim.Cluster(sim.Set(104, "scsi1=local-zfs:vm-104-disk-9,backup=0,size=4G"))},
			Says: []string{`No job includes all disks of 104 mail.`, `"state":"excluded","why":["1 disk is in no enabled job"]`, `"excluded":["scsi1 local-zfs:vm-104-disk-9: backup=no"]`}},
		{Name: "read-only offers no call", Args: `{}`, Outcome: tool.OK, Options: sim.Options{Policy: policy.Policy{ReadOnly: true}}, Says: []string{all}, Lacks: []string{"pve_create_backup"}},
		{Name: "an age that is none", Args: `{"older_than":"soon"}`, Outcome: tool.Failed, Says: []string{`"soon"`, "30d, 24h or 2w"}},
		{Name: "nobody", Args: `{"guests":"tag:prdo"}`, Outcome: tool.Failed, Says: []string{"prdo", "prod"}},
	}...)
	sim.Tell(t, "pve_backup_status", stories)
}

// On 10,000 guests of 30 nodes, an answer takes a few kilobytes, and one request for each node,
// storage and job.
func TestBounds(t *testing.T) {
	effort.SkipShort(t)
	synctest.Test(t, func(t *testing.T) {
		m := pvesim.Huge()
		m.Storages = append(m.Storages, pvesim.Storage{ID: "nfs", Type: "nfs", Content: "backup", Shared: true, Size: 1 << 50, Used: 1 << 48})
		m.Jobs = []pvesim.BackupJob{{ID: "all", Schedule: "02:00", Options: map[string]string{"all": "1", "storage": "nfs"}}}
		for i := range 3000 {
			backup(100+i, time.Duration(i)*time.Hour/24, func(v *pvesim.Volume) { v.Notes = strings.Repeat("a note of somebody, and on it goes. ", 20) })(&m)
		}
		w := sim.New(t, sim.Options{Model: &m, Token: "root@pam!full"})
		for _, args := range []string{`{}`, `{"all":true}`, `{"without":true}`} {
			a := w.Call("pve_backup_status", args)
			if sent := w.Sent(); len(a.Text) > 6000 || len(sent) > 5+30+31 || a.IsError {
				t.Errorf("%s: %d bytes, %d requests: %.300s", args, len(a.Text), len(sent), a.Text)
			}
			t.Logf("%d bytes: %.300s", len(a.Text), a.Text)
		}
		pages := map[string]bool{}
		for offset := 0; offset < 1000; offset += 200 {
			a := w.Call("pve_backup_status", fmt.Sprintf(`{"without":true,"limit":200,"offset":%d}`, offset))
			for _, g := range a.Fields["guests"].([]any) {
				name := g.(map[string]any)["guest"].(string)
				if pages[name] {
					t.Errorf("%s is on two pages", name)
				}
				pages[name] = true
			}
		}
	})
}

// Each request is progress.
func TestProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := sim.New(t, sim.Options{}).Call("pve_backup_status", `{}`)
		if len(a.Progress) < 5 || !slices.IsSortedFunc(a.Progress, func(x, y cluster.Progress) int { return int(x.Done - y.Done) }) {
			t.Errorf("progress %v", a.Progress)
		}
	})
}
