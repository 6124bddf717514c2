// Package guard decides what this process may do to a cluster, whatever its tools
// ask for: by policy before a tool runs, and in the transport under the PVE client.
package guard

import (
	"fmt"
	"net/http"
	"strings"
)

// Risk is what a call can do.
type Risk int

// The risks, from the least on.
const (
	Read        Risk = iota // changes nothing
	Write                   // changes something that can be changed back
	Destructive             // loses data or state for good
	Exec                    // runs commands inside a guest
)

func (r Risk) String() string { return [...]string{"read", "write", "destructive", "exec"}[r] }

// Policy is what the operator of this process allows.
type Policy struct {
	// ReadOnly lets nothing but GET leave the process.
	ReadOnly bool
	// Exec allows commands inside guests.
	Exec bool
}

// Refusal returns why calls of a risk are off, or "".
func (p Policy) Refusal(r Risk) string {
	switch {
	case p.ReadOnly && r != Read:
		return "this server is read-only (PVE_MCP_READ_ONLY=true)"
	case r == Exec && !p.Exec:
		return "commands in guests are off (PVE_MCP_ENABLE_EXEC is not true)"
	}
	return ""
}

// RefusedError says that a request was not sent because the policy forbids it.
type RefusedError struct {
	Method string
	Path   string
	Reason string
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("%s %s was not sent: %s", e.Method, e.Path, e.Reason)
}

// Transport enforces the policy on every request that passes through base.
func (p Policy) Transport(base http.RoundTripper) http.RoundTripper {
	return transport{policy: p, base: base}
}

type transport struct {
	policy Policy
	base   http.RoundTripper
}

func (t transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Method != http.MethodGet {
		if reason := t.policy.Refusal(Write); reason != "" {
			if req.Body != nil {
				req.Body.Close()
			}
			path := strings.TrimPrefix(req.URL.Path, "/api2/json")
			return nil, &RefusedError{Method: req.Method, Path: path, Reason: reason}
		}
	}
	return t.base.RoundTrip(req)
}
