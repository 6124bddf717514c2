package cli

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// writeCertificate writes a certificate and its key.
func writeCertificate(t *testing.T, cert, key string) {
	t.Helper()
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	pair := s.TLS.Certificates[0]
	raw, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: pair.Certificate[0]}, key: {Type: "PRIVATE KEY", Bytes: raw}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

var servesRE = regexp.MustCompile(`https?://(127\.0\.0\.1:\d+)/mcp`)

// whereabouts is where a server writes its log, and hands on its address from there.
type whereabouts chan string

func (w whereabouts) Write(p []byte) (int, error) {
	if m := servesRE.FindSubmatch(p); m != nil {
		w <- string(m[1])
	}
	return len(p), nil
}

func TestHealth(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	writeCertificate(t, cert, key)
	for _, encrypted := range [][]string{nil, {"--tls-cert", cert, "--tls-key", key}} {
		ctx, stop := context.WithCancel(t.Context())
		log, ended := make(whereabouts, 1), make(chan int)
		go func() {
			a := &app{out: io.Discard, err: log, flags: map[string]string{}}
			ended <- a.run(ctx, append([]string{"--demo", "http", "--listen", "127.0.0.1:0"}, encrypted...))
		}()
		at := <-log
		health := func(listen string, more ...string) (int, string) {
			var said bytes.Buffer
			a := &app{out: &said, err: &said, flags: map[string]string{}}
			return a.run(t.Context(), append(append([]string{"--demo", "health", "--listen", listen}, encrypted...), more...)), said.String()
		}
		_, port, _ := strings.Cut(at, ":")
		for _, listen := range []string{at, "0.0.0.0:" + port, ":" + port} {
			if status, said := health(listen); status != exitOK || said != "alive\n" {
				t.Errorf("%s: %d %s", listen, status, said)
			}
		}
		if status, said := health(at, "--ready"); status != exitOK || said != "ready\n" {
			t.Errorf("%d %s", status, said)
		}
		stop()
		if status := <-ended; status != exitOK {
			t.Errorf("the server ended with %d", status)
		}
		if status, said := health(at); status != exitFailed || !strings.Contains(said, "refused") {
			t.Errorf("after the end: %d %s", status, said)
		}
		if status, said := health("nowhere"); status != exitUsage || !strings.Contains(said, "PVE_MCP_HTTP_LISTEN") {
			t.Errorf("%d %s", status, said)
		}
	}
}
