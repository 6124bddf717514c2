package pve_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pve-mcp/pve"
	"pve-mcp/pvesim"
)

const secret = "12345678-1234-1234-1234-123456789abc"

func token() pve.Token { return pve.Token{ID: "ops@pve!mcp", Secret: pve.NewSecret(secret)} }

// roundTrip answers requests in process.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

func answer(status, body string) (*http.Response, error) {
	var code int
	_, _ = fmt.Sscan(status, &code)
	return &http.Response{Status: status, StatusCode: code, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}, nil
}

func newClient(t *testing.T, rt http.RoundTripper, endpoints ...string) *pve.Client {
	t.Helper()
	if len(endpoints) == 0 {
		endpoints = []string{"https://pve1:8006"}
	}
	c, err := pve.New(pve.Options{Endpoints: endpoints, Token: token(), Transport: rt, UserAgent: "test"})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestRequest(t *testing.T) {
	var got []string
	c := newClient(t, roundTrip(func(req *http.Request) (*http.Response, error) {
		body := ""
		if req.Body != nil {
			data, _ := io.ReadAll(req.Body)
			body = string(data)
		}
		if req.Method != "GET" && req.Method != "DELETE" && (req.ContentLength != int64(len(body)) || req.Header.Get("Content-Type") != "application/x-www-form-urlencoded") {
			t.Errorf("%s: length %d, type %s", req.Method, req.ContentLength, req.Header.Get("Content-Type"))
		}
		if req.Header.Get("Authorization") != "PVEAPIToken=ops@pve!mcp="+secret {
			t.Errorf("authorization %q", req.Header.Get("Authorization"))
		}
		got = append(got, req.Method+" "+req.URL.EscapedPath()+" "+req.URL.RawQuery+" "+body)
		return answer("200 OK", `{"data":null}`)
	}))
	upid, err := pve.ParseUPID("UPID:pve1:00000001:00000001:60000000:download:a%2Fb:root@pam!x:")
	if err != nil {
		t.Fatal(err)
	}
	_, _ = c.Power(t.Context(), pve.GuestRef{Node: "p/e?1", Kind: pve.QEMU, VMID: 100}, "shutdown", url.Values{"timeout": {"5"}, "note": {"a&b;c=d é"}})
	_ = c.StopTask(t.Context(), upid)
	_, _, _ = c.NodeTasks(t.Context(), "pve1", url.Values{"since": {"1764000000"}})
	want := []string{
		"POST /api2/json/nodes/p%2Fe%3F1/qemu/100/status/shutdown  note=a%26b%3Bc%3Dd+%C3%A9&timeout=5",
		"DELETE /api2/json/nodes/pve1/tasks/UPID:pve1:00000001:00000001:60000000:download:a%252Fb:root@pam%21x:  ",
		"GET /api2/json/nodes/pve1/tasks since=1764000000 ",
	}
	for i := range want {
		if i >= len(got) || got[i] != want[i] {
			t.Errorf("request %d: %q\nwant %q", i, got[i], want[i])
		}
	}
	before := len(got)
	for _, node := range []string{"", ".", ".."} {
		if _, _, err := c.NodeTasks(t.Context(), node, nil); err == nil {
			t.Errorf("the node %q made a request", node)
		}
	}
	if len(got) != before {
		t.Errorf("requests with a path that climbs: %v", got[before:])
	}
}

func TestNewRefusesOddEndpoints(t *testing.T) {
	for _, endpoints := range [][]string{nil, {"pve.lan"}, {"ftp://pve.lan"}, {"https://"}} {
		if _, err := pve.New(pve.Options{Endpoints: endpoints}); err == nil {
			t.Errorf("%v: no error", endpoints)
		}
	}
}

func TestRedirectCarriesNoToken(t *testing.T) {
	var reached atomic.Bool
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Store(true) }))
	defer elsewhere.Close()
	server := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusMovedPermanently))
	defer server.Close()
	_, err := newClient(t, pve.NewTransport(pve.TLS{}), server.URL).Version(t.Context())
	var said *pve.Error
	if !errors.As(err, &said) || said.Status != 301 || !strings.Contains(said.Message, elsewhere.URL) {
		t.Errorf("%v", err)
	}
	if reached.Load() {
		t.Error("the redirect was followed")
	}
}

func TestFailover(t *testing.T) {
	down := map[string]bool{"pve1:8006": true}
	var asked []string
	c := newClient(t, roundTrip(func(req *http.Request) (*http.Response, error) {
		asked = append(asked, req.URL.Host)
		if down[req.URL.Host] {
			return nil, errors.New("connection refused")
		}
		return answer("200 OK", `{"data":{"release":"9.0"}}`)
	}), "https://pve1:8006", "https://pve2:8006")
	for range 2 {
		if _, err := c.Version(t.Context()); err != nil {
			t.Errorf("with one node down: %v", err)
		}
	}
	down["pve2:8006"] = true
	var unconnected *pve.ConnectError
	if _, err := c.Version(t.Context()); !errors.As(err, &unconnected) {
		t.Errorf("with both down: %v", err)
	}
	if got := strings.Join(asked, " "); got != "pve1:8006 pve2:8006 pve2:8006 pve2:8006 pve1:8006" {
		t.Errorf("asked %s, want the one that answered last first", got)
	}
}

// A read that got no answer is asked for elsewhere, a write never; a refusal is an
// answer.
func TestFailoverOfReads(t *testing.T) {
	broken := ""
	var asked []string
	c := newClient(t, roundTrip(func(req *http.Request) (*http.Response, error) {
		asked = append(asked, req.Method+" "+req.URL.Hostname())
		if req.URL.Hostname() == "pve1" {
			return answer(broken, "")
		}
		return answer("200 OK", `{"data":{"status":"running"}}`)
	}), "https://pve1:8006", "https://pve2:8006")
	ref := pve.GuestRef{Node: "pve", Kind: pve.QEMU, VMID: 100}
	for _, tt := range []struct{ broken, asked string }{
		{"595 No route to host", "GET pve1, GET pve2"},
		{"503 Service Unavailable", "GET pve2"}, // which answered last
	} {
		broken, asked = tt.broken, nil
		if _, err := c.GuestStatus(t.Context(), ref); err != nil || strings.Join(asked, ", ") != tt.asked {
			t.Errorf("%s: %v: %v", tt.broken, asked, err)
		}
	}
	for _, broken = range []string{"403 Permission check failed", "500 no such thing", "595 No route to host", "596 Broken pipe"} {
		fresh := newClient(t, roundTrip(func(req *http.Request) (*http.Response, error) {
			asked = append(asked, req.Method+" "+req.URL.Hostname())
			return answer(broken, "")
		}), "https://pve1:8006", "https://pve2:8006")
		asked = nil
		if _, err := fresh.Power(t.Context(), ref, "stop", nil); err == nil || len(asked) != 1 {
			t.Errorf("%s: a write: %v: %v", broken, asked, err)
		}
		if !strings.HasPrefix(broken, "59") {
			asked = nil
			if _, err := fresh.GuestStatus(t.Context(), ref); err == nil || len(asked) != 1 {
				t.Errorf("%s: a read: %v: %v", broken, asked, err)
			}
		}
	}
}

// serve runs a simulated node on loopback, over TLS.
func serve(t *testing.T) *httptest.Server {
	t.Helper()
	sim, err := pvesim.New(pvesim.Lab(), pvesim.Options{Clock: pvesim.Scaled(1000)})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(sim)
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // refused handshakes are the point
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

func TestTLS(t *testing.T) {
	server := serve(t)
	host := strings.TrimPrefix(server.URL, "https://")
	pool := x509.NewCertPool()
	pool.AddCert(server.Certificate())
	right, wrong := pve.FingerprintOf(server.Certificate()), pve.Fingerprint{1}
	sim := pvesim.Lab().Token("audit@pve!mcp")
	for _, tt := range []struct {
		name string
		tls  pve.TLS
		want any // the error's type; nil for success
	}{
		{"unknown CA", pve.TLS{}, new(*tls.CertificateVerificationError)},
		{"own CA", pve.TLS{Roots: pool}, nil},
		{"pinned", pve.TLS{Fingerprints: map[string]pve.Fingerprint{host: right}}, nil},
		{"pinned to another", pve.TLS{Fingerprints: map[string]pve.Fingerprint{host: wrong}}, new(*pve.PinError)},
		{"pinned to another, though unchecked", pve.TLS{Insecure: true, Fingerprints: map[string]pve.Fingerprint{host: wrong}}, new(*pve.PinError)},
		{"another host is pinned", pve.TLS{Fingerprints: map[string]pve.Fingerprint{"x:1": right}}, new(*tls.CertificateVerificationError)},
		{"unchecked", pve.TLS{Insecure: true}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := pve.New(pve.Options{
				Endpoints: []string{server.URL}, Transport: pve.NewTransport(tt.tls),
				Token: pve.Token{ID: sim.ID, Secret: pve.NewSecret(sim.Secret)},
			})
			if err != nil {
				t.Fatal(err)
			}
			v, err := c.Version(t.Context())
			if tt.want == nil {
				if err != nil || v.Release != "9.0" {
					t.Errorf("%+v %v", v, err)
				}
				return
			}
			if !errors.As(err, tt.want) {
				t.Errorf("%v, want a %T", err, tt.want)
			}
		})
	}
}

// Over a real connection the reason phrase is read, and a lost write is unknown.
func TestOverTheWire(t *testing.T) {
	server := serve(t)
	sim := pvesim.Lab().Token("root@pam!full")
	c, err := pve.New(pve.Options{
		Endpoints: []string{"https://127.0.0.1:1", server.URL}, // nothing listens at the first
		Transport: pve.NewTransport(pve.TLS{Insecure: true}),
		Token:     pve.Token{ID: sim.ID, Secret: pve.NewSecret(sim.Secret)},
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.GuestStatus(t.Context(), pve.GuestRef{Node: "pve", Kind: pve.LXC, VMID: 999})
	var said *pve.Error
	if !errors.As(err, &said) || !said.NoSuchGuest() {
		t.Errorf("%v", err)
	}
	upid, err := c.Power(t.Context(), pve.GuestRef{Node: "pve", Kind: pve.QEMU, VMID: 101}, "stop", nil)
	if err != nil {
		t.Fatal(err)
	}
	if status, err := c.Wait(t.Context(), upid, nil); err != nil || !status.Succeeded() {
		t.Errorf("%+v %v", status, err)
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
			var asked atomic.Int64
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				asked.Add(1)
				_, _ = io.Copy(io.Discard, req.Body)
				handle(w, req)
			}))
			server.Config.ErrorLog = log.New(io.Discard, "", 0)
			server.Start()
			defer server.Close()
			c := newClient(t, pve.NewTransport(pve.TLS{}), server.URL, server.URL)
			ref := pve.GuestRef{Node: "pve", Kind: pve.QEMU, VMID: 100}
			_, err := c.Power(t.Context(), ref, "stop", nil)
			if !pve.OutcomeUnknown(err) {
				t.Errorf("a write: %v, want an unknown outcome", err)
			}
			if n := asked.Load(); n != 1 {
				t.Errorf("the write was sent %d times", n)
			}
			if _, err = c.GuestStatus(t.Context(), ref); err == nil || pve.OutcomeUnknown(err) {
				t.Errorf("a read: %v", err)
			}
		})
	}
}

func TestTimeouts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := roundTrip(func(req *http.Request) (*http.Response, error) {
			<-req.Context().Done()
			return nil, req.Context().Err()
		})
		c, err := pve.New(pve.Options{Endpoints: []string{"https://pve1:8006"}, Transport: rt, Timeout: 10 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		for want, call := range map[time.Duration]func(){
			10 * time.Second: func() { _, err = c.Version(t.Context()) },
			35 * time.Second: func() { _, _, err = c.NodeTasks(t.Context(), "pve1", nil) }, // PVE may hold it for 30 s
		} {
			begun := time.Now()
			call()
			if took := time.Since(begun); took != want || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v after %v, want %v", err, took, want)
			}
		}
	})
}

func TestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun, looks := time.Now(), 0
		c := newClient(t, roundTrip(func(req *http.Request) (*http.Response, error) {
			up := time.Since(begun)
			if strings.HasSuffix(req.URL.Path, "/log") {
				return answer("200 OK", fmt.Sprintf(`{"data":[{"n":%d,"t":"line"}],"total":9}`, looks))
			}
			looks++
			switch {
			case looks == 1: // not visible yet
				return answer("400 Parameter verification failed.", `{"errors":{"upid":"no such task"}}`)
			case up > 5*time.Second && up < 10*time.Second:
				return answer("595 No route to host", "")
			case up < 30*time.Second:
				return answer("200 OK", `{"data":{"status":"running"}}`)
			}
			return answer("200 OK", `{"data":{"status":"stopped","exitstatus":"WARNINGS: 2"}}`)
		}))
		upid, err := pve.ParseUPID("UPID:pve1:00000001:00000001:60000000:qmstart:100:root@pam:")
		if err != nil {
			t.Fatal(err)
		}
		updates := 0
		status, err := c.Wait(t.Context(), upid, func(u pve.TaskUpdate) { updates++ })
		if err != nil || !status.Succeeded() || status.Warnings() != 2 || updates < 5 {
			t.Errorf("%+v %v after %d updates", status, err, updates)
		}
		if looks > 20 {
			t.Errorf("%d looks in 30 s", looks)
		}

		begun, looks = time.Now(), 1
		ctx, cancel := context.WithTimeout(t.Context(), 7*time.Second)
		defer cancel()
		status, err = c.Wait(ctx, upid, nil)
		if !errors.Is(err, context.DeadlineExceeded) || !status.Running() || time.Since(begun) != 7*time.Second {
			t.Errorf("%+v %v after %v", status, err, time.Since(begun))
		}
	})
}

func TestWaitGivesUpOnRefusals(t *testing.T) {
	c := newClient(t, roundTrip(func(*http.Request) (*http.Response, error) {
		return answer("403 Permission check failed (/nodes/pve1, Sys.Audit)", "")
	}))
	upid, err := pve.ParseUPID("UPID:pve1:00000001:00000001:60000000:qmstart:100:root@pam:")
	if err != nil {
		t.Fatal(err)
	}
	var said *pve.Error
	if _, err := c.Wait(t.Context(), upid, nil); !errors.As(err, &said) || said.Status != 403 {
		t.Errorf("%v", err)
	}
}

func TestSecretsAreNotShown(t *testing.T) {
	tok := token()
	data, err := json.Marshal(tok)
	if err != nil {
		t.Fatal(err)
	}
	var logged strings.Builder
	slog.New(slog.NewTextHandler(&logged, nil)).Info("x", "token", tok, "secret", tok.Secret)
	for _, text := range []string{
		fmt.Sprint(tok), fmt.Sprintf("%v %+v %#v %s %q %x", tok, tok, tok, tok, tok, tok),
		fmt.Sprintf("%v %#v %s", &tok.Secret, tok.Secret, tok.Secret), string(data), logged.String(),
		fmt.Sprint(pve.NewSecret("hunter22").Check()),
	} {
		if strings.Contains(text, "1234-123456789abc") || strings.Contains(text, fmt.Sprintf("%x", secret)) || strings.Contains(text, "hunter") {
			t.Errorf("shown: %s", text)
		}
	}
}

// No error of the client shows the token, whatever goes wrong.
func TestErrorsShowNoSecret(t *testing.T) {
	for _, rt := range []roundTrip{
		func(*http.Request) (*http.Response, error) { return nil, errors.New("no") },
		func(*http.Request) (*http.Response, error) { return answer("401 Authentication failed!", "") },
		func(*http.Request) (*http.Response, error) { return answer("200 OK", "x") },
	} {
		c := newClient(t, rt)
		_, err := c.Version(t.Context())
		_, err2 := c.Power(t.Context(), pve.GuestRef{Node: "n", Kind: pve.LXC, VMID: 100}, "stop", nil)
		if text := fmt.Sprintf("%v %+v %#v %v", err, err, err, err2); strings.Contains(text, secret) {
			t.Errorf("shown: %s", text)
		}
	}
}
