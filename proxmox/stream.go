package proxmox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// errIdle says that nothing went over a connection for too long.
var errIdle = errors.New("nothing came or went for too long")

// watchdog ends a context when nothing has gone on for a while.
type watchdog struct {
	timer *time.Timer
	after time.Duration
}

func watch(ctx context.Context, after time.Duration) (context.Context, *watchdog, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	w := &watchdog{time.AfterFunc(after, func() { cancel(fmt.Errorf("%w (%v)", errIdle, after)) }), after}
	return ctx, w, func() {
		w.timer.Stop()
		cancel(nil)
	}
}

// calm says that something went on.
func (w *watchdog) calm() { w.timer.Reset(w.after) }

// why is the reason of an error that the watchdog's context may have caused.
func why(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); errors.Is(cause, errIdle) {
		return cause
	}
	return err
}

// Download is a file that is being read from a server.
type Download struct {
	// Size is in bytes, -1 if the server does not tell it.
	Size int64
	// Type is its media type, such as application/octet-stream.
	Type string

	body  io.ReadCloser
	ctx   context.Context // ends with the watchdog
	dog   *watchdog
	close func()
	path  Path
}

// Read reads the file. A connection over which nothing comes for as long as the client's
// timeout is given up. A file that ends too early is a [LostError]; if Size is -1, that cannot
// always be detected.
func (d *Download) Read(b []byte) (int, error) {
	n, err := d.body.Read(b)
	d.dog.calm()
	if err != nil && err != io.EOF {
		err = &LostError{Method: http.MethodGet, Path: d.path.text, Err: why(d.ctx, err)}
	}
	return n, err
}

// Close gives the rest of the file up.
func (d *Download) Close() error {
	d.close()
	return d.body.Close()
}

// Download reads an endpoint that answers with a file, such as file-restore/download or the
// log of a task with download=1. The file comes as it is read, and has to be closed. The
// client's timeout is for each part of it, not for the whole; ctx is for all of it.
func (c *Client) Download(ctx context.Context, p Path, params url.Values) (d *Download, err error) {
	if p.err != nil {
		return nil, p.err
	}
	err = c.try(ctx, http.MethodGet, func(e *endpoint) (sent bool, err error) {
		d, sent, err = c.download(ctx, e, p, params)
		return sent, err
	})
	return d, err
}

func (c *Client) download(ctx context.Context, e *endpoint, p Path, params url.Values) (d *Download, sent bool, err error) {
	ctx, dog, end := watch(ctx, max(c.timeout, heldByPVE))
	defer func() {
		if d == nil {
			end()
		}
	}()
	req, err := c.request(ctx, e.base, http.MethodGet, p, params)
	if err != nil {
		return nil, false, err
	}
	req.Close = true
	resp, sent, err := c.exchange(req, e, p)
	if err != nil {
		return nil, sent, why(ctx, err)
	}
	kind := resp.Header.Get("Content-Type")
	if resp.StatusCode == http.StatusOK && kind != "" && !strings.HasPrefix(kind, "application/json") {
		return &Download{Size: resp.ContentLength, Type: kind, body: resp.Body, ctx: ctx, dog: dog, close: end, path: p}, true, nil
	}
	defer resp.Body.Close()
	r, err := replyOf(resp)
	if err != nil {
		return nil, true, &LostError{Method: http.MethodGet, Path: p.text, Err: why(ctx, err)}
	}
	if _, err = r.answer(http.MethodGet, p); err == nil {
		err = fmt.Errorf("GET %s: the answer is no file: call it by Do", p)
	}
	return nil, true, err
}
