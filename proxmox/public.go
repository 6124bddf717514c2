package proxmox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// ViewerPath is where a node of Proxmox VE shows its own API to everybody.
const ViewerPath = "/pve-docs/api-viewer/apidoc.js"

// Public reads a file that an endpoint serves to everybody beside its API, such as
// [ViewerPath], of at most so many bytes. The token is not sent.
func (c *Client) Public(ctx context.Context, path string, most int64) ([]byte, error) {
	var errs []error
	for _, e := range c.endpoints.order() {
		data, err := c.public(ctx, e, path, most)
		if err == nil || ctx.Err() != nil {
			return data, err
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

func (c *Client) public(ctx context.Context, e *endpoint, path string, most int64) ([]byte, error) {
	leave, err := e.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, e.base+path, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", c.userAgent)
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, &ConnectError{Endpoint: e.base, Err: cause(err)}
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s serves no %s: %s", e.base, path, resp.Status)
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, most+1))
	if err == nil && int64(len(data)) > most {
		err = fmt.Errorf("%s of %s has over %d bytes", path, e.base, most)
	}
	return data, err
}
