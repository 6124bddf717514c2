package memory

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/callers"
	"github.com/pve-mcp/pve-mcp/internal/files"
	"github.com/pve-mcp/pve-mcp/pvesim"
)

// world is a process of pve-mcp http that several callers share, before a simulated
// cluster that answers when the test lets it.
type world struct {
	*testing.T
	addr   string
	pid    int
	tokens []string
	http   *http.Client
	answer func() // lets the cluster answer
}

// open starts the server.
func open(t *testing.T, count int) *world {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("the memory of a process is read from /proc")
	}
	dir := t.TempDir()
	binary := filepath.Join(dir, "pve-mcp")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "../../cmd/pve-mcp").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	w := &world{T: t, http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}}
	t.Cleanup(w.http.CloseIdleConnections)
	path := filepath.Join(dir, "tokens.json")
	for i := range count {
		token, err := callers.Add(files.At(path), callers.Token{Name: fmt.Sprintf("caller-%d", i), Scopes: callers.Scopes{callers.Read}})
		if err != nil {
			t.Fatal(err)
		}
		w.tokens = append(w.tokens, token)
	}
	pve, token, ca := w.cluster(dir)
	cert, key := w.certificate(dir)
	cmd := exec.CommandContext(t.Context(), binary, "http", "--listen", "127.0.0.1:0", "--tls-cert", cert, "--tls-key", key)
	cmd.Dir = dir
	cmd.Env = []string{"PVE_HOST=" + pve, "PVE_TOKEN_ID=" + token.ID, "PVE_TOKEN_SECRET=" + token.Secret, "PVE_CA_FILE=" + ca,
		"PVE_MCP_HTTP_TOKENS=" + path, "PVE_MCP_HTTP_RATE=0", "PVE_MCP_LOG_FORMAT=json"}
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.pid = cmd.Process.Pid
	t.Cleanup(func() { _ = cmd.Wait() }) // killed when the test's context ends, before this
	lines := bufio.NewScanner(log)
	for w.addr == "" && lines.Scan() {
		var line struct{ Msg, URL string }
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "serving MCP" {
			w.addr = strings.TrimSuffix(strings.TrimPrefix(line.URL, "https://"), "/mcp")
		}
	}
	if w.addr == "" {
		t.Fatal("the server does not serve")
	}
	go func() { _, _ = io.Copy(io.Discard, log) }()
	return w
}

// cluster serves a large cluster that answers when the test lets it.
func (w *world) cluster(dir string) (url string, token pvesim.Token, ca string) {
	w.Helper()
	model := pvesim.Sized(1, 3, 600, 0)
	sim, err := pvesim.NewSim(model, pvesim.Options{})
	if err != nil {
		w.Fatal(err)
	}
	ready := make(chan struct{})
	w.answer = sync.OnceFunc(func() { close(ready) })
	s := httptest.NewTLSServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		select {
		case <-ready:
		case <-r.Context().Done():
		}
		sim.ServeHTTP(rw, r)
	}))
	w.Cleanup(func() { w.answer(); s.CloseClientConnections(); s.Close() })
	ca = filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		w.Fatal(err)
	}
	return s.URL, model.Tokens[0], ca
}

// certificate makes one for the server.
func (w *world) certificate(dir string) (cert, key string) {
	w.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		w.Fatal(err)
	}
	about := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"}}
	der, err := x509.CreateCertificate(rand.Reader, about, about, private.Public(), private)
	if err != nil {
		w.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		w.Fatal(err)
	}
	cert, key = filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	for name, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			w.Fatal(err)
		}
	}
	return cert, key
}

// post sends a message of the stateless version, and hands over the answer.
func (w *world) post(caller int, message map[string]any) (*http.Response, error) {
	body, err := json.Marshal(message)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(w.Context(), http.MethodPost, "https://"+w.addr+"/mcp", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+w.tokens[caller])
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	if message["method"] == "tools/call" {
		r.Header.Set("Mcp-Protocol-Version", "2026-07-28")
		r.Header.Set("Mcp-Method", "tools/call")
		r.Header.Set("Mcp-Name", "pve_list_guests")
	} else {
		r.Header.Set("Mcp-Protocol-Version", "2025-06-18")
	}
	return w.http.Do(r)
}

// list is a call with a large answer, and more of it in its _meta.
func list(id int, more any) map[string]any {
	return map[string]any{"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": map[string]any{
		"name": "pve_list_guests", "arguments": map[string]any{"limit": 500},
		"_meta": map[string]any{
			"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": map[string]any{}, "more": more,
		},
	}}
}

// begin begins a session with as much as its client may say of itself, and opens its
// stream.
func (w *world) begin(caller, id int) error {
	resp, err := w.post(caller, map[string]any{"jsonrpc": "2.0", "id": id, "method": "initialize", "params": map[string]any{
		"protocolVersion": "2025-06-18", "capabilities": map[string]any{},
		"clientInfo": map[string]any{"name": strings.Repeat("x", 7<<10), "version": "1"},
	}})
	if err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("a session: %s", resp.Status)
	}
	return w.say(fmt.Sprintf("GET /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\nAccept: text/event-stream\r\n"+
		"Mcp-Protocol-Version: 2025-06-18\r\nMcp-Session-Id: %s\r\n\r\n", w.tokens[caller], resp.Header.Get("Mcp-Session-Id")))
}

// say opens a connection, writes to it, and reads nothing.
func (w *world) say(text string) error {
	conn, err := (&tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}}).DialContext(w.Context(), "tcp", w.addr)
	if err != nil {
		return err
	}
	context.AfterFunc(w.Context(), func() { conn.Close() })
	go func() { _, _ = io.WriteString(conn, text) }()
	return nil
}

// peak is the most memory that the process had, in MB.
func (w *world) peak() int {
	w.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", w.pid))
	if err != nil {
		w.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		if text, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(text), " kB"))
			if err != nil {
				w.Fatal(err)
			}
			return kb >> 10
		}
	}
	w.Fatal("/proc does not tell how much memory the process had")
	return 0
}

// within waits for something that takes no longer than the server's own limits.
func (w *world) within(limit time.Duration, what string, done <-chan struct{}) {
	w.Helper()
	select {
	case <-done:
	case <-time.After(limit):
		w.Fatalf("%s: not within %v", what, limit)
	}
}
