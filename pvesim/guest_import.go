package pvesim

import (
	"cmp"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/pvesim/internal/propstring"
)

// importWait is how long an import waits for the lock on the configuration of the VM whose
// disk it copies.
const importWait = 30 * time.Second

// source is what a new disk is filled from.
type source struct {
	*volume
	id        string
	size      int64
	image     Image
	extracted string // the volume that it is unpacked to first; "" for none
}

// importSource finds what a drive is to be filled from, and says what goes wrong as the
// task does; nil if the drive is to be empty.
func (c *call) importSource(j *journal, drive string, vmid int) (*source, error) {
	id := propstring.Get(drive, "import-from")
	if id == "" {
		return nil, nil
	}
	storage, name, _ := strings.Cut(id, ":")
	st := c.storageNamed(storage)
	content, owner, err := st.parseName(name)
	if err != nil {
		return nil, err
	}
	if content == "import" && path.Ext(path.Dir(name)) == ".ova" {
		return c.sourceInOVA(j, id, vmid)
	}
	file, v := named{id: id, storage: st}.path(), c.volumeOf(id, c.node.Name)
	switch {
	case v == nil && content == "import":
		return nil, die("failed to stat '%s'", file)
	case v == nil:
		j.say("failed to stat '%s'", file)
		return nil, die("cannot import from '%s' - could not get size of %s", id, id)
	case propstring.IsCloudInit(id):
		return nil, die("cannot import from '%s' - cannot import from cloudinit disk", id)
	case owner != 0 && c.guests[owner] != nil && c.guests[owner].Node != c.node.Name:
		return nil, die("cannot import from '%s' - owner VM %d not on local node", id, owner)
	case owner == vmid && owner != 0 && c.node.version.major < 9: // it has the lock itself
		j.say("trying to acquire lock...")
		j.pass(importWait)
		return nil, die("cannot import from '%s' - can't lock file '%s' - got timeout", id, c.guests[owner].lockFile())
	}
	return &source{volume: v, id: id, size: cmp.Or(v.Image.Virtual, v.Size), image: v.Image}, nil
}

// sourceInOVA is a disk in an archive, which is unpacked for the import.
func (c *call) sourceInOVA(j *journal, id string, vmid int) (*source, error) {
	archive, file := path.Dir(id), path.Base(id)
	storage := cmp.Or(c.str("import-working-storage"), strings.SplitN(id, ":", 2)[0])
	j.say("extracting %s", id)
	v := c.volumeOf(archive, c.node.Name)
	if v == nil {
		return nil, die("error during extraction: command 'tar -x --force-local --no-same-owner -f %s %s' failed: exit code 2", archive, file)
	}
	image, ok := v.Image.Disks[file]
	if !ok {
		return nil, die("error during extraction: command 'tar -x --force-local --no-same-owner -f %s %s' failed: exit code 2", archive, file)
	}
	r := request{storage: storage, node: c.node.Name, vmid: vmid, name: "disk", content: "images", format: strings.TrimPrefix(path.Ext(file), ".")}
	extracted := c.newVolume(r).ID
	j.pass(time.Duration(v.Size/copySpeed) * time.Second)
	j.say("finished extracting to %s", extracted)
	unpacked := *v
	unpacked.Format, unpacked.Image = r.format, image
	return &source{volume: &unpacked, id: extracted, size: cmp.Or(image.Virtual, v.Size), image: image, extracted: extracted}, nil
}

// format is that of the copy: the one that is asked for, or else the source's, or else
// the storage's own.
func (s *source) format(asked string, st *Storage) string {
	for _, format := range []string{asked, s.Format} {
		for _, can := range st.formats() {
			if format == can && format != "subvol" {
				return format
			}
		}
	}
	return st.traits().format
}

// copyTo fills a new volume, and says so.
func (c *call) copyTo(j *journal, s *source, v *Volume, st *Storage) error {
	v.Blank, v.Image = s.Blank, s.image
	v.Image.Virtual, v.Image.Disks, v.Image.Guest = 0, nil, nil
	if !st.traits().thick {
		v.Used = s.Used
	}
	if free := c.bytesFree(st, c.node.Name); v.Used > free {
		j.say("qemu-img: error while writing at byte %d: No space left on device", max(free, 0))
		return die("cannot import from '%s' - copy failed: command '/usr/bin/qemu-img convert -p -n -f %s -O %s' failed: exit code 1", s.id, s.Format, v.Format)
	}
	j.transfer(v.Size, s.Used)
	if s.extracted != "" {
		j.say("cleaned up extracted image %s", s.extracted)
	}
	return nil
}

// getImportMetadata tells what a guest in an archive is like.
func getImportMetadata(c *call) (any, error) {
	id := c.str("storage") + ":" + c.str("volume")
	st := c.storageNamed(c.str("storage"))
	if st == nil {
		return nil, die("storage '%s' does not exist", c.str("storage"))
	}
	content, owner, err := st.parseName(c.str("volume"))
	if err != nil {
		return nil, err
	}
	if err := c.mayRead(content, owner, st.ID, 0); err != nil {
		return nil, err
	}
	v := c.volumeOf(id, c.node.Name)
	switch {
	case !st.traits().files:
		return nil, die("storage does not support the importer API")
	case content != "import":
		return nil, die("invalid content type '%s'", content)
	case path.Ext(id) != ".ova" && path.Ext(id) != ".ovf":
		return nil, die("invalid format")
	case v == nil:
		return nil, die("command 'tar -xO --wildcards '--occurrence=1' -f %s '*.ovf'' failed: exit code 2", named{id: id, storage: st}.path())
	}
	args, disks := map[string]any{"ostype": "l26"}, map[string]any{}
	for key, value := range v.Image.Guest {
		args[key] = value
	}
	for i, name := range sortedKeys(v.Image.Disks) {
		disk := map[string]any{"volid": id + "/" + name}
		if size := v.Image.Disks[name].Virtual; size != 0 {
			disk["size"] = size
		}
		disks[fmt.Sprintf("scsi%d", i)] = disk
	}
	return map[string]any{
		"type": "vm", "source": c.str("volume"), "create-args": args, "disks": disks, "net": map[string]any{"net0": map[string]any{"model": "e1000"}},
		"warnings": []any{map[string]any{"type": "ova-needs-extracting"}},
	}, nil
}
