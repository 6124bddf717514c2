package diagnose

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/lazyregexp"
	"github.com/pve-mcp/pve-mcp/pve"
)

// guestCauses are the causes of guests. Each looks at the facts and blames what it finds.
var guestCauses = []func(*facts){
	isTemplate, isLocked, isPaused, isCrashed, noQuorum, haState, storageAway, storageFull, volumeGone, bridgeGone,
	tooLittleMemory, failedTask, linkDown, agentSilent, firewallDrops, changesWait, nodeBusy, notOnBoot,
}

func isTemplate(f *facts) {
	if f.status.Template.Value {
		f.blame(cause{ID: "guest.template", What: "it is a template, which cannot be started", Confidence: certain,
			Evidence: []string{"template: 1"}, Next: f.call("pve_clone_guest")})
	}
}

// mostRunning is how many tasks of a node may run at once, far more than any node has.
const mostRunning = 500

func isLocked(f *facts) {
	lock := f.status.Lock.Value
	switch {
	case lock == "":
		return
	case lock == "suspended":
		f.blame(cause{ID: "guest.suspended", What: "it is suspended to disk", Confidence: certain, Evidence: []string{"lock: suspended"},
			Next: f.call("pve_guest_power", "action", "resume")})
		return
	}
	running, seen := look(f.diagnosis, "tasks that run", func(ctx context.Context) ([]pve.Task, error) {
		list, _, err := f.PVE.NodeTasks(ctx, f.ref.Node, pve.TaskFilter{Source: "active", Limit: mostRunning})
		return list, err
	})
	for _, t := range running {
		if !t.EndTime.Set && pve.MayLock(t.UPID, f.ref, lock) {
			f.blame(cause{ID: "guest.locked", What: fmt.Sprintf("it is locked (%s) by a task that runs", render.Text(lock, 30)), Confidence: certain,
				Evidence: []string{describe(t)}, Next: &step{Tool: "pve_task_status", Arguments: map[string]any{"upid": t.UPID.String(), "wait": 45}}})
			return
		}
	}
	if !seen {
		return
	}
	c := cause{ID: "guest.stale-lock", What: fmt.Sprintf("it is locked (%s), and no task of it runs", render.Text(lock, 30)), Confidence: certain,
		Evidence: []string{"lock: " + render.Text(lock, 30)}, Next: &step{Command: explain.UnlockCommand(f.ref, lock), Where: "root on " + f.ref.Node}}
	if !f.Permissions.Has("/nodes/"+f.ref.Node, "Sys.Audit") {
		c.Confidence, c.What = possible, c.What+" that this token may see"
	}
	if f.failed != nil {
		c.Evidence = append(c.Evidence, "the last one failed: "+describe(*f.failed))
	}
	f.blame(c)
}

func isPaused(f *facts) {
	if s := f.status.State(); s == "paused" || f.running() && s == "suspended" {
		f.blame(cause{ID: "guest.paused", What: "it is paused in memory", Confidence: certain, Evidence: []string{"QEMU says " + s},
			Next: f.call("pve_guest_power", "action", "resume")})
	}
}

func isCrashed(f *facts) {
	switch s := f.status.State(); s {
	case "io-error":
		f.blame(cause{ID: "guest.io-error", What: "QEMU stopped it because a disk could not be written or read, as on a full storage", Confidence: certain,
			Evidence: []string{"QEMU says io-error"}, Next: &step{Do: "make room on its storage, then resume it"}})
	case "internal-error", "guest-panicked":
		f.blame(cause{ID: "guest.crashed", What: "the system in it crashed", Confidence: certain, Evidence: []string{"QEMU says " + s},
			Next: f.call("pve_guest_power", "action", "reset")})
	}
}

func noQuorum(f *facts) {
	for _, i := range f.ha {
		if i.Type == "quorum" && i.Quorate.Set && !i.Quorate.Value {
			f.blame(cause{ID: "cluster.no-quorum", What: "the cluster has no quorum, so that nothing can be started or changed", Confidence: certain,
				Evidence: []string{render.Text(i.Status.Value, 100)}, Next: &step{Tool: "pve_cluster_status"}})
		}
	}
}

func haState(f *facts) {
	sid := "vm:" + f.ref.VMID.String()
	if f.ref.Kind == pve.LXC {
		sid = "ct:" + f.ref.VMID.String()
	}
	for _, i := range f.ha {
		if i.SID.Value != sid {
			continue
		}
		evidence := []string{fmt.Sprintf("HA says %s, asked for %s", render.Text(i.State.Or("nothing"), 30), render.Text(i.Requested.Or("nothing"), 30))}
		switch {
		case i.State.Value == "error":
			f.blame(cause{ID: "ha.error", What: "HA has given it up after an error, and lets it be neither started nor moved", Confidence: certain, Evidence: evidence,
				Next: &step{Command: "ha-manager set " + sid + " --state disabled, then --state started", Where: "root on a node, after the cause is fixed"}})
		case i.State.Value == "fence" || i.State.Value == "recovery":
			f.blame(cause{ID: "ha.fence", What: "HA fences its node and will start it elsewhere", Confidence: certain, Evidence: evidence, Next: &step{Tool: "pve_cluster_status"}})
		case !f.running() && (i.Requested.Value == "stopped" || i.Requested.Value == "disabled"):
			f.blame(cause{ID: "ha.stopped", What: "HA keeps it " + i.Requested.Value, Confidence: likely, Evidence: evidence, Next: f.call("pve_guest_power", "action", "start")})
		}
	}
}

// disks are the disks that the guest uses and that are on a storage.
func (f *facts) disks() []pve.Disk {
	return slices.DeleteFunc(f.now.Disks(f.ref.Kind), func(d pve.Disk) bool { return d.Volume.Storage == "" || d.Bus == "unused" })
}

// storageNamed is what the node says of a storage.
func (f *facts) storageNamed(name string) (pve.Storage, bool) {
	i := slices.IndexFunc(f.storages, func(s pve.Storage) bool { return s.Storage == name })
	if i < 0 {
		return pve.Storage{}, false
	}
	return f.storages[i], true
}

func storageAway(f *facts) {
	seen := map[string]bool{}
	for _, d := range f.disks() {
		name := d.Volume.Storage
		if seen[name] || len(f.storages) == 0 {
			continue
		}
		seen[name] = true
		s, known := f.storageNamed(name)
		evidence := []string{d.Key + " is on it"}
		next := &step{Tool: "pve_diagnose", Arguments: map[string]any{"storage": name}}
		switch {
		case !known && !f.Permissions.Has("/storage/"+name, "Datastore.Audit") && !f.Permissions.Has("/storage/"+name, "Datastore.AllocateSpace"):
			f.May("storage "+name, f.ref.VMID.String(), "Datastore.Audit", "/storage/"+name)
		case !known:
			f.blame(cause{ID: "storage.missing", What: fmt.Sprintf("the storage %s is not on %s", render.Text(name, 40), f.ref.Node), Confidence: certain, Evidence: evidence, Next: next})
		case s.Enabled.Set && !s.Enabled.Value:
			f.blame(cause{ID: "storage.disabled", What: fmt.Sprintf("the storage %s is disabled", render.Text(name, 40)), Confidence: certain, Evidence: evidence, Next: next})
		case s.Active.Set && !s.Active.Value:
			f.blame(cause{ID: "storage.inactive", What: fmt.Sprintf("the storage %s is not active on %s", render.Text(name, 40), f.ref.Node), Confidence: certain, Evidence: evidence, Next: next})
		}
	}
}

// fullAt is the share from which a storage counts as full.
const fullAt = 0.98

func storageFull(f *facts) {
	for _, s := range f.storages {
		uses := slices.ContainsFunc(f.disks(), func(d pve.Disk) bool { return d.Volume.Storage == s.Storage && !d.IsCDROM() })
		if uses && s.Total.Value > 0 && float64(s.Used.Value) >= fullAt*float64(s.Total.Value) {
			f.blame(cause{ID: "storage.full", What: fmt.Sprintf("its storage %s is full", s.Storage), Confidence: likely,
				Evidence: []string{fmt.Sprintf("%s free of %s", render.Bytes(s.Avail.Value), render.Bytes(s.Total.Value))},
				Next:     &step{Tool: "pve_storage_content", Arguments: map[string]any{"storage": s.Storage, "node": f.ref.Node}}})
		}
	}
}

// volumeGone looks for the volumes on their storages. PVE lists disks for those only who may
// configure them.
func volumeGone(f *facts) {
	if !f.about("does not start") || f.running() {
		return
	}
	onStorage := map[string]map[string]bool{}
	for _, d := range f.disks() {
		name := d.Volume.Storage
		s, known := f.storageNamed(name)
		image := d.IsCDROM() && !d.IsCloudInit()
		if !known || !s.Active.Value {
			continue
		}
		if !image && !f.Permissions.Has("/storage/"+name, "Datastore.Allocate") && !f.May("disks", f.ref.VMID.String(), "VM.Config.Disk", "/vms/"+f.ref.VMID.String()) {
			continue
		}
		filter := pve.VolumeFilter{VMID: f.ref.VMID}
		if image {
			filter = pve.VolumeFilter{Content: "iso"}
		}
		key := name + " " + filter.Content
		if onStorage[key] == nil {
			list, ok := look(f.diagnosis, "volumes on "+name, func(ctx context.Context) ([]pve.Volume, error) { return f.PVE.Content(ctx, f.ref.Node, name, filter) })
			if !ok {
				continue
			}
			onStorage[key] = map[string]bool{}
			for _, v := range list {
				onStorage[key][v.VolID.String()] = true
			}
		}
		if owner, ok := d.Owner(); !image && (!ok || owner != f.ref.VMID) || onStorage[key][d.Volume.String()] {
			continue
		}
		c := cause{ID: "volume.gone", What: fmt.Sprintf("the volume of %s is gone", d.Key), Confidence: certain, Evidence: []string{render.Text(d.Volume.String(), 120) + " is not on " + name},
			Next: &step{Tool: "pve_list_backups", Arguments: map[string]any{"vmid": f.ref.VMID}}}
		if image {
			c.ID, c.What = "image.gone", fmt.Sprintf("the image in %s is gone", d.Key)
			c.Next = f.call("pve_update_guest_config", "set", map[string]string{d.Key: "none,media=cdrom"})
		}
		f.blame(c)
	}
}

func bridgeGone(f *facts) {
	if !f.about("does not start", "no network", "does not answer") || len(f.bridges) == 0 {
		return
	}
	for _, n := range f.now.NICs(f.ref.Kind) {
		there := slices.ContainsFunc(f.bridges, func(b pve.Network) bool { return b.Iface == n.Bridge })
		if n.Bridge == "" || there {
			continue
		}
		if path := "/sdn/zones/localnetwork/" + n.Bridge; !f.Permissions.Has(path, "SDN.Audit") && !f.Permissions.Has(path, "SDN.Use") {
			f.May("bridge "+n.Bridge, f.ref.VMID.String(), "SDN.Audit", path)
			continue
		}
		var have []string
		for _, b := range f.bridges {
			have = append(have, b.Iface)
		}
		f.blame(cause{ID: "bridge.gone", What: fmt.Sprintf("the bridge %s of %s is not on %s", render.Text(n.Bridge, 30), n.Key, f.ref.Node), Confidence: certain,
			Evidence: []string{"there are " + render.Text(render.List(have), 100)}, Next: f.call("pve_guest_config")})
	}
}

// tooLittleMemory compares what the guest wants with what is free.
func tooLittleMemory(f *facts) {
	if f.running() || f.node == nil || !f.about("does not start") || f.status.Template.Value {
		return
	}
	free := f.node.Memory["available"].Or(f.node.Memory["free"].Value)
	if f.status.MaxMem.Value <= free || f.ref.Kind == pve.LXC {
		return
	}
	f.blame(cause{ID: "node.memory", What: fmt.Sprintf("%s has not enough free memory for it", f.ref.Node), Confidence: likely,
		Evidence: []string{fmt.Sprintf("%s free, and it has %s; ZFS's cache counts as used", render.Bytes(free), render.Bytes(f.status.MaxMem.Value))},
		Next:     f.call("pve_migrate_guest")})
}

// reasons are what logs of failed tasks mean.
var reasons = []struct {
	re       *lazyregexp.Regexp
	id, what string
	do       string
}{
	{lazyregexp.New(`(?i)KVM virtualisation configured, but not available|Could not access KVM`), "node.no-kvm", "the node has no hardware virtualisation", "turn it on in the BIOS of the node (VT-x, AMD-V; nested virtualisation in a VM)"},
	{lazyregexp.New(`(?i)host doesn't support requested feature|unable to find CPU model|CPU model .* not|doesn't support.*CPU`), "guest.cpu", "the node's CPU cannot do what its CPU type asks for", "choose another CPU type, such as x86-64-v2-AES"},
	{lazyregexp.New(`(?i)already in use by VMID|PCI device .* (?:busy|in use)|device or resource busy|vfio .* busy`), "device.in-use", "a device that is passed through is in use", "find who has it with pve_find: device"},
	{lazyregexp.New(`(?i)no pci device info|cannot prepare PCI|no such device|can't reset PCI|No such USB|vfio`), "device.gone", "a device that is passed through is not there", "compare hostpci and usb in its configuration with the node's devices"},
	{lazyregexp.New(`(?i)bridge '.*' does not exist|no physical interface on bridge`), "bridge.gone", "its bridge is not there", "give its interface a bridge that the node has"},
	{lazyregexp.New(`(?i)no space left|out of space|disk quota`), "storage.full", "a storage is full", "make room: pve_storage_content shows what fills it"},
	{lazyregexp.New(`(?i)cannot allocate memory|out of memory|oom`), "node.memory", "the node has not enough memory", "free memory there, or start it on another node"},
	{lazyregexp.New(`(?i)can't lock file|got timeout|cfs-lock`), "task.lock", "something else held a lock, and the task did not get it in time", "see what runs with pve_list_tasks, then try again"},
	{lazyregexp.New(`(?i)could not open '|volume .* does not exist|no such (?:logical volume|file|dataset|zvol)|unable to find`), "volume.gone", "a volume of it could not be opened", "look for it with pve_storage_content; if it is lost, pve_list_backups shows what can be restored"},
	{lazyregexp.New(`(?i)storage '.*' is not (?:online|available|active)|is not mounted|mount error|connection timed out`), "storage.inactive", "a storage could not be used", "pve_diagnose with the storage"},
	{lazyregexp.New(`(?i)no quorum`), "cluster.no-quorum", "the cluster had no quorum", "pve_cluster_status shows which nodes are missing"},
	{lazyregexp.New(`(?i)interrupted by signal|received interrupt|aborted by user|^unexpected status$`), "task.ended", "somebody ended the task, or its process died", "look at who did so with pve_list_tasks, then repeat it"},
}

// failedTask says what the newest task failed of.
func failedTask(f *facts) {
	t := f.failed
	if t == nil || !f.about("does not start", "does not finish", "locked") || f.running() && strings.HasSuffix(t.Type, "start") {
		return
	}
	f.blameLog(*t, f.reason, f.log)
}

// blameLog says what the log of a failed task means.
func (d *diagnosis) blameLog(t pve.Task, reason string, log []string) {
	evidence := append([]string{describe(t)}, log...)
	for i := range evidence {
		evidence[i] = render.Said(evidence[i], 250)
	}
	text := strings.Join(append(slices.Clone(log), reason), "\n")
	for _, r := range reasons {
		if r.re.MatchString(text) && !slices.ContainsFunc(d.causes, func(c cause) bool { return c.ID == r.id && c.Confidence == certain }) {
			d.blame(cause{ID: r.id, What: r.what, Confidence: likely, Evidence: evidence, Next: &step{Do: r.do}})
			return
		}
	}
	if len(d.causes) > 0 && d.causes[0].Confidence == certain {
		return
	}
	d.blame(cause{ID: "task.failed", What: fmt.Sprintf("its last task (%s) failed: %s", t.Type, render.Said(reason, 200)), Confidence: likely, Evidence: evidence,
		Next: &step{Tool: "pve_task_status", Arguments: map[string]any{"upid": t.UPID.String(), "log": 50}}})
}

// describe says what a task was and how it ended.
func describe(t pve.Task) string {
	end := "runs"
	if t.EndTime.Set {
		end = "ended with " + render.Said(t.Status.Or("an unknown status"), 150)
	}
	return fmt.Sprintf("%s by %s, begun at %s, %s", t.Type, render.Text(t.UPID.User, 60), render.Time(time.Unix(t.StartTime.Value, 0)), end)
}
