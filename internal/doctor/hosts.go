package doctor

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"syscall"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/policy"
	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
)

// usualPort is where PVE's API is.
const usualPort = "8006"

// host is one of the configured hosts.
type host struct {
	*doctor
	base string
	url  *url.URL
	// to is where the connection goes: the host, or a proxy on the way to it.
	to        string
	proxy     bool
	transport http.RoundTripper
	client    *pve.Client
	done      chan []Check

	cert       *x509.Certificate // that it presented
	distrusted bool              // that certificate, and nothing else is wrong

	date    time.Time     // that it said
	apart   time.Duration // its time, minus that of this machine
	version pve.Version   // once it let the token in
}

// Host is a configured host, and what came of its checks.
type Host struct {
	Base        string // URL
	Checks      []Check
	Certificate *x509.Certificate // that it presented, nil for none
	// Distrusted says that the certificate is the problem, and would be none if it were
	// pinned.
	Distrusted bool
}

// Problem is the first check that did not pass, the zero value if all did.
func (h Host) Problem() Check {
	i := slices.IndexFunc(h.Checks, func(c Check) bool { return c.Status == Failed || c.Status == Refused })
	if i < 0 {
		return Check{}
	}
	return h.Checks[i]
}

// Hosts checks the way to each configured host and its certificate, and, if login is set,
// whether it accepts the token. Nothing else is asked.
func Hosts(ctx context.Context, o Options, login bool) []Host {
	d := &doctor{Options: o}
	d.token.TokenID = o.Config.Token.ID
	steps := (*host).way
	if login {
		steps = (*host).steps
	}
	var out []Host
	for _, h := range d.hosts(ctx, steps) {
		out = append(out, Host{Base: h.base, Checks: <-h.done, Certificate: h.cert, Distrusted: h.distrusted})
	}
	return out
}

// way are the checks that show no token.
func (h *host) way() []step {
	return []step{{"name", "", h.resolve}, {"tcp", "name", h.connect}, {"tls", "tcp", h.secure}}
}

func (h *host) steps() []step {
	return append(h.way(), step{"token", "tls", h.login}, step{"version", "token", h.support}, step{"clock", "tls", h.clock})
}

// hosts begins to check all hosts at once; each one's checks come at its done.
func (d *doctor) hosts(ctx context.Context, steps func(*host) []step) []*host {
	cfg := d.Config
	transport := proxmox.NewTransport(proxmox.TLS{Roots: cfg.Roots, Fingerprints: cfg.Fingerprints, Insecure: !cfg.VerifySSL})
	readOnly := &policy.Guard{Policy: policy.Policy{ReadOnly: true}}
	var out []*host
	for _, base := range cfg.Hosts {
		h := &host{doctor: d, base: base, transport: transport, done: make(chan []Check, 1)}
		out = append(out, h)
		var err error
		if h.url, err = url.Parse(base); err == nil {
			h.client, err = pve.New(proxmox.Options{
				Endpoints: []string{base}, Token: cfg.Token, Transport: readOnly.Transport(transport), Timeout: cfg.Timeout, UserAgent: d.UserAgent,
			})
		}
		if err != nil { // the settings were checked
			h.done <- []Check{{Name: "name", Host: base, Status: Failed, Text: err.Error()}}
			continue
		}
		h.to = h.url.Host
		if proxy, err := http.ProxyFromEnvironment(&http.Request{URL: h.url}); err == nil && proxy != nil {
			h.to, h.proxy = proxy.Host, true
		}
		go func() {
			h.done <- d.chain(ctx, base, steps(h))
		}()
	}
	return out
}

// target names where the connection goes.
func (h *host) target() (name, port, text string) {
	name, port, err := net.SplitHostPort(h.to)
	if err != nil {
		name, port = h.to, h.url.Port()
	}
	if h.proxy {
		return name, port, "the proxy " + name + " (HTTPS_PROXY)"
	}
	return name, port, name
}

// lookupWait bounds name resolution and a connection attempt.
const lookupWait = 5 * time.Second

func (h *host) resolve(ctx context.Context) Check {
	name, _, text := h.target()
	if isAddress(name) {
		return Check{Status: OK, Text: text + " is an address"}
	}
	ctx, cancel := context.WithTimeout(ctx, lookupWait)
	defer cancel()
	found, err := net.DefaultResolver.LookupHost(ctx, name)
	if err != nil {
		return h.failed(&proxmox.ConnectError{Endpoint: h.base, Err: err})
	}
	return Check{Status: OK, Text: text + " is " + render.List(found)}
}

func (h *host) connect(ctx context.Context) Check {
	name, port, text := h.target()
	err := dial(ctx, name, port)
	if err == nil {
		return Check{Status: OK, Text: fmt.Sprintf("port %s of %s is open", port, text)}
	}
	c := h.failed(&proxmox.ConnectError{Endpoint: h.base, Err: err})
	if errors.Is(err, syscall.ECONNREFUSED) {
		c.Text = fmt.Sprintf("Nothing listens on port %s of %s.", port, text)
	}
	if port != usualPort && !h.proxy && dial(ctx, name, usualPort) == nil {
		c.Remedy = fmt.Sprintf("Port %s of it is open, which is that of PVE's API: set PVE_HOST=%s.", usualPort, net.JoinHostPort(name, usualPort))
	}
	return c
}

func isAddress(name string) bool {
	_, err := netip.ParseAddr(name) // which may have a zone
	return err == nil
}

func dial(ctx context.Context, name, port string) error {
	conn, err := (&net.Dialer{Timeout: lookupWait}).DialContext(ctx, "tcp", net.JoinHostPort(name, port))
	if err == nil {
		conn.Close()
	}
	return err
}

// secure asks for the page that PVE shows to everybody, without the token: whether the
// host is the right one is to be known before it gets that.
func (h *host) secure(ctx context.Context) Check {
	ctx, cancel := context.WithTimeout(ctx, 2*lookupWait)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, h.base+"/", nil)
	if err != nil {
		return h.failed(err)
	}
	req.Header.Set("User-Agent", h.UserAgent)
	asked := h.Now()
	resp, err := h.transport.RoundTrip(req)
	if err != nil {
		return h.untrusted(&proxmox.ConnectError{Endpoint: h.base, Err: err})
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20)) // so that the connection can be used again
	if h.date, err = http.ParseTime(resp.Header.Get("Date")); err == nil {
		middle := asked.Add(h.Now().Sub(asked) / 2)
		h.apart = h.date.Add(time.Second / 2).Sub(middle) // it has whole seconds
	}
	if resp.TLS == nil || len(resp.TLS.PeerCertificates) == 0 {
		return h.plain(resp)
	}
	h.cert = resp.TLS.PeerCertificates[0]
	return h.trusted(h.cert)
}

// plain judges an answer that came without TLS.
func (h *host) plain(resp *http.Response) Check {
	if to, err := resp.Location(); err == nil && to.Scheme == "https" {
		return Check{Status: Failed, Text: "It wants TLS.", Remedy: "Set PVE_HOST=https://" + h.url.Host + "."}
	}
	return Check{Status: OK, Text: "none: http:// to this machine"}
}

// soon is how long before its end a certificate is worth a warning.
const soon = 14 * 24 * time.Hour

// trusted judges a certificate that was accepted.
func (h *host) trusted(cert *x509.Certificate) Check {
	left := cert.NotAfter.Sub(h.Now())
	_, pinned := h.Config.Fingerprints[h.url.Host]
	until := "valid until " + cert.NotAfter.UTC().Format(time.DateOnly)
	switch {
	case pinned:
		return Check{Status: OK, Text: "the certificate is the pinned one, or is signed by it"}
	case !h.Config.VerifySSL:
		return Check{
			Status: Warning, Text: "the certificate is not checked (PVE_VERIFY_SSL=false)",
			Remedy: "Pin it: unset PVE_VERIFY_SSL and set " + h.pin(cert) + ".",
		}
	case left < soon:
		return Check{
			Status: Warning, Text: "the certificate is only " + until,
			Remedy: renew,
		}
	}
	return Check{Status: OK, Text: "the certificate is trusted and " + until}
}

// renew is how a certificate is replaced.
const renew = "Renew it on the node: pvenode acme cert renew, or pvecm updatecerts --force && systemctl restart pveproxy for PVE's own."

// untrusted explains why no answer could be had over TLS.
func (h *host) untrusted(err error) Check {
	c := h.failed(err)
	var invalid x509.CertificateInvalidError
	var otherName x509.HostnameError
	cert := proxmox.Presented(err)
	var pin *proxmox.PinError
	h.cert, h.distrusted = cert, cert != nil && !errors.As(err, &pin)
	switch {
	case cert == nil, errors.As(err, &pin): // what is explained of it is all there is to say
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired && h.Now().Before(cert.NotBefore):
		c.Remedy = "The clock of this machine or that of the node is wrong: set both by NTP."
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		c.Remedy = renew + " Until then, pin it, which accepts it although it has expired: " + h.pin(cert)
	case errors.As(err, &otherName) && len(cert.DNSNames) > 0:
		c.Remedy = "Call it by a name that the certificate is for, such as PVE_HOST=" + render.Text(cert.DNSNames[len(cert.DNSNames)-1], 80) + ", or pin it: " + h.pin(cert)
	case h.Config.Roots != nil:
		c.Remedy = "PVE_CA_FILE does not have the CA that signed it; on a node that is /etc/pve/pve-root-ca.pem. Or pin it: " + h.pin(cert)
	}
	return c
}

// pin is the setting that pins a certificate.
func (h *host) pin(cert *x509.Certificate) string {
	text := "PVE_FINGERPRINT=" + proxmox.FingerprintOf(cert).String()
	if len(h.Config.Hosts) > 1 {
		text += " (for this host; the setting has one for each host, in their order, separated by commas)"
	}
	return text
}

func (h *host) login(ctx context.Context) Check {
	v, err := h.client.Version(ctx)
	var said *proxmox.Error
	switch {
	case errors.As(err, &said) && said.Status == http.StatusUnauthorized:
		c := h.failed(err)
		c.Status = Refused
		return c
	case err != nil:
		return h.failed(err)
	case v.Version == "":
		return Check{Status: Failed, Text: "What answers there is no PVE.", Remedy: "Check PVE_HOST."}
	}
	h.version = v
	return Check{Status: OK, Text: "PVE accepts " + h.Config.Token.ID}
}

// The oldest and the newest major version of PVE that this program knows.
const (
	Oldest = 7
	Newest = 9
)

func (h *host) support(context.Context) Check {
	major := h.version.Major()
	name := "PVE " + render.Text(h.version.Version, 40)
	end, known := pve.EndOfLife(major)
	switch {
	case major < Oldest:
		return Check{Status: Failed, Text: fmt.Sprintf("%s is too old: pve-mcp is for PVE %d to %d", name, Oldest, Newest), Remedy: upgrade(major)}
	case major > Newest:
		return Check{Status: Warning, Text: fmt.Sprintf("%s is newer than this pve-mcp, which knows PVE %d to %d", name, Oldest, Newest), Remedy: "Look for a newer pve-mcp."}
	case !known:
		return Check{Status: OK, Text: name + " is supported"}
	case pve.PastEndOfLife(major, h.Now()):
		return Check{
			Status: Warning, Remedy: upgrade(major),
			Text: fmt.Sprintf("%s is past its end of life (%s): it gets no security updates; pve-mcp works with it", name, end.Format(time.DateOnly)),
		}
	}
	return Check{Status: OK, Text: name + " is supported until " + end.Format(time.DateOnly)}
}

func upgrade(major int) string {
	return fmt.Sprintf("Upgrade the nodes, one after the other: https://pve.proxmox.com/wiki/Upgrade_from_%d_to_%d", major, major+1)
}

// maxApart is how far the clocks may be apart: less than PVE grants to the ticket of a
// console, which is refused when it comes from 20 s in the future.
const maxApart = 15 * time.Second

func (h *host) clock(context.Context) Check {
	apart := h.apart.Abs().Round(time.Second)
	switch {
	case h.date.IsZero():
		return Check{Status: NotChecked, Text: "the host did not say what time it is"}
	case apart <= maxApart:
		return Check{Status: OK, Text: "the clocks of host and this machine agree"}
	}
	side := "ahead of"
	if h.apart < 0 {
		side = "behind"
	}
	return Check{
		Status: Warning, Text: fmt.Sprintf("the clock of the host is %s %s that of this machine", render.Duration(apart), side),
		Remedy: "Set both by NTP; timedatectl and, on the node, chronyc tracking show how they are. Until then ages in answers are wrong by as much.",
	}
}
