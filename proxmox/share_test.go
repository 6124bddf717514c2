package proxmox_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// late is a wire to the simulator on which the answers to reads take a second: what they
// tell was true when they were asked.
type late struct {
	sim *pvesim.Sim

	mu        sync.Mutex
	cancelled int // guarded by mu
}

func (l *late) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := l.sim.Transport().RoundTrip(req)
	if req.Method != http.MethodGet {
		return resp, err
	}
	select {
	case <-time.After(time.Second):
		return resp, err
	case <-req.Context().Done():
		l.mu.Lock()
		defer l.mu.Unlock()
		l.cancelled++
		return nil, req.Context().Err()
	}
}

// lateDemo is the preset cluster at the other end of a late wire, and what connects to it.
func lateDemo(t *testing.T) (wire *late, connect func(token string) *pve.Client) {
	t.Helper()
	model := pvesim.Cluster()
	sim, err := pvesim.NewSim(model, pvesim.Options{Clock: pvesim.Scaled(1)})
	if err != nil {
		t.Fatal(err)
	}
	wire = &late{sim: sim}
	return wire, func(token string) *pve.Client {
		tok := model.Token(token)
		c, err := pve.New(proxmox.Options{
			Endpoints: []string{sim.URL()}, Token: proxmox.Token{ID: tok.ID, Secret: proxmox.NewSecret(tok.Secret)}, Transport: wire,
		})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
}

// read returns how many reads of an endpoint reached the simulator.
func (l *late) read(endpoint string) (n int) {
	for _, r := range l.sim.Requests() {
		if r.Method == http.MethodGet && r.Endpoint == endpoint {
			n++
		}
	}
	return n
}

const configOf = "/nodes/{node}/qemu/{vmid}/config"

var guest102 = pve.GuestRef{Node: "pve2", Kind: pve.QEMU, VMID: 102}

// Those who ask the same at the same time share a request, but never with another token.
func TestIdenticalReadsShareOneRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wire, connect := lateDemo(t)
		ops, audit := connect("ops@pve!mcp"), connect("audit@pve!mcp")
		var wg sync.WaitGroup
		for i := range 200 {
			wg.Go(func() {
				time.Sleep(time.Duration(i) * time.Millisecond)
				g, err := ops.FindGuest(t.Context(), 102)
				if err != nil || g.Node.Value != "pve2" {
					t.Errorf("%v %+v", err, g)
				}
				config, err := ops.GuestConfig(t.Context(), g.Ref())
				if err != nil || config.Values["name"] == "" {
					t.Errorf("%v %+v", err, config)
				}
			})
		}
		wg.Go(func() { _, _ = audit.FindGuest(t.Context(), 102) })
		wg.Wait()
		if lists, configs := wire.read("/cluster/resources"), wire.read(configOf); lists != 2 || configs != 1 {
			t.Errorf("%d lists, %d configurations", lists, configs)
		}
		if _, err := ops.GuestConfig(t.Context(), guest102); err != nil || wire.read(configOf) != 2 {
			t.Errorf("one that asks later: %v, %d requests", err, wire.read(configOf))
		}
	})
}

// One who gives up leaves the request to the others; the last one ends it.
func TestWhoGivesUpCancelsNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wire, connect := lateDemo(t)
		c := connect("ops@pve!mcp")
		ask := func(patience time.Duration) error {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			begun := time.Now()
			_, err := c.GuestConfig(ctx, guest102)
			if took := time.Since(begun); took != min(patience, time.Second) {
				t.Errorf("it took %v", took)
			}
			return err
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := ask(500 * time.Millisecond); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("the first: %v", err)
			}
		})
		synctest.Wait()
		for range 3 {
			wg.Go(func() {
				if err := ask(time.Minute); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := wire.read(configOf); n != 1 || wire.cancelled != 0 {
			t.Errorf("%d requests, %d cancelled", n, wire.cancelled)
		}
		for range 2 {
			wg.Go(func() { _ = ask(300 * time.Millisecond) })
		}
		wg.Wait()
		synctest.Wait()
		if wire.cancelled != 1 {
			t.Errorf("%d cancelled when nobody waits", wire.cancelled)
		}
		if err := ask(time.Minute); err != nil {
			t.Errorf("one that asks after that: %v", err)
		}
	})
}

// An error is for all who waited, and for nobody who asks later.
func TestErrorsAreSharedAndNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wire, connect := lateDemo(t)
		c := connect("ops@pve!mcp")
		if err := wire.sim.Fault(pvesim.Fault{Match: "GET /nodes/*/qemu/*/config", Status: 500, Message: "no", Max: 1}); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() {
				var said *proxmox.Error
				if _, err := c.GuestConfig(t.Context(), guest102); !errors.As(err, &said) || said.Status != 500 {
					t.Errorf("%v", err)
				}
			})
		}
		wg.Wait()
		if n := wire.read(configOf); n != 1 {
			t.Errorf("%d requests", n)
		}
		if _, err := c.GuestConfig(t.Context(), guest102); err != nil {
			t.Error(err)
		}
	})
}

// A caller that asks after a write was answered, or after a task was seen to have ended,
// does not get what was true before.
func TestNobodyGetsWhatWasTrueBefore(t *testing.T) {
	description := func(t *testing.T, c *pve.Client) string {
		config, err := c.GuestConfig(t.Context(), guest102)
		if err != nil {
			t.Error(err)
		}
		return config.Values["description"]
	}
	state := func(t *testing.T, c *pve.Client) string {
		s, err := c.GuestStatus(t.Context(), guest102)
		if err != nil {
			t.Error(err)
		}
		return s.Status
	}
	for name, tt := range map[string]struct {
		read   func(*testing.T, *pve.Client) string
		change func(*testing.T, *pve.Client)
		want   string
	}{
		"a write": {description, func(t *testing.T, c *pve.Client) {
			if err := c.UpdateConfig(t.Context(), guest102, pve.ConfigChange{Set: map[string]string{"description": "new"}}); err != nil {
				t.Error(err)
			}
		}, "new"},
		"the end of a task": {state, func(t *testing.T, c *pve.Client) {
			if _, err := c.Wait(t.Context(), shutdown(t, c), nil); err != nil {
				t.Error(err)
			}
		}, "stopped"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, connect := lateDemo(t)
				c := connect("ops@pve!mcp")
				var wg sync.WaitGroup
				over := make(chan struct{})
				wg.Go(func() { // there is always a read under way that others could join
					for i := 0; ; i++ {
						select {
						case <-over:
							return
						case <-time.After(100 * time.Millisecond):
							wg.Go(func() { tt.read(t, c) })
						}
					}
				})
				time.Sleep(1500 * time.Millisecond)
				tt.change(t, c)
				if got := tt.read(t, c); got != tt.want {
					t.Errorf("%q, want %q", got, tt.want)
				}
				close(over)
				wg.Wait()
			})
		})
	}
}

// A bug on the way costs those who asked, and not the process.
func TestAPanicIsThatOfThoseWhoAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, roundTrip(func(*http.Request) (*http.Response, error) { time.Sleep(time.Second); panic("a bug") }))
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				defer func() {
					if p := recover(); fmt.Sprint(p) != "a bug" {
						t.Errorf("%v", p)
					}
				}()
				_, err := c.Version(t.Context())
				t.Errorf("an answer: %v", err)
			})
		}
		wg.Wait()
	})
}
