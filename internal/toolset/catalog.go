// Package toolset knows which tools exist and which of them a configuration offers.
package toolset

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/internal/toolsets/backups"
	"github.com/pve-mcp/pve-mcp/internal/toolsets/guests"
	"github.com/pve-mcp/pve-mcp/internal/toolsets/nodes"
	"github.com/pve-mcp/pve-mcp/internal/toolsets/snapshots"
	"github.com/pve-mcp/pve-mcp/internal/toolsets/storage"
	"github.com/pve-mcp/pve-mcp/internal/toolsets/tasks"
	"github.com/pve-mcp/pve-mcp/pve"
)

// Selection is what a configuration wants to offer.
type Selection struct {
	Policy   policy.Policy
	Toolsets []string // their names; none stands for core
}

// Check says which of the toolsets there is not.
func (s Selection) Check() error {
	unknown := slices.DeleteFunc(slices.Clone(s.Toolsets), func(name string) bool { return name == tool.Core })
	if len(unknown) == 0 {
		return nil // what most say needs no list of tools
	}
	names := Toolsets()
	for _, name := range unknown {
		if !slices.Contains(names, name) {
			return fmt.Errorf("there is no toolset %q; the toolsets are %s", render.Text(name, 40), render.List(names))
		}
	}
	return nil
}

// Toolsets returns the names of the toolsets, sorted.
func Toolsets() []string {
	var names []string
	for _, t := range all() {
		names = append(names, t.Toolset)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// All returns every tool, sorted by name.
func All() []tool.Tool { return slices.Clone(all()) }

// all are declared when they are first asked for: a process that only starts does not.
var all = sync.OnceValue(func() []tool.Tool {
	all := slices.Concat(backups.Tools(), guests.Tools(), nodes.Tools(), snapshots.Tools(), storage.Tools(), tasks.Tools())
	slices.SortFunc(all, func(a, b tool.Tool) int { return strings.Compare(a.Name, b.Name) })
	return all
})

// Named returns the tool of a name.
func Named(name string) (t tool.Tool, ok bool) {
	i := slices.IndexFunc(all(), func(t tool.Tool) bool { return t.Name == name })
	if i < 0 {
		return tool.Tool{}, false
	}
	return all()[i], true
}

// Connect is [tool.Connect], with every tool to answer for the changes that go on.
func Connect(cluster string, o pve.Options, p policy.Policy) (tool.Host, error) {
	h, err := tool.Connect(cluster, o, p)
	h.Named = Named
	return h, err
}

// Tokenless is [tool.Tokenless], with every tool as for [Connect].
func Tokenless(cluster string, p policy.Policy) tool.Host {
	h := tool.Tokenless(cluster, p)
	h.Named = Named
	return h
}

// Offered returns the tools that a selection has, by name, and why the others are off. A
// tool that is off does not exist for a client.
func Offered(s Selection) (on []tool.Tool, off map[string]string) {
	off = map[string]string{}
	names := s.Toolsets
	if len(names) == 0 {
		names = []string{tool.Core}
	}
	for _, t := range all() {
		switch reason := s.Policy.Refusal(t.Risk); {
		case reason != "":
			off[t.Name] = reason
		case !slices.Contains(names, t.Toolset):
			off[t.Name] = "its toolset " + t.Toolset + " is off (PVE_MCP_TOOLSETS)"
		default:
			on = append(on, t)
		}
	}
	return on, off
}
