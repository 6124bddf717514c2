package callers

import (
	"errors"
	"io/fs"
	"os"
	"sync"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/files"
)

// File is a file of tokens that is read again when it changes.
type File struct {
	name files.Name

	mu     sync.Mutex
	seen   fs.FileInfo      // as it was read; guarded by mu
	tokens map[string]Token // by hash; guarded by mu
	err    error            // why it could not be read; guarded by mu
}

// Open reads a file of tokens.
func Open(name files.Name) (*File, error) {
	f := &File{name: name}
	f.refresh()
	return f, f.err
}

// The reasons why a token is refused.
var (
	ErrUnknown = errors.New("the token is not known here: it is mistyped, or was revoked")
	ErrExpired = errors.New("the token has expired")
)

// Find returns the token with a secret. The error is ErrUnknown or ErrExpired, or says why
// the file cannot be read: then nobody is let in.
func (f *File) Find(secret string, now time.Time) (Token, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refresh()
	t, ok := f.tokens[hashOf(secret)]
	switch {
	case f.err != nil:
		return Token{}, f.err
	case !ok:
		return Token{}, ErrUnknown
	case t.Expired(now):
		return Token{}, ErrExpired
	}
	return t, nil
}

// refresh reads the file if it is not as it was. It is called with mu held.
func (f *File) refresh() {
	info, err := f.name.Stat()
	if err == nil && f.seen != nil && os.SameFile(info, f.seen) &&
		info.ModTime().Equal(f.seen.ModTime()) && info.Size() == f.seen.Size() {
		return
	}
	var all []Token
	if err == nil {
		all, err = Load(f.name)
	}
	f.seen, f.err, f.tokens = info, err, map[string]Token{}
	for _, t := range all {
		f.tokens[t.Hash] = t
	}
}
