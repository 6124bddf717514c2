package pvesim

import (
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/lazyregexp"
	"github.com/pve-mcp/pve-mcp/pve/apischema"
)

// listContent lists the volumes of a storage that the caller may read. That there
// is none may mean that the caller may read none.
func listContent(c *call) (any, error) {
	st, err := c.online(c.str("storage"), c.node.Name)
	if err != nil {
		return nil, err
	}
	want, owner := c.str("content"), c.number("vmid", 0)
	out := []any{}
	for _, v := range c.volumesOn(st.ID, c.node.Name) {
		switch {
		case want != "" && want != v.Content,
			owner != 0 && owner != v.VMID && v.Content != "snippets",
			!c.readable(v):
			continue
		}
		out = append(out, c.contentItem(st, v))
	}
	return out, nil
}

// readable reports whether the caller may read a volume, for answers that leave out those
// that it may not.
func (c *call) readable(v *volume) bool {
	asked := c.caller.Checked
	c.caller.Checked = func(p apischema.PrivCheck) { c.filteredBy(p.Path, p.Privs...) }
	defer func() { c.caller.Checked = asked }()
	return c.mayRead(v.Content, v.VMID, v.storage(), 0) == nil
}

func (c *call) contentItem(st *Storage, v *volume) map[string]any {
	out := map[string]any{"volid": v.ID, "content": v.Content, "format": v.Format, "size": v.Size, "ctime": v.made.Unix()}
	if v.VMID != 0 {
		out["vmid"] = v.VMID
	}
	if v.Inactive && c.node.version.atLeast(9, 1) {
		delete(out, "size")
		out["approximate-size"] = v.Size
	}
	switch v.Content {
	case "images", "rootdir":
		t := st.traits()
		if t.files || t.subvols {
			out["used"] = v.Used
		}
		_, parent, clone := strings.Cut(v.Parent, ":")
		switch {
		case clone && t.files:
			out["parent"] = "../" + parent
		case clone:
			out["parent"] = parent + "@__base__"
		case t.files:
			out["parent"] = nil
		}
		if t.subvols {
			delete(out, "ctime")
		}
	case "backup":
		out["subtype"] = v.subtype()
		if v.Notes != "" {
			out["notes"], _, _ = strings.Cut(v.Notes, "\n")
		}
		if v.Protected {
			out["protected"] = 1
		}
		if v.Encrypted != "" {
			out["encrypted"] = v.Encrypted
		}
		if v.Verification != "" {
			out["verification"] = map[string]any{"state": v.Verification, "upid": v.verifiedBy()}
		}
	}
	return out
}

// subtype is the kind of guest that a backup is of.
func (v *Volume) subtype() string {
	switch name := path.Dir(v.ID) + "/" + v.file(); {
	case strings.Contains(name, "vzdump-qemu-"), v.Format == "pbs-vm":
		return "qemu"
	case strings.Contains(name, "vzdump-lxc-"), v.Format == "pbs-ct":
		return "lxc"
	}
	return "unknown"
}

// verifiedBy is the backup server's task that verified a backup.
func (v *volume) verifiedBy() string {
	return fmt.Sprintf("UPID:backup:%08X:%08X:00000001:%08X:verificationjob:store:root@pam:", hash(v.ID)>>40, hash(v.ID, 1)>>36, v.made.Unix()+6*3600)
}

// Names of volumes below a storage.
var (
	dumpName  = lazyregexp.New(`^backup/(?:vzdump-(?:qemu|lxc|openvz)-(\d+)-.+|(?:vm|ct)/(\d+)/.+|[^/]+\.(?:tgz|(?:tar|vma)(?:\.(?:gz|lzo|zst))?))$`)
	imageName = lazyregexp.New(`^(?:.+/)?(?:vm|base|subvol|basevol)-(\d+)-[^/]+$`)
	fileName  = lazyregexp.New(`^(iso|vztmpl|snippets|import)/(?:[^/]+|[^/]+\.ova/[^/]+)$`)
	otherDisk = lazyregexp.New(`^(\d+)/[^/\s]+\.(?:raw|qcow2|vmdk|subvol)$`)
)

// contentOf returns what a volume's name below its storage says that it is, and
// whose. The volume need not exist.
func contentOf(name string) (content string, owner int) {
	if m := dumpName.FindStringSubmatch(name); m != nil {
		owner, _ = strconv.Atoi(m[1] + m[2])
		return "backup", owner
	}
	if m := fileName.FindStringSubmatch(name); m != nil {
		return m[1], 0
	}
	for _, disk := range []*lazyregexp.Regexp{imageName, otherDisk} {
		if m := disk.FindStringSubmatch(name); m != nil {
			owner, _ = strconv.Atoi(m[1])
			return "images", owner
		}
	}
	return "", 0
}

// parseName is contentOf for a name that the storage may not understand.
func (st *Storage) parseName(name string) (content string, owner int, err error) {
	if content, owner = contentOf(name); content != "" {
		return content, owner, nil
	}
	what := map[string]string{"zfspool": "zfs", "lvm": "lvm", "lvmthin": "lvm", "rbd": "rbd", "pbs": "pbs"}[st.Type]
	if what == "" {
		what = "directory"
	}
	return "", 0, die("unable to parse %s volume name '%s'", what, name)
}

// named is a volume that a path names, whether or not it exists.
type named struct {
	*volume // nil if there is none
	id      string
	content string
	owner   int
	storage *Storage
}

// theVolume reads the volume of the path, which may lack the storage.
func (c *call) theVolume() (named, error) {
	n := named{id: c.str("volume")}
	storage, name, ok := strings.Cut(n.id, ":")
	switch given := c.str("storage"); {
	case !ok:
		storage, name, n.id = given, n.id, given+":"+n.id
	case storage != given:
		return n, badParam("volume", "storage ID mismatch (%s != %s)\n", storage, given)
	}
	if n.storage = c.storageNamed(storage); n.storage == nil {
		return n, die("storage '%s' does not exist", storage)
	}
	var err error
	n.content, n.owner, err = n.storage.parseName(name)
	n.volume = c.volumeOf(n.id, c.node.Name)
	return n, err
}

func checkReadVolume(c *call) error {
	n, err := c.theVolume()
	if err != nil {
		return err
	}
	return c.mayRead(n.content, n.owner, n.storage.ID, 0)
}

func getVolume(c *call) (any, error) {
	if err := checkReadVolume(c); err != nil {
		return nil, err
	}
	n, _ := c.theVolume()
	if _, err := c.online(n.storage.ID, c.node.Name); err != nil {
		return nil, err
	}
	if n.volume == nil {
		return nil, die("volume_size_info on '%s' failed - no format", n.id)
	}
	out := map[string]any{"path": n.path(), "size": n.Size, "used": n.Used, "format": n.Format}
	if n.content != "images" && n.storage.traits().files { // qemu-img sees raw data in whole sectors
		size := (n.Size + 511) / 512 * 512
		out["size"], out["used"], out["format"] = size, size, "raw"
	}
	if n.content == "import" && n.Image.Virtual != 0 { // from source: qemu-img sees the disk in it
		out["size"], out["format"] = n.Image.Virtual, strings.TrimPrefix(path.Ext(n.id), ".")
	}
	if n.content == "backup" {
		out["notes"], out["protected"] = n.Notes, bit(n.Protected)
	}
	return out, nil
}

// path is where a node finds the volume.
func (n named) path() string {
	_, name, _ := strings.Cut(n.id, ":")
	switch n.storage.Type {
	case "zfspool":
		return "/dev/zvol/rpool/data/" + path.Base(name)
	case "lvm", "lvmthin":
		return "/dev/pve/" + name
	case "rbd":
		return "rbd:rbd/" + name
	case "pbs":
		return n.storage.Options["username"] + "@" + n.storage.Options["server"] + ":" + n.storage.Options["datastore"] + ":" + strings.TrimPrefix(name, "backup/")
	}
	dir, file, _ := strings.Cut(name, "/")
	switch dir {
	case "backup":
		dir = "dump"
	case "iso":
		dir = "template/iso"
	case "vztmpl":
		dir = "template/cache"
	case "snippets", "import":
	default:
		dir, file = "images", name
	}
	return n.storage.path() + "/" + dir + "/" + file
}

func putVolume(c *call) (any, error) {
	n, err := c.theVolume()
	if err != nil {
		return nil, err
	}
	if _, err := c.online(n.storage.ID, c.node.Name); err != nil {
		return nil, err
	}
	for _, attribute := range []string{"notes", "protected"} {
		if _, given := c.params[attribute]; !given {
			continue
		}
		switch {
		case !n.storage.traits().files && n.storage.Type != "pbs":
			return nil, die("attribute '%s' is not supported for storage type '%s'", attribute, n.storage.Type)
		case n.content != "backup" && attribute == "notes" && n.storage.traits().files:
			return nil, die("only backups can have notes")
		case n.content != "backup":
			return nil, die("only backups support attribute '%s'", attribute)
		case n.volume == nil:
			return nil, die("volume '%s' does not exist", n.id)
		case attribute == "notes":
			n.Notes = c.str("notes")
		default:
			n.Protected = c.flag("protected")
		}
	}
	return nil, nil
}

func checkDeleteVolume(c *call) error {
	n, err := c.theVolume()
	if err != nil {
		return err
	}
	if n.content != "backup" || n.owner == 0 {
		return c.caller.Require("/storage/"+n.storage.ID, "Datastore.Allocate")
	}
	return c.mayBackups(n.storage.ID, n.owner)
}

// mayBackups wants the right to a guest's backups on a storage.
func (c *call) mayBackups(storage string, vmid int) error {
	if err := c.caller.Require("/storage/"+storage, "Datastore.AllocateSpace"); err != nil {
		return err
	}
	return c.caller.Require(aclPath(vmid), "VM.Backup")
}

// deleteVolume deletes a volume in a task. That it does not exist is no failure.
// With delay it waits that long for the end of the task, and answers without it if it has
// ended by then.
func deleteVolume(c *call) (any, error) {
	if c.forked == nil {
		n, err := c.theVolume()
		if err != nil {
			return nil, err
		}
		upid := c.fork(c.now, c.node, c.caller.User, "imgdel", ownedID(n.owner, n.storage.ID), 0, func(now time.Time) outcome {
			return c.removal(n, now)
		})
		c.forked = c.byUPID[upid]
	}
	return c.awaitForked("delay", "")
}

// ownedID is the id of a task about a storage's volumes of a guest.
func ownedID(owner int, storage string) string {
	if owner == 0 {
		return storage
	}
	return fmt.Sprintf("%d@%s", owner, storage)
}

func (c *call) removal(n named, now time.Time) outcome {
	if _, err := c.online(n.storage.ID, c.node.Name); err != nil {
		return failedBy(err)
	}
	_, name, _ := strings.Cut(n.id, ":")
	switch {
	case n.volume != nil && n.Protected:
		return failedBy(die("cannot remove protected volume '%s' on '%s'", name, n.storage.ID))
	case n.volume != nil && n.base() && len(c.clones(n.volume)) > 0:
		return failedBy(die("base volume '%s' is still in use by linked cloned", n.id))
	}
	j := &journal{began: now}
	j.pass(quickTakes)
	if n.volume == nil && n.storage.traits().files {
		j.say("disk image '%s' does not exist", n.path())
	}
	j.say("Removed volume '%s'", n.id)
	return j.done(func(time.Time) { c.freeVolume(n.id, c.node.Name) })
}
