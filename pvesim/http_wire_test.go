package pvesim_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pve-mcp/pve-mcp/pvesim"
)

func TestUnservedEndpointsAreStrictToo(t *testing.T) {
	w := newWorld(t, pvesim.Cluster())
	for _, tt := range []struct {
		form   string
		status int
		reason string
	}{
		{"bogus=1", 400, "Parameter verification failed."},
		{"", 501, "Method 'POST /nodes/{node}/apt/update' not implemented by pvesim"},
	} {
		form, _ := url.ParseQuery(tt.form)
		if r := w.do("POST", "/nodes/pve2/apt/update", form); r.Status != tt.status || r.Reason != tt.reason {
			t.Errorf("%s: %d %q", tt.form, r.Status, r.Reason)
		}
	}
}

func TestWire(t *testing.T) {
	w := newWorld(t, pvesim.Cluster())
	auth := http.Header{"Authorization": {w.model.Token("root@pam!full").Header()}}
	for _, tt := range []struct {
		name string
		req  pvesim.Request
		want int
	}{
		{"method", pvesim.Request{Method: "PATCH", Path: "/api2/json/version"}, 501},
		{"chunked", pvesim.Request{Method: "POST", Path: "/api2/json/version", Chunked: true}, 501},
		{"other format", pvesim.Request{Method: "GET", Path: "/api2/yaml/version"}, 501},
		{"body too large", pvesim.Request{Method: "PUT", Path: "/api2/json/nodes/pve1/qemu/100/config", Body: make([]byte, 513<<10)}, 501},
		{"value ends at a second =", pvesim.Request{Method: "GET", Path: "/api2/json/cluster/resources", Query: "type=vm=x"}, 200},
		{"; separates", pvesim.Request{Method: "GET", Path: "/api2/json/cluster/resources", Query: "type=vm;_dc=1"}, 200},
		{"conflict with the path", pvesim.Request{Method: "GET", Path: "/api2/json/nodes/pve1/status", Query: "node=pve2"}, 400},
		{"same as the path", pvesim.Request{Method: "GET", Path: "/api2/json/nodes/pve1/status", Query: "node=pve1"}, 200},
		{"without a value", pvesim.Request{Method: "GET", Path: "/api2/json/cluster/resources", Query: "type"}, 200},
		{"with an empty value", pvesim.Request{Method: "GET", Path: "/api2/json/cluster/resources", Query: "type="}, 400},
		{"escaped token", pvesim.Request{Method: "GET", Path: "/api2/json/version", Header: http.Header{"Authorization": {
			strings.ReplaceAll(auth.Get("Authorization"), "!", "%21")}}}, 200},
	} {
		if tt.req.Header == nil {
			tt.req.Header = auth
		}
		resp, err := w.sim.Do(t.Context(), tt.req)
		if err != nil {
			t.Fatal(err)
		}
		if resp.Status != tt.want {
			t.Errorf("%s: %d %s, want %d", tt.name, resp.Status, resp.Reason, tt.want)
		}
	}
}

// Over TLS the reason phrase arrives, and a connection is kept for the next request
// until one is refused.
func TestServe(t *testing.T) {
	w := newWorld(t, pvesim.Lab())
	server := httptest.NewTLSServer(w.sim)
	defer server.Close()
	call := func(path string) (*http.Response, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), "GET", server.URL+"/api2/json"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", w.model.Token("root@pam!full").Header())
		resp, err := server.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp, string(body)
	}
	for range 3 {
		if resp, body := call("/version"); resp.Status != "200 OK" || !strings.Contains(body, "9.0.11") || resp.Close {
			t.Errorf("%s %s, close %v", resp.Status, body, resp.Close)
		}
	}
	if resp, _ := call("/nodes/pve/lxc/999/config"); resp.Status != "500 Configuration file 'nodes/pve/lxc/999.conf' does not exist" || !resp.Close {
		t.Errorf("%s, close %v", resp.Status, resp.Close)
	}
}

func TestScaledClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock, real := pvesim.Scaled(10), time.Now()
		before := clock.Now()
		if err := clock.Sleep(t.Context(), time.Minute); err != nil {
			t.Fatal(err)
		}
		if got := clock.Now().Sub(before); got != time.Minute {
			t.Errorf("%v of the clock's time have passed", got)
		}
		if got := time.Since(real); got != 6*time.Second {
			t.Errorf("%v have passed", got)
		}
	})
}

func TestModelsThatDoNotHold(t *testing.T) {
	for want, change := range map[string]func(*pvesim.Model){
		"guest 100: there are two":     func(m *pvesim.Model) { m.Guests = append(m.Guests, m.Guests[0]) },
		`there is no node "pve7"`:      func(m *pvesim.Model) { m.Guests[0].Node = "pve7" },
		"neither qemu nor lxc":         func(m *pvesim.Model) { m.Guests[0].Kind = "vm" },
		"there is no user x@pve":       func(m *pvesim.Model) { m.Tokens[0].ID = "x@pve!t" },
		"there is no role PVEEverythi": func(m *pvesim.Model) { m.ACL[0].Role = "PVEEverything" },
		"no API description of PVE 6":  func(m *pvesim.Model) { m.PVE = "6.4" },
		"a model needs a node":         func(m *pvesim.Model) { m.Nodes = nil },
	} {
		m := pvesim.Cluster()
		change(&m)
		if _, err := pvesim.NewSim(m, pvesim.Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
