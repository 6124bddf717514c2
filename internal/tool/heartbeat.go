package tool

import (
	"fmt"
	"sync"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/cluster"
	"github.com/pve-mcp/pve-mcp/internal/render"
)

// quietTime is how long a call may say nothing of its progress.
const quietTime = 10 * time.Second

// heartbeat reports the progress of a call, and that nothing has come for a while.
type heartbeat struct {
	report func(cluster.Progress)

	mu    sync.Mutex
	last  cluster.Progress // guarded by mu
	heard time.Time        // guarded by mu
}

// startHeartbeat returns a request whose caller hears at least every 10 s that the call goes on.
// end ends that.
func startHeartbeat(req Request) (_ Request, end func()) {
	if req.Progress == nil {
		return req, func() {}
	}
	h := &heartbeat{report: req.Progress, heard: time.Now()}
	req.Progress = h.say
	over := make(chan struct{})
	var beats sync.WaitGroup
	beats.Go(func() {
		ticker := time.NewTicker(quietTime)
		defer ticker.Stop()
		for {
			select {
			case <-over:
				return
			case <-ticker.C:
				h.beat()
			}
		}
	})
	return req, func() { close(over); beats.Wait() }
}

// say passes on what the call says.
func (h *heartbeat) say(p cluster.Progress) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if p.Done <= h.last.Done {
		p.Done = h.last.Done + 0.001
	}
	h.last, h.heard = p, time.Now()
	h.report(p)
}

// beat says that the call waits, if it has said nothing for a while.
func (h *heartbeat) beat() {
	h.mu.Lock()
	defer h.mu.Unlock()
	quiet := time.Since(h.heard).Round(time.Second)
	if quiet < quietTime {
		return
	}
	h.last.Done += 0.001
	p := h.last
	if p.Message != "" {
		p.Message += ": "
	}
	p.Message += fmt.Sprintf("no answer from PVE for %s", render.Duration(quiet))
	h.report(p)
}
