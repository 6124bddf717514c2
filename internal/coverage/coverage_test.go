package coverage_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/coverage"
	"github.com/pve-mcp/pve-mcp/internal/survey"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pve"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

const day = 24 * time.Hour

// read reads the coverage of a cluster with a token, "" for the demo's.
func read(t *testing.T, m pvesim.Model, token string) (*coverage.Coverage, []survey.Blind, *sim.World) {
	t.Helper()
	w := sim.New(t, sim.Options{Model: &m})
	if token != "" {
		w = w.As(token)
	}
	w.Host.Now = time.Now // which is the simulator's
	c, err := tool.NewCall(t.Context(), w.Host, tool.Request{Progress: func(cluster.Progress) {}})
	if err != nil {
		t.Fatal(err)
	}
	s, end, err := survey.Begin(t.Context(), c.View, survey.Deadline)
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	got, err := coverage.Read(t.Context(), s, coverage.Options{Logs: 3})
	if err != nil {
		t.Fatal(err)
	}
	return got, s.Blind(), w
}

func guest(t *testing.T, c *coverage.Coverage, id pve.VMID) *coverage.Guest {
	t.Helper()
	i := slices.IndexFunc(c.Guests, func(g coverage.Guest) bool { return g.VMID == id })
	if i < 0 {
		t.Fatalf("no guest %v", id)
	}
	return &c.Guests[i]
}

// say writes what protects a guest in a line.
func say(g *coverage.Guest) string {
	now := time.Now()
	out := fmt.Sprintf("%d backups, %d bad", g.Count, g.Bad)
	if g.Others > 0 {
		out += fmt.Sprintf(", %d of another", g.Others)
	}
	if g.Newest != nil {
		out += fmt.Sprintf(", newest on %s, %v old", g.Newest.Volume.Storage, now.Sub(g.Newest.Made))
		for _, is := range []struct {
			so   bool
			word string
		}{{g.Newest.Encrypted, "encrypted"}, {g.Newest.Protected, "protected"}, {g.Newest.Verified != "", "verified " + g.Newest.Verified}} {
			if is.so {
				out += ", " + is.word
			}
		}
	}
	if g.NotedAs != "" {
		out += ", noted as " + g.NotedAs
	}
	for _, j := range g.Jobs {
		out += ", in " + j.ID
	}
	if next := g.NextRun(); !next.IsZero() {
		out += fmt.Sprintf(", next in %v", next.Sub(now))
	}
	for _, d := range g.Excluded {
		out += fmt.Sprintf(", without %s (%s)", d.Key, d.Reason)
	}
	if g.FailedSince() {
		out += ", failed: " + g.LastFailed.Reason
	}
	if g.Unseen != nil {
		out += ", may have more in " + strings.Join(g.Unseen, ", ")
	}
	return out
}

// planted is the preset cluster with something of each kind.
func planted(version string) pvesim.Model {
	m := pvesim.Cluster()
	m.PVE = version
	if strings.HasPrefix(version, "8") {
		m.HARules = nil
	}
	for i := range m.Guests {
		switch g := &m.Guests[i]; g.VMID {
		case 104:
			g.Config["scsi1"] = "local-zfs:vm-104-disk-9,backup=0,size=4G"
		case 105:
			g.Config["meta"] = fmt.Sprintf("creation-qemu=9.0.2,ctime=%d", time.Now().Add(-2*day).Unix())
		case 203:
			g.Config["mp0"], g.Config["mp1"] = "local-zfs:subvol-203-disk-9,mp=/data,size=4G", "/srv,mp=/srv"
		}
	}
	backup := func(id, kind string, vmid int, age time.Duration, change func(*pvesim.Volume)) {
		v := pvesim.Volume{ID: id, Content: "backup", Format: kind, Size: 1 << 30, VMID: vmid, Age: age}
		change(&v)
		m.Volumes = append(m.Volumes, v)
	}
	noted := func(name string) func(*pvesim.Volume) { return func(v *pvesim.Volume) { v.Notes = name } }
	// The id of 105 was that of another VM, 204 of a VM, 106 perhaps of another one.
	backup("nfs:backup/vzdump-qemu-105-*.vma.zst", "vma.zst", 105, 9*day, noted("old-ci"))
	backup("nfs:backup/vzdump-qemu-204-*.vma.zst", "vma.zst", 204, 9*day, noted("old-ci"))
	backup("nfs:backup/vzdump-qemu-106-*.vma.zst", "vma.zst", 106, 9*day, noted("win-2019"))
	backup("pbs:backup/vm/108/*", "pbs-vm", 108, time.Hour, func(v *pvesim.Volume) { v.Size = 1 })
	backup("pbs:backup/vm/104/*", "pbs-vm", 104, time.Hour, func(v *pvesim.Volume) { v.Encrypted, v.Protected, v.Verification = "aa:bb", true, "ok" })
	backup("nfs:backup/vzdump-qemu-555-*.vma.zst", "vma.zst", 555, 9*day, noted("gone"))
	m.Jobs = append(m.Jobs,
		pvesim.BackupJob{ID: "backup-late", Schedule: "03:00", Options: map[string]string{"vmid": "107,556", "storage": "nfs"}},
		pvesim.BackupJob{ID: "backup-never", Schedule: "sat 03:00", Options: map[string]string{"vmid": "901", "storage": "nfs"}})
	return m
}

// What protects each guest, on both versions.
func TestRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, version := range []string{"8.4.21", "9.0.11"} {
			got, blind, _ := read(t, planted(version), "root@pam!full")
			for id, want := range map[pve.VMID]string{
				100: "3 backups, 0 bad, newest on nfs, 6h0m0s old, in backup-nightly, next in 21h0m0s",
				103: "3 backups, 1 bad, newest on pbs, 50h0m0s old, in backup-db, next in 1h0m0s",
				104: "4 backups, 0 bad, newest on pbs, 1h0m0s old, encrypted, protected, verified ok, in backup-nightly, in backup-weekly, next in 21h0m0s, without scsi1 (backup=no)",
				105: "0 backups, 0 bad, 1 of another",
				106: "1 backups, 0 bad, newest on nfs, 216h0m0s old, noted as win-2019",
				107: "1 backups, 0 bad, newest on nfs, 216h0m0s old, in backup-late, in backup-nightly, next in 3h0m0s, failed: vma_queue_write: write error - No space left on device",
				108: "4 backups, 1 bad, newest on nfs, 5h39m0s old, in backup-nightly, next in 21h0m0s",
				203: "3 backups, 0 bad, newest on nfs, 5h11m0s old, in backup-nightly, next in 21h0m0s, without mp0 (disabled), without mp1 (not a volume)",
				204: "0 backups, 0 bad, 1 of another",
				900: "1 backups, 0 bad, newest on nfs, 4800h0m0s old, protected",
				910: "0 backups, 0 bad",
			} {
				if line := say(guest(t, got, id)); line != want {
					t.Errorf("PVE %s, %v:\n%s, want\n%s", version, id, line, want)
				}
			}
			var jobs []string
			for _, j := range got.Jobs {
				jobs = append(jobs, fmt.Sprintf("%s: %s, %d guests, %v missing, %s", j.ID, j.Selection(), len(j.Guests), j.Missing, j.Due))
			}
			want := []string{
				"backup-db: pool db, 2 guests, [] missing, on time",
				"backup-late: 107 and 556, 1 guests, [556] missing, overdue",
				"backup-never: 901, 1 guests, [] missing, never ran",
				"backup-nightly: all except 102, 103, 105, 106, 204, 900, 901 and 910, 10 guests, [] missing, on time",
				"backup-weekly: 104, 1 guests, [] missing, unknown",
			}
			if !slices.Equal(jobs, want) {
				t.Errorf("PVE %s: jobs\n%s\nwant\n%s", version, strings.Join(jobs, "\n"), strings.Join(want, "\n"))
			}
			if len(got.Gone) != 1 || got.Gone[0].VMID != 555 || got.Gone[0].Newest.Notes != "gone" {
				t.Errorf("PVE %s: gone are %v", version, got.Gone)
			}
			if len(blind) > 0 || got.JobsUnseen || got.RunsUnseen != nil {
				t.Errorf("PVE %s: root does not see %v", version, blind)
			}
		}
	})
}

// What a token cannot see of backups, jobs and tasks is said of each guest, and is not said to be
// missing.
func TestUnseen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := planted("9.0.11")
		m.Users = append(m.Users, pvesim.User{ID: "pool@pve"})
		m.Tokens = append(m.Tokens, pvesim.Token{ID: "pool@pve!mcp", Secret: "00000000-0000-4000-8000-0000000000aa"})
		m.ACL = append(m.ACL, pvesim.ACL{Path: "/pool/db", Who: "pool@pve", Role: "PVEVMAdmin"}, pvesim.ACL{Path: "/storage/pbs", Who: "pool@pve", Role: "PVEDatastoreUser"})
		for token, want := range map[string]string{
			"ops@pve!mcp":   "3 backups, 1 bad, newest on pbs, 50h0m0s old, in backup-db, next in 1h0m0s | jobs unseen false | ",
			"audit@pve!mcp": "0 backups, 0 bad, in backup-db, next in 1h0m0s, may have more in storage local (Datastore.AllocateSpace), storage nfs (Datastore.AllocateSpace), storage pbs (Datastore.AllocateSpace) | jobs unseen false | backups [storage local storage nfs storage pbs]: Datastore.AllocateSpace on /storage",
			"pool@pve!mcp":  "3 backups, 1 bad, newest on pbs, 50h0m0s old, may have more in storages that this token cannot see (Datastore.Audit on /storage) | jobs unseen true | backup jobs []: Sys.Audit on /; backups []: Datastore.Audit on /storage; guests []: VM.Audit on /vms; runs of backup jobs [pve1 pve2 pve3]: Sys.Audit on /nodes",
		} {
			got, blind, _ := read(t, m, token)
			var spots []string
			for _, b := range blind {
				spots = append(spots, fmt.Sprintf("%s %v: %s", b.Check, b.On, b.Missing))
			}
			line := fmt.Sprintf("%s | jobs unseen %v | %s", say(guest(t, got, 103)), got.JobsUnseen, strings.Join(spots, "; "))
			if line != want {
				t.Errorf("%s:\n%s, want\n%s", token, line, want)
			}
		}
	})
}

// What a node has that does not answer is not said to be missing.
func TestOffline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := planted("9.0.11")
		m.Nodes[2].Offline = true
		got, blind, _ := read(t, m, "root@pam!full")
		if line := say(guest(t, got, 105)); line != "1 backups, 0 bad, newest on nfs, 216h0m0s old, noted as old-ci, may have more in storage local on pve3, which could not be read" {
			t.Error(line)
		}
		if fmt.Sprint(got.RunsUnseen) != "[pve3]" || len(blind) != 2 {
			t.Errorf("unseen %v, blind %v", got.RunsUnseen, blind)
		}
		for _, j := range got.Jobs {
			if j.ID == "backup-late" && j.Due != coverage.Unknown {
				t.Errorf("%s is %s", j.ID, j.Due)
			}
		}
	})
}

// One request for each storage, job and node, however many guests there are.
func TestRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, w := read(t, pvesim.Cluster(), "root@pam!full")
		counts := map[string]int{}
		for _, sent := range w.Sim.Requests() {
			counts[sent.Endpoint]++
		}
		for endpoint, want := range map[string]int{
			"/cluster/backup": 1, "/cluster/backup/{id}/included_volumes": 3, "/nodes/{node}/storage/{storage}/content": 5,
			"/nodes/{node}/tasks": 3, "/nodes/{node}/tasks/{upid}/log": 1, "/cluster/resources": 1, "/access/permissions": 1, "/cluster/jobs/schedule-analyze": 1,
		} {
			if counts[endpoint] != want {
				t.Errorf("%d requests to %s, want %d: %v", counts[endpoint], endpoint, want, counts)
			}
		}
	})
}
