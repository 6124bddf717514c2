package pve

import (
	"context"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/proxmox/lenient"
)

// BackupJob is a job that backs guests up by a schedule. It selects them by All, with Exclude,
// by VMIDs or by Pool.
type BackupJob struct {
	ID       string              `json:"id"`
	Enabled  lenient.Opt[bool]   `json:"enabled,omitzero"`  // it is, if PVE does not say
	Schedule lenient.Opt[string] `json:"schedule,omitzero"` // a calendar event, such as mon..fri 02:30
	NextRun  lenient.Opt[int64]  `json:"next-run,omitzero"` // seconds since 1970; absent if it is disabled
	Storage  lenient.Opt[string] `json:"storage,omitzero"`
	Node     lenient.Opt[string] `json:"node,omitzero"` // the only one whose guests it includes
	Mode     lenient.Opt[string] `json:"mode,omitzero"`
	Comment  lenient.Opt[string] `json:"comment,omitzero"`
	All      lenient.Opt[bool]   `json:"all,omitzero"`
	Exclude  lenient.Opt[string] `json:"exclude,omitzero"` // ids, separated by commas
	VMIDs    lenient.Opt[string] `json:"vmid,omitzero"`    // ids, separated by commas
	Pool     lenient.Opt[string] `json:"pool,omitzero"`
	Extra    lenient.Extra       `json:"-"`
}

// UnmarshalJSON keeps unknown fields in Extra.
func (j *BackupJob) UnmarshalJSON(data []byte) error { return lenient.Decode(data, j, &j.Extra) }

// MarshalJSON writes what was read.
func (j BackupJob) MarshalJSON() ([]byte, error) { return lenient.Encode(j, j.Extra) }

// BackupJobs lists the backup jobs of the cluster (Sys.Audit on /).
func (c *Client) BackupJobs(ctx context.Context) ([]BackupJob, error) {
	return proxmox.Get[[]BackupJob](ctx, c.Client, proxmox.Join("cluster", "backup"), nil)
}

// IncludedGuest is a guest that a backup job includes, with its disks. The type is unknown if
// the job names a guest that does not exist.
type IncludedGuest struct {
	VMID    VMID                `json:"id"`
	Type    string              `json:"type"` // qemu, lxc or unknown
	Name    lenient.Opt[string] `json:"name,omitzero"`
	Volumes []IncludedVolume    `json:"children,omitzero"`
	Extra   lenient.Extra       `json:"-"`
}

// UnmarshalJSON keeps unknown fields in Extra.
func (g *IncludedGuest) UnmarshalJSON(data []byte) error { return lenient.Decode(data, g, &g.Extra) }

// MarshalJSON writes what was read.
func (g IncludedGuest) MarshalJSON() ([]byte, error) { return lenient.Encode(g, g.Extra) }

// IncludedVolume is a disk of a guest, and whether a backup job backs it up.
type IncludedVolume struct {
	ID       string              `json:"id"`   // the guest and the key of the disk, such as 100:scsi0
	Name     lenient.Opt[string] `json:"name"` // its volume
	Included lenient.Opt[bool]   `json:"included"`
	Reason   lenient.Opt[string] `json:"reason,omitzero"` // in PVE's words, such as backup=no or not a volume
	Extra    lenient.Extra       `json:"-"`
}

// UnmarshalJSON keeps unknown fields in Extra.
func (v *IncludedVolume) UnmarshalJSON(data []byte) error { return lenient.Decode(data, v, &v.Extra) }

// MarshalJSON writes what was read.
func (v IncludedVolume) MarshalJSON() ([]byte, error) { return lenient.Encode(v, v.Extra) }

// Key is the key of the disk in the configuration of its guest, such as scsi0.
func (v IncludedVolume) Key() string {
	_, key, ok := strings.Cut(v.ID, ":")
	if !ok {
		return v.ID
	}
	return key
}

// IncludedVolumes lists the guests of a backup job (Sys.Audit on /) that the token may see
// (VM.Audit), and which of their disks it backs up.
func (c *Client) IncludedVolumes(ctx context.Context, job string) ([]IncludedGuest, error) {
	type tree struct {
		Guests []IncludedGuest `json:"children"`
	}
	all, err := proxmox.Get[tree](ctx, c.Client, proxmox.Join("cluster", "backup", job, "included_volumes"), nil)
	return all.Guests, err
}

// ScheduledTimes returns the next times, at most 100, that a calendar event names after a time,
// by the zone of the node that answers. Every token may ask.
func (c *Client) ScheduledTimes(ctx context.Context, schedule string, after time.Time, most int) ([]time.Time, error) {
	type run struct {
		At lenient.Opt[int64] `json:"timestamp"`
	}
	runs, err := proxmox.Get[[]run](ctx, c.Client, proxmox.Join("cluster", "jobs", "schedule-analyze"), url.Values{
		"schedule": {schedule}, "starttime": {strconv.FormatInt(after.Unix(), 10)}, "iterations": {strconv.Itoa(most)},
	})
	var out []time.Time
	for _, r := range runs {
		out = append(out, time.Unix(r.At.Value, 0))
	}
	return out, err
}
