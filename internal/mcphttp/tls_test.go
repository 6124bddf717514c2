package mcphttp_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/files"
	"github.com/pve-mcp/pve-mcp/internal/mcphttp"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
)

// certify writes a certificate with a serial number, and its key.
func certify(t *testing.T, certFile, keyFile string, serial int64) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), DNSNames: []string{"localhost"}, NotAfter: time.Now().Add(time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: cert}, keyFile: {Type: "PRIVATE KEY", Bytes: raw}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(name, time.Time{}, time.Unix(serial, 0)); err != nil {
			t.Fatal(err)
		}
	}
}

// A certificate that is replaced counts for the next connection; one that is half
// replaced does not.
func TestCertificateIsReplaced(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert"), filepath.Join(dir, "key")
	if _, err := mcphttp.TLS(files.At(cert), files.At(key)); err == nil {
		t.Error("files that are not there are accepted")
	}
	certify(t, cert, key, 1)
	config, err := mcphttp.TLS(files.At(cert), files.At(key))
	if err != nil {
		t.Fatal(err)
	}
	visit(t, sim.Options{}, mcphttp.Options{TLS: config}, func(s *site) {
		serial := func() int64 {
			s.http.Transport = &http.Transport{DialContext: s.wire.dial, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
			defer s.http.CloseIdleConnections()
			r := s.request("tools/list", nil)
			r.URL.Scheme = "https"
			resp, body := s.do(r)
			if resp.StatusCode != 200 {
				s.Errorf("%d %s", resp.StatusCode, body)
			}
			return resp.TLS.PeerCertificates[0].SerialNumber.Int64()
		}
		if got := serial(); got != 1 {
			s.Errorf("certificate %d", got)
		}
		certify(t, cert, filepath.Join(dir, "other"), 2)
		if got := serial(); got != 1 {
			s.Errorf("certificate %d of a half replaced pair", got)
		}
		certify(t, cert, key, 3)
		if got := serial(); got != 3 {
			s.Errorf("certificate %d", got)
		}
	})
}
