package main

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/pve/apischema"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

const endpointsHead = `# What the simulator answers from

<!-- Made from the code: make generate. -->

Each endpoint of PVE 8 and 9, and from what [the simulated cluster](simulator.md) answers it:

- **the names of recordings**: a real node of that version was asked, the request succeeded, and the simulator answers the same: status, reason,
  errors, the shape of the data, how the task ends. ` + "`console`" + ` are whole conversations over a websocket.
- **source**: no recording has it; it follows PVE's own code.
- **guessed**: so does it, as far as the code tells; what is named is made up.
- **501**: it checks parameters and privileges, and then says that it is not simulated.
- **–**: that version does not have it.

Figures such as loads and sizes are made up everywhere. A recording proves what was asked in it, not every parameter.

| | PVE 8 | PVE 9 |
|---|---|---|
`

// Each endpoint is answered from one of these, or from recordings.
const (
	fromSource = "source"
	notThere   = "–"
	notServed  = "501"
)

// endpointsPage lists all endpoints with what the simulator answers them from.
func endpointsPage(dir string) (string, error) {
	proved, err := readProved(filepath.Join(dir, "pvesim", "testdata", "proved.txt"))
	if err != nil {
		return "", err
	}
	rows := map[string]map[int]string{}
	for _, major := range []int{8, 9} {
		api, err := apischema.Load(major)
		if err != nil {
			return "", err
		}
		for _, ep := range api.Endpoints() {
			key := ep.Method + " " + ep.Path
			if rows[key] == nil {
				rows[key] = map[int]string{8: notThere, 9: notThere}
			}
			rows[key][major] = basis(key, proved[fmt.Sprintf("%s\t%d", key, major)])
		}
	}
	return renderEndpoints(rows), nil
}

// basis is what an endpoint of a version is answered from.
func basis(key, recordings string) string {
	guess := pvesim.Guesses()[key]
	switch {
	case !slices.Contains(pvesim.Endpoints(), key):
		return notServed
	case recordings != "":
		return recordings
	case guess != "":
		return "guessed: " + guess
	}
	return fromSource
}

// readProved reads which recordings prove an endpoint of a version.
func readProved(file string) (map[string]string, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	const socket = "GET /nodes/{node}/%s/{vmid}/vncwebsocket\t%d"
	out := map[string]string{fmt.Sprintf(socket, "qemu", 8): "console", fmt.Sprintf(socket, "qemu", 9): "console", fmt.Sprintf(socket, "lxc", 9): "console"}
	for line := range strings.Lines(string(data)) {
		key, recordings, _ := strings.Cut(line, "\t")
		major, recordings, _ := strings.Cut(strings.TrimSpace(recordings), "\t")
		out[key+"\t"+major] = strings.ReplaceAll(recordings, " ", ", ")
	}
	return out, nil
}

func renderEndpoints(rows map[string]map[int]string) string {
	count := map[string]map[int]int{}
	kinds := []string{"proved by recordings", fromSource, "guessed in part", notServed}
	for _, kind := range kinds {
		count[kind] = map[int]int{}
	}
	var table strings.Builder
	for _, key := range slices.SortedFunc(maps.Keys(rows), byPath) {
		fmt.Fprintf(&table, "| `%s` | %s | %s |\n", key, rows[key][8], rows[key][9])
		for major, from := range rows[key] {
			kind := from
			switch {
			case from == notThere:
				continue
			case strings.HasPrefix(from, "guessed"):
				kind = "guessed in part"
			case from != fromSource && from != notServed:
				kind = "proved by recordings"
			}
			count[kind][major]++
		}
	}
	var b strings.Builder
	b.WriteString(endpointsHead)
	for _, kind := range kinds {
		fmt.Fprintf(&b, "| %s | %d | %d |\n", kind, count[kind][8], count[kind][9])
	}
	b.WriteString("\n## All endpoints\n\n| endpoint | PVE 8 | PVE 9 |\n|---|---|---|\n")
	b.WriteString(table.String())
	return b.String()
}

// byPath sorts endpoints by their paths, and those of one path by method.
func byPath(a, b string) int {
	methodA, pathA, _ := strings.Cut(a, " ")
	methodB, pathB, _ := strings.Cut(b, " ")
	return cmp.Or(strings.Compare(pathA, pathB), strings.Compare(methodA, methodB))
}
