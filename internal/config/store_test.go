package config_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pve-mcp/pve-mcp/internal/config"
)

func TestConsentStore(t *testing.T) {
	for _, tt := range []struct {
		name, store, password, file string
		want, problem               string
	}{
		{name: "none"},
		{name: "a folder", store: "/run/pve-mcp/consent", want: "/run/pve-mcp/consent"},
		{name: "a server", store: "redis://redis.lan:6379/2", password: "hunter2", want: "redis://redis.lan:6379/2 hunter2"},
		{name: "with TLS, user and file", store: "rediss://mcp@redis.lan", file: "password", want: "rediss://mcp@redis.lan from-file"},
		{name: "the password in the URL", store: "redis://mcp:hunter2@redis.lan", problem: "a password does not belong in the URL"},
		{name: "another protocol", store: "https://hunter2@redis.lan", problem: "neither a folder nor a URL"},
		{name: "no host", store: "redis:///1", problem: "neither a folder nor a URL"},
		{name: "not a URL", store: "redis://hunter2 %zz", problem: "neither a folder nor a URL"},
		{name: "two passwords", store: "redis://redis.lan", password: "hunter2", file: "password", problem: "one is enough"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			env := minimal("PVE_MCP_CONSENT_STORE="+tt.store, "PVE_MCP_CONSENT_STORE_PASSWORD="+tt.password)
			if tt.file != "" {
				env = append(env, "PVE_MCP_CONSENT_STORE_PASSWORD_FILE="+folder(t, map[string]string{tt.file: "from-file\n"})+"/"+tt.file)
			}
			c, err := config.Load(config.Sources{Environ: env})
			if tt.problem != "" {
				if err == nil || !strings.Contains(err.Error(), tt.problem) || strings.Contains(err.Error(), "hunter2") {
					t.Errorf("%v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if shown := fmt.Sprintf("%+v %v", c.ConsentStore, c.Given); strings.Contains(shown, "hunter2") {
				t.Errorf("the password is shown: %s", shown)
			}
			password, err := c.ConsentStore.Password()
			got := c.ConsentStore.Folder
			if c.ConsentStore.Redis != nil {
				got = c.ConsentStore.Redis.String()
			}
			if got = strings.TrimSpace(got + " " + password); err != nil || got != tt.want {
				t.Errorf("got %q, want %q: %v", got, tt.want, err)
			}
		})
	}
}

// A file .env, which may come from anywhere, names no store.
func TestConsentStoreOfDotEnv(t *testing.T) {
	dir := folder(t, map[string]string{".env": strings.Join(minimal()[:3], "\n") + "\nPVE_MCP_CONSENT_STORE=redis://evil.example\n"})
	c, err := config.Load(config.Sources{Dir: dir})
	if err != nil || c.ConsentStore.Redis != nil || !strings.Contains(fmt.Sprint(c.Warnings), "PVE_MCP_CONSENT_STORE") {
		t.Errorf("%+v %v", c, err)
	}
}
