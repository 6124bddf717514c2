package provision

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/change"
	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/guestconfig"
	"github.com/pve-mcp/pve-mcp/internal/newguest"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/proxmox/lenient"
	"github.com/pve-mcp/pve-mcp/pve"
)

type (
	vmStep = change.Step[createState]
	vmSend = func(context.Context, *tool.Call, *createState) (change.Job, error)
)

// vmSteps are the requests that make the VM, in their order. The image and the CD come first,
// so that no VM is made that lacks them. A clone does: which it is, the task of its own step
// alone shows.
func vmSteps(s createState) []vmStep {
	var steps []vmStep
	add := func(wanted bool, step vmStep) {
		if wanted {
			steps = append(steps, step)
		}
	}
	hasSeed := s.SeedAt.Name != ""
	if s.Source.Kind == fromTemplate {
		steps = append(steps, s.cloneStep())
		add(hasSeed, s.uploadStep())
		add(s.Configured || len(s.Config) > 0 || len(s.Parts) > 0 || len(s.Unset) > 0 || s.Drive != "", s.configureStep())
	} else {
		add(hasSeed, s.uploadStep())
		add(s.Source.URL != "", s.downloadStep())
		steps = append(steps, s.createStep())
	}
	add(s.Grow != "", vmStep{
		About: fmt.Sprintf("Growth of %s to %s", s.Boot, s.Grow), Guest: s.VMID, Task: "resize", Send: growDisk,
		Rest: fmt.Sprintf("Then grow it with pve_resize_disk: vmid %v, disk %s, size %s, and start the VM.", s.VMID, s.Boot, s.Grow),
	})
	add(s.Run, vmStep{
		About: "The start", Guest: s.VMID, Task: "start", Send: startVM,
		Rest: fmt.Sprintf("Then start it with pve_guest_power: vmid %v.", s.VMID),
	})
	add(hasSeed && s.Run && s.Ejects, s.ejectStep())
	add(hasSeed && s.Run && s.Ejects && s.Removes, s.removeStep())
	return steps
}

// undoes is an undo, which only names what was made if that is to be kept.
func (s createState) undoes(u *change.Undo[createState]) *change.Undo[createState] {
	u.Kept = s.Keep
	return u
}

func (s createState) uploadStep() vmStep {
	return vmStep{
		About: fmt.Sprintf("Upload of the CD %s for cloud-init", s.SeedAt), Task: "imgcopy",
		Send: func(ctx context.Context, c *tool.Call, s *createState) (change.Job, error) {
			image, err := s.Seed.iso()
			if err != nil {
				return change.Job{}, err
			}
			upid, err := c.PVE.UploadFile(ctx, s.Place.Node, s.SeedAt.Storage, pve.Upload{
				Content: "iso", File: proxmox.File{Name: fileOf(s.SeedAt), Body: bytes.NewReader(image), Size: int64(len(image))},
			})
			if err == nil {
				s.Seed = seed{}
			}
			return change.Job{UPID: upid}, err
		},
		Done: func(ctx context.Context, c *tool.Call, s createState) (bool, error) {
			return hasVolume(ctx, c, s.Place.Node, s.SeedAt)
		},
		Rest: "Make the call anew.", Undo: s.undoes(newguest.UndoUpload[createState](s.Place.Node, s.SeedAt)),
	}
}

// hasVolume reports whether a storage lists a volume.
func hasVolume(ctx context.Context, c *tool.Call, node string, id pve.VolID) (bool, error) {
	content, _, _ := strings.Cut(id.Name, "/")
	list, err := c.PVE.Content(ctx, node, id.Storage, pve.VolumeFilter{Content: content})
	return slices.ContainsFunc(list, func(v pve.Volume) bool { return v.VolID == id }), err
}

// downloadStep fetches the image.
func (s createState) downloadStep() vmStep {
	return vmStep{
		About: fmt.Sprintf("Download of %s", s.Source.Volume), Task: "download",
		Send: func(ctx context.Context, c *tool.Call, s *createState) (change.Job, error) {
			upid, err := c.PVE.StartDownload(ctx, s.Place.Node, s.Source.Volume.Storage, pve.Download{URL: s.Source.URL, Content: "import", Filename: fileOf(s.Source.Volume)})
			return change.Job{UPID: upid}, err
		},
		Done: func(ctx context.Context, c *tool.Call, s createState) (bool, error) {
			return hasVolume(ctx, c, s.Place.Node, s.Source.Volume)
		},
		Rest: "Make the call anew.", Undo: newguest.KeepDownload[createState](s.Source.Volume),
	}
}

func (s createState) createStep() vmStep {
	return vmStep{
		About: s.about(), Guest: s.VMID, Task: "create",
		Find: func(ctx context.Context, c *tool.Call, s *createState) (mayBeMine bool, err error) {
			s.VMID, mayBeMine, err = newguest.FindMade(ctx, c.View, s.ref(), s.Name, s.MAC)
			return mayBeMine, err
		},
		Send: s.making(func(ctx context.Context, c *tool.Call, s *createState, id pve.VMID) (proxmox.UPID, error) {
			config := s.Config
			if s.Drive != "" {
				config[s.Drive] = s.SeedAt.String() + ",media=cdrom"
			}
			return c.PVE.CreateGuest(ctx, s.Place.Node, pve.QEMU, pve.NewGuest{VMID: id, Pool: s.Pool, Config: config})
		}),
		Rest: "Make the call anew.", Undo: s.undoes(newguest.UndoCreation[createState](s.ref())),
	}
}

func (s createState) cloneStep() vmStep {
	return vmStep{
		About: s.about(), Guest: s.VMID, Task: "clone",
		Send: s.making(func(ctx context.Context, c *tool.Call, s *createState, id pve.VMID) (proxmox.UPID, error) {
			wanted := pve.NewClone{VMID: id, Name: s.Name, Pool: s.Pool, Storage: s.Place.Storage}
			if s.Full {
				wanted.Full = lenient.Some(true)
			}
			if s.Place.Node != s.Template.Node {
				wanted.Node = s.Place.Node
			}
			return c.StartClone(ctx, s.Template, wanted, s.Chosen)
		}),
		Rest: "Make the call anew.", Undo: s.undoes(newguest.UndoCreation[createState](s.ref())),
	}
}

// making returns what sends a request that makes the VM, with another id if the chosen one was
// taken meanwhile. What the request has told PVE is cleared.
func (s createState) making(send func(context.Context, *tool.Call, *createState, pve.VMID) (proxmox.UPID, error)) vmSend {
	return func(ctx context.Context, c *tool.Call, s *createState) (change.Job, error) {
		planned := s.VMID
		upid, err := c.CreateWithFreeID(ctx, &s.VMID, s.Chosen, func(id pve.VMID) (proxmox.UPID, error) { return send(ctx, c, s, id) })
		if err != nil {
			return change.Job{}, c.ExplainCreationRefusal(ctx, err, s.VMID, s.Pool)
		}
		if s.VMID != planned {
			s.note("the id %v was taken meanwhile, so it has %v", planned, s.VMID)
		}
		if s.Source.Kind != fromTemplate {
			s.Config = nil
		}
		return change.Job{UPID: upid}, nil
	}
}

func (s createState) configureStep() vmStep {
	return vmStep{
		About: fmt.Sprintf("Configuration of VM %v", s.VMID), Guest: s.VMID, Task: "config",
		Send: func(ctx context.Context, c *tool.Call, s *createState) (change.Job, error) {
			wanted := pve.ConfigChange{Set: map[string]string{}, Delete: s.Unset}
			maps.Copy(wanted.Set, s.Config)
			if s.Drive != "" {
				wanted.Set[s.Drive] = s.SeedAt.String() + ",media=cdrom"
			}
			_, upid, err := cluster.AtGuest(ctx, c.View, s.VMID, func(g pve.GuestRef) (proxmox.UPID, error) {
				if len(s.Parts) > 0 { // the clone has addresses of its own
					config, err := c.PVE.GuestConfig(proxmox.ReadAgain(ctx), g)
					if err != nil {
						return proxmox.UPID{}, err
					}
					merged, err := s.merged(config)
					if err != nil {
						return proxmox.UPID{}, err
					}
					maps.Copy(wanted.Set, merged)
				}
				return c.PVE.StartConfig(ctx, g, wanted)
			})
			if err == nil {
				s.Config, s.Parts, s.Unset, s.Configured = nil, nil, nil, true
			}
			return change.Job{UPID: upid}, err
		},
		Rest: fmt.Sprintf("Then configure it with pve_update_guest_config: vmid %v, and start it.", s.VMID),
	}
}

// merged are the settings of parts as whole values, over what the clone has.
func (s createState) merged(config pve.GuestConfig) (tool.Values, error) {
	return guestconfig.Merge(pve.QEMU, tool.Settings{Parts: s.Parts}, func(key string) string { return config.Values[key] })
}

func growDisk(ctx context.Context, c *tool.Call, s *createState) (change.Job, error) {
	_, upid, err := cluster.AtGuest(ctx, c.View, s.VMID, func(g pve.GuestRef) (proxmox.UPID, error) {
		return c.PVE.ResizeDisk(ctx, g, s.Boot, s.Grow, "")
	})
	return change.Job{UPID: upid}, err
}

func startVM(ctx context.Context, c *tool.Call, s *createState) (change.Job, error) {
	return newguest.Start(ctx, c, s.VMID)
}

// ejectStep takes the CD out when the VM has booted, which its agent shows.
func (s createState) ejectStep() vmStep {
	return vmStep{
		About: "Ejection of the CD for cloud-init", Rest: s.removal(), TidiesUp: true,
		Ready: func(ctx context.Context, c *tool.Call, s createState) (string, error) {
			r, err := newguest.ReadReach(ctx, c.View, s.ref())
			if err != nil || r.Answers {
				return "", err
			}
			return "the first boot (" + r.Why + ")", nil
		},
		Send: func(ctx context.Context, c *tool.Call, s *createState) (change.Job, error) {
			_, _, err := cluster.AtGuest(ctx, c.View, s.VMID, func(g pve.GuestRef) (struct{}, error) {
				return struct{}{}, c.PVE.UpdateConfig(ctx, g, pve.ConfigChange{Set: map[string]string{s.Drive: "none,media=cdrom"}})
			})
			return change.Job{}, err
		},
		Done: func(ctx context.Context, c *tool.Call, s createState) (bool, error) {
			config, err := c.PVE.GuestConfig(proxmox.ReadAgain(ctx), s.ref())
			if pve.Elsewhere(err) {
				return false, nil // it was taken back
			}
			return strings.HasPrefix(config.Values[s.Drive], "none"), err
		},
	}
}

// removeStep deletes the CD, which may hold credentials.
func (s createState) removeStep() vmStep {
	return vmStep{
		About: "Removal of " + s.SeedAt.String(), Target: newguest.VolumeTarget(s.Place.Node, s.SeedAt), Task: "imgdel", Rest: s.removal(), TidiesUp: true,
		Send: func(ctx context.Context, c *tool.Call, s *createState) (change.Job, error) {
			upid, err := c.PVE.DeleteVolume(ctx, s.Place.Node, s.SeedAt)
			return change.Job{UPID: upid}, err
		},
		Done: func(ctx context.Context, c *tool.Call, s createState) (bool, error) {
			there, err := hasVolume(ctx, c, s.Place.Node, s.SeedAt)
			return !there, err
		},
	}
}

// removal says how the CD is removed by hand.
func (s createState) removal() string {
	return fmt.Sprintf("When it has booted, take the CD out with pve_update_guest_config: vmid %v, set {%q: \"none,media=cdrom\"}; then remove %s with pve_delete_volume.",
		s.VMID, s.Drive, s.SeedAt)
}
