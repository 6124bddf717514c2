package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pve-mcp/pve-mcp/pve/apischema"
	"github.com/pve-mcp/pve-mcp/pve/apischema/viewer"
)

// wantThings are the facts of testdata/apidoc.js, by endpoint.
var wantThings = map[string]string{
	"GET /things": `{"method":"GET","path":"/things","permissions":{"user":"all"},"returns":{"type":"array","items":{"type":"object","properties":` +
		`{"net[n]":{"type":"string","optional":true,"format":{"bridge":{"type":"string","default_key":true},"virtio":{"alias":"macaddr","keyAlias":"model"}}}}}}}`,
	"POST /things": `{"method":"POST","path":"/things","params":{` +
		`"content":{"type":"string","optional":true},` +
		`"net[n]":{"type":"string","optional":true},` +
		`"newthing[n]":{"type":"string","optional":true},` +
		`"path":{"type":"string","optional":true},` +
		`"port":{"type":"string","optional":true,"enum":["any","none"]},` +
		`"type":{"type":"string","enum":["dir","nfs"]}},"closed":true,"returns":{"type":"object"}}`,
	"PUT /things": `{"method":"PUT","path":"/things","params":{` +
		`"affinity":{"type":"string","optional":true,"enum":["positive","negative"]},` +
		`"comment":{"type":"string","optional":true},` +
		`"nodes":{"type":"string","optional":true},` +
		`"resources":{"type":"string"},` +
		`"rule":{"type":"string"},` +
		`"type":{"type":"string","enum":["node-affinity","resource-affinity"]}},"closed":true,"permissions":{"check":["perm","/",["Sys.Console"]]}}`,
	"DELETE /things/{thing}": `{"method":"DELETE","path":"/things/{thing}","params":{"thing":{"type":"string","format":"pve-configid"}},"closed":true,` +
		`"returns":{"type":"null"},"notoken":true}`,
	"GET /things/{thing}": `{"method":"GET","path":"/things/{thing}","params":{` +
		`"count":{"type":"number","optional":true,"minimum":0.5,"maximum":65535,"maxLength":5,"requires":"format"},` +
		`"format":{"type":"string","enum":["a","2"]},` +
		`"optional":{"type":"boolean","optional":true,"default":0}},"closed":true,` +
		`"permissions":{"check":["or",["perm","/vms/{vmid}",["VM.Audit","VM.Monitor"],"any",1],["userid-param","self"]]},"protected":true,"proxyto":"node"}`,
}

func sample(t *testing.T) []byte {
	t.Helper()
	script, err := os.ReadFile(filepath.Join("testdata", "apidoc.js"))
	if err != nil {
		t.Fatal(err)
	}
	return script
}

// factsOf shows endpoints as they are written to the facts.
func factsOf(t *testing.T, endpoints []*apischema.Endpoint) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, ep := range endpoints {
		data, err := json.Marshal(ep)
		if err != nil {
			t.Fatal(err)
		}
		out[ep.Method+" "+ep.Path] = string(data)
	}
	return out
}

func TestViewer(t *testing.T) {
	script := string(sample(t))
	for name, give := range map[string]string{
		"PVE 7 and later": script,
		"PVE 6":           strings.Replace(script, "const apiSchema = [", "var pveapi = [", 1),
		"one line":        strings.Replace(script, "const apiSchema = [", "let apiSchema=[", 1),
	} {
		shown, err := viewer.Read([]byte(give))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(wantThings, factsOf(t, shown.Endpoints)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	for name, give := range map[string]string{
		"no API description":  "const other = [{}];",
		"the tree of paths":   script[:len(script)/2],
		"without endpoints":   "const apiSchema = [];",
		"unknown kind":        strings.Replace(script, `"userid-param"`, `"by-moon"`, 1),
		"GET /things/{thing}": strings.Replace(script, `"65535"`, `"none"`, 1),
	} {
		if _, err := viewer.Read([]byte(give)); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A version that is known from its viewer alone has the formats and indices of one
// that is known better.
func TestGenerateFromViewer(t *testing.T) {
	dir := t.TempDir()
	known := &apischema.Facts{Major: 9, Formats: map[string]*apischema.Format{"pve-configid": nil}, Highest: map[string]int{"net": 31}}
	if err := write(factsFile(dir, 9), known); err != nil {
		t.Fatal(err)
	}
	if err := generateFromViewer(filepath.Join("testdata", "apidoc.js"), dir, 10, 9); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(factsFile(dir, 10))
	if err != nil {
		t.Fatal(err)
	}
	facts, err := apischema.ReadFacts(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(wantThings, factsOf(t, facts.Endpoints)); diff != "" || facts.Major != 10 || facts.Highest["net"] != 31 {
		t.Errorf("PVE %d, %v (-want +got):\n%s", facts.Major, facts.Highest, diff)
	}
	if diff := cmp.Diff([]string{"newthing[n]"}, unbounded(facts)); diff != "" {
		t.Errorf("without a highest index (-want +got):\n%s", diff)
	}
	api := apischema.New(facts)
	ep, params, ok := api.Find("GET", "/things/x")
	if !ok {
		t.Fatal("no such endpoint")
	}
	params["format"], params["count"] = "b", "70000"
	if _, err := api.Validate(ep, params); err == nil || !strings.Contains(err.Error(), "maximum value of 65535") || !strings.Contains(err.Error(), "'a, 2'") {
		t.Errorf("%v", err)
	}
}

// What is known of PVE's API, written as a viewer's script, reads as the same.
func TestViewerOfKnownFacts(t *testing.T) {
	for _, file := range []string{factsFile("..", 8), factsFile("..", 9)} {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		facts, err := apischema.ReadFacts(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		var tree []any
		for _, ep := range facts.Endpoints {
			info := map[string]any{
				"parameters":  &apischema.Schema{Properties: ep.Params, Closed: ep.Closed},
				"permissions": ep.Permissions, "protected": ep.Protected, "proxyto": ep.ProxyTo, "allowtoken": !ep.NoToken,
			}
			if ep.Returns != nil {
				info["returns"] = ep.Returns
			}
			tree = append(tree, map[string]any{"path": ep.Path, "info": map[string]any{ep.Method: info}})
		}
		if data, err = json.Marshal(tree); err != nil {
			t.Fatal(err)
		}
		var plain any
		if err := json.Unmarshal(data, &plain); err != nil {
			t.Fatal(err)
		}
		if data, err = json.Marshal(perl(plain)); err != nil {
			t.Fatal(err)
		}
		got, err := viewer.Read(append([]byte("const apiSchema = "), data...))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(factsOf(t, facts.Endpoints), factsOf(t, got.Endpoints)); diff != "" {
			t.Errorf("%s (-facts +viewer):\n%s", file, diff)
		}
	}
}

// perl writes booleans as Perl does, and closed as PVE does.
func perl(v any) any {
	switch v := v.(type) {
	case bool:
		if v {
			return 1
		}
		return 0
	case []any:
		for i := range v {
			v[i] = perl(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = perl(v[k])
		}
		if v["closed"] == 1 {
			delete(v, "closed")
			v["additionalProperties"] = 0
		}
	}
	return v
}
