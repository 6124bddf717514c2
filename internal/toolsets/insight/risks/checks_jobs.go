package risks

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/pve"
)

func replicationChecks() []check {
	reads := []string{readGuestList, readJobs, readReplication}
	return []check{
		{"replication.failed", "replication", High, "Replication fails: the copy on the other node gets older", reads, findFailedReplications},
		{"replication.never-ran", "replication", Medium, "The replication job has never made a copy", reads, findNewReplications},
		{"replication.late", "replication", Medium, "The last replication is long ago", reads, findLateReplications},
		{"replication.disabled", "replication", Low, "The replication job is disabled: its copy gets older", reads, findDisabledReplications},
	}
}

// everyReplication goes over the jobs of the chosen guests, as their nodes run them.
func (f *facts) everyReplication(do func(r pve.Replication, subject string, on *node)) {
	for _, n := range f.nodes {
		for _, r := range n.replication {
			i := slices.IndexFunc(f.guests, func(g pve.Resource) bool { return int64(g.VMID) == r.Guest.Value })
			if i >= 0 {
				do(r, guestName(f.guests[i])+" to "+r.Target.Value, n)
			}
		}
	}
}

func runNow(r pve.Replication, n *node) Fix {
	return command("pvesr schedule-now "+r.ID, rootOn(n.name))
}

func failing(r pve.Replication) bool { return r.Fails.Value > 0 || r.Error.Value != "" }

func findFailedReplications(f *facts, found found) {
	f.everyReplication(func(r pve.Replication, subject string, n *node) {
		if failing(r) && !r.Disabled.Value {
			found(subject, strings.TrimSpace(fmt.Sprintf("%d times; %s", max(1, r.Fails.Value), render.Said(r.Error.Value, 120))), runNow(r, n))
		}
	})
}

func findNewReplications(f *facts, found found) {
	f.everyReplication(func(r pve.Replication, subject string, n *node) {
		if r.LastSync.Value == 0 && r.LastTry.Value == 0 && !failing(r) && !r.Disabled.Value {
			found(subject, "schedule "+render.Text(r.Schedule.Or("*/15"), 40), runNow(r, n))
		}
	})
}

// mostLate is how late a run may be: those of a node come one after another.
const mostLate = 3 * time.Hour

// findLateReplications finds jobs whose next run, which their node counts from the last one, is
// long due.
func findLateReplications(f *facts, found found) {
	f.everyReplication(func(r pve.Replication, subject string, n *node) {
		if r.LastSync.Value == 0 || r.LastTry.Value == 0 || failing(r) || r.Disabled.Value || r.NextSync.Value == 0 {
			return
		}
		if f.Ago(time.Unix(r.NextSync.Value, 0)) > mostLate {
			found(subject, "last "+render.Duration(f.Ago(time.Unix(r.LastSync.Value, 0)))+" ago, schedule "+render.Text(r.Schedule.Or("*/15"), 40), runNow(r, n))
		}
	})
}

func findDisabledReplications(f *facts, found found) {
	for _, r := range f.replications {
		i := slices.IndexFunc(f.guests, func(g pve.Resource) bool { return int64(g.VMID) == r.Guest.Value })
		if r.Disabled.Value && i >= 0 {
			found(guestName(f.guests[i])+" to "+r.Target.Value, "", command("pvesr enable "+r.ID, "root on a node"))
		}
	}
}

func snapshotChecks() []check {
	reads := []string{readGuestList, readInside, readSnapshots}
	return []check{
		{"snapshot.left-over", "snapshots", Medium, "A task broke off while it made or removed the snapshot", append(reads, readRunning), findBrokenSnapshots},
		{"snapshot.with-ram", "snapshots", Low, "The snapshot holds the RAM of the VM, which takes space", reads, findRAM},
		{"snapshot.old", "snapshots", Low, "The snapshot is old: it grows, slows its guest down on some storages, and is no backup", reads, findOldSnapshots},
	}
}

// oldSnapshot is from when on a snapshot is old.
const oldSnapshot = 30 * 24 * time.Hour

// everySnapshot goes over the snapshots of the guests that were looked into.
func (f *facts) everySnapshot(do func(g pve.Resource, s pve.Snapshot, age time.Duration)) {
	for _, g := range f.guests {
		in := f.inside[g.VMID]
		if in == nil {
			continue
		}
		for _, s := range in.snapshots {
			if s.Name != pve.Current {
				do(g, s, f.Ago(time.Unix(s.Time.Value, 0)))
			}
		}
	}
}

func snapshotName(g pve.Resource, s pve.Snapshot) string {
	return guestName(g) + " " + render.Text(s.Name, 40)
}

func removal(g pve.Resource, s pve.Snapshot) Fix {
	return call("pve_delete_snapshot", map[string]any{"vmid": int(g.VMID), "snapname": s.Name})
}

func findOldSnapshots(f *facts, found found) {
	f.everySnapshot(func(g pve.Resource, s pve.Snapshot, age time.Duration) {
		if s.Time.Set && age > oldSnapshot && s.State.Value == "" {
			found(snapshotName(g, s), render.Duration(age)+" old", removal(g, s))
		}
	})
}

func findRAM(f *facts, found found) {
	f.everySnapshot(func(g pve.Resource, s pve.Snapshot, age time.Duration) {
		if s.VMState.Value && s.State.Value == "" {
			found(snapshotName(g, s), render.Bytes(g.MaxMem.Value)+" at most, "+render.Duration(age)+" old", removal(g, s))
		}
	})
}

// ofBackup is the snapshot of a container that a backup makes, and removes at its end.
const ofBackup = "vzdump"

func findBrokenSnapshots(f *facts, found found) {
	f.everySnapshot(func(g pve.Resource, s pve.Snapshot, _ time.Duration) {
		state := s.State.Value
		if state == "" && s.Name == ofBackup && g.Type == string(pve.LXC) {
			state = "of a backup that is over"
		}
		if state != "" && f.idle(g) {
			tool := "qm"
			if g.Type == string(pve.LXC) {
				tool = "pct"
			}
			found(snapshotName(g, s), "state: "+render.Text(state, 30), command(fmt.Sprintf("%s delsnapshot %v %s --force", tool, g.VMID, s.Name), rootOn(g.Node.Value)))
		}
	})
}

func certificateChecks() []check {
	reads := []string{readCertificates}
	return []check{
		{"certificate.expired", "certificates", High, "The certificate has expired: browsers, API clients and nodes refuse the connection", reads, findExpired},
		{"certificate.expiring", "certificates", Medium, "The certificate expires soon", reads, findExpiring},
	}
}

// everyCertificate goes over the certificates, with what is left of their time.
func (f *facts) everyCertificate(do func(subject string, left time.Duration, fix Fix)) {
	for _, n := range f.nodes {
		for _, c := range n.certificates {
			if c.NotAfter.Set {
				fix := command("pvecm updatecerts --force && systemctl restart pveproxy", rootOn(n.name))
				if c.File == "pveproxy-ssl.pem" {
					fix = command("pvenode acme cert renew --force, or pvenode cert set", rootOn(n.name))
				}
				do(render.Text(c.File, 40)+" of "+n.name, time.Unix(c.NotAfter.Value, 0).Sub(f.now), fix)
			}
		}
	}
}

// soon is when a certificate should have been renewed: ACME does so 30 days before its end,
// and PVE renews its own in the last 14 days.
const soon = 30 * 24 * time.Hour

func findExpired(f *facts, found found) {
	f.everyCertificate(func(subject string, left time.Duration, fix Fix) {
		if left <= 0 {
			found(subject, render.Duration(-left)+" ago", fix)
		}
	})
}

func findExpiring(f *facts, found found) {
	f.everyCertificate(func(subject string, left time.Duration, fix Fix) {
		if left > 0 && left < soon {
			found(subject, "in "+render.Duration(left), fix)
		}
	})
}

func taskChecks() []check {
	return []check{
		{"task.failed", "tasks", Medium, "A task has failed", []string{readFailed, readRunning}, findFailedTasks},
	}
}

// noise are tasks whose failure means that somebody closed a window.
var noise = []string{"vncproxy", "vncshell", "termproxy", "spiceproxy", "spiceshell"}

func findFailedTasks(f *facts, found found) {
	type key struct{ node, kind, id string }
	times := map[key]int{}
	last := map[key]pve.Task{}
	for _, n := range f.nodes {
		for _, t := range n.failed {
			ofBackups := t.Type == "vzdump" && f.coverage != nil // whose checks say more
			warned := strings.HasPrefix(t.Status.Value, "WARNINGS")
			if warned || slices.Contains(noise, t.Type) || ofBackups || !f.concerns(t) {
				continue
			}
			k := key{n.name, t.Type, t.ID}
			times[k]++
			if t.StartTime.Value >= last[k].StartTime.Value {
				last[k] = t
			}
		}
	}
	for k, t := range last {
		evidence := render.Said(t.Status.Value, 100) + ", " + render.Duration(f.Ago(time.Unix(t.StartTime.Value, 0))) + " ago"
		if times[k] > 1 {
			evidence = fmt.Sprintf("%d times; last %s", times[k], evidence)
		}
		found(strings.Join(strings.Fields(k.kind+" "+k.id+" on "+k.node), " "), evidence, call("pve_task_status", map[string]any{"upid": t.UPID.String(), "log": 20}))
	}
}

// concerns reports whether a task is about what the scope is about.
func (f *facts) concerns(t pve.Task) bool {
	if f.scope.Guests == "" {
		return true
	}
	id, named := pve.GuestOf(t.UPID)
	return named && slices.ContainsFunc(f.guests, func(g pve.Resource) bool { return g.VMID == id })
}

func capacityChecks() []check {
	reads := []string{readUse, readGuestList}
	return []check{
		{"node.memory-full", "capacity", High, "The memory of the node is nearly used up: the kernel may kill guests", []string{readUse}, findFullMemory},
		{"node.memory-overcommitted", "capacity", Medium, "The running guests may use more memory than the node has", reads, findMemory},
		{"node.cpu-busy", "capacity", Low, "The CPUs of the node are nearly all in use", []string{readUse}, findBusy},
		{"node.cpu-overcommitted", "capacity", Low, "The running guests have many more CPUs than the node", reads, findCPUs},
	}
}

func findFullMemory(f *facts, found found) {
	for _, n := range f.nodes {
		if used, ok := percent(n.Mem, n.MaxMem); ok && n.Status.Value == "online" && used >= full {
			found(n.name, fmt.Sprintf("%.1f %% of %s", used, render.Bytes(n.MaxMem.Value)), call("pve_list_guests", map[string]any{"node": n.name, "sort": "mem"}))
		}
	}
}

// sumOfRunning sums up what the running guests of each node may use.
func (f *facts) sumOfRunning(of func(pve.Resource) float64) map[string]float64 {
	sums := map[string]float64{}
	for _, g := range f.everyone {
		if s := g.Status.Value; s != "stopped" && s != "unknown" {
			sums[g.Node.Value] += of(g)
		}
	}
	return sums
}

func findMemory(f *facts, found found) {
	sums := f.sumOfRunning(func(g pve.Resource) float64 { return float64(g.MaxMem.Value) })
	for _, n := range f.nodes {
		if sum := sums[n.name]; n.MaxMem.Value > 0 && sum > float64(n.MaxMem.Value) {
			found(n.name, fmt.Sprintf("%s of %s, %.0f %%", render.Bytes(int64(sum)), render.Bytes(n.MaxMem.Value), 100*sum/float64(n.MaxMem.Value)),
				call("pve_list_guests", map[string]any{"node": n.name, "sort": "mem"}))
		}
	}
}

func findBusy(f *facts, found found) {
	const busy = 0.95
	for _, n := range f.nodes {
		if n.CPU.Value >= busy && n.Status.Value == "online" {
			found(n.name, fmt.Sprintf("%.0f %%", 100*n.CPU.Value), call("pve_list_guests", map[string]any{"node": n.name, "sort": "cpu"}))
		}
	}
}

// mostPerCPU is how many CPUs of guests there may be for each of the node.
const mostPerCPU = 4

func findCPUs(f *facts, found found) {
	sums := f.sumOfRunning(func(g pve.Resource) float64 { return g.MaxCPU.Value })
	for _, n := range f.nodes {
		if sum := sums[n.name]; n.MaxCPU.Value > 0 && sum > mostPerCPU*n.MaxCPU.Value {
			found(n.name, fmt.Sprintf("%.0f for %.0f", sum, n.MaxCPU.Value), call("pve_list_guests", map[string]any{"node": n.name, "sort": "cpu"}))
		}
	}
}

func accessChecks() []check {
	reads := []string{readAccess}
	return []check{
		{"access.token-not-separated", "access", Medium, "The API token has all rights of its user (no privilege separation)", reads, findUnseparated},
		{"access.administrators", "access", Low, "Administrator on / beside root@pam: may do anything, access included", reads, findAdministrators},
		{"access.token-no-expiry", "access", Low, "The API token never expires", reads, findEternal},
	}
}

// everyToken goes over the tokens of users that may log in.
func (f *facts) everyToken(do func(id string, t pve.Token)) {
	for _, u := range f.users {
		if u.Enabled.Set && !u.Enabled.Value || u.Expire.Value > 0 && u.Expire.Value < f.now.Unix() {
			continue
		}
		for _, t := range u.Tokens {
			if t.Expire.Value == 0 || t.Expire.Value > f.now.Unix() {
				do(render.Text(u.ID+"!"+t.ID, 60), t)
			}
		}
	}
}

func findUnseparated(f *facts, found found) {
	f.everyToken(func(id string, t pve.Token) {
		if t.PrivSep.Set && !t.PrivSep.Value {
			user, name, _ := strings.Cut(id, "!")
			found(id, "", command(fmt.Sprintf("pveum user token modify %s %s --privsep 1, then pveum acl modify for what it needs", user, name), "root on a node"))
		}
	})
}

func findEternal(f *facts, found found) {
	f.everyToken(func(id string, t pve.Token) {
		if t.Expire.Value == 0 {
			user, name, _ := strings.Cut(id, "!")
			found(id, "", command(fmt.Sprintf("pveum user token modify %s %s --expire SECONDS_SINCE_1970", user, name), "root on a node"))
		}
	})
}

func findAdministrators(f *facts, found found) {
	var names []string
	for _, e := range f.acl {
		if e.Path == "/" && e.Role == "Administrator" && e.Who != "root@pam" {
			names = append(names, cmp.Or(map[string]string{"group": "group "}[e.Type], "")+render.Text(e.Who, 60))
		}
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		found(name, "", command("pveum acl delete / --roles Administrator …, and a smaller role instead", "root on a node"))
	}
}
