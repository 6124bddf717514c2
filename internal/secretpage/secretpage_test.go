package secretpage_test

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/secretpage"
)

const about = "POST /access/users (user <eve>@pve)"

func open(t *testing.T, lasts time.Duration) *secretpage.Page {
	t.Helper()
	p, err := secretpage.Open(about, []string{"password"}, lasts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// do makes a request with headers, given as name and value in turn.
func do(t *testing.T, method, address, body string, headers ...string) (int, http.Header, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
		if headers[i] == "Host" {
			req.Host = headers[i+1]
		}
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(text)
}

var proofRE = regexp.MustCompile(`name="proof" value="([^"]+)"`)

// The page says what it is for, and takes one answer, from its own form alone.
func TestPage(t *testing.T) {
	p := open(t, time.Minute)
	address, err := url.Parse(p.URL())
	if err != nil || address.Hostname() != "127.0.0.1" || len(address.Path) < 20 || address.RawQuery != "" {
		t.Fatalf("%v %v", address, err)
	}
	status, header, page := do(t, http.MethodGet, p.URL(), "")
	if status != http.StatusOK || !strings.Contains(page, "POST /access/users (user &lt;eve&gt;@pve)") || !strings.Contains(page, `type="password" name="secret-password"`) {
		t.Fatalf("%d %s", status, page)
	}
	if header.Get("Cache-Control") != "no-store" || !strings.Contains(header.Get("Content-Security-Policy"), "frame-ancestors 'none'") {
		t.Errorf("%v", header)
	}
	proof := proofRE.FindStringSubmatch(page)[1]
	right := url.Values{"proof": {proof}, "secret-password": {"correct horse"}}.Encode()
	for name, tt := range map[string]struct {
		method, address, body string
		headers               []string
		status                int
	}{
		"another path":       {http.MethodPost, "http://" + address.Host + "/", right, nil, http.StatusNotFound},
		"a secret in a URL":  {http.MethodGet, p.URL() + "?" + right, "", nil, http.StatusNotFound},
		"another host":       {http.MethodPost, p.URL(), right, []string{"Host", "evil.example:80"}, http.StatusMisdirectedRequest},
		"another site":       {http.MethodPost, p.URL(), right, []string{"Origin", "https://evil.example"}, http.StatusForbidden},
		"no site":            {http.MethodPost, p.URL(), right, []string{"Origin", "null"}, http.StatusForbidden},
		"no proof":           {http.MethodPost, p.URL(), "secret-password=x", nil, http.StatusForbidden},
		"nothing was typed":  {http.MethodPost, p.URL(), "secret-password=&proof=" + proof, nil, http.StatusBadRequest},
		"more than one page": {http.MethodPost, p.URL(), right + "&x=" + strings.Repeat("x", 1<<20), nil, http.StatusBadRequest},
		"another method":     {http.MethodPut, p.URL(), right, nil, http.StatusMethodNotAllowed},
	} {
		if status, _, text := do(t, tt.method, tt.address, tt.body, tt.headers...); status != tt.status || strings.Contains(text, "horse") {
			t.Errorf("%s: %d %s", name, status, text)
		}
	}
	if status, _, text := do(t, http.MethodPost, p.URL(), right, "Origin", "http://"+address.Host); status != http.StatusOK || strings.Contains(text, "horse") {
		t.Fatalf("%d %s", status, text)
	}
	typed, err := p.Wait(t.Context())
	if err != nil || len(typed) != 1 || typed["password"] != "correct horse" {
		t.Errorf("%v %v", len(typed), err)
	}
	if _, err := p.Wait(t.Context()); !errors.Is(err, secretpage.ErrGone) {
		t.Errorf("an answer counts twice: %v", err)
	}
}

// A page that nobody answers is gone after its time.
func TestPageIsGone(t *testing.T) {
	p := open(t, time.Nanosecond)
	if _, err := p.Wait(t.Context()); !errors.Is(err, secretpage.ErrGone) {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.URL(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := http.DefaultClient.Do(req); err == nil {
		resp.Body.Close()
		t.Errorf("it is still there: %d", resp.StatusCode)
	}
}
