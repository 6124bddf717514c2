package proxmox

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"sync"
	"time"
)

// Field is a parameter of an upload. Their order counts: the server knows only those that
// come before the file.
type Field struct{ Name, Value string }

// File is a file that is to be uploaded.
type File struct {
	Name string // that it is to have on the server
	Size int64  // bytes; a body of another size is an [UploadError]
	Body io.Reader
}

// UploadError says that an upload ended before the server had all of it, so that nothing was
// done there.
type UploadError struct {
	Path string
	Sent int64 // bytes of the file
	Err  error
}

func (e *UploadError) Error() string {
	return fmt.Sprintf("POST %s: the upload ended after %d bytes of the file, so that nothing was stored: %v", e.Path, e.Sent, e.Err)
}

func (e *UploadError) Unwrap() error { return e.Err }

// Upload sends a file to an endpoint that takes one, as it is read, over a connection of its
// own. It is sent to another endpoint only if no connection could be made. A file that
// arrived and whose answer was lost is a [LostError] with an unknown outcome. The client's
// timeout is for each part of it, not for the whole; ctx is for all of it.
func (c *Client) Upload(ctx context.Context, p Path, f File, fields ...Field) (ans Answer, err error) {
	if p.err != nil {
		return Answer{}, p.err
	}
	defer c.changed()
	err = c.try(ctx, http.MethodPost, func(e *endpoint) (sent bool, err error) {
		ans, sent, err = c.upload(ctx, e, p, f, fields)
		return sent, err
	})
	return ans, err
}

func (c *Client) upload(ctx context.Context, e *endpoint, p Path, f File, fields []Field) (ans Answer, sent bool, err error) {
	ctx, dog, end := watch(ctx, max(c.timeout, heldByPVE))
	defer end()
	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	if err := WriteUploadHead(w, f.Name, fields); err != nil {
		return Answer{}, false, err
	}
	head := bytes.Clone(form.Bytes())
	form.Reset()
	if err := w.Close(); err != nil {
		return Answer{}, false, err
	}
	source := &uploadBody{File: f, dog: dog}
	body := io.MultiReader(bytes.NewReader(head), source, mark{source}, &form)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.base+"/api2/json"+p.text, io.NopCloser(body))
	if err != nil {
		return Answer{}, false, err
	}
	req.ContentLength = int64(len(head)) + f.Size + int64(form.Len())
	req.Header.Set("Content-Type", w.FormDataContentType())
	req.Close = true
	req.Header.Set("Expect", "100-continue") // PVE does not answer it, but gets time to refuse before the file comes
	if err := c.identify(ctx, req.Header); err != nil {
		return Answer{}, false, err
	}
	asked := time.Now()
	resp, sent, err := c.exchange(req, e, p)
	if err != nil {
		n, whole, failed := source.progress()
		var lost *LostError
		if !whole && errors.As(err, &lost) {
			return Answer{}, true, &UploadError{Path: p.text, Sent: n, Err: cmp.Or(failed, why(ctx, lost.Err))}
		}
		return Answer{}, sent || !rewind(f.Body, n), err
	}
	defer resp.Body.Close()
	r, err := replyOf(resp)
	if err != nil {
		return Answer{}, true, &LostError{Method: http.MethodPost, Path: p.text, Err: why(ctx, err)}
	}
	ans, err = r.answer(http.MethodPost, p)
	ans.Asked = asked
	return ans, true, err
}

// rewind goes back over what was read of a file, and reports whether all of it can be sent
// again.
func rewind(body io.Reader, read int64) bool {
	if read == 0 {
		return true
	}
	file, ok := body.(io.Seeker)
	if !ok {
		return false
	}
	_, err := file.Seek(-read, io.SeekCurrent)
	return err == nil
}

// WriteUploadHead writes the parts of a form that come before the content of a file.
func WriteUploadHead(w *multipart.Writer, file string, fields []Field) error {
	for _, f := range fields {
		if err := w.WriteField(f.Name, f.Value); err != nil {
			return err
		}
	}
	_, err := w.CreateFormFile("filename", file)
	return err
}

// uploadBody is the content of a file that is being sent. What it says of its progress may be
// asked for while the transport still reads.
type uploadBody struct {
	File
	dog *watchdog

	mu    sync.Mutex
	read  int64 // guarded by mu
	whole bool  // all of it was read, so that the server may have it; guarded by mu
	err   error // guarded by mu
}

func (b *uploadBody) Read(out []byte) (int, error) {
	b.mu.Lock()
	left := b.Size - b.read
	b.mu.Unlock()
	if left < int64(len(out)) {
		out = out[:max(left, 1)] // one more shows whether the file is longer
	}
	n, err := b.Body.Read(out)
	b.dog.calm()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.read += int64(n)
	switch {
	case b.read > b.Size:
		n, err = 0, fmt.Errorf("the file is longer than the %d bytes that were announced", b.Size)
	case err == io.EOF && b.read < b.Size:
		err = fmt.Errorf("the file has %d bytes, not the %d that were announced", b.read, b.Size)
	}
	if err != nil && err != io.EOF {
		b.err = err
	}
	return n, err
}

// mark is read after all of the file and before what ends the form.
type mark struct{ *uploadBody }

func (m mark) Read([]byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.whole = true
	return 0, io.EOF
}

// progress is how much of the file was read, whether that was all, and why not.
func (b *uploadBody) progress() (read int64, whole bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.read, b.whole, b.err
}
