package callers_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/callers"
	"github.com/pve-mcp/pve-mcp/internal/files"
)

// Whatever is in the file of tokens, it is read or refused: whom it lets in has a name, a
// hash and scopes that are ours, and nothing lets in a token that is empty.
func FuzzTokenFile(f *testing.F) {
	path := filepath.Join(f.TempDir(), "tokens.json")
	for _, t := range []callers.Token{
		{Name: "alice", Scopes: callers.Scopes{callers.Read}},
		{Name: "bob.b-1", Scopes: callers.Scopes{callers.Destroy, callers.Exec}, Expires: time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)},
	} {
		if _, err := callers.Add(files.At(path), t); err != nil {
			f.Fatal(err)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, "pvemcp_x")
	}
	f.Add([]byte(`{"tokens":null}`), "")
	f.Add([]byte(`{"tokens":[{"name":"a","sha256":"","scopes":[""]}]}`), " ")
	f.Add([]byte("[]"), "\n")
	f.Fuzz(func(t *testing.T, data []byte, secret string) {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		all, err := callers.Load(files.At(path))
		if err != nil && all != nil {
			t.Errorf("%v, and %d tokens", err, len(all))
		}
		file, openErr := callers.Open(files.At(path))
		if (err == nil) != (openErr == nil) {
			t.Errorf("%v, then %v", err, openErr)
		}
		for _, token := range all {
			if _, err := callers.ParseScopes(token.Scopes.String()); err != nil || token.Name == "" || len(token.Hash) != 64 {
				t.Errorf("%+v: %v", token, err)
			}
		}
		if err != nil {
			return
		}
		got, err := file.Find(secret, time.Now())
		if err == nil && (got.Expired(time.Now()) || len(got.Scopes) == 0) {
			t.Errorf("%q lets in %+v", secret, got)
		}
	})
}
