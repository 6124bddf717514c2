package pve_test

import (
	"errors"
	"testing"

	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// A node that is no endpoint can be asked directly, if its certificate is the one that the
// cluster tells of.
func TestAt(t *testing.T) {
	model := pvesim.Cluster()
	sim, err := pvesim.NewSim(model, pvesim.Options{})
	if err != nil {
		t.Fatal(err)
	}
	listen := func(node string) *pvesim.Listener {
		l, err := sim.ListenNode(node, "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		return l
	}
	first, second := listen("pve1"), listen("pve2")
	known, err := proxmox.ParseFingerprint(first.Fingerprint())
	if err != nil {
		t.Fatal(err)
	}
	token := model.Token("ops@pve!mcp")
	c, err := pve.New(proxmox.Options{
		Endpoints: []string{first.URL()}, Token: proxmox.Token{ID: token.ID, Secret: proxmox.NewSecret(token.Secret)},
		Transport: proxmox.NewTransport(proxmox.TLS{Fingerprints: map[string]proxmox.Fingerprint{first.URL()[len("https://"):]: known}}),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	told := map[string]proxmox.Fingerprint{}
	for _, node := range []string{"pve1", "pve2"} {
		certs, err := c.Certificates(t.Context(), node)
		if err != nil {
			t.Fatal(err)
		}
		for _, cert := range certs {
			if cert.File == "pve-ssl.pem" {
				if told[node], err = proxmox.ParseFingerprint(cert.Fingerprint.Value); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	for node, wanted := range map[string]bool{"pve2": true, "pve1": false} {
		other, err := c.At(second.URL(), told[node])
		if err != nil {
			t.Fatal(err)
		}
		_, err = other.Version(t.Context())
		if pin, ok := errors.AsType[*proxmox.PinError](err); (err == nil) != wanted || !wanted && !ok {
			t.Errorf("with the certificate of %s: %v, %v", node, err, pin)
		}
	}
	for _, r := range sim.Requests() {
		if r.Path == "/version" && r.Node != "pve2" {
			t.Errorf("asked %s", r.Node)
		}
	}
	if all := c.Each(); len(all) != 1 {
		t.Errorf("%d endpoints", len(all))
	}
	if _, err := c.At("pve2", known); err == nil {
		t.Error("a name is no URL")
	}
}
