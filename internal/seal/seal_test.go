package seal_test

import (
	"encoding/base64"
	"errors"
	"testing"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/seal"
)

func TestSeal(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	old, next := seal.Keys{[]byte("old secret")}, seal.Keys{[]byte("new secret"), []byte("old secret")}
	text, err := old.Seal("consent", "hello", now.Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	changed := []byte(text)
	changed[len(changed)/2] ^= 1
	for name, tt := range map[string]struct {
		keys    seal.Keys
		purpose string
		text    string
		at      time.Time
		want    error
	}{
		"itself":          {old, "consent", text, now, nil},
		"after a new key": {next, "consent", text, now, nil},
		"other key":       {seal.Keys{[]byte("other")}, "consent", text, now, seal.ErrInvalid},
		"no key":          {nil, "consent", text, now, seal.ErrInvalid},
		"other purpose":   {old, "task", text, now, seal.ErrInvalid},
		"too late":        {old, "consent", text, now.Add(2 * time.Minute), seal.ErrExpired},
		"changed":         {old, "consent", string(changed), now, seal.ErrInvalid},
		"cut":             {old, "consent", text[:8], now, seal.ErrInvalid},
		"not base64":      {old, "consent", "%%%", now, seal.ErrInvalid},
		"empty":           {old, "consent", "", now, seal.ErrInvalid},
	} {
		got := ""
		if err := tt.keys.Open(tt.purpose, tt.text, tt.at, &got); !errors.Is(err, tt.want) || err == nil && got != "hello" {
			t.Errorf("%s: %q %v, want %v", name, got, err, tt.want)
		}
	}
	if again, _ := old.Seal("consent", "hello", now.Add(time.Minute)); again == text {
		t.Error("the same text is sealed alike twice")
	}
	if _, err := (seal.Keys{}).Seal("consent", "x", now); err == nil {
		t.Error("sealed without a key")
	}
}

// Whatever a client sends back, only what was sealed is opened.
func FuzzOpen(f *testing.F) {
	keys, now := seal.Keys{[]byte("secret")}, time.Unix(1_800_000_000, 0)
	f.Add("")
	f.Add("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
	const sealed = "GSVXDsejdzHV6XtuZpqNYHTECtBtrUuMdBQnsEm_ailpvFGaPbfUBnM5jnYUyvQyp_A_xx6Qnaz_9MT4idHNng" // "a body", for a minute
	f.Add(sealed)
	bytesOf := func(text string) string {
		raw, _ := base64.RawURLEncoding.DecodeString(text) // some texts decode to the same bytes
		return string(raw)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var got any
		if err := keys.Open("consent", text, now, &got); err == nil && (got != "a body" || bytesOf(text) != bytesOf(sealed)) {
			t.Errorf("%q: %v", text, got)
		}
	})
}
