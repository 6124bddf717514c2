package pvesim_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pve-mcp/pve-mcp/pvesim"
)

// ask sends a request to a server and returns the status and the data or the reason.
func ask(t *testing.T, client *http.Client, method, url string) (string, any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var answer struct{ Data any }
	if err := json.Unmarshal(body, &answer); len(body) > 0 && err != nil {
		t.Fatal(err)
	}
	return resp.Status, answer.Data
}

func TestNewServesUntilTheTestEnds(t *testing.T) {
	var url string
	var client *http.Client
	t.Run("test", func(t *testing.T) {
		server := pvesim.New(t, pvesim.WithModel(pvesim.Lab()), pvesim.WithClock(pvesim.NewVirtual(time.Unix(1_800_000_000, 0))))
		url, client = server.URL, server.Client()
		status, data := ask(t, client, "GET", url+"/api2/json/nodes")
		if nodes, ok := data.([]any); status != "200 OK" || !ok || len(nodes) != 1 {
			t.Errorf("%s, %v; want the lab's node", status, data)
		}
		if got := server.Sim.Now().Unix(); got != 1_800_000_000 {
			t.Errorf("the cluster's time is %d", got)
		}
		if got := server.Sim.Requests(); len(got) != 1 || got[0].User != server.Token.ID {
			t.Errorf("requests: %v", got)
		}
		if got := strings.Count(server.Fingerprint, ":"); got != 31 {
			t.Errorf("fingerprint %s", server.Fingerprint)
		}
	})
	if _, err := client.Get(url + "/api2/json/version"); err == nil {
		t.Error("it serves after the test")
	}
}

func TestHandle(t *testing.T) {
	w := newWorld(t, pvesim.Cluster())
	changelog := "/nodes/pve2/apt/changelog?name=pve-manager"
	w.story(`GET ` + changelog + ` => 501 Method 'GET /nodes/{node}/apt/changelog' not implemented by pvesim`)
	w.sim.Handle("GET /nodes/{node}/apt/changelog", func(c *pvesim.Call) (any, error) { return c.Param("name") + " of " + c.Node(), nil })
	w.story(`GET ` + changelog + ` => pve-manager of pve2`)
	w.sim.Handle("GET /nodes/{node}/hardware/pci", func(c *pvesim.Call) (any, error) {
		return []map[string]string{{"id": "0000:01:00.0", "vendor": c.Node()}}, nil
	})
	w.sim.Handle("GET /version", func(c *pvesim.Call) (any, error) {
		data, err := c.Simulated()
		if fields, ok := data.(map[string]any); ok {
			fields["release"] = "9.9 for " + c.User()
		}
		return data, err
	})
	w.sim.Handle("POST /nodes/{node}/plugins/{plugin}/run", func(c *pvesim.Call) (any, error) {
		switch c.Param("plugin") {
		case "none":
			return nil, pvesim.Refusal(404, "no such plugin")
		case "broken":
			return nil, errors.New("it is broken")
		}
		return c.StartTask("plugin", c.Param("plugin"), 3*time.Second, "WARNINGS: "+c.Param("warnings"), "running"), nil
	})
	w.story(`
		GET /nodes/pve2/hardware/pci#0000:01:00.0#vendor   => pve2
		GET /version#release                               => 9.9 for root@pam!full
		POST /nodes/pve3/plugins/mine/run?warnings=2       => WARNINGS: 2
		POST /nodes/pve3/plugins/none/run                  => 404 no such plugin
		POST /nodes/pve3/plugins/broken/run                => 500 it is broken
		POST /nodes/pve9/plugins/mine/run                  => 500 hostname lookup 'pve9' failed - failed to get address info for: pve9: Name or service not known
		GET /nodes/pve3/plugins/mine/run                   => 501 Method 'GET /nodes/pve3/plugins/mine/run' not implemented
		GET /nodes/pve2/hardware/pci?verbose=2             => 400 Parameter verification failed. verbose: type check ('boolean') failed - got '2'
		as none@pve!mcp
		GET /nodes/pve2/hardware/pci                       => 403 Permission check failed (/, Sys.Audit|Sys.Modify)
	`)
}

// What PVE checks in code is checked before a function that answers instead, too.
func TestHandleKeepsChecks(t *testing.T) {
	w := newWorld(t, pvesim.Cluster())
	w.sim.Handle("POST /nodes/{node}/startall", func(*pvesim.Call) (any, error) { return nil, nil })
	w.story(`
		POST /nodes/pve1/startall       => null
		as none@pve!mcp
		POST /nodes/pve1/startall       => 403 Permission check failed (/, VM.PowerMgmt)
	`)
}

func TestHandleRefusesOddPatterns(t *testing.T) {
	w := newWorld(t, pvesim.Lab())
	for _, pattern := range []string{"", "/version", "GET version", "get /version", "GET /version?a", "GET  /version"} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("the pattern %q is accepted", pattern)
				}
			}()
			w.sim.Handle(pattern, func(*pvesim.Call) (any, error) { return nil, nil })
		}()
	}
}
