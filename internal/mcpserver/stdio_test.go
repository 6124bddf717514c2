package mcpserver_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/audit"
	"github.com/pve-mcp/pve-mcp/internal/mcpserver"
	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
)

const handshake = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}
{"jsonrpc":"2.0","method":"notifications/initialized"}
`

// closeAfter runs a session whose client closes its side after some lines, and
// returns what the server wrote and how long it took to end.
func closeAfter(t *testing.T, lines string) (out string, took time.Duration) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var written strings.Builder
		s := mcpserver.New(mcpserver.Options{Version: "test", Host: sim.New(t, sim.Options{}).Host})
		begun := time.Now()
		if err := mcpserver.Serve(t.Context(), s, strings.NewReader(lines), &written); err != nil {
			t.Error(err)
		}
		out, took = written.String(), time.Since(begun)
	})
	return out, took
}

// A client that closes its side right after its last request gets the answer.
func TestAnswersBeforeTheEnd(t *testing.T) {
	out, took := closeAfter(t, handshake+`{"jsonrpc":"2.0","id":2,"method":"tools/list"}
{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"pve_guest_power","arguments":{"vmid":104,"action":"shutdown"}}}
`)
	if !strings.Contains(out, `"id":2,"result"`) || !strings.Contains(out, `"outcome":"ok"`) {
		t.Errorf("no answer to the last requests: %s", out)
	}
	if took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
}

// A subscription has no answer to wait for.
func TestSubscriptionDoesNotHoldTheEnd(t *testing.T) {
	out, took := closeAfter(t, `{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}},"notifications":{"toolsListChanged":true}}}
`)
	if took > time.Second {
		t.Errorf("the end took %v: %s", took, out)
	}
}

// A process ends soon after the signal to end, and says what it knows of a change under
// way.
func TestStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var written, record bytes.Buffer
		in, client := io.Pipe()
		defer func() { _ = client.Close() }()
		w := sim.New(t, sim.Options{})
		w.Host.Audit = w.Record(audit.Options{Logger: slog.New(slog.NewTextHandler(&record, nil))})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() {
			ended <- mcpserver.Serve(ctx, mcpserver.New(mcpserver.Options{Version: "test", Host: w.Host}), in, &written)
		}()
		_, _ = io.WriteString(client, handshake+`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"pve_guest_power","arguments":{"vmid":102,"action":"shutdown"}}}
`)
		time.Sleep(3 * time.Second)
		stop()
		begun := time.Now()
		if err := <-ended; err != nil || time.Since(begun) > time.Second {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
		if !strings.Contains(written.String(), `"message":"Shutdown of VM 102 (db-1) on pve2 is under way after 3s.","outcome":"running"`) ||
			!strings.Contains(record.String(), "outcome=running upid=UPID:pve2:") {
			t.Errorf("answered %s\nrecorded %s", written.String(), record.String())
		}
	})
}

// A client that asks for progress and never reads loses the answer, and nothing else: the
// call goes on to its end, and is recorded.
func TestClientThatNeverReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var record bytes.Buffer
		in, client := io.Pipe()
		never, out := io.Pipe()
		defer func() { _ = client.Close() }()
		w := sim.New(t, sim.Options{})
		w.Host.Audit = w.Record(audit.Options{Logger: slog.New(slog.NewTextHandler(&record, nil))})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() {
			ended <- mcpserver.Serve(ctx, mcpserver.New(mcpserver.Options{Version: "test", Host: w.Host}), in, out)
		}()
		lines := bufio.NewReader(never)
		_, _ = io.WriteString(client, handshake)
		if _, err := lines.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(client, `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"pve_guest_power","arguments":{"vmid":102,"action":"shutdown"},"_meta":{"progressToken":1}}}
`)
		time.Sleep(w.Host.Wait + 500*time.Millisecond)
		synctest.Wait()
		if !strings.Contains(record.String(), "outcome=running") {
			t.Errorf("recorded %s", record.String())
		}
		_ = never.Close()
		stop()
		if err := <-ended; err != nil {
			t.Log(err) // about the client that is gone
		}
	})
}

func TestStopOfAnIdleServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in, client := io.Pipe()
		defer func() { _ = client.Close() }()
		ctx, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		s := mcpserver.New(mcpserver.Options{Version: "test", Host: sim.New(t, sim.Options{}).Host})
		begun := time.Now()
		if err := mcpserver.Serve(ctx, s, in, io.Discard); err != nil || time.Since(begun) != time.Second {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
	})
}

// A line that is no message gets an error, and the session goes on.
func TestLinesThatAreNoMessages(t *testing.T) {
	for line, want := range map[string]string{
		`{`:   `{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"the line is not JSON; a message is one line"}}`,
		`x y`: `"id":null,"error":{"code":-32700,`,
		`{"jsonrpc":"1.0","id":7,"method":"ping"}`:                                                       `{"jsonrpc":"2.0","id":7,"error":{"code":-32600,"message":"not a message of JSON-RPC 2.0: `,
		`{"jsonrpc":"2.0","id":{},"method":"ping"}`:                                                      `"id":null,"error":{"code":-32600,`,
		`{"jsonrpc":"2.0","id":"a","method":5}`:                                                          `"id":"a","error":{"code":-32600,`,
		`{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"pve_guest_power","name":null}}`: `"id":null,"error":{"code":-32600,"message":"the name \"name\" stands twice`,
		`7`:            `"id":null,"error":{"code":-32600,`,
		`[]`:           `"code":-32600,"message":"the batch is empty"`,
		`[{"id":1}]`:   `"id":null,"error":{"code":-32600,`,
		"\xff\xfe{}":   `"code":-32700`,
		`{"error":{}}`: "",
		"   ":          "",
		`{"x":"` + strings.Repeat("x", 9<<20) + `"}`: `"id":null,"error":{"code":-32600,"message":"the message is longer than 8 MiB"}`,
	} {
		out, _ := closeAfter(t, handshake+line+"\n  "+`{"jsonrpc":"2.0","id":9,"method":"ping"}`+"  \r\n")
		var answers []string
		for answer := range strings.Lines(out) {
			if !strings.Contains(answer, `"id":1,`) && !strings.Contains(answer, `"id":9,"result"`) {
				answers = append(answers, answer)
			}
		}
		if got := strings.Join(answers, ""); !strings.Contains(got, want) || (want == "") != (got == "") || !strings.Contains(out, `"id":9,"result"`) {
			t.Errorf("%.60s: answered %s, want %s, and an answer to the next", line, out, want)
		}
	}
}

// The last line needs no end, and a batch is as good as its messages.
func TestLinesThatAreMessages(t *testing.T) {
	out, _ := closeAfter(t, handshake+fmt.Sprintf("[%s,%s]\n%s", ping(5), ping(6), ping(7)))
	for _, want := range []string{`"id":5,"result"`, `"id":6,"result"`, `"id":7,"result"`} {
		if !strings.Contains(out, want) {
			t.Errorf("no %s in %s", want, out)
		}
	}
}

// A batch may have several messages that want no answer.
func TestBatchOfNotifications(t *testing.T) {
	const notification = `{"jsonrpc":"2.0","method":"notifications/roots/list_changed"}`
	out, _ := closeAfter(t, handshake+fmt.Sprintf("[%s,%s,%s,%s]\n[%s,%s]\n%s\n", notification, ping(5), notification, ping(6), notification, notification, ping(7)))
	for _, want := range []string{`"id":5,"result"`, `"id":6,"result"`, `"id":7,"result"`} {
		if !strings.Contains(out, want) {
			t.Errorf("no %s in %s", want, out)
		}
	}
}

func ping(id int) string { return fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"ping"}`, id) }

// A request with the id of one that is under way is refused, in an answer that nobody takes
// for that of the other, which goes on.
func TestSecondRequestWithAnID(t *testing.T) {
	const call = `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"pve_create_backup","arguments":{"vmid":101,"storage":"nfs","wait":45}}}` + "\n"
	out, _ := closeAfter(t, handshake+call+call)
	if want := `"id":null,"error":{"code":-32600,"message":"a request with the id 2 is under way; this one was not carried out"}`; !strings.Contains(out, want) {
		t.Errorf("no %s in %s", want, out)
	}
	if n := strings.Count(out, `"id":2,`); n != 1 {
		t.Errorf("%d answers to the other request: %s", n, out)
	}
}

// A request that comes before initialize is refused with a code of JSON-RPC.
func TestBeforeInitialize(t *testing.T) {
	out, _ := closeAfter(t, `{"jsonrpc":"2.0","id":5,"method":"tools/list"}`+"\n"+handshake+ping(6)+"\n")
	if !strings.Contains(out, `"id":5,"error":{"code":-32600,"message":"method \"tools/list\" is invalid during session initialization"}`) || !strings.Contains(out, `"id":6,"result"`) {
		t.Errorf("%s", out)
	}
}

// Numbers of progress go up, and have no digits that say nothing.
func TestProgressIsReadable(t *testing.T) {
	out, _ := closeAfter(t, handshake+`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"pve_create_backup","arguments":{"vmid":101,"storage":"nfs","wait":45},"_meta":{"progressToken":1}}}
`)
	last, n := -1.0, 0
	for _, found := range regexp.MustCompile(`"progress":([0-9.e-]+)`).FindAllStringSubmatch(out, -1) {
		done, err := strconv.ParseFloat(found[1], 64)
		if err != nil || len(found[1]) > len("99.123456") || done <= last {
			t.Errorf("%s after %v: %v", found[1], last, err)
		}
		last, n = done, n+1
	}
	if n < 3 {
		t.Errorf("%d notifications: %s", n, out)
	}
}
