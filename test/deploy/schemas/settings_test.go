package schemas

import (
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/callers"
	"github.com/pve-mcp/pve-mcp/internal/config"
	"github.com/pve-mcp/pve-mcp/internal/files"
)

// stopTime is how long the server needs to stop after PVE_MCP_HTTP_DRAIN.
const stopTime = 5 * time.Second

func read(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile("../../../" + name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// load reads the settings that a file gives to the server. As they are shipped, what is to
// be filled in is empty, and must be refused. Then it is filled in, and has to be right.
func load(t *testing.T, settings map[string]string) *config.Config {
	t.Helper()
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := callers.Open(files.At(secret)); err == nil {
		t.Error("as shipped, the file of tokens is not refused")
	}
	settings = maps.Clone(settings)
	settings["PVE_TOKEN_SECRET_FILE"] = secret
	environ := func() (out []string) {
		for k, v := range settings {
			out = append(out, k+"="+v)
		}
		return out
	}
	_, err := config.Load(config.Sources{Environ: environ()})
	for _, key := range []string{"PVE_HOST", "PVE_TOKEN_ID", "PVE_TOKEN_SECRET_FILE"} {
		if err == nil || !strings.Contains(err.Error(), key+": ") {
			t.Errorf("as shipped, %s is not refused: %v", key, err)
		}
	}
	if err := os.WriteFile(secret, []byte("12345678-1234-1234-1234-123456789abc\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	settings["PVE_HOST"], settings["PVE_TOKEN_ID"] = "pve.example.lan", "ops@pve!mcp"
	c, err := config.Load(config.Sources{Environ: environ()})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(c.HTTP.Hosts, "mcp.example.org") {
		t.Errorf("the server is not called as nginx and the docs have it: %v", c.HTTP.Hosts)
	}
	return c
}

// port is the port of an address on which the server listens everywhere.
func port(t *testing.T, addr string) int {
	t.Helper()
	host, text, err := net.SplitHostPort(addr)
	if err != nil || host != "0.0.0.0" {
		t.Errorf("%q does not mean every address: %v", addr, err)
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Error(err)
	}
	return n
}
