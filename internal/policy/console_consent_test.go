package policy_test

import (
	"bytes"
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/pve-mcp/pve-mcp/internal/policy"
)

// Who looks at a screen types nothing, although no consent is needed to look: not where
// commands are off, and not where a human has to agree to them and was not asked.
func TestLookingIsNotTyping(t *testing.T) {
	target := policy.Target{Method: "GET", Path: "/nodes/*/qemu/*/vncwebsocket", Subject: policy.Guest(100)}
	decide := func(p policy.Policy, risk policy.Risk, answer *policy.Answer) context.Context {
		_, consent := p.Decide(policy.Ask{Risk: risk, CanAsk: true, Answer: answer})
		return consent.Grant(t.Context(), target)
	}
	human := policy.Policy{Exec: true, Confirm: policy.Human}
	yes := &policy.Answer{Action: "accept", Agreed: true}
	for name, tt := range map[string]struct {
		policy policy.Policy
		ctx    context.Context
		types  bool
	}{
		"no grant":                             {execOn, t.Context(), false},
		"commands are off":                     {policy.Policy{}, decide(policy.Policy{}, policy.Write, nil), false},
		"a human would have to agree":          {human, decide(human, policy.Write, nil), false},
		"a human has agreed":                   {human, decide(human, policy.Exec, yes), true},
		"commands are on, and no human needed": {execOn, decide(execOn, policy.Exec, nil), true},
	} {
		w := &wire{}
		conn, err := openConsole(tt.ctx, t, tt.policy, vnc, w)
		if err != nil {
			t.Fatal(name, err)
		}
		kept := rfbStart
		if tt.types {
			kept = slices.Concat(rfbStart, types[0])
		}
		if _, err := conn.Write(masked(2, slices.Concat(rfbStart, types[0]))); err != nil || !bytes.Equal(payloads(t, w.Bytes()), kept) {
			t.Errorf("%s: %v, %x", name, err, w.Bytes())
		}
	}
}

// Consent to type into a console covers having it offered, and is still there when it is
// opened. It covers no other guest's.
func TestConsentCoversTheOffer(t *testing.T) {
	human := policy.Policy{Exec: true, Confirm: policy.Human}
	grant := func(kind string, risk policy.Risk) context.Context {
		_, consent := human.Decide(policy.Ask{Risk: risk, CanAsk: true, Answer: &policy.Answer{Action: "accept", Agreed: true}})
		return consent.Grant(t.Context(), policy.Target{Method: "GET", Path: "/nodes/*/" + kind + "/*/vncwebsocket", Subject: policy.Guest(200)})
	}
	for _, tt := range []struct {
		ctx  context.Context
		path string
		want string
	}{
		{t.Context(), "/nodes/a/lxc/200/termproxy", noConsent},
		{grant("lxc", policy.Write), "/nodes/a/lxc/200/termproxy", "the consent was for"},
		{grant("lxc", policy.Exec), "/nodes/a/lxc/201/termproxy", "the consent was for"},
		{grant("qemu", policy.Exec), "/nodes/a/lxc/200/termproxy", "the consent was for"},
		{grant("lxc", policy.Exec), "/nodes/a/lxc/200/termproxy", sent},
	} {
		got := try(tt.ctx, t, &policy.Guard{Policy: human}, http.MethodPost, tt.path)
		if !strings.HasPrefix(got, tt.want) || tt.want == "" && got != "" {
			t.Errorf("%s: %q, want %q", tt.path, got, tt.want)
		}
	}
	w := &wire{}
	ctx := grant("lxc", policy.Exec)
	if got := try(ctx, t, &policy.Guard{Policy: human}, http.MethodPost, "/nodes/a/lxc/200/termproxy"); got != sent {
		t.Fatal(got)
	}
	conn, err := openConsole(ctx, t, human, "/nodes/a/lxc/200/vncwebsocket", w)
	if err != nil {
		t.Fatal(err)
	}
	typed := []byte("u@pve:ticket\n0:1:x")
	if _, err := conn.Write(masked(2, typed)); err != nil || !bytes.Equal(payloads(t, w.Bytes()), typed) {
		t.Errorf("%v, %q", err, w.Bytes())
	}
}
