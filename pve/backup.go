package pve

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/pve-mcp/pve-mcp/proxmox"
)

// NewBackup says which guests are backed up, and how.
type NewBackup struct {
	VMIDs []VMID // required
	// Storage, Mode and Compress are, if "", what the node's vzdump.conf says, or else local,
	// snapshot and 0.
	Storage  string
	Mode     string // snapshot, suspend or stop
	Compress string // zstd, gzip, lzo, or 0 for none
	// Notes are kept with the backup. PVE fills in {{cluster}}, {{guestname}}, {{node}} and
	// {{vmid}}.
	Notes     string
	Protected bool // from being deleted, also by a rule
	// Keep is a rule such as keep-last=3,keep-weekly=2. After the backup, PVE deletes the
	// guest's backups on the storage that the rule does not keep. "" deletes none, unless
	// StorageRule is set: then PVE applies the rule of the storage.
	Keep        string
	StorageRule bool
	BWLimit     int64 // KiB/s; 0 is the limit of the node or the storage, if there is one
}

// Backup starts a backup of guests of a node (VM.Backup on each, and
// Datastore.AllocateSpace on the storage). If none of the guests is on the node, the
// error is one of [Elsewhere].
func (c *Client) Backup(ctx context.Context, node string, b NewBackup) (proxmox.UPID, error) {
	ids := make([]string, len(b.VMIDs))
	for i, id := range b.VMIDs {
		ids[i] = id.String()
	}
	params := url.Values{"vmid": {strings.Join(ids, ",")}}
	setText(params, "storage", b.Storage)
	setText(params, "mode", b.Mode)
	setText(params, "compress", b.Compress)
	// It is a template, in which these two are special.
	setText(params, "notes-template", strings.NewReplacer(`\`, `\\`, "\r\n", `\n`, "\n", `\n`).Replace(b.Notes))
	setFlag(params, "protected", b.Protected)
	setText(params, "prune-backups", b.Keep)
	switch {
	case b.Keep != "":
		params.Set("remove", "1")
	case !b.StorageRule: // which PVE applies unless remove is 0
		params.Set("remove", "0")
	}
	setNumber(params, "bwlimit", b.BWLimit)
	p := proxmox.Join("nodes", node, "vzdump")
	ans, err := c.Do(ctx, http.MethodPost, p, params)
	if err != nil {
		return proxmox.UPID{}, err
	}
	if string(ans.Data) == `"OK"` { // which is how PVE says so
		return proxmox.UPID{}, fmt.Errorf("POST %s: %w", p, errElsewhere)
	}
	return ans.Task()
}
