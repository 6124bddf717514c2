package tool

import "pve-mcp/pve"

// As returns a host that calls the same cluster as another token, so that PVE's own ACLs
// decide what that may do. It shares nothing that was read or remembered with h. The
// rules about guests are evaluated with the token of h, so that nobody loosens them by
// not seeing a guest's tags.
func (h Host) As(o pve.Options) (Host, error) {
	own, err := Connect(h.Cluster, o, h.Policy)
	if err != nil {
		return Host{}, err
	}
	own.Guard.Lookup = h.Guard.Lookup
	own.Seal, own.Secret, own.Audit, own.Tools = h.Seal, h.Secret, h.Audit, h.Tools
	own.Wait, own.Now, own.Logger, own.Trace = h.Wait, h.Now, h.Logger, h.Trace
	return own, nil
}
