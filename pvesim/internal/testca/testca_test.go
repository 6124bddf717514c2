package testca

import (
	"crypto/tls"
	"crypto/x509"
	"testing"
)

// A node's certificate is trusted by the CA, also after it was saved and loaded.
func TestSaveAndLoad(t *testing.T) {
	ca, err := New("unit")
	if err != nil {
		t.Fatal(err)
	}
	cert, err := ca.Issue("pve1", "10.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	saved, err := Save(ca.PEM(), []*tls.Certificate{cert})
	if err != nil {
		t.Fatal(err)
	}
	root, nodes, err := Load(saved)
	if err != nil || nodes["pve1"] == nil || len(nodes) != 1 {
		t.Fatalf("%v, %v", nodes, err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(root)
	for _, c := range []*tls.Certificate{cert, nodes["pve1"]} {
		leaf, err := x509.ParseCertificate(c.Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"localhost", "127.0.0.1", "pve1", "10.0.0.1"} {
			if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: name}); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if _, nodes, err := Load(""); len(nodes) != 0 || err != nil {
		t.Errorf("of nothing: %v, %v", nodes, err)
	}
	if _, _, err := Load(saved[:len(saved)-100]); err == nil {
		t.Error("a key that is cut off is accepted")
	}
}
