package provision

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/change"
	"github.com/pve-mcp/pve-mcp/internal/newguest"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/lazyregexp"
	"github.com/pve-mcp/pve-mcp/pve"
)

type containerIn struct {
	Name       string      `json:"name" jsonschema:"host name"`
	Template   string      `json:"template" jsonschema:"\"debian 12\" or volid"`
	Download   bool        `json:"download,omitzero" jsonschema:"fetch if missing"`
	VMID       pve.VMID    `json:"vmid,omitzero" guest:"new" jsonschema:"default: next free"`
	Node       string      `json:"node,omitzero" jsonschema:"default: best"`
	Storage    string      `json:"storage,omitzero" jsonschema:"default: best"`
	Cores      int         `json:"cores,omitzero" min:"1" jsonschema:"default: 1"`
	Memory     string      `json:"memory,omitzero" jsonschema:"default: 512M"`
	Disk       string      `json:"disk,omitzero" jsonschema:"default: 8G"`
	Mounts     []string    `json:"mounts,omitzero" jsonschema:"8G:/data"`
	NICs       []string    `json:"nics,omitzero" jsonschema:"as pve_create_vm"`
	SSHKeys    []string    `json:"ssh_keys,omitzero" jsonschema:"public keys"`
	Env        []string    `json:"env,omitzero" jsonschema:"OCI: KEY=value"`
	Entrypoint string      `json:"entrypoint,omitzero" jsonschema:"OCI"`
	Set        tool.Values `json:"set,omitzero" jsonschema:"other PVE keys: {\"swap\":0}"`
	Pool       string      `json:"pool,omitzero" jsonschema:"default: none"`
	Tags       []string    `json:"tags,omitzero" jsonschema:"default: none"`
	Start      *bool       `json:"start,omitzero" jsonschema:"default: true"`
	Keep       bool        `json:"keep,omitzero" jsonschema:"after a failure"`
	change.PlanArguments
	change.WaitArgument
}

// isUnprivileged reports whether root of the container is nobody on the node.
func (in containerIn) isUnprivileged() bool { return cmp.Or(in.Set["unprivileged"], "1") != "0" }

// containerState is what the steps need.
type containerState struct {
	Name      string            `json:"name"`
	VMID      pve.VMID          `json:"vmid"`
	Chosen    bool              `json:"chosen,omitzero"` // VMID was chosen here
	Pool      string            `json:"pool,omitzero"`
	Place     newguest.Place    `json:"place"`
	Template  pve.VolID         `json:"template"`
	Appliance string            `json:"appliance,omitzero"` // that is fetched first
	Reference string            `json:"reference,omitzero"` // of an OCI image that is
	MAC       string            `json:"mac,omitzero"`       // of the first NIC
	Config    map[string]string `json:"config,omitzero"`
	// IsOCI says that environment and entrypoint are set when the container is made: PVE
	// takes the image's own first. They are cleared when they were sent.
	IsOCI      bool     `json:"oci,omitzero"`
	Env        []string `json:"env,omitzero"`
	Entrypoint string   `json:"entrypoint,omitzero"`
	Run        bool     `json:"run,omitzero"`
	Keep       bool     `json:"keep,omitzero"`
	Keys       bool     `json:"keys,omitzero"` // somebody may log in
	// NoAddress says that none of its NICs is to have one.
	NoAddress bool              `json:"no_address,omitzero"`
	Address   string            `json:"address,omitzero"`
	Chosens   map[string]string `json:"chosen_values,omitzero" plan:"-"`
	Notes     []string          `json:"notes,omitzero"`
}

func (s containerState) ref() pve.GuestRef {
	return pve.GuestRef{Node: s.Place.Node, Kind: pve.LXC, VMID: s.VMID}
}

func (s containerState) about() string {
	return fmt.Sprintf("Creation of CT %v (%s) on %s", s.VMID, render.Text(s.Name, 60), s.Place.Node)
}

type containerOut struct {
	change.Answer
	Guest   string            `json:"guest,omitzero" jsonschema:"id and name"`
	Node    string            `json:"node,omitzero"`
	Status  string            `json:"status,omitzero"`
	Address string            `json:"address,omitzero"`
	Chosen  map[string]string `json:"chosen,omitzero" jsonschema:"what was chosen here, and why"`
	Notes   []string          `json:"notes,omitzero"`
	Undo    *tool.NextCall    `json:"undo,omitzero"`
}

func createContainer() tool.Tool {
	return change.New(change.Spec[containerIn, containerState, containerOut]{
		Name:  "pve_create_container",
		Title: "Create a container",
		Doc:   "Create a new container (LXC) from a template (Debian, Alpine) or OCI image, start it, give its IP. Undone if a step fails.",
		Examples: []tool.Example{
			{Arguments: `{"name":"dns-2","template":"debian 12","memory":"1G","disk":"8G","mounts":["4G:/data"],"tags":["dns"],"wait":45}`},
			{Arguments: `{"name":"later","template":"ubuntu 24.04","download":true,"storage":"local-zfs","start":false,"wait":45}`},
		},
		Needs: []tool.Need{
			tool.On(tool.OnNewGuest, "VM.Allocate"),
			tool.On(tool.OnNewGuest, "VM.Audit"),
			tool.On(tool.OnStorage, "Datastore.AllocateSpace"),
			tool.On(tool.OnStorage, "Datastore.Audit"),
			tool.On(tool.OnNewGuest, "VM.Config.Disk"),
			tool.On(tool.OnNewGuest, "VM.Config.CPU"),
			tool.On(tool.OnNewGuest, "VM.Config.Memory"),
			tool.On(tool.OnNewGuest, "VM.Config.Network"),
			tool.On(tool.OnNewGuest, "VM.Config.Options"),
			tool.On(tool.OnBridge, "SDN.Use").Since(8),
			tool.On(tool.OnNewGuest, "VM.PowerMgmt").If("start"),
			tool.On(tool.OnStorage, "Datastore.AllocateTemplate").If("download"),
		},
		Plan:   planContainer,
		Steps:  containerSteps,
		Finish: finishContainer,
	})
}

// hostRE matches a host name that PVE takes.
var hostRE = lazyregexp.New(`^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$`)

// check refuses arguments that have no meaning, and those that PVE lets no token set.
func (in containerIn) check() error {
	if err := newguest.CheckSSHKeys(in.SSHKeys); err != nil {
		return err
	}
	if !hostRE.MatchString(in.Name) {
		return tool.BadArgument("name", fmt.Sprintf("is %q, which is no host name, such as web-1", render.Text(in.Name, 60)))
	}
	for _, variable := range in.Env {
		if !variableRE.MatchString(variable) {
			return tool.BadArgument("env", "has an entry that is not KEY=value on one line, such as TZ=UTC")
		}
	}
	if strings.ContainsFunc(in.Entrypoint, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return tool.BadArgument("entrypoint", "has more than one line; give a command, such as \"nginx -g 'daemon off;'\"")
	}
	for key, value := range in.Set {
		switch better := containerOtherWise[key]; {
		case key == "password":
			return tool.BadArgument("set", "has a password, which no model is to know: give ssh_keys, or set it inside afterwards")
		case key == "hookscript", key == "lock", strings.HasPrefix(key, "lxc"), strings.HasPrefix(key, "dev"), strings.HasPrefix(key, "mp") && strings.HasPrefix(value, "/"):
			return tool.BadArgument("set", fmt.Sprintf("has %q, which PVE lets root@pam alone set", key))
		case better != "":
			return tool.BadArgument("set", fmt.Sprintf("has %q; give the argument %s instead", key, better))
		}
	}
	return in.checkFeatures()
}

// checkFeatures refuses features that PVE lets no token set: all except nesting, and of a
// privileged container every one.
func (in containerIn) checkFeatures() error {
	features, given := in.Set["features"]
	for feature := range strings.SplitSeq(features, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(feature), "=")
		switch {
		case !given:
		case name != "nesting":
			return tool.BadArgument("set", fmt.Sprintf("has the feature %q, which PVE lets root@pam alone set: an administrator runs pct set VMID --features on the node. A token may set nesting", render.Text(name, 40)))
		case !in.isUnprivileged() && value != "0":
			return tool.BadArgument("set", "has features of a privileged container, which PVE lets root@pam alone set; leave features or unprivileged out")
		}
	}
	return nil
}

// variableRE matches a variable of an environment as PVE takes it.
var variableRE = lazyregexp.New(`^\w+=[^\x00-\x08\x0a-\x1f\x7f]*$`)

// containerOtherWise are keys of a container that have an argument of their own.
var containerOtherWise = map[string]string{
	"hostname": "name", "ostemplate": "template", "cores": "cores", "memory": "memory", "rootfs": "disk", "mp0": "mounts", "net0": "nics",
	"ssh-public-keys": "ssh_keys", "env": "env", "entrypoint": "entrypoint", "tags": "tags", "pool": "pool",
}
