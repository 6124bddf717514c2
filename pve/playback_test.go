package pve

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/pve-mcp/pve-mcp/internal/testkit/recorded"
	"github.com/pve-mcp/pve-mcp/proxmox"
)

// playback answers every request with one recorded row.
type playback struct {
	row  recorded.Row
	path string     // of the last request, unescaped
	form url.Values // its parameters
}

func (p *playback) RoundTrip(req *http.Request) (*http.Response, error) {
	p.path = strings.TrimPrefix(req.URL.Path, "/api2/json")
	p.form = req.URL.Query()
	if req.Body != nil {
		data, err := io.ReadAll(req.Body)
		if err != nil {
			return nil, err
		}
		if p.form, err = url.ParseQuery(string(data)); err != nil {
			return nil, err
		}
	}
	body := []byte(p.row.Text)
	if p.row.Body != nil {
		body = p.row.Body
	}
	return &http.Response{
		Status:     fmt.Sprintf("%d %s", p.row.Status, p.row.Reason),
		StatusCode: p.row.Status,
		Header:     http.Header{"Server": {"pve-api-daemon/3.0"}},
		Body:       io.NopCloser(bytes.NewReader(body)),
		Request:    req,
	}, nil
}

func player(t *testing.T) (*Client, *playback) {
	t.Helper()
	p := &playback{}
	c, err := New(proxmox.Options{Endpoints: []string{"https://pve1:8006"}, Transport: p})
	if err != nil {
		t.Fatal(err)
	}
	return c, p
}
