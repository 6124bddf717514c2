package capture

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/pve"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// errOffline is why something is left out.
var errOffline = errors.New("the node is offline")

func (r *Recorder) offline(node string) bool {
	i := slices.IndexFunc(r.model.Nodes, func(n pvesim.Node) bool { return n.Name == node })
	return i < 0 || r.model.Nodes[i].Offline
}

// storages takes the storages with their volumes: of a shared one those that the first
// node sees that can.
func (r *Recorder) storages(ctx context.Context) {
	configs := map[string]object{}
	for _, o := range read[[]object](ctx, r, "storage") {
		configs[o["storage"]] = o
	}
	for _, res := range r.resources {
		if id := res.Storage.Value; res.Type == "storage" && configs[id] == nil {
			configs[id] = object{"storage": id, "type": res.PluginType.Value, "content": res.Content.Value, "shared": map[bool]string{true: "1"}[res.Shared.Value]}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(configs)) {
		o := configs[id]
		st := pvesim.Storage{
			ID: id, Type: o["type"], Content: o["content"], Shared: o["shared"] == "1", Disabled: o["disable"] == "1", Path: o["path"],
			// Of the other keys some have secrets.
			Options: o.options("datastore", "export", "is_mountpoint", "namespace", "pool", "prune-backups", "server", "share", "thinpool", "username", "vgname"),
			UsedOn:  map[string]int64{}, SizeOn: map[string]int64{},
		}
		if o["nodes"] != "" {
			st.Nodes = strings.Split(o["nodes"], ",")
		}
		works := false
		for _, res := range r.resources {
			if res.Type != "storage" || res.Storage.Value != id {
				continue
			}
			if res.Status.Value != "available" || r.offline(res.Node.Value) {
				r.model.NoMoreVolumes = false
				continue
			}
			if !works || !st.Shared {
				r.volumes(ctx, res.Node.Value, id)
			}
			works = true
			st.Size, st.UsedOn[res.Node.Value] = max(st.Size, res.MaxDisk.Value), res.Disk.Value
			st.SizeOn[res.Node.Value] = res.MaxDisk.Value
		}
		if !works && !st.Disabled {
			st.Broken = "storage '" + id + "' is not online"
		}
		maps.DeleteFunc(st.SizeOn, func(_ string, size int64) bool { return size == st.Size })
		r.model.Storages = append(r.model.Storages, st)
	}
}

func (r *Recorder) volumes(ctx context.Context, node, storage string) {
	list, err := r.Client.Content(ctx, node, storage, pve.VolumeFilter{})
	if err != nil {
		r.Skipped("the volumes of "+storage+" on "+node, err)
		r.model.NoMoreVolumes = false
	}
	for _, v := range list {
		r.model.Volumes = append(r.model.Volumes, r.volume(node, storage, v))
	}
}

func (r *Recorder) volume(node, storage string, v pve.Volume) pvesim.Volume {
	out := pvesim.Volume{
		ID: v.VolID.String(), Node: node, Content: v.Content, Format: v.Format.Value, Size: v.Size.Value, Used: v.Used.Or(v.Size.Value),
		VMID: int(v.VMID.Value), Age: r.age(v.CTime.Or(r.now.Unix())), Notes: v.Notes.Value, Protected: v.Protected.Value,
		Verification: v.Verification["state"],
	}
	if parent := v.Parent.Value; parent != "" {
		parent, _, _ = strings.Cut(strings.TrimPrefix(parent, "../"), "@") // of files, and of others
		out.Parent = storage + ":" + parent
	}
	return out
}
