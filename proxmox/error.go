package proxmox

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/pve-mcp/pve-mcp/lazyregexp"
)

// Error is PVE's refusal of a request, or its proxy's word that a node could not
// be asked. 500 is PVE's ordinary status for a refusal.
type Error struct {
	Method string
	Path   string // below /api2/json
	Status int
	// Message is what PVE said, from the body or, before PVE 8.4, from the
	// reason phrase.
	Message string
	// Params are the refused parameters, each with PVE's reason (status 400).
	Params map[string]string
}

func (e *Error) Error() string {
	msg := e.Message
	if len(e.Params) > 0 {
		msg += " " + e.Refused()
	}
	return fmt.Sprintf("%s %s: %d %s", e.Method, e.Path, e.Status, msg)
}

// Refused lists the refused parameters with PVE's reasons, "" if there are none.
func (e *Error) Refused() string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(e.Params)) {
		parts = append(parts, k+": "+strings.TrimSpace(e.Params[k]))
	}
	return strings.Join(parts, "; ")
}

// NoSuchTask reports whether PVE has no such task, or has forgotten it.
func (e *Error) NoSuchTask() bool { return e.Params["upid"] == "no such task" }

// absentRE matches how PVE says that there is no such object.
var absentRE = lazyregexp.New(`(?i)\b(?:does not exist|doesn't exist|no such|not found|not defined|no rule at position|no options? for)\b`)

// IsAbsent reports whether PVE refused a request because there is no such object.
func IsAbsent(err error) bool {
	var said *Error
	if !errors.As(err, &said) || said.Status == http.StatusForbidden || said.NodeUnreachable() {
		return false
	}
	return said.Status == http.StatusNotFound || absentRE.MatchString(said.Message+" "+said.Refused())
}

var permissionRE = lazyregexp.New(`^Permission check failed \((.*), ([^,()]+)\)$`)

// IsDenied reports whether PVE refused a request because its caller may not make it.
func IsDenied(err error) bool {
	var said *Error
	if !errors.As(err, &said) {
		return false
	}
	_, _, denied := said.Denied()
	return denied
}

// Denied returns the ACL path and the alternative privileges that a refused
// caller lacks. ok says that the caller was refused; PVE does not always say for
// lack of what.
func (e *Error) Denied() (path string, privs []string, ok bool) {
	if e.Status != http.StatusForbidden {
		return "", nil, false
	}
	if m := permissionRE.FindStringSubmatch(e.Message); m != nil {
		return m[1], strings.Split(m[2], "|"), true
	}
	return "", nil, true
}

// statusUnreachable is the status of PVE's proxy for a node to which it could not
// connect, so that nothing was done there.
const statusUnreachable = 595

// lastOfProxy is the last status by which PVE's proxy says that it has no answer.
const lastOfProxy = 599

// NodeUnreachable reports whether the node that the request was for did not
// answer PVE's proxy: 595 says that it could not be reached, so that nothing was
// done there; 596 to 599 that it was reached and its answer is missing.
func (e *Error) NodeUnreachable() bool {
	return e.Status >= statusUnreachable && e.Status <= lastOfProxy
}

// TimedOut reports whether PVE's proxy gave up waiting for the answer of a node that it has reached,
// after 30 s as a rule.
func (e *Error) TimedOut() bool {
	return e.NodeUnreachable() && e.Status != statusUnreachable && strings.Contains(e.Message, "timed out")
}

// LostError says that a request was sent and its answer did not arrive. If the
// request was a write, PVE may or may not have carried it out.
type LostError struct {
	Method string
	Path   string
	Err    error
}

func (e *LostError) Error() string {
	if e.Method == http.MethodGet {
		return fmt.Sprintf("%s %s: no usable answer: %v", e.Method, e.Path, e.Err)
	}
	return fmt.Sprintf("%s %s: no usable answer, so whether PVE did it is unknown: %v", e.Method, e.Path, e.Err)
}

func (e *LostError) Unwrap() error { return e.Err }

// OutcomeUnknown reports whether err leaves open if a write was carried out.
func OutcomeUnknown(err error) bool {
	var lost *LostError
	return errors.As(err, &lost) && lost.Method != http.MethodGet
}

// sourceRE is where in PVE's source something was said, which tells people nothing.
var sourceRE = lazyregexp.New(` at (?:/\S+\.p[lm]|\(eval \d+\)) line \d+(?:, <\w+> (?:line|chunk) \d+)?\.?`)

// WithoutSource is a message of PVE without the places in its source.
func WithoutSource(message string) string { return sourceRE.ReplaceAllString(message, "") }
