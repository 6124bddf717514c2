package pvesim

import (
	ziparchive "archive/zip"
	"bytes"
	"encoding/base64"
	"maps"
	"path"
	"slices"
	"strings"
	"time"
)

// restored is an answer that is a file.
type restored []byte

// restorables is what can be restored from a backup, one by one: the content of files, by their
// paths as proxmox-file-restore has them.
type restorables struct {
	files   map[string]string
	volume  *volume
	virtual map[string]bool // paths of what is no folder of the guest: disks and partitions
}

// restorable is the backup that a request names.
func (c *call) restorable() (*restorables, error) {
	id := c.str("volume")
	storage, _, named := strings.Cut(id, ":")
	named = named && !strings.Contains(storage, "/")
	switch {
	case named && storage != c.str("storage"):
		return nil, badParam("volume", "storage ID mismatch (%s != %s).", storage, c.str("storage"))
	case !named && strings.HasPrefix(id, "backup/"):
		id = c.str("storage") + ":" + id
	case !named:
		id = c.str("storage") + ":backup/" + id
	}
	_, name, _ := strings.Cut(id, ":")
	if content, _ := contentOf(name); content != "backup" {
		return nil, die("unable to use volume %s - content type needs to be 'backup'", id)
	}
	_, content, owner, err := c.managed(id)
	if err != nil {
		return nil, err
	}
	storage = c.str("storage")
	if err := c.mayRead(content, owner, storage, 0); err != nil {
		return nil, err
	}
	st := c.storageNamed(storage)
	if st.Type != "pbs" {
		return nil, badParam("storage", "Only PBS storages supported for file-restore.")
	}
	v := c.volumeOf(id, c.node.Name)
	if v == nil {
		return nil, die("unable to open snapshot '%s' - not found", strings.TrimPrefix(name, "backup/"))
	}
	c.fillArchive(v)
	return c.archiveOf(v), nil
}

// archiveOf is what is in a backup: of a container its root, of a VM its disks, with a
// partition each. The files are on the first one.
func (c *call) archiveOf(v *volume) *restorables {
	a := &restorables{files: map[string]string{}, volume: v, virtual: map[string]bool{}}
	files := map[string]string{"/etc/hostname": v.Config["name"] + v.Config["hostname"] + "\n", "/etc/fstab": "/dev/sda1 / ext4 errors=remount-ro 0 1\n"}
	if own := v.Files; own != nil {
		maps.Copy(files, own)
	} else if g := c.guests[v.VMID]; g != nil {
		maps.Copy(files, g.filesNow())
	}
	root := "/root.pxar.didx"
	if v.subtype() == "qemu" {
		root = ""
		for _, key := range diskKeys("qemu", v.Config) {
			disk := "/drive-" + key + ".img.fidx"
			for _, folder := range []string{disk, disk + "/part", disk + "/part/1"} {
				a.virtual[folder] = true
			}
			if root == "" {
				root = disk + "/part/1"
			}
		}
	}
	for name, content := range files {
		a.files[root+name] = content
	}
	return a
}

// below lists what is in a folder, by name; false if there is no such folder.
func (a *restorables) below(folder string) ([]any, bool) {
	folder = strings.TrimSuffix(folder, "/")
	kinds := map[string]string{}
	for name := range a.files {
		if rest, ok := strings.CutPrefix(name, folder+"/"); ok {
			first, _, deeper := strings.Cut(rest, "/")
			kinds[first] = map[bool]string{true: "d", false: "f"}[deeper]
		}
	}
	for name := range a.virtual {
		if path.Dir(name) == path.Join("/", folder) {
			kinds[path.Base(name)] = "v"
		}
	}
	out := []any{}
	for _, name := range slices.Sorted(maps.Keys(kinds)) {
		full := folder + "/" + name
		out = append(out, a.item(base64.StdEncoding.EncodeToString([]byte(full)), full, kinds[name]))
	}
	return out, len(out) > 0 || a.virtual[folder]
}

// item is what a list says of a file (f), a folder (d), or a disk or partition (v).
func (a *restorables) item(encoded, name, kind string) map[string]any {
	out := map[string]any{"filepath": encoded, "text": path.Base(name), "type": kind, "leaf": bit(kind == "f")}
	if kind == "f" {
		out["size"], out["mtime"] = len(a.files[name]), a.volume.made.Add(-time.Hour).Unix()
	}
	return out
}

// chosenInBackup is the backup that a request names and the path in it, which is in base64 unless
// it is the root.
func (c *call) chosenInBackup() (a *restorables, name string, err error) {
	a, err = c.restorable()
	text := c.str("filepath")
	if err != nil || text == "" || text == "/" {
		return a, "/", err
	}
	decoded, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, "", die("Failed base64-decoding path '%s' - Invalid byte", text)
	}
	return a, path.Clean("/" + string(decoded)), nil
}

// listFileRestore lists a folder of a backup.
func listFileRestore(c *call) (any, error) {
	a, name, err := c.chosenInBackup()
	if err != nil {
		return nil, err
	}
	if _, ok := a.files[name]; ok {
		return []any{a.item(c.str("filepath"), name, "f")}, nil
	}
	list, ok := a.below(name)
	if !ok {
		return nil, die("path '%s' not found in archive", name)
	}
	return list, nil
}

// downloadFileRestore is a file of a backup, or a folder as a zip file.
func downloadFileRestore(c *call) (any, error) {
	a, name, err := c.chosenInBackup()
	if err != nil {
		return nil, err
	}
	if c.flag("tar") {
		return nil, c.notSimulated()
	}
	c.fork(c.now, c.node, c.caller.User, "pbs-download", "", 0, func(time.Time) outcome { return outcome{took: quickTakes, exit: "OK"} })
	if content, ok := a.files[name]; ok {
		return restored(content), nil
	}
	var out bytes.Buffer
	z := ziparchive.NewWriter(&out)
	for _, file := range slices.Sorted(maps.Keys(a.files)) {
		if rest, ok := strings.CutPrefix(file, strings.TrimSuffix(name, "/")+"/"); ok {
			if w, err := z.Create(path.Join(path.Base(name), rest)); err == nil {
				_, _ = w.Write([]byte(a.files[file]))
			}
		}
	}
	_ = z.Close()
	return restored(out.Bytes()), nil
}
