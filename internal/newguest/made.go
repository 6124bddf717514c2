package newguest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pve"
)

// UseMACs gives each NIC a MAC address of this change alone, unless the caller has given one,
// and returns those that they have. By the first, the guest is known as the one that was made.
func UseMACs(c *tool.Call, nics []NIC) []string {
	out := make([]string, len(nics))
	for i := range nics {
		sum := sha256.Sum256([]byte(c.Unique("NIC " + strconv.Itoa(i))))
		out[i] = nics[i].UseMAC(fmt.Sprintf("BC:24:11:%02X:%02X:%02X", sum[0], sum[1], sum[2])) // PVE's own range
	}
	return out
}

// FindMade returns the id of the guest that a change has made with a name and, on its first NIC,
// a MAC address: the planned one or, if somebody else had taken that, another. mayBeMine is
// false if a guest of somebody else has the planned id, and none is found.
func FindMade(ctx context.Context, v *cluster.View, planned pve.GuestRef, name, mac string) (id pve.VMID, mayBeMine bool, err error) {
	all, err := v.List(ctx, "vm")
	if err != nil {
		return planned.VMID, false, err
	}
	free := true
	for _, r := range all.Resources() {
		g := r.Ref()
		if g.VMID != planned.VMID && (r.Name.Value != name || g.Kind != planned.Kind) {
			continue
		}
		config, err := v.PVE.GuestConfig(ctx, g)
		switch {
		case pve.Elsewhere(err):
			continue
		case err != nil:
			return planned.VMID, false, err
		case g.Kind == planned.Kind && strings.Contains(strings.ToUpper(config.Values["net0"]), strings.ToUpper(mac)):
			return g.VMID, true, nil
		case config.Values["lock"] == "create" && config.Values["net0"] == "":
			return planned.VMID, false, errors.New("a guest is just being made, and whose it is shows when that has ended")
		}
		free = free && g.VMID != planned.VMID
	}
	return planned.VMID, free, nil
}
