package tool

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

type pageOut struct {
	Rows []string `json:"rows" cut:"end"`
	Rest
}

// A list that is too long loses rows, of which it says how to get them; rows that are too
// long by themselves lose their ends.
func TestBounded(t *testing.T) {
	var all []string
	for i := range 300 {
		all = append(all, fmt.Sprintf("row %d %s", i, strings.Repeat("x", i)))
	}
	for offset := 0; offset < len(all); {
		part, rest := Page(all, 100, offset)
		data := bounded(&pageOut{part, rest}, 2_000)
		var got pageOut
		if err := json.Unmarshal(data, &got); err != nil || len(data) > 2_000 {
			t.Fatalf("%d bytes: %v: %s", len(data), err, data)
		}
		if len(got.Rows) == 0 || got.LeftOut+len(got.Rows) != len(all) || got.Rows[0] != all[offset] {
			t.Fatalf("at %d: %d rows, %d left out, the first %.20s", offset, len(got.Rows), got.LeftOut, got.Rows[0])
		}
		offset += len(got.Rows)
		if want := fmt.Sprintf("offset: %d, or a filter", offset); offset < len(all) && !strings.HasPrefix(got.More, want) {
			t.Fatalf("%q, want %q", got.More, want)
		}
	}
}

func TestBoundedTexts(t *testing.T) {
	type textOut struct {
		Config map[string]string `json:"config"`
		Any    map[string]any    `json:"any"`
		ID     string            `json:"id"`
	}
	long := strings.Repeat("ä", 5_000) + "…(+10)"
	out := textOut{map[string]string{"description": long, "name": "web"}, map[string]any{"a": []any{long}, "n": 7.0}, "UPID:pve1:x"}
	data := bounded(&out, 2_000)
	var got textOut
	if err := json.Unmarshal(data, &got); err != nil || len(data) > 2_000 || !utf8.Valid(data) {
		t.Fatalf("%d bytes: %v: %s", len(data), err, data)
	}
	if got.Config["name"] != "web" || got.ID != out.ID || got.Any["n"] != 7.0 || !strings.HasSuffix(got.Config["description"], "ä…(+4760)") {
		t.Errorf("%s", data)
	}
}
