// Package explain turns an error into what happened and what to do about it, one
// sentence each, for people and for models.
package explain

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"unicode"
	"unicode/utf8"

	"pve-mcp/internal/guard"
	"pve-mcp/internal/render"
	"pve-mcp/pve"
)

// Explanation is an error in two sentences. Next is "" where there is nothing to
// say. A pointer to one is an error that brings its own explanation.
type Explanation struct {
	What string
	Next string
}

func (e Explanation) String() string {
	if e.Next == "" {
		return e.What
	}
	return e.What + " " + e.Next
}

func (e *Explanation) Error() string { return e.What }

// Refusal is an error that says what is not possible and, in next, what is instead.
func Refusal(next, format string, args ...any) error {
	return &Explanation{What: fmt.Sprintf(format, args...), Next: next}
}

// Unlocked refuses a change of a guest that has a lock.
func Unlocked(g pve.GuestRef, lock string) error {
	if lock == "" {
		return nil
	}
	e := Locked(fmt.Sprintf("%v is locked (%s)", g, lock), lock)
	return &e
}

// Explainer explains errors of calls that are made with a token.
type Explainer struct {
	TokenID string
}

// Explain returns the explanation of err.
func (x Explainer) Explain(err error) Explanation {
	var own *Explanation
	var refused *guard.RefusedError
	var none *pve.NoGuestError
	var lost *pve.LostError
	var said *pve.Error
	var secret *pve.SecretError
	switch {
	case errors.As(err, &own):
		return *own
	case errors.As(err, &secret):
		return Explanation{
			"Nothing was sent, because the secret of the token could not be had: " + stop(secret.Error()),
			"Keep it again with pve-mcp secret set, unless the keyring is only waiting for its password.",
		}
	case errors.As(err, &refused):
		return Explanation{"Nothing was sent: " + refused.Reason + ".", ""}
	case errors.As(err, &none):
		return noGuest(none)
	case errors.As(err, &lost) && pve.OutcomeUnknown(err):
		return Explanation{
			fmt.Sprintf("Whether PVE carried out %s %s is unknown: the request was sent and no usable answer came (%v).", lost.Method, lost.Path, lost.Err),
			"Look at the state and at the recent tasks before you try again; this server does not repeat it.",
		}
	case errors.As(err, &said):
		return x.said(said)
	}
	if e, ok := connection(err); ok {
		return e
	}
	return Explanation{sentence(err.Error()), ""}
}

func noGuest(err *pve.NoGuestError) Explanation {
	const most = 8
	e := Explanation{What: fmt.Sprintf("There is no guest %d, or this token may not see it (VM.Audit).", err.VMID)}
	if len(err.Have) == 0 {
		e.Next = "This token sees no guests at all; grant it PVEAuditor on /vms."
		return e
	}
	var names []string
	for _, g := range err.Have[:min(most, len(err.Have))] {
		names = append(names, fmt.Sprintf("%v (%s)", g.VMID, render.Text(g.Name.Or("?"), 40)))
	}
	e.Next = "The nearest ids are " + render.List(names)
	if more := len(err.Have) - len(names); more > 0 {
		e.Next += fmt.Sprintf("; %d more are listed by pve_list_guests", more)
	}
	e.Next += "."
	return e
}

// said explains what PVE said.
func (x Explainer) said(e *pve.Error) Explanation {
	if _, _, denied := e.Denied(); denied {
		return x.denied(e)
	}
	if lock, ok := e.LockedBy(); ok {
		return Locked(e.Message, lock)
	}
	switch {
	case e.Status == 401:
		return Explanation{
			fmt.Sprintf("PVE does not accept the token %s: %s", x.TokenID, stop(e.Message)),
			"Check PVE_TOKEN_ID (USER@REALM!NAME), the secret, and that user and token are enabled and not expired.",
		}
	case e.Gateway():
		return Explanation{
			fmt.Sprintf("Something in front of PVE answered in its place: %d %s", e.Status, stop(e.Message)),
			"Look at the proxy that PVE_HOST names, or name a node itself.",
		}
	case e.NodeUnreachable():
		return Explanation{
			fmt.Sprintf("PVE could not get an answer from the node for %s: %s (%d).", e.Path, e.Message, e.Status),
			"The node is down, cut off or overloaded; other nodes still answer.",
		}
	case e.NoSuchGuest():
		return Explanation{"PVE says: " + stop(e.Message), "The guest was removed or has moved to another node just now; look again."}
	case len(e.Params) > 0:
		return Explanation{"PVE refused the parameters: " + stop(e.Refused()), ""}
	case e.Status == 501:
		return Explanation{
			fmt.Sprintf("This node's PVE does not offer %s %s.", e.Method, e.Path),
			"Its version is too old or too new for this call.",
		}
	case e.Status < 400:
		return Explanation{fmt.Sprintf("PVE answered %d %s.", e.Status, e.Message), "Give PVE_HOST the final URL, with https://."}
	}
	return Explanation{"PVE refused: " + stop(e.Message), hint(e.Message)}
}

// hints say what to do about refusals of PVE, by what is in them.
var hints = []struct{ says, next string }{
	{"snapshot '", "pve_list_snapshots shows those that there are."},
	{"by other user", "Nothing was changed. Look at the configuration as it is now, then try again."},
	{"guest agent is not running", "It may still be starting; otherwise install and start qemu-guest-agent in the guest, and restart the VM where agent: 1 was set while it ran."},
}

func hint(message string) string {
	for _, h := range hints {
		if strings.Contains(message, h.says) {
			return h.next
		}
	}
	return ""
}

// roles are the built-in roles to grant for a privilege, the same in PVE 8 and 9.
var roles = map[string]string{
	"VM.Audit": "PVEAuditor", "Sys.Audit": "PVEAuditor", "Datastore.Audit": "PVEAuditor", "Pool.Audit": "PVEAuditor",
	"VM.GuestAgent.Audit": "PVEAuditor", "VM.PowerMgmt": "PVEVMUser", "VM.Backup": "PVEVMUser", "VM.Console": "PVEVMUser",
	"Datastore.AllocateSpace": "PVEDatastoreUser", "VM.Monitor": "PVEVMAdmin", "VM.Snapshot": "PVEVMAdmin",
	"VM.Migrate": "PVEVMAdmin", "VM.Clone": "PVETemplateUser", "VM.Allocate": "PVEVMAdmin", "VM.Config.Disk": "PVEVMAdmin",
}

func (x Explainer) denied(e *pve.Error) Explanation {
	path, privs, _ := e.Denied()
	if len(privs) == 0 {
		what := fmt.Sprintf("The token %s may not do this: %s", x.TokenID, stop(e.Message))
		if strings.Contains(e.Message, "root@pam") || strings.Contains(e.Message, "need proper ticket") {
			return Explanation{what, "PVE keeps this from every API token."}
		}
		return Explanation{what, "PVE does not say which privilege is missing."}
	}
	what := fmt.Sprintf("The token %s lacks %s on %s.", x.TokenID, strings.Join(privs, " or "), path)
	role, known := roles[privs[0]]
	if !known {
		return Explanation{what, fmt.Sprintf("Grant it: pveum role add mcp-extra --privs %s; %s", privs[0], x.grant(path, "mcp-extra"))}
	}
	return Explanation{what, "Grant it: " + x.grant(path, role)}
}

// grant says how to give a role. A token without privilege separation has what its
// user has, one with it what both have; and an entry on a path takes the place of
// those that the same user or token has on the paths above.
func (x Explainer) grant(path, role string) string {
	user, _, _ := strings.Cut(x.TokenID, "!")
	return fmt.Sprintf("pveum acl modify %s --roles %s --users %s; for a token with privilege separation again with --tokens '%s'. "+
		"Roles on this path replace those from the paths above: name these too.", path, role, user, x.TokenID)
}

// Locked explains PVE's refusal because of a lock.
func Locked(message, lock string) Explanation {
	if lock == "suspended" {
		return Explanation{sentence(message), "It is suspended to disk: resume it first with pve_guest_power."}
	}
	return Explanation{
		sentence(message),
		fmt.Sprintf("Wait for the %s that holds the lock; where no such task runs any more, an administrator frees it with qm unlock or pct unlock.", lock),
	}
}

// connection explains why no answer came.
func connection(err error) (Explanation, bool) {
	if e, ok := distrust(err); ok {
		return e, true
	}
	var dns *net.DNSError
	var unconnected *pve.ConnectError
	var lost *pve.LostError
	switch {
	case errors.As(err, &dns):
		return Explanation{fmt.Sprintf("The name %s cannot be resolved.", dns.Name), "Check PVE_HOST."}, true
	case errors.Is(err, context.Canceled):
		return Explanation{"The call was cancelled.", ""}, true
	case errors.As(err, &unconnected):
		return Explanation{sentence(err.Error()), "Check PVE_HOST, that port 8006 is reachable, and that the node is up."}, true
	case errors.As(err, &lost), errors.Is(err, context.DeadlineExceeded):
		return Explanation{sentence(err.Error()), "PVE took too long or the connection broke; try again, or raise PVE_TIMEOUT."}, true
	}
	return Explanation{}, false
}

// sentence gives a text a capital and a full stop.
func sentence(s string) string {
	s = stop(s)
	first, size := utf8.DecodeRuneInString(s)
	if size == 0 {
		return s
	}
	return string(unicode.ToUpper(first)) + s[size:]
}

// stop gives a text a full stop.
func stop(s string) string {
	s = render.Text(s, 600)
	if s == "" || strings.HasSuffix(s, ".") || strings.HasSuffix(s, ".)") || strings.HasSuffix(s, "!") {
		return s
	}
	return s + "."
}
