package guests

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/show"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pve"
)

type configIn struct {
	VMID     pve.VMID `json:"vmid"`
	Snapshot string   `json:"snapshot,omitzero" jsonschema:"as of this snapshot; default: now"`
}

type configOut struct {
	VMID    pve.VMID          `json:"vmid"`
	Name    string            `json:"name,omitzero"`
	Type    string            `json:"type"`
	Node    string            `json:"node"`
	Digest  string            `json:"digest,omitzero" jsonschema:"send it along with a change that is based on this"`
	Config  map[string]string `json:"config" jsonschema:"in force now, without disks and NICs"`
	Disks   []diskRow         `json:"disks"`
	NICs    []nicRow          `json:"nics"`
	Pending []pendingRow      `json:"pending,omitzero" jsonschema:"changes that wait for the next start"`
	Notes   []string          `json:"notes,omitzero" jsonschema:"what is left out"`
}

type diskRow struct {
	Key       string `json:"key"`
	Value     string `json:"value" jsonschema:"as it is in the configuration; a change replaces it whole"`
	Kind      string `json:"kind" jsonschema:"disk, cdrom, cloudinit, efi, tpm, unused or mount"`
	Storage   string `json:"storage,omitzero"`
	Size      *int64 `json:"size,omitzero" jsonschema:"bytes"`
	SizeHuman string `json:"size_human,omitzero"`
	Mount     string `json:"mount,omitzero" jsonschema:"where a container has it"`
}

type nicRow struct {
	Key      string `json:"key"`
	Value    string `json:"value" jsonschema:"as it is in the configuration; a change replaces it whole"`
	Name     string `json:"name,omitzero" jsonschema:"within a container"`
	Model    string `json:"model,omitzero"`
	MAC      string `json:"mac,omitzero"`
	Bridge   string `json:"bridge,omitzero"`
	VLAN     *int64 `json:"vlan,omitzero"`
	Firewall bool   `json:"firewall,omitzero"`
	LinkDown bool   `json:"link_down,omitzero"`
	IP       string `json:"ip,omitzero" jsonschema:"address, dhcp or manual"`
	IP6      string `json:"ip6,omitzero"`
}

type pendingRow struct {
	Key    string `json:"key"`
	Now    string `json:"now,omitzero"`
	Next   string `json:"next,omitzero"`
	Delete bool   `json:"delete,omitzero"`
}

func guestConfig() tool.Tool {
	return tool.Read(tool.Spec[configIn, configOut]{
		Name:  "pve_guest_config",
		Title: "Show the configuration of a guest",
		Doc:   "Show a guest's configuration, now or at a snapshot: cores, RAM, disks, NICs, what waits for a restart, digest. Secrets are masked.",
		Long:  true,
		Examples: []tool.Example{
			{Arguments: `{"vmid":100}`},
		},
		Needs: []tool.Need{tool.On(tool.OnGuest, "VM.Audit")},
		Run:   runConfig,
	})
}

func runConfig(ctx context.Context, c *tool.Call, in configIn) (configOut, error) {
	g, config, err := cluster.AtGuest(ctx, c.View, in.VMID, func(g pve.GuestRef) (pve.GuestConfig, error) {
		if in.Snapshot != "" {
			return c.PVE.SnapshotConfig(ctx, g, in.Snapshot)
		}
		return c.PVE.CurrentConfig(ctx, g)
	})
	if err != nil {
		return configOut{}, err
	}
	out := configOut{VMID: in.VMID, Type: string(g.Kind), Node: g.Node, Digest: config.Digest, Config: map[string]string{}}
	out.Name = render.Text(nameIn(config), 60)
	for key, value := range config.Values {
		if !pve.IsDiskKey(g.Kind, key) && !pve.IsNICKey(key) {
			out.Config[key] = shown(key, value)
		}
	}
	for key, raw := range config.Extra {
		out.Config[key] = render.Text(string(raw), mostOfValue)
	}
	disks := config.Disks(g.Kind)
	slices.SortStableFunc(disks, func(a, b pve.Disk) int { return rankOf(a) - rankOf(b) })
	for _, d := range disks[:min(mostDisks, len(disks))] {
		out.Disks = append(out.Disks, diskOf(d, config.Values[d.Key]))
	}
	if over := len(disks) - mostDisks; over > 0 {
		out.Notes = append(out.Notes, fmt.Sprintf("%d further disks are left out; pve_storage_content with vmid lists their volumes", over))
	}
	for _, n := range config.NICs(g.Kind) {
		out.NICs = append(out.NICs, nicOf(n, config.Values[n.Key]))
	}
	if in.Snapshot != "" {
		return out, nil
	}
	g, values, err := pending(ctx, c, in.VMID)
	out.Node, out.Pending = g.Node, waiting(values)
	if over := len(out.Pending) - mostPending; over > 0 {
		out.Pending = out.Pending[:mostPending]
		out.Notes = append(out.Notes, fmt.Sprintf("%d further pending changes are left out", over))
	}
	return out, err
}

// The most disks and pending changes in an answer.
const (
	mostDisks   = 50
	mostPending = 20
)

// rankOf puts disks that the guest does not use after the others.
func rankOf(d pve.Disk) int {
	if d.Bus == "unused" {
		return 1
	}
	return 0
}

// pending asks for a guest's configuration with the changes that wait for its next start.
func pending(ctx context.Context, c *tool.Call, id pve.VMID) (pve.GuestRef, []pve.PendingValue, error) {
	return cluster.AtGuest(ctx, c.View, id, func(g pve.GuestRef) ([]pve.PendingValue, error) { return c.PVE.Pending(ctx, g) })
}

// nameIn is the name of a guest: PVE has one key for it in VMs and one in containers.
func nameIn(config pve.GuestConfig) string { return config.Values["name"] + config.Values["hostname"] }

// mostOfValue is the most characters of a value that are shown.
const mostOfValue = 4000

// shown returns a value without its secrets.
func shown(key, value string) string {
	switch {
	case value == "":
		return ""
	case key == "cipassword":
		return render.Mask
	case key == "sshkeys":
		if plain, err := url.QueryUnescape(strings.ReplaceAll(value, "+", "%2B")); err == nil {
			value = plain
		}
		return render.SSHKeys(value)
	}
	return render.Notes(value, mostOfValue)
}

func diskOf(d pve.Disk, value string) diskRow {
	row := diskRow{Key: d.Key, Value: render.Text(value, mostOfValue), Kind: "disk", Storage: d.Volume.Storage, Mount: render.Text(d.Mount, 200)}
	row.Size, row.SizeHuman = show.Bytes(d.Size)
	switch {
	case d.IsCloudInit():
		row.Kind = "cloudinit"
	case d.IsCDROM():
		row.Kind = "cdrom"
	case d.Bus == "efidisk":
		row.Kind = "efi"
	case d.Bus == "tpmstate":
		row.Kind = "tpm"
	case d.Bus == "unused":
		row.Kind = "unused"
	case d.Bus == "mp":
		row.Kind = "mount"
	}
	return row
}

func nicOf(n pve.NIC, value string) nicRow {
	row := nicRow{
		Key: n.Key, Value: render.Text(value, mostOfValue), Name: n.Name, Model: n.Model, MAC: n.MAC, Bridge: n.Bridge,
		Firewall: n.Firewall.Value, LinkDown: n.LinkDown.Value, IP: n.IP, IP6: n.IP6,
	}
	row.VLAN = show.Number(n.Tag)
	return row
}

// waiting lists the pending changes.
func waiting(values []pve.PendingValue) []pendingRow {
	var out []pendingRow
	for _, v := range values {
		if v.Waits() {
			out = append(out, pendingRow{
				Key: v.Key, Now: shown(v.Key, v.Value.Value), Next: shown(v.Key, v.Pending.Value), Delete: v.Delete.Value != 0,
			})
		}
	}
	return out
}
