package proxmox_test

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// In a piece of work each thing is read once: until its first write, a change that is known,
// a read without an answer, or a while. Looks at tasks are always made.
func TestReadOnce(t *testing.T) {
	g := pve.GuestRef{Node: "pve3", Kind: pve.QEMU, VMID: 105}
	config := func(ctx context.Context, c *pve.Client) { _, _ = c.GuestConfig(ctx, g) }
	write := func(ctx context.Context, c *pve.Client) {
		_ = c.UpdateConfig(ctx, g, pve.ConfigChange{Set: map[string]string{"description": "x"}})
	}
	for _, tt := range []struct {
		name    string
		between func(ctx context.Context, c *pve.Client)
		again   int // requests of two reads afterwards
	}{
		{"nothing", func(context.Context, *pve.Client) {}, 0},
		{"another read", func(ctx context.Context, c *pve.Client) { _, _ = c.CurrentConfig(ctx, g) }, 0},
		{"its write", write, 2},
		{"a write of somebody else's work", func(ctx context.Context, c *pve.Client) { write(proxmox.ReadOnce(context.WithoutCancel(ctx)), c) }, 1},
		{"a read that is refused", func(ctx context.Context, c *pve.Client) {
			if _, err := c.Content(ctx, "pve3", "nowhere", pve.VolumeFilter{}); err == nil {
				t.Error("it is not refused")
			}
			_, _ = proxmox.Get[any](ctx, c.Client, proxmox.Join("nodes", "pve3", "nothing"), nil)
		}, 0},
		{"a guest that is elsewhere by now", func(ctx context.Context, c *pve.Client) {
			_, _ = c.GuestConfig(ctx, pve.GuestRef{Node: "pve1", Kind: pve.QEMU, VMID: 999})
		}, 1},
		{"a while", func(context.Context, *pve.Client) { time.Sleep(15 * time.Second) }, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, sim := counted(t)
				ctx := proxmox.ReadOnce(t.Context())
				config(ctx, c)
				config(ctx, c)
				if n := len(sim.Requests()); n != 1 {
					t.Errorf("%d requests for two reads", n)
				}
				tt.between(ctx, c)
				before := len(sim.Requests())
				config(ctx, c)
				config(ctx, c)
				if n := len(sim.Requests()) - before; n != tt.again {
					t.Errorf("%d requests for two more reads, want %d", n, tt.again)
				}
				before = len(sim.Requests())
				config(proxmox.ReadAgain(ctx), c)
				config(t.Context(), c)
				if n := len(sim.Requests()) - before; n != 2 {
					t.Errorf("%d requests for two reads that are no part of it", n)
				}
			})
		})
	}
}

// A task is looked at as often as somebody asks.
func TestReadOnceLooksAtTasks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := counted(t)
		upid, err := c.Start(t.Context(), http.MethodPost, proxmox.Join("nodes", "pve1", "qemu", "104", "status", "shutdown"), nil)
		if err != nil {
			t.Fatal(err)
		}
		ctx := proxmox.ReadOnce(t.Context())
		if s, err := c.TaskStatus(ctx, upid); err != nil || !s.Running() {
			t.Fatal(s, err)
		}
		if s, err := c.Wait(ctx, upid, func(proxmox.TaskUpdate) {}); err != nil || !s.Succeeded() {
			t.Errorf("%+v %v", s, err)
		}
		if s, err := c.TaskStatus(ctx, upid); err != nil || s.Running() {
			t.Errorf("%+v %v", s, err)
		}
	})
}

func counted(t *testing.T) (*pve.Client, *pvesim.Sim) {
	t.Helper()
	model := pvesim.Cluster()
	sim, err := pvesim.NewSim(model, pvesim.Options{Clock: pvesim.Scaled(1)})
	if err != nil {
		t.Fatal(err)
	}
	token := model.Token("root@pam!full")
	c, err := pve.New(proxmox.Options{
		Endpoints: []string{sim.URL()}, Token: proxmox.Token{ID: token.ID, Secret: proxmox.NewSecret(token.Secret)}, Transport: sim.Transport(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return c, sim
}
