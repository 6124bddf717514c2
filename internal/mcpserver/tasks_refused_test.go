package mcpserver_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/mcpserver/mcptask"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
)

// A client that does not know tasks, or does not want to wait, gets an ordinary answer.
func TestNoTask(t *testing.T) {
	for _, tt := range []struct {
		name    string
		declare bool
		args    string
		outcome string
	}{
		{"not declared", false, `{"vmid":102,"action":"shutdown","wait":40}`, "ok"},
		{"not to be waited for", true, `{"vmid":102,"action":"shutdown","wait":0}`, "running"},
		{"nothing to do", true, `{"vmid":105,"action":"stop"}`, "ok"},
		{"refused", true, `{"vmid":900,"action":"start"}`, "failed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := wired(sim.New(t, sim.Options{}))
				defer c.close()
				c.declare = tt.declare
				res := c.call("pve_guest_power", tt.args)
				if res["resultType"] != "complete" || res["taskId"] != nil || res["structuredContent"].(object)["outcome"] != tt.outcome {
					t.Errorf("%v", res)
				}
			})
		})
	}
}

func TestTaskMethodsRefuse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := wired(sim.New(t, sim.Options{}))
		defer c.close()
		id := c.begin("pve_guest_power", `{"vmid":102,"action":"shutdown"}`)["taskId"]
		for _, method := range []string{mcptask.MethodGet, mcptask.MethodUpdate, mcptask.MethodCancel} {
			if _, failure := c.ask(method, object{"taskId": "no such task"}); failure["code"] != -32602. || !strings.Contains(fmt.Sprint(failure["message"]), "unknown task: The handle is not valid") {
				t.Errorf("%s: %v", method, failure)
			}
			if _, failure := c.ask(method, object{}); failure["code"] != -32602. {
				t.Errorf("%s: %v", method, failure)
			}
			c.declare = false
			if _, failure := c.ask(method, object{"taskId": id}); failure["code"] != -32021. {
				t.Errorf("%s: %v", method, failure)
			}
			c.declare = true
		}
		for _, method := range []string{"tasks/list", "tasks/result"} {
			if _, failure := c.ask(method, object{"taskId": id}); failure["code"] != -32601. {
				t.Errorf("%s: %v", method, failure)
			}
		}
		if ack, failure := c.ask(mcptask.MethodUpdate, object{"taskId": id, "inputResponses": object{"x": object{}}}); failure != nil || ack["resultType"] != "complete" {
			t.Errorf("%v %v", ack, failure)
		}
		time.Sleep(25 * time.Hour)
		if _, failure := c.ask(mcptask.MethodGet, object{"taskId": id}); !strings.Contains(fmt.Sprint(failure["message"]), "its time is over") {
			t.Errorf("%v", failure)
		}
	})
}

// expelled lets its process send a clone, and nothing more.
type expelled struct {
	http.RoundTripper
	sent bool
}

func (e *expelled) RoundTrip(req *http.Request) (*http.Response, error) {
	if e.sent {
		return &http.Response{Status: "401 No ticket", StatusCode: 401, Header: http.Header{}, Body: http.NoBody}, nil
	}
	e.sent = strings.HasSuffix(req.URL.Path, "/clone")
	return e.RoundTripper.RoundTrip(req)
}

// steady is what a result says without how it came and how long ago something was.
func steady(result object) object {
	structured := result["structuredContent"].(object)
	for _, key := range []string{"snapshot", "backup"} {
		if of, ok := structured[key].(object); ok {
			delete(of, "age")
		}
	}
	return object{"isError": result["isError"], "structuredContent": structured}
}
