package mcphttp_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/coreos/go-oidc/v3/oidc/oidctest"

	"github.com/pve-mcp/pve-mcp/internal/callers"
	"github.com/pve-mcp/pve-mcp/internal/mcphttp"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
)

// idp is an authorization server without a network.
type idp struct {
	http.Handler
	down  bool
	asked int
}

func (p *idp) RoundTrip(r *http.Request) (*http.Response, error) {
	p.asked++
	if p.down {
		return nil, errors.New("the issuer is down")
	}
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	return w.Result(), nil
}

// signAs signs a token whose header names its type, or none.
func signAs(key *rsa.PrivateKey, kid, typ, claims string) string {
	header := map[string]any{"alg": "RS256", "kid": kid}
	if typ != "" {
		header["typ"] = typ
	}
	first, err := json.Marshal(header)
	if err != nil {
		panic(err)
	}
	enc := base64.RawURLEncoding.EncodeToString
	text := enc(first) + "." + enc([]byte(claims))
	sum := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	if err != nil {
		panic(err)
	}
	return text + "." + enc(signature)
}

// A token has to say that it is an access token. Where its issuer cannot say so, nothing in
// it may say that it is another, and it has to have scopes, which no ID token has.
func TestKindsOfTokens(t *testing.T) {
	for _, tt := range []struct {
		name, typ     string
		claims        map[string]any
		strict, loose int
	}{
		{"an access token", "at+jwt", nil, 200, 200},
		{"in full", "application/at+JWT", nil, 200, 200},
		{"a JWT", "JWT", nil, 401, 200},
		{"no type", "", nil, 401, 200},
		{"Keycloak's", "JWT", map[string]any{"typ": "Bearer"}, 401, 200},
		{"Keycloak's ID token", "JWT", map[string]any{"typ": "ID"}, 401, 401},
		{"an ID token", "JWT", map[string]any{"scope": nil, "groups": []string{"admins"}}, 401, 401},
		{"an ID token of a browser", "JWT", map[string]any{"nonce": "x"}, 401, 401},
		{"one that goes with an access token", "", map[string]any{"at_hash": "x"}, 401, 401},
		{"a logout token", "logout+jwt", nil, 401, 401},
		{"a logout token of old", "JWT", map[string]any{"events": map[string]any{}}, 401, 401},
	} {
		for anyJWT, want := range map[bool]int{false: tt.strict, true: tt.loose} {
			v := vouch(t)
			v.AnyJWT, v.ScopeClaim, v.ScopesOf = anyJWT, "groups", map[string]callers.Scopes{"admins": {callers.Destroy}}
			visit(t, sim.Options{}, v.options(), func(s *site) {
				resp, body := s.do(s.toolCall("pve_list_nodes", nil, "Authorization", "Bearer "+signAs(v.key, "k", tt.typ, v.claims(tt.claims))))
				if resp.StatusCode != want {
					s.Errorf("%s (any JWT: %v): %d %s", tt.name, anyJWT, resp.StatusCode, body)
				}
			})
		}
	}
}

// Claims give scopes, and the name under which a caller is recorded; who it is, its sub
// alone says.
func TestClaims(t *testing.T) {
	v := vouch(t)
	v.NameClaim, v.ScopeClaim = "preferred_username", "realm_access.roles"
	v.ScopesOf = map[string]callers.Scopes{"ops": {callers.Write}, "cn=admins": {callers.Destroy, callers.Exec}}
	for _, tt := range []struct {
		roles     any
		read, del int
	}{
		{[]string{"ops"}, 200, 403},
		{[]string{"else", "cn=admins"}, 200, 200},
		{"ops", 200, 403},
		{[]string{"pve:destroy"}, 403, 403},
		{[]string{"OPS"}, 403, 403},
		{7, 403, 403},
		{nil, 403, 403},
	} {
		var record kept
		build := recorded(&record, v.options())
		visitOn(t, sim.Options{}, build, func(s *site) {
			token := signAs(v.key, "k", "at+jwt", v.claims(map[string]any{
				"scope": "openid", "preferred_username": "Alice (admin)", "realm_access": map[string]any{"roles": tt.roles},
			}))
			for tool, want := range map[string]int{"pve_list_nodes": tt.read, "pve_delete_guest": tt.del} {
				resp, body := s.do(s.toolCall(tool, map[string]any{"vmid": 204}, "Authorization", "Bearer "+token))
				if resp.StatusCode != want {
					s.Errorf("%v: %s: %d %s", tt.roles, tool, resp.StatusCode, body)
				}
			}
		})
		if got := record.String(); tt.del == 200 && !strings.Contains(got, `oauth:carol (\"Alice (admin)\")`) {
			t.Errorf("%v: recorded %s", tt.roles, got)
		}
	}
}

func TestOAuth(t *testing.T) {
	const issuer, resource = "https://idp.example.org", "https://mcp.example.org/mcp"
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	provider := &oidctest.Server{PublicKeys: []oidctest.PublicKey{{PublicKey: key.Public(), KeyID: "k", Algorithm: oidc.RS256}}}
	provider.SetIssuer(issuer)
	idp := &idp{Handler: provider, down: true}
	settings := mcphttp.OAuth{Issuer: issuer, Resource: resource, Client: &http.Client{Transport: idp}}
	path, secrets := tokens(t, "pve:read")
	byFile := byTokens(t, path).Authenticate
	o := mcphttp.Options{OAuth: &settings, Authenticate: mcphttp.ByEither(byFile, mcphttp.ByOAuth(settings))}
	sign := func(k *rsa.PrivateKey, claims map[string]any) string {
		all := map[string]any{"iss": issuer, "aud": resource, "sub": "carol", "scope": "openid pve:write", "exp": time.Now().Add(time.Hour).Unix()}
		for name, v := range claims {
			all[name] = v
		}
		raw, err := json.Marshal(all)
		if err != nil {
			t.Fatal(err)
		}
		return signAs(k, "k", "at+jwt", string(raw))
	}
	visit(t, sim.Options{}, o, func(s *site) {
		ask := func(token, tool string) (*http.Response, string) {
			return s.do(s.toolCall(tool, map[string]any{"vmid": 101, "confirm": true}, "Authorization", "Bearer "+token))
		}
		for range 3 {
			if resp, body := ask(sign(key, nil), "pve_guest_status"); resp.StatusCode != 503 || strings.Contains(body, "down") {
				s.Errorf("without an issuer: %d %s", resp.StatusCode, body)
			}
		}
		if idp.asked != 1 {
			s.Errorf("the issuer was asked %d times", idp.asked)
		}
		idp.down = false
		time.Sleep(15 * time.Second)
		for name, tt := range map[string]struct {
			token  string
			tool   string
			status int
		}{
			"a call":            {sign(key, nil), "pve_guest_status", 200},
			"scopes as a list":  {sign(key, map[string]any{"scope": nil, "scp": []string{"pve:read"}}), "pve_guest_status", 200},
			"several audiences": {sign(key, map[string]any{"aud": []string{"x", resource}}), "pve_guest_status", 200},
			"step up":           {sign(key, nil), "pve_delete_guest", 403},
			"no scope":          {sign(key, map[string]any{"scope": "openid"}), "pve_guest_status", 403},
			"expired":           {sign(key, map[string]any{"exp": time.Now().Add(-time.Hour).Unix()}), "pve_guest_status", 401},
			"other audience":    {sign(key, map[string]any{"aud": "https://other.example.org"}), "pve_guest_status", 401},
			"other issuer":      {sign(key, map[string]any{"iss": "https://evil.example.org"}), "pve_guest_status", 401},
			"other key":         {sign(stranger, nil), "pve_guest_status", 401},
			"no subject":        {sign(key, map[string]any{"sub": ""}), "pve_guest_status", 401},
			"not signed":        {"eyJhbGciOiJub25lIn0." + strings.Split(sign(key, nil), ".")[1] + ".", "pve_guest_status", 401},
			"of the file":       {secrets[0], "pve_guest_status", 200},
		} {
			resp, body := ask(tt.token, tt.tool)
			challenge := resp.Header.Get("WWW-Authenticate")
			if resp.StatusCode != tt.status {
				s.Errorf("%s: %d %s", name, resp.StatusCode, body)
			}
			if tt.status != 200 && !strings.Contains(challenge, `resource_metadata="https://mcp.example.org/.well-known/oauth-protected-resource/mcp"`) {
				s.Errorf("%s: %s", name, challenge)
			}
			if tt.status == 403 && !strings.Contains(challenge, `error="insufficient_scope"`) {
				s.Errorf("%s: %s", name, challenge)
			}
		}
		for _, path := range []string{"", "/mcp"} {
			_, body := s.get("/.well-known/oauth-protected-resource" + path)
			var got map[string]any
			if err := json.Unmarshal([]byte(body), &got); err != nil || got["resource"] != resource || fmt.Sprint(got["authorization_servers"]) != "["+issuer+"]" {
				s.Errorf("%s: %v %s", path, err, body)
			}
		}
	})
}
