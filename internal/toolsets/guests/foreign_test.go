package guests_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// What another program answers in PVE's place says nothing about a change, whatever its
// status: it may have been made before.
func TestChangesThatAProxyAnswers(t *testing.T) {
	var stories []sim.Story
	for _, status := range []int{200, 201, 204, 206, 301, 401, 403, 404, 408, 413, 429, 499, 500, 502, 503, 504, 507, 520, 530} {
		for shape, body := range map[string]string{"page": "<html><body>Proxy</body></html>", "JSON": `{"status":"ok"}`, "nothing": "", "cut off": `{"data":"UPID:pve1`} {
			for _, done := range []bool{true, false} {
				stories = append(stories, sim.Story{
					Name:  fmt.Sprintf("%d %s %v", status, shape, done),
					Fault: pvesim.Fault{Match: "POST /nodes/*/qemu/105/status/start", Proxy: true, Status: status, Message: body, Done: done},
					Args:  `{"vmid":105,"action":"start"}`, Outcome: tool.Unknown,
					Writes: []string{"POST /nodes/{node}/qemu/{vmid}/status/start"},
					Says:   []string{"Whether PVE carried out POST", "is unknown", "VM 105 on pve3 is"},
					Lacks:  []string{"pveum"},
				})
			}
		}
	}
	sim.Tell(t, "pve_guest_power", stories)
}

// A page is not PVE's word on the token.
func TestReadsThatAProxyAnswers(t *testing.T) {
	for status, says := range map[int]string{
		401: "401 Unauthorized, a web page, which wants a login (Basic). The token was not judged: a proxy wants a login of its own",
		403: "403 Forbidden, a web page. The token was not judged.",
		404: "404 Not Found, a web page. PVE_HOST may name another service",
		200: "200 OK, a web page. PVE_HOST may name another service",
		502: "502 Bad Gateway, a web page. Look at the proxy that PVE_HOST names",
	} {
		sim.Tell(t, "pve_list_guests", []sim.Story{{
			Name: fmt.Sprint(status), Fault: pvesim.Fault{Match: "GET /cluster/resources", Proxy: true, Status: status, Message: "<html>"},
			Args: "{}", Outcome: tool.Failed, Says: []string{"Something before PVE answered GET /cluster/resources in its place: " + says}, Lacks: []string{"pveum", "does not accept the token"},
		}})
	}
}

// A refusal may come with the status of a success.
func TestErrorsWithAStatusOfSuccess(t *testing.T) {
	body := strings.ReplaceAll(`{'data':null,'errors':{'vmid':'is locked'}}`, "'", `"`)
	sim.Tell(t, "pve_guest_power", []sim.Story{{
		Name: "errors", Fault: pvesim.Fault{Match: "POST /nodes/*/qemu/105/status/start", Proxy: true, Status: 200, Message: body},
		Args: `{"vmid":105,"action":"start"}`, Outcome: tool.Failed, Says: []string{"PVE refused the parameters: vmid: is locked."},
		Writes: []string{"POST /nodes/{node}/qemu/{vmid}/status/start"},
	}})
}
