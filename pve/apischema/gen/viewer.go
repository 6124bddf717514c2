package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/pve/apischema"
)

// generateFromViewer makes the facts of a major version from the API viewer's data of
// one of its nodes. What is not in there, the named formats and the highest index of
// an indexed parameter, is taken from the facts of the major version like.
func generateFromViewer(file, out string, major, like int) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	endpoints, err := parseViewer(data)
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
	facts.Major, facts.Endpoints = major, endpoints
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

// viewed is a node of the viewer's tree of paths.
type viewed struct {
	Path string `json:"path"`
	Info map[string]struct {
		Parameters  map[string]any         `json:"parameters"`
		Returns     map[string]any         `json:"returns"`
		Permissions *apischema.Permissions `json:"permissions"`
		Protected   any                    `json:"protected"`
		ProxyTo     string                 `json:"proxyto"`
		AllowToken  any                    `json:"allowtoken"` // absent in old versions, where all took tokens
	} `json:"info"`
	Children []viewed `json:"children"`
}

// treeRE is the start of the tree in the viewer's script: apiSchema from PVE 7 on,
// pveapi before.
var treeRE = regexp.MustCompile(`(?m)^\s*(?:var|let|const)\s+(?:apiSchema|pveapi)\s*=\s*\[`)

// parseViewer reads the tree, which is JSON, and nothing of the code around it.
func parseViewer(script []byte) ([]*apischema.Endpoint, error) {
	at := treeRE.FindIndex(script)
	if at == nil {
		return nil, errors.New("no API description: apidoc.js of a node assigns one to apiSchema")
	}
	dec := json.NewDecoder(bytes.NewReader(script[at[1]-1:]))
	dec.UseNumber()
	var tree []viewed
	if err := dec.Decode(&tree); err != nil {
		return nil, fmt.Errorf("the tree of paths: %w", err)
	}
	endpoints, err := flatten(tree)
	if err == nil && len(endpoints) == 0 {
		err = errors.New("a tree without endpoints")
	}
	sortEndpoints(endpoints)
	return endpoints, err
}

func flatten(tree []viewed) ([]*apischema.Endpoint, error) {
	var out []*apischema.Endpoint
	for _, n := range tree {
		for method, info := range n.Info {
			ep := &apischema.Endpoint{
				Method: method, Path: n.Path, Permissions: info.Permissions,
				Protected: truth(info.Protected), ProxyTo: info.ProxyTo, NoToken: info.AllowToken != nil && !truth(info.AllowToken),
			}
			var params *apischema.Schema
			err := errors.Join(convert(info.Parameters, &params), convert(info.Returns, &ep.Returns))
			if err != nil {
				return nil, fmt.Errorf("%s %s: %w", method, n.Path, err)
			}
			if params != nil {
				ep.Params, ep.Closed = params.Properties, params.Closed
			}
			out = append(out, ep)
		}
		below, err := flatten(n.Children)
		if err != nil {
			return nil, err
		}
		out = append(out, below...)
	}
	return out, nil
}

// convert makes a schema of one of the viewer's; none stays none.
func convert(raw map[string]any, schema **apischema.Schema) error {
	if raw == nil {
		return nil
	}
	data, err := json.Marshal(clean(raw))
	if err != nil {
		return err
	}
	return json.Unmarshal(data, schema)
}

// clean writes a schema as the facts have it: flags and numbers, which Perl writes as
// either or as strings, as what they are, and choices between schemas as one.
func clean(raw map[string]any) map[string]any {
	out := map[string]any{}
	for key, v := range whole(raw) {
		switch key {
		case "optional", "default_key":
			out[key] = truth(v)
		case "additionalProperties":
			out["closed"] = !truth(v)
		case "minimum", "maximum", "minLength", "maxLength":
			out[key] = json.Number(fmt.Sprint(v))
		case "enum":
			words := []string{}
			for _, e := range v.([]any) {
				words = append(words, fmt.Sprint(e))
			}
			out[key] = words
		case "items":
			out[key] = cleanIfSchema(v)
		case "properties", "format":
			out[key] = v
			if schemas, ok := v.(map[string]any); ok {
				cleaned := map[string]any{}
				for name, s := range schemas {
					cleaned[name] = cleanIfSchema(s)
				}
				out[key] = cleaned
			}
		case "type", "pattern", "default", "requires", "alias", "keyAlias":
			out[key] = v
		}
	}
	return out
}

func cleanIfSchema(v any) any {
	if schema, ok := v.(map[string]any); ok {
		return clean(schema)
	}
	return v
}

// truth is Perl's.
func truth(v any) bool {
	text := fmt.Sprint(v)
	return v != nil && text != "" && text != "0" && text != "false"
}
