package mcphttp_test

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/coreos/go-oidc/v3/oidc/oidctest"

	"github.com/pve-mcp/pve-mcp/internal/mcphttp"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
)

// vouched is an authorization server and what it needs to vouch for somebody.
type vouched struct {
	*idp
	key    *rsa.PrivateKey
	server *oidctest.Server
	mcphttp.OAuth
}

func vouch(t *testing.T) *vouched {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	v := &vouched{key: key, server: &oidctest.Server{}}
	v.show("k")
	v.idp = &idp{Handler: v.server}
	v.OAuth = mcphttp.OAuth{Issuer: "https://idp.example.org", Resource: "https://mcp.example.org/mcp", Client: &http.Client{Transport: v.idp}}
	v.server.SetIssuer(v.Issuer)
	return v
}

// show publishes the key under an id.
func (v *vouched) show(kid string) {
	v.server.PublicKeys = []oidctest.PublicKey{{PublicKey: v.key.Public(), KeyID: kid, Algorithm: oidc.RS256}}
}

func (v *vouched) options() mcphttp.Options {
	return mcphttp.Options{OAuth: &v.OAuth, Authenticate: mcphttp.ByOAuth(v.OAuth)}
}

// claims are those of a token that is good, changed.
func (v *vouched) claims(change map[string]any) string {
	all := map[string]any{"iss": v.Issuer, "aud": v.Resource, "sub": "carol", "scope": "pve:read", "exp": time.Now().Add(time.Hour).Unix()}
	maps.Copy(all, change)
	raw, err := json.Marshal(all)
	if err != nil {
		panic(err)
	}
	return string(raw)
}

// token is a token whose header names a key.
func (v *vouched) token(kid string, change map[string]any) string {
	return signAs(v.key, kid, "at+jwt", v.claims(change))
}

// byHand is a token with a header of any kind, whose signature somebody else makes.
func (v *vouched) byHand(header string, sign func(string) []byte) string {
	enc := base64.RawURLEncoding.EncodeToString
	text := enc([]byte(header)) + "." + enc([]byte(v.claims(nil)))
	return text + "." + enc(sign(text))
}

// Tokens that anybody can make up do not have the issuer asked for each of them, and a
// key that is new is known after a while.
func TestKeysAreAskedForSeldom(t *testing.T) {
	v := vouch(t)
	visit(t, sim.Options{}, v.options(), func(s *site) {
		ask := func(token string) int {
			resp, _ := s.do(s.toolCall("pve_list_nodes", nil, "Authorization", "Bearer "+token))
			return resp.StatusCode
		}
		if got := ask(v.token("k", nil)); got != 200 || v.asked != 2 {
			s.Errorf("%d, and the issuer was asked %d times", got, v.asked)
		}
		begun := time.Now()
		for i := range 200 {
			if got := ask(v.token(fmt.Sprint("made up ", i), nil)); got != 401 && got != 429 {
				s.Errorf("%d", got)
			}
			forged := strings.Split(v.token("k", nil), ".")
			forged[2] = strings.Repeat("A", len(forged[2]))
			if got := ask(strings.Join(forged, ".")); got != 401 && got != 429 {
				s.Errorf("%d", got)
			}
			time.Sleep(100 * time.Millisecond)
		}
		if most := 2 + int(time.Since(begun)/(10*time.Second)) + 1; v.asked > most {
			s.Errorf("the issuer was asked %d times in %v", v.asked, time.Since(begun))
		}
		v.show("k2")
		ask(v.token("made up", nil))
		time.Sleep(10 * time.Second)
		if got := ask(v.token("k2", nil)); got != 200 {
			s.Errorf("a new key: %d", got)
		}
	})
}

// While the issuer cannot be asked for its keys, callers whose key is known go on, and
// others are not told that their tokens are wrong.
func TestIssuerGoesDown(t *testing.T) {
	v := vouch(t)
	visit(t, sim.Options{}, v.options(), func(s *site) {
		ask := func(kid string) (*http.Response, string) {
			return s.do(s.toolCall("pve_list_nodes", nil, "Authorization", "Bearer "+v.token(kid, nil)))
		}
		ask("k")
		time.Sleep(time.Minute)
		v.down = true
		for kid, want := range map[string]int{"k": 200, "new": 503} {
			resp, body := ask(kid)
			if resp.StatusCode != want || strings.Contains(body, "down") || want == 503 && resp.Header.Get("Retry-After") == "" {
				s.Errorf("%s: %d %v %s", kid, resp.StatusCode, resp.Header, body)
			}
		}
		v.Handler, v.down = http.NotFoundHandler(), false
		time.Sleep(time.Minute)
		if resp, body := ask("new"); resp.StatusCode != 503 {
			s.Errorf("an issuer without keys: %d %s", resp.StatusCode, body)
		}
		v.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, "<html>sorry") })
		time.Sleep(time.Minute)
		if resp, body := ask("new"); resp.StatusCode != 503 {
			s.Errorf("keys that are none: %d %s", resp.StatusCode, body)
		}
	})
}

// What is no token of the issuer for this server is refused, however it is made up.
func TestTokensThatAreNone(t *testing.T) {
	v := vouch(t)
	public, err := x509.MarshalPKIXPublicKey(v.key.Public())
	if err != nil {
		t.Fatal(err)
	}
	withPublicKey := func(text string) []byte {
		mac := hmac.New(sha256.New, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}))
		mac.Write([]byte(text))
		return mac.Sum(nil)
	}
	nothing := func(string) []byte { return nil }
	visit(t, sim.Options{}, v.options(), func(s *site) {
		for name, token := range map[string]string{
			"alg none":                    v.byHand(`{"alg":"none"}`, nothing),
			"alg nOnE":                    v.byHand(`{"alg":"nOnE","kid":"k"}`, nothing),
			"signed with the public key":  v.byHand(`{"alg":"HS256","kid":"k"}`, withPublicKey),
			"no signature":                v.byHand(`{"alg":"RS256","kid":"k"}`, nothing),
			"a key of its own":            v.byHand(`{"alg":"RS256","jwk":{"kty":"RSA","n":"AQAB","e":"AQAB"}}`, nothing),
			"keys elsewhere":              v.byHand(`{"alg":"RS256","kid":"k","jku":"https://evil.example.org"}`, nothing),
			"a header that must be known": v.byHand(`{"alg":"RS256","kid":"k","crit":["x"]}`, nothing),
			"not yet":                     v.token("k", map[string]any{"nbf": time.Now().Add(time.Hour).Unix()}),
			"no expiry":                   v.token("k", map[string]any{"exp": nil}),
			"expired a second ago":        v.token("k", map[string]any{"exp": time.Now().Add(-time.Second).Unix()}),
			"no audience":                 v.token("k", map[string]any{"aud": nil}),
			"no issuer":                   v.token("k", map[string]any{"iss": nil}),
			"an issuer with a slash":      v.token("k", map[string]any{"iss": v.Issuer + "/"}),
			"a subject of another kind":   v.token("k", map[string]any{"sub": 7}),
			"two tokens":                  v.token("k", nil) + "," + v.token("k", nil),
			"no token":                    "a.b.c",
		} {
			resp, body := s.do(s.toolCall("pve_list_nodes", nil, "Authorization", "Bearer "+token))
			if challenge := resp.Header.Get("WWW-Authenticate"); resp.StatusCode != 401 || !strings.Contains(challenge, `error="invalid_token"`) {
				s.Errorf("%s: %d %s %s", name, resp.StatusCode, challenge, body)
			}
			time.Sleep(time.Minute)
		}
		for _, name := range []string{"access_token", "token", "authorization"} {
			r := s.toolCall("pve_list_nodes", nil)
			r.URL.RawQuery = name + "=" + v.token("k", nil)
			if resp, body := s.do(r); resp.StatusCode != 401 {
				s.Errorf("a token in the URL: %d %s", resp.StatusCode, body)
			}
		}
		if resp, body := s.do(s.toolCall("pve_list_nodes", nil, "Authorization", "Bearer "+v.token("k", map[string]any{"nbf": time.Now().Unix()}))); resp.StatusCode != 200 {
			s.Errorf("one that is good: %d %s", resp.StatusCode, body)
		}
	})
}
