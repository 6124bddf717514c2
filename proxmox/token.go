package proxmox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
)

// Secret is text that is never shown: it prints, logs and encodes as [secret].
type Secret struct {
	text string
	late *late // instead of text
}

const shown = "[secret]"

// NewSecret wraps text.
func NewSecret(text string) Secret { return Secret{text: text} }

// LateSecret is text that is read when it is first needed, such as from a keyring that
// may ask its owner first. read is called again after an error, and by one goroutine at
// a time.
func LateSecret(read func() (string, error)) Secret {
	return Secret{late: &late{read: read, turn: make(chan struct{}, 1)}}
}

// late is text that is read when it is first needed.
type late struct {
	read func() (string, error)
	turn chan struct{} // has one element while read runs
	text atomic.Pointer[string]
}

// Read returns the text. It waits for a late one no longer than ctx lasts.
func (s Secret) Read(ctx context.Context) (string, error) {
	if s.late == nil {
		return s.text, nil
	}
	if text := s.late.text.Load(); text != nil {
		return *text, nil
	}
	select {
	case s.late.turn <- struct{}{}:
	case <-ctx.Done():
		return "", ctx.Err()
	}
	done := make(chan error, 1)
	go func() {
		defer func() { <-s.late.turn }()
		if s.late.text.Load() != nil {
			done <- nil
			return
		}
		text, err := s.late.read()
		if err == nil {
			s.late.text.Store(&text)
		}
		done <- err
	}()
	select {
	case err := <-done:
		if err != nil {
			return "", err
		}
		return *s.late.text.Load(), nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// Reveal returns the text; one that comes late has none here.
func (s Secret) Reveal() string { return s.text }

// IsZero reports whether there is no text, nor will be.
func (s Secret) IsZero() bool { return s.text == "" && s.late == nil }

// String returns a placeholder.
func (s Secret) String() string { return shown }

// GoString returns a placeholder.
func (s Secret) GoString() string { return shown }

// Format writes a placeholder for every verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, shown) }

// MarshalText writes a placeholder.
func (s Secret) MarshalText() ([]byte, error) { return []byte(shown), nil }

// Token is an API token.
type Token struct {
	ID     string // user@realm!name
	Secret Secret // a UUID
	// Product is the server's, which takes tokens in a form of its own; "" is [VE].
	Product Product
}

// Product is a product of Proxmox, whose API a server offers.
type Product string

// The products that this package knows.
const (
	VE           Product = ""              // Proxmox VE
	BackupServer Product = "backup server" // Proxmox Backup Server
)

// CheckTokenID reports whether s can be the id of an API token. The error does not
// show s, which may be a secret in the wrong place.
func CheckTokenID(s string) error {
	if strings.Contains(s, "=") {
		return errors.New("the id of a token ends before the =; the secret is a setting of its own")
	}
	user, name := cutLast(s, "!")
	user, realm := cutLast(user, "@")
	if user == "" || strings.ContainsAny(user, ":/ \t\n\f\r") || !isTokenName(realm) || !isTokenName(name) {
		return errors.New("the value is not of the form USER@REALM!NAME")
	}
	return nil
}

// isTokenName reports whether s can be the name of a realm, or of a token.
func isTokenName(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z':
		case i > 0 && ('0' <= c && c <= '9' || c == '.' || c == '-' || c == '_'):
		default:
			return false
		}
	}
	return len(s) > 1
}

// cutLast is [strings.Cut] at the last separator; without one all is after it.
func cutLast(s, sep string) (before, after string) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):]
	}
	return "", s
}

// Check returns an error if the secret is no UUID, as those of PVE are. The error does not
// show it. A late secret is not checked.
func (s Secret) Check() error {
	if s.late == nil && !isUUID(s.text) {
		return fmt.Errorf("a token secret is a UUID; this one has %d characters and another form", len(s.text))
	}
	return nil
}

func isUUID(s string) bool {
	const form = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx"
	if len(s) != len(form) {
		return false
	}
	for i := range len(form) {
		isHex := strings.IndexByte("0123456789abcdefABCDEF", s[i]) >= 0
		if form[i] == 'x' && !isHex || form[i] == '-' && s[i] != '-' {
			return false
		}
	}
	return true
}

// header returns the value of the Authorization header.
func (t Token) header(ctx context.Context) (string, error) {
	if t.ID == "" {
		return "", nil
	}
	secret, err := t.Secret.Read(ctx)
	if t.Product == BackupServer {
		return "PBSAPIToken=" + t.ID + ":" + secret, err
	}
	return "PVEAPIToken=" + t.ID + "=" + secret, err
}
