package provision

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/change"
	"github.com/pve-mcp/pve-mcp/internal/guestconfig"
	"github.com/pve-mcp/pve-mcp/internal/newguest"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/lazyregexp"
	"github.com/pve-mcp/pve-mcp/pve"
)

type createIn struct {
	Name     string        `json:"name" jsonschema:"host name"`
	Source   string        `json:"source,omitzero" jsonschema:"\"ubuntu 24.04\", volid, URL, or a template's id or name; default: empty disk"`
	Download bool          `json:"download,omitzero" jsonschema:"fetch if missing"`
	ISO      string        `json:"iso,omitzero" jsonschema:"installer: \"debian 12\" or volid"`
	VMID     pve.VMID      `json:"vmid,omitzero" guest:"new" jsonschema:"default: next free"`
	Node     string        `json:"node,omitzero" jsonschema:"default: most room"`
	Storage  string        `json:"storage,omitzero" jsonschema:"of disks; default: most room"`
	Cores    int           `json:"cores,omitzero" min:"1" jsonschema:"default: 2, or the template's"`
	Memory   string        `json:"memory,omitzero" jsonschema:"8G; default: 2G, or the template's"`
	Disks    []string      `json:"disks,omitzero" jsonschema:"sizes; the first is grown to it"`
	NICs     []string      `json:"nics,omitzero" jsonschema:"as bridge=vmbr0,tag=30,ip=10.0.0.5/24,gw=10.0.0.1; default: one, DHCP"`
	User     string        `json:"user,omitzero" jsonschema:"login"`
	SSHKeys  []string      `json:"ssh_keys,omitzero" jsonschema:"public keys"`
	UserData string        `json:"user_data,omitzero" jsonschema:"cloud-config, whole, with user and keys"`
	Set      tool.Settings `json:"set,omitzero" jsonschema:"other PVE keys: {\"bios\":\"ovmf\"}"`
	Full     bool          `json:"full,omitzero" jsonschema:"full copy of a template"`
	Pool     string        `json:"pool,omitzero" jsonschema:"default: none"`
	Tags     []string      `json:"tags,omitzero" jsonschema:"default: none"`
	Start    *bool         `json:"start,omitzero" jsonschema:"default: true"`
	WaitFor  string        `json:"wait_for,omitzero" enum:"none,started,agent,address" jsonschema:"default: address; without source: started"`
	Keep     bool          `json:"keep,omitzero" jsonschema:"after a failure"`
	change.PlanArguments
	change.WaitArgument
}

func (in createIn) starts() bool { return in.Start == nil || *in.Start }

// createState is what the steps need. What a step has sent is cleared, so that no handle holds
// a credential or grows long.
type createState struct {
	Label    string                 `json:"label"` // 111 web-4
	Name     string                 `json:"name"`
	VMID     pve.VMID               `json:"vmid"`
	Chosen   bool                   `json:"chosen,omitzero"` // VMID was chosen here
	Pool     string                 `json:"pool,omitzero"`
	Place    newguest.Place         `json:"place"`
	Source   source                 `json:"source,omitzero"`
	ISO      pve.VolID              `json:"iso,omitzero"` // the CD from which it is installed
	Full     bool                   `json:"full,omitzero"`
	Config   map[string]string      `json:"config,omitzero"` // of the VM, or set on the clone
	Parts    map[string]tool.Values `json:"parts,omitzero"`  // of what the clone has
	Unset    []string               `json:"unset,omitzero"`  // keys of the template that the clone loses
	Grow     string                 `json:"grow,omitzero"`   // the size of the first disk
	Boot     string                 `json:"boot,omitzero"`   // its key
	Run      bool                   `json:"run,omitzero"`
	WaitFor  string                 `json:"for,omitzero"`
	Keep     bool                   `json:"keep,omitzero"`
	Seed     seed                   `json:"seed,omitzero"`
	SeedAt   pve.VolID              `json:"seed_at,omitzero"`
	MAC      string                 `json:"mac,omitzero"`     // of the first NIC of a VM that is no clone
	Drive    string                 `json:"drive,omitzero"`   // in which the seed is
	Ejects   bool                   `json:"ejects,omitzero"`  // the CD is taken out after the first boot
	Removes  bool                   `json:"removes,omitzero"` // and deleted
	User     string                 `json:"user,omitzero"`
	Address  string                 `json:"address,omitzero"` // that was given
	Chosens  map[string]string      `json:"chosen_values,omitzero" plan:"-"`
	Notes    []string               `json:"notes,omitzero"`
	Template pve.GuestRef           `json:"template,omitzero"`
	// Configured says that the clone's configuration was sent, which Config no longer shows.
	Configured bool `json:"configured,omitzero"`
}

func (s createState) ref() pve.GuestRef {
	return pve.GuestRef{Node: s.Place.Node, Kind: pve.QEMU, VMID: s.VMID}
}

func (s createState) about() string {
	return fmt.Sprintf("Creation of VM %v (%s) on %s", s.VMID, render.Text(s.Name, 60), s.Place.Node)
}

func (s *createState) note(format string, args ...any) {
	s.Notes = append(s.Notes, fmt.Sprintf(format, args...))
}

type createOut struct {
	change.Answer
	Guest   string            `json:"guest,omitzero" jsonschema:"id and name"`
	Node    string            `json:"node,omitzero"`
	Status  string            `json:"status,omitzero"`
	Address string            `json:"address,omitzero"`
	Agent   string            `json:"agent,omitzero" jsonschema:"answers, or why it does not"`
	Chosen  map[string]string `json:"chosen,omitzero" jsonschema:"what was chosen here, and why"`
	Notes   []string          `json:"notes,omitzero"`
	Undo    *tool.NextCall    `json:"undo,omitzero"`
}

func createVM() tool.Tool {
	return change.New(change.Spec[createIn, createState, createOut]{
		Name:  "pve_create_vm",
		Title: "Create a VM",
		Doc: "Create or set up a new VM from a cloud image (Ubuntu, Debian), OVA, VMDK, template or installer ISO, with size, SSH keys and address; start it and " +
			"give its IP. Undone if a step fails.",
		Examples: []tool.Example{
			{Arguments: `{"name":"web-4","source":"ubuntu 24.04","cores":4,"memory":"4G","disks":["32G"],"nics":["bridge=vmbr0"],"tags":["web"],"wait_for":"started","ssh_keys":["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA user@host"],"wait":45}`},
			{Arguments: `{"name":"web-5","source":"901","user_data":"#cloud-config\npackages: [qemu-guest-agent]\n","wait":45}`},
			{Arguments: `{"name":"empty","disks":["8G"],"set":{"onboot":1},"start":false}`},
		},
		Needs: []tool.Need{
			tool.On(tool.OnNewGuest, "VM.Allocate"),
			tool.On(tool.OnStorage, "Datastore.AllocateSpace"),
			tool.On(tool.OnNewGuest, "VM.Audit"),
			tool.On(tool.OnNewGuest, "VM.Config.Disk"),
			tool.On(tool.OnNewGuest, "VM.Config.CPU"),
			tool.On(tool.OnNewGuest, "VM.Config.Memory"),
			tool.On(tool.OnNewGuest, "VM.Config.Network"),
			tool.On(tool.OnNewGuest, "VM.Config.HWType"),
			tool.On(tool.OnNewGuest, "VM.Config.Options"),
			tool.On(tool.OnNewGuest, "VM.Config.CDROM").If("iso, user_data"),
			tool.On(tool.OnGuest, "VM.Clone").If("source is a template"),
			tool.On(tool.OnNewGuest, "VM.Config.Cloudinit").If("user, ssh_keys; user_data of a template with a cloud-init drive"),
			tool.On(tool.OnBridge, "SDN.Use").Since(8),
			tool.On(tool.OnNewGuest, "VM.PowerMgmt").If("start"),
			tool.On(tool.OnStorage, "Datastore.AllocateTemplate").If("user_data, or the guest agent is installed"),
			tool.On(tool.OnStorage, "Datastore.Allocate").If("the CD with user data is removed again"),
			tool.On(tool.OnNewGuest, "VM.Monitor").Until(9).If("wait_for address or agent").Else("no address is shown").ForAdmins().Named("guest-agent"),
			tool.On(tool.OnNewGuest, "VM.GuestAgent.Audit", "VM.GuestAgent.Unrestricted").Since(9).Else("no address is shown"),
		},
		Plan:   planVM,
		Steps:  vmSteps,
		Finish: finishVM,
	})
}

// tellsCloudInit reports whether the call says what cloud-init is to set up.
func (in createIn) tellsCloudInit() bool {
	addresses := func(nic string) bool {
		n, err := newguest.ReadNIC(nic)
		return err == nil && n.Address != (pve.IPConfig{})
	}
	return in.User != "" || len(in.SSHKeys) > 0 || slices.ContainsFunc(in.NICs, addresses)
}

// check refuses arguments that have no meaning.
func (in createIn) check() error {
	if err := newguest.CheckSSHKeys(in.SSHKeys); err != nil {
		return err
	}
	switch {
	case in.UserData != "" && !strings.HasPrefix(in.UserData, "#"):
		return tool.BadArgument("user_data", "does not begin with a line such as #cloud-config, so cloud-init would ignore it")
	case in.UserData != "" && (in.User != "" || len(in.SSHKeys) > 0):
		return tool.BadArgument("user_data", "is the whole of what cloud-init reads: write user and keys into it, and leave user and ssh_keys out")
	case in.Download && in.Source == "":
		return tool.BadArgument("download", "needs a source")
	case in.ISO != "" && in.Source != "":
		return tool.BadArgument("iso", "is for a VM that is installed from it, which has no source")
	case in.Start != nil && !*in.Start && !slices.Contains([]string{"", "none"}, in.WaitFor):
		return tool.BadArgument("wait_for", "needs a VM that is started")
	}
	for key, value := range in.Set.Text() {
		if cloudInitRE.MatchString(value) {
			return tool.BadArgument("set", fmt.Sprintf("has a drive for cloud-init as %s; it gets one by itself: give user, ssh_keys, nics or user_data", render.Text(key, 20)))
		}
		if guestconfig.RootOnly(key) {
			return tool.BadArgument("set", fmt.Sprintf("has %q, which PVE lets root@pam alone set", key))
		}
		if better := otherWise[key]; better != "" {
			return tool.BadArgument("set", fmt.Sprintf("has %q; give the argument %s instead", key, better))
		}
	}
	return nil
}

// cloudInitRE matches a drive from which cloud-init reads.
var cloudInitRE = lazyregexp.New(`^(?:file=)?[\w.-]+:(?:cloudinit|(?:\d+/)?vm-\d+-cloudinit|iso/seed-)`)

// otherWise are keys of a VM that have an argument of their own.
var otherWise = map[string]string{
	"name": "name", "cores": "cores", "memory": "memory", "tags": "tags", "net0": "nics", "scsi0": "disks", "ciuser": "user", "sshkeys": "ssh_keys",
	"ipconfig0": "nics", "ide2": "iso",
}
