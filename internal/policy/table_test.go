package policy_test

import (
	"cmp"
	"net/http"
	"net/url"
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

// What a row says can be shown to a person: what is changed, by parameters that there are, and
// why. A deletion is destructive.
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
		if e.Method == http.MethodDelete && !e.Destroys && !e.Access && !e.Never && !slices.Contains(deletions, key) {
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

// subjectParams name what an endpoint changes, the most exact first.
var subjectParams = []string{"volume", "vmid", "sid", "poolid", "upid", "storage", "node"}

// Where a path or the parameters say what a request changes, its row does, too: so somebody
// can consent to it, and rules can name it.
func TestSubjectsAreWhatParametersName(t *testing.T) {
	t.Parallel()
	// What belongs to the whole cluster is changed on one of its nodes.
	ofCluster := regexp.MustCompile(`^(ceph (cluster|fs/|mds/|mgr/|mon/|osd/|pool/))`)
	for _, e := range policy.Table() {
		if e.Reads || e.Never {
			continue
		}
		i := slices.IndexFunc(subjectParams, func(name string) bool { return strings.Contains(e.Path, "{"+name+"}") })
		switch {
		case e.Subject == "":
			t.Errorf("%s %s has no subject", e.Method, e.Path)
		case strings.Contains(e.Subject, "{volume}"): // which says the storage, too
		case strings.HasSuffix(e.Path, "/clone") && e.Subject == "guest {newid}", ofCluster.MatchString(e.Subject):
		case subjectParams[max(i, 0)] == "node" && strings.Contains(e.Subject, "{"): // of something on the node
		case i >= 0 && !strings.Contains(e.Subject, "{"+subjectParams[i]+"}"):
			t.Errorf("%s %s: its subject %q leaves out {%s}", e.Method, e.Path, e.Subject, subjectParams[i])
		}
	}
}

// guestFormats are the formats of parameters that name guests, with 103 in each.
var guestFormats = map[string]string{
	"pve-vmid": "103", "pve-vmid-list": "100,103", "pve-ha-resource-or-vm-id": "vm:103", "pve-ha-resource-id": "vm:103",
	"pve-ha-resource-id-list": "ct:100,vm:103", "pve-replication-job-id": "103-0",
}

// A protected guest is not changed, whatever parameter of whatever endpoint names it.
func TestEveryParameterThatNamesGuests(t *testing.T) {
	t.Parallel()
	seen := 0
	for _, major := range []int{8, 9} {
		api, err := apischema.Load(major)
		if err != nil {
			t.Fatal(err)
		}
		for _, ep := range api.Endpoints() {
			if ep.Method == http.MethodGet {
				continue
			}
			for name, schema := range ep.Params {
				value := ""
				switch {
				case name == "exclude": // names what is left as it is
				case name == "vms" || name == "resources":
					value = "103"
				case schema.Format != nil:
					value = guestFormats[schema.Format.Name]
				}
				if value == "" {
					continue
				}
				seen++
				got := try(t.Context(), t, rules(t, "103", ""), ep.Method, requestNaming(ep, name, value))
				cloned := strings.HasSuffix(ep.Path, "/clone") && name == "vmid"
				looked := strings.HasSuffix(ep.Path, "qemu/{vmid}/vncproxy") || strings.HasSuffix(ep.Path, "qemu/{vmid}/termproxy")
				neverSent := slices.ContainsFunc(policy.Table(), func(c policy.Classified) bool {
					return c.Never && c.Method == ep.Method && slices.Contains(paths(c.Path), ep.Path)
				})
				if !cloned && !looked && !neverSent && !strings.Contains(got, "guest 103") {
					t.Errorf("PVE %d: %s %s with %s=%s: %q", major, ep.Method, ep.Path, name, value, got)
				}
			}
		}
	}
	t.Logf("%d parameters", seen)
	if seen < 200 {
		t.Errorf("%d parameters name guests: the formats have other names by now", seen)
	}
}

// requestNaming is a request to an endpoint with one parameter, and something harmless in
// the rest of its path.
func requestNaming(ep *apischema.Endpoint, name, value string) string {
	path := ep.Path
	if !strings.Contains(path, "{"+name+"}") {
		path += "?" + url.Values{name: {value}}.Encode()
	}
	return regexp.MustCompile(`\{.*?\}`).ReplaceAllStringFunc(path, func(in string) string {
		if in == "{"+name+"}" {
			return value
		}
		harmless := map[string]string{"{vmid}": "100", "{sid}": "vm:100", "{id}": "100-0", "{node}": "a", "{volume}": "s:iso%2Fx.iso"}[in]
		return cmp.Or(harmless, "x")
	})
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

// paths returns the paths that match a path of the table.
func paths(path string) []string {
	if !strings.Contains(path, "qemu|lxc") {
		return []string{path}
	}
	return []string{strings.ReplaceAll(path, "qemu|lxc", "qemu"), strings.ReplaceAll(path, "qemu|lxc", "lxc")}
}
