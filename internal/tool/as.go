package tool

import (
	"context"

	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/once"
	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
)

// As returns a host that calls the same cluster as another token, so that PVE's own ACLs
// decide what that may do. It shares nothing with h that was read with a token, or remembered. The
// rules about guests are evaluated with the token of h, so that nobody loosens them by
// not seeing a guest's tags; with that of the new host where h has none.
func (h Host) As(o proxmox.Options) (Host, error) {
	own, err := Connect(h.Cluster, o, h.Policy)
	if err != nil {
		return Host{}, err
	}
	if h.Guard != nil {
		own.Guard.Lookup, own.Secret = h.Guard.Lookup, h.Secret
	}
	own.Seal, own.Audit, own.Named = h.Seal, h.Audit, h.Named
	own.Told, own.Used, own.Kept = h.Told, h.Used, h.Kept
	own.Stays, own.Wait, own.AnswerBytes, own.Now, own.Logger, own.Trace = h.Stays, h.Wait, h.AnswerBytes, h.Now, h.Logger, h.Trace
	return own, nil
}

// Tokenless returns a host without a token, of which other hosts are made by [Host.As]. It
// makes no call itself.
func Tokenless(cluster string, p policy.Policy) Host {
	return Host{Cluster: cluster, Policy: p, Wait: usualWait, Told: &Told{}, Kept: &Kept{}, Used: once.NewLedger(nil), Client: func(context.Context) (*pve.Client, error) {
		return nil, explain.Refusal("Bring a token.", "This server has no PVE token of its own.")
	}}
}
