package guests

import (
	"cmp"
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/show"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/proxmox/lenient"
	"github.com/pve-mcp/pve-mcp/pve"
)

type listIn struct {
	Node   string   `json:"node,omitzero" jsonschema:"only on this node"`
	Type   string   `json:"type,omitzero" enum:"qemu,lxc" jsonschema:"VMs or containers"`
	Status string   `json:"status,omitzero" enum:"running,stopped,paused,suspended,unknown" jsonschema:"only in this state"`
	Name   string   `json:"name,omitzero" jsonschema:"part of it, or web*"`
	Tag    string   `json:"tag,omitzero" jsonschema:"only with this tag"`
	Pool   string   `json:"pool,omitzero" jsonschema:"only in this pool"`
	Sort   string   `json:"sort,omitzero" enum:"vmid,name,node,cpu,mem,mem_percent,disk,uptime" default:"\"vmid\"" jsonschema:"usage: highest first"`
	Limit  int      `json:"limit,omitzero" min:"1" max:"500" default:"50" jsonschema:"most rows"`
	Offset int      `json:"offset,omitzero" min:"0" jsonschema:"rows to skip"`
	Fields []string `json:"fields,omitzero" enum:"vmid,name,type,node,status,cpu_percent,mem,maxmem,mem_percent,disk,maxdisk,uptime,tags,pool,lock,ha,template,netin,netout" jsonschema:"columns"`
}

type listOut struct {
	Guests []guestRow `json:"guests" cut:"end"`
	Total  int        `json:"total" jsonschema:"guests that match and that this token may see"`
	tool.Rest
	AsOf  string   `json:"as_of" jsonschema:"when PVE was asked; its names, states and numbers are up to 20 s older"`
	Notes []string `json:"notes,omitzero"`
}

// guestRow is one guest; fields that were not asked for are left out.
type guestRow struct {
	VMID         pve.VMID `json:"vmid,omitzero"`
	Name         string   `json:"name,omitzero"`
	Type         string   `json:"type,omitzero"`
	Node         string   `json:"node,omitzero"`
	Status       string   `json:"status,omitzero"`
	LastSeen     string   `json:"last_seen,omitzero" jsonschema:"status before the node went away"`
	CPUPercent   *float64 `json:"cpu_percent,omitzero" jsonschema:"of its own CPUs"`
	Mem          *int64   `json:"mem,omitzero" jsonschema:"bytes"`
	MemHuman     string   `json:"mem_human,omitzero"`
	MaxMem       *int64   `json:"maxmem,omitzero"`
	MaxMemHuman  string   `json:"maxmem_human,omitzero"`
	MemPercent   *float64 `json:"mem_percent,omitzero"`
	Disk         *int64   `json:"disk,omitzero" jsonschema:"bytes in use; PVE knows it for containers only"`
	DiskHuman    string   `json:"disk_human,omitzero"`
	MaxDisk      *int64   `json:"maxdisk,omitzero" jsonschema:"bytes of the boot disk"`
	MaxDiskHuman string   `json:"maxdisk_human,omitzero"`
	Uptime       string   `json:"uptime,omitzero"`
	Tags         []string `json:"tags,omitzero"`
	Pool         string   `json:"pool,omitzero"`
	Lock         string   `json:"lock,omitzero"`
	HA           string   `json:"ha,omitzero"`
	Template     bool     `json:"template,omitzero"`
	NetIn        *int64   `json:"netin,omitzero" jsonschema:"bytes since the start"`
	NetOut       *int64   `json:"netout,omitzero"`
}

func listGuests() tool.Tool {
	return tool.Read(tool.Spec[listIn, listOut]{
		Name:  "pve_list_guests",
		Title: "List VMs and containers",
		Doc:   "List VMs and containers: by node, tag, pool, running or switched off; sorted by memory or CPU.",
		Long:  true,
		Examples: []tool.Example{
			{Arguments: `{"status":"running","sort":"mem","limit":5}`},
			{Arguments: `{}`},
		},
		Needs: []tool.Need{tool.On(tool.OnGuest, "VM.Audit").Else("the guest is not listed")},
		Run:   runList,
	})
}

// usual are the fields that are shown if none are given.
var usual = []string{"vmid", "name", "type", "node", "status", "cpu_percent", "mem", "maxmem", "uptime", "tags", "lock", "template"}

func runList(ctx context.Context, c *tool.Call, in listIn) (listOut, error) {
	held, cancel := cluster.StartAsking(ctx, c.PVE.Permissions)
	defer cancel()
	all, changed, err := c.Resources(ctx)
	if err != nil {
		return listOut{}, err
	}
	if in.Node != "" {
		if _, err := c.Node(ctx, in.Node); err != nil {
			return listOut{}, err
		}
	}
	out := listOut{AsOf: render.Time(c.AsOf())}
	known := knowledge{offlineNodes(all), changed}
	found, notes := search(ctx, c, in, all, known)
	found = sorted(found, in.Sort, known)
	out.Total = len(found)
	found, out.Rest = tool.Page(found, in.Limit, in.Offset)
	fields := in.Fields
	if len(fields) == 0 {
		fields = usual
		switch in.Sort {
		case "disk":
			fields = append(slices.Clone(usual), "maxdisk")
		case "mem_percent":
			fields = append(slices.Clone(usual), "mem_percent")
		}
	}
	out.Guests = make([]guestRow, len(found))
	for i, r := range found {
		out.Guests[i] = rowOf(r, known, fields)
	}
	only(out.Guests, fields)
	if len(known.offline) > 0 {
		out.Notes = append(out.Notes, "offline nodes: "+render.List(known.offline)+"; the state of their guests is unknown")
	}
	perms, err := held()
	if err != nil {
		return listOut{}, err
	}
	out.Notes = append(out.Notes, hidden(perms, in)...)
	out.Notes = append(out.Notes, notes...)
	if out.Total == 0 {
		out.Notes = append(out.Notes, explainNoMatch(in, all, perms)...)
	}
	return out, nil
}

// hidden lists what the token cannot see.
func hidden(perms pve.Permissions, in listIn) (notes []string) {
	switch all, except := perms.Below("/vms", "VM.Audit"); {
	case !all:
		notes = append(notes, "this token lacks VM.Audit on /vms: there may be guests that it cannot see")
	case len(except) > 0:
		notes = append(notes, fmt.Sprintf("this token lacks VM.Audit on %s: such a guest is not listed", render.Text(render.List(except), 200)))
	}
	if in.Pool != "" && !perms.Has("/pool/"+in.Pool, "Pool.Audit") {
		notes = append(notes, fmt.Sprintf("this token lacks Pool.Audit on /pool/%s: which guests are in it cannot be seen", render.Text(in.Pool, 60)))
	}
	return notes
}

// sorted sorts by a key: the largest number first, unknown ones last, equal ones by id.
func sorted(list []*pve.Row, key string, known knowledge) []*pve.Row {
	type ranked struct {
		*pve.Row
		text   string
		number float64
	}
	by := make([]ranked, len(list))
	for i, r := range list {
		by[i].Row = r
		switch key {
		case "name":
			by[i].text = known.name(r)
			if by[i].text == "" {
				by[i].text = "\U0010ffff" // after all names
			}
		case "node":
			by[i].text = r.Node()
		case "cpu", "mem", "mem_percent", "disk", "uptime":
			by[i].number = rank(known.use(r), key, known.status(r))
		}
	}
	slices.SortFunc(by, func(a, b ranked) int {
		return cmp.Or(strings.Compare(a.text, b.text), cmp.Compare(b.number, a.number), cmp.Compare(a.VMID(), b.VMID()))
	})
	out := make([]*pve.Row, len(by))
	for i := range by {
		out[i] = by[i].Row
	}
	return out
}

// rank is the number that a guest is sorted by, as it is shown; below 0 if none is shown.
func rank(r pve.Resource, key, status string) float64 {
	value, known := 0.0, inUse(status)
	switch key {
	case "cpu":
		value, known = r.CPU.Value, known && r.CPU.Set
	case "mem":
		value, known = float64(r.Mem.Value), known && r.Mem.Set
	case "mem_percent":
		value, known = share(r.Mem, r.MaxMem), known && r.Mem.Set && r.MaxMem.Value > 0
	case "uptime":
		value = float64(r.Uptime.Value)
	case "disk":
		value, known = float64(r.MaxDisk.Value), r.MaxDisk.Set
	}
	if !known {
		return -1
	}
	return value
}

func share(used, total lenient.Opt[int64]) float64 {
	return float64(used.Value) / float64(max(1, total.Value))
}

// inUse reports whether a guest of a status uses anything.
func inUse(status string) bool {
	return status != "stopped" && status != "suspended" && status != "unknown"
}

// rowOf shows a guest. PVE does not know how full a VM's disk is, and a guest that is not
// running uses nothing.
func rowOf(r *pve.Row, known knowledge, fields []string) guestRow {
	use := known.use(r)
	row := guestRow{
		VMID: r.VMID(), Name: render.Text(known.name(r), 60), Type: r.Type(), Node: r.Node(), Status: known.status(r),
		Tags: cleaned(r.TagList()), Pool: r.Pool(), Lock: use.Lock.Value, HA: use.HAState.Value, Template: use.Template.Value,
	}
	if slices.Contains(fields, "maxmem") {
		row.MaxMem, row.MaxMemHuman = show.Bytes(use.MaxMem)
	}
	if slices.Contains(fields, "maxdisk") {
		row.MaxDisk, row.MaxDiskHuman = show.Bytes(use.MaxDisk)
	}
	if row.Status == "unknown" {
		if seen := known.lastStatus(r); seen != "unknown" {
			row.LastSeen = seen
		}
	}
	if !inUse(row.Status) {
		return row
	}
	row.CPUPercent = show.Percent(use.CPU)
	row.Mem, row.MemHuman = show.Bytes(use.Mem)
	if slices.Contains(fields, "mem_percent") {
		row.MemPercent = show.PercentOf(use.Mem, use.MaxMem)
	}
	if r.Type() == string(pve.LXC) && slices.Contains(fields, "disk") {
		row.Disk, row.DiskHuman = show.Bytes(use.Disk)
	}
	row.Uptime = show.Seconds(use.Uptime)
	if slices.Contains(fields, "netin") || slices.Contains(fields, "netout") {
		row.NetIn, row.NetOut = show.Number(use.NetIn), show.Number(use.NetOut)
	}
	return row
}

// only keeps the named fields of rows. A size keeps its *_human, a status its last_seen.
func only(rows []guestRow, fields []string) {
	row := reflect.TypeFor[guestRow]()
	for i := range row.NumField() {
		name, _, _ := strings.Cut(row.Field(i).Tag.Get("json"), ",")
		name = strings.TrimSuffix(name, "_human")
		if name == "last_seen" {
			name = "status"
		}
		if slices.Contains(fields, name) {
			continue
		}
		for r := range rows {
			reflect.ValueOf(&rows[r]).Elem().Field(i).SetZero()
		}
	}
}

// mostTags is how many tags of a guest are shown.
const mostTags = 20

// cleaned returns tags that are safe to show, nil for none.
func cleaned(tags []string) []string {
	if len(tags) == 0 {
		return nil
	}
	for i, t := range tags {
		tags[i] = render.Text(t, 40)
	}
	return render.Few(tags, mostTags)
}
