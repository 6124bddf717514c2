package toolset

import (
	"slices"
	"strings"
	"sync"

	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/internal/toolsets/api"
	"github.com/pve-mcp/pve-mcp/internal/toolsets/backups"
	"github.com/pve-mcp/pve-mcp/internal/toolsets/console"
	"github.com/pve-mcp/pve-mcp/internal/toolsets/guests"
	"github.com/pve-mcp/pve-mcp/internal/toolsets/insight"
	"github.com/pve-mcp/pve-mcp/internal/toolsets/maintenance"
	"github.com/pve-mcp/pve-mcp/internal/toolsets/nodes"
	"github.com/pve-mcp/pve-mcp/internal/toolsets/provision"
	"github.com/pve-mcp/pve-mcp/internal/toolsets/snapshots"
	"github.com/pve-mcp/pve-mcp/internal/toolsets/storage"
	"github.com/pve-mcp/pve-mcp/internal/toolsets/tasks"
)

// registered are the toolsets: a line for each folder of internal/toolsets.
func registered() []tool.Set {
	return []tool.Set{
		api.Set(),
		backups.Set(),
		console.Set(),
		guests.Set(),
		insight.Set(),
		maintenance.Set(),
		nodes.Set(),
		provision.Set(),
		snapshots.Set(),
		storage.Set(),
		tasks.Set(),
	}
}

// Sets returns every toolset, sorted by name.
func Sets() []tool.Set { return slices.Clone(registry().sets) }

// All returns every tool, sorted by name.
func All() []tool.Tool { return slices.Clone(registry().tools) }

// Named returns the tool of a name, also one that is only part of others.
func Named(name string) (t tool.Tool, ok bool) {
	if t, ok = registry().named(name); ok {
		return t, true
	}
	return named(registry().parts, name)
}

// registry is made when it is first asked for: a command that needs no tools does not.
var registry = sync.OnceValue(func() catalog { return catalogOf(registered()) })

// catalog is a number of toolsets, and their tools.
type catalog struct {
	sets  []tool.Set
	tools []tool.Tool
	parts []tool.Tool // that no client sees
	// choices are the names in PVE_MCP_TOOLSETS that offer a tool, by its name, the set
	// first.
	choices map[string][]string
}

func catalogOf(sets []tool.Set) catalog {
	c := catalog{sets: sets, choices: map[string][]string{}}
	add := func(s tool.Set, tools []tool.Tool, choices ...string) {
		for _, t := range tools {
			t.Toolset = s.Name
			c.tools = append(c.tools, t)
			c.choices[t.Name] = append([]string{s.Name}, choices...)
		}
	}
	for _, s := range sets {
		add(s, s.Core, Core, Standard, Everything)
		add(s, s.Standard, Standard, Everything)
		add(s, s.Tools, Everything)
		c.parts = append(c.parts, s.Parts...)
	}
	slices.SortFunc(c.sets, func(a, b tool.Set) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(c.tools, byName)
	return c
}

func byName(a, b tool.Tool) int { return strings.Compare(a.Name, b.Name) }

func (c catalog) named(name string) (t tool.Tool, ok bool) { return named(c.tools, name) }

func named(tools []tool.Tool, name string) (t tool.Tool, ok bool) {
	i := slices.IndexFunc(tools, func(t tool.Tool) bool { return t.Name == name })
	if i < 0 {
		return tool.Tool{}, false
	}
	return tools[i], true
}
