package pve

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"math/big"
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
		IsCA: isCA, BasicConstraintsValid: true,
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
		chain []*x509.Certificate
		ok    bool
	}{
		"signed by it":              {[]*x509.Certificate{leaf, ca}, true},
		"itself":                    {[]*x509.Certificate{ca}, true},
		"shown beside a forged one": {[]*x509.Certificate{forged, ca}, false},
		"not shown":                 {[]*x509.Certificate{leaf}, false},
		"nothing":                   {nil, false},
	} {
		err := checkPin(FingerprintOf(ca), tt.chain)
		var refused *PinError
		if (err == nil) != tt.ok || !tt.ok && !errors.As(err, &refused) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
