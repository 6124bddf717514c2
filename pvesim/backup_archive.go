package pvesim

import (
	"fmt"
	"maps"
	"strings"

	"github.com/pve-mcp/pve-mcp/pvesim/internal/propstring"
)

// fillArchive puts into a backup of the model what it was made of.
func (s *state) fillArchive(v *volume) {
	if v.Disks != nil {
		return
	}
	g := s.guests[v.VMID]
	if g != nil && g.Kind != v.subtype() {
		g = nil
	}
	switch {
	case v.Config != nil:
	case g != nil:
		v.Config = maps.Clone(g.Config)
	case v.subtype() == "lxc":
		v.Config = map[string]string{"arch": "amd64", "hostname": fmt.Sprintf("CT%d", v.VMID), "memory": "512", "ostype": "debian", "swap": "512"}
	default:
		v.Config = map[string]string{"cores": "1", "memory": "512", "name": fmt.Sprintf("vm-%d", v.VMID)}
	}
	maps.DeleteFunc(v.Config, func(key, _ string) bool { return withoutIndex(key) == "unused" || key == "lock" || key == "parent" })
	v.Disks = map[string]Volume{}
	for _, key := range diskKeys(v.subtype(), v.Config) {
		size := propstring.Size(v.Config[key])
		v.Disks[key] = Volume{Size: size, Used: size * 2 / 5, Format: "raw"}
		if g == nil {
			continue
		}
		if disk := s.volumeOf(propstring.Volume(g.Config[key]), g.Node); disk != nil {
			v.Disks[key] = disk.Volume
		}
	}
}

// managed says what the name of a volume tells of it, on a storage that exists. A path is
// for root alone.
func (c *call) managed(id string) (storage, content string, owner int, err error) {
	storage, name, ok := strings.Cut(id, ":")
	st := c.storageNamed(storage)
	switch {
	case !ok:
		return "", "", 0, onlyRootPaths()
	case st == nil:
		return "", "", 0, die("storage '%s' does not exist", storage)
	}
	content, owner, err = st.parseName(name)
	return storage, content, owner, err
}

// onlyRootPaths refuses a path in place of a volume. Perl adds where its code dies, which is
// another line in each version: this is 8.4's.
func onlyRootPaths() error {
	return die("Only root can pass arbitrary filesystem paths. at /usr/share/perl5/PVE/Storage.pm line 581.")
}

// mayUnpack wants access to an archive of a kind, for a guest.
func (c *call) mayUnpack(id, kind string, vmid int) error {
	if id == "-" {
		return die("pipe requires cli environment")
	}
	storage, content, owner, err := c.managed(id)
	switch {
	case err != nil:
		return err
	case content != kind:
		return die("unable to use volume %s - content type needs to be '%s'", id, kind)
	}
	return c.mayRead(content, owner, storage, vmid)
}

// theArchive returns a backup that the caller may read.
func (c *call) theArchive(id string, vmid int) (*volume, error) {
	if err := c.mayUnpack(id, "backup", vmid); err != nil {
		return nil, err
	}
	storage, _, _ := strings.Cut(id, ":")
	if _, err := c.online(storage, c.node.Name); err != nil {
		return nil, err
	}
	v := c.volumeOf(id, c.node.Name)
	if v == nil {
		return nil, die("volume '%s' does not exist", id)
	}
	return v, nil
}

// extractConfig answers with the configuration in a backup, as a file. A VM's tells
// for each volume of the archive where it was.
func extractConfig(c *call) (any, error) {
	v, err := c.theArchive(c.str("volume"), 0)
	if err != nil {
		return nil, err
	}
	if err := c.caller.Require(aclPath(v.VMID), "VM.Backup"); err != nil {
		return nil, err
	}
	return v.configFile(), nil
}

// configFile is the configuration in a backup.
func (v *volume) configFile() string {
	var b strings.Builder
	section(&b, "", v.Config)
	if v.subtype() == "qemu" {
		for _, key := range sortedKeys(v.Disks) {
			storage, _, _ := strings.Cut(propstring.Volume(v.Config[key]), ":")
			fmt.Fprintf(&b, "#qmdump#map:%s:drive-%s:%s:%s:\n", key, key, storage, v.Disks[key].Format)
		}
	}
	return b.String()
}
