package pvesim

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"net/http"
)

// TB is what [New] needs of a test: a [testing.T], [testing.B] or [testing.F].
type TB interface {
	Helper()
	Cleanup(func())
	Fatal(args ...any)
}

// Server is a simulated cluster that a test talks to over TLS, on a port of the
// loopback interface.
type Server struct {
	// URL is where the first node listens, such as https://127.0.0.1:41235. The API is
	// below /api2/json.
	URL string
	// Fingerprint is the SHA-256 of the node's certificate, as PVE writes it: AB:CD:….
	Fingerprint string
	// CA is the certificate of the cluster's CA, as PEM.
	CA []byte
	// Token is the first of the model's: root@pam!full in those of this package, which may
	// do everything.
	Token Token
	// Model is what the cluster was when the test began.
	Model Model
	// Sim is the cluster itself: what was asked of it, faults, nodes that go off the network.
	Sim *Sim

	client *http.Client
}

// Option changes what [New] starts.
type Option func(*setup)

type setup struct {
	model Model
	clock Clock
}

// WithModel makes the cluster that of a model, instead of [Cluster].
func WithModel(m Model) Option { return func(s *setup) { s.model = m } }

// WithClock makes the cluster live by a clock, instead of one on which a minute passes
// each second.
func WithClock(c Clock) Option { return func(s *setup) { s.clock = c } }

// New starts a simulated cluster for a test, and stops it when the test ends.
//
//	func TestMyTool(t *testing.T) {
//		server := pvesim.New(t)
//		mytool.Run(server.URL, server.Token.ID, server.Token.Secret, server.Fingerprint)
//	}
func New(t TB, options ...Option) *Server {
	t.Helper()
	s := setup{model: Cluster(), clock: Scaled(60)}
	for _, option := range options {
		option(&s)
	}
	sim, err := NewSim(s.model, Options{Clock: s.clock})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := sim.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &Server{URL: listener.URL(), Fingerprint: listener.Fingerprint(), CA: listener.CA(), Model: s.model, Sim: sim}
	if len(s.model.Tokens) > 0 {
		server.Token = s.model.Tokens[0]
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(server.CA)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	server.client = &http.Client{Transport: withToken{authorization: server.Token.Header(), next: transport}}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		if err := listener.Close(); err != nil {
			t.Fatal(err)
		}
	})
	return server
}

// Client returns a client that trusts the cluster's CA and sends [Server.Token] with
// requests that have no Authorization header.
func (s *Server) Client() *http.Client { return s.client }

// withToken sends an API token with each request.
type withToken struct {
	authorization string
	next          http.RoundTripper
}

func (w withToken) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	req.Header.Set("Authorization", cmp.Or(req.Header.Get("Authorization"), w.authorization))
	return w.next.RoundTrip(req)
}
