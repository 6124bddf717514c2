package newguest

import (
	"context"
	"errors"
	"net/http"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
)

// Reach is how a running guest can be reached, as PVE tells: this process connects to none.
type Reach struct {
	// Answers says that the guest itself has answered: a VM by its agent, a container always.
	Answers bool
	// Address is the guest's first address that others reach, "" if none is known.
	Address string
	// Why says why there is no answer or no address.
	Why string
}

// ReadReach asks a guest for its addresses. An error is not the guest's own.
func ReadReach(ctx context.Context, v *cluster.View, g pve.GuestRef) (Reach, error) {
	ask := v.PVE.AgentInterfaces
	if g.Kind == pve.LXC {
		ask = v.PVE.ContainerInterfaces
	}
	list, err := ask(proxmox.ReadAgain(ctx), g)
	var said *proxmox.Error
	var refused *pve.AgentError
	switch {
	case errors.As(err, &refused):
		return Reach{Answers: true, Why: render.Said(refused.Desc, 200)}, nil
	case proxmox.IsDenied(err):
		return Reach{Why: v.Explain(err).What}, nil
	case errors.As(err, &said) && said.Status == http.StatusInternalServerError:
		return Reach{Why: render.Said(said.Message, 200)}, nil
	case err != nil:
		return Reach{}, err
	}
	config, err := v.PVE.GuestConfig(ctx, g)
	if err != nil {
		return Reach{}, err
	}
	for _, i := range cluster.OwnInterfaces(list, config.NICs(g.Kind)) {
		for _, p := range cluster.Reachable(i) {
			return Reach{Answers: true, Address: p.Addr().String()}, nil
		}
	}
	return Reach{Answers: true, Why: "it has no address yet"}, nil
}
