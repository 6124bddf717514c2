package policy

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// refuseHeld returns why the disks of a guest must not be touched, or "". One of them may
// belong to another guest.
func (j judge) refuseHeld(ctx context.Context, w Where) string {
	held, reason := j.volumesOfOthers(ctx, w)
	if reason != "" {
		return reason
	}
	return j.refuseVolumes(ctx, fmt.Sprintf("guest %d has ", w.VMID), held)
}

// volumesOfOthers returns the volumes among a guest's that are not its own. reason says why
// they are unknown.
func (j judge) volumesOfOthers(ctx context.Context, w Where) (held []Volume, reason string) {
	config, err := j.config(ctx, w)
	if err != nil {
		return nil, fmt.Sprintf("the owners of the volumes that guest %d has are unknown: %v", w.VMID, err)
	}
	return slices.DeleteFunc(Foreign(w.VMID, config), func(v Volume) bool {
		return !v.Known && strings.HasPrefix(v.Source, "/") // a device or folder from root, which PVE itself never changes
	}), ""
}

// refuseVolumes returns why volumes of others must not be touched, or "".
func (j judge) refuseVolumes(ctx context.Context, prefix string, volumes []Volume) string {
	var reasons []string
	for _, v := range volumes {
		reason := fmt.Sprintf("the owner of the volume %s is unknown", v.Source)
		if v.Known {
			reason = j.refuseGuest(ctx, Where{VMID: v.Owner}, nil)
		}
		if reason == "" {
			continue
		}
		if prefix != "" {
			reason = fmt.Sprintf("%s%s as %s: %s", prefix, v.Source, v.Key, reason)
		}
		if !slices.Contains(reasons, reason) {
			reasons = append(reasons, reason)
		}
	}
	return strings.Join(reasons, "; ")
}

// refuseHolders returns why the volumes of a guest must not be changed, or "". Another guest
// may use one of them.
func (j judge) refuseHolders(ctx context.Context, id int) string {
	if j.Lookup.Having == nil {
		return fmt.Sprintf("which guests have volumes of guest %d is unknown", id)
	}
	find := func(key, value string) (string, bool) {
		volumes := VolumesIn(key, value)
		i := slices.IndexFunc(volumes, func(v Volume) bool { return v.Known && v.Owner == id })
		if i < 0 {
			return "", false
		}
		return volumes[i].Source, true
	}
	holders, err := j.Lookup.Having(ctx, find, func(other int) bool { return other != id && j.mayCover(other) })
	if err != nil {
		return fmt.Sprintf("which guests have volumes of guest %d is unknown: %v", id, err)
	}
	var reasons []string
	for _, h := range holders {
		reason := j.refuseGuest(ctx, Where{VMID: h.VMID}, nil)
		switch {
		case reason == "":
			continue
		case h.Err != nil:
			reason = fmt.Sprintf("whether guest %d has a volume of guest %d is unknown (%v): %s", h.VMID, id, h.Err, reason)
		default:
			reason = fmt.Sprintf("guest %d has %s as %s: %s", h.VMID, h.What, h.Key, reason)
		}
		reasons = append(reasons, reason)
	}
	return strings.Join(reasons, "; ")
}
