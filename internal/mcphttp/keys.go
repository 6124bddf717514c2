package mcphttp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

const (
	// keysPause is the least time between two questions for the keys of an issuer, and so
	// the longest that a new key is not known.
	keysPause = 10 * time.Second
	keysBytes = 1 << 20
)

// signatures are what access tokens may be signed with: never with an empty key, nor with
// the public key used as a shared secret.
var signatures = []string{
	oidc.RS256, oidc.RS384, oidc.RS512, oidc.PS256, oidc.PS384, oidc.PS512, oidc.ES256, oidc.ES384, oidc.ES512, oidc.EdDSA,
}

// keysOf returns the keys of an issuer at a URL. Every token with an unknown key or a wrong
// signature would fetch them again, and anybody can make up such tokens. So fetches are
// limited.
func keysOf(client *http.Client, url string) oidc.KeySet {
	own := *client
	own.Transport = &rateLimitedTransport{base: client.Transport}
	return oidc.NewRemoteKeySet(oidc.ClientContext(context.Background(), &own), url)
}

// rateLimitedTransport sends at most one request per keysPause. Until then it returns the
// last answer again.
type rateLimitedTransport struct {
	base http.RoundTripper // nil for the usual one

	mu    sync.Mutex
	until time.Time // guarded by mu
	keys  []byte    // guarded by mu
	err   error     // why there was no answer; guarded by mu
}

// RoundTrip implements [http.RoundTripper].
func (t *rateLimitedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !time.Now().Before(t.until) {
		t.keys, t.err = t.ask(r)
		t.until = time.Now().Add(keysPause)
	}
	if t.err != nil {
		return nil, t.err
	}
	return &http.Response{
		Status: "200 OK", StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(bytes.NewReader(t.keys)), Request: r,
	}, nil
}

func (t *rateLimitedTransport) ask(r *http.Request) ([]byte, error) {
	base := t.base
	if base == nil {
		base = http.DefaultTransport
	}
	resp, err := base.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the issuer was asked for its keys, and answered %s", resp.Status)
	}
	return io.ReadAll(io.LimitReader(resp.Body, keysBytes))
}

// attempt is a look at one token. It tells a token that is wrong from one that cannot be
// judged.
type attempt struct {
	oidc.KeySet
	unanswered error // why the keys could not be had
}

// VerifySignature implements [oidc.KeySet].
func (a *attempt) VerifySignature(ctx context.Context, jwt string) ([]byte, error) {
	payload, err := a.KeySet.VerifySignature(ctx, jwt)
	if errors.Unwrap(err) != nil { // a signature that is wrong has no cause
		a.unanswered = err
	}
	return payload, err
}
