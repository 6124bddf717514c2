package policy

import (
	"bytes"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// maxUploadHead is the most bytes before the content of an uploaded file.
const maxUploadHead = 64 << 10

// uploadFields are the parameters that PVE reads before the file.
var uploadFields = []string{"content", "checksum-algorithm", "checksum"}

// readUpload reads the form of an upload up to the file, if the table of endpoints allows one,
// and returns a request that can still be sent whole. PVE ignores parameters after the file.
// params is nil for any other request.
func readUpload(req *http.Request, r request) (again *http.Request, params url.Values, reason string) {
	e := known().find(r.method, r.elems)
	kind, options, err := mime.ParseMediaType(req.Header.Get("Content-Type"))
	if e == nil || !e.takesFile || err != nil || kind != "multipart/form-data" || req.Body == nil {
		return req, nil, ""
	}
	var read, canonical bytes.Buffer
	form := multipart.NewReader(io.LimitReader(io.TeeReader(req.Body, &read), maxUploadHead), options["boundary"])
	w := multipart.NewWriter(&canonical)
	params, ok := url.Values{}, w.SetBoundary(options["boundary"]) == nil
	for file := ""; ok && file == ""; {
		var name, value string
		name, value, file, ok = nextField(form)
		params.Add(name, value)
		if file == "" {
			ok = ok && slices.Contains(uploadFields, name) && w.WriteField(name, value) == nil
			continue
		}
		_, err := w.CreateFormFile("filename", file)
		ok = ok && err == nil && name == "filename" && !strings.ContainsAny(file, "/\\\"")
	}
	if !ok || req.URL.RawQuery != "" || req.Header.Get("Content-Type") != w.FormDataContentType() || !bytes.HasPrefix(read.Bytes(), canonical.Bytes()) {
		return req, nil, oddParams
	}
	again = req.Clone(req.Context())
	again.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(&read, req.Body), req.Body}
	return again, params, e.unreadable(r, params)
}

// nextField reads the next parameter of a form. For a file, its value is the file's name.
func nextField(form *multipart.Reader) (name, value, file string, ok bool) {
	part, err := form.NextRawPart()
	if err != nil {
		return "", "", "", false
	}
	if file = part.FileName(); file != "" {
		return part.FormName(), file, file, true
	}
	content, err := io.ReadAll(part)
	return part.FormName(), string(content), "", err == nil
}
