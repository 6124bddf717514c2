package pvesim

import (
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/lazyregexp"
	"github.com/pve-mcp/pve-mcp/pve/apischema"
	"github.com/pve-mcp/pve-mcp/pvesim/internal/perl"
)

// How an option of a storage behaves, by the mark after its name in storageOptions.
const (
	free       = ""   // it can be left out and changed
	fixed      = "!"  // it is needed, and nobody can change it later
	needed     = "+"  // it is needed
	chosenOnce = "?!" // it can be left out, and nobody can change it later
)

// filesOnStorage are the options of all storages of files.
const filesOnStorage = " content-dirs nodes disable maxfiles prune-backups max-protected-backups content format mkdir create-base-path create-subdirs bwlimit preallocation snapshot-as-volume-chain?!"

// storageOptions are the options of each type of storage.
var storageOptions = map[string]string{
	"btrfs":       "path! nodes shared disable maxfiles prune-backups max-protected-backups content format is_mountpoint nocow mkdir create-base-path create-subdirs preallocation",
	"cephfs":      "path! content-dirs monhost nodes subdir disable options username content format mkdir create-base-path create-subdirs fuse bwlimit maxfiles keyring prune-backups max-protected-backups fs-name",
	"cifs":        "path! server! share! subdir username password domain smbversion options" + filesOnStorage,
	"dir":         "path! shared is_mountpoint" + filesOnStorage,
	"esxi":        "nodes shared disable content bwlimit server+ username+ password skip-cert-verification port",
	"glusterfs":   "path! server server2 volume! transport" + filesOnStorage,
	"iscsi":       "portal! target! nodes disable content bwlimit",
	"iscsidirect": "portal! target! nodes disable content bwlimit",
	"lvm":         "vgname! nodes shared disable saferemove saferemove-stepsize saferemove_throughput content base?! tagged_only bwlimit snapshot-as-volume-chain",
	"lvmthin":     "thinpool! vgname! nodes disable content bwlimit",
	"nfs":         "path! server! export! options" + filesOnStorage,
	"pbs":         "server! datastore! namespace port nodes disable content username password encryption-key master-pubkey maxfiles prune-backups max-protected-backups fingerprint",
	"rbd":         "nodes disable monhost pool data-pool namespace username content krbd keyring bwlimit",
	"zfs":         "nodes disable portal! target! pool! blocksize! iscsiprovider! nowritecache sparse comstar_hg comstar_tg lio_tpg content bwlimit zfs-base-path",
	"zfspool":     "pool! blocksize sparse nodes disable content bwlimit mountpoint",
}

// storageOption says how an option of a type of storage behaves, and whether there is one.
func (c *call) storageOption(typ, key string) (string, bool) {
	if key == "maxfiles" && c.node.version.major >= 9 {
		return "", false
	}
	for option := range strings.FieldsSeq(storageOptions[typ]) {
		if name := strings.TrimRight(option, "!+?"); name == key {
			return option[len(name):], true
		}
	}
	return "", false
}

// secretKeys are options that PVE keeps elsewhere and tells nobody.
var secretKeys = []string{"encryption-key", "keyring", "master-pubkey", "password"}

// usualContent is what a storage holds of which nothing is said, and possibleContent what it can.
var (
	usualContent    = map[string]string{"cephfs": "backup", "cifs": "images", "nfs": "images", "pbs": "backup", "rbd": "images", "iscsi": "images", "zfs": "images", "lvm": "images"}
	possibleContent = map[string]string{
		"btrfs": filesContent + " none", "cephfs": "vztmpl iso backup snippets import", "cifs": filesContent, "dir": filesContent + " none", "esxi": "import",
		"glusterfs": "images vztmpl iso backup snippets import", "iscsi": "images none", "iscsidirect": "images", "lvm": "images rootdir", "lvmthin": "images rootdir", "nfs": filesContent,
		"pbs": "backup none", "rbd": "images rootdir", "zfs": "images", "zfspool": "images rootdir",
	}
)

const filesContent = "images rootdir vztmpl iso backup snippets import"

// dirPath is what the path of a directory looks like.
var dirPath = lazyregexp.New(`^/[-/a-zA-Z0-9_.@]+$`)

// givenStorageOptions are the parameters that are a storage's options. One that the type does
// not have is refused.
func (c *call) givenStorageOptions(typ string, change bool) (map[string]string, error) {
	options := map[string]string{}
	for _, key := range sortedKeys(c.params) {
		if slices.Contains([]string{"storage", "type", "digest", "delete"}, key) || c.params[key] == nil {
			continue
		}
		switch how, ok := c.storageOption(typ, key); {
		case change && (how == fixed || how == chosenOnce):
			return nil, die("can't change value of fixed parameter '%s'", key)
		case !ok:
			return nil, die("unexpected property '%s'", key)
		}
		options[key] = perl.Text(c.params[key])
	}
	if content, ok := options["content"]; ok {
		var err error
		if options["content"], err = heldContent(typ, content); err != nil {
			return nil, err
		}
	}
	if change {
		return options, nil
	}
	if options["nodes"] == "" {
		delete(options, "nodes")
	}
	if typ == "nfs" || typ == "cifs" || typ == "cephfs" || typ == "glusterfs" {
		if options["path"] == "" {
			options["path"] = "/mnt/pve/" + c.str("storage")
		}
	}
	for option := range strings.FieldsSeq(storageOptions[typ]) {
		if key := strings.TrimRight(option, "!+?"); options[key] == "" && option != key && !strings.Contains(option, "?") {
			return nil, die("missing value for required option '%s'", key)
		}
	}
	if path := options["path"]; (typ == "dir" || typ == "btrfs") && !dirPath.MatchString(path) {
		return nil, die("illegal path for directory storage: %s", path)
	}
	return options, nil
}

// heldContent is what of some kinds of content a type of storage can hold: PVE leaves out the
// others.
func heldContent(typ, content string) (string, error) {
	possible := strings.Fields(possibleContent[typ])
	held := slices.DeleteFunc(apischema.SplitList(content), func(kind string) bool { return !slices.Contains(possible, kind) })
	switch {
	case slices.Contains(held, "none") && len(held) > 1:
		return "", die("unable to combine 'none' with other content types")
	case len(held) == 0 && !slices.Contains(possible, "none"):
		return "", die("storage does not support content type 'none'")
	}
	return strings.Join(held, ","), nil
}
