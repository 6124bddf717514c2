package pve_test

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"

	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// connect returns a client of two nodes of the preset cluster, over TLS, with a token. The
// cluster lives by a clock; nil is the real one, for what PVE waits for a client only briefly.
func connect(t *testing.T, id string, clock pvesim.Clock) (*pve.Client, *pvesim.Sim) {
	t.Helper()
	model := pvesim.Cluster()
	sim, err := pvesim.NewSim(model, pvesim.Options{Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	token := model.Token(id)
	o := proxmox.Options{Token: proxmox.Token{ID: token.ID, Secret: proxmox.NewSecret(token.Secret)}}
	pins := map[string]proxmox.Fingerprint{}
	for _, node := range []string{"pve1", "pve2"} {
		l, err := sim.ListenNode(node, "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		pin, err := proxmox.ParseFingerprint(l.Fingerprint())
		if err != nil {
			t.Fatal(err)
		}
		pins[strings.TrimPrefix(l.URL(), "https://")] = pin
		o.Endpoints = append(o.Endpoints, l.URL())
	}
	o.Transport = proxmox.NewTransport(proxmox.TLS{Fingerprints: pins})
	c, err := pve.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c, sim
}

// The screen of a VM speaks RFB.
func TestOpenScreen(t *testing.T) {
	c, _ := connect(t, "ops@pve!mcp", nil)
	console, err := c.OpenScreen(t.Context(), pve.GuestRef{Node: "pve2", Kind: pve.QEMU, VMID: 102})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = console.Close() }()
	data, err := console.Read(t.Context())
	if err != nil || string(data) != "RFB 003.008\n" || len(console.Password) != 8 || console.Ticket == "" {
		t.Errorf("%q %v %+v", data, err, console)
	}
}

// A terminal is offered and opened by one node, with the port and the ticket of the offer.
func TestOpenTerminal(t *testing.T) {
	for _, g := range []pve.GuestRef{{Node: "pve2", Kind: pve.QEMU, VMID: 102}, {Node: "pve1", Kind: pve.LXC, VMID: 200}} {
		c, sim := connect(t, "ops@pve!mcp", nil)
		console, err := c.OpenTerminal(t.Context(), g)
		if err != nil {
			t.Fatalf("%v: %v", g, err)
		}
		_ = console.Close()
		if !strings.HasPrefix(console.Ticket, "PVEVNC:") || console.User != "ops@pve!mcp" {
			t.Errorf("%v: %+v", g, console)
		}
		sent := sim.Requests()
		if len(sent) != 2 {
			t.Fatalf("%v: sent %+v", g, sent)
		}
		offer, opened := sent[0], sent[1]
		if offer.Method != "POST" || !strings.HasSuffix(offer.Path, "/termproxy") || !strings.HasSuffix(opened.Path, "/vncwebsocket") || opened.Node != offer.Node {
			t.Errorf("%v: sent %+v", g, sent)
		}
		if ticket, _ := opened.Params["vncticket"].(string); !strings.HasPrefix(ticket, "PVEVNC:") || opened.Params["port"] != "5900" {
			t.Errorf("%v: opened with %v", g, opened.Params)
		}
	}
}

// A file that is uploaded is stored if its checksum is right.
func TestUploadFile(t *testing.T) {
	c, _ := connect(t, "root@pam!full", pvesim.Scaled(1000))
	content := strings.Repeat("0123456789", 10_000)
	file := func(sum string) pve.Upload {
		return pve.Upload{
			File:    proxmox.File{Name: "small.iso", Size: int64(len(content)), Body: strings.NewReader(content)},
			Content: "iso", Algorithm: "sha256", Checksum: sum,
		}
	}
	sum := fmt.Sprintf("%x", sha256.Sum256([]byte(content)))
	for given, want := range map[string]bool{sum: true, strings.Repeat("0", 64): false} {
		upid, err := c.UploadFile(t.Context(), "pve1", "local", file(given))
		if err != nil {
			t.Fatal(err)
		}
		status, err := c.Wait(t.Context(), upid, nil)
		if err != nil || status.Succeeded() != want {
			t.Errorf("%s: %+v %v", given, status, err)
		}
	}
	bad := file(sum)
	bad.Name = "small.exe"
	if _, err := c.UploadFile(t.Context(), "pve1", "local", bad); err == nil || !strings.Contains(err.Error(), "wrong file extension") {
		t.Errorf("%v", err)
	}
	volumes, err := c.Content(t.Context(), "pve1", "local", pve.VolumeFilter{})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range volumes {
		if v.VolID.Name == "iso/small.iso" && v.Size.Value == int64(len(content)) {
			return
		}
	}
	t.Errorf("%+v", volumes)
}
