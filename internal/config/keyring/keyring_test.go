package keyring_test

import (
	"errors"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	library "github.com/zalando/go-keyring"

	"github.com/pve-mcp/pve-mcp/internal/config/keyring"
)

// Not parallel: the library has one mock for the process.
func TestKeyring(t *testing.T) {
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "mocked")
	library.MockInit()
	a := keyring.Name("ops@pve!mcp", []string{"https://b:8006", "https://a:8006"})
	b := keyring.Name("ops@pve!mcp", []string{"https://a:8006"})
	if a != keyring.Name("ops@pve!mcp", []string{"https://a:8006", "https://b:8006"}) || a == b {
		t.Errorf("%q %q", a, b)
	}
	list := func(want ...string) {
		t.Helper()
		if got, err := keyring.List(); err != nil || cmp.Diff(want, got) != "" {
			t.Errorf("%v: %v, want %v", err, got, want)
		}
	}
	list()
	for _, set := range [][2]string{{b, "1"}, {a, "2"}, {b, "3"}} {
		if err := keyring.Set(set[0], set[1]); err != nil {
			t.Fatal(err)
		}
	}
	list(b, a)
	if got, err := keyring.Get(b); got != "3" || err != nil {
		t.Errorf("%q %v", got, err)
	}
	if err := keyring.Delete(b); err != nil {
		t.Fatal(err)
	}
	if _, err := keyring.Get(b); !errors.Is(err, keyring.ErrNotFound) {
		t.Errorf("%v", err)
	}
	if err := keyring.Delete(b); !errors.Is(err, keyring.ErrNotFound) {
		t.Errorf("%v", err)
	}
	list(a)
	if err := keyring.Delete(a); err != nil {
		t.Fatal(err)
	}
	list()
}

// What the library says of a keyring that does not work is said to be no keyring.
func TestNoKeyring(t *testing.T) {
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "mocked")
	library.MockInitWithError(errors.New("The name org.freedesktop.secrets was not provided"))
	for _, err := range []error{keyring.Set("x", "1"), keyring.Delete("x"), func() error { _, err := keyring.Get("x"); return err }()} {
		if !errors.Is(err, keyring.ErrNone) || !strings.Contains(err.Error(), "org.freedesktop.secrets") {
			t.Errorf("%v", err)
		}
	}
}

// Without a session bus nothing is asked, and no bus is started.
func TestHeadless(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("other systems always have a keyring")
	}
	library.MockInit()
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "")
	if keyring.Check() == nil {
		t.Skip("this machine has a session bus of its own")
	}
	if err := keyring.Set("x", "1"); !errors.Is(err, keyring.ErrNone) {
		t.Errorf("%v", err)
	}
}
