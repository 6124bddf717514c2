package main

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/pve/apischema"
	"github.com/pve-mcp/pve-mcp/pve/apischema/viewer"
)

// generateFromViewer makes the facts of a major version from the API viewer's data of
// one of its nodes. What is not in there, the named formats and the highest index of
// an indexed parameter, is taken from the facts of the major version like.
func generateFromViewer(file, out string, major, like int) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	shown, err := viewer.Read(data)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	known, err := os.ReadFile(factsFile(out, like))
	if err != nil {
		return err
	}
	facts, err := apischema.ReadFacts(bytes.NewReader(known))
	if err != nil {
		return err
	}
	facts.Major, facts.Endpoints = major, shown.Endpoints
	for _, name := range unbounded(facts) {
		fmt.Fprintf(os.Stderr, "gen: PVE %d does not tell the highest index of %s, and PVE %d has none: it will be refused\n", major, name, like)
	}
	return write(factsFile(out, major), facts)
}

func factsFile(dir string, major int) string {
	return filepath.Join(dir, fmt.Sprintf("facts-%d.json.gz", major))
}

// unbounded lists the indexed parameters whose highest index is not known.
func unbounded(facts *apischema.Facts) []string {
	names := map[string]bool{}
	for _, ep := range facts.Endpoints {
		for name := range ep.Params {
			base, indexed := strings.CutSuffix(name, "[n]")
			if _, known := facts.Highest[base]; indexed && !known {
				names[name] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(names))
}
