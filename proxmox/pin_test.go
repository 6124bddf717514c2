package proxmox

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"math/big"
	"net"
	"testing"
	"time"
)

// issue makes a certificate that is signed by parent, or by itself.
func issue(t *testing.T, isCA bool, parent *x509.Certificate, signer *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: isCA, BasicConstraintsValid: true, DNSNames: []string{"pve1.lan"}, IPAddresses: []net.IP{net.ParseIP("10.0.0.1"), net.ParseIP("fe80::1")},
	}
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

func TestPinnedCA(t *testing.T) {
	ca, caKey := issue(t, true, nil, nil)
	leaf, _ := issue(t, false, ca, caKey)
	forged, _ := issue(t, false, nil, nil)
	for name, tt := range map[string]struct {
		host  string
		chain []*x509.Certificate
		ok    bool
	}{
		"signed by it":              {"pve1.lan:8006", []*x509.Certificate{leaf, ca}, true},
		"signed by it, by address":  {"10.0.0.1:8006", []*x509.Certificate{leaf, ca}, true},
		"signed by it for another":  {"evil.lan:8006", []*x509.Certificate{leaf, ca}, false},
		"itself":                    {"other.lan:8006", []*x509.Certificate{ca}, true},
		"shown beside a forged one": {"pve1.lan:8006", []*x509.Certificate{forged, ca}, false},
		"not shown":                 {"pve1.lan:8006", []*x509.Certificate{leaf}, false},
		"nothing":                   {"pve1.lan:8006", nil, false},
	} {
		if err := checkPin(FingerprintOf(ca), tt.host, tt.chain); (err == nil) != tt.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}
