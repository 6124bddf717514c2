package nodes

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/show"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/proxmox/lenient"
	"github.com/pve-mcp/pve-mcp/pve"
)

type statusIn struct {
	Node string `json:"node" jsonschema:"its name"`
}

type statusOut struct {
	Node        string    `json:"node"`
	Status      string    `json:"status" jsonschema:"online, offline or unknown"`
	Maintenance bool      `json:"ha_maintenance,omitzero" jsonschema:"HA has moved its guests away, and starts none there"`
	Version     string    `json:"pve_version,omitzero"`
	Kernel      string    `json:"kernel,omitzero"`
	Boot        string    `json:"boot,omitzero" jsonschema:"efi or legacy-bios"`
	Uptime      string    `json:"uptime,omitzero"`
	UptimeSec   *int64    `json:"uptime_seconds,omitzero"`
	Load        []float64 `json:"load,omitzero" jsonschema:"average over 1, 5 and 15 minutes"`
	CPU         *cpu      `json:"cpu,omitzero"`
	Memory      show.Use  `json:"memory,omitzero"`
	Swap        show.Use  `json:"swap,omitzero"`
	RootDisk    show.Use  `json:"root_disk,omitzero"`
	AsOf        string    `json:"as_of"`
	Notes       []string  `json:"notes,omitzero" jsonschema:"what is hidden, unknown or out of date, and why"`
}

type cpu struct {
	Percent     *float64 `json:"percent,omitzero"`
	WaitPercent *float64 `json:"wait_percent,omitzero" jsonschema:"waiting for disks"`
	CPUs        int      `json:"cpus,omitzero" jsonschema:"threads"`
	Sockets     int      `json:"sockets,omitzero"`
	Model       string   `json:"model,omitzero"`
}

func nodeStatus() tool.Tool {
	return tool.Read(tool.Spec[statusIn, statusOut]{
		Name:  "pve_node_status",
		Title: "Show the state of a node",
		Doc:   "One node in detail: load, CPU, memory, root disk, kernel, PVE version, uptime.",
		Examples: []tool.Example{
			{Arguments: `{"node":"pve2"}`},
		},
		Needs: []tool.Need{tool.On(tool.OnNode, "Sys.Audit").Else("only the node's status and PVE version are shown")},
		Run:   runStatus,
	})
}

func runStatus(ctx context.Context, c *tool.Call, in statusIn) (statusOut, error) {
	n, err := c.Node(ctx, in.Node)
	if err != nil {
		return statusOut{}, err
	}
	out := statusOut{Node: in.Node, Status: n.Status.Or("unknown"), AsOf: render.Time(c.AsOf())}
	maintained, err := c.NodesInMaintenance(ctx)
	if err != nil {
		return statusOut{}, err
	}
	out.Maintenance = maintained[in.Node]
	if out.Status == "offline" {
		out.Notes = []string{"the node is offline, so nothing else is known"}
		return out, nil
	}
	s, err := c.PVE.NodeStatus(ctx, in.Node)
	var said *proxmox.Error
	switch {
	case err == nil:
		out.describe(s)
		out.warn(c.Now())
		return out, nil
	case errors.As(err, &said) && said.NodeUnreachable():
		out.Status = "unknown"
		out.Notes = []string{fmt.Sprintf("the cluster counts it as %s; %s", n.Status.Or("unknown"), c.Explain(err).What)}
		return out, nil
	case proxmox.IsDenied(err):
		out.Notes = []string{c.Explain(err).What + " Only status and version are visible."}
		v, err := c.PVE.NodeVersion(ctx, in.Node)
		out.Version = render.Text(v.Version, 40)
		out.warn(c.Now())
		return out, err
	}
	return statusOut{}, err
}

// warn adds a note if the node's PVE no longer gets updates.
func (out *statusOut) warn(now time.Time) {
	major := pve.Version{Version: out.Version}.Major()
	if end, _ := pve.EndOfLife(major); pve.PastEndOfLife(major, now) {
		out.Notes = append(out.Notes, fmt.Sprintf("PVE %d is past its end of life (%s): it gets no security updates; the way to PVE %d is https://pve.proxmox.com/wiki/Upgrade_from_%d_to_%d",
			major, end.Format(time.DateOnly), major+1, major, major+1))
	}
}

func (out *statusOut) describe(s pve.NodeStatus) {
	out.Version = render.Text(managerVersion(s.PVEVersion.Value), 40)
	out.Kernel = render.Text(s.Kernel["release"].Or(s.KVersion.Value), 80)
	out.Boot = render.Text(s.Boot["mode"].Value, 20)
	out.UptimeSec, out.Uptime = show.Number(s.Uptime), show.Seconds(s.Uptime)
	for _, l := range s.LoadAvg {
		if l.Set {
			out.Load = append(out.Load, l.Value)
		}
	}
	out.CPU = &cpu{
		Percent: show.Percent(s.CPU), WaitPercent: show.Percent(s.Wait),
		CPUs: count(s.CPUInfo["cpus"]), Sockets: count(s.CPUInfo["sockets"]), Model: render.Text(s.CPUInfo["model"].Value, 80),
	}
	out.Memory = show.UseOf(s.Memory["used"], s.Memory["total"])
	out.Swap = show.UseOf(s.Swap["used"], s.Swap["total"])
	out.RootDisk = show.UseOf(s.RootFS["used"], s.RootFS["total"])
}

// managerVersion is the middle of pve-manager/9.0.11/0123456789abcdef.
func managerVersion(s string) string {
	s = strings.TrimPrefix(s, "pve-manager/")
	version, _, _ := strings.Cut(s, "/")
	return version
}

func count(s lenient.Opt[string]) int {
	n, _ := strconv.Atoi(s.Value) // "" if PVE does not say
	return n
}
