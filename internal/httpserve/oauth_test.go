package httpserve_test

import (
	"crypto/rand"
	"crypto/rsa"
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

	"pve-mcp/internal/httpserve"
	"pve-mcp/internal/simtest"
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
	settings := httpserve.OAuth{Issuer: issuer, Resource: resource, Client: &http.Client{Transport: idp}}
	path, secrets := tokens(t, "pve:read")
	byFile := byTokens(t, path).Authenticate
	o := httpserve.Options{OAuth: &settings, Authenticate: httpserve.ByEither(byFile, httpserve.ByOAuth(settings))}
	sign := func(k *rsa.PrivateKey, claims map[string]any) string {
		all := map[string]any{"iss": issuer, "aud": resource, "sub": "carol", "scope": "openid pve:write", "exp": time.Now().Add(time.Hour).Unix()}
		for name, v := range claims {
			all[name] = v
		}
		raw, err := json.Marshal(all)
		if err != nil {
			t.Fatal(err)
		}
		return oidctest.SignIDToken(k, "k", oidc.RS256, string(raw))
	}
	visit(t, simtest.Options{}, o, func(s *site) {
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
