// Package explain turns an error into what happened and what to do about it, one
// sentence each, for people and for models.
package explain

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"unicode"
	"unicode/utf8"

	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/lazyregexp"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
)

// Explanation is an error in two sentences. Next is "" if there is nothing to say. A
// pointer to one is an error that brings its own explanation.
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

// Explainer explains errors of calls that are made with a token.
type Explainer struct {
	TokenID string
}

// Explain returns the explanation of err.
func (x Explainer) Explain(err error) Explanation {
	var own *Explanation
	var refused *policy.RefusedError
	var none *pve.NoGuestError
	var lost *proxmox.LostError
	var said *proxmox.Error
	var other *proxmox.ForeignError
	var secret *proxmox.SecretError
	var locked *LockedError
	switch {
	case errors.As(err, &own):
		return *own
	case errors.As(err, &secret):
		return Explanation{
			"Nothing was sent, because the secret of the token could not be had: " + withFullStop(secret.Error()),
			"Keep it again with pve-mcp secret set, unless the keyring is only waiting for its password.",
		}
	case errors.As(err, &locked):
		return locked.Explain("")
	case errors.As(err, &refused):
		return Explanation{"Nothing was sent: " + refused.Reason + ".", ""}
	case errors.As(err, &none):
		return noGuest(none)
	case errors.As(err, &lost) && proxmox.OutcomeUnknown(err):
		return Explanation{
			fmt.Sprintf("Whether PVE carried out %s %s is unknown: the request was sent, and no usable answer came: %s.", lost.Method, lost.Path, whyLost(lost.Err)),
			"PVE may have done it, or may still do it: look at the state and at the recent tasks before you try again. This server does not repeat it.",
		}
	case errors.As(err, &said):
		return x.explainAnswer(said)
	case errors.As(err, &other):
		return explainForeign(other)
	case pve.Elsewhere(err):
		return Explanation{
			"PVE answered OK and did nothing: the guest is not on the node that was asked.",
			"It has moved just now; call again.",
		}
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

// explainAnswer explains an answer of PVE.
func (x Explainer) explainAnswer(e *proxmox.Error) Explanation {
	e = withoutSecrets(e)
	if _, _, denied := e.Denied(); denied {
		return x.denied(e)
	}
	if lock, ok := pve.LockedBy(e); ok {
		return (&LockedError{Lock: lock, Message: e.Message}).Explain("")
	}
	switch {
	case e.Status == 401:
		return x.unknown(e)
	case e.TimedOut():
		return explainTimeout(e)
	case e.NodeUnreachable():
		return Explanation{
			fmt.Sprintf("PVE could not get an answer from the node for %s: %s (%d).", e.Path, e.Message, e.Status),
			"The node is down, cut off or overloaded; other nodes still answer.",
		}
	case pve.NoSuchGuest(e):
		return Explanation{"PVE says: " + withFullStop(e.Message), "The guest was removed or has moved to another node just now; look again."}
	case len(e.Params) > 0:
		return Explanation{"PVE refused the parameters: " + withFullStop(e.Refused()), "Correct what it names, and call again."}
	case e.Status == 501:
		return Explanation{
			fmt.Sprintf("This node's PVE does not offer %s %s.", e.Method, e.Path),
			"Its version is too old or too new for this call.",
		}
	case e.Message == "":
		return Explanation{What: fmt.Sprintf("PVE refused %s %s with the status %d, and gives no reason.", e.Method, e.Path, e.Status)}
	}
	return Explanation{"PVE refused: " + withFullStop(e.Message), Hint(e.Message)}
}

// storageRE finds the node and the storage of a request about one.
var storageRE = lazyregexp.New(`^/nodes/([^/]+)/storage/([^/]+)/`)

// explainTimeout explains that PVE's proxy gave up waiting for a node.
func explainTimeout(e *proxmox.Error) Explanation {
	out := Explanation{
		fmt.Sprintf("PVE gave up after 30 s without an answer to %s %s (%d %s).", e.Method, e.Path, e.Status, e.Message),
		"The node is overloaded, or what it was asked for hangs: pve_diagnose looks why.",
	}
	if m := storageRE.FindStringSubmatch(e.Path); m != nil {
		out.Next = fmt.Sprintf("The storage %s hangs on %s, as one whose server hardly answers: pve_diagnose with storage looks why. Other storages still answer.", render.Text(m[2], 60), render.Text(m[1], 60))
	}
	return out
}

// withoutSecrets is an error of PVE, which may repeat what it was given, with its secrets
// masked.
func withoutSecrets(e *proxmox.Error) *proxmox.Error {
	masked := *e
	masked.Message, masked.Params = render.MaskSecrets(e.Message), map[string]string{}
	for name, problem := range e.Params {
		masked.Params[name] = render.MaskSecrets(problem)
	}
	return &masked
}

// explainForeign explains an answer that is not PVE's.
func explainForeign(e *proxmox.ForeignError) Explanation {
	out := Explanation{What: fmt.Sprintf("Something before PVE answered %s %s in its place: %s", e.Method, e.Path, withFullStop(render.MaskSecrets(e.Answer())))}
	switch {
	case e.Location != "":
		out.What = fmt.Sprintf("%s %s is answered with a redirect: %s", e.Method, e.Path, withFullStop(render.MaskSecrets(e.Answer())))
		out.Next = "Give PVE_HOST the final URL, with https://."
	case e.Login != "":
		out.Next = "The token was not judged: a proxy wants a login of its own, which this server does not have. Let the proxy pass /api2/json, or name a node itself in PVE_HOST."
	case e.Status == http.StatusNotFound, e.Status == http.StatusOK:
		out.Next = "PVE_HOST may name another service, or lack the path under which a proxy has PVE: PVE's API is at https://HOST:8006/api2/json."
	case e.Passing():
		out.Next = "Look at the proxy that PVE_HOST names, or name a node itself."
	default:
		out.Next = "The token was not judged. Look at the proxy or firewall on the way to PVE, or name a node itself in PVE_HOST."
	}
	return out
}

// hints say what to do about refusals of PVE, by what is in them.
var hints = []struct{ says, next string }{
	{"only root can", rootOnly},
	{"migration problems", "The guest has moved all the same: pve_guest_status says where it is. What the log names was left on the node that it came from."},
	{"no quorum", "Too few nodes of the cluster are online: until more than half are, PVE refuses every change. pve_cluster_status shows them."},
	{"has been disabled", "The agent's own configuration in the guest forbids it: allow it there (block-rpcs or allow-rpcs in /etc/qemu/qemu-ga.conf, " +
		"on Red Hat's systems FILTER_RPC_ARGS or BLACKLIST_RPC in /etc/sysconfig/qemu-ga), and restart qemu-guest-agent."},
	{"powerdown failed", "The guest does not listen, or needs longer: look at its console, or raise the timeout. pve_guest_power with the action stop ends it at once, like a power cut."},
	{"No space left on device", full},
	{"out of space", full},
	{"uses local storage", "Clone it where it is in full: full: true, without target. Then move the clone with pve_migrate_guest."},
	{"snapshot '", "pve_list_snapshots shows those that there are."},
	{"migrated to rules", "Use a rule in place of the group: pve_set_ha with set_rule, resources and nodes."},
	{"cannot use unmanaged resource", "A rule names guests that HA manages: add them first with pve_set_ha."},
	{"in error state, must be disabled", "Correct the cause, then set its state to disabled, which clears the error and stops the guest, and then to started: pve_set_ha."},
	{"by other user", "Nothing was changed. Look at the configuration as it is now, then try again."},
	{"guest agent is not running", "It may still be starting; otherwise install and start qemu-guest-agent in the guest, and restart the VM where agent: 1 was set while it ran."},
}

// full is what to do where a storage is full.
const full = "A storage is full: pve_list_storage shows how much is free where, pve_storage_content what fills it."

// Hint says what to do about a reason in PVE's words; "" if nothing is known.
func Hint(message string) string {
	for _, h := range hints {
		if strings.Contains(message, h.says) {
			return h.next
		}
	}
	return ""
}

// connection explains why no answer came.
func connection(err error) (Explanation, bool) {
	if e, ok := distrust(err); ok {
		return e, true
	}
	var dns *net.DNSError
	var unconnected *proxmox.ConnectError
	var lost *proxmox.LostError
	switch {
	case errors.As(err, &dns):
		return Explanation{fmt.Sprintf("The name %s cannot be resolved.", dns.Name), "Check PVE_HOST."}, true
	case errors.Is(err, context.Canceled):
		return Explanation{"The call was cancelled.", ""}, true
	case errors.As(err, &unconnected):
		return Explanation{sentence(err.Error()), "Check PVE_HOST, that port 8006 is reachable, and that the node is up."}, true
	case errors.As(err, &lost):
		return Explanation{
			fmt.Sprintf("%s %s: no usable answer: %s.", lost.Method, lost.Path, whyLost(lost.Err)),
			"If PVE is slow, pve_diagnose with node looks why; try again, or raise PVE_TIMEOUT.",
		}, true
	case errors.Is(err, context.DeadlineExceeded):
		return Explanation{"The time of the call was over before PVE had answered.", "Try again, or raise PVE_TIMEOUT."}, true
	}
	return Explanation{}, false
}

// whyLost says why the answer to a request that was sent did not come.
func whyLost(err error) string {
	var other *proxmox.ForeignError
	var said *proxmox.Error
	switch {
	case errors.As(err, &said) && said.TimedOut():
		return fmt.Sprintf("PVE gave up after 30 s without an answer of its node (%d %s)", said.Status, render.Text(said.Message, 100))
	case errors.As(err, &other):
		return "something before PVE answered in its place: " + strings.TrimSuffix(render.MaskSecrets(other.Answer()), ".")
	case errors.Is(err, context.DeadlineExceeded):
		return "PVE had said nothing when this server stopped waiting (PVE_TIMEOUT)"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
		return "the connection broke before it had come"
	}
	return strings.TrimSuffix(render.Text(err.Error(), 300), ".")
}

// sentence gives a text a capital and a full stop.
func sentence(s string) string {
	s = withFullStop(s)
	first, size := utf8.DecodeRuneInString(s)
	if size == 0 {
		return s
	}
	return string(unicode.ToUpper(first)) + s[size:]
}

// withFullStop gives a text a full stop.
func withFullStop(s string) string {
	s = render.Text(s, 600)
	if s == "" || strings.HasSuffix(s, ".") || strings.HasSuffix(s, ".)") || strings.HasSuffix(s, "!") || strings.HasSuffix(s, "?") {
		return s
	}
	return s + "."
}
