package pvesim

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"net"
	"strings"
	"time"
)

// certify makes the cluster's CA and a certificate for each node. It goes by the
// real time, as those do who check it.
func (s *state) certify() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	ca := &x509.Certificate{
		Subject: pkix.Name{
			CommonName: "Proxmox Virtual Environment", OrganizationalUnit: []string{s.model.uuid("ca", 0)},
			Organization: []string{"PVE Cluster Manager CA"},
		},
		NotBefore: time.Now().AddDate(0, 0, -1), NotAfter: time.Now().AddDate(10, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, key.Public(), key)
	if err != nil {
		return err
	}
	for _, n := range s.nodes {
		if err := n.certify(ca, key); err != nil {
			return err
		}
	}
	s.ca = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return nil
}

func (n *node) certify(ca *x509.Certificate, signer *ecdsa.PrivateKey) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	leaf := &x509.Certificate{
		Subject: pkix.Name{
			CommonName: n.Name + ".sim", OrganizationalUnit: []string{"PVE Cluster Node"},
			Organization: []string{"Proxmox Virtual Environment"},
		},
		NotBefore: ca.NotBefore, NotAfter: time.Now().AddDate(2, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:    []string{"localhost", n.Name, n.Name + ".sim"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	if ip := net.ParseIP(n.IP); ip != nil {
		leaf.IPAddresses = append(leaf.IPAddresses, ip)
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, ca, key.Public(), signer)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(der)
	n.cert = &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	n.fingerprint = fingerprint(sum[:])
	return nil
}

// fingerprint writes a hash as PVE does: AB:CD:….
func fingerprint(sum []byte) string {
	return strings.ReplaceAll(fmt.Sprintf("% X", sum), " ", ":")
}
