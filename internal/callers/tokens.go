package callers

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/files"
	"github.com/pve-mcp/pve-mcp/lazyregexp"
)

// Token is a line of the file of tokens.
type Token struct {
	Name string `json:"name"`
	// Hash is the SHA-256 of the token, in hexadecimal. The token itself has 256 bits
	// from the system's random source, so that a slow hash would add nothing.
	Hash    string    `json:"sha256"`
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires,omitzero"` // zero for never
	Scopes  Scopes    `json:"scopes"`
}

// Expired reports whether a token is no longer valid.
func (t Token) Expired(now time.Time) bool { return !t.Expires.IsZero() && !now.Before(t.Expires) }

// prefix begins every token, so that a scanner for secrets can find one.
const prefix = "pvemcp_"

var nameRE = lazyregexp.New(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// file is what the file of tokens has.
type file struct {
	Tokens []Token `json:"tokens"`
}

// Load reads a file of tokens. One that is not there is an error that wraps
// [fs.ErrNotExist].
func Load(name files.Name) ([]Token, error) {
	data, err := name.Read()
	if err != nil {
		return nil, err
	}
	var f file
	if json.Unmarshal(data, &f) != nil {
		return nil, fmt.Errorf("%v is not a file that pve-mcp token add has written", name)
	}
	for _, t := range f.Tokens {
		if err := t.check(); err != nil {
			return nil, fmt.Errorf("%v: %w", name, err)
		}
	}
	return f.Tokens, nil
}

func (t Token) check() error {
	if !nameRE.MatchString(t.Name) {
		return fmt.Errorf("%q is not a name: it has 1 to 64 letters, digits, dots, hyphens and underscores", t.Name)
	}
	if raw, err := hex.DecodeString(t.Hash); err != nil || len(raw) != sha256.Size {
		return fmt.Errorf("the hash of %s is not a SHA-256", t.Name)
	}
	_, err := ParseScopes(t.Scopes.String())
	return err
}

// Add makes a token and writes its hash into the file. It creates the file if it does not
// exist. The token is returned, and is nowhere else.
func Add(name files.Name, t Token) (secret string, err error) {
	raw := make([]byte, 32)
	if _, err := rand.Read(raw); err != nil {
		return "", err
	}
	secret = prefix + base64.RawURLEncoding.EncodeToString(raw)
	t.Hash = hashOf(secret)
	if err := t.check(); err != nil {
		return "", err
	}
	return secret, edit(name, func(all []Token) ([]Token, error) {
		if slices.ContainsFunc(all, func(other Token) bool { return other.Name == t.Name }) {
			return nil, fmt.Errorf("there is a token %s already; revoke it first, or choose another name", t.Name)
		}
		return append(all, t), nil
	})
}

// Revoke removes a token from the file.
func Revoke(file files.Name, name string) error {
	return edit(file, func(all []Token) ([]Token, error) {
		left := slices.DeleteFunc(slices.Clone(all), func(t Token) bool { return t.Name == name })
		if len(left) == len(all) {
			return nil, fmt.Errorf("there is no token %q", name)
		}
		return left, nil
	})
}

// edit replaces the file by a changed one. Meanwhile a file beside it keeps other
// processes out.
func edit(name files.Name, change func([]Token) ([]Token, error)) (err error) {
	lock := name.Beside(".new")
	f, err := lock.Open(os.O_WRONLY | os.O_CREATE | os.O_EXCL)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%v is there: another process is changing the tokens; if none is, remove it", lock)
	}
	if errors.Is(err, fs.ErrNotExist) {
		folder := filepath.Dir(fmt.Sprint(name))
		return fmt.Errorf("the folder %s is not there; make it first: install -d -m 700 %s", folder, folder)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Remove()) }()
	if err := f.Close(); err != nil {
		return err
	}
	all, err := Load(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	all, err = change(all)
	if err != nil {
		return err
	}
	data, err := json.MarshalIndent(file{all}, "", "  ")
	if err != nil {
		return err
	}
	return name.Replace(func(w io.Writer) error {
		_, err := w.Write(append(data, '\n'))
		return err
	})
}

// LooksLikeToken reports whether a text looks like a token that Add has made.
func LooksLikeToken(secret string) bool { return strings.HasPrefix(secret, prefix) }

// hashOf is what the file has of a token.
func hashOf(secret string) string {
	sum := sha256.Sum256([]byte(strings.TrimSpace(secret)))
	return hex.EncodeToString(sum[:])
}
