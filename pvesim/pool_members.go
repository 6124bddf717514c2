package pvesim

import (
	"slices"
	"strconv"
	"strings"

	"github.com/pve-mcp/pve-mcp/pve/apischema"
)

// poolPart is what the simulation knows of pools.
type poolPart struct {
	pools     []Pool
	poolsWith map[string][]string // ids of pools by the ACL path of a member
}

// addPools makes the pools of the model.
func (s *state) addPools(m Model) {
	s.pools, s.poolsWith = slices.Clone(m.Pools), map[string][]string{}
	for _, p := range m.Pools {
		for _, path := range memberPaths(p) {
			s.poolsWith[path] = append(s.poolsWith[path], p.ID)
		}
	}
}

func memberPaths(p Pool) []string {
	var out []string
	for _, id := range p.VMIDs {
		out = append(out, aclPath(id))
	}
	for _, id := range p.Storages {
		out = append(out, "/storage/"+id)
	}
	return out
}

// poolNamed returns a pool, or nil.
func (s *state) poolNamed(id string) *Pool {
	for i := range s.pools {
		if s.pools[i].ID == id {
			return &s.pools[i]
		}
	}
	return nil
}

// thePool returns the pool that the call names.
func (c *call) thePool(words string) (*Pool, error) {
	if p := c.poolNamed(c.str("poolid")); p != nil {
		return p, nil
	}
	return nil, die("%spool '%s' does not exist", words, c.str("poolid"))
}

func listPools(c *call) (any, error) {
	out := []any{}
	if id := c.str("poolid"); id != "" {
		if err := c.caller.Require("/pool/"+id, "Pool.Audit"); err != nil {
			return nil, err
		}
		item, err := getPool(c)
		return append(out, item), err
	}
	for _, p := range c.pools {
		if !c.may("/pool/"+p.ID, "Pool.Audit") {
			continue
		}
		item := map[string]any{"poolid": p.ID}
		if p.Comment != "" {
			item["comment"] = p.Comment
		}
		out = append(out, item)
	}
	return out, nil
}

// getPool tells a pool's members with their figures. A storage is shown as the
// answering node has it, if it does.
func getPool(c *call) (any, error) {
	p, err := c.thePool("")
	if err != nil {
		return nil, err
	}
	want, members := c.str("type"), []any{}
	for _, id := range slices.Sorted(slices.Values(p.VMIDs)) {
		if g := c.guests[id]; g != nil && (want == "" || want == g.Kind) {
			row := c.guestResource(g)
			row.HAState, row.Lock, row.Pool, row.Tags = "", "", "", ""
			members = append(members, row)
		}
	}
	for _, id := range slices.Sorted(slices.Values(p.Storages)) {
		st := c.storageNamed(id)
		if st == nil || want != "" && want != "storage" {
			continue
		}
		n := c.node
		if !st.on(n.Name) {
			n = c.nodeNamed(slices.Min(st.Nodes))
		}
		members = append(members, c.storageResource(st, n))
	}
	out := map[string]any{"members": members}
	if p.Comment != "" {
		out["comment"] = p.Comment
	}
	if c.node.version.atLeast(8, 1) {
		out["poolid"] = p.ID
	}
	return out, nil
}

func createPool(c *call) (any, error) {
	id := c.str("poolid")
	if c.poolNamed(id) != nil {
		return nil, die("create pool failed: pool '%s' already exists", id)
	}
	if i := strings.LastIndex(id, "/"); i >= 0 && c.poolNamed(id[:i]) == nil {
		return nil, die("create pool failed: parent '%s' of pool '%s' does not exist", id[:i], id)
	}
	c.pools = append(c.pools, Pool{ID: id, Comment: c.str("comment")})
	slices.SortFunc(c.pools, func(a, b Pool) int { return strings.Compare(a.ID, b.ID) })
	clear(c.privCache)
	return nil, nil
}

// putPool changes a pool's comment and members, all or none.
func putPool(c *call) (any, error) {
	const words = "update pools failed: "
	p, err := c.thePool(words)
	if err != nil {
		return nil, err
	}
	changed := map[string]*Pool{}
	for _, pool := range c.pools {
		pool.VMIDs, pool.Storages = slices.Clone(pool.VMIDs), slices.Clone(pool.Storages)
		changed[pool.ID] = &pool
	}
	for _, item := range apischema.SplitList(c.str("vms")) {
		id, _ := strconv.Atoi(item)
		if err := c.caller.RequireAny(aclPath(id), "Permissions.Modify", "VM.Allocate"); err != nil {
			return nil, die("%s403 %s", words, err.Error())
		}
		if err := c.changeMember(changed, changed[p.ID], id); err != nil {
			return nil, die("%s%s", words, strings.TrimSpace(err.Error()))
		}
	}
	for _, id := range apischema.SplitList(c.str("storage")) {
		if err := c.caller.RequireAny("/storage/"+id, "Permissions.Modify", "Datastore.Allocate"); err != nil {
			return nil, die("%s403 %s", words, err.Error())
		}
		if err := c.changeStorage(changed[p.ID], id); err != nil {
			return nil, die("%s%s", words, strings.TrimSpace(err.Error()))
		}
	}
	if comment, given := c.params["comment"]; given && comment != nil {
		changed[p.ID].Comment = c.str("comment")
	}
	for i := range c.pools {
		c.pools[i] = *changed[c.pools[i].ID]
	}
	c.indexPools()
	return nil, nil
}

// changeMember adds a guest to a pool or removes it. It is in one at most.
func (c *call) changeMember(pools map[string]*Pool, p *Pool, id int) error {
	in := slices.Contains(p.VMIDs, id)
	switch {
	case c.flag("delete") && !in:
		return die("VM %d is not a pool member", id)
	case c.flag("delete"):
		p.VMIDs = without(p.VMIDs, id)
		return nil
	case in:
		return die("VM %d is already a pool member", id)
	}
	for other, pool := range pools {
		if !slices.Contains(pool.VMIDs, id) {
			continue
		}
		switch {
		case c.flag("allow-move"):
			if err := c.caller.Require("/pool/"+other, "Pool.Allocate"); err != nil {
				return die("403 %s", err.Error())
			}
			pool.VMIDs = without(pool.VMIDs, id)
		case c.node.version.atLeast(8, 1):
			return die("VM %d belongs already to pool '%s' and 'allow-move' is not set", id, other)
		default:
			return die("VM %d belongs already to pool '%s'", id, other)
		}
	}
	p.VMIDs = append(p.VMIDs, id)
	return nil
}

func (c *call) changeStorage(p *Pool, id string) error {
	in := slices.Contains(p.Storages, id)
	switch {
	case c.flag("delete") && !in:
		return die("Storage '%s' is not a pool member", id)
	case c.flag("delete"):
		p.Storages = without(p.Storages, id)
		return nil
	case in:
		return die("Storage '%s' is already a pool member", id)
	}
	p.Storages = append(p.Storages, id)
	return nil
}

func without[T comparable](list []T, item T) []T {
	return slices.DeleteFunc(list, func(other T) bool { return other == item })
}

// indexPools makes privileges follow the members of pools.
func (s *state) indexPools() {
	clear(s.poolsWith)
	for _, p := range s.pools {
		for _, path := range memberPaths(p) {
			s.poolsWith[path] = append(s.poolsWith[path], p.ID)
		}
	}
	clear(s.privCache)
}

// deletePool deletes a pool that has no members, neither guests nor storages that
// still exist nor pools.
func deletePool(c *call) (any, error) {
	const words = "delete pool failed: "
	p, err := c.thePool(words)
	if err != nil {
		return nil, err
	}
	for _, other := range c.pools {
		if strings.HasPrefix(other.ID, p.ID+"/") {
			return nil, die("%spool '%s' is not empty (contains pool '%s')", words, p.ID, other.ID)
		}
	}
	for _, id := range slices.Sorted(slices.Values(p.VMIDs)) {
		if c.guests[id] != nil {
			return nil, die("%spool '%s' is not empty (contains VM %d)", words, p.ID, id)
		}
	}
	for _, id := range slices.Sorted(slices.Values(p.Storages)) {
		if c.storageNamed(id) != nil {
			return nil, die("%spool '%s' is not empty (contains storage '%s')", words, p.ID, id)
		}
	}
	id := p.ID
	c.pools = slices.DeleteFunc(c.pools, func(p Pool) bool { return p.ID == id })
	delete(c.acl, "/pool/"+id)
	c.indexPools()
	return nil, nil
}
