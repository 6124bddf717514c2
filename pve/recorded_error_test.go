package pve

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/pve-mcp/pve-mcp/internal/testkit/recorded"
	"github.com/pve-mcp/pve-mcp/proxmox"
)

// recordedPath is the path of a request that was recorded.
func recordedPath(t *testing.T, escaped string) proxmox.Path {
	t.Helper()
	elems := strings.Split(strings.TrimPrefix(escaped, "/"), "/")
	for i := range elems {
		var err error
		if elems[i], err = url.PathUnescape(elems[i]); err != nil {
			t.Fatal(err)
		}
	}
	return proxmox.Join(elems...)
}

func TestRecordedErrors(t *testing.T) {
	rows, statuses := 0, map[int]int{}
	for _, row := range recorded.Rows(t) {
		if !row.IsRequest() || row.Status == 200 {
			continue
		}
		rows++
		statuses[row.Status]++
		var err error
		synctest.Test(t, func(t *testing.T) { // a node that does not answer is asked again
			c, p := player(t)
			p.row = row
			_, err = c.Do(t.Context(), row.Method, recordedPath(t, row.Path), row.Form())
		})
		var got *proxmox.Error
		if strings.Contains(row.Path, "/../") { // the client sends no such path
			if err == nil || errors.As(err, &got) {
				t.Errorf("%v: %v", row, err)
			}
			continue
		}
		if !errors.As(err, &got) {
			t.Errorf("%v: %T %v, want a *proxmox.Error", row, err, err)
			continue
		}
		var body struct {
			Message string
			Errors  map[string]string
		}
		if row.Body != nil {
			if err := json.Unmarshal(row.Body, &body); err != nil {
				t.Fatal(err)
			}
		}
		want := &proxmox.Error{Method: row.Method, Path: recordedPath(t, row.Path).String(), Status: row.Status, Message: strings.TrimSpace(body.Message), Params: body.Errors}
		if want.Message == "" {
			want.Message = row.Reason
		}
		want.Message, _, _ = strings.Cut(want.Message, " at /usr/share/perl5/")
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%v (-want +got):\n%s", row, diff)
		}
		if _, _, denied := got.Denied(); denied != (row.Status == 403) {
			t.Errorf("%v: Denied() = %v", row, denied)
		}
		if NoSuchGuest(got) != strings.HasPrefix(row.Reason, "Configuration file ") {
			t.Errorf("%v: NoSuchGuest() = %v", row, NoSuchGuest(got))
		}
	}
	t.Logf("%d rows became typed errors, by status: %v", rows, sortedCounts(statuses))
}

func sortedCounts(m map[int]int) []string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, fmt.Sprintf("%d:%d", k, m[k]))
	}
	return out
}
