package tasks_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/once"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
	"github.com/pve-mcp/pve-mcp/internal/tool"
)

// lossy loses every migration that is sent, with its answer.
type lossy struct {
	http.RoundTripper
	lost *atomic.Int64
}

func (l lossy) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Method == http.MethodPost && strings.HasSuffix(req.URL.Path, "/migrate") {
		l.lost.Add(1)
		httptrace.ContextClientTrace(req.Context()).GotConn(httptrace.GotConnInfo{}) // so that PVE may have seen it
		return nil, io.ErrUnexpectedEOF
	}
	return l.RoundTripper.RoundTrip(req)
}

// A step whose outcome is unknown is not sent again by another process that shares the folder,
// however much later, and a change of several steps goes through with one.
func TestReplicasTakeAStepOnce(t *testing.T) {
	folder, err := once.OpenFolder(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, loses := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var lost atomic.Int64
			w := sim.New(t, sim.Options{Model: quick(), Wire: func(rt http.RoundTripper) http.RoundTripper {
				if !loses {
					return rt
				}
				return lossy{rt, &lost}
			}})
			other := sim.World(*w)
			w.Host.Used, other.Host.Used = once.NewLedger(folder), once.NewLedger(folder)
			begun := w.Call("pve_clone_guest", `{"vmid":900,"newid":333,"target":"pve3","wait":0}`)
			time.Sleep(time.Minute)
			again := fmt.Sprintf(`{"plan_handle":%q,"wait":45}`, begun.Fields["handle"])
			want, then, says := tool.OK, tool.OK, "on pve3 is a clone of 900"
			if loses {
				want, then, says = tool.Unknown, tool.Failed, "Another call or process has taken this step"
			}
			if a := w.Call("pve_clone_guest", again); a.Outcome != want {
				t.Errorf("%s", a.Text)
			}
			time.Sleep(10 * time.Second)
			if a := other.Call("pve_clone_guest", again); a.Outcome != then || !strings.Contains(a.Text, says) {
				t.Errorf("%s", a.Text)
			}
			if loses && lost.Load() != 1 {
				t.Errorf("%d migrations were sent", lost.Load())
			}
		})
	}
}

// together is a store in which no claim is decided before all have made theirs.
type together struct {
	once.Store
	claims *sync.WaitGroup
}

func (s together) Claim(ctx context.Context, id string, until time.Time) (bool, error) {
	s.claims.Done()
	s.claims.Wait()
	return s.Store.Claim(ctx, id, until)
}

// A plan is carried out once, also by two calls at once.
func TestOnePlanOneChange(t *testing.T) {
	folder, err := once.OpenFolder(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{Model: quick()})
		var claims sync.WaitGroup
		claims.Add(2)
		w.Host.Used = once.NewLedger(together{folder, &claims})
		args := fmt.Sprintf(`{"plan_handle":%q,"wait":45}`, w.Call("pve_clone_guest", `{"vmid":900,"plan":true}`).Fields["plan_handle"])
		answers := make(chan sim.Answer)
		for range 2 {
			go func() { answers <- w.Call("pve_clone_guest", args) }()
		}
		a, b := <-answers, <-answers
		if a.Outcome != tool.OK {
			a, b = b, a
		}
		if a.Outcome != tool.OK || b.Outcome != tool.Failed || !strings.Contains(b.Text, "The plan was used already; nothing was sent.") {
			t.Errorf("%s\n%s", a.Text, b.Text)
		}
		if writes := sim.Writes(w.Sent()); !slices.Equal(writes, []string{"POST /nodes/{node}/qemu/{vmid}/clone"}) {
			t.Errorf("sent %v", writes)
		}
	})
}

// What was planned is done under the id that the plan names, or not at all.
func TestPlanKeepsItsID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{Model: quick(), Before: sim.Meanwhile("POST", "/900/clone", `pve_clone_guest {"vmid":900,"newid":110}`)})
		plan := w.Call("pve_clone_guest", `{"vmid":900,"plan":true}`)
		if a := w.Call("pve_clone_guest", fmt.Sprintf(`{"plan_handle":%q,"wait":45}`, plan.Fields["plan_handle"])); a.Outcome != tool.Failed || a.Fields["newid"] != nil {
			t.Errorf("%s", a.Text)
		}
	})
}

// The arguments of a plan may be given again as a model writes them, and with what a client adds
// to every call.
func TestPlanWithItsArguments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(t, sim.Options{Model: quick()})
		for _, more := range []string{`"vmid":"sandbox"`, `"vmid":"204","purge":false`, `"sessionId":"7","toolCallId":"x"`} {
			plan := w.Call("pve_delete_guest", `{"vmid":204,"plan":true}`)
			if a := w.Call("pve_delete_guest", fmt.Sprintf(`{"plan_handle":%q,%s}`, plan.Fields["plan_handle"], more)); a.Outcome != tool.NeedsConfirmation {
				t.Errorf("%s: %s", more, a.Text)
			}
		}
	})
}
