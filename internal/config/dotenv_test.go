package config_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pve-mcp/pve-mcp/internal/config"
	"github.com/pve-mcp/pve-mcp/internal/policy"
)

// What makes the server safer may come from a .env beside a configured server, where
// nothing else sets it; what loosens it may not.
func TestDotEnvMayTighten(t *testing.T) {
	dir := t.TempDir()
	text := "PVE_MCP_CONFIRM=human\nPVE_MCP_PROTECT=100\nPVE_MCP_ALLOW=200-299\nPVE_MCP_EXEC_ALLOW=/usr/bin/uptime\n"
	if err := os.WriteFile(filepath.Join(dir, ".env"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(config.Sources{Environ: minimal("PVE_MCP_PROTECT=900"), Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if c.Policy.Confirm != policy.Human || len(c.Policy.ExecAllow) != 1 || fmt.Sprint(c.Policy.Allow) != "[200-299]" {
		t.Errorf("%+v", c.Policy)
	}
	if fmt.Sprint(c.Policy.Protect) != "[900]" {
		t.Errorf("the environment's rule was replaced: %v", c.Policy.Protect)
	}
	if err := os.WriteFile(filepath.Join(dir, ".env"), []byte("PVE_MCP_CONFIRM=param\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if c, err := config.Load(config.Sources{Environ: minimal(), Dir: dir}); err != nil || c.Policy.Confirm != policy.Auto {
		t.Errorf("%+v %v", c.Policy, err)
	}
}

func TestTokenOfAUserNamedByAddress(t *testing.T) {
	c, err := config.Load(config.Sources{Environ: minimal("PVE_TOKEN_ID=alice@example.com@oidc!mcp")})
	if err != nil || c.Token.ID != "alice@example.com@oidc!mcp" {
		t.Error(err)
	}
}

func TestDotEnv(t *testing.T) {
	all := "PVE_HOST=from.file\nPVE_TOKEN_ID=file@pve!mcp\nPVE_TOKEN_SECRET=" + secret + "\n"
	for _, tt := range []struct {
		name   string
		file   string
		env    []string
		flags  map[string]string
		want   string // host, token, checked, read-only, exec
		warned string
		fails  string
	}{
		{name: "alone", file: all + "export PVE_VERIFY_SSL='false'\nPATH=/evil\n", want: "from.file file@pve!mcp false false false", warned: "PVE_VERIFY_SSL=false"},
		{name: "beside a full environment", file: all, env: minimal(), want: "pve.lan ops@pve!mcp true false false", warned: "ignored PVE_HOST, PVE_TOKEN_ID, PVE_TOKEN_SECRET"},
		{name: "other host for somebody's token", file: "PVE_HOST=evil", env: []string{"PVE_TOKEN_ID=ops@pve!mcp", "PVE_TOKEN_SECRET=" + secret}, fails: "PVE_HOST: not set"},
		{name: "switch verification off", file: "PVE_VERIFY_SSL=false", env: minimal(), want: "pve.lan ops@pve!mcp true false false", warned: "ignored PVE_VERIFY_SSL"},
		{name: "trust another CA", file: "PVE_CA_FILE=ca.pem\nPVE_FINGERPRINT=" + strings.Repeat("ab", 32), env: minimal(), want: "pve.lan ops@pve!mcp true false false", warned: "ignored PVE_CA_FILE, PVE_FINGERPRINT"},
		{name: "any variable in the environment is enough", file: all, env: []string{"PVE_X=1"}, fails: ".env: ignored PVE_HOST, PVE_TOKEN_ID, PVE_TOKEN_SECRET"},
		{name: "a flag about the connection is enough", file: all, flags: map[string]string{"PVE_HOST": "x"}, fails: "PVE_TOKEN_ID: not set"},
		{name: "another flag is not", file: all, flags: map[string]string{"PVE_MCP_READ_ONLY": "true"}, want: "from.file file@pve!mcp true true false"},
		{name: "may tighten", file: "PVE_MCP_READ_ONLY=true\nPVE_MCP_ENABLE_EXEC=false", env: minimal("PVE_MCP_READ_ONLY=false", "PVE_MCP_ENABLE_EXEC=true"), want: "pve.lan ops@pve!mcp true true false"},
		{name: "may not loosen", file: "PVE_MCP_READ_ONLY=false\nPVE_MCP_ENABLE_EXEC=true", env: minimal("PVE_MCP_READ_ONLY=true"), want: "pve.lan ops@pve!mcp true true false", warned: "ignored PVE_MCP_READ_ONLY, PVE_MCP_ENABLE_EXEC"},
		{name: "empty variables of a host do not count", file: all, env: []string{"PVE_HOST=", "PVE_TOKEN_ID="}, want: "from.file file@pve!mcp true false false"},
		{name: "typo", file: all + "PVE_MCP_READONLY=true", fails: "PVE_MCP_READONLY: there is no such setting"},
		{name: "no lines", file: "PVE_HOST=x\n'hunter22", fails: ".env: it cannot be read"},
		{name: "no lines, and not about us", file: "=x\n'hunter22", env: minimal(), want: "pve.lan ops@pve!mcp true false false"},
		{name: "a typo does not loosen", file: "PVE_MCP_READ_ONLY=ture", env: minimal(), fails: `PVE_MCP_READ_ONLY: "ture" is neither true nor false`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := config.Load(config.Sources{Environ: tt.env, Flags: tt.flags, Dir: folder(t, map[string]string{".env": tt.file})})
			if tt.fails != "" {
				if err == nil || !strings.Contains(err.Error(), tt.fails) || strings.Contains(err.Error(), "hunter22") {
					t.Errorf("%v, want %q", err, tt.fails)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			host := strings.TrimSuffix(strings.TrimPrefix(c.Hosts[0], "https://"), ":8006")
			if got := fmt.Sprint(host, " ", c.Token.ID, " ", c.VerifySSL, " ", c.Policy.ReadOnly, " ", c.Policy.Exec); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			if warnings := strings.Join(c.Warnings, "\n"); !strings.Contains(warnings, tt.warned) || (tt.warned == "") != (warnings == "") {
				t.Errorf("warnings %q, want %q", warnings, tt.warned)
			}
		})
	}
}

// Whatever else is called .env stops nothing, and is not waited for.
func TestNoDotEnv(t *testing.T) {
	outside := filepath.Join(folder(t, map[string]string{"env": "PVE_MCP_READ_ONLY=true"}), "env")
	for name, tt := range map[string]struct {
		make   func(path string) error
		warned bool
	}{
		"folder": {func(path string) error { return os.Mkdir(path, 0o700) }, false},
		"pipe":   {func(path string) error { return exec.Command("mkfifo", path).Run() }, true},
		"link":   {func(path string) error { return os.Symlink(outside, path) }, true},
	} {
		dir := t.TempDir()
		if err := tt.make(filepath.Join(dir, ".env")); err != nil {
			t.Fatal(err)
		}
		c, err := config.Load(config.Sources{Environ: minimal(), Dir: dir})
		if err != nil || c.Policy.ReadOnly || (len(c.Warnings) > 0) != tt.warned {
			t.Errorf("%s: %+v %v", name, c, err)
		}
	}
}

// A .env must not make the program read, and send as a token, a file elsewhere.
func TestDotEnvReadsFilesBelowItselfOnly(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(outside, []byte(secret), 0o600); err != nil {
		t.Fatal(err)
	}
	dotenv := func(file string) string {
		return "PVE_HOST=h\nPVE_TOKEN_ID=ops@pve!mcp\nPVE_TOKEN_SECRET_FILE=" + file + "\n"
	}
	dir := folder(t, map[string]string{".env": dotenv("secret"), "secret": secret + "\n"})
	if c, err := config.Load(config.Sources{Dir: dir}); err != nil || c.Token.Secret.Reveal() != secret {
		t.Errorf("a file beside it: %v", err)
	}
	if err := os.Symlink(outside, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{outside, "../" + filepath.Base(filepath.Dir(outside)) + "/key", "link"} {
		if err := os.WriteFile(filepath.Join(dir, ".env"), []byte(dotenv(name)), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := config.Load(config.Sources{Dir: dir}); err == nil {
			t.Errorf("%s was read", name)
		}
	}
}

// Every file that a .env names is below its folder, whichever setting names it.
func TestDotEnvNamesFilesBelowItself(t *testing.T) {
	outside := folder(t, map[string]string{"file": secret})
	n := 0
	for _, s := range config.Settings() {
		if !s.IsFile() {
			continue
		}
		n++
		for _, name := range []string{filepath.Join(outside, "file"), "../" + filepath.Base(outside) + "/file", "link/file"} {
			dir := folder(t, map[string]string{".env": s.Key + "=" + name + "\n"})
			if err := os.Symlink(outside, filepath.Join(dir, "link")); err != nil {
				t.Fatal(err)
			}
			c, err := config.Load(config.Sources{Dir: dir, NoCluster: true})
			switch {
			case s.IsConnection(): // TestDotEnvReadsFilesBelowItselfOnly
			case s.Key == config.LogFile:
				if err != nil || !c.Log.File.IsZero() || !strings.Contains(strings.Join(c.Warnings, ""), "ignored PVE_MCP_LOG_FILE, which it may not set; set it in the environment, or with --log-file") {
					t.Errorf("%+v %v", c, err)
				}
			case err == nil || !strings.Contains(err.Error(), s.Key) || !strings.Contains(err.Error(), "what .env names lies below its folder"):
				t.Errorf("%s=%s: %v", s.Key, name, err)
			}
		}
	}
	if n < 6 {
		t.Errorf("%d settings name files", n)
	}
}

// A .env must not lead the record of a server that is configured elsewhere to another
// file, nor have any written outside its folder.
func TestDotEnvAndTheAuditLog(t *testing.T) {
	all := "PVE_HOST=h\nPVE_TOKEN_ID=ops@pve!mcp\nPVE_TOKEN_SECRET=" + secret + "\nPVE_MCP_AUDIT_LOG="
	dir := folder(t, nil)
	if err := os.Mkdir(filepath.Join(dir, "log"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(t.TempDir(), filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, file string
		env        []string
		flags      map[string]string
		want       string
		fails      bool
	}{
		{name: "environment", env: minimal("PVE_MCP_AUDIT_LOG=../audit.log"), want: "../audit.log"},
		{name: "flag", env: minimal("PVE_MCP_AUDIT_LOG=a"), flags: map[string]string{"PVE_MCP_AUDIT_LOG": "/b"}, want: "/b"},
		{name: "beside an environment", file: all + "elsewhere", env: minimal("PVE_MCP_AUDIT_LOG=audit.log"), want: "audit.log"},
		{name: "beside an environment without one", file: all + "elsewhere", env: minimal(), want: ""},
		{name: "beside a flag", file: all + "elsewhere", flags: map[string]string{"PVE_MCP_AUDIT_LOG": "/var/log/audit.log"}, want: "/var/log/audit.log"},
		{name: "alone", file: all + "audit.log", want: filepath.Join(dir, "audit.log")},
		{name: "in a folder", file: all + "log/audit.log", want: filepath.Join(dir, "log/audit.log")},
		{name: "above", file: all + "../.profile", fails: true},
		{name: "anywhere", file: all + "/tmp/.profile", fails: true},
		{name: "through a link", file: all + "link/audit.log", fails: true},
		{name: "no folder", file: all + "no/audit.log", fails: true},
	} {
		if err := os.WriteFile(filepath.Join(dir, ".env"), []byte(tt.file), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := config.Load(config.Sources{Environ: tt.env, Flags: tt.flags, Dir: dir})
		switch {
		case tt.fails && (err == nil || !strings.HasPrefix(err.Error(), "PVE_MCP_AUDIT_LOG: ") || !strings.Contains(err.Error(), "what .env names lies below its folder")):
			t.Errorf("%s: %v", tt.name, err)
		case !tt.fails && (err != nil || c.AuditLog.String() != tt.want):
			t.Errorf("%s: %+v %v, want %s", tt.name, c, err, tt.want)
		}
	}
}
