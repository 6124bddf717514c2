package proxmox_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"strings"
	"testing"

	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// serve runs a simulated node on loopback, over TLS.
func serve(t *testing.T, sim *pvesim.Sim, node string) *pvesim.Listener {
	t.Helper()
	l, err := sim.ListenNode(node, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func newSim(t *testing.T, m pvesim.Model, speed float64) *pvesim.Sim {
	t.Helper()
	sim, err := pvesim.NewSim(m, pvesim.Options{Clock: pvesim.Scaled(speed)})
	if err != nil {
		t.Fatal(err)
	}
	return sim
}

// connect returns a client with a token of the presets.
func connect(t *testing.T, check proxmox.TLS, token pvesim.Token, urls ...string) *pve.Client {
	t.Helper()
	c, err := pve.New(proxmox.Options{
		Endpoints: urls, Transport: proxmox.NewTransport(check),
		Token: proxmox.Token{ID: token.ID, Secret: proxmox.NewSecret(token.Secret)},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestTLS(t *testing.T) {
	node := serve(t, newSim(t, pvesim.Lab(), 1000), "pve")
	host := strings.TrimPrefix(node.URL(), "https://")
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(node.CA())
	right, err := proxmox.ParseFingerprint(node.Fingerprint())
	if err != nil {
		t.Fatal(err)
	}
	wrong := proxmox.Fingerprint{1}
	pins := func(host string, f proxmox.Fingerprint) map[string]proxmox.Fingerprint {
		return map[string]proxmox.Fingerprint{host: f}
	}
	for _, tt := range []struct {
		name string
		tls  proxmox.TLS
		want any // the error's type; nil for success
	}{
		{"unknown CA", proxmox.TLS{}, new(*tls.CertificateVerificationError)},
		{"its CA", proxmox.TLS{Roots: pool}, nil},
		{"pinned", proxmox.TLS{Fingerprints: pins(host, right)}, nil},
		{"pinned to another", proxmox.TLS{Fingerprints: pins(host, wrong)}, new(*proxmox.PinError)},
		{"pinned to another, though unchecked", proxmox.TLS{Insecure: true, Fingerprints: pins(host, wrong)}, new(*proxmox.PinError)},
		{"another host is pinned", proxmox.TLS{Fingerprints: pins("x:1", right)}, new(*tls.CertificateVerificationError)},
		{"unchecked", proxmox.TLS{Insecure: true}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v, err := connect(t, tt.tls, pvesim.Lab().Token("audit@pve!mcp"), node.URL()).Version(t.Context())
			if tt.want == nil {
				if err != nil || v.Release != "9.0" {
					t.Errorf("%+v %v", v, err)
				}
				return
			}
			if !errors.As(err, tt.want) {
				t.Fatalf("%v, want a %T", err, tt.want)
			}
			if pin, ok := tt.want.(**proxmox.PinError); ok && proxmox.FingerprintOf((*pin).Presented[0]) != right {
				t.Errorf("%v does not say what was presented", err)
			}
		})
	}
}

// A port that is spoken to without TLS, and one at which nobody listens.
func TestNotPVE(t *testing.T) {
	node := serve(t, newSim(t, pvesim.Lab(), 1000), "pve")
	token := pvesim.Lab().Token("audit@pve!mcp")
	plain := strings.Replace(node.URL(), "https://", "http://", 1)
	var other *proxmox.ForeignError
	if _, err := connect(t, proxmox.TLS{}, token, plain).Version(t.Context()); !errors.As(err, &other) || other.Status != 301 {
		t.Errorf("plain HTTP: %v", err)
	}
	closed := serve(t, newSim(t, pvesim.Lab(), 1000), "pve")
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	var unconnected *proxmox.ConnectError
	if _, err := connect(t, proxmox.TLS{}, token, closed.URL()).Version(t.Context()); !errors.As(err, &unconnected) {
		t.Errorf("nothing listens: %v", err)
	}
}

// Over real connections: refusals, a node that goes down, writes, tasks, lost answers.
func TestOverTheWire(t *testing.T) {
	model := pvesim.Cluster()
	sim := newSim(t, model, 1000)
	first, second := serve(t, sim, "pve1"), serve(t, sim, "pve2")
	c := connect(t, proxmox.TLS{Insecure: true}, model.Token("root@pam!full"), first.URL(), second.URL())
	missing := pve.GuestRef{Node: "pve2", Kind: pve.LXC, VMID: 999}
	var said *proxmox.Error
	if _, err := c.GuestStatus(t.Context(), missing); !errors.As(err, &said) || !pve.NoSuchGuest(said) {
		t.Errorf("%v", err)
	}
	if err := sim.SetOnline("pve1", false); err != nil {
		t.Fatal(err)
	}
	if _, err := c.GuestStatus(t.Context(), missing); !errors.As(err, &said) || !pve.NoSuchGuest(said) {
		t.Errorf("with one node down: %v", err)
	}
	vm := pve.GuestRef{Node: "pve2", Kind: pve.QEMU, VMID: 101}
	upid, err := c.Power(t.Context(), vm, "stop", pve.PowerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if status, err := c.Wait(t.Context(), upid, nil); err != nil || !status.Succeeded() {
		t.Errorf("%+v %v", status, err)
	}
	for _, f := range []pvesim.Fault{{Drop: true}, {Truncate: 20}, {Status: 596, Message: "Connection timed out"}} {
		f.Match, f.Max = "POST /nodes/*/qemu/*/status/start", 1
		if err := sim.Fault(f); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Power(t.Context(), vm, "start", pve.PowerOptions{}); !proxmox.OutcomeUnknown(err) {
			t.Errorf("%+v: %v, want an unknown outcome", f, err)
		}
	}
}
