package pvesim

import (
	"cmp"
	"strconv"
	"time"

	"github.com/pve-mcp/pve-mcp/pvesim/internal/retention"
)

// backupsWithMarks are the backups of a storage, of one guest or all and of one kind or
// both, with what a retention makes of them.
func (c *call) backupsWithMarks(st *Storage, policy retention.Policy, vmid int, kind string) (backups []*volume, marks map[*volume]string) {
	marks, groups := map[*volume]string{}, map[string][]*volume{}
	for _, v := range c.volumesOn(st.ID, c.node.Name) {
		if v.Content != "backup" || vmid != 0 && v.VMID != vmid || kind != "" && v.subtype() != kind {
			continue
		}
		backups = append(backups, v)
		if v.VMID == 0 { // PVE did not give it its name
			marks[v] = "renamed"
			continue
		}
		group := v.subtype() + strconv.Itoa(v.VMID)
		groups[group] = append(groups[group], v)
	}
	for _, group := range groups {
		facts := make([]retention.Backup, len(group))
		for i, v := range group {
			facts[i] = retention.Backup{Made: v.made, Protected: v.Protected}
		}
		for i, mark := range policy.Mark(facts) {
			marks[group[i]] = mark
		}
	}
	return backups, marks
}

// retentionOf is the retention that a call asks for, or else the storage's own.
func (c *call) retentionOf(st *Storage) retention.Policy {
	return retention.Parse(cmp.Or(c.str("prune-backups"), st.Options["prune-backups"]))
}

func previewPrune(c *call) (any, error) {
	st, err := c.online(c.str("storage"), c.node.Name)
	if err != nil {
		return nil, err
	}
	if c.str("prune-backups") == "" && st.Options["prune-backups"] == "" {
		return nil, die("no prune-backups options configured for storage '%s'", st.ID)
	}
	backups, marks := c.backupsWithMarks(st, c.retentionOf(st), c.number("vmid", 0), c.str("type"))
	out := []any{}
	for _, v := range backups {
		item := map[string]any{"volid": v.ID, "ctime": v.made.Unix(), "mark": marks[v], "type": v.subtype()}
		if v.VMID != 0 {
			item["vmid"] = v.VMID
		}
		out = append(out, item)
	}
	return out, nil
}

func checkPrune(c *call) error {
	if vmid := c.number("vmid", 0); vmid != 0 {
		return c.mayBackups(c.str("storage"), vmid)
	}
	return c.caller.Require("/storage/"+c.str("storage"), "Datastore.Allocate")
}

func pruneBackups(c *call) (any, error) {
	id, vmid := c.str("storage"), c.number("vmid", 0)
	return c.fork(c.now, c.node, c.caller.User, "prunebackups", ownedID(vmid, id), 0, func(now time.Time) outcome {
		st, err := c.online(id, c.node.Name)
		if err != nil {
			return failedBy(err)
		}
		j := &journal{began: now}
		c.prune(j, "", st, c.retentionOf(st), vmid, c.str("type"))
		return j.done(nil)
	}), nil
}

// prune removes what a retention does not keep, and returns how many that were.
func (c *call) prune(j *journal, prefix string, st *Storage, policy retention.Policy, vmid int, kind string) int {
	backups, marks := c.backupsWithMarks(st, policy, vmid, kind)
	removed := 0
	for _, v := range backups {
		if marks[v] == retention.Remove {
			j.say("%sremoving backup '%s'", prefix, v.ID)
			c.removeVolume(v)
			removed++
		}
	}
	return removed
}
