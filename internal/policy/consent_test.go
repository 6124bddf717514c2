package policy_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/pve-mcp/pve-mcp/internal/policy"
)

// consented returns the consent of a human.
func consented(t *testing.T) policy.Consent {
	t.Helper()
	d, c := policy.Policy{}.Decide(policy.Ask{Risk: policy.Destructive, CanAsk: true, Answer: &policy.Answer{Action: "accept", Agreed: true}})
	if d != policy.Granted {
		t.Fatal(d)
	}
	return c
}

// A grant is good for one request of one kind to one guest.
func TestGrant(t *testing.T) {
	g := &policy.Guard{}
	target := policy.Target{Method: "DELETE", Path: "/nodes/*/qemu/*", Subject: policy.Guest(100)}
	for request, want := range map[string]string{
		"DELETE /nodes/a/qemu/100":                        sent,
		"DELETE /nodes/a/qemu/101":                        "the consent was for DELETE /nodes/*/qemu/* of guest 100",
		"DELETE /nodes/a/lxc/100":                         "the consent was for",
		"DELETE /nodes/a/qemu/100/snapshot/one":           "the consent was for",
		"POST /nodes/a/qemu/100/snapshot/one/rollback":    "the consent was for",
		"DELETE /nodes/a/qemu/100?vmid=101":               "the consent was for",
		"POST /nodes/a/qemu?vmid=100&archive=x&force=1":   "the consent was for",
		"POST /nodes/a/vzdump?vmid=100,101&prune-backups": "the consent was for",
	} {
		method, path, _ := strings.Cut(request, " ")
		ctx := consented(t).Grant(t.Context(), target)
		if got := try(ctx, t, g, method, path); !strings.HasPrefix(got, want) || want == "" && got != "" {
			t.Errorf("%s: %q, want %q", request, got, want)
		}
	}
	ctx := consented(t).Grant(t.Context(), target)
	for i, want := range []string{sent, "the consent was used already"} {
		if got := try(ctx, t, g, "DELETE", "/nodes/a/qemu/100"); got != want {
			t.Errorf("request %d: %q, want %q", i+1, got, want)
		}
	}
	if got := try(policy.Consent{}.Grant(t.Context(), target), t, g, "DELETE", "/nodes/a/qemu/100"); got != noConsent {
		t.Errorf("a consent of nobody: %q", got)
	}
}

// answering is a transport that answers each request alike.
type answering struct{ status, body string }

func (a answering) RoundTrip(*http.Request) (*http.Response, error) {
	var code int
	_, _ = fmt.Sscan(a.status, &code)
	return &http.Response{Status: a.status, StatusCode: code, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(a.body))}, nil
}

// A consent counts again after PVE's own refusal alone: whatever else answers may have
// passed the request on.
func TestAGrantComesBackAfterARefusal(t *testing.T) {
	for _, tt := range []struct {
		status, body string
		back         bool
	}{
		{"500 Configuration file 'nodes/a/qemu-server/100.conf' does not exist", `{"data":null}`, true},
		{"403 Permission check failed (/vms/100, VM.Allocate)", "", true},
		{"595 No route to host", "", true},
		{"500 Internal Server Error", "<html>", false},
		{"500 Internal Server Error", "", false},
		{"403 Forbidden", "<html>", false},
		{"404 Not Found", "", false},
		{"408 Request Timeout", "", false},
		{"499 Client Closed Request", "", false},
		{"596 Broken pipe", "", false},
		{"200 OK", `{"data":"UPID:..."}`, false},
		{"200 OK", "{}", false},
	} {
		target := policy.Target{Method: "DELETE", Path: "/nodes/*/qemu/*", Subject: policy.Guest(100)}
		ctx := consented(t).Grant(t.Context(), target)
		wire := (&policy.Guard{}).Transport(answering{tt.status, tt.body})
		var err error
		for range 2 {
			req, bad := http.NewRequestWithContext(ctx, "DELETE", "https://pve/api2/json/nodes/a/qemu/100", nil)
			if bad != nil {
				t.Fatal(bad)
			}
			var resp *http.Response
			if resp, err = wire.RoundTrip(req); err == nil {
				if body, bad := io.ReadAll(resp.Body); bad != nil || string(body) != tt.body {
					t.Errorf("%s: its body is read as %q, %v", tt.status, body, bad)
				}
				resp.Body.Close()
			}
		}
		if (err == nil) != tt.back {
			t.Errorf("%s %q: the second request: %v, and the consent should be back: %v", tt.status, tt.body, err, tt.back)
		}
	}
}

func TestDecide(t *testing.T) {
	accept, refuse := &policy.Answer{Action: "accept", Agreed: true}, &policy.Answer{Action: "accept"}
	for _, tt := range []struct {
		confirm policy.Confirm
		ask     policy.Ask
		want    policy.Decision
		by      string
	}{
		{policy.Auto, policy.Ask{Risk: policy.Write}, policy.Granted, "none"},
		{policy.Auto, policy.Ask{Risk: policy.Exec, CanAsk: true}, policy.Granted, "none"},
		{policy.Auto, policy.Ask{Risk: policy.Destructive}, policy.AskParam, "none"},
		{policy.Auto, policy.Ask{Risk: policy.Destructive, Confirmed: true}, policy.Granted, "param"},
		{policy.Auto, policy.Ask{Risk: policy.Destructive, CanAsk: true, Confirmed: true}, policy.AskHuman, "none"},
		{policy.Auto, policy.Ask{Risk: policy.Destructive, CanAsk: true, Answer: accept}, policy.Granted, "human"},
		{policy.Auto, policy.Ask{Risk: policy.Destructive, CanAsk: true, Answer: refuse}, policy.Mismatched, "human"},
		{policy.Auto, policy.Ask{Risk: policy.Destructive, CanAsk: true, Answer: &policy.Answer{Action: "decline", Agreed: true}}, policy.Declined, "human"},
		{policy.Auto, policy.Ask{Risk: policy.Destructive, CanAsk: true, Answer: &policy.Answer{Action: "cancel"}}, policy.Cancelled, "human"},
		{policy.Auto, policy.Ask{Risk: policy.Destructive, CanAsk: true, Answer: &policy.Answer{Action: "?"}}, policy.Cancelled, "human"},
		{policy.Auto, policy.Ask{Risk: policy.Destructive, Answer: accept}, policy.AskParam, "none"}, // nobody could ask
		{policy.Param, policy.Ask{Risk: policy.Destructive, CanAsk: true, Confirmed: true}, policy.Granted, "param"},
		{policy.Param, policy.Ask{Risk: policy.Destructive, CanAsk: true}, policy.AskParam, "none"},
		{policy.Human, policy.Ask{Risk: policy.Destructive, Confirmed: true}, policy.Refused, "none"},
		{policy.Human, policy.Ask{Risk: policy.Destructive, CanAsk: true, Confirmed: true}, policy.AskHuman, "none"},
		{policy.Human, policy.Ask{Risk: policy.Exec, CanAsk: true}, policy.AskHuman, "none"},
		{policy.Human, policy.Ask{Risk: policy.Exec}, policy.Refused, "none"},
		{policy.Human, policy.Ask{Risk: policy.Exec, CanAsk: true, Answer: accept}, policy.Granted, "human"},
	} {
		if got, consent := (policy.Policy{Confirm: tt.confirm}).Decide(tt.ask); got != tt.want || consent.By() != tt.by {
			t.Errorf("%q, %+v: %v by %s, want %v by %s", tt.confirm, tt.ask, got, consent.By(), tt.want, tt.by)
		}
	}
}
