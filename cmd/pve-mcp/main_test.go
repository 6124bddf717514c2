package main

import (
	"encoding/json"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"pve-mcp/internal/cli"
	"pve-mcp/pve"
	"pve-mcp/pvesim"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"pve-mcp": func() { os.Exit(cli.Main()) }})
}

// The stories of the product: what a user types, and what comes of it.
func TestStories(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "../../testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"jsonrpc":  jsonrpc,
			"simulate": simulate,
		},
	})
}

// jsonrpc checks that every line of the last command's stdout is a JSON-RPC message.
func jsonrpc(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: jsonrpc stdout")
	}
	text := ts.ReadFile(args[0])
	if text == "" {
		ts.Fatalf("no output")
	}
	for line := range strings.Lines(text) {
		var msg struct {
			Version string `json:"jsonrpc"`
		}
		if err := json.Unmarshal([]byte(line), &msg); err != nil || msg.Version != "2.0" {
			ts.Fatalf("not JSON-RPC: %s", line)
		}
	}
}

// simulate serves a simulated homelab over TLS on loopback and sets PVE_HOST,
// PVE_TOKEN_ID, PVE_TOKEN_SECRET and FINGERPRINT for what follows.
func simulate(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: simulate TOKEN")
	}
	model := pvesim.Lab()
	sim, err := pvesim.New(model, pvesim.Options{Clock: pvesim.Scaled(20)})
	ts.Check(err)
	server := httptest.NewUnstartedServer(sim)
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // handshakes that fail are part of stories
	server.StartTLS()
	ts.Defer(server.Close)
	ts.Setenv("PVE_HOST", server.URL)
	ts.Setenv("PVE_TOKEN_ID", args[0])
	ts.Setenv("PVE_TOKEN_SECRET", model.Token(args[0]).Secret)
	ts.Setenv("FINGERPRINT", pve.FingerprintOf(server.Certificate()).String())
}
