package audit_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/pve-mcp/pve-mcp/internal/audit"
)

// flip returns two lines the other way round.
func flip(text string) string {
	lines := strings.SplitAfter(text, "\n")
	return lines[1] + lines[0]
}

func TestTampering(t *testing.T) {
	for _, keys := range [][][]byte{nil, key} {
		l, path := start(t, keys...)
		for range 3 {
			e, err := l.Begin(t.Context(), audit.Record{Tool: "t", Caller: "c"})
			if err != nil || e.End(t.Context(), "ok", "") != nil {
				t.Fatal(err)
			}
		}
		whole := read(t, path)
		lines := strings.SplitAfter(whole, "\n")[:6]
		head := strings.TrimSpace(read(t, path+".head"))
		join := func(ls ...[]string) string { return strings.Join(slices.Concat(ls...), "") }
		for _, tt := range []struct {
			name, text, head, want string
		}{
			{"nothing", whole, head, ""},
			{"changed", strings.Replace(whole, `"caller":"c"`, `"caller":"d"`, 2), "", "1:1: the line was changed, or its hash was made with a key that is not given here"},
			{"changed in the middle", join(lines[:3], []string{strings.Replace(lines[3], "ok", "no", 1)}, lines[4:]), "", "1:4: the line was changed"},
			{"changed at the end", join(lines[:5], []string{strings.Replace(lines[5], "ok", "no", 1)}), "", "1:6: the line was changed"},
			{"another hash", join(lines[:2], []string{regexp.MustCompile(`"hash":"..`).ReplaceAllString(lines[2], `"hash":"zz`)}, lines[3:]), "", "1:3: the line was changed"},
			{"carriage returns", strings.ReplaceAll(whole, "\n", "\r\n"), "", "1:1: the line was changed"},
			{"missing", join(lines[:2], lines[3:]), "", "1:3: a line before this one is missing"},
			{"reordered", join(lines[:2], []string{lines[3], lines[2]}, lines[4:]), "", "1:3: the lines were reordered: this one follows 1:4"},
			{"repeated", join(lines[:2], lines[1:]), "", "1:3: the lines were reordered: this one follows 1:1"},
			{"a foreign line", join(lines[:2], []string{"{}\n"}, lines[2:]), "", "1:3: the line was changed"},
			{"an empty line", join(lines[:2], []string{"\n"}, lines[2:]), "", "1:3: the line was changed"},
			{"cut, and the head not known", join(lines[:4]), "", ""},
			{"cut", join(lines[:4]), head, "1:4: the log ends here without the line whose hash is " + head + ": its tail was cut off"},
			{"cut within a line", whole[:len(whole)-20], head, "1:5: the log ends here"},
		} {
			_, err := verify(keys, tt.head, tt.text)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.HasPrefix(err.Error(), tt.want)) {
				t.Errorf("%s: got %v\nwant %s", tt.name, err, tt.want)
			}
		}
		refuse(t, l, 2)
		if r, err := verify(keys, head, read(t, path)); err != nil || r.Later != 2 {
			t.Errorf("a head of earlier: %+v %v", r, err)
		}
	}
}

// What was cut off is missed by the next line, though no head was noted elsewhere.
func TestCutBetweenWrites(t *testing.T) {
	for name, cut := range map[string]func(lines []string) string{
		"cut": func(lines []string) string { return lines[0] + lines[1] },
		"changed": func(lines []string) string {
			return lines[0] + lines[1] + strings.Replace(lines[2], "refused", "REFUSED", 1)
		},
		"chained anew": func(lines []string) string {
			return lines[0]
		},
	} {
		l, path := start(t)
		refuse(t, l, 3)
		write(t, path, cut(strings.SplitAfter(read(t, path), "\n")))
		refuse(t, l, 1)
		if r, err := verify(nil, "", read(t, path)); err == nil {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

func TestKeys(t *testing.T) {
	older, newer := []byte("older"), []byte("newer")
	l, path := start(t)
	refuse(t, l, 2)
	plain := read(t, path)
	refuse(t, open(t, path, older), 1)
	refuse(t, open(t, path, newer, older), 1)
	keyed := read(t, path)
	refuse(t, l, 1)
	for _, tt := range []struct {
		name, text string
		keys       [][]byte
		want       string
	}{
		{"all", keyed, [][]byte{newer, older}, ""},
		{"not the older one", keyed, [][]byte{newer}, "1:3: the line was changed"},
		{"none", keyed, nil, "1:3: the line was changed"},
		{"of a log without", plain, [][]byte{newer}, "1:2: this last line was made without a key, so that nothing vouches for it"},
		{"not at the end", read(t, path), [][]byte{newer, older}, "1:5: this last line was made without a key"},
	} {
		_, err := verify(tt.keys, "", tt.text)
		if (tt.want == "") != (err == nil) || err != nil && !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%s: got %v\nwant %s", tt.name, err, tt.want)
		}
	}
}

func TestOpen(t *testing.T) {
	l, path := start(t)
	refuse(t, l, 1)
	if _, err := l.Begin(t.Context(), audit.Record{Tool: "pve_guest_power", About: "Stop of VM 104"}); err != nil {
		t.Fatal(err)
	}
	e, err := l.Begin(t.Context(), audit.Record{Tool: "t"})
	if err != nil || e.End(t.Context(), "unknown", "") != nil {
		t.Fatal(err)
	}
	r, err := verify(nil, "", read(t, path))
	if err != nil || len(r.Open) != 1 || r.Open[0].String() != "1:2" || !strings.HasSuffix(r.Open[0].About, " pve_guest_power (Stop of VM 104)") {
		t.Errorf("%+v %v", r, err)
	}
}
