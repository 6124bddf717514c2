package guests

import (
	"context"

	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/show"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/proxmox/lenient"
	"github.com/pve-mcp/pve-mcp/pve"
)

type statusIn struct {
	VMID pve.VMID `json:"vmid"`
}

type statusOut struct {
	VMID      pve.VMID  `json:"vmid"`
	Name      string    `json:"name,omitzero"`
	Type      string    `json:"type"`
	Node      string    `json:"node"`
	Status    string    `json:"status" jsonschema:"running, stopped, paused, suspended, or QEMU's own word"`
	Why       []string  `json:"why,omitzero" jsonschema:"what holds it in this state"`
	Lock      string    `json:"lock,omitzero"`
	HA        string    `json:"ha,omitzero" jsonschema:"the state that the HA manager keeps"`
	Template  bool      `json:"template,omitzero"`
	Tags      []string  `json:"tags,omitzero"`
	Uptime    string    `json:"uptime,omitzero"`
	UptimeSec *int64    `json:"uptime_seconds,omitzero"`
	CPU       cpuUse    `json:"cpu"`
	Memory    show.Use  `json:"memory"`
	Disk      show.Use  `json:"disk"`
	Mounts    []mount   `json:"file_systems,omitzero" jsonschema:"of a VM whose agent answers, the fullest first"`
	Network   traffic   `json:"network,omitzero"`
	Agent     string    `json:"agent,omitzero" jsonschema:"of a VM: answers, not configured, or why it does not answer"`
	Addresses []address `json:"addresses,omitzero"`
	LeftOut   int       `json:"addresses_left_out,omitzero" jsonschema:"further ones, which the guest itself can list"`
	Dropped   int       `json:"container_interfaces,omitzero" jsonschema:"bridges and veths of containers in it, which are left out"`
	// AddressesFrom and AddressesUnknown distinguish "none" from "unknown".
	AddressesFrom    string `json:"addresses_from,omitzero" jsonschema:"who reports the addresses"`
	AddressesUnknown string `json:"addresses_unknown,omitzero" jsonschema:"why they cannot be known"`
	AsOf             string `json:"as_of"`
}

type cpuUse struct {
	Percent *float64 `json:"percent,omitzero" jsonschema:"of its own CPUs"`
	CPUs    float64  `json:"cpus"`
}

type traffic struct {
	In       *int64 `json:"in,omitzero" jsonschema:"bytes since the start"`
	InHuman  string `json:"in_human,omitzero"`
	Out      *int64 `json:"out,omitzero"`
	OutHuman string `json:"out_human,omitzero"`
}

type address struct {
	Interface string   `json:"interface"`
	MAC       string   `json:"mac,omitzero"`
	IPs       []string `json:"ips" jsonschema:"address/prefix"`
}

func guestStatus() tool.Tool {
	return tool.Read(tool.Spec[statusIn, statusOut]{
		Name:  "pve_guest_status",
		Title: "Show the live state of a guest",
		Doc:   "Is a guest up, since when, what is its IP: state and why, live CPU, memory, disk, network, agent.",
		Examples: []tool.Example{
			{Arguments: `{"vmid":100}`},
		},
		Needs: []tool.Need{
			tool.On(tool.OnGuest, "VM.Audit"),
			tool.On(tool.OnGuest, "VM.Monitor").Until(9).If("a running VM with an agent").Else("its IP addresses and file systems are unknown").ForAdmins().Named("guest-agent"),
			tool.On(tool.OnGuest, "VM.GuestAgent.Audit", "VM.GuestAgent.Unrestricted").Since(9).If("a running VM with an agent").Else("its IP addresses and file systems are unknown"),
		},
		Run: runStatus,
	})
}

func runStatus(ctx context.Context, c *tool.Call, in statusIn) (statusOut, error) {
	g, s, err := c.Live(ctx, in.VMID)
	if err != nil {
		return statusOut{}, err
	}
	out := describe(g, s)
	out.AsOf = render.Time(c.Now())
	if s.Status != "running" {
		out.AddressesUnknown = "the guest is not running"
		return out, nil
	}
	out.ask(ctx, c, g, s)
	return out, nil
}

func describe(g pve.GuestRef, s pve.GuestStatus) statusOut {
	out := statusOut{
		VMID: g.VMID, Name: render.Text(s.Name.Value, 60), Type: string(g.Kind), Node: g.Node,
		Status: s.State(), Why: why(s), Lock: s.Lock.Value, Template: s.Template.Value,
		Tags: cleaned(pve.SplitTags(s.Tags.Value)), CPU: cpuUse{CPUs: s.CPUs.Value},
	}
	if s.HA.Managed.Value {
		out.HA = s.HA.State.Or("managed")
	}
	unknown := lenient.Opt[int64]{}
	out.Memory, out.Disk = show.UseOf(unknown, s.MaxMem), show.UseOf(unknown, s.MaxDisk)
	if g.Kind == pve.QEMU {
		out.Disk.Note = "the boot disk's size; PVE does not know how full a VM's disk is"
	}
	if s.Status != "running" {
		return out
	}
	out.UptimeSec, out.Uptime = show.Number(s.Uptime), show.Seconds(s.Uptime)
	if s.CPU.Value != 0 { // 0 may be the first sample of a worker
		out.CPU.Percent = show.Percent(s.CPU)
	}
	out.Memory = show.UseOf(s.Mem, s.MaxMem)
	if g.Kind == pve.LXC {
		out.Disk = show.UseOf(s.Disk, s.MaxDisk)
	}
	out.Network.In, out.Network.InHuman = show.Bytes(s.NetIn)
	out.Network.Out, out.Network.OutHuman = show.Bytes(s.NetOut)
	return out
}

// why says what keeps a guest in its state.
func why(s pve.GuestStatus) []string {
	var out []string
	switch s.State() {
	case "paused":
		out = append(out, "paused in memory: resume continues it")
	case "suspended":
		held := "suspended to disk: start or resume continues it"
		if s.Status == "running" {
			held = "asleep, because the guest suspended itself (ACPI S3): resume wakes it"
		}
		out = append(out, held)
	case "prelaunch", "inmigrate", "postmigrate":
		out = append(out, "in the middle of a migration or a start")
	case "io-error":
		out = append(out, "QEMU stopped it because of a disk error, such as a full storage")
	case "internal-error", "guest-panicked":
		out = append(out, "the guest crashed")
	}
	if lock := s.Lock.Value; lock != "" && lock != "suspended" {
		out = append(out, "locked by "+lock+": most changes are refused until it ends; pve_diagnose says whether its task is alive, and what clears the lock")
	}
	if s.Template.Value {
		out = append(out, "a template: it cannot be started, only cloned")
	}
	if s.HA.Managed.Value {
		out = append(out, "managed by HA, which starts or stops it some seconds after a request")
	}
	return out
}
