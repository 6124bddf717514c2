package pvesim_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pve-mcp/pve-mcp/pvesim"
)

// journal is what a node says of its journal.
func (w *world) journal(query string) []any {
	w.Helper()
	form, err := url.ParseQuery(query)
	if err != nil {
		w.Fatal(err)
	}
	lines, _ := w.do("GET", "/nodes/pve1/journal", form).Body.Data.([]any)
	return lines
}

func TestJournal(t *testing.T) {
	m := pvesim.Cluster()
	m.Tasks = nil
	m.Nodes[0].Journal = []pvesim.JournalLine{
		{Ago: time.Hour, From: "kernel", Text: "Out of memory: Killed process 4711 (kvm)"},
		{Ago: 2 * time.Hour, From: "pvestatd", Text: "storage 'nfs' is not online"},
	}
	w := newWorld(t, m)
	oom, storage := "Nov 22 11:00:00 pve1 kernel[", "Nov 22 10:00:00 pve1 pvestatd["
	all := w.journal("")
	if len(all) != 4 {
		t.Fatalf("%q is not two lines between their cursors", all)
	}
	first, last := url.QueryEscape(all[0].(string)), url.QueryEscape(all[3].(string))
	for query, want := range map[string][]string{
		"":                     {storage, oom},
		"since=1795343400":     {oom}, // half past ten
		"until=1795343400":     {storage},
		"lastentries=1":        {oom},
		"service=pve*":         {storage},
		"kernel=1":             {oom},
		"startcursor=" + first: {oom},
		"endcursor=" + last:    {storage},
		"since=1795999999":     nil,
	} {
		var got []string
		for i, line := range w.journal(query) {
			if text := line.(string); i > 0 && text[1] != '=' {
				got = append(got, text[:len(want[len(got)])])
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", query, diff)
		}
	}
}

// PVE compresses the journal whether or not a client has said that it can read that.
func TestJournalIsCompressed(t *testing.T) {
	w := newWorld(t, pvesim.Cluster())
	req := pvesim.Request{Method: "GET", Path: "/api2/json/nodes/pve1/journal", Header: http.Header{"Authorization": {w.model.Token(w.token).Header()}}}
	resp, err := w.sim.Do(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	if resp.Header.Get("Content-Encoding") != "gzip" || resp.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%v", resp.Header)
	}
	if s := w.at("pve1", "/nodes/pve1/journal"); s.Err != nil || s.Body.Data == nil { // Go's transport asks for that, and reads it
		t.Errorf("through the transport: %v %v", s.Err, s.Body)
	}
}
