package pve_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net/http/httptest"
	"strings"
	"testing"

	"pve-mcp/pve"
	"pve-mcp/pvesim"
)

// serve runs a simulated node on loopback, over TLS.
func serve(t *testing.T) *httptest.Server {
	t.Helper()
	sim, err := pvesim.New(pvesim.Lab(), pvesim.Options{Clock: pvesim.Scaled(1000)})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(sim)
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // refused handshakes are the point
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

func TestTLS(t *testing.T) {
	server := serve(t)
	host := strings.TrimPrefix(server.URL, "https://")
	pool := x509.NewCertPool()
	pool.AddCert(server.Certificate())
	right, wrong := pve.FingerprintOf(server.Certificate()), pve.Fingerprint{1}
	sim := pvesim.Lab().Token("audit@pve!mcp")
	for _, tt := range []struct {
		name string
		tls  pve.TLS
		want any // the error's type; nil for success
	}{
		{"unknown CA", pve.TLS{}, new(*tls.CertificateVerificationError)},
		{"own CA", pve.TLS{Roots: pool}, nil},
		{"pinned", pve.TLS{Fingerprints: map[string]pve.Fingerprint{host: right}}, nil},
		{"pinned to another", pve.TLS{Fingerprints: map[string]pve.Fingerprint{host: wrong}}, new(*pve.PinError)},
		{"pinned to another, though unchecked", pve.TLS{Insecure: true, Fingerprints: map[string]pve.Fingerprint{host: wrong}}, new(*pve.PinError)},
		{"another host is pinned", pve.TLS{Fingerprints: map[string]pve.Fingerprint{"x:1": right}}, new(*tls.CertificateVerificationError)},
		{"unchecked", pve.TLS{Insecure: true}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := pve.New(pve.Options{
				Endpoints: []string{server.URL}, Transport: pve.NewTransport(tt.tls),
				Token: pve.Token{ID: sim.ID, Secret: pve.NewSecret(sim.Secret)},
			})
			if err != nil {
				t.Fatal(err)
			}
			v, err := c.Version(t.Context())
			if tt.want == nil {
				if err != nil || v.Release != "9.0" {
					t.Errorf("%+v %v", v, err)
				}
				return
			}
			if !errors.As(err, tt.want) {
				t.Errorf("%v, want a %T", err, tt.want)
			}
		})
	}
}

// Over a real connection the reason phrase is read, and a lost write is unknown.
func TestOverTheWire(t *testing.T) {
	server := serve(t)
	sim := pvesim.Lab().Token("root@pam!full")
	c, err := pve.New(pve.Options{
		Endpoints: []string{"https://127.0.0.1:1", server.URL}, // nothing listens at the first
		Transport: pve.NewTransport(pve.TLS{Insecure: true}),
		Token:     pve.Token{ID: sim.ID, Secret: pve.NewSecret(sim.Secret)},
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.GuestStatus(t.Context(), pve.GuestRef{Node: "pve", Kind: pve.LXC, VMID: 999})
	var said *pve.Error
	if !errors.As(err, &said) || !said.NoSuchGuest() {
		t.Errorf("%v", err)
	}
	upid, err := c.Power(t.Context(), pve.GuestRef{Node: "pve", Kind: pve.QEMU, VMID: 101}, "stop", nil)
	if err != nil {
		t.Fatal(err)
	}
	if status, err := c.Wait(t.Context(), upid, nil); err != nil || !status.Succeeded() {
		t.Errorf("%+v %v", status, err)
	}
}
