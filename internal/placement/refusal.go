package placement

import (
	"fmt"
	"maps"
	"slices"

	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/pve"
)

// Refusal says why a node cannot take guests.
type Refusal struct {
	Node string
	Why  string // continues a sentence that begins with the node: "has no storage fast"
}

// String is the whole sentence, without its full stop.
func (r Refusal) String() string { return r.Node + " " + r.Why }

// refusal says why a node cannot take guests that stay together, "" if it can.
func (b *Board) refusal(unit []pve.VMID, n Node) string {
	if n.Closed != "" {
		return n.Closed
	}
	var coming []Guest
	for _, id := range unit {
		if g := b.Guest(id); g.Node != n.Name {
			coming = append(coming, g)
		}
	}
	for _, g := range coming {
		if why := b.forbids(unit, g, n); why != "" {
			return why
		}
		if why := lacks(g, n); why != "" {
			return why
		}
	}
	return lacksRoom(coming, n)
}

// forbids says which rule keeps a guest away from a node.
func (b *Board) forbids(unit []pve.VMID, g Guest, n Node) string {
	if home, has := b.rules.Homes[g.ID]; has && home.Strict && home.rank(n.Name) == 0 {
		return fmt.Sprintf("is not among the nodes that %s allows %s", home.By, g.Name)
	}
	for _, group := range b.rules.Apart {
		if !slices.Contains(group.Guests, g.ID) {
			continue
		}
		for _, id := range group.Guests {
			if other := b.Guest(id); other.Node == n.Name && !slices.Contains(unit, id) {
				return fmt.Sprintf("has %s, from which %s keeps %s apart", other.Name, group.By, g.Name)
			}
		}
	}
	return ""
}

// lacks says which storage or network of a guest a node does not have.
func lacks(g Guest, n Node) string {
	for _, storage := range g.Storages {
		if _, has := n.Storages[storage]; n.Storages != nil && !has {
			return fmt.Sprintf("has no storage %s, on which %s has disks", storage, g.Name)
		}
	}
	for _, bridge := range g.Bridges {
		if n.Bridges != nil && !n.Bridges[bridge] {
			return fmt.Sprintf("has no bridge or virtual network %s, to which %s is connected", bridge, g.Name)
		}
	}
	return ""
}

// lacksRoom says what guests that come need more of than a node has.
func lacksRoom(coming []Guest, n Node) string {
	memory, copied := int64(0), map[string]int64{}
	for _, g := range coming {
		memory += g.Memory
		for storage, bytes := range g.Copied {
			copied[storage] += bytes
		}
	}
	if n.Memory > 0 && memory > n.Spare() {
		return fmt.Sprintf("has %s of memory to spare, and %s are needed", render.Bytes(n.Spare()), render.Bytes(memory))
	}
	for _, storage := range slices.Sorted(maps.Keys(copied)) {
		if free, known := n.Storages[storage]; known && copied[storage] > free {
			return fmt.Sprintf("has %s free on %s, and %s would be copied there", render.Bytes(max(0, free)), storage, render.Bytes(copied[storage]))
		}
	}
	return ""
}
