package pvesim

import "strconv"

// getMembers are the nodes as corosync knows them. A node that is in no cluster has none.
func getMembers(c *call) (any, error) {
	out := []any{}
	if c.model.Cluster == "" && len(c.nodes) == 1 {
		return out, nil
	}
	for i, n := range c.nodes {
		out = append(out, map[string]any{"name": n.Name, "node": n.Name, "nodeid": strconv.Itoa(i + 1), "quorum_votes": "1", "ring0_addr": n.IP})
	}
	return out, nil
}

// getQDevice is what corosync says of a QDevice: there is none.
func getQDevice(*call) (any, error) { return map[string]any{}, nil }
