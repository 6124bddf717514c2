package proxmox

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Fingerprint is the SHA-256 digest of a certificate.
type Fingerprint [sha256.Size]byte

// ParseFingerprint reads 64 hexadecimal digits, with or without colons.
func ParseFingerprint(s string) (Fingerprint, error) {
	var f Fingerprint
	raw, err := hex.DecodeString(strings.ReplaceAll(s, ":", ""))
	if err != nil || len(raw) != len(f) {
		return f, fmt.Errorf("a SHA-256 fingerprint has 64 hexadecimal digits, such as AB:CD:…; this one has %d characters", len(s))
	}
	copy(f[:], raw)
	return f, nil
}

// FingerprintOf returns the fingerprint of a certificate.
func FingerprintOf(cert *x509.Certificate) Fingerprint { return sha256.Sum256(cert.Raw) }

// String writes the form that PVE shows: AB:CD:…
func (f Fingerprint) String() string {
	parts := make([]string, len(f))
	for i, b := range f {
		parts[i] = fmt.Sprintf("%02X", b)
	}
	return strings.Join(parts, ":")
}

// TLS says how the certificates of the endpoints are checked.
type TLS struct {
	// Roots are trusted instead of the system's if not nil.
	Roots *x509.CertPool
	// Fingerprints pin the certificate of a host (host:port, as in the endpoint's
	// URL), or that of a CA which signed one for it, instead of the check by Roots.
	// Neither the name nor the expiry of a pinned certificate of the host itself is
	// checked; those of one that a pinned CA has signed are.
	Fingerprints map[string]Fingerprint
	// Insecure turns the check by Roots off.
	Insecure bool
}

// dialer opens a connection, as of [net.Dialer.DialContext].
type dialer func(ctx context.Context, network, addr string) (net.Conn, error)

// NewTransport returns a transport that suits PVE: HTTP/1.1, at most four
// connections to an endpoint, closed before PVE's own 5 s of idleness.
func NewTransport(t TLS) http.RoundTripper {
	return newTransport(t, (&net.Dialer{Timeout: 5 * time.Second}).DialContext)
}

func newTransport(t TLS, dial dialer) http.RoundTripper {
	pinned := &pinnedTransport{
		dial: dial, hosts: map[string]lanes{}, learned: map[learnedPin]lanes{},
		others: newLanes(&tls.Config{RootCAs: t.Roots, InsecureSkipVerify: t.Insecure}, dial),
	}
	for host, pin := range t.Fingerprints {
		pinned.hosts[host] = newPinned(host, pin, dial)
	}
	return pinned
}

// newPinned returns a transport to a host whose certificate is pinned.
func newPinned(host string, pin Fingerprint, dial dialer) lanes {
	return newLanes(&tls.Config{
		InsecureSkipVerify: true, // VerifyConnection checks instead
		VerifyConnection: func(cs tls.ConnectionState) error {
			return checkPin(pin, host, cs.PeerCertificates)
		},
	}, dial)
}

func overTLS(cfg *tls.Config, dial dialer) *http.Transport {
	cfg.MinVersion = tls.VersionTLS12
	const handshake = 10 * time.Second
	return &http.Transport{
		// As the transport does it itself, except that the zone of an address, which no
		// certificate has, is left out.
		DialTLSContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := dial(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			own := cfg.Clone()
			if name, _, err := net.SplitHostPort(addr); err == nil {
				own.ServerName = withoutZone(name)
			}
			ctx, cancel := context.WithTimeout(ctx, handshake)
			defer cancel()
			secure := tls.Client(conn, own)
			if err := secure.HandshakeContext(ctx); err != nil {
				_ = conn.Close()
				return nil, err
			}
			return secure, nil
		},
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         dial,
		TLSClientConfig:     cfg,
		TLSHandshakeTimeout: handshake,
		MaxConnsPerHost:     perEndpoint,
		MaxIdleConnsPerHost: perEndpoint,
		IdleConnTimeout:     4 * time.Second,
	}
}

// withoutZone is an address without its zone, which is this machine's business.
func withoutZone(host string) string {
	name, _, _ := strings.Cut(host, "%")
	return name
}

// lanes keeps what takes long apart from other requests, so that a console does not hold one
// of the few connections that those have.
type lanes struct{ short, long *http.Transport }

func newLanes(cfg *tls.Config, dial dialer) lanes {
	l := lanes{overTLS(cfg, dial), overTLS(cfg, dial)}
	l.long.MaxConnsPerHost = 0
	l.long.DisableKeepAlives = true
	l.long.ExpectContinueTimeout = time.Second
	return l
}

// RoundTrip takes the long lane for a request whose connection is for it alone.
func (l lanes) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Close || req.Header.Get("Upgrade") != "" {
		return l.long.RoundTrip(req)
	}
	return l.short.RoundTrip(req)
}

// CloseIdleConnections closes the connections that no request uses.
func (l lanes) CloseIdleConnections() { l.short.CloseIdleConnections() }

// pinnedTransport checks each host's certificate by its own fingerprint.
type pinnedTransport struct {
	dial   dialer
	hosts  map[string]lanes
	others lanes

	mu      sync.Mutex
	learned map[learnedPin]lanes // guarded by mu
}

// learnedPin is a fingerprint that a cluster has told of a host.
type learnedPin struct {
	host string
	pin  Fingerprint
}

// pinKey is the key of the fingerprint that the endpoint of a request has to have.
type pinKey struct{}

// pinned returns a context whose requests only the endpoint's own certificate may answer.
func (e *endpoint) pinned(ctx context.Context) context.Context {
	if e.pin == nil {
		return ctx
	}
	return context.WithValue(ctx, pinKey{}, *e.pin)
}

// CloseIdleConnections closes the connections that no request uses.
func (p *pinnedTransport) CloseIdleConnections() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, t := range p.hosts {
		t.CloseIdleConnections()
	}
	for _, t := range p.learned {
		t.CloseIdleConnections()
	}
	p.others.CloseIdleConnections()
}

func (p *pinnedTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	if t, ok := p.hosts[req.URL.Host]; ok {
		return t.RoundTrip(req)
	}
	if pin, ok := req.Context().Value(pinKey{}).(Fingerprint); ok {
		return p.learn(req.URL.Host, pin).RoundTrip(req)
	}
	return p.others.RoundTrip(req)
}

// learn returns the transport for a host whose fingerprint the cluster has told.
func (p *pinnedTransport) learn(host string, pin Fingerprint) lanes {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := learnedPin{host, pin}
	t, ok := p.learned[key]
	if !ok {
		t = newPinned(host, pin, p.dial)
		p.learned[key] = t
	}
	return t
}

// PinError says that a host presented another certificate than the pinned one.
type PinError struct {
	Pinned    Fingerprint
	Presented []*x509.Certificate // the host's own first
}

func (e *PinError) Error() string {
	if len(e.Presented) == 0 {
		return fmt.Sprintf("no certificate was presented, and %v is pinned", e.Pinned)
	}
	return fmt.Sprintf("the certificate has the fingerprint %v, not the pinned %v", FingerprintOf(e.Presented[0]), e.Pinned)
}

// Presented returns the certificate of the host that err says was not accepted, nil if
// err is not about a certificate.
func Presented(err error) *x509.Certificate {
	var pin *PinError
	var unverified *tls.CertificateVerificationError
	var chain []*x509.Certificate
	switch {
	case errors.As(err, &pin):
		chain = pin.Presented
	case errors.As(err, &unverified):
		chain = unverified.UnverifiedCertificates
	}
	if len(chain) == 0 {
		return nil
	}
	return chain[0]
}

// checkPin accepts a chain whose first certificate is the pinned one, or is signed by
// it for the host.
func checkPin(pin Fingerprint, host string, chain []*x509.Certificate) error {
	i := slices.IndexFunc(chain, func(c *x509.Certificate) bool { return FingerprintOf(c) == pin })
	switch i {
	case -1:
		return &PinError{Pinned: pin, Presented: chain}
	case 0:
		return nil
	}
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(chain[i])
	for _, c := range chain[1:i] {
		between.AddCert(c)
	}
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		return err
	}
	if _, err := chain[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, DNSName: withoutZone(name)}); err != nil {
		return &tls.CertificateVerificationError{UnverifiedCertificates: chain, Err: err}
	}
	return nil
}
