// Package seal hands text to a client and gets it back unread and unchanged: it is
// encrypted and authenticated (AES-256-GCM), for one purpose and for a time.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"time"
)

// Keys are the secrets from which the key of each purpose is derived, newest first: the
// first one seals, and all open.
type Keys [][]byte

// Key returns the keys of a purpose, each of 32 bytes, by HKDF with SHA-256.
func (k Keys) Key(purpose string) [][]byte {
	var out [][]byte
	for _, secret := range k {
		key, err := hkdf.Key(sha256.New, secret, nil, "pve-mcp "+purpose, 32)
		if err != nil {
			panic(err) // 32 bytes are not too many
		}
		out = append(out, key)
	}
	return out
}

var (
	// ErrInvalid says that a text was not sealed here, or was changed.
	ErrInvalid = errors.New("it was not made by this server, or was changed")
	// ErrExpired says that the time of a text is over.
	ErrExpired = errors.New("its time is over")
)

// envelope is what is encrypted.
type envelope struct {
	Until int64           `json:"until"` // seconds since 1970
	Body  json.RawMessage `json:"body"`
}

// Seal encrypts body as JSON for a purpose, until a time.
func (k Keys) Seal(purpose string, body any, until time.Time) (string, error) {
	if len(k) == 0 {
		return "", errors.New("there is no key to seal with")
	}
	data, err := json.Marshal(body)
	if err != nil {
		return "", err
	}
	plain, err := json.Marshal(envelope{until.Unix(), data})
	if err != nil {
		return "", err
	}
	box := open(k.Key(purpose)[0])
	nonce := make([]byte, box.NonceSize())
	if _, err := rand.Read(nonce); err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(box.Seal(nonce, nonce, plain, nil)), nil
}

// Open decrypts what Seal made for the same purpose into body. The error is ErrInvalid
// or ErrExpired.
func (k Keys) Open(purpose, text string, now time.Time, body any) error {
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return ErrInvalid
	}
	for _, key := range k.Key(purpose) {
		box := open(key)
		if len(raw) < box.NonceSize() {
			return ErrInvalid
		}
		plain, err := box.Open(nil, raw[:box.NonceSize()], raw[box.NonceSize():], nil)
		if err != nil {
			continue
		}
		var e envelope
		if json.Unmarshal(plain, &e) != nil || json.Unmarshal(e.Body, body) != nil {
			return ErrInvalid
		}
		if now.After(time.Unix(e.Until, 0)) {
			return ErrExpired
		}
		return nil
	}
	return ErrInvalid
}

func open(key []byte) cipher.AEAD {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // the key has 32 bytes
	}
	box, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	return box
}
