package mcphttp_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pve-mcp/pve-mcp/internal/testkit/sim"
)

// A client that shows wrong tokens has to wait. A right token is accepted even from the
// same address, and other addresses are not affected.
func TestFailedLogins(t *testing.T) {
	path, secrets := tokens(t, "pve:read")
	o := byTokens(t, path)
	o.Proxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/24")}
	visit(t, sim.Options{}, o, func(s *site) {
		ask := func(token string, forwarded ...string) (*http.Response, string) {
			r := s.request("tools/list", nil, "Authorization", "Bearer "+token)
			r.Header["X-Forwarded-For"] = forwarded
			return s.do(r)
		}
		fail := func(times int, forwarded ...string) (refused int) {
			for i := range times {
				if resp, _ := ask(fmt.Sprint("wrong", i), forwarded...); resp.StatusCode != 401 {
					refused++
				}
			}
			return refused
		}
		s.from("192.0.2.1")
		if got := fail(30); got != 20 {
			s.Errorf("%d of 30 wrong tokens were not looked at", got)
		}
		resp, body := ask("wrong")
		if resp.StatusCode != 429 || resp.Header.Get("Retry-After") != "6" || resp.Header.Get("WWW-Authenticate") != "" || !strings.Contains(body, "too many wrong tokens") {
			s.Errorf("%d %v %s", resp.StatusCode, resp.Header, body)
		}
		if resp, body := ask(secrets[0]); resp.StatusCode != 200 {
			s.Errorf("a right token from there: %d %s", resp.StatusCode, body)
		}
		if got := fail(1, "203.0.113.9"); got != 1 {
			s.Error("a client that is no proxy chose its address")
		}
		time.Sleep(6 * time.Second)
		if got := fail(2); got != 1 {
			s.Errorf("after the time to wait: %d of 2", got)
		}
		s.from("192.0.2.2")
		if got := fail(10); got != 0 {
			s.Errorf("another address: %d", got)
		}

		s.from("10.0.0.7") // a proxy
		if got := fail(20, "198.51.100.1"); got != 10 {
			s.Errorf("through a proxy: %d of 20", got)
		}
		for name, forwarded := range map[string][]string{
			"another client":    {"198.51.100.2"},
			"two proxies":       {"198.51.100.3, 10.0.0.8"},
			"no address":        {"unknown"},
			"nothing forwarded": nil,
		} {
			if got := fail(1, forwarded...); got != 0 {
				s.Errorf("%s: refused", name)
			}
		}
		for name, forwarded := range map[string][]string{
			"the same client":           {"198.51.100.1"},
			"with what it made up":      {"203.0.113.1, 198.51.100.1"},
			"in a header of its own":    {"203.0.113.1", "198.51.100.1"},
			"by way of two proxies":     {"198.51.100.1,10.0.0.9"},
			"written as IPv6 writes it": {"::ffff:198.51.100.1"},
			"with blanks around it":     {"  198.51.100.1 "},
		} {
			if got := fail(1, forwarded...); got != 1 {
				s.Errorf("%s: let in", name)
			}
		}

		s.from("2001:db8::1")
		fail(10)
		s.from("2001:db8::2:1:1")
		if got := fail(1); got != 1 {
			s.Error("another address of the same network begins anew")
		}
		s.from("2001:db8:0:1::1")
		if got := fail(1); got != 0 {
			s.Error("another network is refused")
		}
	})
}

// A client without a token may ask as often as a caller may.
func TestRateOfStrangers(t *testing.T) {
	path, _ := tokens(t, "pve:read")
	o := byTokens(t, path)
	o.Rate = 1
	visit(t, sim.Options{}, o, func(s *site) {
		var got []int
		for range 3 {
			resp, _ := s.do(s.request("tools/list", nil))
			got = append(got, resp.StatusCode)
		}
		if fmt.Sprint(got) != "[401 401 429]" {
			s.Error(got)
		}
	})
}
