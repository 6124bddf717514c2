package guard_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"pve-mcp/internal/guard"
)

// counter is a transport that only counts what reaches it.
type counter struct{ sent []string }

func (c *counter) RoundTrip(req *http.Request) (*http.Response, error) {
	c.sent = append(c.sent, req.Method)
	return &http.Response{StatusCode: 200, Body: http.NoBody}, nil
}

func TestTransport(t *testing.T) {
	for _, readOnly := range []bool{false, true} {
		below := &counter{}
		rt := guard.Policy{ReadOnly: readOnly}.Transport(below)
		for _, method := range []string{"GET", "POST", "PUT", "DELETE", "PATCH"} {
			req, err := http.NewRequestWithContext(t.Context(), method, "https://pve/api2/json/nodes/a/qemu/100/status/start", strings.NewReader("x=1"))
			if err != nil {
				t.Fatal(err)
			}
			resp, err := rt.RoundTrip(req)
			if err == nil {
				resp.Body.Close()
			}
			var refused *guard.RefusedError
			if want := readOnly && method != "GET"; errors.As(err, &refused) != want {
				t.Errorf("read-only %v, %s: %v", readOnly, method, err)
			}
		}
		if want := map[bool]int{false: 5, true: 1}[readOnly]; len(below.sent) != want {
			t.Errorf("read-only %v: %v left the process", readOnly, below.sent)
		}
	}
}

func TestRefusal(t *testing.T) {
	for _, tt := range []struct {
		policy guard.Policy
		risk   guard.Risk
		on     bool
	}{
		{guard.Policy{}, guard.Read, true},
		{guard.Policy{}, guard.Destructive, true},
		{guard.Policy{}, guard.Exec, false},
		{guard.Policy{Exec: true}, guard.Exec, true},
		{guard.Policy{ReadOnly: true, Exec: true}, guard.Exec, false},
		{guard.Policy{ReadOnly: true}, guard.Write, false},
		{guard.Policy{ReadOnly: true}, guard.Read, true},
	} {
		if got := tt.policy.Refusal(tt.risk) == ""; got != tt.on {
			t.Errorf("%+v, %v: on = %v", tt.policy, tt.risk, got)
		}
	}
}
