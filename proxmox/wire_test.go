package proxmox_test

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
)

// pipes is a listener in memory, so that a test's clock rules the connections too.
type pipes struct{ waiting chan net.Conn }

func (p pipes) Accept() (net.Conn, error) {
	conn, ok := <-p.waiting
	if !ok {
		return nil, net.ErrClosed
	}
	return conn, nil
}

func (p pipes) Close() error   { return nil }
func (p pipes) Addr() net.Addr { return &net.TCPAddr{} }

// wire is a client and a server of HTTP, connected in memory.
type wire struct {
	client *pve.Client
	dialed *atomic.Int64 // connections that the client made
}

// newWire serves handle as PVE serves: it closes a connection that is idle for 5 s.
func newWire(t *testing.T, handle http.HandlerFunc) wire {
	t.Helper()
	listener := pipes{make(chan net.Conn)}
	server := &http.Server{Handler: handle, IdleTimeout: 5 * time.Second, ErrorLog: log.New(io.Discard, "", 0)}
	go func() { _ = server.Serve(listener) }()
	var dialed atomic.Int64
	transport := proxmox.NewTransportOver(proxmox.TLS{}, func(context.Context, string, string) (net.Conn, error) {
		dialed.Add(1)
		ours, theirs := net.Pipe()
		listener.waiting <- theirs
		return ours, nil
	})
	c := newClient(t, transport, "http://pve1:8006")
	t.Cleanup(func() {
		c.Close()
		close(listener.waiting)
		_ = server.Close()
	})
	return wire{c, &dialed}
}

// PVE closes a connection that is idle for 5 s, and one that it closes while a write is
// on its way makes that write's outcome unknown. So the client closes it before.
func TestIdleConnectionsAreClosedBeforePVEDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"data":{}}`) })
		for _, step := range []struct {
			idle   time.Duration
			dialed int64
		}{{0, 1}, {3900 * time.Millisecond, 1}, {4100 * time.Millisecond, 2}, {0, 2}} {
			time.Sleep(step.idle)
			if _, err := w.client.Version(t.Context()); err != nil || w.dialed.Load() != step.dialed {
				t.Errorf("idle for %v: %v, %d connections, want %d", step.idle, err, w.dialed.Load(), step.dialed)
			}
			synctest.Wait()
		}
	})
}

// PVE closes a connection with every refusal.
func TestARefusalClosesItsConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Connection", "close")
			w.Header().Set("Server", "pve-api-daemon/3.0")
			w.WriteHeader(http.StatusForbidden)
		})
		for range 3 {
			var said *proxmox.Error
			if _, err := w.client.Version(t.Context()); !errors.As(err, &said) || said.Status != 403 {
				t.Errorf("%v", err)
			}
		}
		if w.dialed.Load() != 3 {
			t.Errorf("%d connections for three refusals", w.dialed.Load())
		}
	})
}

func TestFourConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t, func(w http.ResponseWriter, _ *http.Request) {
			time.Sleep(time.Second)
			_, _ = io.WriteString(w, `{"data":{}}`)
		})
		results := make(chan error)
		for i := range 20 {
			go func() {
				_, err := w.client.Do(t.Context(), http.MethodGet, proxmox.Join("nodes", fmt.Sprint("pve", i)), nil)
				results <- err
			}()
		}
		for range 20 {
			if err := <-results; err != nil {
				t.Error(err)
			}
		}
		if w.dialed.Load() != 4 {
			t.Errorf("%d connections, want 4", w.dialed.Load())
		}
	})
}

// A call that is cancelled leaves nothing behind, wherever it stands: the bubble of the
// test would complain of a goroutine that is left.
func TestCancellationLeavesNothingBehind(t *testing.T) {
	for name, handle := range map[string]http.HandlerFunc{
		"before the answer": func(_ http.ResponseWriter, req *http.Request) { <-req.Context().Done() },
		"within the answer": func(w http.ResponseWriter, req *http.Request) {
			_, _ = io.WriteString(w, `{"data":[`)
			_ = http.NewResponseController(w).Flush()
			<-req.Context().Done()
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWire(t, handle)
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(time.Second, cancel)
				begun := time.Now()
				_, err := w.client.Power(ctx, pve.GuestRef{Node: "pve", Kind: pve.LXC, VMID: 100}, "stop", pve.PowerOptions{})
				if !proxmox.OutcomeUnknown(err) || !errors.Is(err, context.Canceled) || time.Since(begun) != time.Second {
					t.Errorf("%v after %v", err, time.Since(begun))
				}
			})
		})
	}
}

// What PVE's HTTP server wants of a request, and makes of an answer.
func TestRequestsSuitPVE(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		size := len(req.RequestURI)
		for k, v := range req.Header {
			size += len(k) + len(strings.Join(v, "")) + 4
		}
		if req.ProtoMajor != 1 || len(req.TransferEncoding) > 0 || len(req.Header) > 63 || size > 8<<10 {
			t.Errorf("HTTP/%d, %v, %d header lines of %d bytes", req.ProtoMajor, req.TransferEncoding, len(req.Header), size)
		}
		if !strings.Contains(req.Header.Get("Accept-Encoding"), "gzip") {
			t.Error("the answer is not wanted compressed")
		}
		w.Header().Set("Content-Encoding", "gzip")
		zip := gzip.NewWriter(w)
		_, _ = io.WriteString(zip, `{"data":"UPID:pve1:00000001:00000001:60000000:qmstop:100:root@pam:"}`)
		_ = zip.Close()
	}))
	server.EnableHTTP2 = true // which PVE has not
	server.StartTLS()
	defer server.Close()
	c := newClient(t, proxmox.NewTransport(proxmox.TLS{Insecure: true}), server.URL)
	defer c.Close()
	if _, err := c.Power(t.Context(), pve.GuestRef{Node: "pve", Kind: pve.QEMU, VMID: 100}, "stop", pve.PowerOptions{}); err != nil {
		t.Error(err)
	}
}

// Before 8.4 the message of an error is in the reason phrase alone; from then on the
// whole of it is in the body. What comes before PVE's formatter has no JSON.
func TestMessages(t *testing.T) {
	for _, tt := range []struct{ status, body, message, params string }{
		{"500 VM 100 already running", `{"data":null}`, "VM 100 already running", ""},
		{"400 Parameter verification failed.", `{"data":null,"errors":{"vmid":"too small"}}`, "Parameter verification failed.", "vmid: too small"},
		{"500 first line", `{"data":null,"message":"first line\nsecond line\n"}`, "first line\nsecond line", ""},
		{"401 No ticket", "", "No ticket", ""},
		{"501 no such uri", "no such uri", "no such uri", ""},
		{"400 ", "", "", ""}, // a message with line breaks that the status line cannot carry
	} {
		c := newClient(t, roundTrip(func(*http.Request) (*http.Response, error) {
			resp, err := answer(tt.status, tt.body)
			resp.Header.Set("Server", "pve-api-daemon/3.0")
			return resp, err
		}))
		_, err := c.Version(t.Context())
		var said *proxmox.Error
		if !errors.As(err, &said) || said.Message != tt.message || said.Refused() != tt.params || fmt.Sprint(said.Status) != tt.status[:3] {
			t.Errorf("%s: %#v", tt.status, said)
		}
	}
}

func TestLostAnswers(t *testing.T) {
	for name, handle := range map[string]http.HandlerFunc{
		"hung up": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"truncated": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			w.WriteHeader(200)
		},
		"not PVE": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>hello") },
		"596":     func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(596) },
		"503":     func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) },
		"504":     func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(504) },
		"null":    func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"data":null}`) },
		"no task": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"data":"OK"}`) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var asked atomic.Int64
				w := newWire(t, func(w http.ResponseWriter, req *http.Request) {
					asked.Add(1)
					_, _ = io.Copy(io.Discard, req.Body)
					handle(w, req)
				})
				ref := pve.GuestRef{Node: "pve", Kind: pve.QEMU, VMID: 100}
				_, err := w.client.Power(t.Context(), ref, "stop", pve.PowerOptions{})
				if !proxmox.OutcomeUnknown(err) {
					t.Errorf("a write: %v, want an unknown outcome", err)
				}
				if n := asked.Load(); n != 1 {
					t.Errorf("the write was sent %d times", n)
				}
				if _, err = w.client.GuestStatus(t.Context(), ref); err == nil || proxmox.OutcomeUnknown(err) {
					t.Errorf("a read: %v", err)
				}
			})
		})
	}
}

func TestTimeouts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := roundTrip(func(req *http.Request) (*http.Response, error) {
			<-req.Context().Done()
			return nil, req.Context().Err()
		})
		c, err := pve.New(proxmox.Options{Endpoints: []string{"https://pve1:8006"}, Transport: rt, Timeout: 10 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		for want, call := range map[time.Duration]func(){
			10 * time.Second: func() { _, err = c.Version(t.Context()) },
			35 * time.Second: func() { _, _, err = c.NodeTasks(t.Context(), "pve1", pve.TaskFilter{}) }, // PVE may hold it for 30 s
		} {
			begun := time.Now()
			call()
			if took := time.Since(begun); took != want || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v after %v, want %v", err, took, want)
			}
		}
	})
}
