// Command gen makes the embedded facts of package apischema from PVE's API
// description.
//
//	go run ./pve/apischema/gen -from DIR -out pve/apischema
//
// DIR holds pve-api-N.json (a list of endpoints) and pve-formats-N.json (the
// named formats and the highest index of each indexed parameter) for the major
// versions N. Without -from it looks for a folder shared/reference above this
// one. If there is none, it says so and does nothing.
//
//	go run ./pve/apischema/gen -viewer apidoc.js -major 10 -out pve/apischema
//
// reads what a node shows in its own API viewer instead, such as
// https://pve1:8006/pve-docs/api-viewer/apidoc.js, downloaded.
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/pve/apischema"
)

func main() {
	from := flag.String("from", "", "folder with pve-api-N.json and pve-formats-N.json")
	out := flag.String("out", ".", "folder to write facts-N.json.gz to")
	viewer := flag.String("viewer", "", "apidoc.js of a node, instead of -from")
	major := flag.Int("major", 9, "the major version of that node")
	like := flag.Int("like", 9, "the major version whose named formats and indices it has")
	flag.Parse()
	if *viewer != "" {
		exitOn(generateFromViewer(*viewer, *out, *major, *like))
		return
	}
	if *from == "" {
		*from = findAbove(filepath.Join("shared", "reference"))
	}
	if *from == "" {
		fmt.Fprintln(os.Stderr, "gen: skipped: no API description found; name its folder with -from")
		return
	}
	for _, major := range []int{8, 9} {
		exitOn(generate(*from, *out, major))
	}
}

func exitOn(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func findAbove(name string) string {
	dir, err := os.Getwd()
	for err == nil && dir != filepath.Dir(dir) {
		if info, err := os.Stat(filepath.Join(dir, name)); err == nil && info.IsDir() {
			return filepath.Join(dir, name)
		}
		dir = filepath.Dir(dir)
	}
	return ""
}

// undescribed are the endpoints of which the description of 9.2 does not say what they
// take: an object of several kinds.
var undescribed = []string{"POST /cluster/ha/rules", "PUT /cluster/ha/rules/{rule}"}

func generate(from, out string, major int) error {
	facts := apischema.Facts{Major: major, Formats: map[string]*apischema.Format{}}
	var endpoints []struct {
		apischema.Endpoint
		Token *bool `json:"token"` // false: refuses API tokens
	}
	if err := read(filepath.Join(from, fmt.Sprintf("pve-api-%d.json", major)), &endpoints); err != nil {
		return err
	}
	for _, e := range endpoints {
		e.NoToken = e.Token != nil && !*e.Token
		if slices.Contains(undescribed, e.Method+" "+e.Path) {
			e.Closed = false
		}
		facts.Endpoints = append(facts.Endpoints, &e.Endpoint)
	}
	sortEndpoints(facts.Endpoints)

	var formats struct {
		Formats map[string]json.RawMessage `json:"formats"`
		Highest map[string]int             `json:"indexed_parameters_highest"`
	}
	if err := read(filepath.Join(from, fmt.Sprintf("pve-formats-%d.json", major)), &formats); err != nil {
		return err
	}
	facts.Highest = formats.Highest
	for name, data := range formats.Formats {
		facts.Formats[name] = nil
		if string(data) == `"code"` {
			continue
		}
		var f apischema.Format
		if err := json.Unmarshal(data, &f); err != nil {
			return fmt.Errorf("format %s: %w", name, err)
		}
		facts.Formats[name] = &f
	}

	return write(factsFile(out, major), &facts)
}

func sortEndpoints(list []*apischema.Endpoint) {
	slices.SortFunc(list, func(a, b *apischema.Endpoint) int {
		return strings.Compare(a.Path+" "+a.Method, b.Path+" "+b.Method)
	})
}

// write leaves a file alone that says the same: another release of Go may compress
// it to other bytes.
func write(file string, facts *apischema.Facts) error {
	want, err := json.Marshal(facts)
	if err != nil {
		return err
	}
	if data, err := os.ReadFile(file); err == nil {
		old, err := apischema.ReadFacts(bytes.NewReader(data))
		if err == nil {
			if have, err := json.Marshal(old); err == nil && bytes.Equal(have, want) {
				return nil
			}
		}
	}
	var buf bytes.Buffer
	if err := facts.Write(&buf); err != nil {
		return err
	}
	return os.WriteFile(file, buf.Bytes(), 0o644)
}

// read decodes a file after making its flags booleans: Perl writes a true one as
// true, 1 or "1".
func read(file string, v any) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var tree any
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	if err := dec.Decode(&tree); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	fixFlags(tree)
	if data, err = json.Marshal(tree); err != nil {
		return err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return nil
}

func fixFlags(tree any) {
	switch t := tree.(type) {
	case []any:
		for _, e := range t {
			fixFlags(e)
		}
	case map[string]any:
		for k, v := range t {
			fixFlags(v)
			if k != "optional" && k != "default_key" {
				continue
			}
			switch fmt.Sprint(v) {
			case "1", "true":
				t[k] = true
			case "0", "false":
				t[k] = false
			}
		}
	}
}
