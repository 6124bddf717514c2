package main

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// collector takes traces as OpenTelemetry's does.
type collector struct {
	*httptest.Server
	mu       sync.Mutex
	received []*tracepb.ResourceSpans // guarded by mu
	refusals int                      // how many requests are still to be put off; guarded by mu
	header   http.Header              // of the last request; guarded by mu
}

func collect(t *testing.T) *collector {
	t.Helper()
	c := &collector{}
	c.Server = httptest.NewServer(c)
	t.Cleanup(c.Close)
	return c
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.refusals > 0 {
		c.refusals--
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	c.header = r.Header
	body := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		body, _ = gzip.NewReader(body)
	}
	data, err := io.ReadAll(body)
	var traces tracepb.TracesData
	if err != nil || r.URL.Path != "/v1/traces" || proto.Unmarshal(data, &traces) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	c.received = append(c.received, traces.GetResourceSpans()...)
}

// span is what is looked at of a span.
type span struct {
	Name, Trace, ID, Parent string
	Kind                    tracepb.Span_SpanKind
	Links                   int
	Attrs                   map[string]string
}

// spans returns what arrived, by name.
func (c *collector) spans(t *testing.T) map[string]span {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	all := map[string]span{}
	for _, rs := range c.received {
		for _, ss := range rs.GetScopeSpans() {
			for _, s := range ss.GetSpans() {
				out := span{
					s.GetName(), fmt.Sprintf("%x", s.GetTraceId()), fmt.Sprintf("%x", s.GetSpanId()), fmt.Sprintf("%x", s.GetParentSpanId()),
					s.GetKind(), len(s.GetLinks()), map[string]string{},
				}
				for _, a := range rs.GetResource().GetAttributes() {
					out.Attrs[a.GetKey()] = a.GetValue().GetStringValue()
				}
				for _, a := range s.GetAttributes() {
					out.Attrs[a.GetKey()] = cmp.Or(a.GetValue().GetStringValue(), fmt.Sprint(a.GetValue().GetIntValue()))
				}
				all[out.Name] = out
			}
		}
		if text := rs.String(); strings.Contains(text, "hunter2") || strings.Contains(text, "pvemcp_") {
			t.Errorf("a secret is in %s", text)
		}
	}
	return all
}

const parent = "00-11111111111111111111111111111111-2222222222222222-01"

// call is a call of 2026-07-28 that names its place in a trace.
func call(tool, args string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":%q,"arguments":%s,"_meta":{"traceparent":%q,`+
		`"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`, tool, args, parent) + "\n"
}

// noTask asks for a task that is none, and names a place in a trace.
const noTask = `{"jsonrpc":"2.0","id":2,"method":"tasks/get","params":{"taskId":"none","_meta":{"traceparent":"` + parent + `",` +
	`"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{"extensions":{"io.modelcontextprotocol/tasks":{}}}}}}` + "\n"

// checkSpans checks the spans of a call of pve_guest_status that names its place in a trace.
func checkSpans(t *testing.T, spans map[string]span) {
	t.Helper()
	request, tool, pve := spans["tools/call pve_guest_status"], spans["execute_tool pve_guest_status"], spans["GET /nodes/*/qemu/*/status/current"]
	if request.Parent != "2222222222222222" || tool.Parent != request.ID || pve.Parent != tool.ID || pve.Trace != strings.Repeat("1", 32) {
		t.Errorf("%+v\n%+v\n%+v", request, tool, pve)
	}
	if request.Kind != tracepb.Span_SPAN_KIND_SERVER || pve.Kind != tracepb.Span_SPAN_KIND_CLIENT {
		t.Errorf("kinds %v and %v", request.Kind, pve.Kind)
	}
	for _, tt := range []struct {
		in        span
		key, want string
	}{
		{request, "service.name", "pve-mcp"},
		{request, "team", "infra"},
		{request, "mcp.method.name", "tools/call"},
		{request, "gen_ai.tool.name", "pve_guest_status"},
		{tool, "gen_ai.operation.name", "execute_tool"},
		{pve, "http.request.method", "GET"},
		{pve, "http.response.status_code", "200"},
		{pve, "url.template", "/nodes/*/qemu/*/status/current"},
	} {
		if got := tt.in.Attrs[tt.key]; got != tt.want {
			t.Errorf("%s: %s is %q, want %q", tt.in.Name, tt.key, got, tt.want)
		}
	}
}

func TestTracesOverStdio(t *testing.T) {
	c := collect(t)
	c.refusals = 1 // it is asked again
	dir := t.TempDir()
	cmd := exec.Command("pve-mcp", "--demo", "--log-level", "debug", "--log-format", "json", "--log-file", filepath.Join(dir, "log"))
	cmd.Env = append(os.Environ(), "OTEL_EXPORTER_OTLP_ENDPOINT="+c.URL, "OTEL_RESOURCE_ATTRIBUTES=team=infra",
		"OTEL_EXPORTER_OTLP_HEADERS=x-key=hunter2%2F", "OTEL_EXPORTER_OTLP_COMPRESSION=gzip")
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(call("pve_guest_status", `{"vmid": 101}`)+noTask), &out, &errs
	if err := cmd.Run(); err != nil || !strings.Contains(out.String(), `"vmid":101`) {
		t.Fatalf("%v\n%s\n%s", err, &out, &errs)
	}
	checkSpans(t, c.spans(t))
	if get := c.spans(t)["tasks/get"]; get.Parent != "2222222222222222" || get.Attrs["mcp.method.name"] != "tasks/get" || get.Attrs["rpc.response.status_code"] != "-32602" {
		t.Errorf("%+v", get)
	}
	if c.header.Get("X-Key") != "hunter2/" {
		t.Errorf("%v", c.header)
	}
	file, err := os.ReadFile(filepath.Join(dir, "log"))
	if err != nil || string(file) != errs.String() {
		t.Errorf("%v: the file is not what went to stderr:\n%s\n%s", err, file, &errs)
	}
	requests := map[any][]any{} // of each kind of line: two requests are answered at once, in either order
	for line := range strings.Lines(string(file)) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Errorf("%v: %s", err, line)
		}
		requests[fields["msg"]] = append(requests[fields["msg"]], fields["request_id"])
	}
	sent := requests["pve"]
	if len(requests["mcp"]) != 2 || len(sent) == 0 || sent[0] == nil || !slices.Contains(requests["mcp"], sent[0]) || strings.Contains(string(file), "hunter2") {
		t.Errorf("%v\n%s", requests, file)
	}
}

// What cannot be followed is said, and costs no more than the traces; a collector that
// does not answer holds nobody up for long.
func TestNothingIsTraced(t *testing.T) {
	dead, err := net.Listen("tcp", "127.0.0.1:0") // accepts, and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = dead.Close() }()
	for env, says := range map[string]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1 OTEL_EXPORTER_OTLP_PROTOCOL=grpc":   "http/protobuf is",
		"OTEL_EXPORTER_OTLP_ENDPOINT=127.0.0.1:1":                                           "not a URL",
		"OTEL_TRACES_EXPORTER=zipkin":                                                       "neither otlp nor none",
		"OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1 OTEL_TRACES_EXPORTER=none":          "",
		"OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1 OTEL_SDK_DISABLED=true":             "",
		"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://" + dead.Addr().String() + "/v1/traces ": "",
	} {
		cmd := exec.Command("pve-mcp", "--demo", "--log-level", "warn")
		cmd.Env = append(os.Environ(), strings.Fields(env)...)
		cmd.Stdin = strings.NewReader(call("pve_guest_status", `{"vmid": 101}`))
		var errs bytes.Buffer
		cmd.Stderr = &errs
		begun := time.Now()
		out, err := cmd.Output()
		if took := time.Since(begun); err != nil || !strings.Contains(string(out), `"vmid":101`) || !strings.Contains(errs.String(), says) || took > 30*time.Second {
			t.Errorf("%s: %v after %v\n%s\n%s", env, err, took, out, &errs)
		}
	}
}

// Over HTTP: systemd hears that the server is ready, alive and stopping, and what was
// traced is sent before it ends.
func TestTracesAndNotificationsOverHTTP(t *testing.T) {
	c, socket := collect(t), systemd(t)
	cmd := exec.Command("pve-mcp", "--demo", "http", "--listen", "127.0.0.1:0", "--log-format", "json", "--http-drain", "90s")
	cmd.Env = append(os.Environ(), "OTEL_EXPORTER_OTLP_ENDPOINT="+c.URL, "OTEL_RESOURCE_ATTRIBUTES=team=infra", "OTEL_BSP_SCHEDULE_DELAY=3600000",
		"NOTIFY_SOCKET="+socket.LocalAddr().String(), "WATCHDOG_USEC=3000000")
	errs, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill() }()
	if got := hear(t, socket); got != "READY=1" {
		t.Errorf("first %q", got)
	}
	if got := hear(t, socket); got != "WATCHDOG=1" {
		t.Errorf("then %q", got)
	}
	lines := bufio.NewScanner(errs)
	url := ""
	for url == "" && lines.Scan() {
		var fields struct{ Msg, URL string }
		if err := json.Unmarshal(lines.Bytes(), &fields); err != nil {
			t.Fatalf("%v: %s", err, lines.Text())
		}
		url = fields.URL
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(call("pve_guest_status", `{"vmid": 101}`)))
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range map[string]string{
		"Content-Type": "application/json", "Accept": "application/json, text/event-stream", "Mcp-Protocol-Version": "2026-07-28",
		"Mcp-Method": "tools/call", "Mcp-Name": "pve_guest_status", "Traceparent": "00-33333333333333333333333333333333-4444444444444444-01",
	} {
		req.Header.Set(k, v)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil || !strings.Contains(string(body), `"vmid":101`) {
		t.Fatalf("%v %s", err, body)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	got := hear(t, socket)
	for got == "WATCHDOG=1" {
		got = hear(t, socket)
	}
	if got != "STOPPING=1\nEXTEND_TIMEOUT_USEC=100000000" {
		t.Errorf("last %q", got)
	}
	for lines.Scan() {
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	spans := c.spans(t)
	checkSpans(t, spans)
	if n := spans["tools/call pve_guest_status"].Links; n != 1 {
		t.Errorf("%d links to the trace of the HTTP request", n)
	}
}

// systemd hears that the server stops, however soon it ends.
func TestStoppingIsTold(t *testing.T) {
	for range 10 {
		socket := systemd(t)
		cmd := exec.Command("pve-mcp", "--demo", "http", "--listen", "127.0.0.1:0")
		cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+socket.LocalAddr().String())
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ready := hear(t, socket)
		if err := errors.Join(cmd.Process.Signal(os.Interrupt), cmd.Wait(), socket.SetReadDeadline(time.Now().Add(time.Second))); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 4096)
		if n, err := socket.Read(buf); ready != "READY=1" || !strings.HasPrefix(string(buf[:n]), "STOPPING=1") {
			t.Fatalf("first %q, then %q, %v", ready, buf[:n], err)
		}
	}
}

// systemd returns a socket to which systemd lets services talk.
func systemd(t *testing.T) *net.UnixConn {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("systemd is Linux's")
	}
	dir, err := os.MkdirTemp("", "n") // the name of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "s"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = socket.Close() })
	return socket
}

// hear returns the next notification to systemd.
func hear(t *testing.T, socket *net.UnixConn) string {
	t.Helper()
	if err := socket.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 4096)
	n, err := socket.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return string(buf[:n])
}
