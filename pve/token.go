package pve

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
)

// Secret is text that is never shown: it prints, logs and encodes as [secret].
type Secret struct{ text string }

const shown = "[secret]"

// NewSecret wraps text.
func NewSecret(text string) Secret { return Secret{text} }

// Reveal returns the text.
func (s Secret) Reveal() string { return s.text }

// IsZero reports whether there is no text.
func (s Secret) IsZero() bool { return s.text == "" }

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
}

var (
	tokenIDRE     = regexp.MustCompile(`^[^\s:/]+@[A-Za-z][A-Za-z0-9.\-_]+![A-Za-z][A-Za-z0-9.\-_]+$`)
	tokenSecretRE = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
)

// CheckTokenID reports whether s can be the id of an API token. The error does not
// show s, which may be a secret in the wrong place.
func CheckTokenID(s string) error {
	if strings.Contains(s, "=") {
		return errors.New("the id of a token ends before the =; the secret is a setting of its own")
	}
	if !tokenIDRE.MatchString(s) {
		return errors.New("the value is not of the form USER@REALM!NAME")
	}
	return nil
}

// Check reports whether the secret can be one: PVE makes them as UUIDs. The error
// does not show it.
func (s Secret) Check() error {
	if !tokenSecretRE.MatchString(s.text) {
		return fmt.Errorf("a token secret is a UUID; this one has %d characters and another form", len(s.text))
	}
	return nil
}

// header is the value of the Authorization header.
func (t Token) header() string { return "PVEAPIToken=" + t.ID + "=" + t.Secret.text }
