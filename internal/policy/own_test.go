package policy_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/pve-mcp/pve-mcp/internal/policy"
)

// ownGuard guards the user ops@pve, who is in the group admins. Its token has the role
// mcp-extra, and its group has mcp-admin.
func ownGuard() *policy.Guard {
	return &policy.Guard{
		Policy: policy.Policy{Access: true}, Tokens: []string{"ops@pve!mcp", "sync@corp!mcp"},
		Lookup: policy.Lookup{
			Groups: func(_ context.Context, user string) ([]string, error) {
				return map[string][]string{"ops@pve": {"admins", "ops-lab"}}[user], nil
			},
			Entries: func(context.Context) ([]policy.Entry, error) {
				return []policy.Entry{
					{Type: "token", Who: "ops@pve!mcp", Role: "mcp-extra", Path: "/vms"},
					{Type: "group", Who: "admins", Role: "mcp-admin", Path: "/"},
					{Type: "user", Who: "eve@pve", Role: "others", Path: "/"},
					{Type: "token", Who: "ops@pve!other", Role: "others", Path: "/"},
				}, nil
			},
		},
	}
}

// tryAccess sends a request with a human's consent to exactly it.
func tryAccess(t *testing.T, g *policy.Guard, given policy.Consent, request string) string {
	t.Helper()
	method, target, _ := strings.Cut(request, " ")
	path, query, _ := strings.Cut(target, "?")
	form, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	goal, whole := policy.TargetOf(method, strings.Split(path, "/")[1:], form)
	if !whole {
		t.Fatalf("%s cannot be consented to", request)
	}
	return try(given.Grant(t.Context(), goal), t, g, method, target)
}

// With access enabled and a human's consent, everything passes but what touches the own user,
// its tokens, and what gives them their rights.
func TestOwnAccess(t *testing.T) {
	const (
		ownUser  = "ops@pve is this server's own user, which it never touches"
		ownGroup = "this server's own user ops@pve has rights through the group admins"
		ownRole  = "this server's own user ops@pve has rights through the role mcp-"
		ownSync  = "this server's own user ops@pve has rights through the group ops-lab, which a synchronization may replace"
		ownRealm = "the realm corp is that of this server's own user sync@corp"
	)
	for request, want := range map[string]string{
		"POST /access/users?userid=new@pve":                                      sent,
		"POST /access/users?userid=ops@pve":                                      ownUser,
		"PUT /access/users/eve@pve?enable=0":                                     sent,
		"PUT /access/users/ops@pve?enable=0":                                     ownUser,
		"PUT /access/users/OPS@pve?enable=0":                                     ownUser,
		"PUT /access/users/ops@pve?userid=eve@pve":                               ownUser,
		"PUT /access/users/ops@pve/unlock-tfa":                                   ownUser,
		"DELETE /access/users/eve@pve":                                           sent,
		"DELETE /access/users/ops@pve":                                           ownUser,
		"DELETE /access/users/sync@corp":                                         "sync@corp is this server's own user",
		"POST /access/users/eve@pve/token/x":                                     sent,
		"POST /access/users/ops@pve/token/x":                                     ownUser,
		"PUT /access/users/ops@pve/token/mcp?privsep=0":                          ownUser,
		"DELETE /access/users/ops@pve/token/mcp":                                 ownUser,
		"PUT /access/acl?path=/&roles=Administrator&users=eve@pve":               sent,
		"PUT /access/acl?path=/&roles=Administrator&users=eve@pve,%20ops@pve":    ownUser,
		"PUT /access/acl?path=/&roles=Administrator&users=eve@pve%3Bops@pve":     ownUser,
		"PUT /access/acl?path=/&roles=Administrator&tokens=ops@pve!mcp":          ownUser,
		"PUT /access/acl?path=/&roles=Administrator&tokens=ops@pve!other":        ownUser,
		"PUT /access/acl?path=/&roles=NoAccess&groups=admins":                    ownGroup,
		"PUT /access/acl?path=/&roles=NoAccess&groups=other%09admins&delete=1":   ownGroup,
		"PUT /access/acl?path=/&roles=PVEAuditor&groups=other":                   sent,
		"POST /access/groups?groupid=new":                                        sent,
		"PUT /access/groups/other?comment=x":                                     sent,
		"DELETE /access/groups/other":                                            sent,
		"DELETE /access/groups/admins":                                           ownGroup,
		"POST /access/roles?roleid=new&privs=VM.Audit":                           sent,
		"PUT /access/roles/others?privs=VM.Audit":                                sent,
		"PUT /access/roles/mcp-extra?privs=VM.Audit":                             ownRole,
		"DELETE /access/roles/mcp-admin":                                         ownRole,
		"POST /access/domains?realm=new&type=ldap":                               sent,
		"PUT /access/domains/pve?comment=x":                                      sent,
		"DELETE /access/domains/corp":                                            ownRealm,
		"POST /access/domains/corp/sync":                                         ownRealm,
		"POST /access/domains/lab/sync":                                          ownSync,
		"POST /access/domains/other/sync":                                        sent,
		"POST /cluster/jobs/realm-sync/nightly?realm=corp&schedule=1:00":         ownRealm,
		"POST /cluster/jobs/realm-sync/nightly?realm=other&schedule=1:00":        sent,
		"PUT /cluster/jobs/realm-sync/nightly?schedule=1:00":                     ownSync,
		"DELETE /cluster/jobs/realm-sync/nightly":                                sent,
		"PUT /access/acl?path=/&roles=Administrator&users=eve@pve&users=ops@pve": twice,
	} {
		got := tryAccess(t, ownGuard(), consented(t), request)
		if !strings.HasPrefix(got, want) || want == sent && got != sent {
			t.Errorf("%s: %q, want %q", request, got, want)
		}
	}
}

// Only a human can consent, to the request that was shown, and only where access is enabled.
func TestAccessNeedsAHuman(t *testing.T) {
	const request = "DELETE /access/users/eve@pve"
	_, byParam := policy.Policy{Confirm: policy.Param}.Decide(policy.Ask{Risk: policy.Destructive, Confirmed: true})
	if got := tryAccess(t, ownGuard(), byParam, request); !strings.Contains(got, "only a human can consent") {
		t.Errorf("with confirm: true: %q", got)
	}
	if got := try(t.Context(), t, ownGuard(), http.MethodDelete, "/access/users/eve@pve"); !strings.Contains(got, "no human has consented") {
		t.Errorf("without consent: %q", got)
	}
	for reason, p := range map[string]policy.Policy{
		"PVE_MCP_ENABLE_ACCESS is not true": {}, "PVE_MCP_READ_ONLY=true": {Access: true, ReadOnly: true}, "PVE_MCP_DESTRUCTIVE=false": {Access: true, KeepData: true},
	} {
		g := ownGuard()
		g.Policy = p
		if got := tryAccess(t, g, consented(t), request); !strings.Contains(got, reason) {
			t.Errorf("%+v: %q, want %q", p, got, reason)
		}
	}
	for _, p := range []policy.Policy{{}, {Confirm: policy.Param}, {Confirm: policy.Human}} {
		for _, tt := range []struct {
			ask  policy.Ask
			want policy.Decision
		}{
			{policy.Ask{Confirmed: true}, policy.Refused},
			{policy.Ask{Confirmed: true, CanAsk: true}, policy.AskHuman},
			{policy.Ask{Confirmed: true, CanAsk: true, Answer: &policy.Answer{Action: "decline"}}, policy.Declined},
			{policy.Ask{CanAsk: true, Answer: &policy.Answer{Action: "accept", Agreed: true}}, policy.Granted},
		} {
			tt.ask.Risk = policy.Access
			if got, given := p.Decide(tt.ask); got != tt.want || got == policy.Granted && given.By() != "human" {
				t.Errorf("%v %+v: %v by %s", p.Confirm, tt.ask, got, given.By())
			}
		}
	}
}

// What cannot be looked up is refused, and so is everything if the own user is unknown.
func TestOwnAccessUnknown(t *testing.T) {
	blind := ownGuard()
	blind.Lookup = policy.Lookup{Groups: func(context.Context, string) ([]string, error) { return nil, errors.New("no privilege") }}
	for request, want := range map[string]string{
		"DELETE /access/groups/other":                          "which groups this server's own user ops@pve is in is unknown: no privilege",
		"PUT /access/acl?path=/&roles=PVEAuditor&groups=other": "which groups this server's own user",
		"DELETE /access/roles/others":                          "which roles this server's own user ops@pve has is unknown",
		"DELETE /access/users/eve@pve":                         sent,
	} {
		if got := tryAccess(t, blind, consented(t), request); !strings.HasPrefix(got, want) || want == sent && got != sent {
			t.Errorf("%s: %q, want %q", request, got, want)
		}
	}
	for _, tokens := range [][]string{nil, {""}} {
		g := ownGuard()
		g.Tokens = tokens
		if got := tryAccess(t, g, consented(t), "DELETE /access/users/eve@pve"); !strings.Contains(got, "which user this server itself is") {
			t.Errorf("%q: %q", tokens, got)
		}
	}
}
