package pve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/pve-mcp/pve-mcp/internal/jsonscan"
	"github.com/pve-mcp/pve-mcp/proxmox/lenient"
)

// Interface is a network interface as seen from within a guest.
type Interface struct {
	Name      string              `json:"name"`
	MAC       lenient.Opt[string] `json:"hardware-address,omitzero"`
	Addresses []Address           `json:"ip-addresses,omitzero"` // absent before PVE 8.4 for a CT
	Inet      lenient.Opt[string] `json:"inet,omitzero"`         // of a CT: address/prefix; one of several
	Inet6     lenient.Opt[string] `json:"inet6,omitzero"`
	Extra     lenient.Extra       `json:"-"`
}

// UnmarshalJSON keeps unknown fields in Extra.
func (i *Interface) UnmarshalJSON(data []byte) error { return lenient.Decode(data, i, &i.Extra) }

// MarshalJSON writes what was read.
func (i Interface) MarshalJSON() ([]byte, error) { return lenient.Encode(i, i.Extra) }

// CIDRs returns the addresses, each as address/prefix.
func (i Interface) CIDRs() []string {
	var out []string
	for _, a := range i.Addresses {
		out = append(out, fmt.Sprintf("%s/%d", a.Address, a.Prefix.Value))
	}
	if out != nil {
		return out
	}
	for _, old := range []lenient.Opt[string]{i.Inet, i.Inet6} {
		if old.Set {
			out = append(out, old.Value)
		}
	}
	return out
}

// Address is an IP address of an interface.
type Address struct {
	Address string             `json:"ip-address"`
	Type    string             `json:"ip-address-type"` // ipv4, ipv6 from an agent; inet, inet6 of a CT
	Prefix  lenient.Opt[int64] `json:"prefix,omitzero"`
	Extra   lenient.Extra      `json:"-"`
}

// UnmarshalJSON keeps unknown fields in Extra.
func (a *Address) UnmarshalJSON(data []byte) error { return lenient.Decode(data, a, &a.Extra) }

// MarshalJSON writes what was read.
func (a Address) MarshalJSON() ([]byte, error) { return lenient.Encode(a, a.Extra) }

// AgentError is a guest agent's refusal of a command, which PVE hands on as a
// success.
type AgentError struct {
	Class string `json:"class"`
	Desc  string `json:"desc"`
}

func (e *AgentError) Error() string { return "guest agent: " + e.Desc }

// AgentInterfaces asks a VM's guest agent for its network interfaces (VM.Monitor
// up to PVE 8, VM.GuestAgent.Audit from 9). An agent that does not answer is an
// *[Error].
func (c *Client) AgentInterfaces(ctx context.Context, g GuestRef) ([]Interface, error) {
	return fromAgent[[]Interface](ctx, c, g, "network-get-interfaces")
}

// FileSystem is a file system in a VM.
type FileSystem struct {
	Name  string             `json:"name"` // of its device
	Mount string             `json:"mountpoint"`
	Type  string             `json:"type"`
	Used  lenient.Opt[int64] `json:"used-bytes,omitzero"` // absent if the agent is old or nothing is stored
	Total lenient.Opt[int64] `json:"total-bytes,omitzero"`
	Extra lenient.Extra      `json:"-"`
}

// UnmarshalJSON keeps unknown fields in Extra.
func (f *FileSystem) UnmarshalJSON(data []byte) error { return lenient.Decode(data, f, &f.Extra) }

// MarshalJSON writes what was read.
func (f FileSystem) MarshalJSON() ([]byte, error) { return lenient.Encode(f, f.Extra) }

// HoldsData reports whether data of the guest are in the file system, and how much is known:
// an image that is mounted, or one in memory, holds none.
func (f FileSystem) HoldsData() bool {
	none := []string{"squashfs", "iso9660", "udf", "CDFS", "UDF", "tmpfs", "devtmpfs", "overlay", "proc", "sysfs"}
	return f.Used.Set && f.Total.Value > 0 && !slices.Contains(none, f.Type)
}

// AgentFileSystems asks a VM's guest agent for the file systems that are mounted. The
// privileges are those of AgentInterfaces.
func (c *Client) AgentFileSystems(ctx context.Context, g GuestRef) ([]FileSystem, error) {
	return fromAgent[[]FileSystem](ctx, c, g, "get-fsinfo")
}

// CheckAgent asks a VM's guest agent for the time, which every agent knows. It returns an
// error if it does not answer. The privileges are those of AgentInterfaces.
func (c *Client) CheckAgent(ctx context.Context, g GuestRef) error {
	_, err := c.ask(ctx, g.path("agent", "get-time"), nil)
	return err
}

// fromAgent asks a VM's guest agent for something.
func fromAgent[T any](ctx context.Context, c *Client, g GuestRef, command string) (out T, err error) {
	ans, err := c.ask(ctx, g.path("agent", command), nil)
	if err != nil {
		return out, err
	}
	var said struct {
		Result json.RawMessage `json:"result"`
	}
	if !jsonscan.Parse(ans.Data, &said) || len(said.Result) == 0 {
		return out, fmt.Errorf("guest agent: %.40q where a result was expected", ans.Data)
	}
	var refused struct {
		Error *AgentError `json:"error"`
	}
	if said.Result[0] == '{' && json.Unmarshal(said.Result, &refused) == nil && refused.Error != nil {
		return out, refused.Error
	}
	if err := lenient.DecodeValue(said.Result, &out); err != nil {
		return out, errors.Join(fmt.Errorf("guest agent: %s answered in another form", command), err)
	}
	return out, nil
}

// ContainerInterfaces lists the network interfaces of a running container
// (VM.Audit; from PVE 8.1). Of a stopped one it returns none.
func (c *Client) ContainerInterfaces(ctx context.Context, g GuestRef) ([]Interface, error) {
	ans, err := c.Do(ctx, http.MethodGet, g.path("interfaces"), nil)
	if err != nil || ans.IsEmpty() { // what PVE says of a stopped one
		return nil, err
	}
	var list []Interface
	err = ans.Decode(&list)
	return list, err
}
