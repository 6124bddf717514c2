package pve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"

	"pve-mcp/pve/lazyregexp"
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
}

var (
	tokenIDRE     = lazyregexp.New(`^[^\s:/]+@[A-Za-z][A-Za-z0-9.\-_]+![A-Za-z][A-Za-z0-9.\-_]+$`)
	tokenSecretRE = lazyregexp.New(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
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
// does not show it. Of one that comes late, nothing is known yet.
func (s Secret) Check() error {
	if s.late == nil && !tokenSecretRE.MatchString(s.text) {
		return fmt.Errorf("a token secret is a UUID; this one has %d characters and another form", len(s.text))
	}
	return nil
}

// header returns the value of the Authorization header.
func (t Token) header(ctx context.Context) (string, error) {
	if t.ID == "" {
		return "", nil
	}
	secret, err := t.Secret.Read(ctx)
	return "PVEAPIToken=" + t.ID + "=" + secret, err
}
