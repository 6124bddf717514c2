package pvesim

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/pve/apischema"
)

// take gives a storage options, or takes those away that are "".
func (st *Storage) take(options map[string]string) {
	st.Options = maps.Clone(st.Options)
	if st.Options == nil {
		st.Options = map[string]string{}
	}
	for key, value := range options {
		switch key {
		case "content":
			st.Content = value
		case "disable":
			st.Disabled = value == "1"
		case "shared":
			st.Shared = value == "1"
		case "nodes":
			st.Nodes = apischema.SplitList(value)
		case "path":
			st.Path = value
		default:
			setOrDelete(st.Options, key, value)
		}
		if slices.Contains(secretKeys, key) {
			delete(st.Options, key)
		}
	}
}

// createStorage adds a storage, of which the simulated cluster makes up the size.
func createStorage(c *call) (any, error) {
	const words = "create storage failed: "
	id, typ := c.str("storage"), c.str("type")
	options, err := c.givenStorageOptions(typ, false)
	switch {
	case err != nil:
		return nil, err
	case c.storageNamed(id) != nil:
		return nil, die("%sstorage ID '%s' already defined", words, id)
	}
	st := Storage{ID: id, Type: typ, Content: cmp.Or(usualContent[typ], "rootdir,images"), Size: 1 << 40}
	if typ == "dir" || typ == "btrfs" { // on the disk of its node
		st.Size, st.Used, st.SizeOn = c.node.Disk, c.node.rootUsed(), map[string]int64{}
		for _, n := range c.nodes {
			st.SizeOn[n.Name] = n.Disk
		}
	}
	st.take(options)
	c.storages = append(c.storages, st)
	return map[string]any{"storage": id, "type": typ}, nil
}

// putStorage changes a storage's options, all or none.
func putStorage(c *call) (any, error) {
	const words = "update storage failed: "
	st := c.storageNamed(c.str("storage"))
	switch {
	case c.str("digest") != "" && c.str("digest") != c.storageDigest():
		return nil, die("%s%s", words, otherDigest)
	case st == nil:
		return nil, die("%sstorage '%s' does not exist", words, c.str("storage"))
	}
	options, err := c.givenStorageOptions(st.Type, true)
	if err != nil {
		return nil, die("%s%s", words, strings.TrimSpace(err.Error()))
	}
	for _, key := range apischema.SplitList(c.str("delete")) {
		_, given := options[key]
		switch how, ok := c.storageOption(st.Type, key); {
		case !ok:
			return nil, die("%sno such option '%s'", words, key)
		case how == fixed || how == needed:
			return nil, die("%sunable to delete required option '%s'", words, key)
		case how == chosenOnce:
			return nil, die("%sunable to delete fixed option '%s'", words, key)
		case given:
			return nil, die("%scannot set and delete property '%s' at the same time!", words, key)
		}
		options[key] = ""
	}
	st.take(options)
	return map[string]any{"storage": st.ID, "type": st.Type}, nil
}

// deleteStorage forgets a storage; what is on it stays there.
func deleteStorage(c *call) (any, error) {
	id := c.str("storage")
	if c.storageNamed(id) == nil {
		return nil, die("delete storage failed: storage '%s' does not exist", id)
	}
	c.storages = slices.DeleteFunc(c.storages, func(st Storage) bool { return st.ID == id })
	delete(c.acl, "/storage/"+id)
	clear(c.privCache)
	return nil, nil
}
