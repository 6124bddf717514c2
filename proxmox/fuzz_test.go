package proxmox

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func FuzzParseUPID(f *testing.F) {
	seed(f, "", "UPID:", "UPID:pve1:00001234:0000ABCD:65000000:qmstart:100:root@pam:",
		"UPID:pve1:00005108:0BCCF1000:6B032E86:imgdel:900@local:root@pam!full:",
		"UPID:pve-1:00000001:00000001:FFFFFFFF:download:a%2Fb:é@pve!x:", "UPID:pve1:00001234:0000ABCD:65000000:qmstart:100:root@pam:\n")
	f.Fuzz(func(t *testing.T, s string) {
		u, err := ParseUPID(s)
		if err != nil {
			return
		}
		if u.String() != s || u.IsZero() || u.Node == "" || u.Type == "" || u.User == "" {
			t.Errorf("%q: %+v prints %q", s, u, u)
		}
		if p := taskPath(u, "status"); p.err != nil {
			t.Errorf("%q: %v", s, p.err)
		}
		var again UPID
		if text, err := u.MarshalText(); err != nil || again.UnmarshalText(text) != nil || again != u {
			t.Errorf("%q became %q (%v)", s, again, err)
		}
	})
}

// An element of a path comes out as it was put in, wherever it is split, and none
// climbs, not even for those who unescape before they split.
func FuzzJoin(f *testing.F) {
	for _, s := range [][2]string{
		{"nodes", "pve1"}, {"..", "x"}, {"a/..", "x"}, {"local:iso/a b.iso", "UPID:a%2Fb:@!"}, {"", "x"}, {"%2e%2e", "é?#;&="}, {"a//b", "\x00\xff"},
	} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		p := Join("nodes", a, "x", b)
		if p.err != nil {
			return
		}
		u, err := url.Parse("https://pve1:8006/api2/json" + p.text)
		if err != nil || u.RawQuery != "" || u.Fragment != "" || u.Path != "/api2/json/nodes/"+a+"/x/"+b {
			t.Fatalf("%q, %q: %s becomes %+v (%v)", a, b, p, u, err)
		}
		elems := strings.Split(strings.TrimPrefix(p.text, "/"), "/")
		for i := range elems {
			if elems[i], err = url.PathUnescape(elems[i]); err != nil {
				t.Errorf("%s: %v", p, err)
			}
		}
		if diff := cmp.Diff([]string{"nodes", a, "x", b}, elems); diff != "" {
			t.Errorf("%s (-put in +came out):\n%s", p, diff)
		}
		if clean := u.JoinPath().Path; clean != u.Path {
			t.Errorf("%q, %q: %s is %s to a proxy", a, b, p, clean)
		}
	})
}

// perlForm splits a form as PVE's server does: at & and ;, a value ends at a second =,
// and one without text is none.
func perlForm(t *testing.T, s string) url.Values {
	t.Helper()
	form := url.Values{}
	for pair := range strings.FieldsFuncSeq(s, func(r rune) bool { return r == '&' || r == ';' }) {
		fields := strings.Split(pair, "=")
		for i := range fields {
			var err error
			if fields[i], err = url.QueryUnescape(fields[i]); err != nil {
				t.Errorf("%s: %v", s, err)
			}
		}
		if fields[0] != "" && len(fields) > 1 && fields[1] != "" {
			form.Add(fields[0], fields[1])
		}
	}
	return form
}

// What the client sends, in a form or in a query, is what PVE reads.
func FuzzForm(f *testing.F) {
	for _, s := range [][3]string{
		{"description", "a&b;c=d", "two\nlines + é%41"}, {"net0", "virtio=BC:24:11:77:21:A2,bridge=vmbr0", ""}, {"k=;&", "=", "==\x00\xff"}, {"", "x", "y"},
	} {
		f.Add(s[0], s[1], s[2])
	}
	f.Fuzz(func(t *testing.T, key, one, two string) {
		sent := ""
		c, err := New(Options{Endpoints: []string{"https://pve1:8006"}, Transport: transportFunc(func(req *http.Request) (*http.Response, error) {
			sent = req.URL.RawQuery
			if req.Body != nil {
				data, err := io.ReadAll(req.Body)
				if err != nil || sent != "" || req.ContentLength != int64(len(data)) {
					t.Errorf("%s and a body of %d bytes (%v)", req.URL, req.ContentLength, err)
				}
				sent = string(data)
			}
			return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(`{"data":null}`))}, nil
		})})
		if err != nil {
			t.Fatal(err)
		}
		want := url.Values{}
		for _, value := range []string{one, two} {
			if key != "" && value != "" {
				want.Add(key, value)
			}
		}
		params := url.Values{key: {one, two}}
		_, _ = c.Do(t.Context(), http.MethodPost, Join("nodes"), params)
		if diff := cmp.Diff(want, perlForm(t, sent)); diff != "" {
			t.Errorf("form %s (-given +read):\n%s", sent, diff)
		}
		_, _ = c.Do(t.Context(), http.MethodGet, Join("nodes"), params)
		if diff := cmp.Diff(want, perlForm(t, sent)); diff != "" {
			t.Errorf("query %s (-given +read):\n%s", sent, diff)
		}
	})
}

type transportFunc func(*http.Request) (*http.Response, error)

func (f transportFunc) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

func seed(f *testing.F, inputs ...string) {
	f.Helper()
	for _, s := range inputs {
		f.Add(s)
	}
}
