package pvesim

import (
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/pvesim/internal/propstring"
)

// mayReplace lets those restore over a guest who may back it up.
func (c *call) mayReplace(vm string) bool {
	restores := c.str("archive") != "" || c.flag("restore")
	return restores && c.flag("force") && c.guests[c.number("vmid", 0)] != nil && c.caller.Require(vm, "VM.Backup") == nil
}

// restoring is a backup on its way to be a guest.
type restoring struct {
	*call
	kind    string
	id      int
	archive *volume
	old     *guest // that it replaces, or nil
	storage string // of all volumes; "" means where they were
	over    map[string]string
}

func (c *call) restoreOf(kind, archive string) (*restoring, error) {
	v, err := c.theArchive(archive, c.number("vmid", 0))
	if err != nil {
		return nil, err
	}
	r := &restoring{call: c, kind: kind, id: c.number("vmid", 0), archive: v, storage: c.str("storage"), over: c.settings(notConfig...)}
	if g := c.guests[r.id]; g != nil && c.flag("force") && g.Kind == kind && g.Node == c.node.Name {
		r.old = g
	}
	return r, nil
}

// restoreVM restores a VM from a backup: what forbids it but the guest's id is found
// in the task.
func (c *call) restoreVM(archive string) (any, error) {
	r, err := c.restoreOf("qemu", archive)
	if err == nil && r.storage != "" {
		err = c.mayAllocate("qemu", r.storage)
	}
	if err != nil {
		return nil, err
	}
	words := fmt.Sprintf("unable to restore VM %d -", r.id)
	if r.old == nil {
		err = c.unusedID(r.id)
	} else {
		err = r.old.unlocked()
	}
	if err != nil {
		return nil, die("%s %s", words, strings.TrimSpace(refusalOf(err).message))
	}
	return c.fork(c.now, c.node, c.caller.User, "qmrestore", strconv.Itoa(r.id), 0, func(now time.Time) outcome {
		j := &journal{began: now}
		g := r.occupy()
		err := g.unprotected("%s", strings.TrimSuffix(words, " -"))
		if err == nil && g.now.running {
			err = die("%s vm is running", words)
		}
		var made madeDrives
		if err == nil && r.flag("live-restore") && !strings.HasPrefix(r.archive.Format, "pbs-") {
			err = die("live-restore is only compatible with backup images from a Proxmox Backup Server")
		}
		if err == nil {
			made, err = r.vm(j)
		}
		if err != nil {
			delete(g.Config, "lock")
			j.say("error before or during data restore, some or all disks were not completely restored. VM %d state is NOT cleaned up.", r.id)
			return j.fail(err)
		}
		return r.finish(j, g, made)
	}), nil
}

// occupy makes the guest exist, or locks the one that is replaced.
func (r *restoring) occupy() *guest {
	g := r.old
	if g == nil {
		g = r.reserve(r.kind, r.id, "create")
	}
	g.Config["lock"] = "create"
	if source := r.guests[r.archive.VMID]; source != nil && source != g {
		g.IgnoresShutdown, g.AgentDead, g.Programs = source.IgnoresShutdown, source.AgentDead, source.Programs
	}
	return g
}

// finish makes the guest what was restored, at the end of the task.
func (r *restoring) finish(j *journal, g *guest, made madeDrives) outcome {
	o := j.done(func(end time.Time) {
		g.Config = made.config
		g.snaps = nil
		clear(g.pending)
		clear(g.dropped)
		r.unannounced[g.VMID] = true
		if pool := r.str("pool"); pool != "" && len(r.poolsWith[aclPath(g.VMID)]) == 0 {
			r.join(pool, g.VMID)
		}
		if r.flag("start") {
			r.start(g, end)
		}
	})
	o.undo = func() {
		made.undo(&r.state)
		delete(g.Config, "lock")
		if r.old == nil {
			r.remove(g)
		}
	}
	return o
}

// vm restores a VM's disks and configuration.
func (r *restoring) vm(j *journal) (madeDrives, error) {
	made := madeDrives{config: r.restoredConfig()}
	file := fmt.Sprintf("/var/tmp/vzdumptmp%d", r.lastPID)
	path := named{id: r.archive.ID, storage: r.storageNamed(r.archive.storage())}.path()
	if r.archive.subtype() != "qemu" {
		return made, die("ERROR: file '%s' does not look like a QemuServer vzdump backup", path)
	}
	pbs := strings.HasPrefix(r.archive.Format, "pbs-")
	if !pbs {
		j.unpacking(path, file)
		j.say("CFG: size: %d name: qemu-server.conf", len(r.archive.configFile()))
		for i, key := range sortedKeys(r.archive.Disks) {
			j.say("DEV: dev_id=%d size: %d devname: drive-%s", i+1, r.archive.Disks[key].Size, key)
		}
		j.say("CTIME: %s", r.archive.made.UTC().Format("Mon Jan _2 15:04:05 2006"))
	}
	r.displace(made.config)
	var size, used int64
	for _, key := range diskKeys("qemu", made.config) {
		disk := r.archive.Disks[key]
		name := "disk"
		if propstring.IsCloudInit(made.config[key]) {
			name = "cloudinit"
		}
		v, err := r.allocate(j, key, disk, name)
		if err != nil {
			made.undo(&r.state)
			return made, err
		}
		made.volumes = append(made.volumes, v)
		made.config[key] = propstring.Set(propstring.Set(propstring.SetVolume(made.config[key], v.ID), "size", propstring.FormatSize(v.Size)), "format", "")
		size, used = size+disk.Size, used+disk.Used
		if name == "disk" {
			where := named{id: v.ID, storage: r.storageNamed(v.storage())}.path()
			j.say("map 'drive-%s' to '%s' (write zeros = %d)", key, where, bit(where[:5] == "/dev/"))
		}
	}
	j.restored(size, used, pbs)
	j.say("rescan volumes...")
	maps.Copy(made.config, r.overridden())
	return made, nil
}

// restoredConfig is the backup's configuration as the new guest's: with addresses
// and ids of its own if that is asked for.
func (r *restoring) restoredConfig() map[string]string {
	config := maps.Clone(r.archive.Config)
	delete(config, "template")
	if r.kind == "qemu" {
		if config["vmgenid"] != "" {
			config["vmgenid"] = r.uuid("vmgenid")
		}
		if r.flag("unique") && config["smbios1"] != "" {
			config["smbios1"] = strings.Trim("uuid="+r.uuid("smbios")+","+propstring.Set(config["smbios1"], "uuid", ""), ",")
		}
	}
	for key, value := range config {
		if old := macOf(value); withoutIndex(key) == "net" && old != "" && r.flag("unique") {
			config[key] = strings.Replace(value, old, r.mac(), 1)
		}
	}
	return config
}

// overridden are the keys that the call gives. A container that gets addresses of its own
// has the backup's interfaces, whatever the call gives for them.
func (r *restoring) overridden() map[string]string {
	out := map[string]string{}
	for key, value := range r.over {
		kept := r.kind == "lxc" && r.flag("unique") && withoutIndex(key) == "net" && r.archive.Config[key] != ""
		if !propstring.IsDriveKey(r.kind, key) && !kept {
			out[key] = r.normal(r.kind, key, value)
		}
	}
	return out
}

// displace gives up the volumes of the guest that is replaced: those in slots that
// the backup has are destroyed, the others stay as unused ones.
func (r *restoring) displace(config map[string]string) {
	if r.old == nil {
		return
	}
	unused := &guest{Guest: Guest{Config: config}}
	for _, key := range sortedKeys(r.old.Config) {
		v := r.volumeOf(propstring.Volume(r.old.Config[key]), r.old.Node)
		switch {
		case v == nil || v.VMID != r.id || !propstring.IsDriveKey(r.kind, key):
		case config[key] != "":
			r.removeVolume(v)
		default:
			unused.addUnused(v.ID)
		}
	}
	for _, snap := range r.old.snaps {
		r.freeVolume(snap.VMState, r.old.Node)
	}
}

// allocate makes a new volume for one of the backup.
func (r *restoring) allocate(j *journal, key string, from Volume, name string) (*volume, error) {
	storage := r.storage
	if storage == "" {
		storage, _, _ = strings.Cut(propstring.Volume(r.archive.Config[key]), ":")
		if err := r.caller.Require("/storage/"+storage, "Datastore.AllocateSpace"); err != nil {
			return nil, die("403 %s", err.Error())
		}
	}
	st, err := r.online(storage, r.node.Name)
	content := map[string]string{"qemu": "images", "lxc": "rootdir"}[r.kind]
	switch {
	case err != nil:
		return nil, err
	case !st.holds(content):
		return nil, die("storage '%s' does not support content-type '%s'", storage, content)
	}
	format := from.Format
	if name == "cloudinit" {
		format, from.Size = "qcow2", 4<<20
	}
	if format == "subvol" && !st.traits().subvols {
		format = "raw"
	}
	v := r.newVolume(request{storage: storage, node: r.node.Name, vmid: r.id, name: name, content: content, format: format, size: from.Size})
	v.Used, v.Blank = from.Used, from.Blank
	j.formatting(st, v)
	if r.kind == "qemu" {
		j.say("new volume ID is '%s'", v.ID)
	} else {
		j.fileSystem(v)
	}
	return r.addVolume(v, r.now), nil
}

// unpacking is the command that a VM's backup is read with.
func (j *journal) unpacking(path, tmp string) {
	unpack := map[string]string{"zst": "zstd -q -d -c", "gz": "zcat", "lzo": "lzop -d -c"}[path[strings.LastIndex(path, ".")+1:]]
	if unpack == "" {
		j.say("restore vma archive: vma extract -v -r %s.fifo %s %s", tmp, path, tmp)
		return
	}
	j.say("restore vma archive: %s %s | vma extract -v -r %s.fifo - %s", unpack, path, tmp, tmp)
}

// restored is the progress of the data's way back, in steps of a percent.
func (j *journal) restored(size, used int64, pbs bool) {
	const cluster = 64 << 10
	takes := 500*time.Millisecond + time.Duration(float64(used)/copySpeed*float64(time.Second))
	began := j.at
	for p := int64(1); p <= 100 && size > 0; p++ {
		j.at = began + takes*time.Duration(p)/100
		bytes := min((size*p/100+cluster-1)/cluster*cluster, size)
		zeros := ""
		if pbs {
			zeros = fmt.Sprintf(", zeroes = %d%% (%d bytes)", (size-used)*100/size, (size-used)*p/100)
		}
		j.say("progress %d%% (read %d bytes%s, duration %d sec)", p, bytes, zeros, int64((j.at - began).Seconds()))
	}
	if !pbs {
		j.say("total bytes read %d, sparse bytes %d (%.3g%%)", size, size-used, float64(size-used)*100/float64(max(size, 1)))
	}
}

// restoreCT restores a container from a backup.
func (c *call) restoreCT(archive string) (any, error) {
	r, err := c.restoreOf("lxc", archive)
	if err != nil {
		return nil, err
	}
	words := fmt.Sprintf("unable to restore CT %d", r.id)
	if r.storage == "" {
		r.storage = "local"
	}
	if err := c.restoreCTRefusal(r, words); err != nil {
		return nil, err
	}
	return c.fork(c.now, c.node, c.caller.User, "vzrestore", strconv.Itoa(r.id), 0, func(now time.Time) outcome {
		j := &journal{began: now}
		g := r.occupy()
		made, err := r.ct(j)
		if err != nil {
			delete(g.Config, "lock")
			if r.old == nil {
				c.remove(g)
			}
			return j.fail(die("%s - %s", words, strings.TrimSpace(refusalOf(err).message)))
		}
		return r.finish(j, g, made)
	}), nil
}

func (c *call) restoreCTRefusal(r *restoring, words string) error {
	if g := r.old; g != nil {
		if g.now.running {
			return die("can't overwrite running container")
		}
		if err := g.unprotected("%s", words); err != nil {
			return err
		}
		if err := g.unlocked(); err != nil {
			return die("%s - %s", words, strings.TrimSpace(refusalOf(err).message))
		}
	} else if err := c.unusedID(r.id); err != nil {
		return err
	}
	privileged := r.archive.Config["unprivileged"] != "1"
	if given := r.over["unprivileged"]; given != "" {
		privileged = given == "0"
	}
	if privileged && c.node.version.major >= 9 {
		if err := c.caller.Require("/", "Sys.Modify"); err != nil {
			return err
		}
	}
	if r.over["rootfs"] != "" { // volumes of their own
		return nil
	}
	return c.mayAllocate("lxc", r.storage)
}

// ct restores a container's volumes and configuration. The old volumes go when the
// new ones are there.
func (r *restoring) ct(j *journal) (madeDrives, error) {
	j.say("recovering backed-up configuration from '%s'", r.archive.ID)
	made := madeDrives{config: r.restoredConfig()}
	path := named{id: r.archive.ID, storage: r.storageNamed(r.archive.storage())}.path()
	if r.archive.subtype() != "lxc" {
		return made, die("command 'tar -tf %s' failed: exit code 2", path)
	}
	if r.over["rootfs"] != "" {
		drives, err := r.makeDrives(j, "lxc", r.id, r.over, r.storage)
		if err != nil {
			return made, err
		}
		for _, key := range diskKeys("lxc", made.config) {
			delete(made.config, key)
		}
		maps.Copy(made.config, drives.config)
		made.volumes = drives.volumes
	} else if err := r.mounts(j, &made); err != nil {
		made.undo(&r.state)
		return made, err
	}
	var used int64
	for _, from := range r.archive.Disks {
		used += from.Used
	}
	for _, v := range made.volumes {
		v.Blank = false
	}
	r.displace(made.config)
	j.say("restoring '%s' now..", r.archive.ID)
	j.say("extracting archive '%s'", path)
	j.pass(500*time.Millisecond + time.Duration(float64(used)/copySpeed*float64(time.Second)))
	j.say("Total bytes read: %d (%s, %s/s)", used, tarBytes(used), tarBytes(copySpeed))
	j.say("merging backed-up and given configuration..")
	maps.Copy(made.config, r.overridden())
	return made, nil
}

// mounts makes the volumes that the backup had.
func (r *restoring) mounts(j *journal, made *madeDrives) error {
	for _, key := range diskKeys("lxc", made.config) {
		from, ok := r.archive.Disks[key]
		if !ok {
			from = Volume{Size: propstring.Size(made.config[key]), Format: "raw"}
		}
		v, err := r.allocate(j, key, from, "disk")
		if err != nil {
			return err
		}
		made.volumes = append(made.volumes, v)
		made.config[key] = propstring.Set(propstring.SetVolume(made.config[key], v.ID), "size", propstring.FormatSize(v.Size))
	}
	return nil
}
