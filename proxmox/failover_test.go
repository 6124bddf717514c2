package proxmox_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
)

// cluster answers for several endpoints, by host name; an entry of down says how one
// fails: with "" no connection can be made to it.
type cluster struct {
	down  map[string]string
	asked []string
}

func (c *cluster) RoundTrip(req *http.Request) (*http.Response, error) {
	host := req.URL.Hostname()
	c.asked = append(c.asked, host)
	how, isDown := c.down[host]
	switch {
	case isDown && how == "":
		return nil, &net.OpError{Op: "dial", Err: errors.New("connection refused")}
	case isDown && strings.HasPrefix(how, "500"):
		return answer(how, `{"data":null}`)
	case isDown:
		return answer(how, "")
	}
	return answer("200 OK", `{"data":{"release":"9.0","status":"running"}}`)
}

// took returns which endpoints were asked since the last call.
func (c *cluster) took() string {
	out := strings.Join(c.asked, " ")
	c.asked = nil
	return out
}

func threeNodes(t *testing.T) (*cluster, *pve.Client) {
	t.Helper()
	nodes := &cluster{down: map[string]string{}}
	return nodes, newClient(t, nodes, "https://pve1:8006", "https://pve2:8006", "https://pve3:8006")
}

func TestEndpointsThatDoNotAnswerRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes, c := threeNodes(t)
		ask := func(want string) {
			t.Helper()
			if _, err := c.Version(t.Context()); err != nil {
				t.Error(err)
			}
			if got := nodes.took(); got != want {
				t.Errorf("asked %s, want %s", got, want)
			}
		}
		nodes.down["pve1"] = ""
		ask("pve1 pve2")
		ask("pve2")
		time.Sleep(10 * time.Second)
		delete(nodes.down, "pve1")
		nodes.down["pve2"] = "503 Service Unavailable"
		ask("pve2 pve3") // pve1 still rests
		nodes.down["pve3"] = ""
		ask("pve3 pve1") // it is the only one that has rested for some time, and answers
		time.Sleep(31 * time.Second)
		nodes.down = map[string]string{"pve1": ""}
		ask("pve1 pve2") // all have rested: the order in which they were given
	})
}

// 595 to 599 say that the endpoint could not reach the node or its own daemon: its fault
// only where another endpoint can.
func TestAnEndpointRestsWhereAnotherReachesTheNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes, c := threeNodes(t)
		ref := pve.GuestRef{Node: "pve", Kind: pve.QEMU, VMID: 100}
		for _, host := range []string{"pve1", "pve2", "pve3"} {
			nodes.down[host] = "595 No route to host"
		}
		if _, err := c.GuestStatus(t.Context(), ref); err == nil {
			t.Error("no error")
		}
		nodes.took()
		nodes.down = map[string]string{}
		if _, err := c.GuestStatus(t.Context(), ref); err != nil || nodes.took() != "pve1" {
			t.Errorf("after a node that nobody reached: %v", err)
		}
		nodes.down = map[string]string{"pve1": "595 Connection refused"}
		for _, want := range []string{"pve1 pve2", "pve2"} {
			if _, err := c.GuestStatus(t.Context(), ref); err != nil {
				t.Error(err)
			}
			if got := nodes.took(); got != want {
				t.Errorf("asked %s, want %s", got, want)
			}
		}
	})
}

// A write goes to another endpoint only where no connection could be made.
func TestWritesAreSentOnce(t *testing.T) {
	ref := pve.GuestRef{Node: "pve", Kind: pve.QEMU, VMID: 100}
	for how, want := range map[string]string{
		"":                            "pve1 pve2 pve3",
		"403 Permission check failed": "pve1",
		"500 no such thing":           "pve1",
		"502 Bad Gateway":             "pve1",
		"595 No route to host":        "pve1",
		"596 Broken pipe":             "pve1",
	} {
		nodes, c := threeNodes(t)
		nodes.down = map[string]string{"pve1": how, "pve2": how, "pve3": how}
		_, err := c.Power(t.Context(), ref, "stop", pve.PowerOptions{})
		if err == nil || nodes.took() != want {
			t.Errorf("%q: %v, want one request to %s", how, err, want)
		}
		if unknown := proxmox.OutcomeUnknown(err); unknown != (how == "502 Bad Gateway" || how == "596 Broken pipe") {
			t.Errorf("%q: unknown outcome: %v", how, unknown)
		}
	}
	nodes, c := threeNodes(t)
	nodes.down["pve1"] = "504 Gateway Timeout"
	_, _ = c.Power(t.Context(), ref, "stop", pve.PowerOptions{})
	nodes.took()
	if _, err := c.GuestStatus(t.Context(), ref); err != nil || nodes.took() != "pve2" {
		t.Errorf("after a write whose answer was lost, another endpoint is asked: %v", err)
	}
}

// Reads that got no answer are repeated with pauses, as long as that makes sense.
func TestReadsAreRepeated(t *testing.T) {
	ref := pve.GuestRef{Node: "pve", Kind: pve.QEMU, VMID: 100}
	dial := func(err error) error { return &net.OpError{Op: "dial", Err: err} }
	for name, tt := range map[string]struct {
		status string
		err    error
		takes  time.Duration
		asked  int
		least  time.Duration // that it takes in all
		most   time.Duration
	}{
		"595":             {status: "595 No route to host", takes: 3 * time.Second, asked: 3, least: 9 * time.Second, most: 11 * time.Second},
		"596":             {status: "596 Connection timed out", takes: 30 * time.Second, asked: 1, least: 30 * time.Second, most: 30 * time.Second},
		"596 at once":     {status: "596 Broken pipe", asked: 3, most: 5 * time.Second},
		"599":             {status: "599 Too many redirections", asked: 3, least: 300 * time.Millisecond, most: 2 * time.Second},
		"503":             {status: "503 Service Unavailable", asked: 3, least: 300 * time.Millisecond, most: 2 * time.Second},
		"refused":         {err: dial(errors.New("connection refused")), asked: 3, least: 300 * time.Millisecond, most: 2 * time.Second},
		"not reached":     {err: dial(context.DeadlineExceeded), takes: 5 * time.Second, asked: 1, least: 5 * time.Second, most: 5 * time.Second},
		"no such name":    {err: dial(&net.DNSError{Name: "pve1", IsNotFound: true}), asked: 1},
		"another's":       {err: &tls.CertificateVerificationError{Err: errors.New("unknown authority")}, asked: 1},
		"another's pin":   {err: &proxmox.PinError{}, asked: 1},
		"refusal":         {status: "500 no such thing", asked: 1},
		"no privilege":    {status: "403 Permission check failed", asked: 1},
		"bad token":       {status: "401 Authentication failed!", takes: 3 * time.Second, asked: 1, least: 3 * time.Second, most: 3 * time.Second},
		"bad parameters":  {status: "400 Parameter verification failed.", asked: 1},
		"not implemented": {status: "501 Method not implemented", asked: 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				asked := 0
				c := newClient(t, roundTrip(func(*http.Request) (*http.Response, error) {
					asked++
					time.Sleep(tt.takes)
					if tt.err != nil {
						return nil, tt.err
					}
					return answer(tt.status, "")
				}))
				begun := time.Now()
				_, err := c.GuestStatus(t.Context(), ref)
				if took := time.Since(begun); err == nil || asked != tt.asked || took < tt.least || took > tt.most {
					t.Errorf("%v after %v and %d requests, want %d", err, took, asked, tt.asked)
				}
			})
		})
	}
}

// What a node takes longer for than PVE waits is not asked of it once more by another endpoint.
func TestWhatHangsIsAskedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		c := newClient(t, roundTrip(func(*http.Request) (*http.Response, error) {
			asked++
			time.Sleep(30 * time.Second)
			return answer("596 Connection timed out", "")
		}), "https://pve1:8006", "https://pve2:8006", "https://pve3:8006")
		begun := time.Now()
		_, err := c.Content(t.Context(), "pve3", "nfs", pve.VolumeFilter{})
		var said *proxmox.Error
		if took := time.Since(begun); !errors.As(err, &said) || !said.TimedOut() || asked != 1 || took != 30*time.Second {
			t.Errorf("%v after %v and %d requests", err, took, asked)
		}
	})
}

func TestAReadSucceedsWhenItIsRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		c := newClient(t, roundTrip(func(*http.Request) (*http.Response, error) {
			if asked++; asked < 3 {
				return answer("595 No route to host", "")
			}
			return answer("200 OK", `{"data":{"release":"9.0"}}`)
		}))
		if v, err := c.Version(t.Context()); err != nil || v.Release != "9.0" || asked != 3 {
			t.Errorf("%+v %v after %d requests", v, err, asked)
		}
	})
}

func TestCancellation(t *testing.T) {
	for name, rt := range map[string]roundTrip{
		"in a request": func(req *http.Request) (*http.Response, error) {
			<-req.Context().Done()
			return nil, req.Context().Err()
		},
		"in a pause": func(*http.Request) (*http.Response, error) { return answer("595 No route to host", "") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newClient(t, rt)
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(100*time.Millisecond, cancel)
				begun := time.Now()
				if _, err := c.Version(ctx); err == nil || time.Since(begun) != 100*time.Millisecond {
					t.Errorf("%v after %v", err, time.Since(begun))
				}
			})
		})
	}
}

// An endpoint is given four requests at a time; the time of the others begins when it
// is their turn, and each may be cancelled before.
func TestFourAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var under, most int
		steps := make(chan int) // +1 and -1
		finish := make(chan bool)
		go func() {
			for n := range steps {
				under += n
				most = max(most, under)
			}
			close(finish)
		}()
		c := newClient(t, roundTrip(func(req *http.Request) (*http.Response, error) {
			steps <- 1
			defer func() { steps <- -1 }()
			time.Sleep(34 * time.Second) // of the 35 that each has
			return answer("200 OK", `{"data":{"status":"running"}}`)
		}))
		results := make(chan error)
		begun := time.Now()
		for i := range 10 {
			go func() {
				_, err := c.GuestStatus(t.Context(), pve.GuestRef{Node: "pve1", Kind: pve.LXC, VMID: pve.VMID(100 + i)})
				results <- err
			}()
		}
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Version(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("one that gave up before its turn: %v", err)
		}
		for range 10 {
			if err := <-results; err != nil {
				t.Error(err)
			}
		}
		close(steps)
		<-finish
		if took := time.Since(begun); most != 4 || took != 3*34*time.Second {
			t.Errorf("%d at a time, %v in all", most, took)
		}
	})
}

func TestSticky(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes, c := threeNodes(t)
		nodes.down["pve1"] = ""
		sticky := c.Sticky()
		if _, err := sticky.Version(t.Context()); err != nil || nodes.took() != "pve1 pve2" {
			t.Error(err)
		}
		nodes.down["pve2"] = ""
		delete(nodes.down, "pve1")
		var unconnected *proxmox.ConnectError
		if _, err := sticky.Version(t.Context()); !errors.As(err, &unconnected) || slices.Contains(nodes.asked, "pve1") {
			t.Errorf("%v, asked %s", err, nodes.took())
		}
		nodes.took()
		if _, err := c.Version(t.Context()); err != nil || nodes.took() != "pve1" {
			t.Errorf("the client itself is bound: %v", err)
		}
	})
}
