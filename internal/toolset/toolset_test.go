package toolset_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/internal/toolset"
)

// two are toolsets with tools of every risk and every choice.
func two() []tool.Set {
	return []tool.Set{
		{
			Name: "cars",
			Core: []tool.Tool{
				{Name: "pve_look", Risk: policy.Read}, {Name: "pve_drive", Risk: policy.Write}, {Name: "pve_scrap", Risk: policy.Destructive}, {Name: "pve_open", Risk: policy.Exec},
			},
		},
		{
			Name:     "boats",
			Core:     []tool.Tool{{Name: "pve_list_boats", Risk: policy.Read}},
			Standard: []tool.Tool{{Name: "pve_sail", Risk: policy.Write}},
			Tools:    []tool.Tool{{Name: "pve_sink", Risk: policy.Destructive}, {Name: "pve_count_boats", Risk: policy.Read}},
		},
	}
}

// Which tools each choice offers, and why the others are off.
func TestOffered(t *testing.T) {
	for _, tt := range []struct {
		name   string
		choice toolset.Selection
		want   string
		off    map[string]string // of some
	}{
		{"nothing set", toolset.Selection{}, "pve_drive pve_list_boats pve_look pve_scrap", map[string]string{
			"pve_open": "commands in guests are off (PVE_MCP_ENABLE_EXEC is not true)",
			"pve_sail": "PVE_MCP_TOOLSETS (--toolsets) does not name boats or standard or all, nor PVE_MCP_TOOLS (--tools) this tool",
			"pve_sink": "PVE_MCP_TOOLSETS (--toolsets) does not name boats or all, nor PVE_MCP_TOOLS (--tools) this tool",
		}},
		{"core", toolset.Selection{Toolsets: []string{"core"}}, "pve_drive pve_list_boats pve_look pve_scrap", nil},
		{"standard", toolset.Selection{Toolsets: []string{"standard"}}, "pve_drive pve_list_boats pve_look pve_sail pve_scrap", nil},
		{"all", toolset.Selection{Toolsets: []string{"all"}}, "pve_count_boats pve_drive pve_list_boats pve_look pve_sail pve_scrap pve_sink", nil},
		{"a toolset", toolset.Selection{Toolsets: []string{"boats"}}, "pve_count_boats pve_list_boats pve_sail pve_sink", map[string]string{
			"pve_look": "PVE_MCP_TOOLSETS (--toolsets) does not name cars or core or standard or all, nor PVE_MCP_TOOLS (--tools) this tool",
		}},
		{"core and a toolset", toolset.Selection{Toolsets: []string{"core", "boats"}}, "pve_count_boats pve_drive pve_list_boats pve_look pve_sail pve_scrap pve_sink", nil},
		{"a tool more and one less", toolset.Selection{Tools: []string{"pve_sink", "-pve_scrap"}}, "pve_drive pve_list_boats pve_look pve_sink", map[string]string{
			"pve_scrap": "it is left out (PVE_MCP_TOOLS)",
		}},
		{"with exec", toolset.Selection{Policy: policy.Policy{Exec: true}}, "pve_drive pve_list_boats pve_look pve_open pve_scrap", nil},
		{"nothing lost", toolset.Selection{Policy: policy.Policy{KeepData: true, Exec: true}, Toolsets: []string{"all"}}, "pve_count_boats pve_drive pve_list_boats pve_look pve_open pve_sail", map[string]string{
			"pve_sink": "destructive changes are off (PVE_MCP_DESTRUCTIVE=false)",
		}},
		{"read-only", toolset.Selection{Policy: policy.Policy{ReadOnly: true, Exec: true}, Toolsets: []string{"all"}, Tools: []string{"pve_drive"}}, "pve_count_boats pve_list_boats pve_look", map[string]string{
			"pve_drive": "this server is read-only (PVE_MCP_READ_ONLY=true)",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.choice.From = two()
			on, off := toolset.Offered(tt.choice)
			var names []string
			for _, tl := range on {
				names = append(names, tl.Name)
				if off[tl.Name] != "" {
					t.Errorf("%s is on and off: %s", tl.Name, off[tl.Name])
				}
			}
			if got := strings.Join(names, " "); got != tt.want {
				t.Errorf("%s\nwant %s", got, tt.want)
			}
			for name, why := range tt.off {
				if off[name] != why {
					t.Errorf("%s is off: %s, want %s", name, off[name], why)
				}
			}
			if n := len(two()[0].All()) + len(two()[1].All()); len(on)+len(off) != n {
				t.Errorf("%d are on and %d off, of %d", len(on), len(off), n)
			}
		})
	}
}

// What a tool has begun can be followed, whichever toolset the tool is of.
func TestWhatFollowsIsOffered(t *testing.T) {
	sets := append(two(), tool.Set{Name: "tasks", Core: []tool.Tool{{Name: "pve_task_status", Risk: policy.Read}}})
	for _, tt := range []struct {
		choice toolset.Selection
		on     bool
	}{
		{toolset.Selection{Toolsets: []string{"boats"}}, true},
		{toolset.Selection{Toolsets: []string{"boats"}, Policy: policy.Policy{ReadOnly: true}}, false},
		{toolset.Selection{Toolsets: []string{"boats"}, Tools: []string{"-pve_task_status"}}, false},
		{toolset.Selection{Toolsets: []string{"boats"}, Tools: []string{"-pve_sail", "-pve_sink"}}, false},
	} {
		tt.choice.From = sets
		on, off := toolset.Offered(tt.choice)
		is := slices.ContainsFunc(on, func(tl tool.Tool) bool { return tl.Name == "pve_task_status" })
		if is != tt.on || is == (off["pve_task_status"] != "") {
			t.Errorf("%+v: on = %v, off: %v", tt.choice, is, off["pve_task_status"])
		}
		if !slices.IsSortedFunc(on, func(a, b tool.Tool) int { return strings.Compare(a.Name, b.Name) }) {
			t.Errorf("%+v: not sorted by name", tt.choice)
		}
	}
}

// What does not exist is named, with what does.
func TestChecks(t *testing.T) {
	for _, tt := range []struct {
		choice toolset.Selection
		want   string
	}{
		{toolset.Selection{}, ""},
		{toolset.Selection{Toolsets: []string{"core"}}, ""},
		{toolset.Selection{Toolsets: []string{"standard", "boats"}, Tools: []string{"pve_look", "-pve_sink"}}, ""},
		{toolset.Selection{Toolsets: []string{"core", "cor"}}, `there is no toolset "cor"; the toolsets are core, standard, all, boats and cars`},
		{toolset.Selection{Tools: []string{"pve_lok"}}, `there is no tool "pve_lok"; pve-mcp --toolsets all tools lists all`},
		{toolset.Selection{Tools: []string{"-pve_lok"}}, `there is no tool "pve_lok"; pve-mcp --toolsets all tools lists all`},
		{toolset.Selection{Tools: []string{"-pve_look", "pve_look"}}, `pve_look is both added and left out; name it once`},
	} {
		tt.choice.From = two()
		got := ""
		for _, err := range []error{tt.choice.CheckToolsets(), tt.choice.CheckTools()} {
			if err != nil {
				got += err.Error()
			}
		}
		if got != tt.want {
			t.Errorf("%v %v: %s\nwant %s", tt.choice.Toolsets, tt.choice.Tools, got, tt.want)
		}
	}
}

// Every folder of internal/toolsets is a toolset of its name, and says what it is for. No
// two tools have a name, and each has an example, for its page and for the tests about all
// tools.
func TestRegistry(t *testing.T) {
	entries, err := os.ReadDir("../toolsets")
	if err != nil {
		t.Fatal(err)
	}
	var folders, sets []string
	for _, e := range entries {
		folders = append(folders, e.Name())
	}
	seen := map[string]bool{}
	for _, s := range toolset.Sets() {
		sets = append(sets, s.Name)
		if s.Title == "" || s.Doc == "" {
			t.Errorf("%s does not say what it is for", s.Name)
		}
		if slices.Contains([]string{toolset.Core, toolset.Standard, toolset.Everything}, s.Name) {
			t.Errorf("%s is a choice of tools from all sets, too", s.Name)
		}
		for _, tl := range s.All() {
			if seen[tl.Name] {
				t.Errorf("there are two tools %s", tl.Name)
			}
			seen[tl.Name] = true
			if len(tl.Examples) == 0 {
				t.Errorf("%s has no example", tl.Name)
			}
		}
	}
	if diff := cmp.Diff(folders, sets); diff != "" {
		t.Errorf("toolsets (-folders +registered): add a line to registered in registry.go:\n%s", diff)
	}
}
