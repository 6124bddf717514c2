package replicas

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pve-mcp/pve-mcp/test/simproc"
)

// nginx fetches Debian's nginx, without installing it, or skips the test, saying why.
func nginx(t *testing.T) (program string) {
	t.Helper()
	dir := t.TempDir()
	program = filepath.Join(dir, "usr/sbin/nginx")
	for _, step := range [][]string{
		{"sh", "-c", "apt-get download nginx || { apt-get update && apt-get download nginx; }"},
		{"sh", "-c", "dpkg-deb -x nginx_*.deb ."},
		{program, "-v"},
	} {
		cmd := exec.CommandContext(t.Context(), step[0], step[1:]...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Skipf("4 stories not told: Debian's nginx cannot be had: %v: %s", err, out)
		}
	}
	return program
}

func build(t *testing.T) (binary string) {
	t.Helper()
	binary = filepath.Join(t.TempDir(), "pve-mcp")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "../../cmd/pve-mcp").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return binary
}

const name = "mcp.example.org" // as the shipped configuration has it

// world is three replicas behind nginx.
type world struct {
	*testing.T
	replicas map[string]*replica
	url      string
	http     *http.Client
	token    string

	mu     sync.Mutex
	heard  *sync.Cond          // mu; something was logged
	at     map[string]string   // replica, by the id of a request; guarded by mu
	begins map[string][]string // replicas, by the tool of a change; guarded by mu
}

// replica is a process of pve-mcp http.
type replica struct {
	*testing.T
	binary string
	env    []string
	addr   string
	cmd    *exec.Cmd
	ended  chan struct{}
	dead   bool
}

func open(t *testing.T, nginx, binary string) *world {
	t.Helper()
	used := t.TempDir()
	w := serve(t, binary, []string{"a", "b", "c"}, "PVE_MCP_CONSENT_STORE="+used)
	w.front(nginx, t.TempDir())
	return w
}

// serve starts replicas, with more in their environment.
func serve(t *testing.T, binary string, names []string, more ...string) *world {
	t.Helper()
	w := &world{T: t, replicas: map[string]*replica{}, at: map[string]string{}, begins: map[string][]string{}}
	w.heard = sync.NewCond(&w.mu)
	env := simulate(t, binary) // and nothing of this process
	tokens := filepath.Join(t.TempDir(), "tokens.json")
	env = append(env, "PVE_MCP_HTTP_TOKENS="+tokens, "PVE_MCP_HTTP_HOSTS="+name, "PVE_MCP_SEAL_KEY=the same text for each of the replicas", "PVE_MCP_HTTP_RATE=0")
	env = append(env, more...)
	add := exec.CommandContext(t.Context(), binary, "token", "add", "tester", "--scopes", "pve:destroy")
	add.Env = env
	var problem bytes.Buffer
	add.Stderr = &problem
	secret, err := add.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, problem.String())
	}
	w.token = strings.TrimSpace(string(secret))
	for _, r := range names {
		w.replicas[r] = w.start(r, binary, append(slices.Clone(env), "PVE_MCP_REPLICA="+r))
	}
	return w
}

// simulate serves a cluster until the test ends, and returns the variables that it prints.
func simulate(t *testing.T, binary string) (env []string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary, "sim", "--listen", "127.0.0.1:0", "--speed", "4")
	return simproc.Serve(t, cmd)
}

var (
	servesRE  = regexp.MustCompile(`http://(127\.0\.0\.1:\d+)/mcp`)
	requestRE = regexp.MustCompile(`request_id=(\w+)`)
	changeRE  = regexp.MustCompile(`msg="change begins".* tool=(\w+)`)
)

// start starts a replica, and listens to its log.
func (w *world) start(name, binary string, env []string) *replica {
	w.Helper()
	r := &replica{T: w.T, binary: binary, cmd: exec.CommandContext(w.Context(), binary, "http"), ended: make(chan struct{})}
	r.cmd.Env = append(env, "PVE_MCP_HTTP_LISTEN=127.0.0.1:0")
	log, err := r.cmd.StderrPipe()
	if err != nil {
		w.Fatal(err)
	}
	if err := r.cmd.Start(); err != nil {
		w.Fatal(err)
	}
	serves := make(chan string, 1)
	go func() {
		defer close(r.ended)
		for lines := bufio.NewScanner(log); lines.Scan(); {
			if m := servesRE.FindStringSubmatch(lines.Text()); m != nil {
				serves <- m[1]
			}
			w.hear(name, lines.Text())
		}
		close(serves)
	}()
	w.Cleanup(func() { <-r.ended; _ = r.cmd.Wait() })
	if r.addr = <-serves; r.addr == "" {
		w.Fatalf("the replica %s does not serve", name)
	}
	r.env = append(env, "PVE_MCP_HTTP_LISTEN="+r.addr)
	return r
}

func (w *world) hear(name, line string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if m := changeRE.FindStringSubmatch(line); m != nil {
		w.begins[m[1]] = append(w.begins[m[1]], name)
	} else if m := requestRE.FindStringSubmatch(line); m != nil {
		w.at[m[1]] = name
	}
	w.heard.Broadcast()
}

// wait waits until something was logged. It is called with mu held.
func (w *world) wait(what string, done func() bool) {
	w.Helper()
	const patience = 20 * time.Second
	late := false
	timer := time.AfterFunc(patience, func() { w.mu.Lock(); defer w.mu.Unlock(); late = true; w.heard.Broadcast() })
	defer timer.Stop()
	for !done() {
		if late {
			w.Fatalf("no replica logs %s", what)
		}
		w.heard.Wait()
	}
}

// landed is the replica that had a request.
func (w *world) landed(id string) string {
	w.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wait("the request "+id, func() bool { return w.at[id] != "" })
	return w.at[id]
}

// began waits until a replica begins a change, and returns which one.
func (w *world) began(tool string) string {
	w.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wait("a beginning of "+tool, func() bool { return len(w.begins[tool]) > 0 })
	return w.begins[tool][0]
}

// beginnings is how often a change began.
func (w *world) beginnings(tool string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.begins[tool])
}

// alive are the replicas that were not killed.
func (w *world) alive() (names []string) {
	for name, r := range w.replicas {
		if !r.dead {
			names = append(names, name)
		}
	}
	return names
}

func (r *replica) kill() { r.end(syscall.SIGKILL) }

func (r *replica) end(by syscall.Signal) {
	r.Helper()
	r.dead = true
	if err := r.cmd.Process.Signal(by); err != nil {
		r.Fatal(err)
	}
	<-r.ended
}

// health is what pve-mcp health says of the replica.
func (r *replica) health(args ...string) string {
	r.Helper()
	cmd := exec.CommandContext(r.Context(), r.binary, append([]string{"health"}, args...)...)
	cmd.Env = r.env
	out, err := cmd.Output()
	if err != nil {
		r.Error(err)
	}
	return string(out)
}

// shipped is the configuration that is shipped, with other addresses and files.
func (w *world) shipped(addr, cert, key string) []byte {
	w.Helper()
	text, err := os.ReadFile("../../deploy/nginx.conf")
	if err != nil {
		w.Fatal(err)
	}
	changes := map[string]string{"listen 443 ssl": "listen " + addr + " ssl", "/etc/nginx/tls/tls.crt": cert, "/etc/nginx/tls/tls.key": key}
	for name, r := range w.replicas {
		changes["pve-mcp-"+name+":8080"] = r.addr
	}
	for from, to := range changes {
		if !bytes.Contains(text, []byte(from)) {
			w.Fatalf("deploy/nginx.conf does not have %s", from)
		}
		text = bytes.ReplaceAll(text, []byte(from), []byte(to))
	}
	return text
}

// certify writes a certificate, for example.com, and its key, and returns who vouches for it.
func certify(t *testing.T, cert, key string) *x509.CertPool {
	t.Helper()
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	raw, err := x509.MarshalPKCS8PrivateKey(s.TLS.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: s.Certificate().Raw}, key: {Type: "PRIVATE KEY", Bytes: raw}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	return roots
}

// front starts nginx with two workers.
func (w *world) front(nginx, dir string) {
	w.Helper()
	cert, key := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	roots := certify(w.T, cert, key)
	l, err := new(net.ListenConfig).Listen(w.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		w.Fatal(err)
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		w.Fatal(err)
	}
	main := strings.ReplaceAll(`daemon off; master_process on; worker_processes 2; user root; pid DIR/nginx.pid;
events {}
http { access_log off; include DIR/pve-mcp.conf;
client_body_temp_path DIR/1; proxy_temp_path DIR/2; fastcgi_temp_path DIR/3; uwsgi_temp_path DIR/4; scgi_temp_path DIR/5; }`, "DIR", dir)
	for name, data := range map[string][]byte{"nginx.conf": []byte(main), "pve-mcp.conf": w.shipped(addr, cert, key)} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			w.Fatal(err)
		}
	}
	args := []string{"-e", "stderr", "-c", filepath.Join(dir, "nginx.conf")}
	if out, err := exec.CommandContext(w.Context(), nginx, append(args, "-t")...).CombinedOutput(); err != nil || bytes.Contains(out, []byte("[warn]")) {
		w.Fatalf("nginx -t: %v: %s", err, out)
	}
	cmd := exec.Command(nginx, args...)
	var log bytes.Buffer
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it ends its workers
		_ = cmd.Wait()
		if w.Failed() {
			w.Logf("nginx: %s", log.String())
		}
	})
	for end := time.Now().Add(20 * time.Second); ; {
		conn, err := new(net.Dialer).DialContext(w.Context(), "tcp", addr)
		if err == nil {
			_ = conn.Close()
			break
		}
		if time.Now().After(end) {
			w.Fatal(err)
		}
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "example.com"}}
	transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, addr)
	}
	w.url, w.http = "https://"+name, &http.Client{Transport: transport}
	w.Cleanup(w.http.CloseIdleConnections)
}
