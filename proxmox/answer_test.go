package proxmox_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
)

// What is answered to a write tells whether it was done, or leaves it open: by its body and
// what only PVE sends, whatever its status says.
func TestAnswersToWrites(t *testing.T) {
	const (
		refused  = "refused"
		unknown  = "unknown"
		done     = "done"
		page     = "<html><body>Something</body></html>"
		upid     = "UPID:pve1:0000ABCD:00ABCDEF:6A6DB0C0:qmstop:100:ops@pve!mcp:"
		success  = `{"data":"` + upid + `"}`
		refusal  = `{"data":null,"message":"VM is locked (backup)\n"}`
		lastWord = `{"data":null}`
	)
	ours := http.Header{"Server": {"pve-api-daemon/3.0"}}
	for _, tt := range []struct {
		status, body string
		head         http.Header
		want         string
	}{
		{"200 OK", success, nil, done},
		{"200 OK", success, ours, done},
		{"200 OK", "", ours, unknown},
		{"200 OK", "{}", ours, unknown},
		{"200 OK", "null", ours, unknown},
		{"200 OK", `[{"data":1}]`, ours, unknown},
		{"200 OK", lastWord, ours, unknown}, // of a write that PVE answers with a task
		{"200 OK", success[:20], ours, unknown},
		{"200 OK", `{"status":"ok"}`, nil, unknown},
		{"200 OK", page, nil, unknown},
		{"200 OK", `{"data":"` + upid + `","errors":{"vmid":"is locked"}}`, ours, refused},
		{"200 OK", `{"errors":{"vmid":"is locked"}}`, ours, refused},
		{"200 OK", `{"errors":{"vmid":"is locked"}}`, nil, unknown},
		{"201 Created", success, ours, unknown},
		{"202 Accepted", lastWord, ours, unknown},
		{"204 No Content", "", nil, unknown},
		{"206 Partial Content", success, nil, unknown},
		{"301 Moved Permanently", page, nil, unknown},
		{"307 Temporary Redirect", "", nil, unknown},
		{"400 Parameter verification failed.", refusal, nil, refused},
		{"400 Bad Request", refusal, nil, refused}, // over HTTP/2 there are no reasons
		{"400 Bad Request", page, nil, unknown},
		{"400 Bad Request", "", ours, unknown}, // PVE's own, where its reason has line breaks
		{"401 No ticket", "", ours, refused},
		{"401 Authentication failed!", "", nil, refused},
		{"401 Unauthorized", "", nil, refused}, // the same over HTTP/2: no other server leaves out how to log in
		{"401 Unauthorized", "", http.Header{"Www-Authenticate": {`Basic realm="x"`}}, unknown},
		{"401 Unauthorized", page, nil, unknown},
		{"403 Permission check failed (/vms/100, VM.PowerMgmt)", refusal, nil, refused},
		{"403 Permission check failed (/vms/100, VM.PowerMgmt)", "", nil, refused},
		{"403 Forbidden", page, nil, unknown},
		{"403 Forbidden", "", nil, unknown},
		{"404 Not Found", page, nil, unknown},
		{"408 Request Timeout", "", nil, unknown},
		{"413 Request Entity Too Large", page, nil, unknown},
		{"429 Too Many Requests", `{"error":"slow down"}`, nil, unknown},
		{"499 Client Closed Request", "", nil, unknown},
		{"500 VM is locked (backup)", refusal, nil, refused},
		{"500 VM is locked (backup)", lastWord, nil, refused}, // before PVE 8.4
		{"500 Internal Server Error", page, nil, unknown},
		{"500 Internal Server Error", "", nil, unknown},
		{"500 Internal Server Error", "", ours, unknown},
		{"500 Internal Server Error", page, ours, unknown},
		{"500 x", "x", ours, unknown},
		{"500 Internal Server Error", `{"data":{"id":1}}`, nil, unknown},
		{"500 VM is locked (backup)", refusal[:20], ours, unknown},
		{"501 Method 'POST /x' not implemented", `{"data":null,"message":"x"}`, nil, refused},
		{"501 no such uri", "no such uri", nil, refused},
		{"502 Bad Gateway", page, nil, unknown},
		{"503 Service Unavailable", refusal, ours, refused},
		{"503 Service Unavailable", "", ours, unknown},
		{"506 upload not implemented", "upload not implemented", ours, refused},
		{"507 Insufficient Storage", page, nil, unknown},
		{"520 Web server returned an unknown error", "", nil, unknown},
		{"530 ", page, nil, unknown},
		{"595 No route to host", "", nil, refused},
		{"595 No route to host", "", ours, refused},
		{"595 ", "", nil, unknown},
		{"595 No route to host", page, nil, unknown},
		{"596 Broken pipe", "", ours, unknown},
		{"599 Too many redirections", "", ours, unknown},
	} {
		head := tt.head
		if head == nil {
			head = http.Header{"Server": {"nginx"}}
		}
		respond := func() *http.Response {
			resp, _ := answer(tt.status, tt.body)
			resp.Header = head
			return resp
		}
		c := newClient(t, roundTrip(func(*http.Request) (*http.Response, error) { return respond(), nil }))
		_, err := c.Power(t.Context(), pve.GuestRef{Node: "pve1", Kind: pve.QEMU, VMID: 100}, "stop", pve.PowerOptions{})
		got := refused
		switch {
		case err == nil:
			got = done
		case proxmox.OutcomeUnknown(err):
			got = unknown
		}
		if got != tt.want {
			t.Errorf("%s %q %v: %s, want %s: %v", tt.status, tt.body, tt.head, got, tt.want, err)
		}
		resp := respond()
		if nothing := proxmox.NothingDone(resp); nothing != (tt.want == refused) {
			t.Errorf("%s %q: nothing was done: %v", tt.status, tt.body, nothing)
		}
		if body, err := io.ReadAll(resp.Body); err != nil || string(body) != tt.body {
			t.Errorf("%s: the body reads as %q afterwards, %v", tt.status, body, err)
		}
	}
}

// An answer that is not PVE's is reported as such, and not as PVE's word on the token.
func TestForeignAnswersToReads(t *testing.T) {
	for _, tt := range []struct{ status, body, login, says string }{
		{"401 Unauthorized", "<html>", `Basic realm="x"`, "401 Unauthorized, a web page, which wants a login (Basic)"},
		{"403 Forbidden", "<html>", "", "403 Forbidden, a web page"},
		{"404 Not Found", "not found", "", "404 Not Found, text"},
		{"200 OK", "<!DOCTYPE html>", "", "200 OK, a web page"},
		{"200 OK", `{"version":"1.2"}`, "", "200 OK, JSON that is not PVE's"},
		{"200 OK", `{"data":{"ver`, "", "200 OK, JSON that is cut off"},
		{"204 No Content", "", "", "204 No Content, without a body"},
	} {
		c := newClient(t, roundTrip(func(*http.Request) (*http.Response, error) {
			resp, err := answer(tt.status, tt.body)
			if tt.login != "" {
				resp.Header.Set("WWW-Authenticate", tt.login)
			}
			return resp, err
		}))
		_, err := c.Version(t.Context())
		var other *proxmox.ForeignError
		if !errors.As(err, &other) || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s %q: %v", tt.status, tt.body, err)
		}
	}
}

// A state of a task that does not say whether it runs is asked for again.
func TestATaskWithoutAState(t *testing.T) {
	upid, err := proxmox.ParseUPID("UPID:pve1:0000ABCD:00ABCDEF:6A6DB0C0:qmstop:100:ops@pve!mcp:")
	if err != nil {
		t.Fatal(err)
	}
	for _, body := range []string{`{"data":{}}`, `{"data":{"status":""}}`, `{"data":{"exitstatus":"OK"}}`, `{"data":{"status":"stopped"}}`, `{"data":{"status":"done","exitstatus":"OK"}}`} {
		c := newClient(t, roundTrip(func(*http.Request) (*http.Response, error) { return answer("200 OK", body) }))
		if status, err := c.TaskStatus(t.Context(), upid); err == nil || status.Succeeded() {
			t.Errorf("%s: %+v", body, status)
		}
	}
}
