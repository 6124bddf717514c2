package audit_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/pve-mcp/pve-mcp/internal/audit"
)

// Whatever a call has, its record has a limit, tells what was cut, and keeps the rest.
func TestRecordsAreBounded(t *testing.T) {
	long := strings.Repeat("ä", 1<<17)
	list, object, deep := []string{}, map[string]string{}, strings.Repeat(`{"a":`, 9000)+`"x"`+strings.Repeat("}", 9000)
	for i := range 10000 {
		list, object[fmt.Sprint("name", i)] = append(list, "item"), "value"
	}
	arguments := func(v any) json.RawMessage {
		text, err := json.Marshal(map[string]any{"vmid": 101, "v": v})
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	for name, r := range map[string]audit.Record{
		"a long caller": {Caller: long}, "a long tool": {Tool: long}, "a long node": {Node: long},
		"a long plan": {About: long}, "a long reason": {Reason: long},
		"a long argument": {Arguments: arguments(long)}, "a long list": {Arguments: arguments(list)},
		"an object of many": {Arguments: arguments(object)}, "a long name": {Arguments: arguments(map[string]string{long: "x"})},
		"many texts": {Arguments: arguments(strings.Split(strings.Repeat(strings.Repeat("x", 2000)+" ", 90), " "))},
		"much in it": {Arguments: json.RawMessage(deep)},
	} {
		l, path := start(t)
		e, err := l.Begin(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		if err := e.End(t.Context(), "ok", ""); err != nil {
			t.Fatal(err)
		}
		text := read(t, path)
		if len(text) > 100<<10 || strings.Count(text, "\n") != 2 || !strings.Contains(text, "sha256 ") {
			t.Errorf("%s: %d bytes, %.300s", name, len(text), text)
		}
		for line := range strings.Lines(text) {
			if !json.Valid([]byte(line)) {
				t.Errorf("%s: %.300s", name, line)
			}
		}
		if strings.HasPrefix(string(r.Arguments), `{"v`) && name != "many texts" && !strings.Contains(text, `"vmid":101`) {
			t.Errorf("%s: the rest is lost: %.300s", name, text)
		}
	}
}

// A short value is recorded unchanged.
func TestRecordsAreWhole(t *testing.T) {
	l, path := start(t)
	argument := strings.Repeat("x", 4000)
	if err := l.Refuse(t.Context(), audit.Record{Tool: "t", Arguments: json.RawMessage(`{"a":"` + argument + `"}`)}, "refused"); err != nil {
		t.Fatal(err)
	}
	if text := read(t, path); !strings.Contains(text, `"arguments":{"a":"`+argument+`"}`) {
		t.Errorf("%s", text)
	}
}
