package pve

import (
	"context"
	"strings"

	"github.com/pve-mcp/pve-mcp/lazyregexp"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/proxmox/lenient"
)

// NodeTime is what the clock of a node shows.
type NodeTime struct {
	Time     lenient.Opt[int64]  `json:"time"`               // seconds since 1970
	Local    lenient.Opt[int64]  `json:"localtime,omitzero"` // the same, as if the local time were UTC
	Timezone lenient.Opt[string] `json:"timezone,omitzero"`
	Extra    lenient.Extra       `json:"-"`
}

// UnmarshalJSON keeps unknown fields in Extra.
func (t *NodeTime) UnmarshalJSON(data []byte) error { return lenient.Decode(data, t, &t.Extra) }

// MarshalJSON writes what was read.
func (t NodeTime) MarshalJSON() ([]byte, error) { return lenient.Encode(t, t.Extra) }

// NodeTime asks a node what its clock shows (Sys.Audit on it).
func (c *Client) NodeTime(ctx context.Context, node string) (NodeTime, error) {
	return proxmox.Get[NodeTime](ctx, c.Client, proxmox.Join("nodes", node, "time"), nil)
}

// Package is a package of a node, as apt knows it.
type Package struct {
	Name          string              `json:"Package"`
	Version       lenient.Opt[string] `json:"Version,omitzero"`      // the newest that apt knows
	OldVersion    lenient.Opt[string] `json:"OldVersion,omitzero"`   // the installed one
	State         lenient.Opt[string] `json:"CurrentState,omitzero"` // Installed, NotInstalled, …; not in a list of updates
	Origin        lenient.Opt[string] `json:"Origin,omitzero"`
	RunningKernel lenient.Opt[string] `json:"RunningKernel,omitzero"` // such as 6.8.12-9-pve; of proxmox-ve
	Extra         lenient.Extra       `json:"-"`
}

// UnmarshalJSON keeps unknown fields in Extra.
func (p *Package) UnmarshalJSON(data []byte) error { return lenient.Decode(data, p, &p.Extra) }

// MarshalJSON writes what was read.
func (p Package) MarshalJSON() ([]byte, error) { return lenient.Encode(p, p.Extra) }

// PackageVersions lists the packages that PVE consists of (Sys.Audit on the node).
func (c *Client) PackageVersions(ctx context.Context, node string) ([]Package, error) {
	return proxmox.Get[[]Package](ctx, c.Client, proxmox.Join("nodes", node, "apt", "versions"), nil)
}

// Updates lists the packages that have a newer version, as of the last time that the node
// has looked for updates, which it does once a day (Sys.Modify on it).
func (c *Client) Updates(ctx context.Context, node string) ([]Package, error) {
	return proxmox.Get[[]Package](ctx, c.Client, proxmox.Join("nodes", node, "apt", "update"), nil)
}

var kernelRE = lazyregexp.New(`^(?:pve|proxmox)-kernel-(\d+\.\d+\.\d+-\d+)-pve`)

// WaitingKernel looks in a node's [Client.PackageVersions] for a newer kernel than the one that
// runs, such as 6.8.12-9. ok is false if none is installed.
func WaitingKernel(packages []Package) (installed, runs string, ok bool) {
	for _, p := range packages {
		if p.RunningKernel.Value != "" {
			runs = strings.TrimSuffix(p.RunningKernel.Value, "-pve")
		}
		m := kernelRE.FindStringSubmatch(p.Name)
		if m != nil && p.State.Or("Installed") == "Installed" && CompareNames(m[1], installed) > 0 {
			installed = m[1]
		}
	}
	return installed, runs, runs != "" && CompareNames(installed, runs) > 0
}

// Certificate is a TLS certificate of a node.
type Certificate struct {
	File        string              `json:"filename"` // pve-root-ca.pem, pve-ssl.pem or, of a CA of others, pveproxy-ssl.pem
	Subject     lenient.Opt[string] `json:"subject,omitzero"`
	Issuer      lenient.Opt[string] `json:"issuer,omitzero"`
	NotAfter    lenient.Opt[int64]  `json:"notafter,omitzero"`    // seconds since 1970
	Fingerprint lenient.Opt[string] `json:"fingerprint,omitzero"` // AB:CD:…, SHA-256
	Extra       lenient.Extra       `json:"-"`
}

// UnmarshalJSON keeps unknown fields in Extra.
func (c *Certificate) UnmarshalJSON(data []byte) error { return lenient.Decode(data, c, &c.Extra) }

// MarshalJSON writes what was read.
func (c Certificate) MarshalJSON() ([]byte, error) { return lenient.Encode(c, c.Extra) }

// Certificates lists the certificates of a node. Every token may.
func (c *Client) Certificates(ctx context.Context, node string) ([]Certificate, error) {
	return proxmox.Get[[]Certificate](ctx, c.Client, proxmox.Join("nodes", node, "certificates", "info"), nil)
}

// Subscription is a node's subscription.
type Subscription struct {
	Status  lenient.Opt[string] `json:"status,omitzero"` // active, notfound, expired, invalid, new or suspended
	Message lenient.Opt[string] `json:"message,omitzero"`
	Level   lenient.Opt[string] `json:"level,omitzero"`       // c, b, s or p
	NextDue lenient.Opt[string] `json:"nextduedate,omitzero"` // the day on which it ends
	Extra   lenient.Extra       `json:"-"`
}

// UnmarshalJSON keeps unknown fields in Extra.
func (s *Subscription) UnmarshalJSON(data []byte) error { return lenient.Decode(data, s, &s.Extra) }

// MarshalJSON writes what was read.
func (s Subscription) MarshalJSON() ([]byte, error) { return lenient.Encode(s, s.Extra) }

// Subscription asks for a node's subscription. Every token may.
func (c *Client) Subscription(ctx context.Context, node string) (Subscription, error) {
	return proxmox.Get[Subscription](ctx, c.Client, proxmox.Join("nodes", node, "subscription"), nil)
}

// Service is a service of a node.
type Service struct {
	Name   string              `json:"service"`
	State  lenient.Opt[string] `json:"state,omitzero"`        // running, dead, exited, failed, …
	Active lenient.Opt[string] `json:"active-state,omitzero"` // active, inactive, failed, …
	Unit   lenient.Opt[string] `json:"unit-state,omitzero"`   // enabled, disabled, masked, static, not-found, …
	Extra  lenient.Extra       `json:"-"`
}

// UnmarshalJSON keeps unknown fields in Extra.
func (s *Service) UnmarshalJSON(data []byte) error { return lenient.Decode(data, s, &s.Extra) }

// MarshalJSON writes what was read.
func (s Service) MarshalJSON() ([]byte, error) { return lenient.Encode(s, s.Extra) }

// Services lists the services of a node that PVE needs (Sys.Audit on it).
func (c *Client) Services(ctx context.Context, node string) ([]Service, error) {
	return proxmox.Get[[]Service](ctx, c.Client, proxmox.Join("nodes", node, "services"), nil)
}

// ReplicationStatus lists the replication jobs of the guests of a node, as the node runs them
// (VM.Audit on each).
func (c *Client) ReplicationStatus(ctx context.Context, node string) ([]Replication, error) {
	return proxmox.Get[[]Replication](ctx, c.Client, proxmox.Join("nodes", node, "replication"), nil)
}

// ReplicationJobs lists the replication jobs of the cluster (VM.Audit on each guest).
func (c *Client) ReplicationJobs(ctx context.Context) ([]Replication, error) {
	return proxmox.Get[[]Replication](ctx, c.Client, proxmox.Join("cluster", "replication"), nil)
}

// ClusterTasks lists tasks of all nodes: those that run, and of each node about 25 that have
// ended. Without Sys.Audit on / a token sees none.
func (c *Client) ClusterTasks(ctx context.Context) ([]Task, error) {
	return proxmox.Get[[]Task](ctx, c.Client, proxmox.Join("cluster", "tasks"), nil)
}
