package apischema_test

import (
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pve-mcp/pve-mcp/internal/testkit/recorded"
	"github.com/pve-mcp/pve-mcp/pve/apischema"
)

// codeErrors are recorded refusals of parameters that PVE makes in the code
// behind an endpoint, not by its schema.
var codeErrors = []string{
	"unknown option 'nosuchkey'",
	"you can't use '-cores' and -delete cores' at the same time",
	"No such storage.",
	"unable to parse worker upid",
	"no such task",
	"property is missing",
	"VM 900 already exists",
	"target is local node.",
	"unknown action 'NOPE'",                     // PVE::Firewall reads the whole rule first
	"wrong file extension",                      // depends on the content
	"VM 900 not running locally on node 'pve2'", // depends on the VM
}

func TestRecordedRefusals(t *testing.T) {
	apis := map[int]*apischema.API{}
	for _, major := range []int{8, 9} {
		api, err := apischema.Load(major)
		if err != nil {
			t.Fatal(err)
		}
		apis[major] = api
	}
	refused, accepted, inCode := 0, 0, 0
	for _, row := range recorded.Rows(t) {
		if !row.IsRequest() || row.RawBody != "" || (row.Status != 200 && row.Status != 400) || row.Reason == "Bad Request" {
			continue
		}
		path, err := url.PathUnescape(row.Path)
		if err != nil {
			t.Fatal(err)
		}
		api := apis[8]
		ep, params, ok := api.Find(row.Method, path)
		if askedOfNine(row) || ok && ep.ProxyTo != "" && params[ep.ProxyTo] == "pve2" {
			api = apis[9]
			ep, params, ok = api.Find(row.Method, path)
		}
		if !ok {
			t.Errorf("%v: no such endpoint", row)
			continue
		}
		for k, v := range row.Form() {
			params[k] = v[0]
			if len(v) > 1 {
				list := []any{}
				for _, e := range v {
					list = append(list, e)
				}
				params[k] = list
			}
		}
		_, err = api.Validate(ep, params)
		got := map[string]string(nil)
		if pe := new(apischema.ParamError); errors.As(err, &pe) {
			got = pe.Errors
		}
		var body struct{ Errors map[string]string }
		if err := json.Unmarshal(row.Body, &body); row.Status == 400 && err != nil {
			t.Fatalf("%v: %v", row, err)
		}
		if isCodeError(body.Errors) {
			inCode++
			body.Errors = nil
		} else if row.Status == 400 {
			refused++
		} else {
			accepted++
		}
		if diff := cmp.Diff(body.Errors, got); diff != "" {
			t.Errorf("%v %v (-recorded +ours):\n%s", row, row.Params, diff)
		}
	}
	t.Logf("%d rows: %d refused by schema in PVE's words, %d accepted, %d refused by code behind the endpoint",
		refused+accepted+inCode, refused, accepted, inCode)
	for major, api := range apis {
		if n := api.Unchecked(); len(n) > 0 {
			t.Logf("PVE %d: formats accepted unchecked: %v", major, n)
		}
	}
}

// askedOfNine reports whether the request went to the 9.2 node. The others went to the
// 8.4 node, which hands those that are another node's business on unread.
func askedOfNine(row recorded.Row) bool { return row.File == "nine_hands" }

func isCodeError(errs map[string]string) bool {
	for _, msg := range errs {
		if slices.Contains(codeErrors, msg) {
			return true
		}
	}
	return false
}
