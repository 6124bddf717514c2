package pvesim

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/pvesim/internal/propstring"
)

// dump is the backup of one guest.
type dump struct {
	*backupJob
	g       *guest
	began   time.Time
	mode    string
	running bool   // when it began
	name    string // of the archive, below the storage's folder of backups
	format  string
	path    string // as the log shows it
	made    *volume
}

// stampLayout is that of the times in a backup's log.
const stampLayout = "2006-01-02 15:04:05"

func (j *journal) info(format string, args ...any) { j.say("INFO: "+format, args...) }

func (j *journal) time() string { return j.began.Add(j.at).UTC().Format(stampLayout) }

// backUp backs up one guest, whose failure is not the job's end.
func (b *backupJob) backUp(id int, now time.Time) outcome {
	j := &journal{began: now}
	d := &dump{backupJob: b, g: b.guests[id], began: now}
	if d.g == nil {
		return d.abort(j, id, die("unable to find VM '%d'", id))
	}
	d.target()
	if b.str("mode") == "stop" && d.g.HA == "started" {
		return d.abort(j, id, die("Cannot execute a backup with stop mode on a HA managed and enabled Service. Use snapshot mode or disable the Service."))
	}
	if err := d.limit(); err != nil {
		return d.abort(j, id, err)
	}
	j.info("Starting Backup of VM %d (%s)", id, d.g.Kind)
	j.info("Backup started at %s", j.time())
	d.running = d.g.now.running
	j.info("status = %s", map[bool]string{true: "running", false: "stopped"}[d.running])
	if err := d.g.unlocked(); err != nil {
		return d.abort(j, id, err)
	}
	if key := d.missingVolumeKey(); key != "" {
		return d.abort(j, id, die("no such volume '%s'", propstring.Volume(d.g.Config[key])))
	}
	d.g.Config["lock"] = "backup"
	d.mode = "stop"
	if d.running {
		d.mode = cmp.Or(b.str("mode"), "snapshot")
	}
	d.prepare(j)
	if d.mode == "stop" && d.running {
		return d.stopGuest(j)
	}
	return d.archive(j)
}

// limit refuses one backup more than are to be kept if none is removed.
func (d *dump) limit() error {
	most := d.keep.Limit()
	if most == 0 || d.remove || d.flag("protected") {
		return nil
	}
	count := 0
	for _, v := range d.volumesOn(d.storage.ID, d.node.Name) {
		if v.Content == "backup" && v.VMID == d.g.VMID && !v.Protected {
			count++
		}
	}
	if count < most {
		return nil
	}
	return die("There is a max backup limit of %d enforced by the target storage or the vzdump parameters. Either increase the limit or delete old backups.", most)
}

// stamp is a time as written in the names of backups on a storage.
func stamp(st *Storage, at time.Time) string {
	if st != nil && st.Type == "pbs" {
		return at.UTC().Format("2006-01-02T15:04:05Z")
	}
	return at.UTC().Format("2006_01_02-15_04_05")
}

// target names the archive as PVE does on the type of storage.
func (d *dump) target() {
	at := stamp(d.storage, d.began)
	if d.storage.Type == "pbs" {
		kind := map[string]string{"qemu": "vm", "lxc": "ct"}[d.g.Kind]
		d.format = "pbs-" + kind
		d.name = fmt.Sprintf("%s/%d/%s", kind, d.g.VMID, at)
		d.path = d.name
		return
	}
	d.format = map[string]string{"qemu": "vma", "lxc": "tar"}[d.g.Kind]
	if ext := map[string]string{"1": ".lzo", "lzo": ".lzo", "gzip": ".gz", "zstd": ".zst"}[d.str("compress")]; ext != "" {
		d.format += ext
	}
	d.name = fmt.Sprintf("vzdump-%s-%d-%s.%s", d.g.Kind, d.g.VMID, at, d.format)
	d.path = d.storage.path() + "/dump/" + d.name
}

func (d *dump) missingVolumeKey() string {
	for _, key := range d.included() {
		if d.volumeOf(propstring.Volume(d.g.Config[key]), d.g.Node) == nil {
			return key
		}
	}
	return ""
}

// included are the keys of the volumes that are backed up.
func (d *dump) included() []string {
	return slices.DeleteFunc(diskKeys(d.g.Kind, d.g.Config), func(key string) bool {
		asked := propstring.Get(d.g.Config[key], "backup")
		if d.g.Kind == "lxc" {
			return key != "rootfs" && asked != "1"
		}
		return asked == "0" || propstring.IsCloudInit(d.g.Config[key])
	})
}

// prepare tells what is backed up and how. A container whose volumes have no
// snapshots is suspended instead.
func (d *dump) prepare(j *journal) {
	what := func() { d.logVolumes(j) }
	if d.g.Kind == "lxc" {
		if d.mode == "snapshot" {
			what()
			if !d.hasFeature(d.g, d.g.Config, "snapshot", false) {
				j.info("mode failure - some volumes do not support snapshots")
				j.info("trying 'suspend' mode instead")
				d.mode = "suspend"
			}
		}
		d.logMode(j)
		if d.mode != "snapshot" {
			what()
		}
		return
	}
	if d.mode == "snapshot" {
		j.info("VM Name: %s", d.g.name())
		d.logDisks(j)
		d.logMode(j)
	} else {
		d.logMode(j)
		j.info("VM Name: %s", d.g.name())
		d.logDisks(j)
	}
	for _, key := range sortedKeys(d.g.Config) {
		if withoutIndex(key) == "unused" {
			j.info("skip unused drive '%s' (not included into backup)", d.g.Config[key])
		}
	}
	if len(d.g.snaps) > 0 {
		j.info("snapshots found (not included into backup)")
	}
}

func (d *dump) logMode(j *journal) {
	j.info("backup mode: %s", d.mode)
	if limit := d.number("bwlimit", 0); limit > 0 {
		j.info("bandwidth limit: %d KiB/s", limit)
	}
	j.info("ionice priority: %d", d.number("ionice", 7))
}

func (d *dump) logDisks(j *journal) {
	in := d.included()
	for _, key := range diskKeys("qemu", d.g.Config) {
		switch id := propstring.Volume(d.g.Config[key]); {
		case slices.Contains(in, key):
			j.info("include disk '%s' '%s' %s", key, id, propstring.FormatSize(d.volumeOf(id, d.g.Node).Size))
		case !propstring.IsCloudInit(d.g.Config[key]):
			j.info("exclude disk '%s' '%s' (backup=no)", key, id)
		}
	}
}

func (d *dump) logVolumes(j *journal) {
	j.info("CT Name: %s", d.g.name())
	in := d.included()
	for _, key := range diskKeys("lxc", d.g.Config) {
		mount := cmp.Or(propstring.Get(d.g.Config[key], "mp"), "/")
		if slices.Contains(in, key) {
			j.info("including mount point %s ('%s') in backup", key, mount)
		} else {
			j.info("excluding volume mount point %s ('%s') from backup (not configured/disabled)", key, mount)
		}
	}
}

// stopGuest shuts the guest down first. QEMU is started again at once, and copies
// the disks while the VM boots.
func (d *dump) stopGuest(j *journal) outcome {
	const stopWait = 10 * time.Minute
	j.info("stopping virtual guest")
	takes, ok := d.shutdownTime(d.g)
	if !ok {
		takes = stopWait
	}
	j.pass(takes)
	return d.guarded(j.continued(func(now time.Time) outcome {
		next := &journal{began: now}
		if !ok {
			d.release(now)
			return d.abort(next, d.g.VMID, die("VM quit/powerdown failed - got timeout"))
		}
		d.setRunState(d.g, runState{running: d.g.Kind == "qemu", since: now})
		return d.archive(next)
	}))
}

// guarded makes a stop of the task undo what it has done so far.
func (d *dump) guarded(o outcome) outcome {
	o.last = func(now time.Time) []string {
		delete(d.dumps, d.node.Name)
		d.release(now)
		var lines []string
		if d.g.Kind == "qemu" {
			lines = append(lines, "ERROR: interrupted by signal", "INFO: aborting backup job")
			if d.running {
				lines = append(lines, "INFO: resuming VM again")
			}
		}
		return append(lines,
			fmt.Sprintf("ERROR: Backup of VM %d failed - interrupted by signal", d.g.VMID),
			"INFO: Failed at "+now.UTC().Format(stampLayout),
			"ERROR: Backup job failed - interrupted by signal")
	}
	return o
}

// release unlocks the guest, and lets it run if it did.
func (d *dump) release(now time.Time) {
	if d.g.Config["lock"] == "backup" {
		delete(d.g.Config, "lock")
	}
	if d.running && !d.g.now.running {
		d.setRunState(d.g, runState{running: true, since: now})
	}
}

// abort ends a guest's backup with a failure.
func (d *dump) abort(j *journal, id int, err error) outcome {
	d.failed = true
	j.say("ERROR: Backup of VM %d failed - %s", id, strings.TrimSpace(refusalOf(err).message))
	j.info("Failed at %s", j.time())
	return j.continued(d.next)
}

// archive writes the archive.
func (d *dump) archive(j *journal) outcome {
	v := Volume{
		ID: d.storage.ID + ":backup/" + d.name, Node: d.node.Name, Content: "backup", Format: d.format, VMID: d.g.VMID,
		Config: d.config(),
	}
	volumes := map[string]Volume{}
	var size, used int64
	for _, key := range d.included() {
		disk := d.volumeOf(propstring.Volume(d.g.Config[key]), d.g.Node).Volume
		volumes[key] = disk
		size, used = size+disk.Size, used+disk.Used
	}
	v.Size = d.archiveSize(size, used)
	v.Used = v.Size
	what := "vzdump"
	if d.storage.Type == "pbs" {
		what = "Proxmox Backup Server"
	}
	if d.mode == "suspend" {
		j.info("suspending guest")
	}
	j.info("creating %s archive '%s'", what, d.path)
	if d.storage.size(d.node.Name) > 0 && v.Size > d.bytesFree(d.storage, d.node.Name) {
		return d.full(j)
	}
	if d.g.Kind == "qemu" {
		d.copyVM(j, size, used)
	} else {
		d.copyCT(j, used)
	}
	o := j.continued(d.complete)
	o.apply = func(time.Time) {
		d.freeVolume(v.ID, d.node.Name)
		d.made = d.addVolume(v, d.began)
		d.made.Disks = volumes
	}
	return d.guarded(o)
}

// full ends a guest's backup because the storage is full.
func (d *dump) full(j *journal) outcome {
	j.pass(3 * time.Second)
	why := "vma_queue_write: write error - No space left on device"
	switch {
	case d.storage.Type == "pbs":
		why = "backup write data failed: command error: write_data upload error: pipelined request failed: No space left on device (os error 28)"
	case d.g.Kind == "lxc":
		j.info("zstd: error 70 : Write error : cannot write block : No space left on device")
		why = "command 'set -o pipefail && tar cpf - . | zstd --threads=1 >" + d.path + "' failed: exit code 1"
	}
	if d.g.Kind == "qemu" {
		j.say("ERROR: %s", why)
		j.info("aborting backup job")
	}
	return d.guarded(j.continued(func(now time.Time) outcome {
		d.release(now)
		return d.abort(&journal{began: now}, d.g.VMID, die("%s", why))
	}))
}

// config is what the archive keeps of the guest's configuration.
func (d *dump) config() map[string]string {
	config := maps.Clone(d.g.Config)
	maps.DeleteFunc(config, func(key, _ string) bool {
		return withoutIndex(key) == "unused" || key == "lock" || key == "parent"
	})
	return config
}

// complete is what follows when the archive is written.
func (d *dump) complete(now time.Time) outcome {
	j := &journal{began: now}
	if d.storage.Type != "pbs" {
		j.info("archive file size: %s", sizeWord(d.made.Size))
	}
	if template := d.str("notes-template"); template != "" {
		j.info("adding notes to backup")
		d.made.Notes = strings.NewReplacer(
			"{{cluster}}", cmp.Or(d.model.Cluster, "standalone node"), "{{guestname}}", d.g.name(), "{{node}}", d.node.Name,
			"{{vmid}}", fmt.Sprint(d.g.VMID), `\n`, "\n", `\\`, `\`,
		).Replace(template)
	}
	if d.flag("protected") {
		j.info("marking backup as protected")
		d.made.Protected = true
	}
	if d.remove {
		j.info("prune older backups with retention: %s", d.keep)
		why := ""
		count := d.prune(j, "INFO: ", d.storage, d.keep, d.g.VMID, d.g.Kind)
		if count > 0 {
			why = " not covered by keep-retention policy"
		}
		j.info("pruned %d backup(s)%s", count, why)
	}
	if d.mode == "stop" && d.running && d.g.Kind == "lxc" {
		j.info("restarting vm")
		j.pass(startCTTakes)
		j.info("guest is online again after %d seconds", int64(now.Add(j.at).Sub(d.began).Seconds()))
	}
	j.info("Finished Backup of VM %d (%s)", d.g.VMID, clockText(now.Add(j.at).Sub(d.began)))
	j.info("Backup finished at %s", j.time())
	o := j.continued(d.next)
	o.apply = d.release
	return d.guarded(o)
}
