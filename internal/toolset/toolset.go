// Package toolset knows which tools exist and which of them a configuration offers.
package toolset

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/proxmox"
)

// The names in PVE_MCP_TOOLSETS that choose from all toolsets.
const (
	Core       = "core"     // what is offered by default
	Standard   = "standard" // core, and what most people want
	Everything = "all"
)

// Selection is what a configuration wants to offer.
type Selection struct {
	Policy policy.Policy
	// Toolsets are names of toolsets, or Core, Standard or Everything; none means Core.
	Toolsets []string
	// Tools are names of single tools to offer besides, or, after a minus sign, to leave
	// out.
	Tools []string
	// From are the toolsets to choose from; nil means those of the registry.
	From []tool.Set
}

// Choices are what PVE_MCP_TOOLSETS may name.
func Choices() []string { return Selection{}.choices() }

func (s Selection) choices() []string {
	choices := presets()
	for _, set := range s.catalog().sets {
		choices = append(choices, set.Name)
	}
	return choices
}

// CheckToolsets says which of the toolsets does not exist.
func (s Selection) CheckToolsets() error {
	if len(s.Toolsets) == 1 && slices.Contains(presets(), s.Toolsets[0]) {
		return nil // what most configurations have needs no list of tools
	}
	choices := s.choices()
	for _, name := range s.Toolsets {
		if !slices.Contains(choices, name) {
			return fmt.Errorf("there is no toolset %q; the toolsets are %s", render.Text(name, 40), render.List(choices))
		}
	}
	return nil
}

// CheckTools says which of the single tools does not exist, or is both added and left out.
func (s Selection) CheckTools() error {
	for _, entry := range s.Tools {
		name := strings.TrimPrefix(entry, "-")
		if _, ok := s.catalog().named(name); !ok {
			return fmt.Errorf("there is no tool %q; pve-mcp --toolsets all tools lists all", render.Text(name, 60))
		}
		if slices.Contains(s.Tools, name) && slices.Contains(s.Tools, "-"+name) {
			return fmt.Errorf("%s is both added and left out; name it once", name)
		}
	}
	return nil
}

func (s Selection) catalog() catalog {
	if s.From == nil {
		return registry()
	}
	return catalogOf(s.From)
}

// Connect is [tool.Connect], with every tool to answer for the changes that go on.
func Connect(cluster string, o proxmox.Options, p policy.Policy) (tool.Host, error) {
	h, err := tool.Connect(cluster, o, p)
	h.Named = Named
	return h, err
}

// Tokenless is [tool.HostWithoutToken], with every tool as for [Connect].
func Tokenless(cluster string, p policy.Policy) tool.Host {
	h := tool.HostWithoutToken(cluster, p)
	h.Named = Named
	return h
}

// Offered returns the tools that a selection has, by name, and why the others are off. A
// tool that is off does not exist for a client.
func Offered(s Selection) (on []tool.Tool, off map[string]string) {
	off = map[string]string{}
	c := s.catalog()
	for _, t := range c.tools {
		if reason := s.refusal(t, c.choices[t.Name]); reason != "" {
			off[t.Name] = reason
		} else {
			on = append(on, t)
		}
	}
	if t, ok := c.named(follower); ok && off[follower] != "" && !slices.Contains(s.Tools, "-"+follower) && slices.ContainsFunc(on, changes) {
		delete(off, follower)
		on = append(on, t)
		slices.SortFunc(on, byName)
	}
	return on, off
}

// follower is the tool that follows what another has begun. It is offered beside any that
// changes something, unless it is left out by its name.
const follower = "pve_task_status"

func changes(t tool.Tool) bool { return t.Risk != policy.Read }

// refusal returns why a tool that some choices offer is off, or "".
func (s Selection) refusal(t tool.Tool, choices []string) string {
	toolsets := s.Toolsets
	if len(toolsets) == 0 {
		toolsets = []string{Core}
	}
	named := func(choice string) bool { return slices.Contains(toolsets, choice) }
	switch reason := s.Policy.Refusal(t.Risk); {
	case reason != "":
		return reason
	case slices.Contains(s.Tools, "-"+t.Name):
		return tool.LeftOut
	case slices.Contains(s.Tools, t.Name), slices.ContainsFunc(choices, named):
		return ""
	}
	return "PVE_MCP_TOOLSETS (--toolsets) does not name " + strings.Join(choices, " or ") + ", nor PVE_MCP_TOOLS (--tools) this tool"
}
