package policy_test

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/pve/apischema"
)

// deletions are the DELETEs that take away what can be made again.
var deletions = []string{"DELETE /nodes/{node}/tasks/{upid}"}

// Each endpoint of PVE has one row, and no row is about anything else.
func TestEveryEndpointIsClassified(t *testing.T) {
	t.Parallel()
	rows := map[string]int{}
	for _, e := range policy.Table() {
		for _, path := range paths(e.Path) {
			rows[e.Method+" "+path]++
		}
	}
	described := map[string]bool{}
	for _, major := range []int{8, 9} {
		api, err := apischema.Load(major)
		if err != nil {
			t.Fatal(err)
		}
		for _, ep := range api.Endpoints() {
			key := ep.Method + " " + ep.Path
			described[key] = true
			if rows[key] != 1 {
				t.Errorf("PVE %d: %s has %d rows", major, key, rows[key])
			}
		}
	}
	for key := range rows {
		if !described[key] {
			t.Errorf("%s is no endpoint of PVE", key)
		}
	}
	t.Logf("%d endpoints", len(rows))
}

// What a row says can be told to somebody: what is changed, by parameters that there are,
// and why. A deletion is destructive.
func TestRowsSayWhatIsChanged(t *testing.T) {
	t.Parallel()
	api, err := apischema.Load(9)
	if err != nil {
		t.Fatal(err)
	}
	older, err := apischema.Load(8)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range policy.Table() {
		key := e.Method + " " + e.Path
		path := paths(e.Path)[0]
		if !e.Reads && (e.Why == "" || e.Subject == "" && !e.Never) {
			t.Errorf("%s: subject %q, because %q", key, e.Subject, e.Why)
		}
		if e.Method == http.MethodDelete && !e.Destroys && !e.Never && !slices.Contains(deletions, key) {
			t.Errorf("%s: a deletion that needs no consent", key)
		}
		ep := api.Endpoint(e.Method, path)
		if ep == nil {
			ep = older.Endpoint(e.Method, path)
		}
		for _, m := range regexp.MustCompile(`\{(.*?)\}`).FindAllStringSubmatch(e.Subject, -1) {
			if ep.Closed && ep.Params[m[1]] == nil {
				t.Errorf("%s: its subject %q names a parameter that it does not take", key, e.Subject)
			}
		}
	}
}

// What is said of parameters is said of an endpoint in the table.
func TestDetailsAreOfEndpoints(t *testing.T) {
	t.Parallel()
	for _, key := range policy.Details() {
		if !slices.ContainsFunc(policy.Table(), func(e policy.Classified) bool { return e.Method+" "+e.Path == key }) {
			t.Errorf("%s has no row", key)
		}
	}
}

// paths are those that a path of the table stands for.
func paths(path string) []string {
	if !strings.Contains(path, "qemu|lxc") {
		return []string{path}
	}
	return []string{strings.ReplaceAll(path, "qemu|lxc", "qemu"), strings.ReplaceAll(path, "qemu|lxc", "lxc")}
}
