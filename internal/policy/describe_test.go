package policy_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/pve-mcp/pve-mcp/internal/policy"
)

// What the table says of a request, by its parameters, too.
func TestDescribe(t *testing.T) {
	for _, tt := range []struct {
		method, path, params string
		want                 policy.Risk
		plain, secret, never bool
	}{
		{method: "GET", path: "cluster/backup", plain: true},
		{method: "GET", path: "nodes/{node}/qemu/{vmid}/config", plain: true, secret: true},
		{method: "GET", path: "nodes/pve1/lxc/200/config", plain: true, secret: true},
		{method: "GET", path: "nodes/pve1/disks/list", want: policy.Write},
		{method: "GET", path: "nodes/pve1/disks/list", params: "skipsmart=1", plain: true},
		{method: "GET", path: "nodes/pve1/qemu/100/agent/file-read", want: policy.Exec},
		{method: "GET", path: "nodes/pve1/rrd", never: true},
		{method: "PUT", path: "nodes/pve1/qemu/100/config", params: "cores=2", want: policy.Write},
		{method: "PUT", path: "nodes/pve1/qemu/100/config", params: "delete=unused0", want: policy.Destructive},
		{method: "DELETE", path: "storage/nfs", want: policy.Destructive},
		{method: "PUT", path: "access/acl", want: policy.Access},
		{method: "POST", path: "nodes/pve1/execute", want: policy.Destructive, never: true},
	} {
		params, err := url.ParseQuery(tt.params)
		if err != nil {
			t.Fatal(err)
		}
		got, ok := policy.Describe(tt.method, strings.Split(tt.path, "/"), params)
		if !ok || got.Risk != tt.want && !tt.never || got.IsPlainRead() != tt.plain || got.Secret != tt.secret || (got.Never != "") != tt.never {
			t.Errorf("%s %s %s: %+v, %v", tt.method, tt.path, tt.params, got, ok)
		}
	}
	if got, ok := policy.Describe("GET", []string{"cluster", "moons"}, nil); ok {
		t.Errorf("what the table does not have is %+v", got)
	}
}

// reached is a wire that tells of what came through.
type reached struct{ n int }

func (r *reached) RoundTrip(*http.Request) (*http.Response, error) {
	r.n++
	return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
}

// Of what is not below /api2/json, the guard lets exactly one read pass, without the token.
func TestGuardLetsTheViewerPass(t *testing.T) {
	for _, tt := range []struct {
		method, url, token string
		passes             bool
	}{
		{method: "GET", url: "https://pve1:8006/pve-docs/api-viewer/apidoc.js", passes: true},
		{method: "GET", url: "https://proxy/pve/pve-docs/api-viewer/apidoc.js", passes: true},
		{method: "GET", url: "https://pve1:8006/pve-docs/api-viewer/apidoc.js", token: "PVEAPIToken=x"},
		{method: "GET", url: "https://pve1:8006/pve-docs/api-viewer/apidoc.js?x=1"},
		{method: "POST", url: "https://pve1:8006/pve-docs/api-viewer/apidoc.js"},
		{method: "DELETE", url: "https://pve1:8006/pve-docs/api-viewer/apidoc.js"},
		{method: "GET", url: "https://pve1:8006/pve-docs/api-viewer/%61pidoc.js"},
		{method: "GET", url: "https://pve1:8006/pve-docs/index.html"},
		{method: "GET", url: "https://pve1:8006/api2/json/nodes/pve1/execute/pve-docs/api-viewer/apidoc.js"},
		{method: "GET", url: "https://pve1:8006/"},
	} {
		wire := &reached{}
		req, err := http.NewRequestWithContext(t.Context(), tt.method, tt.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		if tt.token != "" {
			req.Header.Set("Authorization", tt.token)
		}
		g := &policy.Guard{}
		resp, err := g.Transport(wire).RoundTrip(req)
		if err == nil {
			resp.Body.Close()
		}
		if (err == nil) != tt.passes || (wire.n == 1) != tt.passes {
			t.Errorf("%s %s: %v, %d sent", tt.method, tt.url, err, wire.n)
		}
	}
}
