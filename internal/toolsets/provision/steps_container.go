package provision

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/change"
	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/newguest"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
)

// containerSteps are the requests that make the container, in their order.
func containerSteps(s containerState) []change.Step[containerState] {
	var steps []change.Step[containerState]
	if s.Appliance != "" || s.Reference != "" {
		task := "download"
		if s.Reference != "" {
			task = "pull"
		}
		steps = append(steps, change.Step[containerState]{
			About: fmt.Sprintf("Download of %s", s.Template), Task: task, Rest: "Make the call anew.",
			Send: func(ctx context.Context, c *tool.Call, s *containerState) (change.Job, error) {
				if s.Reference != "" {
					upid, err := c.PVE.StartOCIPull(ctx, s.Place.Node, s.Template.Storage, s.Reference, strings.TrimSuffix(fileOf(s.Template), ".tar"))
					return change.Job{UPID: upid}, err
				}
				upid, err := c.PVE.StartApplianceDownload(ctx, s.Place.Node, s.Template.Storage, s.Appliance)
				return change.Job{UPID: upid}, err
			},
			Done: func(ctx context.Context, c *tool.Call, s containerState) (bool, error) {
				return hasVolume(ctx, c, s.Place.Node, s.Template)
			},
			Undo: newguest.KeepDownload[containerState](s.Template),
		})
	}
	create := change.Step[containerState]{
		About: s.about(), Guest: s.VMID, Task: "create", Send: sendContainer, Rest: "Make the call anew.",
		Find: func(ctx context.Context, c *tool.Call, s *containerState) (mayBeMine bool, err error) {
			s.VMID, mayBeMine, err = newguest.FindMade(ctx, c.View, s.ref(), s.Name, s.MAC)
			return mayBeMine, err
		},
	}
	create.Undo = newguest.UndoCreation[containerState](s.ref())
	create.Undo.Kept = s.Keep
	steps = append(steps, create)
	if s.IsOCI {
		steps = append(steps, change.Step[containerState]{
			About: "Setting of environment and entrypoint", Guest: s.VMID, Send: setOCI, Done: ociIsSet,
			Rest: fmt.Sprintf("Then set them with pve_update_guest_config: vmid %v, and start it.", s.VMID),
		})
	}
	if s.Run {
		steps = append(steps, change.Step[containerState]{
			About: "The start", Guest: s.VMID, Task: "start", Rest: fmt.Sprintf("Then start it with pve_guest_power: vmid %v.", s.VMID),
			Send: func(ctx context.Context, c *tool.Call, s *containerState) (change.Job, error) {
				return newguest.Start(ctx, c, s.VMID)
			},
		})
	}
	return steps
}

// sendContainer makes the container, with another id if the chosen one was taken meanwhile.
func sendContainer(ctx context.Context, c *tool.Call, s *containerState) (change.Job, error) {
	planned := s.VMID
	upid, err := c.CreateWithFreeID(ctx, &s.VMID, s.Chosen, func(id pve.VMID) (proxmox.UPID, error) {
		return c.PVE.CreateGuest(ctx, s.Place.Node, pve.LXC, pve.NewGuest{VMID: id, Pool: s.Pool, Config: s.Config})
	})
	if err != nil {
		return change.Job{}, c.ExplainCreationRefusal(ctx, err, s.VMID, s.Pool)
	}
	if s.VMID != planned {
		s.Notes = append(s.Notes, fmt.Sprintf("the id %v was taken meanwhile, so it has %v", planned, s.VMID))
	}
	s.Config = nil
	return change.Job{UPID: upid}, nil
}

// setOCI sets variables beside those of the image or in their place, and the first process. PVE
// takes those of the image when it makes the container, whatever the call says.
func setOCI(ctx context.Context, c *tool.Call, s *containerState) (change.Job, error) {
	_, _, err := cluster.AtGuest(ctx, c.View, s.VMID, func(g pve.GuestRef) (struct{}, error) {
		config, err := c.PVE.GuestConfig(proxmox.ReadAgain(ctx), g)
		if err != nil {
			return struct{}{}, err
		}
		wanted := map[string]string{}
		if s.Entrypoint != "" {
			wanted["entrypoint"] = s.Entrypoint
		}
		if len(s.Env) > 0 {
			wanted["env"] = strings.Join(mergeEnv(config.Values["env"], s.Env), "\x00")
		}
		return struct{}{}, c.PVE.UpdateConfig(ctx, g, pve.ConfigChange{Set: wanted})
	})
	if err == nil {
		s.Env, s.Entrypoint = nil, ""
	}
	return change.Job{}, err
}

// mergeEnv returns the variables of an image with those that are given in their place.
func mergeEnv(before string, given []string) []string {
	named := func(variable string) string { name, _, _ := strings.Cut(variable, "="); return name }
	var out []string
	for variable := range strings.SplitSeq(before, "\x00") {
		if variable != "" && !slices.ContainsFunc(given, func(g string) bool { return named(g) == named(variable) }) {
			out = append(out, variable)
		}
	}
	return append(out, given...)
}

func ociIsSet(ctx context.Context, c *tool.Call, s containerState) (bool, error) {
	config, err := c.PVE.GuestConfig(proxmox.ReadAgain(ctx), s.ref())
	if pve.Elsewhere(err) {
		return false, nil // it was taken back
	}
	env := strings.Split(config.Values["env"], "\x00")
	missing := slices.ContainsFunc(s.Env, func(v string) bool { return !slices.Contains(env, v) })
	return !missing && (s.Entrypoint == "" || config.Values["entrypoint"] == s.Entrypoint), err
}

// finishContainer looks at the container, and waits until it is as reachable as the call wants.
func finishContainer(ctx context.Context, c *tool.Call, s containerState, end change.End) (containerOut, error) {
	g, st, err := c.LiveMadeBy(ctx, end.Status, s.VMID, s.Place.Node)
	if pve.Elsewhere(err) {
		var out containerOut
		out.SetOutcome(tool.Failed, "pve_task_status shows what its task did.", "PVE's task succeeded, but there is no container %v.", s.VMID)
		return out, nil
	}
	if err != nil {
		return containerOut{}, err
	}
	name := render.Text(st.Name.Value, 60)
	out := containerOut{
		Guest: fmt.Sprintf("%v %s", s.VMID, name), Node: g.Node, Status: st.State(), Address: s.Address, Chosen: s.Chosens, Notes: s.Notes,
		Undo: &tool.NextCall{Tool: "pve_delete_guest", Arguments: map[string]any{"vmid": int(s.VMID)}},
	}
	label := fmt.Sprintf("CT %v (%s)", s.VMID, name)
	switch {
	case !s.Run:
		out.Message = fmt.Sprintf("%s is on %s, and is not started.", label, g.Node)
		return out, nil
	case st.Status != "running":
		out.Message = fmt.Sprintf("%s is on %s, and is not running yet.", label, g.Node)
		return out, change.ErrNotYet
	case s.NoAddress:
		out.Message = fmt.Sprintf("%s runs on %s.", label, g.Node)
		return out, nil
	}
	r, err := newguest.ReadReach(ctx, c.View, g)
	if err != nil {
		return out, err
	}
	if out.Address = cmp.Or(r.Address, s.Address); r.Address == "" {
		out.Message = fmt.Sprintf("%s runs on %s, but shows no address: %s.", label, g.Node, r.Why)
		out.Next = "Look again with pve_guest_status; if it stays so, its console shows why."
		return out, change.ErrNotYet
	}
	out.Message = fmt.Sprintf("%s runs on %s at %s", label, g.Node, out.Address)
	if s.Keys {
		out.Message = fmt.Sprintf("%s runs on %s: ssh root@%s", label, g.Node, out.Address)
	}
	return out, nil
}
