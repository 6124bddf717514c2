package cluster

import (
	"context"
	"errors"
	"net"
	"slices"

	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
)

// apiPort is where a node's API listens.
const apiPort = "8006"

// ClientAt returns a client that asks a node itself, and no other one: some things a node does
// only for those who connect to it. It looks for the node among the hosts that are set, then at
// the address that the cluster has of it, where it must have the certificate that the cluster
// has of it.
func (v *View) ClientAt(ctx context.Context, node string) (*pve.Client, error) {
	nodes, err := v.Nodes(ctx)
	if err != nil {
		return nil, err
	}
	if len(nodes) == 1 && nodes[0].Node.Value == node {
		return v.PVE.Sticky(), nil
	}
	var last error
	address := ""
	for _, one := range v.PVE.Each() {
		items, err := one.ClusterStatus(ctx)
		if err != nil {
			last = err
			continue
		}
		i := slices.IndexFunc(items, func(i pve.ClusterItem) bool { return i.Type == "node" && i.Name == node })
		if i < 0 {
			continue
		}
		if items[i].Local.Value {
			return one, nil
		}
		address = items[i].IP.Or(address)
	}
	switch {
	case address != "":
		return v.connectTo(ctx, node, address)
	case proxmox.IsDenied(last):
		return nil, unreachable(node, "this token may not see its address: it lacks Sys.Audit on /")
	}
	return nil, unreachable(node, "its address is unknown")
}

// connectTo returns a client of a node by its address in the cluster.
func (v *View) connectTo(ctx context.Context, node, address string) (*pve.Client, error) {
	certificates, err := v.PVE.Certificates(ctx, node)
	if err != nil {
		return nil, err
	}
	pin, err := proxmox.ParseFingerprint(apiFingerprint(certificates))
	if err != nil {
		return nil, unreachable(node, "the fingerprint of its certificate is unknown")
	}
	client, err := v.PVE.At("https://"+net.JoinHostPort(address, apiPort), pin)
	if err != nil {
		return nil, err
	}
	if _, err := client.Version(ctx); err != nil {
		if _, ok := errors.AsType[*proxmox.ConnectError](err); ok {
			return nil, unreachable(node, "it cannot be reached at "+net.JoinHostPort(address, apiPort))
		}
		return nil, err
	}
	return client, nil
}

// apiFingerprint is that of the certificate that a node's API presents: one of one's own comes
// before the cluster's.
func apiFingerprint(certificates []pve.Certificate) (out string) {
	for _, c := range certificates {
		switch c.File {
		case "pveproxy-ssl.pem":
			return c.Fingerprint.Value
		case "pve-ssl.pem":
			out = c.Fingerprint.Value
		}
	}
	return out
}

func unreachable(node, why string) error {
	return explain.Refusal("Add "+node+" to PVE_HOST, as a host that this server can reach.",
		"This works only by a connection to the node %s itself, and %s.", node, why)
}
