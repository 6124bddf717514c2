package policy

import (
	"cmp"
	"context"
	"net/http"
	"strings"

	"github.com/pve-mcp/pve-mcp/proxmox"
)

// Where is a guest, and where it was when the request was made.
type Where struct {
	VMID       int
	Node, Kind string // "" if the request does not say
	// Snapshot is the snapshot whose configuration counts instead of the present one. With
	// [AllSnapshots], those of all snapshots count too.
	Snapshot string
}

// Lookup returns what the guard needs to know in addition to a request. An error means that it
// is unknown.
type Lookup struct {
	// Config returns the values of a guest's configuration by key: those in force first, then
	// those that wait for its next start, then those of its snapshots.
	Config func(ctx context.Context, w Where) (map[string][]string, error)
	// Members returns the guests in a pool itself; Pool returns the pool that a guest is in.
	Members func(ctx context.Context, pool string) ([]int, error)
	Pool    func(ctx context.Context, vmid int) (string, error)
	// Runs reports whether a guest is running. A guest that does not exist is not.
	Runs func(ctx context.Context, vmid int) (bool, error)
	// Having returns the guests, among those that mayHave selects, in whose configuration find
	// finds something, now or from their next start on. It also returns those whose
	// configuration is unknown.
	Having func(ctx context.Context, find func(key, value string) (what string, found bool), mayHave func(vmid int) bool) ([]Holder, error)
	// Guests returns the guests on a node, or with "" those of the cluster. It is an error if
	// the token cannot see all of them.
	Guests func(ctx context.Context, node string) ([]int, error)
	// Content returns the ids of the volumes on a storage, on all nodes.
	Content func(ctx context.Context, storage string) ([]string, error)
	// Job returns the guests of a backup job.
	Job func(ctx context.Context, id string) (Selection, error)
	// HA returns the guests that HA manages: those of a group, those of a rule, or with neither
	// all of them.
	HA func(ctx context.Context, group, rule string) ([]int, error)
	// MovedTogether returns the guests that HA moves together with one.
	MovedTogether func(ctx context.Context, w Where, target string) ([]int, error)
	// Groups returns the groups that a user is in.
	Groups func(ctx context.Context, user string) ([]string, error)
	// Entries returns all entries of the access control list. It is an error if the token
	// cannot see all of them.
	Entries func(ctx context.Context) ([]Entry, error)
}

// Holder is a guest whose configuration has the wanted thing. Err says why that is unknown.
type Holder struct {
	VMID int
	Key  string // such as scsi0
	What string // such as a volume
	Err  error
}

// Guard enforces a policy on every request that passes through its transport.
type Guard struct {
	Policy Policy
	// Tokens are the ids of the tokens with which this process calls PVE, USER@REALM!NAME.
	// No request changes them, their users, or what gives them their rights.
	Tokens []string
	// Lookup reads through the same transport, once there is a client on it.
	Lookup Lookup
}

// Transport returns a transport that passes to base what the policy allows.
func (g *Guard) Transport(base http.RoundTripper) http.RoundTripper {
	return transport{guard: g, base: base}
}

type transport struct {
	guard *Guard
	base  http.RoundTripper
}

func (t transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if readsViewer(req) {
		return t.base.RoundTrip(req)
	}
	_, escaped, _ := strings.Cut(req.URL.EscapedPath(), "/api2/json")
	elems, reason := splitPath(escaped)
	r, used, err := request{method: req.Method, elems: elems}, (*grant)(nil), error(nil)
	switch {
	case reason != "":
	case req.Method == http.MethodGet && upgrades(req):
		return t.openConsole(req, r)
	case req.Method == http.MethodGet:
		reason = t.guard.refuseRead(req, r)
	default:
		if req, r.params, reason = readUpload(req, r); reason == "" {
			used, reason, err = t.guard.refuseWrite(req, r)
		}
	}
	if err == nil && reason == "" {
		resp, err := t.base.RoundTrip(req)
		if err == nil {
			used.restore(resp)
		}
		return resp, err
	}
	if req.Body != nil {
		_ = req.Body.Close()
	}
	if err != nil {
		return nil, err
	}
	return nil, refused(req, reason)
}

// refused is the error of a request that is not sent.
func refused(req *http.Request, reason string) error {
	_, path, _ := strings.Cut(req.URL.Path, "/api2/json")
	return &RefusedError{Method: req.Method, Path: path, Reason: reason}
}

// openConsole sends a request whose connection becomes a console, and wraps the console.
func (t transport) openConsole(req *http.Request, r request) (*http.Response, error) {
	reason := t.guard.refuseRead(req, r)
	e := known().find(r.method, r.elems)
	if reason == "" {
		reason = refuseConsole(req, e)
	}
	if reason != "" {
		return nil, refused(req, reason)
	}
	used, may := t.guard.mayType(req, r, e)
	resp, err := t.base.RoundTrip(req)
	switch {
	case err != nil:
		return nil, err
	case resp.StatusCode != http.StatusSwitchingProtocols:
		used.restore(resp)
		return resp, nil
	}
	return resp, watchConsole(resp, may)
}

// refuseRead returns why a read must not be made, or "".
func (g *Guard) refuseRead(req *http.Request, r request) string {
	e := known().find(r.method, r.elems)
	if e == nil {
		return "nothing is known of what it reads"
	}
	if reason := e.never(); reason != "" {
		return reason
	}
	if reason := g.Policy.refuseBackupFile(*e); reason != "" {
		return reason
	}
	if e.onlyReads != nil {
		var reason string
		if r.params, reason, _ = readParams(req, r, e); reason == "" && e.onlyReads(r) {
			return ""
		}
	}
	if reason := cmp.Or(g.Policy.Refusal(e.class.risk()), g.Policy.refuseAgentFile(*e)); reason != "" || e.fetches == nil {
		return reason
	}
	var reason string
	if r.params, reason, _ = readParams(req, r, e); reason != "" {
		return reason
	}
	return g.Policy.RefuseFetch(e.fetches(r))
}

// refuseWrite returns why a request that may change something must not be sent, or "" and the
// grant that it uses up.
func (g *Guard) refuseWrite(req *http.Request, r request) (used *grant, reason string, err error) {
	if reason := g.Policy.Refusal(Write); reason != "" {
		return nil, reason, nil
	}
	e := known().find(r.method, r.elems)
	if r.params == nil { // it uploads no file
		if r.params, reason, err = readParams(req, r, e); err != nil || reason != "" {
			return nil, reason, err
		}
	}
	if e == nil {
		return nil, "nothing is known of what it changes", nil
	}
	if reason := e.never(); reason != "" {
		return nil, reason, nil
	}
	if upgrades(req) {
		return nil, "its connection would become one that this server cannot read", nil
	}
	if r.at(0) == "nodes" && r.at(1) == "localhost" {
		return nil, "localhost is whichever node answers; name the node", nil
	}
	if r.params.Has("skiplock") {
		return nil, "skiplock works around a lock that PVE has set for a reason", nil
	}
	if key := e.repeated(r.params); key != "" {
		return nil, "the parameter " + key + " is given twice", nil
	}
	if e.fetches != nil {
		if reason := g.Policy.RefuseFetch(e.fetches(r)); reason != "" {
			return nil, reason, nil
		}
	}
	changes := e.effectOf(r)
	risk := e.riskOf(r, changes)
	if reason := g.Policy.Refusal(risk); reason != "" {
		return nil, reason, nil
	}
	if risk == Exec {
		if reason := g.refuseCommand(req.Context(), *e, r); reason != "" {
			return nil, reason, nil
		}
	}
	changes.destroys = risk == Destructive || risk == Access
	changes.spreads = risk == Destructive || e.spreads
	ctx, j := proxmox.WithReadsOf(withoutValues{req.Context()}, req.Context()), g.newJudge()
	if e.rewrites && granted(req.Context(), *e, r) {
		for _, w := range changes.uses {
			held, reason := j.volumesOfOthers(ctx, w)
			if reason != "" {
				return nil, reason, nil
			}
			changes.named = append(changes.named, held...)
		}
	}
	if reason := j.refuse(ctx, changes); reason != "" {
		return nil, reason, nil
	}
	if risk == Access {
		if reason := j.refuseOwn(ctx, *e, r); reason != "" {
			return nil, reason, nil
		}
	}
	if risk == Destructive || risk == Access || risk == Exec && g.Policy.Confirm == Human && !offersGranted(req.Context(), *e, r, changes) {
		used, reason = spend(req.Context(), *e, r, changes)
		return used, reason, nil
	}
	return nil, "", nil
}

// withoutValues is a context without the values of a request, because its hooks must not see
// the reads that a rule needs.
type withoutValues struct{ context.Context }

// Value has nothing.
func (withoutValues) Value(any) any { return nil }
