package pvesim

import (
	"maps"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/pve/apischema"
	"github.com/pve-mcp/pve-mcp/pvesim/internal/perl"
)

// storageKeys are the options of a type of storage: those that it needs, which
// nobody can change later, and others beside those of every type.
var storageKeys = map[string]struct{ needed, other string }{
	"btrfs":   {"path", "is_mountpoint mkdir create-base-path create-subdirs content-dirs"},
	"cephfs":  {"", "monhost path fuse mkdir create-base-path create-subdirs content-dirs subdir username keyring fs-name"},
	"cifs":    {"share server", "path content-dirs subdir domain smbversion username password mkdir create-base-path create-subdirs options"},
	"dir":     {"path", "is_mountpoint mkdir create-base-path create-subdirs content-dirs snapshot-as-volume-chain"},
	"iscsi":   {"portal target", ""},
	"lvm":     {"vgname", "base saferemove saferemove_throughput tagged_only snapshot-as-volume-chain"},
	"lvmthin": {"vgname thinpool", ""},
	"nfs":     {"server export", "path options mkdir create-base-path create-subdirs content-dirs snapshot-as-volume-chain"},
	"pbs":     {"datastore server", "namespace port username password encryption-key master-pubkey fingerprint"},
	"rbd":     {"", "monhost pool data-pool namespace username krbd keyring"},
	"zfs":     {"portal target pool iscsiprovider", "blocksize nowritecache sparse comstar_hg comstar_tg lio_tpg"},
	"zfspool": {"pool", "blocksize sparse mountpoint"},
}

// everyStorage are the options of every type.
const everyStorage = "content nodes disable shared bwlimit format preallocation maxfiles prune-backups max-protected-backups"

// secretKeys are options that PVE keeps elsewhere and tells nobody.
var secretKeys = []string{"encryption-key", "keyring", "master-pubkey", "password"}

// usualContent is what a storage holds of which nothing is said.
var usualContent = map[string]string{"cephfs": "backup", "cifs": "images", "nfs": "images", "pbs": "backup", "rbd": "images", "iscsi": "images", "zfs": "images"}

// storageOptions are the parameters that are a storage's options. One that the type does
// not have is refused.
func (c *call) storageOptions(typ string, change bool) (map[string]string, error) {
	keys, options := storageKeys[typ], map[string]string{}
	for _, key := range sortedKeys(c.params) {
		if slices.Contains([]string{"storage", "type", "digest", "delete"}, key) || c.params[key] == nil {
			continue
		}
		switch {
		case change && slices.Contains(strings.Fields(keys.needed), key):
			return nil, die("can't change value of fixed parameter '%s'", key)
		case !slices.Contains(strings.Fields(everyStorage+" "+keys.needed+" "+keys.other), key):
			return nil, die("unexpected property '%s'", key)
		}
		options[key] = perl.Text(c.params[key])
	}
	for _, key := range strings.Fields(keys.needed) {
		if !change && options[key] == "" {
			return nil, die("missing value for required option '%s'", key)
		}
	}
	return options, nil
}

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
	options, err := c.storageOptions(typ, false)
	switch {
	case err != nil:
		return nil, err
	case c.storageNamed(id) != nil:
		return nil, die("%sstorage ID '%s' already defined", words, id)
	}
	for _, node := range apischema.SplitList(options["nodes"]) {
		if c.nodeNamed(node) == nil {
			return nil, badParam("nodes", "node '%s' does not exist", node)
		}
	}
	st := Storage{ID: id, Type: typ, Content: usualContent[typ], Size: 1 << 40}
	if st.Content == "" {
		st.Content = "rootdir,images"
	}
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
	options, err := c.storageOptions(st.Type, true)
	if err != nil {
		return nil, die("%s%s", words, strings.TrimSpace(err.Error()))
	}
	keys := storageKeys[st.Type]
	for _, key := range apischema.SplitList(c.str("delete")) {
		_, given := options[key]
		switch {
		case slices.Contains(strings.Fields(keys.needed), key):
			return nil, die("%sunable to delete required option '%s'", words, key)
		case !slices.Contains(strings.Fields(everyStorage+" "+keys.other), key):
			return nil, die("%sno such option '%s'", words, key)
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
