package proxmox

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"testing"

	"github.com/pve-mcp/pve-mcp/internal/jsonscan"
	"github.com/pve-mcp/pve-mcp/proxmox/lenient"
)

// The data of an answer is what encoding/json finds there.
func FuzzReply(f *testing.F) {
	for _, seed := range []string{`{}`, `[]`, ` { } `, `{"a":1}`, `"\u12g4"`, `{"a":1,}`, "\x00", "\ufeff{}", `NaN`, `[`, "\"\xff\"", `1}`, `1,"data":2`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		body := slices.Concat([]byte(`{"total":"5","x":[{}],"data" : `), data, []byte(" }"))
		r, err := replyOf(&http.Response{Status: "200 OK", StatusCode: http.StatusOK, Body: io.NopCloser(bytes.NewReader(body))})
		if err != nil {
			t.Fatal(err)
		}
		ans, err := r.answer(http.MethodGet, Path{})
		if err == nil && !json.Valid(body) || json.Valid(data) && (err != nil || ans.Total != lenient.Some[int64](5) || string(ans.Data) != string(jsonscan.Trim(data))) {
			t.Fatalf("%s: %+v %v", body, ans, err)
		}
	})
}
