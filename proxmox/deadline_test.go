package proxmox

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptrace"
	"testing"
	"testing/synctest"
	"time"
)

// A read that took all its time is not sent again, to this endpoint or another.
func TestNoSecondTryAfterADeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sent := 0
		c, err := New(Options{
			Endpoints: []string{"https://pve1:8006", "https://pve2:8006"}, Timeout: time.Second,
			Transport: transportFunc(func(req *http.Request) (*http.Response, error) {
				sent++
				if trace := httptrace.ContextClientTrace(req.Context()); trace != nil && trace.GotConn != nil {
					trace.GotConn(httptrace.GotConnInfo{}) // so that PVE may have seen it
				}
				<-req.Context().Done()
				return nil, req.Context().Err()
			}),
		})
		if err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		_, err = c.Do(t.Context(), http.MethodGet, Join("nodes", "pve1", "status"), nil)
		if !errors.Is(err, context.DeadlineExceeded) || sent != 1 || time.Since(begun) > c.timeoutOf(http.MethodGet, Join("nodes", "pve1", "status")) {
			t.Errorf("%d requests in %v: %v", sent, time.Since(begun), err)
		}
	})
}
