package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/pve-mcp/pve-mcp/internal/telemetry"
)

// No secret is shown, whichever way it comes.
func TestNoSecretInALog(t *testing.T) {
	const known, uuid = "only this process knows", "12345678-1234-1234-1234-123456789abc"
	const bearer, jwt = "pvemcp_c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0", "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl"
	for _, asJSON := range []bool{true, false} {
		var out bytes.Buffer
		l := telemetry.NewLogger(telemetry.LogOptions{JSON: asJSON, Secrets: []string{known, ""}}, &out)
		l.Info("a message with "+known+" in it", "cause", errors.New("refused: PVEAPIToken=root@pam!mcp="+uuid))
		l.Info("ops@pve!mcp="+uuid, "arguments", `{"cipassword":"`+known+`"}`, "authorization", "anything")
		l.With("with", known).WithGroup("group").Info("m", "header", http.Header{"Authorization": {"Bearer " + bearer}}, "list", []string{known})
		l.Info("m", slog.Group("inner", "text", "Bearer "+bearer, "jwt", jwt, "url", "https://user:hunter2@pve1"), "password", "hunter2", "n", 7)
		for _, secret := range []string{known, uuid, bearer, jwt, "hunter2", "anything"} {
			if strings.Contains(out.String(), secret) {
				t.Errorf("%q is in\n%s", secret, &out)
			}
		}
		for _, shown := range []string{"a message with", "ops@pve!mcp=", "pve1", "7"} {
			if !strings.Contains(out.String(), shown) {
				t.Errorf("no %q in\n%s", shown, &out)
			}
		}
	}
}

// A value that is too long is cut, and no secret with it before it is masked.
func TestLongValues(t *testing.T) {
	const known = "only this process knows"
	var out bytes.Buffer
	l := telemetry.NewLogger(telemetry.LogOptions{JSON: true, Secrets: []string{known}}, &out)
	l.Info("m", "error", errors.New(strings.Repeat("é", 4<<10-5)+known+strings.Repeat("x", 1<<20)))
	if text := out.String(); len(text) > 10<<10 || strings.Contains(text, "only") || !strings.Contains(text, "…(+10") {
		t.Errorf("%d bytes: …%s", len(text), text[max(0, len(text)-300):])
	}
}

func TestLevels(t *testing.T) {
	for level, want := range map[slog.Level]string{
		slog.LevelDebug: "debug info warn sdk-warn ", slog.LevelInfo: "info warn sdk-warn ", slog.LevelError: "",
	} {
		var out, file bytes.Buffer
		l := telemetry.NewLogger(telemetry.LogOptions{Level: level, JSON: true}, &out, &file)
		l.Debug("debug")
		l.Info("info")
		l.Warn("warn")
		sdk := telemetry.Quiet(l).With("k", "v")
		sdk.Info("sdk-info")
		sdk.Warn("sdk-warn")
		got := ""
		for line := range strings.Lines(out.String()) {
			var fields map[string]any
			if err := json.Unmarshal([]byte(line), &fields); err != nil {
				t.Fatal(err)
			}
			got += fields["msg"].(string) + " "
		}
		if got != want || file.String() != out.String() {
			t.Errorf("%v: %q, want %q\n%s", level, got, want, &file)
		}
	}
}

// The first of several places in a trace that is written correctly is the one.
func TestJoin(t *testing.T) {
	const one, two = "00-11111111111111111111111111111111-2222222222222222-01", "00-33333333333333333333333333333333-4444444444444444-01"
	for _, tt := range []struct {
		meta telemetry.Meta
		more telemetry.Meta
		want string // of the line
	}{
		{telemetry.Meta{"traceparent": one, "tracestate": "v=1"}, telemetry.Meta{"traceparent": two}, `"trace_id":"11111111111111111111111111111111","span_id":"2222222222222222","tracestate":"v=1"`},
		{telemetry.Meta{"traceparent": "00-x"}, telemetry.Meta{"traceparent": two}, `"trace_id":"33333333333333333333333333333333","span_id":"4444444444444444"}`},
		{telemetry.Meta{"traceparent": 7}, nil, `"msg":"m"}`},
		{nil, nil, `"msg":"m"}`},
	} {
		var out bytes.Buffer
		telemetry.NewLogger(telemetry.LogOptions{JSON: true}, &out).InfoContext(telemetry.Join(context.Background(), tt.meta, tt.more), "m")
		if !strings.Contains(out.String(), tt.want) {
			t.Errorf("%v %v: %s", tt.meta, tt.more, &out)
		}
	}
}
