package proxmox_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// demo is the preset cluster with a client, in the time of a bubble.
func demo(t *testing.T) (*pvesim.Sim, *pve.Client) {
	t.Helper()
	model := pvesim.Cluster()
	sim, err := pvesim.NewSim(model, pvesim.Options{Clock: pvesim.Scaled(1)})
	if err != nil {
		t.Fatal(err)
	}
	tok := model.Token("ops@pve!mcp")
	c, err := pve.New(proxmox.Options{
		Endpoints: []string{sim.URL()}, Token: proxmox.Token{ID: tok.ID, Secret: proxmox.NewSecret(tok.Secret)}, Transport: sim.Transport(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return sim, c
}

// looks returns how many looks at the status and at the log of tasks there were.
func looks(sim *pvesim.Sim) (status, log int) {
	for _, r := range sim.Requests() {
		switch r.Endpoint {
		case "/nodes/{node}/tasks/{upid}/status":
			status++
		case "/nodes/{node}/tasks/{upid}/log":
			log++
		}
	}
	return status, log
}

func shutdown(t *testing.T, c *pve.Client) proxmox.UPID { // takes 25 s
	t.Helper()
	upid, err := c.Power(t.Context(), pve.GuestRef{Node: "pve2", Kind: pve.QEMU, VMID: 102}, "shutdown", pve.PowerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return upid
}

func TestWaitsOnTheSameTaskShareOnePoller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim, c := demo(t)
		upid := shutdown(t, c)
		var wg sync.WaitGroup
		for i := range 200 {
			wg.Go(func() {
				updates := 0
				each := func(proxmox.TaskUpdate) { updates++ }
				if i%2 == 0 {
					each = nil
				}
				status, err := c.Wait(t.Context(), upid, each)
				if err != nil || !status.Succeeded() || each != nil && updates < 8 {
					t.Errorf("%v %+v after %d updates", err, status, updates)
				}
			})
		}
		wg.Wait()
		if status, log := looks(sim); status+log > 20 {
			t.Errorf("%d looks at the status and %d at the log", status, log)
		}
	})
}

// Somebody who comes and goes has no part in the waiting of the others.
func TestWaitersComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim, c := demo(t)
		upid := shutdown(t, c)
		var wg sync.WaitGroup
		wait := func(from, until time.Duration, each func(proxmox.TaskUpdate)) {
			wg.Go(func() {
				time.Sleep(from)
				ctx, cancel := context.WithTimeout(t.Context(), until-from)
				defer cancel()
				begun := time.Now()
				status, err := c.Wait(ctx, upid, each)
				if took := time.Since(begun); !errors.Is(err, context.DeadlineExceeded) || !status.Running() || took != until-from {
					t.Errorf("from %v: %v %+v after %v", from, err, status, took)
				}
			})
		}
		var first, second []time.Duration
		begun := time.Now()
		wait(0, 12*time.Second, func(proxmox.TaskUpdate) { first = append(first, time.Since(begun)) })
		wait(8*time.Second, 20*time.Second, func(proxmox.TaskUpdate) { second = append(second, time.Since(begun)) })
		wait(9*time.Second, 9*time.Second+1, nil)
		wg.Wait()
		if len(first) < 5 || slices.Max(first) > 12*time.Second {
			t.Errorf("the first heard at %v", first)
		}
		if len(second) < 3 || slices.Min(second) < 8*time.Second || slices.Max(second) > 20*time.Second {
			t.Errorf("the second heard at %v", second)
		}
		before, _ := looks(sim)
		time.Sleep(time.Minute)
		if after, _ := looks(sim); after != before {
			t.Errorf("%d looks when nobody waits", after-before)
		}
	})
}

// A task is counted while somebody waits for it, and once.
func TestWaitingIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var counted []int
		task := &script{lines: func(time.Duration) int { return 1 }, ends: 20 * time.Second, exit: "OK", mark: "TASK OK"}
		c, err := pve.New(proxmox.Options{
			Endpoints: []string{"https://pve1:8006"}, Token: token(), Transport: task,
			Waiting: func(change int) { counted = append(counted, change) },
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, patience := range []time.Duration{5 * time.Second, time.Minute} {
			var wg sync.WaitGroup
			for range 2 {
				wg.Go(func() {
					ctx, cancel := context.WithTimeout(t.Context(), patience)
					defer cancel()
					_, _ = c.Wait(ctx, anyTask(t), nil)
				})
			}
			wg.Wait()
		}
		if !slices.Equal(counted, []int{1, -1, 1, -1}) {
			t.Errorf("%v", counted)
		}
	})
}

// One who is slow to hear keeps nobody waiting, and hears of every line.
func TestWaitWithASlowListener(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		task := &script{lines: func(up time.Duration) int { return int(up / time.Second) }, ends: 20 * time.Second, exit: "OK", mark: "TASK OK"}
		c := newClient(t, task)
		var wg sync.WaitGroup
		var heard []string
		wg.Go(func() {
			_, _ = c.Wait(t.Context(), anyTask(t), func(u proxmox.TaskUpdate) {
				for _, l := range u.Lines {
					heard = append(heard, l.Text.Value)
				}
				time.Sleep(7 * time.Second)
			})
		})
		begun := time.Now()
		if _, err := c.Wait(t.Context(), anyTask(t), nil); err != nil || time.Since(begun) > 23*time.Second {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
		wg.Wait()
		for i, line := range heard {
			if line != fmt.Sprintf("line %d", i+1) {
				t.Fatalf("heard %q", heard)
			}
		}
		if len(heard) < 10 {
			t.Errorf("heard %q", heard)
		}
	})
}

// script is a task whose log grows, with a mark that ends it.
type script struct {
	lines   func(up time.Duration) int
	ends    time.Duration
	exit    string // of the status
	mark    string // the last line of the log; "" for none
	refused string // what reading the log is refused with
	sent    []string
	begun   time.Time
}

func anyTask(t *testing.T) proxmox.UPID {
	t.Helper()
	upid, err := proxmox.ParseUPID("UPID:pve1:00000001:00000001:60000000:vzdump:100:root@pam:")
	if err != nil {
		t.Fatal(err)
	}
	return upid
}

func (s *script) RoundTrip(req *http.Request) (*http.Response, error) {
	if s.begun.IsZero() {
		s.begun = time.Now()
	}
	up := time.Since(s.begun)
	if !strings.HasSuffix(req.URL.Path, "/log") {
		s.sent = append(s.sent, "status")
		if up < s.ends {
			return answer("200 OK", `{"data":{"status":"running"}}`)
		}
		return answer("200 OK", fmt.Sprintf(`{"data":{"status":"stopped","exitstatus":%q}}`, s.exit))
	}
	s.sent = append(s.sent, "log")
	if s.refused != "" {
		return answer(s.refused, "")
	}
	var start int
	_, _ = fmt.Sscan(req.URL.Query().Get("start"), &start)
	var lines []string
	for i := range s.lines(min(up, s.ends)) {
		lines = append(lines, fmt.Sprintf(`{"n":%d,"t":"line %d"}`, i+1, i+1))
	}
	if up >= s.ends && s.mark != "" {
		lines = append(lines, fmt.Sprintf(`{"n":%d,"t":%q}`, len(lines)+1, s.mark))
	}
	if len(lines) == 0 {
		return answer("200 OK", `{"data":[{"n":1,"t":"no content"}],"total":1}`)
	}
	return answer("200 OK", fmt.Sprintf(`{"data":[%s],"total":%d}`, strings.Join(lines[min(start, len(lines)):], ","), len(lines)))
}

// Each look is one request: at the log while that grows, and at the status at first, where
// the log stands still, and after its end.
func TestLooksAtATask(t *testing.T) {
	grows := func(up time.Duration) int { return 1 + int(up/(100*time.Millisecond)) }
	silent := func(time.Duration) int { return 0 }
	for name, tt := range map[string]struct {
		task    script
		listens bool
		want    string        // the kinds of requests, in short
		most    time.Duration // after its end
	}{
		"at once":           {script{lines: silent, exit: "OK", mark: "TASK OK"}, true, "s", 0},
		"nobody listens":    {script{lines: grows, ends: 10 * time.Second, exit: "OK", mark: "TASK OK"}, false, "sssssssss", 3 * time.Second},
		"the log grows":     {script{lines: grows, ends: 10 * time.Second, exit: "OK", mark: "TASK OK"}, true, "slllllllls", 3 * time.Second},
		"for a while":       {script{lines: grows, ends: 40 * time.Second, exit: "OK", mark: "TASK OK"}, true, "sllllllllllsllllllls", 3 * time.Second},
		"the log is silent": {script{lines: silent, ends: 10 * time.Second, exit: "OK", mark: "TASK OK"}, true, "sllsllslls", 3 * time.Second},
		"no log":            {script{lines: grows, ends: 10 * time.Second, exit: "OK", refused: "500 no"}, true, "slslslsls", 3 * time.Second},
		"the worker was killed": {script{lines: grows, ends: 10 * time.Second, exit: "unexpected status"}, true,
			"slllllllllls", 12 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newClient(t, &tt.task)
				var each func(proxmox.TaskUpdate)
				if tt.listens {
					each = func(proxmox.TaskUpdate) {}
				}
				begun := time.Now()
				status, err := c.Wait(t.Context(), anyTask(t), each)
				if err != nil || status.Running() || status.ExitStatus.Value != tt.task.exit {
					t.Errorf("%+v %v", status, err)
				}
				if late := time.Since(begun) - tt.task.ends; late > tt.most {
					t.Errorf("%v late", late)
				}
				got := strings.NewReplacer("status", "s", "log", "l", " ", "").Replace(strings.Join(tt.task.sent, " "))
				if got != tt.want {
					t.Errorf("requests %s, want %s", got, tt.want)
				}
			})
		})
	}
}

// A program that PVE runs may write what looks like the end of a log.
func TestWaitDoubtsTheEndOfTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		c := newClient(t, roundTrip(func(req *http.Request) (*http.Response, error) {
			switch {
			case strings.HasSuffix(req.URL.Path, "/log"):
				return answer("200 OK", `{"data":[{"n":1,"t":"TASK OK"}],"total":1}`)
			case time.Since(begun) < 20*time.Second:
				return answer("200 OK", `{"data":{"status":"running"}}`)
			}
			return answer("200 OK", `{"data":{"status":"stopped","exitstatus":"job errors"}}`)
		}))
		status, err := c.Wait(t.Context(), anyTask(t), func(proxmox.TaskUpdate) {})
		if took := time.Since(begun); err != nil || status.ExitStatus.Value != "job errors" || took < 20*time.Second || took > 24*time.Second {
			t.Errorf("%+v %v after %v", status, err, took)
		}
	})
}

// A very long log is not read as a whole, and its end is.
func TestWaitReadsAVeryLongLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		task := &script{lines: func(time.Duration) int { return 30000 }, ends: 5 * time.Second, exit: "OK", mark: "TASK OK"}
		last, most := "", 0
		_, err := newClient(t, task).Wait(t.Context(), anyTask(t), func(u proxmox.TaskUpdate) {
			if n := len(u.Lines); n > 0 {
				last, most = u.Lines[n-1].Text.Value, max(most, n)
			}
		})
		if err != nil || last != "line 30000" || most > 500 {
			t.Errorf("%v: the last line %q, up to %d at once", err, last, most)
		}
	})
}
