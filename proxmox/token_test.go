package proxmox_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// A late secret is read once, when the first request needs it, and again after an error.
// Without it nothing is sent.
func TestLateSecret(t *testing.T) {
	t.Parallel()
	model := pvesim.Lab()
	sim, err := pvesim.NewSim(model, pvesim.Options{})
	if err != nil {
		t.Fatal(err)
	}
	tok := model.Token("root@pam!full")
	reads, locked := 0, errors.New("the keyring is locked")
	late := proxmox.LateSecret(func() (string, error) {
		if reads++; reads == 1 {
			return "", locked
		}
		return tok.Secret, nil
	})
	sent := 0
	c, err := pve.New(proxmox.Options{
		Endpoints: []string{sim.URL(), sim.URL() + "/again"}, Token: proxmox.Token{ID: tok.ID, Secret: late},
		Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			sent++
			return sim.Transport().RoundTrip(r)
		}),
	})
	if err != nil {
		t.Fatal(err)
	}
	if reads != 0 || late.IsZero() || late.Check() != nil || late.Reveal() != "" || fmt.Sprint(late) != "[secret]" {
		t.Errorf("before it is needed: %d reads, %v", reads, late)
	}
	var missing *proxmox.SecretError
	if _, err := c.Version(t.Context()); !errors.As(err, &missing) || !errors.Is(err, locked) || sent != 0 {
		t.Errorf("%v, %d requests", err, sent)
	}
	for range 2 {
		if _, err := c.Version(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if reads != 2 || sent != 2 {
		t.Errorf("%d reads, %d requests", reads, sent)
	}
}

// A keyring that waits for its owner holds nobody longer than they wait, and is asked
// once.
func TestLateSecretWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reads := 0
		late := proxmox.LateSecret(func() (string, error) {
			reads++
			time.Sleep(time.Minute)
			return "x", nil
		})
		for range 2 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if _, err := late.Read(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v", err)
			}
			cancel()
		}
		if text, err := late.Read(t.Context()); text != "x" || err != nil || reads != 1 {
			t.Errorf("%q %v after %d reads", text, err, reads)
		}
	})
}
