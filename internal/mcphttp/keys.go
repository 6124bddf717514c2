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

// signatures are what access tokens may be signed with: never with nothing, nor with a
// secret that whoever knows the public key could take it for.
var signatures = []string{
	oidc.RS256, oidc.RS384, oidc.RS512, oidc.PS256, oidc.PS384, oidc.PS512, oidc.ES256, oidc.ES384, oidc.ES512, oidc.EdDSA,
}

// keysOf are the keys of an issuer at a URL. For every token whose key is not among them,
// or whose signature is wrong, they would be asked for anew, and anybody can make such
// tokens up: so that is done seldom.
func keysOf(client *http.Client, url string) oidc.KeySet {
	own := *client
	own.Transport = &seldom{base: client.Transport}
	return oidc.NewRemoteKeySet(oidc.ClientContext(context.Background(), &own), url)
}

// seldom asks a question at most once in a time. Whoever asks before gets the same answer
// again.
type seldom struct {
	base http.RoundTripper // nil for the usual one

	mu    sync.Mutex
	until time.Time // guarded by mu
	keys  []byte    // guarded by mu
	err   error     // why there was no answer; guarded by mu
}

// RoundTrip implements [http.RoundTripper].
func (s *seldom) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !time.Now().Before(s.until) {
		s.keys, s.err = s.ask(r)
		s.until = time.Now().Add(keysPause)
	}
	if s.err != nil {
		return nil, s.err
	}
	return &http.Response{
		Status: "200 OK", StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(bytes.NewReader(s.keys)), Request: r,
	}, nil
}

func (s *seldom) ask(r *http.Request) ([]byte, error) {
	base := s.base
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
