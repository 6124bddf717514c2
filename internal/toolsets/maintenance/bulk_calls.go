package maintenance

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"path"
	"slices"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/change"
	"github.com/pve-mcp/pve-mcp/internal/exactjson"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pve"
)

// callsFor are the calls that an action makes for a guest, not planned yet; none if there is
// nothing to do.
func (in bulkIn) callsFor(ctx context.Context, c *tool.Call, g pve.Resource) ([]change.PlannedCall, error) {
	args := map[string]any{"vmid": int(g.VMID)}
	one := func(name, task string) []change.PlannedCall {
		return []change.PlannedCall{{Tool: name, Arguments: exactjson.Encode(args), Task: task}}
	}
	prefix := "qm"
	if g.Type == "lxc" {
		prefix = "vz"
	}
	switch in.Action {
	case "snapshot":
		args["snapname"] = in.Snapname
		if in.RAM && g.Type == "qemu" && g.Status.Value == "running" {
			args["vmstate"] = true
		}
		return one("pve_create_snapshot", prefix+"snapshot"), nil
	case "delete_snapshot":
		return in.deletions(ctx, c, g, prefix+"delsnapshot")
	case "backup":
		if in.Storage != "" {
			args["storage"] = in.Storage
		}
		return one("pve_create_backup", "vzdump"), nil
	case "migrate":
		args["target"] = in.targetOf(g)
		args["restart"] = g.Type == "lxc" && g.Status.Value == "running"
		if in.LocalDisks && g.Type == "qemu" {
			args["with_local_disks"] = true
		}
		calls := one("pve_migrate_guest", "migrate")
		calls[0].Note = "to " + in.targetOf(g)
		if g.Type == "lxc" && g.Status.Value == "running" {
			calls[0].Note += ", restarts"
		}
		return calls, nil
	case "add_tags", "remove_tags":
		add, tags := in.Action == "add_tags", map[string]any{}
		for _, tag := range in.Tags {
			tags[tag] = add
		}
		if !slices.ContainsFunc(in.Tags, func(tag string) bool { return slices.Contains(g.TagList(), tag) != add }) {
			return nil, nil
		}
		args["set"] = map[string]any{"tags": tags} // the others stay as they are then
		return one("pve_update_guest_config", ""), nil
	case "set_config":
		args["set"] = in.Set
		return one("pve_update_guest_config", ""), nil
	case "exec":
		return []change.PlannedCall{in.execCall(c, g)}, nil
	}
	return in.power(g, args), nil
}

// power is the call that changes the power state. HA shuts down by a stop.
func (in bulkIn) power(g pve.Resource, args map[string]any) []change.PlannedCall {
	args["action"] = in.Action
	if in.Timeout > 0 {
		args["timeout"] = in.Timeout
	}
	if in.ForceStop {
		args["forceStop"] = true
	}
	task := in.Action
	if in.Action == "shutdown" && g.HAState.Value != "" && g.HAState.Value != "ignored" {
		task = "stop"
	}
	return []change.PlannedCall{{Tool: "pve_guest_power", Arguments: exactjson.Encode(args), Task: task}}
}

// deletions are the deletions of the snapshots of a guest that are chosen, the oldest first.
func (in bulkIn) deletions(ctx context.Context, c *tool.Call, g pve.Resource, task string) ([]change.PlannedCall, error) {
	var age time.Duration
	if in.OlderThan != "" {
		var err error
		if age, err = tool.ParseAge("older_than", in.OlderThan); err != nil {
			return nil, err
		}
	}
	list, err := c.PVE.Snapshots(ctx, g.Ref())
	if err != nil {
		return nil, err
	}
	var chosen []pve.Snapshot
	for _, s := range list {
		fits, err := path.Match(in.Snapname, s.Name)
		if err != nil {
			return nil, tool.BadArgument("snapname", fmt.Sprintf("is no name or pattern: %v; such as auto-*", err))
		}
		if fits && s.Name != pve.Current {
			chosen = append(chosen, s)
		}
	}
	slices.SortStableFunc(chosen, func(a, b pve.Snapshot) int { return cmp.Compare(a.Time.Value, b.Time.Value) })
	chosen = chosen[:max(0, len(chosen)-in.Keep)]
	var calls []change.PlannedCall
	for _, s := range chosen {
		if at := time.Unix(s.Time.Value, 0); s.Time.Value > 0 && c.Ago(at) >= age {
			args := map[string]any{"vmid": int(g.VMID), "snapname": s.Name}
			calls = append(calls, change.PlannedCall{
				Tool: "pve_delete_snapshot", Arguments: exactjson.Encode(args), Task: task,
				Note: fmt.Sprintf("%s, %s old", render.Text(s.Name, 60), render.Duration(c.Ago(at).Round(time.Minute))),
			})
		}
	}
	return calls, nil
}

// requestTo is the request that the action sends to a guest, which the rules may forbid.
func (in bulkIn) requestTo(g pve.Resource) policy.Target {
	switch in.Action {
	case "snapshot":
		return change.GuestTarget(http.MethodPost, g.Ref(), "/snapshot")
	case "delete_snapshot":
		t := change.GuestTarget(http.MethodDelete, g.Ref(), "/snapshot/*")
		t.Snapshot = policy.AllSnapshots
		return t
	case "backup":
		return policy.Target{Method: http.MethodPost, Path: "/nodes/*/vzdump", Subject: policy.Guest(g.VMID)}
	case "migrate":
		return change.GuestTarget(http.MethodPost, g.Ref(), "/migrate")
	case "add_tags", "remove_tags", "set_config":
		return change.GuestTarget(http.MethodPut, g.Ref(), "/config")
	case "exec":
		return change.GuestTarget(http.MethodPost, g.Ref(), "/agent/exec") // a container's console is under the same rules
	}
	return change.GuestTarget(http.MethodPost, g.Ref(), "/status/"+in.Action)
}
