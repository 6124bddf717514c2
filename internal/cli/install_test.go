package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	library "github.com/zalando/go-keyring"

	"github.com/pve-mcp/pve-mcp/internal/install"
)

const testSecret = "12345678-1234-1234-1234-123456789abc"

// ran is what a command has printed.
type ran struct {
	status   int
	out, err string
}

func run(t *testing.T, stdin string, environ []string, args ...string) ran {
	t.Helper()
	var out, errs bytes.Buffer
	a := &app{in: strings.NewReader(stdin), out: &out, err: &errs, environ: environ, flags: map[string]string{}}
	a.self = func() (string, error) { return "/usr/local/bin/pve-mcp", nil }
	return ran{a.run(t.Context(), args), out.String(), errs.String()}
}

// With a keyring, a secret gets from the environment or from stdin into the keyring, and
// into no client's file. Not parallel: the library has one mock for the process.
func TestSecretStaysInTheKeyring(t *testing.T) {
	library.MockInit()
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "mocked")
	home := t.TempDir()
	t.Chdir(home)
	environ := []string{
		"HOME=" + home, "USERPROFILE=" + home, "APPDATA=" + filepath.Join(home, "AppData"),
		"PVE_HOST=127.0.0.2:9,127.0.0.1:9", "PVE_TOKEN_ID=ops@pve!mcp",
	}
	const name = "ops@pve!mcp at https://127.0.0.1:9, https://127.0.0.2:9"

	got := run(t, "", environ, "install", "codex")
	if got.status != exitOK || !strings.Contains(got.out, "Its secret is not kept in the keyring yet: run pve-mcp secret set") {
		t.Errorf("%+v", got)
	}
	got = run(t, testSecret+"\n", environ, "secret", "set")
	if got.status != exitOK || got.out != "The secret of "+name+" is kept in the keyring.\n" {
		t.Errorf("%+v", got)
	}
	if kept, err := library.Get("pve-mcp", name); kept != testSecret || err != nil {
		t.Errorf("%v", err)
	}
	if got = run(t, "", environ, "secret", "list"); got.out != name+"\n" {
		t.Errorf("%+v", got)
	}
	if got = run(t, "", environ, "secret", "delete", name); got.status != exitOK {
		t.Errorf("%+v", got)
	}
	if got = run(t, "", environ, "secret", "delete"); got.status != exitFailed || !strings.Contains(got.err, "the keyring does not have it") {
		t.Errorf("%+v", got)
	}
	for _, c := range install.All() {
		got := run(t, "", append(environ, "PVE_TOKEN_SECRET="+testSecret), "install", c.ID)
		if got.status != exitOK || !strings.Contains(got.out, "The secret of "+name+" is ") {
			t.Errorf("%s: %+v", c.ID, got)
		}
		if strings.Contains(got.out+got.err, testSecret) {
			t.Errorf("%s: the secret is shown", c.ID)
		}
	}
	if files := withSecret(t, home); len(files) > 0 {
		t.Errorf("the secret is in %v", files)
	}

	// What the clients start now finds it when it is needed, and not before.
	a := &app{environ: environ, flags: map[string]string{}, err: &bytes.Buffer{}}
	cfg, err := a.config(false)
	if err != nil || cfg.SecretFrom != "keyring" || cfg.Token.Secret.Reveal() != "" {
		t.Fatalf("%v %+v", err, cfg)
	}
	if text, err := cfg.Token.Secret.Read(t.Context()); text != testSecret || err != nil {
		t.Errorf("%v", err)
	}
	if _, err := library.Get("pve-mcp", "ops@pve!mcp at https://127.0.0.1:9"); err == nil {
		t.Error("one of the hosts alone has it too")
	}
}

// A secret in a client's file moves into the keyring.
func TestSecretMovesOut(t *testing.T) {
	library.MockInit()
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "mocked")
	home := t.TempDir()
	file := filepath.Join(home, ".claude.json")
	before := `{"mcpServers": {"pve": {"command": "pve-mcp", "env": {"PVE_TOKEN_SECRET": "` + testSecret + `", "HTTPS_PROXY": "http://proxy"}}}}`
	if err := os.WriteFile(file, []byte(before), 0o600); err != nil {
		t.Fatal(err)
	}
	environ := []string{"HOME=" + home, "USERPROFILE=" + home, "PVE_HOST=127.0.0.1:9", "PVE_TOKEN_ID=ops@pve!mcp"}
	got := run(t, "", environ, "install", "claude-code")
	if got.status != exitOK || !strings.Contains(got.out, "is still in its backup") {
		t.Errorf("%+v", got)
	}
	if files := withSecret(t, home); len(files) != 1 || !strings.HasSuffix(files[0], ".bak") {
		t.Errorf("the secret is in %v", files)
	}
	text, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(text), `"HTTPS_PROXY":"http://proxy"`) {
		t.Errorf("%v %s", err, text)
	}
	if kept, err := library.Get("pve-mcp", "ops@pve!mcp at https://127.0.0.1:9"); kept != testSecret || err != nil {
		t.Errorf("%v", err)
	}
}

// withSecret lists the files below a folder that have the secret.
func withSecret(t *testing.T, dir string) (files []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if bytes.Contains(data, []byte(testSecret)) {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
