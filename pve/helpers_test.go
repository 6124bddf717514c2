package pve_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/pve"
)

// roundTrip answers requests in process.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

func answer(status, body string) (*http.Response, error) {
	var code int
	_, _ = fmt.Sscan(status, &code)
	return &http.Response{Status: status, StatusCode: code, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}, nil
}

func newClient(t *testing.T, rt http.RoundTripper, endpoints ...string) *pve.Client {
	t.Helper()
	if len(endpoints) == 0 {
		endpoints = []string{"https://pve1:8006"}
	}
	c, err := pve.New(proxmox.Options{Endpoints: endpoints, Transport: rt, UserAgent: "test"})
	if err != nil {
		t.Fatal(err)
	}
	return c
}
