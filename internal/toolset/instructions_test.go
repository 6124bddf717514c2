package toolset_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/toolset"
)

// Instructions have the lines of the toolsets that are on, as far as they name tools that
// are, and say what other settings would offer.
func TestInstructions(t *testing.T) {
	sets := two()
	sets[0].Instructions = "A car has wheels.\nBegin with pve_look.\nBefore pve_scrap, ask pve_look."
	sets[1].Instructions = "A boat has none.\nAfter pve_sink, use pve_count_boats."
	for _, tt := range []struct {
		name   string
		choice toolset.Selection
		lines  []string // that are there
		others []string // that are not
	}{
		{"core", toolset.Selection{}, []string{
			"A car has wheels.", "Begin with pve_look.", "Before pve_scrap, ask pve_look.", "A boat has none.",
			"With other settings this server offers commands in guests (PVE_MCP_ENABLE_EXEC=true), more of boats (PVE_MCP_TOOLSETS): tell the user, if it is needed.",
		}, []string{"pve_sink", "pve_task_status"}},
		{"one set", toolset.Selection{Toolsets: []string{"boats"}}, []string{
			"A boat has none.", "After pve_sink, use pve_count_boats.",
			"With other settings this server offers commands in guests (PVE_MCP_ENABLE_EXEC=true), more of cars (PVE_MCP_TOOLSETS): tell the user, if it is needed.",
		}, []string{"car has", "pve_look"}},
		{"a tool less", toolset.Selection{Tools: []string{"-pve_look"}}, []string{"A car has wheels."}, []string{"pve_look", "pve_scrap"}},
		{"read-only", toolset.Selection{Policy: policy.Policy{ReadOnly: true}}, []string{
			"Begin with pve_look.",
			"With other settings this server offers changes (PVE_MCP_READ_ONLY=false), more of boats (PVE_MCP_TOOLSETS): tell the user, if it is needed.",
		}, []string{"pve_scrap", "outcome", "PVE_MCP_ENABLE_EXEC"}},
		{"no loss", toolset.Selection{Policy: policy.Policy{KeepData: true, Exec: true}, Toolsets: []string{"all"}}, []string{
			"With other settings this server offers destructive changes (PVE_MCP_DESTRUCTIVE=true): tell the user, if it is needed.",
		}, []string{"pve_scrap", "pve_sink"}},
		{"everything", toolset.Selection{Policy: policy.Policy{Exec: true}, Toolsets: []string{"all"}}, nil, []string{"other settings"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.choice.From = slices.Clone(sets)
			text := toolset.Instructions(tt.choice)
			for _, line := range tt.lines {
				if !slices.Contains(strings.Split(text, "\n"), line) {
					t.Errorf("no line %q in\n%s", line, text)
				}
			}
			for _, word := range tt.others {
				if strings.Contains(text, word) {
					t.Errorf("%q in\n%s", word, text)
				}
			}
		})
	}
}

// What is written in files for the usual selections is what the tools say, whatever else the
// policy has.
func TestWrittenInstructions(t *testing.T) {
	files := toolset.WrittenInstructions()
	if there, err := filepath.Glob("instructions/*"); err != nil || len(there) != len(files) {
		t.Errorf("%d files in instructions, want %d (%v)", len(there), len(files), err)
	}
	for name, want := range files {
		if data, err := os.ReadFile(name); err != nil || string(data) != want {
			t.Errorf("%s: run make generate (%v):\n%s\nwant\n%s", name, err, data, want)
		}
	}
	for _, choice := range [][]string{nil, {toolset.Core}, {toolset.Standard}, {toolset.Everything}, {"guests"}, {"guests", toolset.Standard}} {
		for _, tools := range [][]string{nil, {"-pve_list_guests"}} {
			for bits := range 8 {
				p := policy.Policy{ReadOnly: bits&1 != 0, KeepData: bits&2 != 0, Exec: bits&4 != 0, Confirm: policy.Human}
				s := toolset.Selection{Policy: p, Toolsets: choice, Tools: tools}
				got := toolset.Instructions(s)
				s.From = toolset.Sets()
				if want := toolset.Instructions(s); got != want {
					t.Errorf("%v %v %+v: %s\nwant %s", choice, tools, p, got, want)
				}
			}
		}
	}
}

// Hosts cut instructions, and models read them in every conversation.
func TestInstructionsAreShort(t *testing.T) {
	const most = 1_500
	for _, choice := range []string{toolset.Core, toolset.Standard, toolset.Everything} {
		for _, p := range []policy.Policy{{}, {Exec: true}, {KeepData: true}, {ReadOnly: true}} {
			text := toolset.Instructions(toolset.Selection{Policy: p, Toolsets: []string{choice}})
			if n := len(text); n == 0 || n > most {
				t.Errorf("%s, %+v: %d bytes, want at most %d:\n%s", choice, p, n, most, text)
			}
		}
	}
	t.Log(toolset.Instructions(toolset.Selection{}))
}
