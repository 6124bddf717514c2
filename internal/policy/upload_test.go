package policy_test

import (
	"bytes"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"

	"github.com/pve-mcp/pve-mcp/internal/policy"
)

// keeping is a transport that keeps the body that reaches it.
type keeping struct{ body string }

func (k *keeping) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	k.body = string(body)
	return &http.Response{StatusCode: 200, Body: http.NoBody}, err
}

// A file is sent where the table says so, after its parameters were read as PVE reads them:
// those before the file, in the one form that the client writes.
func TestUploads(t *testing.T) {
	const upload = "/nodes/a/storage/local/upload"
	for _, tt := range []struct {
		name, path, file string
		form             func(w *multipart.Writer)
		edit             func(form string) string
		want             string
	}{
		{name: "a new file", path: upload, file: "y.iso", want: sent},
		{name: "over one that a protected guest has", path: upload, file: "x.iso", want: "guest 106 has local:iso/x.iso as ide2"},
		{name: "by a name that PVE makes that of", path: upload, file: "a b.iso", want: "guest 106 has local:iso/a_b.iso as ide3"},
		{name: "a path for a name", path: upload, file: "../x.iso", want: "its parameters are not in the form"},
		{name: "elsewhere", path: "/nodes/a/storage", file: "y.iso", want: "its parameters are not in the form"},
		{name: "to an endpoint that takes none", path: "/nodes/a/storage/local/content", file: "y.iso", want: "its parameters are not in the form"},
		{name: "with a query", path: upload + "?content=iso", file: "y.iso", want: "its parameters are not in the form"},
		{name: "a parameter twice", path: upload, file: "y.iso", form: func(w *multipart.Writer) { _ = w.WriteField("content", "vztmpl") }, want: "the parameter content is given twice"},
		{name: "a parameter that PVE sets", path: upload, file: "y.iso", form: func(w *multipart.Writer) { _ = w.WriteField("tmpfilename", "/etc/shadow") }, want: "its parameters are not in the form"},
		{name: "a quote in a name", path: upload, file: `a".iso`, want: "its parameters are not in the form"},
		{name: "another name for the file", path: upload, file: "y.iso", edit: func(s string) string { return strings.Replace(s, `name="filename"`, `name="tmpfilename"`, 1) }, want: "its parameters are not in the form"},
		{name: "a header that hides a name", path: upload, file: "y.iso", edit: func(s string) string {
			return strings.Replace(s, "Content-Type: application", "X-Y: name=\"filename\"; filename=\"x.iso\"\r\nContent-Type: application", 1)
		}, want: "its parameters are not in the form"},
		{name: "no file", path: upload, file: "", want: "its parameters are not in the form"},
		{name: "too much before it", path: upload, file: "y.iso", form: func(w *multipart.Writer) { _ = w.WriteField("checksum", strings.Repeat("0", 100<<10)) }, want: "its parameters are not in the form"},
	} {
		var form bytes.Buffer
		w := multipart.NewWriter(&form)
		_ = w.WriteField("content", "iso")
		if tt.form != nil {
			tt.form(w)
		}
		if tt.file != "" {
			part, err := w.CreateFormFile("filename", tt.file)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = part.Write(bytes.Repeat([]byte("content\r\n"), 10_000))
		}
		_ = w.Close()
		text := form.String()
		if tt.edit != nil {
			text = tt.edit(text)
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://pve/api2/json"+tt.path, strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", w.FormDataContentType())
		below := &keeping{}
		resp, err := rules(t, "106", "").Transport(below).RoundTrip(req)
		var refused *policy.RefusedError
		switch {
		case errors.As(err, &refused):
			if below.body != "" {
				t.Errorf("%s: refused, and sent", tt.name)
			}
			if tt.want == sent || !strings.HasPrefix(refused.Reason, tt.want) {
				t.Errorf("%s: %q, want %q", tt.name, refused.Reason, tt.want)
			}
		case err != nil:
			t.Errorf("%s: %v", tt.name, err)
		default:
			resp.Body.Close()
			if tt.want != sent || below.body != text {
				t.Errorf("%s: sent %d of %d bytes, want %q", tt.name, len(below.body), len(text), tt.want)
			}
		}
	}
}
