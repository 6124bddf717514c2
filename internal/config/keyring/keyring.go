// Package keyring keeps the secrets of API tokens in the keyring of the operating
// system: the Keychain of macOS, the Credential Manager of Windows, and on Linux what
// serves org.freedesktop.secrets on the session bus, such as GNOME's keyring or KWallet.
package keyring

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	keyring "github.com/zalando/go-keyring"
)

// service is the name under which everything of ours is kept.
const service = "pve-mcp"

// index is the name under which the names of the others are kept: no keyring lists them
// on every system.
const index = "index"

var (
	// ErrNone says that there is no keyring, or that it cannot be used.
	ErrNone = errors.New("there is no keyring here")
	// ErrNotFound says that the keyring has no such secret.
	ErrNotFound = errors.New("the keyring does not have it")
)

// Name is the name of a token's secret. It is for these hosts alone, in any order, so
// that no other host is ever shown it.
func Name(token string, hosts []string) string {
	return token + " at " + strings.Join(slices.Sorted(slices.Values(hosts)), ", ")
}

// Check returns an error that wraps ErrNone if there can be no keyring. It is quick,
// and starts nothing.
func Check() error {
	bus := os.Getenv("DBUS_SESSION_BUS_ADDRESS")
	if runtime.GOOS != "linux" || bus != "" && bus != "autolaunch:" {
		return nil
	}
	me, err := user.Current()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNone, err)
	}
	// Where the library would look too; where it finds nothing, it would start a bus.
	for _, name := range []string{"bus", "dbus-session"} {
		if _, err := os.Stat(filepath.Join("/run/user", me.Uid, name)); err == nil {
			return nil
		}
	}
	return fmt.Errorf("%w: no D-Bus session runs", ErrNone)
}

// Get returns a secret. The error is ErrNotFound or wraps ErrNone. It may wait for a
// human who unlocks the keyring.
func Get(name string) (string, error) {
	if err := Check(); err != nil {
		return "", err
	}
	text, err := keyring.Get(service, name)
	return text, known(err)
}

// Set keeps a secret.
func Set(name, secret string) error {
	names, err := List()
	if err != nil {
		return err
	}
	if err := keyring.Set(service, name, secret); err != nil {
		return known(err)
	}
	if slices.Contains(names, name) {
		return nil
	}
	return keepIndex(append(names, name))
}

// Delete forgets a secret. The error is ErrNotFound or wraps ErrNone.
func Delete(name string) error {
	names, err := List()
	if err != nil {
		return err
	}
	gone := keyring.Delete(service, name)
	if gone != nil && !errors.Is(gone, keyring.ErrNotFound) {
		return known(gone)
	}
	left := slices.DeleteFunc(slices.Clone(names), func(other string) bool { return other == name })
	if len(left) < len(names) {
		err = keepIndex(left)
	}
	return errors.Join(known(gone), err)
}

// List returns the names of the secrets that are kept, sorted.
func List() ([]string, error) {
	text, err := Get(index)
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var names []string
	if err := json.Unmarshal([]byte(text), &names); err != nil {
		return nil, fmt.Errorf("the keyring's entry %s of %s is not a list of names", index, service)
	}
	slices.Sort(names)
	return names, nil
}

func keepIndex(names []string) error {
	if len(names) == 0 {
		return known(keyring.Delete(service, index))
	}
	text, err := json.Marshal(names)
	if err != nil {
		return err
	}
	return known(keyring.Set(service, index, string(text)))
}

// known turns the errors of the library into ours.
func known(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, keyring.ErrNotFound):
		return ErrNotFound
	}
	return fmt.Errorf("%w: %w", ErrNone, err)
}
