package pvesim

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"github.com/pve-mcp/pve-mcp/pvesim/internal/testca"
)

// nodePart is what the simulation knows of nodes.
type nodePart struct {
	nodes []*node          // in the model's order
	named map[string]*node // by name
	ca    []byte           // the certificate of the cluster's CA as PEM; nil until one is needed
}

// node is a living [Node].
type node struct {
	Node
	version    version
	booted     time.Time
	heardAt    time.Time // when the others last heard of its guests
	neverHeard bool      // since they were started themselves
	nodePower

	cert        *tls.Certificate // nil before the first [Listener]
	fingerprint string           // of cert, or of what replaces it
}

// addNodes makes the nodes of the model.
func (s *state) addNodes(m Model, now time.Time) error {
	s.named = map[string]*node{}
	if len(m.Nodes) == 0 {
		return errors.New("a model needs a node")
	}
	for _, n := range m.Nodes {
		living := &node{
			Node: n, version: parseVersion(cmp.Or(n.PVE, m.PVE)), booted: now.Add(-n.Up), heardAt: now.Add(-n.Silent), neverHeard: n.StatusHangs, nodePower: nodePower{cut: n.Offline, leftAt: now.Add(-n.Silent)},
			fingerprint: testca.Fingerprint(fmt.Appendf(nil, "%d %s", m.Seed, n.Name)),
		}
		s.nodes, s.named[n.Name] = append(s.nodes, living), living
	}
	return nil
}

func (s *state) nodeNamed(name string) *node { return s.named[name] }
