package pve

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/proxmox/lenient"
)

// GuestConfig is the configuration of a guest. PVE writes a value as a number or as a
// string, by where it came from; here all are strings.
type GuestConfig struct {
	// Digest is that of the configuration file. Sent along with a change, it makes PVE
	// refuse the change of a configuration that has changed meanwhile.
	Digest string
	// Values has every other key. The password for cloud-init is PVE's row of asterisks.
	Values map[string]string
	// Extra are values that are no strings or numbers: a container's raw lxc entries.
	Extra lenient.Extra
}

// UnmarshalJSON keeps what is not one value in Extra.
func (c *GuestConfig) UnmarshalJSON(data []byte) error {
	all := map[string]json.RawMessage{}
	if err := json.Unmarshal(data, &all); err != nil {
		return err
	}
	*c = GuestConfig{Values: map[string]string{}}
	for key, raw := range all {
		var value lenient.Opt[string]
		err := json.Unmarshal(raw, &value)
		switch {
		case err != nil || !value.Set:
			if c.Extra == nil {
				c.Extra = lenient.Extra{}
			}
			c.Extra[key] = raw
		case key == "digest":
			c.Digest = value.Value
		default:
			c.Values[key] = value.Value
		}
	}
	return nil
}

// MarshalJSON writes what was read, numbers as strings.
func (c GuestConfig) MarshalJSON() ([]byte, error) {
	all := map[string]any{}
	for key, value := range c.Values {
		all[key] = value
	}
	for key, raw := range c.Extra {
		all[key] = raw
	}
	if c.Digest != "" {
		all["digest"] = c.Digest
	}
	return json.Marshal(all)
}

// Disks lists the disks, those of a bus by number.
func (c GuestConfig) Disks(kind Kind) []Disk {
	var out []Disk
	for _, key := range c.keys() {
		if IsDiskKey(kind, key) {
			out = append(out, DiskOf(kind, key, c.Values[key]))
		}
	}
	return out
}

// NICs lists the network interfaces by number.
func (c GuestConfig) NICs(kind Kind) []NIC {
	var out []NIC
	for _, key := range c.keys() {
		if IsNICKey(key) {
			out = append(out, NICOf(kind, key, c.Values[key]))
		}
	}
	return out
}

// keys sorts net2 before net10.
func (c GuestConfig) keys() []string {
	number := func(key string) (name string, n int) {
		name = strings.TrimRight(key, "0123456789")
		n, _ = strconv.Atoi(key[len(name):]) // none is 0
		return name, n
	}
	return slices.SortedFunc(maps.Keys(c.Values), func(a, b string) int {
		nameA, nA := number(a)
		nameB, nB := number(b)
		return cmp.Or(strings.Compare(nameA, nameB), nA-nB, strings.Compare(a, b))
	})
}

// GuestConfig asks for a guest's configuration (VM.Audit), with the changes that wait
// for its next start.
func (c *Client) GuestConfig(ctx context.Context, g GuestRef) (GuestConfig, error) {
	return c.config(ctx, g, nil)
}

// CurrentConfig asks for a guest's configuration as it is in force (VM.Audit), without the
// changes that wait for its next start.
func (c *Client) CurrentConfig(ctx context.Context, g GuestRef) (GuestConfig, error) {
	return c.config(ctx, g, url.Values{"current": {"1"}})
}

// SnapshotConfig asks for the configuration that a guest had at a snapshot (VM.Audit).
func (c *Client) SnapshotConfig(ctx context.Context, g GuestRef, name string) (GuestConfig, error) {
	return c.config(ctx, g, url.Values{"snapshot": {name}})
}

func (c *Client) config(ctx context.Context, g GuestRef, params url.Values) (GuestConfig, error) {
	return proxmox.Get[GuestConfig](ctx, c.Client, g.path("config"), params)
}

// PendingValue is a key of a guest's configuration, with the change of it that waits
// for the guest's next start, if one does.
type PendingValue struct {
	Key     string              `json:"key"`
	Value   lenient.Opt[string] `json:"value,omitzero"`   // what is in force
	Pending lenient.Opt[string] `json:"pending,omitzero"` // what will be
	Delete  lenient.Opt[int64]  `json:"delete,omitzero"`  // 1: will be removed; 2: with force
	Extra   lenient.Extra       `json:"-"`
}

// UnmarshalJSON keeps unknown fields in Extra.
func (p *PendingValue) UnmarshalJSON(data []byte) error { return lenient.Decode(data, p, &p.Extra) }

// MarshalJSON writes what was read.
func (p PendingValue) MarshalJSON() ([]byte, error) { return lenient.Encode(p, p.Extra) }

// Waits reports whether a change waits.
func (p PendingValue) Waits() bool { return p.Pending.Set || p.Delete.Value != 0 }

// Pending lists the keys of a guest's configuration with the changes that wait for its
// next start (VM.Audit). The digest is among the keys.
func (c *Client) Pending(ctx context.Context, g GuestRef) ([]PendingValue, error) {
	return proxmox.Get[[]PendingValue](ctx, c.Client, g.path("pending"), nil)
}

// BackupConfig reads the configuration of the guest in a backup (VM.Backup on the guest,
// Datastore.AllocateSpace on the storage), without its snapshots and its notes.
func (c *Client) BackupConfig(ctx context.Context, node string, backup VolID) (GuestConfig, error) {
	text, err := proxmox.Get[string](ctx, c.Client, proxmox.Join("nodes", node, "vzdump", "extractconfig"), url.Values{"volume": {backup.String()}})
	config := GuestConfig{Values: map[string]string{}}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "[") { // the snapshots follow
			break
		}
		if key, value, ok := strings.Cut(strings.TrimSpace(line), ": "); ok && !strings.HasPrefix(key, "#") {
			config.Values[key] = strings.TrimSpace(value)
		}
	}
	return config, err
}
