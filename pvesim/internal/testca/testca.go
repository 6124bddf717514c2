// Package testca makes the certificates of a cluster that exists for tests.
package testca

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
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

// CA issues certificates for nodes. Its times are those of the real clock, since
// clients check certificates by it.
type CA struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	der  []byte
}

// New makes a CA with a name as PVE gives it.
func New(unit string) (*CA, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	cert := &x509.Certificate{
		Subject: pkix.Name{
			CommonName: "Proxmox Virtual Environment", OrganizationalUnit: []string{unit},
			Organization: []string{"PVE Cluster Manager CA"},
		},
		NotBefore: time.Now().AddDate(0, 0, -1), NotAfter: time.Now().AddDate(10, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, key.Public(), key)
	if err != nil {
		return nil, err
	}
	return &CA{cert: cert, key: key, der: der}, nil
}

// PEM returns the CA's certificate.
func (ca *CA) PEM() []byte { return encode(ca.der) }

// domain ends the names of nodes.
const domain = ".sim"

// Issue makes a certificate for a node, which is good for its name, its address and
// those of the loopback interface. A node may have no address.
func (ca *CA) Issue(node, address string) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	leaf := &x509.Certificate{
		Subject: pkix.Name{
			CommonName: node + domain, OrganizationalUnit: []string{"PVE Cluster Node"},
			Organization: []string{"Proxmox Virtual Environment"},
		},
		NotBefore: ca.cert.NotBefore, NotAfter: time.Now().AddDate(2, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:    []string{"localhost", node, node + domain},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	if ip := net.ParseIP(address); ip != nil {
		leaf.IPAddresses = append(leaf.IPAddresses, ip)
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, ca.cert, key.Public(), ca.key)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

// Save writes the CA's certificate and those of nodes with their keys, as PEM.
func Save(ca []byte, nodes []*tls.Certificate) (string, error) {
	out := slices.Clone(ca)
	for _, cert := range nodes {
		key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
		if err != nil {
			return "", err
		}
		out = append(out, encode(cert.Certificate[0])...)
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})...)
	}
	return string(out), nil
}

// Load reads what [Save] has written: the CA's certificate, and those of nodes by name,
// without the ones that have expired. Nothing is read from "".
func Load(saved string) (ca []byte, nodes map[string]*tls.Certificate, err error) {
	first, rest := pem.Decode([]byte(saved))
	if first == nil {
		return nil, nil, nil
	}
	nodes = map[string]*tls.Certificate{}
	for {
		var cert, key *pem.Block
		if cert, rest = pem.Decode(rest); cert == nil {
			return pem.EncodeToMemory(first), nodes, nil
		}
		if key, rest = pem.Decode(rest); key == nil {
			return nil, nil, errors.New("the certificates that were saved lack a key")
		}
		pair, err := tls.X509KeyPair(pem.EncodeToMemory(cert), pem.EncodeToMemory(key))
		if err != nil {
			return nil, nil, fmt.Errorf("the certificates that were saved: %w", err)
		}
		leaf, err := x509.ParseCertificate(cert.Bytes)
		if err != nil {
			return nil, nil, fmt.Errorf("the certificates that were saved: %w", err)
		}
		if time.Now().Before(leaf.NotAfter) {
			nodes[strings.TrimSuffix(leaf.Subject.CommonName, domain)] = &pair
		}
	}
}

// Fingerprint is the SHA-256 of a certificate, or of what replaces one, as PVE writes
// it: AB:CD:….
func Fingerprint(der []byte) string {
	sum := sha256.Sum256(der)
	return strings.ReplaceAll(fmt.Sprintf("% X", sum[:]), " ", ":")
}

// Describe returns what PVE tells of a certificate.
func Describe(der []byte) (map[string]any, error) {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	names := []any{}
	for _, ip := range cert.IPAddresses {
		names = append(names, ip.String())
	}
	for _, name := range cert.DNSNames {
		names = append(names, name)
	}
	out := map[string]any{
		"fingerprint": Fingerprint(der), "subject": formatName(cert.Subject), "issuer": formatName(cert.Issuer),
		"notbefore": cert.NotBefore.Unix(), "notafter": cert.NotAfter.Unix(), "san": names,
		"public-key-type": "id-ecPublicKey", "public-key-bits": 256, "pem": string(encode(der)),
	}
	switch key := cert.PublicKey.(type) {
	case *rsa.PublicKey:
		out["public-key-type"], out["public-key-bits"] = "rsaEncryption", key.N.BitLen()
	case *ecdsa.PublicKey:
		out["public-key-bits"] = key.Curve.Params().BitSize
	}
	return out, nil
}

// IssueFor makes the certificate and the key of domains, as PEM, that are good for 90 days from
// a time on.
func IssueFor(issuer string, domains []string, from time.Time) (certificate, key string, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", "", err
	}
	by := &x509.Certificate{Subject: pkix.Name{CommonName: issuer}}
	leaf := &x509.Certificate{
		Subject: pkix.Name{CommonName: domains[0]}, DNSNames: domains, NotBefore: from, NotAfter: from.AddDate(0, 0, 90),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	signer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", "", err
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, by, private.Public(), signer)
	if err != nil {
		return "", "", err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return "", "", err
	}
	return string(encode(der)), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})), nil
}

// DescribePEM returns what PVE tells of the first certificate of a text.
func DescribePEM(text string) (map[string]any, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, errors.New("no certificate in PEM form")
	}
	return Describe(block.Bytes)
}

// formatName writes a name as OpenSSL does.
func formatName(n pkix.Name) string {
	out := ""
	for _, part := range [][2]string{{"CN", n.CommonName}, {"OU", strings.Join(n.OrganizationalUnit, "+")}, {"O", strings.Join(n.Organization, "+")}} {
		if part[1] != "" {
			out += "/" + part[0] + "=" + part[1]
		}
	}
	return out
}

func encode(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}
