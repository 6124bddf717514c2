package config_test

import (
	"encoding/pem"
	"fmt"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pve-mcp/pve-mcp/internal/config"
)

const secret = "12345678-1234-1234-1234-123456789abc"

// other is a secret in the wrong place.
const other = "87654321-1234-1234-1234-123456789abc"

// minimal is an environment that configures a server.
func minimal(more ...string) []string {
	return append([]string{"PVE_HOST=pve.lan", "PVE_TOKEN_ID=ops@pve!mcp", "PVE_TOKEN_SECRET=" + secret, "HOME=/home/x"}, more...)
}

// folder makes a working directory with a file .env and others.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestDefaults(t *testing.T) {
	c, err := config.Load(config.Sources{Environ: minimal("PVE_CA_FILE=", "PVE_TOKEN_SECRET="+secret+"\n")})
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprint(c.Hosts, c.Token.ID, c.Token.Secret.Reveal() == secret, c.VerifySSL, c.Timeout, c.Policy.ReadOnly, c.Policy.Exec, c.TaskWait, c.Warnings)
	want := fmt.Sprint([]string{"https://pve.lan:8006"}, "ops@pve!mcp", true, true, 40*time.Second, false, false, 20*time.Second, []string(nil))
	if got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

func TestHosts(t *testing.T) {
	for give, want := range map[string]string{
		"pve.lan":                           "https://pve.lan:8006",
		"pve.lan:443":                       "https://pve.lan:443",
		"10.0.0.1, 10.0.0.2,":               "https://10.0.0.1:8006 https://10.0.0.2:8006",
		"fd00::1":                           "https://[fd00::1]:8006",
		"[fd00::1]:8007":                    "https://[fd00::1]:8007",
		"https://pve.example.org/":          "https://pve.example.org:8006",
		"https://proxy.example.org:443/pve": "https://proxy.example.org:443/pve",
		"http://127.0.0.1:8006":             "http://127.0.0.1:8006",
		"http://localhost:1234":             "http://localhost:1234",
		"http://[::1]:1234":                 "http://[::1]:1234",
		"HTTPS://pve.lan":                   "https://pve.lan:8006",
		"pve_1.lan.":                        "https://pve_1.lan.:8006",
		"pve.lan/api2/json":                 "https://pve.lan:8006",
		"https://pve.lan:8006/api2/json/":   "https://pve.lan:8006",
		"https://pve.lan:8006/api2/extjs":   "https://pve.lan:8006",
		"https://pve.lan/api2":              "https://pve.lan:8006",
		"https://proxy.lan/pve/api2/json":   "https://proxy.lan:8006/pve",
		"fe80::1%eth0":                      "https://[fe80::1%25eth0]:8006",
		"[fe80::1%eth0]:443":                "https://[fe80::1%25eth0]:443",
		"https://[fe80::1%25vmbr0.7]/":      "https://[fe80::1%25vmbr0.7]:8006",
	} {
		c, err := config.Load(config.Sources{Environ: minimal("PVE_HOST=" + give)})
		if err != nil || strings.Join(c.Hosts, " ") != want {
			t.Errorf("%s: %v %v, want %s", give, c, err, want)
		}
	}
}

// What is no host by its grammar is refused, such as what a shell would run.
func TestNoHosts(t *testing.T) {
	for _, give := range []string{
		"$(id)", "`id`", "pve.lan;id", "pve.lan|sh", "pve.lan&id", "x>y", "a'b", `a"b`, `a\b`, "pve.lan/$(id)", "pve.lan/;id", "pve.lan/a b", "pve.lan/%24(id)",
		"pve.lan/../x", "pve.lan/./x", "pve.lan:", "pve.lan:0", "pve.lan:65536", "pve.lan:+1", "pve.lan:080", "pve.lan:8006:1", "10.0.0.256", "1.2.3", "8006", "-a.lan", "a-.lan",
		"a..b", ".", "", "https://", "https:///x", "https:pve.lan", "://pve.lan", "[pve.lan]", "[10.0.0.1]", "[fe80::1", "fe80::1]", "[::1]8006", "fe80::1%", "fe80::1%a;b", "fe80::1%$(id)",
		"pvé.lan", "pve.lan\n", "pve\x00.lan", strings.Repeat("a.", 127) + "aaaa", strings.Repeat("a", 64),
	} {
		c, err := config.Load(config.Sources{Flags: map[string]string{"PVE_HOST": "pve.lan," + give}, Environ: minimal()})
		if strings.TrimSpace(give) == "" || give == "pve.lan\n" { // an end of a line is white space
			continue
		}
		if err == nil {
			t.Errorf("%q: %v", give, c.Hosts)
		}
	}
}

// Whatever is taken for a host has no character that means something to a shell, and is
// the host of a request.
func FuzzHost(f *testing.F) {
	for _, seed := range []string{"pve.lan", "https://[fe80::1%25eth0]:443/pve/api2/json", "10.0.0.1:1", "$(id)", "fe80::1%eth0"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, give string) {
		c, err := config.Load(config.Sources{Flags: map[string]string{"PVE_HOST": give}, Environ: minimal()})
		if err != nil {
			return
		}
		for _, host := range c.Hosts {
			u, err := url.Parse(host)
			if err != nil || u.Hostname() == "" || u.Port() == "" || u.User != nil || u.RawQuery != "" || u.Scheme == "http" && !strings.Contains(host, "localhost") && !strings.Contains(host, "127.") && !strings.Contains(host, "::1") {
				t.Errorf("%q: %q %v", give, host, err)
			}
			if strings.Trim(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._~-:/[]%") != "" {
				t.Errorf("%q: %q", give, host)
			}
			again, err := config.Load(config.Sources{Flags: map[string]string{"PVE_HOST": host}, Environ: minimal()})
			if err != nil || again.Hosts[0] != host {
				t.Errorf("%q: %q is not read as itself: %v", give, host, err)
			}
		}
	})
}

// A problem is one line that names the setting and shows a correct one, and never a
// secret.
func TestProblems(t *testing.T) {
	for _, tt := range []struct {
		env  []string
		want string
	}{
		{nil, "PVE_HOST: not set; for example PVE_HOST=pve.example.lan\n" +
			"PVE_TOKEN_ID: not set; for example PVE_TOKEN_ID=ops@pve!mcp\n" +
			"PVE_TOKEN_SECRET: not set, nor is PVE_TOKEN_SECRET_FILE; for example PVE_TOKEN_SECRET=" + secret},
		{minimal("PVE_HOST=http://pve.lan"), `PVE_HOST: "http://pve.lan" would send the token unencrypted; use https://; for example`},
		{minimal("PVE_HOST=http://127.0.0.1.evil.lan"), "unencrypted"},
		{minimal("PVE_HOST=ftp://pve.lan"), `"ftp://pve.lan" is not a URL with https://`},
		{minimal("PVE_HOST=https://root:hunter22@pve.lan"), "PVE_HOST: a URL must not carry a user or a password"},
		{minimal("PVE_HOST=https://pve.lan?x=1"), "has more than host, port and path"},
		{minimal("PVE_HOST= , "), "PVE_HOST: it names no host"},
		{minimal("PVE_HOST=a b"), `PVE_HOST: "a b" is neither a host nor a URL`},
		{minimal("PVE_HOST=ops@pve!mcp"), "PVE_HOST: a URL must not carry a user or a password"},
		{[]string{"PVE_HOST=a", "PVE_TOKEN_ID=" + other, "PVE_TOKEN_SECRET=ops@pve!mcp"}, "PVE_TOKEN_ID: the value is not of the form USER@REALM!NAME"},
		{minimal("PVE_TOKEN_ID=ops@pve"), "PVE_TOKEN_ID: the value is not of the form USER@REALM!NAME; for example PVE_TOKEN_ID=ops@pve!mcp"},
		{minimal("PVE_TOKEN_ID=ops@pve!mcp=hunter22"), "PVE_TOKEN_ID: the id of a token ends before the =; the secret is a setting of its own"},
		{minimal("PVE_TOKEN_SECRET=hunter22"), "PVE_TOKEN_SECRET: a token secret is a UUID; this one has 8 characters and another form"},
		{minimal("PVE_TOKEN_SECRET_FILE=/x"), "PVE_TOKEN_SECRET_FILE is set too"},
		{[]string{"PVE_HOST=a", "PVE_TOKEN_ID=ops@pve!mcp", "PVE_TOKEN_SECRET_FILE=/no/such/file"}, "PVE_TOKEN_SECRET_FILE: open /no/such/file: no such file or directory; pve-mcp secret set makes the file; for example"},
		{[]string{"PVE_HOST=a", "PVE_TOKEN_ID=ops@pve!mcp", "PVE_TOKEN_SECRET_FILE=" + other}, "PVE_TOKEN_SECRET_FILE: the value looks like a secret, not like the name of a file"},
		{minimal("PVE_VERIFY_SSL=maybe"), `PVE_VERIFY_SSL: "maybe" is neither true nor false; for example PVE_VERIFY_SSL=true`},
		{minimal("PVE_CA_FILE=/no/such/ca"), "PVE_CA_FILE: open /no/such/ca"},
		{minimal("PVE_FINGERPRINT=AB:CD"), "PVE_FINGERPRINT: a SHA-256 fingerprint has 64 hexadecimal digits, such as AB:CD:…; this one has 5 characters"},
		{minimal("PVE_HOST=a,b", "PVE_FINGERPRINT="+strings.Repeat("ab", 32)), "1 fingerprint(s) for 2 host(s)"},
		{minimal("PVE_TIMEOUT=soon"), `PVE_TIMEOUT: "soon" is not a duration; for example PVE_TIMEOUT=40s`},
		{minimal("PVE_TIMEOUT=0"), "is not between 1s and 10m0s"},
		{minimal("PVE_MCP_LEGACY=off"), `PVE_MCP_LEGACY: "off" is neither sessions nor stateless; for example`},
		{minimal("PVE_MCP_REPLICA=a.b"), `PVE_MCP_REPLICA: "a.b" is not a name of letters, digits and hyphens; for example PVE_MCP_REPLICA=a`},
		{minimal("PVE_MCP_READONLY=true"), "PVE_MCP_READONLY: there is no such setting"},
	} {
		_, err := config.Load(config.Sources{Environ: tt.env})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%v: %v\nwant %s", tt.env, err, tt.want)
			continue
		}
		if strings.Contains(err.Error(), "hunter22") || strings.Contains(err.Error(), "87654321") {
			t.Errorf("the secret is shown: %v", err)
		}
	}
}

func TestFlagsWin(t *testing.T) {
	c, err := config.Load(config.Sources{
		Environ: minimal("PVE_MCP_TASK_WAIT=5", "PVE_MCP_READ_ONLY=false"),
		Flags:   map[string]string{"PVE_MCP_TASK_WAIT": "7s", "PVE_MCP_READ_ONLY": "true", "PVE_HOST": "other"},
	})
	if err != nil || c.TaskWait != 7*time.Second || !c.Policy.ReadOnly || c.Hosts[0] != "https://other:8006" {
		t.Errorf("%+v %v", c, err)
	}
}

// An empty flag is like an empty variable: a client may hand on what its user has
// not filled in.
func TestEmptyFlag(t *testing.T) {
	c, err := config.Load(config.Sources{
		Environ: minimal("PVE_MCP_READ_ONLY=true"),
		Flags:   map[string]string{"PVE_MCP_READ_ONLY": "", "PVE_VERIFY_SSL": " ", "PVE_TIMEOUT": ""},
	})
	if err != nil || !c.Policy.ReadOnly || !c.VerifySSL || c.Timeout != 40*time.Second {
		t.Errorf("%+v %v", c, err)
	}
}

// A secret in the wrong place is not shown, whatever the place.
func TestMisplacedSecret(t *testing.T) {
	for _, s := range config.Settings() {
		if slices.Contains([]string{"PVE_TOKEN_SECRET", "PVE_MCP_SEAL_KEY", "PVE_MCP_CONSENT_STORE_PASSWORD"}, s.Key) {
			continue // their place
		}
		for _, value := range []string{other, "x" + other, "ops@pve!mcp=" + other} {
			_, err := config.Load(config.Sources{Environ: minimal(s.Key + "=" + value)})
			if err == nil || strings.Contains(err.Error(), other) {
				t.Errorf("%s=%s: %v", s.Key, value, err)
			}
		}
	}
}

func TestFiles(t *testing.T) {
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	dir := folder(t, map[string]string{"ca.pem": string(ca), "none.pem": "nothing", "secret": "\n " + secret + "\n"})
	env := func(more ...string) []string {
		return append([]string{"PVE_HOST=a,b", "PVE_TOKEN_ID=ops@pve!mcp", "PVE_TOKEN_SECRET_FILE=" + filepath.Join(dir, "secret")}, more...)
	}
	pins := strings.Repeat("ab", 32) + "," + strings.Repeat("AB:", 31) + "CD"
	c, err := config.Load(config.Sources{Environ: env("PVE_CA_FILE="+filepath.Join(dir, "ca.pem"), "PVE_FINGERPRINT="+pins)})
	if err != nil {
		t.Fatal(err)
	}
	var hosts []string
	for _, h := range []string{"a:8006", "b:8006"} {
		pin := c.Fingerprints[h].String()
		hosts = append(hosts, h+" "+pin[len(pin)-5:])
	}
	if diff := cmp.Diff([]string{"a:8006 AB:AB", "b:8006 AB:CD"}, hosts); diff != "" || c.Roots == nil || c.Token.Secret.Reveal() != secret {
		t.Errorf("pins (-want +got):\n%s", diff)
	}
	if _, err := config.Load(config.Sources{Environ: env("PVE_CA_FILE=" + filepath.Join(dir, "none.pem"))}); err == nil {
		t.Error("a file without certificates is accepted")
	}
}

func TestSimulated(t *testing.T) {
	c, err := config.Simulated(map[string]string{"PVE_MCP_READ_ONLY": "true", "PVE_MCP_TASK_WAIT": "3"})
	if err != nil || !c.Policy.ReadOnly || c.TaskWait != 3*time.Second {
		t.Errorf("%+v %v", c, err)
	}
	if _, err := config.Simulated(map[string]string{"PVE_HOST": "x"}); err == nil || err.Error() != "--host does not go with --demo, whose cluster is simulated" {
		t.Errorf("%v", err)
	}
}

// Every example is a correct value, since the errors show it.
func TestExamples(t *testing.T) {
	for _, s := range config.Settings() {
		env := minimal(s.Key + "=" + s.Example)
		if strings.HasSuffix(s.Key, "_FILE") {
			continue // the file need not be there
		}
		if _, err := config.Load(config.Sources{Environ: env}); err != nil {
			t.Errorf("%v", err)
		}
	}
}
