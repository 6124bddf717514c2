package explain

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"

	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/proxmox"
)

// distrust explains why a host was not believed to be the right one, and what it
// presented.
func distrust(err error) (Explanation, bool) {
	var pin *proxmox.PinError
	var unverified *tls.CertificateVerificationError
	var notTLS tls.RecordHeaderError
	switch {
	case errors.As(err, &pin) && len(pin.Presented) > 0:
		return Explanation{
			"The host presented another certificate than the pinned one: " + presented(pin.Presented[0]) + ".",
			"If the certificate was renewed, set PVE_FINGERPRINT to the fingerprint presented; otherwise somebody may be listening in.",
		}, true
	case errors.As(err, &unverified) && len(unverified.UnverifiedCertificates) > 0:
		cert := unverified.UnverifiedCertificates[0]
		return Explanation{
			fmt.Sprintf("The host's certificate is not trusted: %s It presented %s.", withFullStop(unverified.Err.Error()), presented(cert)),
			"If it is the right host, pin it with PVE_FINGERPRINT=" + proxmox.FingerprintOf(cert).String() + " or name its CA with PVE_CA_FILE.",
		}, true
	case errors.As(err, &notTLS), errors.Is(err, http.ErrSchemeMismatch):
		return Explanation{
			sentence(err.Error()),
			"What answers there presents no certificate, because it does not speak TLS; PVE's API is on port 8006 unless PVE_HOST names another.",
		}, true
	}
	return Explanation{}, false
}

// presented says whose a certificate is.
func presented(cert *x509.Certificate) string {
	var names []string
	for _, n := range cert.DNSNames {
		names = append(names, render.Text(n, 60))
	}
	for _, ip := range cert.IPAddresses {
		names = append(names, ip.String())
	}
	text := fmt.Sprintf("a certificate of %q", render.Text(cert.Subject.CommonName, 60))
	if len(names) > 0 {
		text += " for " + render.List(names[:min(len(names), 6)])
	}
	return text + fmt.Sprintf(", signed by %q, valid from %s to %s, with the SHA-256 fingerprint %v",
		render.Text(cert.Issuer.CommonName, 60), render.Time(cert.NotBefore), render.Time(cert.NotAfter), proxmox.FingerprintOf(cert))
}
