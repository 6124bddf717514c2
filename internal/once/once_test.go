package once_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"net/url"

	"github.com/pve-mcp/pve-mcp/internal/once"
)

func claim(t *testing.T, s once.Store, id string, until time.Time) bool {
	t.Helper()
	first, err := s.Claim(t.Context(), id, until)
	if err != nil {
		t.Fatal(err)
	}
	return first
}

func isClaimed(t *testing.T, s once.Store, id string, until time.Time) bool {
	t.Helper()
	claimed, err := s.Claimed(t.Context(), id, until)
	if err != nil {
		t.Fatal(err)
	}
	return claimed
}

// A folder keeps what may still be asked for, forgets the rest, and touches nothing else.
func TestFolder(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "another"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	open := func() once.Folder {
		f, err := once.OpenFolder(dir)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	a, b := open(), open()
	old, now := time.Now().Add(-2*time.Hour), time.Now()
	if !claim(t, a, "OLD", old) || !claim(t, a, "NEW", now) || claim(t, b, "NEW", now) || !claim(t, b, "OTHER", now) {
		t.Error("a claim is counted wrongly")
	}
	if !isClaimed(t, b, "NEW", now) || isClaimed(t, a, "ANOTHER", old) || !claim(t, a, "ANOTHER", old) {
		t.Error("a look is wrong, or claims")
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name()[strings.LastIndex(e.Name(), "-")+1:])
		info, err := e.Info()
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v %v", info.Mode(), err)
		}
	}
	if slices.Sort(names); !slices.Equal(names, []string{"NEW", "OTHER", "another"}) {
		t.Errorf("left are %v", names)
	}
	if _, err := once.OpenFolder(filepath.Join(dir, "missing")); err == nil {
		t.Error("a folder that is not there is opened")
	}
}

// A server forgets a claim by itself, and not before its time.
func TestRedis(t *testing.T) {
	server := miniredis.RunT(t)
	store := once.Redis{URL: &url.URL{Scheme: "redis", Host: server.Addr(), Path: "/3"}, Password: func() (string, error) { return "", nil }}
	until := time.Now().Add(time.Minute)
	if isClaimed(t, store, "X", until) || !claim(t, store, "X", until) || claim(t, store, "X", until) || !isClaimed(t, store, "X", until) {
		t.Error("a claim is counted wrongly")
	}
	server.Select(3)
	if server.FastForward(time.Minute); claim(t, store, "X", until) {
		t.Error("it is forgotten too early")
	}
	if server.FastForward(time.Hour); len(server.Keys()) != 0 {
		t.Errorf("it keeps %v", server.Keys())
	}
}

// A process forgets what has expired, and judges nothing that another one has asked.
func TestLedger(t *testing.T) {
	l, other := once.NewLedger(nil), once.NewLedger(nil)
	now := time.Now()
	for _, tt := range []struct {
		at   time.Time
		want bool
	}{{now, true}, {now.Add(time.Minute), false}, {now.Add(3 * time.Minute), true}} {
		if first, err := l.Claim(t.Context(), "X", tt.at, tt.at.Add(2*time.Minute)); err != nil || first != tt.want {
			t.Errorf("%v: %v %v", tt.at, first, err)
		}
	}
	if !l.Knows(l.Process()) || l.Knows(other.Process()) || l.Knows("") {
		t.Error("it knows a wrong process")
	}
}
