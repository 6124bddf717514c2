// Package recorded reads what a real PVE node answered, request by request,
// for the tests that compare ours with it. The recordings are a folder of JSON
// Lines files beside the checkout, not part of it.
package recorded

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Row is one line of a file: a request with its answer, a task that was awaited,
// or a remark.
type Row struct {
	File string `json:"-"`
	Line int    `json:"-"`

	Token   string            `json:"token"` // "" for a request without one
	Method  string            `json:"method"`
	Path    string            `json:"path"` // below /api2/json, escaped
	Params  map[string]any    `json:"params"`
	Headers map[string]string `json:"headers"`
	RawBody string            `json:"raw_body"`
	Gap     float64           `json:"gap"` // seconds of pause before it

	Status int             `json:"status"`
	Reason string          `json:"reason"`
	Type   string          `json:"type"` // content type
	Body   json.RawMessage `json:"body"`
	Text   string          `json:"text"` // the body if it is not JSON

	Task     string            `json:"task"`
	Statuses []json.RawMessage `json:"statuses"`
	Log      json.RawMessage   `json:"log"`
}

// String names the row for a test's output.
func (r Row) String() string {
	return fmt.Sprintf("%s:%d %s %s %s", r.File, r.Line, r.Token, r.Method, r.Path)
}

// IsRequest reports whether the row is a request with its answer.
func (r Row) IsRequest() bool { return r.Method != "" }

// Form returns Params as they went over the wire.
func (r Row) Form() url.Values {
	form := url.Values{}
	for k, v := range r.Params {
		if list, ok := v.([]any); ok {
			for _, e := range list {
				form.Add(k, fmt.Sprint(e))
			}
			continue
		}
		form.Set(k, fmt.Sprint(v))
	}
	return form
}

// Dir returns the folder of the recordings: PVE_RECORDINGS, or
// shared/reference/recordings in a folder above this one. If there is none, it skips the
// test and says so.
func Dir(t testing.TB) string {
	t.Helper()
	if dir := os.Getenv("PVE_RECORDINGS"); dir != "" {
		return dir
	}
	dir, err := os.Getwd()
	for err == nil && dir != filepath.Dir(dir) {
		dir = filepath.Dir(dir)
		found := filepath.Join(dir, "shared", "reference", "recordings")
		if _, err := os.Stat(found); err == nil {
			return found
		}
	}
	t.Skip("no recordings of a real node here: set PVE_RECORDINGS to their folder")
	return ""
}

// Rows returns the rows of the named files, such as "auth", or of all.
func Rows(t testing.TB, names ...string) []Row {
	t.Helper()
	dir := Dir(t)
	files := []string{}
	for _, name := range names {
		files = append(files, filepath.Join(dir, name+".jsonl"))
	}
	if len(names) == 0 {
		files, _ = filepath.Glob(filepath.Join(dir, "*.jsonl"))
	}
	var rows []Row
	for _, file := range files {
		rows = append(rows, read(t, file)...)
	}
	if len(rows) == 0 {
		t.Fatalf("no rows in %s", dir)
	}
	return rows
}

func read(t testing.TB, file string) []Row {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var rows []Row
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, 1<<24)
	for line := 1; sc.Scan(); line++ {
		row := Row{File: strings.TrimSuffix(filepath.Base(file), ".jsonl"), Line: line}
		dec := json.NewDecoder(strings.NewReader(sc.Text()))
		dec.UseNumber()
		if err := dec.Decode(&row); err != nil {
			t.Fatalf("%s:%d: %v", file, line, err)
		}
		rows = append(rows, row)
	}
	if err := sc.Err(); err != nil {
		t.Fatal(err)
	}
	return rows
}
