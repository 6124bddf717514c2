package policy_test

import (
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/pve/apischema"
)

// NUL is between the variables of a container's environment, and in no other parameter of
// PVE's API.
func TestEnvironmentOfContainers(t *testing.T) {
	const odd = "a parameter is no text"
	env := func(value string) string { return "?" + url.Values{"env": {value}}.Encode() }
	for _, tt := range []struct{ method, target, reason string }{
		{"PUT", "/nodes/a/lxc/104/config" + env("TZ=UTC\x00MOTD=a b, c=d;\x00EMPTY="), sent},
		{"PUT", "/nodes/a/lxc/104/config" + env("TZ=UTC"), sent},
		{"POST", "/nodes/a/lxc" + env("TZ=UTC\x00A=b") + "&vmid=999", sent},
		{"PUT", "/nodes/a/lxc/104/config" + env("TZ=UTC\x00"), odd},
		{"PUT", "/nodes/a/lxc/104/config" + env("TZ=UTC\x00\x00A=b"), odd},
		{"PUT", "/nodes/a/lxc/104/config" + env("TZ=UTC\x00unused0"), odd},
		{"PUT", "/nodes/a/lxc/104/config" + env("A=b\x00B=c\nlxc.init.cmd: /x"), odd},
		{"PUT", "/nodes/a/lxc/104/config" + env("A=b\nlxc.init.cmd: /x"), odd},
		{"PUT", "/nodes/a/lxc/104/config?description=A%3Db%00C%3Dd", odd},
		{"PUT", "/nodes/a/lxc/104/config?delete=A%3Db%00unused0", odd},
		{"PUT", "/nodes/a/qemu/101/config" + env("A=b\x00C=d"), odd},
		{"POST", "/nodes/a/qemu" + env("A=b\x00C=d") + "&vmid=999", odd},
		{"PUT", "/nodes/a/lxc/104/config?A%3Db%00C=d", odd},
	} {
		if got := try(t.Context(), t, rules(t, "103", ""), tt.method, tt.target); got != tt.reason {
			t.Errorf("%s %q: %q, want %q", tt.method, tt.target, got, tt.reason)
		}
	}
}

// Of all parameters of all endpoints, only the environment of a container may have a NUL in
// it, and it is the only one for which PVE has a pattern with one.
func TestNULOfAllParameters(t *testing.T) {
	var passed, patterns []string
	for _, major := range []int{8, 9} {
		api, err := apischema.Load(major)
		if err != nil {
			t.Fatal(err)
		}
		for _, ep := range api.Endpoints() {
			path := regexp.MustCompile(`\{[^}]*\}`).ReplaceAllString(strings.ReplaceAll(ep.Path, "{node}", "a"), "105")
			for _, name := range slices.Sorted(maps.Keys(ep.Params)) {
				name = strings.ReplaceAll(name, "[n]", "0")
				if s := api.Param(ep, name); s != nil && strings.Contains(s.Pattern, `(?:\0`) {
					patterns = append(patterns, ep.Method+" "+ep.Path+" "+name)
				}
				g := &policy.Guard{Policy: policy.Policy{Exec: true, Access: true}}
				if try(t.Context(), t, g, ep.Method, path+"?"+url.Values{name: {"A=b\x00C=d"}}.Encode()) == sent && ep.Method != http.MethodGet {
					passed = append(passed, ep.Method+" "+ep.Path+" "+name)
				}
			}
		}
	}
	want := []string{"POST /nodes/{node}/lxc env", "PUT /nodes/{node}/lxc/{vmid}/config env"}
	if !slices.Equal(patterns, want) {
		t.Errorf("PVE has NUL in %q, want %q", patterns, want)
	}
	if !slices.Equal(passed, want) {
		t.Errorf("NUL passes in %q, want %q", passed, want)
	}
}
