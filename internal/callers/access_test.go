package callers_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/callers"
	"github.com/pve-mcp/pve-mcp/internal/files"
	"github.com/pve-mcp/pve-mcp/internal/policy"
)

func TestScopes(t *testing.T) {
	for _, tt := range []struct {
		scopes string
		allow  string // read, write, destructive, exec, access
	}{
		{"pve:read", "+----"},
		{"pve:write", "++---"},
		{"pve:destroy", "+++--"},
		{"pve:exec", "---+-"},
		{"pve:exec,pve:read", "+--+-"},
		{"pve:destroy pve:exec", "++++-"},
		{"pve:access", "----+"},
		{"pve:read pve:access", "+---+"},
	} {
		s, err := callers.ParseScopes(tt.scopes)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, r := range []policy.Risk{policy.Read, policy.Write, policy.Destructive, policy.Exec, policy.Access} {
			if s.Allow(r) != (s.Refuse(r) == "") {
				t.Errorf("%s: %v is allowed and refused", s, r)
			}
			got += map[bool]string{true: "+", false: "-"}[s.Allow(r)]
		}
		if got != tt.allow {
			t.Errorf("%s allows %s, want %s", tt.scopes, got, tt.allow)
		}
	}
	if other := callers.ScopesOf([]string{"openid", "pve:admin", ""}); other.Allow(policy.Read) || other.Allow(policy.Exec) || other.Allow(policy.Access) {
		t.Error("scopes of others allow something")
	}
	for _, bad := range []string{"", "pve:admin", "pve:read,openid"} {
		if _, err := callers.ParseScopes(bad); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

// A change of the file counts for the very next call.
func TestTokens(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens.json")
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	alice, err := callers.Add(files.At(path), callers.Token{Name: "alice", Created: now, Scopes: callers.Scopes{callers.Read}})
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil || strings.Contains(string(data), alice) || len(alice) < 40 {
		t.Errorf("%v: the file has the token itself: %s", err, data)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	f, err := callers.Open(files.At(path))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := f.Find(alice, now); err != nil || got.Name != "alice" {
		t.Errorf("%+v %v", got, err)
	}
	bob, err := callers.Add(files.At(path), callers.Token{Name: "bob", Expires: now.Add(time.Hour), Scopes: callers.Scopes{callers.Exec}})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := f.Find(bob, now.Add(59*time.Minute)); err != nil || got.Name != "bob" {
		t.Errorf("%+v %v", got, err)
	}
	if _, err := f.Find(bob, now.Add(time.Hour)); !errors.Is(err, callers.ErrExpired) {
		t.Errorf("after its expiry: %v", err)
	}
	if _, err := callers.Add(files.At(path), callers.Token{Name: "bob", Scopes: callers.Scopes{callers.Read}}); err == nil {
		t.Error("a second bob")
	}
	if err := callers.Revoke(files.At(path), "alice"); err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{alice, "", "pvemcp_", "alice"} {
		if _, err := f.Find(secret, now); !errors.Is(err, callers.ErrUnknown) {
			t.Errorf("%q: %v", secret, err)
		}
	}
	if err := callers.Revoke(files.At(path), "alice"); err == nil {
		t.Error("alice was revoked twice")
	}
}

// While the file cannot be read, nobody is let in; once it can, all are again.
func TestBrokenFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens.json")
	if _, err := callers.Open(files.At(path)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
	secret, err := callers.Add(files.At(path), callers.Token{Name: "alice", Scopes: callers.Scopes{callers.Read}})
	if err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := callers.Open(files.At(path))
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"", "{", `{"tokens":[{"name":"a b","sha256":"` + strings.Repeat("ab", 32) + `","scopes":["pve:read"]}]}`, strings.ReplaceAll(string(good), "pve:read", "pve:root")} {
		if err := os.WriteFile(path, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Find(secret, time.Now()); err == nil || errors.Is(err, callers.ErrUnknown) {
			t.Errorf("%.20q: %v", bad, err)
		}
	}
	if err := os.WriteFile(path, good, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Find(secret, time.Now()); err != nil {
		t.Errorf("%v", err)
	}
}

// Two processes that change the file do not lose each other's change.
func TestOneEditAtATime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens.json")
	if err := os.WriteFile(path+".new", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := callers.Add(files.At(path), callers.Token{Name: "alice", Scopes: callers.Scopes{callers.Read}})
	if err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(path + ".new"); err != nil {
		t.Error("the other's file was removed")
	}
}

// Where the folder of the file is not there, it is said how to make it.
func TestAddWithoutAFolder(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "missing")
	_, err := callers.Add(files.At(filepath.Join(folder, "tokens.json")), callers.Token{Name: "x", Scopes: callers.Scopes{callers.Read}})
	if err == nil || err.Error() != "the folder "+folder+" is not there; make it first: install -d -m 700 "+folder {
		t.Error(err)
	}
}
