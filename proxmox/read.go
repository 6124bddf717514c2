package proxmox

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
)

// Get reads an endpoint, and decodes its data as T.
func Get[T any](ctx context.Context, c *Client, p Path, params url.Values) (T, error) {
	v, _, err := List[T](ctx, c, p, params)
	return v, err
}

// List is [Get] with the total that is sent beside a part of a list.
func List[T any](ctx context.Context, c *Client, p Path, params url.Values) (v T, total int, err error) {
	ans, err := c.Do(ctx, http.MethodGet, p, params)
	if err != nil {
		return v, 0, err
	}
	err = ans.Decode(&v)
	return v, int(ans.Total.Value), err
}

// Start sends a write that is answered with a task.
func (c *Client) Start(ctx context.Context, method string, p Path, params url.Values) (UPID, error) {
	ans, err := c.Do(ctx, method, p, params)
	if err != nil {
		return UPID{}, err
	}
	return ans.Task()
}

// StartOrDo sends a write that is answered with a task, or with nothing if it was done at
// once. Which of the two depends on PVE's version and on how long the work takes. A zero UPID
// says that it is done.
func (c *Client) StartOrDo(ctx context.Context, method string, p Path, params url.Values) (UPID, error) {
	ans, err := c.Do(ctx, method, p, params)
	if err != nil || ans.IsEmpty() {
		return UPID{}, err
	}
	return ans.Task()
}

// Task returns the task that the answer names. If it names none, what was done is unknown,
// and the error is a [LostError].
func (a Answer) Task() (UPID, error) {
	var upid UPID
	if err := json.Unmarshal(a.Data, &upid); err != nil || upid.IsZero() {
		return UPID{}, &LostError{Method: a.method, Path: a.path.text, Err: fmt.Errorf("the answer names no task: %.100s", a.Data)}
	}
	return upid, nil
}
