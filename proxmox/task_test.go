package proxmox_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pve-mcp/pve-mcp/proxmox"
)

func TestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun, looks := time.Now(), 0
		c := newClient(t, roundTrip(func(req *http.Request) (*http.Response, error) {
			up := time.Since(begun)
			if strings.HasSuffix(req.URL.Path, "/log") {
				return answer("200 OK", fmt.Sprintf(`{"data":[{"n":%d,"t":"line"}],"total":9}`, looks))
			}
			looks++
			switch {
			case looks == 1: // not visible yet
				return answer("400 Parameter verification failed.", `{"errors":{"upid":"no such task"}}`)
			case up > 5*time.Second && up < 10*time.Second:
				return answer("595 No route to host", "")
			case up < 30*time.Second:
				return answer("200 OK", `{"data":{"status":"running"}}`)
			}
			return answer("200 OK", `{"data":{"status":"stopped","exitstatus":"WARNINGS: 2"}}`)
		}))
		upid, err := proxmox.ParseUPID("UPID:pve1:00000001:00000001:60000000:qmstart:100:root@pam:")
		if err != nil {
			t.Fatal(err)
		}
		updates := 0
		status, err := c.Wait(t.Context(), upid, func(u proxmox.TaskUpdate) { updates++ })
		if err != nil || !status.Succeeded() || status.Warnings() != 2 || updates < 5 {
			t.Errorf("%+v %v after %d updates", status, err, updates)
		}
		if looks > 20 {
			t.Errorf("%d looks in 30 s", looks)
		}

		begun, looks = time.Now(), 1
		ctx, cancel := context.WithTimeout(t.Context(), 7*time.Second)
		defer cancel()
		status, err = c.Wait(ctx, upid, nil)
		if !errors.Is(err, context.DeadlineExceeded) || !status.Running() || time.Since(begun) != 7*time.Second {
			t.Errorf("%+v %v after %v", status, err, time.Since(begun))
		}
	})
}

func TestWaitGivesUpOnRefusals(t *testing.T) {
	c := newClient(t, roundTrip(func(*http.Request) (*http.Response, error) {
		return answer("403 Permission check failed (/nodes/pve1, Sys.Audit)", "")
	}))
	upid, err := proxmox.ParseUPID("UPID:pve1:00000001:00000001:60000000:qmstart:100:root@pam:")
	if err != nil {
		t.Fatal(err)
	}
	var said *proxmox.Error
	if _, err := c.Wait(t.Context(), upid, nil); !errors.As(err, &said) || said.Status != 403 {
		t.Errorf("%v", err)
	}
}
