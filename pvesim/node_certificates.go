package pvesim

import (
	"crypto/tls"
	"encoding/pem"

	"github.com/pve-mcp/pve-mcp/pvesim/internal/testca"
)

// ensureCertificates makes the cluster's CA and a certificate for each node, unless
// they were made before.
func (s *state) ensureCertificates() error {
	if s.ca != nil {
		return nil
	}
	ca, err := testca.New(s.model.uuid("ca", 0))
	if err != nil {
		return err
	}
	for _, n := range s.nodes {
		cert, err := ca.Issue(n.Name, n.IP)
		if err != nil {
			return err
		}
		n.use(cert)
	}
	s.ca = ca.PEM()
	return nil
}

// certificate is what a node presents now.
func (s *Sim) certificate(n *node) (*tls.Certificate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if after := n.NewCertificateAfter; after > 0 && s.clock.Now().Sub(s.built) >= after {
		ca, err := testca.New(s.uuid("ca"))
		if err != nil {
			return nil, err
		}
		cert, err := ca.Issue(n.Name, n.IP)
		if err != nil {
			return nil, err
		}
		n.use(cert)
		n.NewCertificateAfter, s.ca = 0, ca.PEM()
	}
	return n.cert, nil
}

// use makes a certificate that of the node.
func (n *node) use(cert *tls.Certificate) {
	n.cert, n.fingerprint = cert, testca.Fingerprint(cert.Certificate[0])
}

// savedCertificates writes the certificates and their keys as PEM; "" if there are none
// yet.
func (s *state) savedCertificates() (string, error) {
	if s.ca == nil {
		return "", nil
	}
	var certs []*tls.Certificate
	for _, n := range s.nodes {
		certs = append(certs, n.cert)
	}
	return testca.Save(s.ca, certs)
}

// restoreCertificates takes up certificates that were saved. If they are not those of
// all nodes, or have expired, new ones will be made.
func (s *state) restoreCertificates(saved string) error {
	ca, certs, err := testca.Load(saved)
	if err != nil {
		return err
	}
	for _, n := range s.nodes {
		if certs[n.Name] == nil {
			return nil
		}
	}
	for _, n := range s.nodes {
		n.use(certs[n.Name])
	}
	s.ca = ca
	return nil
}

// listCertificates lists the CA's and the node's own.
func listCertificates(c *call) (any, error) {
	if err := c.ensureCertificates(); err != nil {
		return nil, err
	}
	root, _ := pem.Decode(c.ca)
	out := []any{}
	for _, file := range []struct {
		name string
		der  []byte
	}{{"pve-root-ca.pem", root.Bytes}, {"pve-ssl.pem", c.node.cert.Certificate[0]}} {
		item, err := testca.Describe(file.der)
		if err != nil {
			return nil, err
		}
		item["filename"] = file.name
		if left := c.node.CertificateLeft; left != 0 && file.name == "pve-ssl.pem" {
			item["notafter"] = c.built.Add(left).Unix()
		}
		out = append(out, item)
	}
	if c.customCertificate() != nil {
		item, err := c.describeCustom()
		if err != nil {
			return nil, err
		}
		out = append(out, item)
	}
	return out, nil
}
