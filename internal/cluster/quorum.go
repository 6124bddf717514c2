package cluster

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
)

// Quorum counts the votes of a cluster.
type Quorum struct {
	Votes  map[string]int // of each node
	All    int
	Online int
	Notes  []string // what could not be seen, and what is assumed instead
}

// Needed is how many votes there have to be.
func (q Quorum) Needed() int { return q.All/2 + 1 }

// Without is how many votes are left if some nodes go.
func (q Quorum) Without(nodes ...string) int {
	left := q.Online
	for _, n := range nodes {
		left -= q.Votes[n]
	}
	return max(0, left)
}

// Remaining says how many votes are left at a time, such as "while pve2 is off", how many there have
// to be, and what of that is assumed.
func (q Quorum) Remaining(left int, when string) string {
	said := fmt.Sprintf("%d of %d votes remain %s, and %d are needed", left, q.All, when, q.Needed())
	if q.Notes != nil {
		said += " (" + strings.Join(q.Notes, "; ") + ")"
	}
	return said
}

// Quorum counts the votes of the nodes in /cluster/status, and of a QDevice if there is one. A
// node that is offline has no vote that counts.
func (v *View) Quorum(ctx context.Context, items []pve.ClusterItem) Quorum {
	q := Quorum{Votes: map[string]int{}}
	members, err := v.PVE.ClusterMembers(ctx)
	if err != nil {
		q.Notes = append(q.Notes, "one vote for each node is assumed: "+v.Explain(err).What)
	}
	for _, i := range items {
		if i.Type != "node" {
			continue
		}
		votes := 1
		if at := slices.IndexFunc(members, func(m pve.ClusterMember) bool { return m.Name == i.Name }); at >= 0 && members[at].Votes.Set {
			votes = int(members[at].Votes.Value)
		}
		q.All += votes
		if i.Online.Value {
			q.Votes[i.Name] = votes
			q.Online += votes
		}
	}
	device, err := proxmox.Get[map[string]any](ctx, v.PVE.Client, proxmox.Join("cluster", "config", "qdevice"), nil)
	if err != nil {
		q.Notes = append(q.Notes, "whether a QDevice has a vote is unknown")
	}
	if len(device) > 0 {
		q.All++
		if device["State"] == "Connected" {
			q.Online++
		}
	}
	return q
}

// IsInCluster reports whether the lines of /cluster/status are those of a cluster, and not of a
// node on its own.
func IsInCluster(items []pve.ClusterItem) bool {
	return slices.ContainsFunc(items, func(i pve.ClusterItem) bool { return i.Type == "cluster" })
}
