package doctor

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/explain"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/internal/toolset"
	"github.com/pve-mcp/pve-mcp/pve"
)

// Use is how far a tool can be used with the token.
type Use string

// The uses.
const (
	Fully  Use = "yes"
	Partly Use = "partly" // not everywhere, not for all calls, or with less in the answer
	Not    Use = "no"
)

// Tool says how far a tool can be used with the token.
type Tool struct {
	Name string `json:"tool"`
	Use  Use    `json:"use"`
	// Off is why the configuration does not offer it, whatever the token may do.
	Off string `json:"off,omitzero"`
	// Where are the paths of PVE's access control on which it can be used: /vms means all
	// guests except those that Missing names.
	Where   []string  `json:"where"`
	Missing []Missing `json:"missing"`
}

// Missing is a privilege that the token lacks for a tool.
type Missing struct {
	Privileges []string `json:"privileges"`       // one of them is enough
	Paths      []string `json:"paths"`            // on which the token has none of them
	For        string   `json:"for,omitzero"`     // the calls that need it; "" for all
	Without    string   `json:"without,omitzero"` // what the answer lacks; "" if the call is refused
	// Admins marks a privilege that allows far more than the tool does, so that only an
	// administrator should have it; no command grants it.
	Admins bool `json:"for_admins,omitzero"`
}

// privileges compares what the tools need with what the token has.
func (c *cluster) privileges(ctx context.Context, r *Report) Check {
	h := c.hosts[0]
	perms, err := h.client.Permissions(ctx)
	if err != nil {
		return c.failed(err)
	}
	major := versionOf(h.version)
	_, off := toolset.Offered(c.selection())
	var inUse []Tool
	count := map[Use]int{}
	for _, t := range toolset.All() {
		found := permitted(t, perms, major)
		found.Off = off[t.Name]
		r.Tools = append(r.Tools, found)
		if found.Off == "" {
			inUse = append(inUse, found)
			count[found.Use]++
		}
	}
	check := Check{Status: OK, Text: fmt.Sprintf("of %d tools that are offered, the token can use %d fully, %d partly and %d not at all",
		len(inUse), count[Fully], count[Partly], count[Not])}
	wants := wanted(inUse)
	if len(wants) == 0 {
		return check
	}
	check.Status = Warning
	if count[Not] > 0 {
		check.Status = Refused
	}
	user := c.owner(ctx, h)
	r.Grants = c.grants(wants, perms, user)
	check.Remedy = c.remedy(wants, perms, user, count[Not] > 0)
	return check
}

// wanted are the privileges that the tools lack, but those for administrators.
func wanted(tools []Tool) []want {
	var out []want
	for _, t := range tools {
		for _, m := range t.Missing {
			for _, path := range m.Paths {
				if !m.Admins {
					out = append(out, want{path, m.Privileges})
				}
			}
		}
	}
	return out
}

// remedy says what to do about privileges that are missing.
func (c *cluster) remedy(wants []want, token, user pve.Permissions, useless bool) string {
	var parts []string
	if len(token) == 0 {
		parts = append(parts, "The token has no privileges at all.")
	}
	ofUser := slices.IndexFunc(wants, func(w want) bool { return user.Has(w.path, w.privs[0]) })
	if ofUser >= 0 {
		owner, _, _ := strings.Cut(c.Config.Token.ID, "!")
		parts = append(parts, fmt.Sprintf("The user %s has %s on %s, and the token has not.", owner, wants[ofUser].privs[0], wants[ofUser].path), explain.Separated)
	}
	parts = append(parts, "The commands below grant what is missing.")
	if user == nil {
		parts = append(parts, "What else the user may do cannot be seen: "+explain.Replaces)
	}
	if useless && !c.Config.Policy.ReadOnly {
		parts = append(parts, "Or let pve-mcp offer only what reads: PVE_MCP_READ_ONLY=true.")
	}
	return strings.Join(parts, " ")
}

// permitted compares what a tool needs with what the token has.
func permitted(t tool.Tool, perms pve.Permissions, major int) Tool {
	out := Tool{Name: t.Name, Use: Fully, Where: []string{}, Missing: []Missing{}}
	where := map[string][]string{} // by area
	for _, n := range t.Needs {
		if !n.Holds(major) {
			continue
		}
		held, lacks := on(n, perms)
		if len(lacks) > 0 {
			out.Use = Partly
			out.Missing = append(out.Missing, Missing{n.Privs, lacks, n.When, n.Without, n.Admin})
		}
		if n.When != "" || n.Without != "" {
			continue
		}
		area := n.On.Area()
		if before, again := where[area]; again {
			held = slices.DeleteFunc(held, func(p string) bool { return !slices.Contains(before, p) && !below(p, before) })
		}
		where[area] = held
	}
	for _, area := range slices.Sorted(maps.Keys(where)) {
		if len(where[area]) == 0 {
			out.Use = Not
		}
		out.Where = append(out.Where, where[area]...)
	}
	if out.Use == Not {
		out.Where = []string{}
	}
	return out
}

// below reports whether a path lies below one of others.
func below(path string, others []string) bool {
	return slices.ContainsFunc(others, func(o string) bool { return strings.HasPrefix(path, strings.TrimSuffix(o, "/")+"/") })
}

// on returns the paths on which a need is met, and those on which it is not: the area for
// all that is in it, and what PVE lists below it if that is otherwise.
func on(n tool.Need, perms pve.Permissions) (held, lacks []string) {
	has := func(path string) bool {
		return slices.ContainsFunc(n.Privs, func(priv string) bool { return perms.Has(path, priv) })
	}
	area := n.On.Area()
	all := has(area)
	if area != "/" {
		all = has(area + "/*") // which no entry names, so that it has what propagates
	}
	if all {
		held = []string{area}
	} else {
		lacks = []string{area}
	}
	for _, path := range slices.Sorted(maps.Keys(perms)) {
		switch {
		case area == "/" || !strings.HasPrefix(path, area+"/") || inherits(perms, path, area):
		case !has(path):
			lacks = append(lacks, path)
		case !all:
			held = append(held, path)
		}
	}
	if n.On == tool.OnNewGuest && !all {
		held = append(held, pools(n, perms)...)
	}
	return held, lacks
}

// inherits reports whether a path has just what its area has: it is listed as a member of
// a pool, or its entry says nothing new.
func inherits(perms pve.Permissions, path, area string) bool {
	return slices.Equal(perms[path].Names(), perms[area].Names())
}

// pools are those in which a guest can be made.
func pools(n tool.Need, perms pve.Permissions) []string {
	var out []string
	for _, path := range slices.Sorted(maps.Keys(perms)) {
		if strings.HasPrefix(path, "/pool/") && slices.ContainsFunc(n.Privs, func(priv string) bool { return perms.Has(path, priv) }) {
			out = append(out, path)
		}
	}
	return out
}

// owner returns what the user of the token may do, nil if PVE does not say: before 8.3
// that takes a privilege, and it only makes the answer better.
func (c *cluster) owner(ctx context.Context, h *host) pve.Permissions {
	user, _, _ := strings.Cut(c.Config.Token.ID, "!")
	perms, err := h.client.PermissionsOf(ctx, user, "")
	if err != nil {
		return nil
	}
	return perms
}
