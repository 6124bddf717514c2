package pvesim

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/pve-mcp/pve-mcp/pve/apischema"
)

// storageConfig is a storage's section of PVE's configuration.
func (c *call) storageConfig(st *Storage) map[string]any {
	out := map[string]any{"storage": st.ID, "type": st.Type, "content": st.Content, "digest": c.storageDigest()}
	for key, value := range st.Options {
		out[key] = value
		if n, err := strconv.Atoi(value); err == nil {
			out[key] = n
		}
	}
	if st.traits().files {
		out["path"] = st.path()
	}
	if len(st.Nodes) > 0 {
		out["nodes"] = strings.Join(st.Nodes, ",")
	}
	for key, set := range map[string]bool{"disable": st.Disabled, "shared": st.everywhere()} {
		if set {
			out[key] = 1
		}
	}
	return out
}

// storageDigest is that of the file with all storages.
func (s *state) storageDigest() string {
	sum := sha1.Sum(fmt.Append(nil, s.storages))
	return hex.EncodeToString(sum[:])
}

// seesStorage reports whether the caller may know of a storage.
func (c *call) seesStorage(id string) bool {
	return c.may("/storage/"+id, "Datastore.Audit") || c.may("/storage/"+id, "Datastore.AllocateSpace")
}

func listStorages(c *call) (any, error) {
	out := []any{}
	for i := range c.storages {
		st := &c.storages[i]
		if c.seesStorage(st.ID) && (c.str("type") == "" || c.str("type") == st.Type) {
			out = append(out, c.storageConfig(st))
		}
	}
	return out, nil
}

func getStorage(c *call) (any, error) {
	st := c.storageNamed(c.str("storage"))
	if st == nil {
		return nil, die("storage '%s' does not exist", c.str("storage"))
	}
	return c.storageConfig(st), nil
}

// storageState shows a storage as a node has it. One that is disabled, not on the
// node or broken is all zeros.
func (c *call) storageState(st *Storage) map[string]any {
	usable := !st.Disabled && st.on(c.node.Name)
	out := map[string]any{
		"type": st.Type, "content": st.Content, "shared": bit(st.everywhere()), "enabled": bit(usable),
		"active": 0, "total": int64(0), "used": int64(0), "avail": int64(0),
	}
	if usable && st.broken(c.node.Name) == "" {
		out["active"], out["total"], out["used"] = 1, st.size(c.node.Name), c.bytesUsed(st, c.node.Name)
		out["avail"] = c.bytesFree(st, c.node.Name)
	}
	return out
}

func getStorageStatus(c *call) (any, error) {
	st := c.storageNamed(c.str("storage"))
	if st == nil {
		return nil, badParam("storage", "No such storage.")
	}
	return c.storageState(st), nil
}

// getIdentity says which backup server a storage is. Other storages have no identity.
func getIdentity(c *call) (any, error) {
	st, err := c.usable(c.str("storage"), c.node.Name)
	switch {
	case err != nil:
		return nil, err
	case st.Type != "pbs":
		return nil, die("get_identity not implemented for this plugin at /usr/share/perl5/PVE/Storage/Plugin.pm line 2681.")
	}
	h := hash(st.Options["server"], st.Options["datastore"])
	return map[string]any{"type": st.Type, "id": fmt.Sprintf("%08x-0000-4000-8000-%012x", h>>32, h&0xffffffffffff)}, nil
}

func listNodeStorages(c *call) (any, error) {
	wanted, target := apischema.SplitList(c.str("content")), c.str("target")
	if target == c.node.Name || target == "localhost" {
		target = ""
	}
	if id := c.str("storage"); id != "" && c.storageNamed(id) == nil {
		return nil, badParam("storage", "No such storage.")
	}
	out := []any{}
	for i := range c.storages {
		st := &c.storages[i]
		switch {
		case !c.seesStorage(st.ID),
			c.str("storage") != "" && c.str("storage") != st.ID,
			c.flag("enabled") && st.Disabled,
			len(wanted) > 0 && !slices.ContainsFunc(wanted, st.holds),
			target != "" && !(st.everywhere() && st.on(c.node.Name) && st.on(target)):
			continue
		}
		item := c.storageState(st)
		item["storage"] = st.ID
		if size := st.size(c.node.Name); size > 0 && item["active"] == 1 {
			item["used_fraction"] = float64(c.bytesUsed(st, c.node.Name)) / float64(size)
		}
		if c.flag("format") {
			c.addFormats(item, st)
		}
		out = append(out, item)
	}
	return out, nil
}

// addFormats tells which formats volumes may have: before PVE 9 as a pair only.
func (c *call) addFormats(item map[string]any, st *Storage) {
	supported := map[string]int{}
	for _, f := range st.formats() {
		supported[f] = 1
	}
	item["format"] = []any{supported, st.traits().format}
	if c.node.version.major >= 9 {
		item["formats"] = map[string]any{"default": st.traits().format, "supported": st.formats()}
	}
}

// formats are those that volumes of guests may have.
func (st *Storage) formats() []string {
	switch t := st.traits(); {
	case !t.images:
		return []string{}
	case t.files:
		return []string{"qcow2", "raw", "subvol", "vmdk"}
	case t.subvols:
		return []string{"raw", "subvol"}
	}
	return []string{"raw"}
}
