package proxmox_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
)

const secret = "12345678-1234-1234-1234-123456789abc"

func token() proxmox.Token {
	return proxmox.Token{ID: "ops@pve!mcp", Secret: proxmox.NewSecret(secret)}
}

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
	c, err := pve.New(proxmox.Options{Endpoints: endpoints, Token: token(), Transport: rt, UserAgent: "test"})
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
	upid, err := proxmox.ParseUPID("UPID:pve1:00000001:00000001:60000000:download:a%2Fb:root@pam!x:")
	if err != nil {
		t.Fatal(err)
	}
	_, _ = c.Do(t.Context(), "POST", proxmox.Join("nodes", "p e?1", "qemu", "100", "status", "shutdown"), url.Values{"timeout": {"5"}, "note": {"a&b;c=d é"}})
	_ = c.StopTask(t.Context(), upid)
	_, _, _ = c.NodeTasks(t.Context(), "pve1", pve.TaskFilter{Since: time.Unix(1764000000, 0)})
	want := []string{
		"POST /api2/json/nodes/p%20e%3F1/qemu/100/status/shutdown  note=a%26b%3Bc%3Dd+%C3%A9&timeout=5",
		"DELETE /api2/json/nodes/pve1/tasks/UPID:pve1:00000001:00000001:60000000:download:a%252Fb:root@pam%21x:  ",
		"GET /api2/json/nodes/pve1/tasks since=1764000000 ",
	}
	for i := range want {
		if i >= len(got) || got[i] != want[i] {
			t.Errorf("request %d: %q\nwant %q", i, got[i], want[i])
		}
	}
	before := len(got)
	for _, node := range []string{"", ".", "..", "pve1/qemu/100", "pve1/.."} {
		if _, _, err := c.NodeTasks(t.Context(), node, pve.TaskFilter{}); err == nil {
			t.Errorf("the node %q made a request", node)
		}
	}
	if len(got) != before {
		t.Errorf("requests with a path that climbs: %v", got[before:])
	}
}

func TestNewRefusesOddEndpoints(t *testing.T) {
	for _, endpoints := range [][]string{nil, {"pve.lan"}, {"ftp://pve.lan"}, {"https://"}} {
		if _, err := pve.New(proxmox.Options{Endpoints: endpoints}); err == nil {
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
	_, err := newClient(t, proxmox.NewTransport(proxmox.TLS{}), server.URL).Version(t.Context())
	var other *proxmox.ForeignError
	if !errors.As(err, &other) || other.Status != 301 || other.Location != elsewhere.URL {
		t.Errorf("%v", err)
	}
	if reached.Load() {
		t.Error("the redirect was followed")
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
		fmt.Sprint(proxmox.NewSecret("hunter22").Check()),
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
		synctest.Test(t, func(t *testing.T) {
			c := newClient(t, rt)
			_, err := c.Version(t.Context())
			_, err2 := c.Power(t.Context(), pve.GuestRef{Node: "n", Kind: pve.LXC, VMID: 100}, "stop", pve.PowerOptions{})
			if text := fmt.Sprintf("%v %+v %#v %v", err, err, err, err2); strings.Contains(text, secret) {
				t.Errorf("shown: %s", text)
			}
		})
	}
}
