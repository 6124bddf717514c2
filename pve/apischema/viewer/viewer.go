// Package viewer reads what a node of Proxmox VE shows of its API in its own API viewer:
// every endpoint that it has, and its words about them.
package viewer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/lazyregexp"
	"github.com/pve-mcp/pve-mcp/pve/apischema"
)

// Description is what a node shows of its API.
type Description struct {
	// Endpoints are sorted by path, then method.
	Endpoints []*apischema.Endpoint
	// Texts are the node's own words about an endpoint, by method and path.
	Texts map[string]Text
}

// Text is what a node says of an endpoint, and of its parameters by name.
type Text struct {
	Endpoint string
	Params   map[string]string
}

// viewed is a node of the viewer's tree of paths.
type viewed struct {
	Path string `json:"path"`
	Info map[string]struct {
		Description string                 `json:"description"`
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
var treeRE = lazyregexp.New(`(?m)^\s*(?:var|let|const)\s+(?:apiSchema|pveapi)\s*=\s*\[`)

// Read reads the tree in the viewer's script, which is JSON, and nothing of the code around
// it.
func Read(script []byte) (*Description, error) {
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
	d := &Description{Texts: map[string]Text{}}
	if err := d.add(tree); err != nil {
		return nil, err
	}
	if len(d.Endpoints) == 0 {
		return nil, errors.New("a tree without endpoints")
	}
	slices.SortFunc(d.Endpoints, func(a, b *apischema.Endpoint) int {
		return strings.Compare(a.Path+" "+a.Method, b.Path+" "+b.Method)
	})
	return d, nil
}

func (d *Description) add(tree []viewed) error {
	for _, n := range tree {
		for method, info := range n.Info {
			ep := &apischema.Endpoint{
				Method: method, Path: n.Path, Permissions: info.Permissions,
				Protected: truth(info.Protected), ProxyTo: info.ProxyTo, NoToken: info.AllowToken != nil && !truth(info.AllowToken),
			}
			var params *apischema.Schema
			err := errors.Join(convert(info.Parameters, &params), convert(info.Returns, &ep.Returns))
			if err != nil {
				return fmt.Errorf("%s %s: %w", method, n.Path, err)
			}
			if params != nil {
				ep.Params, ep.Closed = params.Properties, params.Closed
			}
			d.Endpoints = append(d.Endpoints, ep)
			d.Texts[method+" "+n.Path] = Text{Endpoint: info.Description, Params: textsOf(info.Parameters)}
		}
		if err := d.add(n.Children); err != nil {
			return err
		}
	}
	return nil
}

// textsOf are the descriptions of parameters.
func textsOf(parameters map[string]any) map[string]string {
	properties, _ := parameters["properties"].(map[string]any)
	out := map[string]string{}
	for name := range properties {
		if p, ok := property(parameters, name); ok {
			if text, _ := p["description"].(string); text != "" {
				out[name] = text
			}
		}
	}
	return out
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
			list, ok := v.([]any)
			if !ok { // PVE writes null if the words depend on the node
				continue
			}
			words := []string{}
			for _, e := range list {
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
