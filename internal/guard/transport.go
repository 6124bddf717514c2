package guard

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Lookup tells what rules about tags and pools need to know. An error means that a rule
// cannot be evaluated.
type Lookup struct {
	Tags    func(ctx context.Context, vmid int) ([]string, error) // of the guest's configuration
	Members func(ctx context.Context, pool string) ([]int, error)
}

// Guard enforces a policy on every request that passes through its transport.
type Guard struct {
	Policy Policy
	// Lookup reads through the same transport, once there is a client on it.
	Lookup Lookup
}

// Transport returns a transport that lets pass to base what the policy allows.
func (g *Guard) Transport(base http.RoundTripper) http.RoundTripper {
	return transport{guard: g, base: base}
}

type transport struct {
	guard *Guard
	base  http.RoundTripper
}

func (t transport) RoundTrip(req *http.Request) (*http.Response, error) {
	_, escaped, _ := strings.Cut(req.URL.EscapedPath(), "/api2/json")
	var used *grant
	reason, err := t.guard.refuseRead(escaped), error(nil)
	if req.Method != http.MethodGet {
		used, reason, err = t.guard.refuseWrite(req, escaped)
	}
	if err == nil && reason == "" {
		resp, err := t.base.RoundTrip(req)
		if err == nil {
			used.settle(resp)
		}
		return resp, err
	}
	if req.Body != nil {
		_ = req.Body.Close()
	}
	if err != nil {
		return nil, err
	}
	path, _ := url.PathUnescape(escaped)
	return nil, &RefusedError{Method: req.Method, Path: path, Reason: reason}
}

// refuseRead returns why a read must not be made, or "".
func (g *Guard) refuseRead(path string) string {
	if readsGuest.MatchString(path) {
		return g.Policy.Refusal(Exec)
	}
	return ""
}

// refuseWrite returns why a request that may change something must not be sent, or "", and
// the grant that it uses up.
func (g *Guard) refuseWrite(req *http.Request, escaped string) (used *grant, reason string, err error) {
	if reason := g.Policy.Refusal(Write); reason != "" {
		return nil, reason, nil
	}
	params, err := parameters(req)
	if err != nil {
		return nil, "", err
	}
	e, known := find(req.Method, escaped)
	if !known {
		return nil, "nothing is known of what it changes", nil
	}
	path, err := url.PathUnescape(escaped)
	if err != nil {
		return nil, "", err
	}
	risk := e.riskOf(params)
	if reason := g.Policy.Refusal(risk); reason != "" {
		return nil, reason, nil
	}
	if risk == Exec {
		if reason := g.Policy.RefuseCommand(params["command"], strings.Join(params["input-data"], "") != ""); reason != "" {
			return nil, reason, nil
		}
	}
	changed, made, known := e.touched(path, params)
	if reason := g.judge(bare{req.Context()}, changed, made, params.Get("pool"), known); reason != "" {
		return nil, reason, nil
	}
	if risk == Destructive || risk == Exec && g.Policy.Confirm == Human {
		used, reason = spend(req.Context(), e, slices.Concat(changed, made))
		return used, reason, nil
	}
	return nil, "", nil
}

// parameters reads query and form, and leaves the body as it is.
func parameters(req *http.Request) (url.Values, error) {
	params := req.URL.Query()
	if req.Body == nil {
		return params, nil
	}
	if req.GetBody == nil {
		return nil, errors.New("the body cannot be read twice")
	}
	body, err := req.GetBody()
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(body)
	if err != nil {
		return nil, err
	}
	form, err := url.ParseQuery(string(data))
	if err != nil {
		return nil, errors.New("the body is no form") // its text may have secrets
	}
	for k, v := range form {
		params[k] = append(params[k], v...)
	}
	return params, nil
}

// bare is a context without the values of a request, whose hooks must not hear of the
// reads that a rule needs.
type bare struct{ context.Context }

// Value has nothing.
func (bare) Value(any) any { return nil }

// judge applies the rules about guests to those that a request changes and makes.
func (g *Guard) judge(ctx context.Context, changed, made []int, pool string, known bool) string {
	if len(g.Policy.Protect) == 0 && len(g.Policy.Allow) == 0 {
		return ""
	}
	if !known {
		return "which guests it changes cannot be told, and PVE_MCP_PROTECT or PVE_MCP_ALLOW is set"
	}
	var reasons []string
	for _, id := range changed {
		if reason := g.RefuseGuest(ctx, id); reason != "" {
			reasons = append(reasons, reason)
		}
	}
	for _, id := range made {
		if reason := g.refuseNew(id, pool); reason != "" {
			reasons = append(reasons, reason)
		}
	}
	return strings.Join(reasons, "; ")
}

// RefuseGuest returns why a guest must not be changed, or "".
func (g *Guard) RefuseGuest(ctx context.Context, id int) string {
	rule, is, err := g.covered(ctx, g.Policy.Protect, id)
	switch {
	case err != nil:
		return fmt.Sprintf("whether guest %d is protected cannot be told: %v", id, err)
	case is:
		return fmt.Sprintf("guest %d is protected (PVE_MCP_PROTECT: %v)", id, rule)
	case len(g.Policy.Allow) == 0:
		return ""
	}
	_, is, err = g.covered(ctx, g.Policy.Allow, id)
	switch {
	case err != nil:
		return fmt.Sprintf("whether guest %d may be changed cannot be told: %v", id, err)
	case !is:
		return fmt.Sprintf("guest %d is not among those that this server may change (PVE_MCP_ALLOW)", id)
	}
	return ""
}

// covered reports whether a rule names a guest.
func (g *Guard) covered(ctx context.Context, rules Rules, id int) (Rule, bool, error) {
	if rule, ok := rules.byID(id); ok {
		return rule, true, nil
	}
	var tags []string
	for i, r := range rules {
		switch {
		case r.Tag != "":
			if tags == nil {
				var err error
				if tags, err = g.tags(ctx, id); err != nil {
					return Rule{}, false, fmt.Errorf("rule %v: %w", r, err)
				}
			}
			if slices.Contains(tags, r.Tag) {
				return rules[i], true, nil
			}
		case r.Pool != "":
			members, err := g.members(ctx, r.Pool)
			if err != nil {
				return Rule{}, false, fmt.Errorf("rule %v: %w", r, err)
			}
			if slices.Contains(members, id) {
				return rules[i], true, nil
			}
		}
	}
	return Rule{}, false, nil
}

// tags are a guest's, in lower case, never nil.
func (g *Guard) tags(ctx context.Context, id int) ([]string, error) {
	if g.Lookup.Tags == nil {
		return nil, errors.New("tags cannot be read")
	}
	tags, err := g.Lookup.Tags(ctx, id)
	out := []string{}
	for _, t := range tags {
		out = append(out, strings.ToLower(t))
	}
	return out, err
}

func (g *Guard) members(ctx context.Context, pool string) ([]int, error) {
	if g.Lookup.Members == nil {
		return nil, errors.New("pools cannot be read")
	}
	return g.Lookup.Members(ctx, pool)
}

// refuseNew returns why a guest must not be made, or "": it has no tags yet, and the
// pool that it is made in.
func (g *Guard) refuseNew(id int, pool string) string {
	in := func(rules Rules) (Rule, bool) {
		if rule, ok := rules.byID(id); ok {
			return rule, true
		}
		i := slices.IndexFunc(rules, func(r Rule) bool { return r.Pool != "" && r.Pool == pool })
		if i < 0 {
			return Rule{}, false
		}
		return rules[i], true
	}
	if rule, is := in(g.Policy.Protect); is {
		return fmt.Sprintf("the new guest %d would be protected (PVE_MCP_PROTECT: %v)", id, rule)
	}
	if _, is := in(g.Policy.Allow); !is && len(g.Policy.Allow) > 0 {
		return fmt.Sprintf("the new guest %d is not among those that this server may change (PVE_MCP_ALLOW)", id)
	}
	return ""
}
