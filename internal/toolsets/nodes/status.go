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
	"github.com/pve-mcp/pve-mcp/internal/survey"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/proxmox/lenient"
	"github.com/pve-mcp/pve-mcp/pve"
)

type statusIn struct {
	Node    string   `json:"node,omitzero" jsonschema:"default: all nodes, in short"`
	Include []string `json:"include,omitzero" enum:"disks,smart,updates,certificates,services,network,subscription" jsonschema:"show these, too"`
}

type statusOut struct {
	Message string `json:"message,omitzero"`
	statusRow
	Nodes []shortRow `json:"nodes,omitzero" cut:"end" jsonschema:"if no node was given"`
	tool.Rest
	AsOf  string         `json:"as_of"`
	Blind []survey.Blind `json:"blind,omitzero" jsonschema:"what could not be seen: nothing is known of it"`
}

// statusRow is what is known of a node.
type statusRow struct {
	Node        string    `json:"node,omitzero"`
	Status      string    `json:"status,omitzero" jsonschema:"online, offline or unknown"`
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
	details
	Notes []string `json:"notes,omitzero" jsonschema:"what is hidden, unknown or out of date, and why"`
}

// shortRow is a node among others.
type shortRow struct {
	Node          string   `json:"node"`
	Status        string   `json:"status"`
	Maintenance   bool     `json:"ha_maintenance,omitzero"`
	Version       string   `json:"pve_version,omitzero"`
	Kernel        string   `json:"kernel,omitzero"`
	Uptime        string   `json:"uptime,omitzero"`
	Load          *float64 `json:"load,omitzero" jsonschema:"over 5 minutes"`
	CPUPercent    *float64 `json:"cpu_percent,omitzero"`
	MemoryPercent *float64 `json:"memory_percent,omitzero"`
	SwapPercent   *float64 `json:"swap_percent,omitzero"`
	RootPercent   *float64 `json:"root_disk_percent,omitzero"`
	details
	Notes []string `json:"notes,omitzero"`
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
		Doc:   "A node (host), or all: PVE version, uptime, load; disks, updates, expiring certificates, failed services, network, subscription.",
		Long:  true,
		Examples: []tool.Example{
			{Arguments: `{"node":"pve2"}`},
			{Arguments: `{"include":["updates","certificates","services","network","subscription"]}`},
		},
		Needs: []tool.Need{
			tool.On(tool.OnNode, "Sys.Audit").Else("only the node's status, PVE version, certificates and subscription are shown"),
			tool.On(tool.OnNode, "Sys.Modify").If("updates").ForAdmins().Else("its waiting updates are not listed"),
		},
		Run: runStatus,
	})
}

func runStatus(ctx context.Context, c *tool.Call, in statusIn) (statusOut, error) {
	chosen, err := c.Nodes(ctx)
	if err != nil {
		return statusOut{}, err
	}
	if in.Node != "" {
		n, err := c.Node(ctx, in.Node)
		if err != nil {
			return statusOut{}, err
		}
		chosen = []pve.Resource{n}
	}
	maintained, err := c.NodesInMaintenance(ctx)
	if err != nil {
		return statusOut{}, err
	}
	out := statusOut{AsOf: render.Time(c.AsOf())}
	var rows []*statusRow
	for _, n := range chosen {
		rows = append(rows, &statusRow{Node: n.Node.Value, Status: n.Status.Or("unknown"), Maintenance: maintained[n.Node.Value]})
	}
	if in.Node != "" {
		if err := rows[0].look(ctx, c); err != nil {
			return statusOut{}, err
		}
	}
	if in.Node == "" || len(in.Include) > 0 {
		if out.Blind, err = surveyed(ctx, c, in, rows); err != nil {
			return statusOut{}, err
		}
	}
	if in.Node != "" {
		out.statusRow = *rows[0]
		return out, nil
	}
	online := 0
	for _, r := range rows {
		out.Nodes = append(out.Nodes, r.short())
		if r.Status == "online" {
			online++
		}
	}
	out.Message = fmt.Sprintf("%d of %d nodes are online.", online, len(rows))
	out.Rest = tool.RestOf(len(rows), 0, len(rows))
	return out, nil
}

// surveyed reads the state of several nodes, and the details of those that are named.
func surveyed(ctx context.Context, c *tool.Call, in statusIn, rows []*statusRow) ([]survey.Blind, error) {
	s, end, err := survey.Begin(ctx, c.View, survey.Deadline)
	if err != nil {
		return nil, err
	}
	defer end()
	if in.Node == "" {
		survey.Ask(s, "state of nodes", rows, func(r *statusRow) string { return r.Node }, func(ctx context.Context, r *statusRow) (bool, error) {
			return true, r.look(ctx, c)
		})
	}
	addDetails(s, in.Include, rows)
	return s.Blind(), s.Err()
}

// look asks a node how it is, unless it is away.
func (r *statusRow) look(ctx context.Context, c *tool.Call) error {
	if r.Status == "offline" {
		r.Notes = []string{"the node is offline, so nothing else is known"}
		return nil
	}
	s, err := c.PVE.NodeStatus(ctx, r.Node)
	var said *proxmox.Error
	switch {
	case err == nil:
		r.describe(s)
		r.warn(c.Now())
		return nil
	case errors.As(err, &said) && said.NodeUnreachable():
		r.Notes = []string{fmt.Sprintf("the cluster counts it as %s; %s", r.Status, c.Explain(err).What)}
		r.Status = "unknown"
		return nil
	case proxmox.IsDenied(err):
		r.Notes = []string{c.Explain(err).What + " Only status and version are visible."}
		v, err := c.PVE.NodeVersion(ctx, r.Node)
		r.Version = render.Text(v.Version, 40)
		r.warn(c.Now())
		return err
	}
	return err
}

// short is the row among those of other nodes.
func (r *statusRow) short() shortRow {
	out := shortRow{
		Node: r.Node, Status: r.Status, Maintenance: r.Maintenance, Version: r.Version, Kernel: r.Kernel, Uptime: r.Uptime,
		MemoryPercent: r.Memory.Percent, SwapPercent: r.Swap.Percent, RootPercent: r.RootDisk.Percent, details: r.details, Notes: r.Notes,
	}
	if r.CPU != nil {
		out.CPUPercent = r.CPU.Percent
	}
	if len(r.Load) > 1 {
		out.Load = &r.Load[1]
	}
	return out
}

// warn adds a note if the node's PVE no longer gets updates.
func (r *statusRow) warn(now time.Time) {
	major := pve.Version{Version: r.Version}.Major()
	if end, _ := pve.EndOfLife(major); pve.PastEndOfLife(major, now) {
		r.Notes = append(r.Notes, fmt.Sprintf("PVE %d is past its end of life (%s): it gets no security updates; the way to PVE %d is https://pve.proxmox.com/wiki/Upgrade_from_%d_to_%d",
			major, end.Format(time.DateOnly), major+1, major, major+1))
	}
}

func (r *statusRow) describe(s pve.NodeStatus) {
	r.Version = render.Text(managerVersion(s.PVEVersion.Value), 40)
	r.Kernel = render.Text(s.Kernel["release"].Or(s.KVersion.Value), 80)
	r.Boot = render.Text(s.Boot["mode"].Value, 20)
	r.UptimeSec, r.Uptime = show.Number(s.Uptime), show.Seconds(s.Uptime)
	for _, l := range s.LoadAvg {
		if l.Set {
			r.Load = append(r.Load, l.Value)
		}
	}
	r.CPU = &cpu{
		Percent: show.Percent(s.CPU), WaitPercent: show.Percent(s.Wait),
		CPUs: count(s.CPUInfo["cpus"]), Sockets: count(s.CPUInfo["sockets"]), Model: render.Text(s.CPUInfo["model"].Value, 80),
	}
	r.Memory = show.UseOf(s.Memory["used"], s.Memory["total"])
	r.Swap = show.UseOf(s.Swap["used"], s.Swap["total"])
	r.RootDisk = show.UseOf(s.RootFS["used"], s.RootFS["total"])
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
