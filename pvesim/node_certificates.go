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
	"errors"
	"fmt"
	"net"
	"slices"
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

// certificates writes the CA's certificate and those of the nodes with their keys, as
// PEM; "" where there are none yet.
func (s *state) certificates() (string, error) {
	if s.ca == nil {
		return "", nil
	}
	out := slices.Clone(s.ca)
	for _, n := range s.nodes {
		key, err := x509.MarshalPKCS8PrivateKey(n.cert.PrivateKey)
		if err != nil {
			return "", err
		}
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: n.cert.Certificate[0]})...)
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})...)
	}
	return string(out), nil
}

// useCertificates takes up certificates that were saved. Where they are not those of all
// nodes, or have run out, new ones will be made.
func (s *state) useCertificates(saved string) error {
	ca, rest := pem.Decode([]byte(saved))
	if ca == nil {
		return nil
	}
	certs := map[string]*tls.Certificate{} // by node
	for {
		var cert, key *pem.Block
		if cert, rest = pem.Decode(rest); cert == nil {
			break
		}
		if key, rest = pem.Decode(rest); key == nil {
			return errors.New("the certificates that were saved lack a key")
		}
		pair, err := tls.X509KeyPair(pem.EncodeToMemory(cert), pem.EncodeToMemory(key))
		if err != nil {
			return fmt.Errorf("the certificates that were saved: %w", err)
		}
		leaf, err := x509.ParseCertificate(cert.Bytes)
		if err != nil {
			return fmt.Errorf("the certificates that were saved: %w", err)
		}
		if time.Now().Before(leaf.NotAfter) {
			certs[strings.TrimSuffix(leaf.Subject.CommonName, ".sim")] = &pair
		}
	}
	for _, n := range s.nodes {
		if certs[n.Name] == nil {
			return nil
		}
	}
	for _, n := range s.nodes {
		n.cert = certs[n.Name]
		sum := sha256.Sum256(n.cert.Certificate[0])
		n.fingerprint = fingerprint(sum[:])
	}
	s.ca = pem.EncodeToMemory(ca)
	return nil
}

// listCertificates lists the CA's and the node's own.
func listCertificates(c *call) (any, error) {
	if c.ca == nil {
		if err := c.certify(); err != nil {
			return nil, err
		}
	}
	root, _ := pem.Decode(c.ca)
	out := []any{}
	for _, file := range []struct {
		name string
		der  []byte
	}{{"pve-root-ca.pem", root.Bytes}, {"pve-ssl.pem", c.node.cert.Certificate[0]}} {
		cert, err := x509.ParseCertificate(file.der)
		if err != nil {
			return nil, err
		}
		sum, san := sha256.Sum256(file.der), []any{}
		for _, ip := range cert.IPAddresses {
			san = append(san, ip.String())
		}
		for _, name := range cert.DNSNames {
			san = append(san, name)
		}
		out = append(out, map[string]any{
			"filename": file.name, "fingerprint": fingerprint(sum[:]), "subject": subject(cert.Subject), "issuer": subject(cert.Issuer),
			"notbefore": cert.NotBefore.Unix(), "notafter": cert.NotAfter.Unix(), "san": san,
			"public-key-type": "id-ecPublicKey", "public-key-bits": 256,
			"pem": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: file.der})),
		})
	}
	return out, nil
}

// subject writes a name as OpenSSL does.
func subject(n pkix.Name) string {
	return fmt.Sprintf("/CN=%s/OU=%s/O=%s", n.CommonName, strings.Join(n.OrganizationalUnit, "+"), strings.Join(n.Organization, "+"))
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
