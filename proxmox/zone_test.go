package proxmox

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"testing"
)

// An endpoint may be an address of IPv6 with a zone, which is no part of its certificate.
func TestZone(t *testing.T) {
	ca, caKey := issue(t, true, nil, nil)
	leaf, leafKey := issue(t, false, ca, caKey)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{leaf.Raw, ca.Raw}, PrivateKey: leafKey}}})
	if err != nil {
		t.Fatal(err)
	}
	var asked string
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		asked = req.Host
		_, _ = io.WriteString(w, `{"data":{"version":"9.0.1","release":"9.0"}}`)
	})}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	const host = "[fe80::1%eth0]:8006"
	for name, check := range map[string]TLS{
		"by the roots":  {Roots: roots},
		"pinned":        {Fingerprints: map[string]Fingerprint{host: FingerprintOf(leaf)}},
		"pinned, by CA": {Fingerprints: map[string]Fingerprint{host: FingerprintOf(ca)}},
	} {
		dialled := ""
		transport := newTransport(check, func(ctx context.Context, network, addr string) (net.Conn, error) {
			dialled = addr
			return new(net.Dialer).DialContext(ctx, network, l.Addr().String())
		})
		c, err := New(Options{Endpoints: []string{"https://[fe80::1%25eth0]:8006"}, Transport: transport})
		if err != nil {
			t.Fatal(err)
		}
		v, err := Get[map[string]string](t.Context(), c, Join("version"), nil)
		if err != nil || v["release"] != "9.0" {
			t.Errorf("%s: %v %v", name, v, err)
		}
		if dialled != host || asked != "[fe80::1]:8006" {
			t.Errorf("%s: dialled %s, asked for %s", name, dialled, asked)
		}
		c.Close()
	}
}
