// Package find has pve_find, which answers which guests have an address, use a volume or a
// storage, or are configured in some way.
package find

import (
	"context"

	"github.com/pve-mcp/pve-mcp/internal/survey"
	"github.com/pve-mcp/pve-mcp/internal/tool"
)

type in struct {
	IP        string      `json:"ip,omitzero" jsonschema:"or a network: 10.0.0.0/24"`
	MAC       string      `json:"mac,omitzero" jsonschema:"in any spelling"`
	ISO       string      `json:"iso,omitzero" jsonschema:"volume or file name, * allowed"`
	Volume    string      `json:"volume,omitzero" jsonschema:"* allowed"`
	Storage   string      `json:"storage,omitzero" jsonschema:"all that uses it"`
	Bridge    string      `json:"bridge,omitzero" jsonschema:"or vnet"`
	VLAN      int         `json:"vlan,omitzero" min:"1" max:"4094" jsonschema:"tag"`
	Device    string      `json:"device,omitzero" jsonschema:"PCI address, vendor:product, mapping, /dev path; *"`
	Config    tool.Values `json:"config,omitzero" jsonschema:"{\"cpu\":\"kvm64*\"}, ! = not"`
	Notes     string      `json:"notes,omitzero" jsonschema:"part of the notes"`
	NoAgent   bool        `json:"no_agent,omitzero" jsonschema:"not configured, or does not answer"`
	Addresses bool        `json:"addresses,omitzero" jsonschema:"show IP addresses; alone: of all guests"`
	Guests    string      `json:"guests,omitzero" jsonschema:"only these, as tag:prod+!web*"`
	Limit     int         `json:"limit,omitzero" min:"1" max:"200" default:"40" jsonschema:"most rows"`
	Offset    int         `json:"offset,omitzero" min:"0" jsonschema:"as more says"`
}

type out struct {
	Message string         `json:"message"`
	Guests  []row          `json:"guests" cut:"end"`
	Total   int            `json:"total" jsonschema:"guests that match, of those that were looked at"`
	More    string         `json:"more,omitzero" jsonschema:"how to get the others"`
	Storage *storageUse    `json:"storage,omitzero"`
	Blind   []survey.Blind `json:"blind,omitzero" jsonschema:"what could not be looked at"`
	Notes   []string       `json:"notes,omitzero"`
}

type row struct {
	Guest     string   `json:"guest"`
	Node      string   `json:"node,omitzero"`
	Status    string   `json:"status,omitzero"`
	Where     []string `json:"where,omitzero"`
	Addresses []string `json:"addresses,omitzero"`
}

// Tool is pve_find.
func Tool() tool.Tool {
	return tool.Read(tool.Spec[in, out]{
		Name:  "pve_find",
		Title: "Find guests by address, disk, network, device or configuration",
		Doc: "Find VMs or containers: which has this IP or MAC address, uses this ISO, disk, storage, bridge, VLAN or passed-through device, has this CPU type or " +
			"other configuration value, note, or no guest agent. Arguments together are \"and\". Names and tags: pve_list_guests.",
		Examples: []tool.Example{
			{Arguments: `{"ip":"10.10.1.12"}`},
			{Arguments: `{"iso":"local:iso/debian-12.11.0-amd64-netinst.iso"}`},
			{Arguments: `{"storage":"local-zfs"}`},
			{Arguments: `{"vlan":30,"bridge":"vmbr0"}`},
			{Arguments: `{"config":{"cpu":"kvm64*"}}`},
		},
		Needs: []tool.Need{
			tool.On(tool.OnGuest, "VM.Audit").Else("the guest is not looked at"),
			tool.On(tool.OnGuest, "VM.Monitor").Until(9).If("addresses of a running VM").Else("its addresses are unknown").ForAdmins().Named("guest-agent"),
			tool.On(tool.OnGuest, "VM.GuestAgent.Audit", "VM.GuestAgent.Unrestricted").Since(9).If("addresses of a running VM").Else("its addresses are unknown"),
			tool.On(tool.OnStorage, "Datastore.Audit", "Datastore.AllocateSpace").If("a storage or an image").Else("it is not known whether it is there"),
			tool.On(tool.OnGuest, "VM.Backup").If("a storage").Else("its backups are unknown"),
			tool.On(tool.OnStorage, "Datastore.AllocateSpace").If("a storage").Else("backups on it are unknown"),
			tool.On(tool.OnNode, "Sys.Audit").If("a storage").Else("backup tasks of others are unknown"),
			tool.On(tool.OnRoot, "Sys.Audit").If("a storage").Else("the backup jobs that use it are unknown"),
		},
		Run: run,
	})
}

func run(ctx context.Context, c *tool.Call, in in) (out, error) {
	w, err := parse(in)
	if err != nil {
		return out{}, err
	}
	s, end, err := survey.Begin(ctx, c.View, survey.Deadline)
	if err != nil {
		return out{}, err
	}
	defer end()
	f := &finder{Survey: s, in: in, wanted: w}
	if err := f.choose(ctx); err != nil {
		return out{}, err
	}
	f.readConfigs(ctx)
	f.testConfigs(ctx)
	f.readAddresses(ctx)
	f.testAddresses()
	if err := s.Err(); err != nil {
		return out{}, err
	}
	return f.answer(ctx), nil
}
