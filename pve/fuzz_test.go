package pve

import (
	"encoding/json"
	"io"
	"math"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func seed(f *testing.F, inputs ...string) {
	f.Helper()
	for _, s := range inputs {
		f.Add(s)
	}
}

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
		GuestOf(u)
		var again UPID
		if text, err := u.MarshalText(); err != nil || again.UnmarshalText(text) != nil || again != u {
			t.Errorf("%q became %q (%v)", s, again, err)
		}
	})
}

func FuzzParseVolID(f *testing.F) {
	seed(f, "", "local:iso/debian.iso", "pbs:backup/vm/100/2026-08-01T10:00:00Z", "local:", ":x", "a/b:c", "a:..", "a:b/../c", "local:é x")
	f.Fuzz(func(t *testing.T, s string) {
		v, err := ParseVolID(s)
		if err != nil {
			return
		}
		if v.String() != s || strings.ContainsAny(v.Storage, ":/") {
			t.Errorf("%q: %+v prints %q", s, v, v)
		}
		var again VolID
		if text, err := v.MarshalText(); err != nil || again.UnmarshalText(text) != nil || again != v {
			t.Errorf("%q became %q (%v)", s, again, err)
		}
	})
}

func FuzzParseVMID(f *testing.F) {
	seed(f, "", "100", "99", "999999999", "1000000000", "0100", "+100", "-100", "1e3", "18446744073709551716", "１００")
	f.Fuzz(func(t *testing.T, s string) {
		id, err := ParseVMID(s)
		if err == nil && (id.String() != s || id < MinVMID || id > MaxVMID) {
			t.Errorf("%q is %d", s, id)
		}
		var decoded VMID
		if json.Unmarshal([]byte(s), &decoded) == nil && decoded != 0 && (decoded < MinVMID || decoded > MaxVMID) {
			t.Errorf("JSON %q is %d", s, decoded)
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

func FuzzSize(f *testing.F) {
	seed(f, "", "0", "32G", "512M", "19122K", "1T", "1.5G", "0.3K", "8388607T", "8388608T", "9223372036854775807", "9007199254740993.5K", "00001G",
		"0.99999999999999999999G")
	f.Fuzz(func(t *testing.T, s string) {
		n, err := ParseSize(s)
		if err != nil {
			return
		}
		text := FormatSize(n)
		again, err := ParseSize(text)
		if n < 0 || err != nil || again != n {
			t.Errorf("%q is %d, which prints %s and is %d then (%v)", s, n, text, again, err)
		}
	})
}

// What was decoded encodes, and decodes as the same again.
func FuzzOpt(f *testing.F) {
	seed(f, `null`, `5`, `"5"`, `1.764e+09`, `"nan"`, `"inf"`, `"-Infinity"`, `true`, `""`, `"0x1p-2"`, `1e30`, `"9223372036854775808"`, `-9223372036854775808`,
		`{}`, `[1]`, `"\ud800"`, `-0`, `"1_000"`, `9007199254740993`)
	f.Fuzz(func(t *testing.T, s string) {
		checkOpt[string](t, s)
		checkOpt[int64](t, s)
		checkOpt[bool](t, s)
		if v := checkOpt[float64](t, s); math.IsNaN(v) || math.IsInf(v, 0) {
			t.Errorf("%s is %v", s, v)
		}
	})
}

func checkOpt[T string | int64 | float64 | bool](t *testing.T, s string) T {
	t.Helper()
	var o, again Opt[T]
	if err := json.Unmarshal([]byte(s), &o); err != nil {
		return o.Value
	}
	data, err := json.Marshal(o)
	if err != nil {
		t.Fatalf("%s: %T: %v", s, o, err)
	}
	if err := json.Unmarshal(data, &again); err != nil || again != o {
		t.Errorf("%s: %+v encodes as %s and is %+v then (%v)", s, o, data, again, err)
	}
	return o.Value
}

// propertySeeds are property strings, usual and odd.
var propertySeeds = []string{
	"", ",", "local:100/vm-100-disk-0.qcow2,size=32G", "virtio=BC:24:11:77:21:A2,bridge=vmbr0,tag=20", "1,fstrim_cloned_disks=1",
	"name=eth0,bridge=vmbr0,hwaddr=BC:24:11:D1:65:B3,ip=10.99.0.50/24,type=veth", "order=scsi0;net0", "none,media=cdrom", "a=1,a=2, ,b=,=c,a==",
	"host=0000:01:00.0;0000:01:00.1,pcie=1,rombar=0,x-vga=1", "host,flags=+aes;-pcid", "size=1.5G,tag=01,rate=0x1p-2,ssd=Yes",
}

func FuzzProperty(f *testing.F) {
	for _, value := range propertySeeds {
		f.Add(value, "file", "size", "64G")
		f.Add(value, "", "ip", "dhcp")
		f.Add(value, "a", "a", " ")
	}
	f.Fuzz(func(t *testing.T, s, defaultKey, key, value string) {
		p := ParseProperty(s, defaultKey)
		if p.String() != s {
			t.Fatalf("%q prints %q", s, p)
		}
		others := func(p Property) (out [][2]string) {
			for k, v := range p.All() {
				if k != key {
					out = append(out, [2]string{k, v})
				}
			}
			return out
		}
		changed := p
		if changed.Set(key, value) != nil {
			if changed.String() != s {
				t.Errorf("%q is %q after a change that was refused", s, changed)
			}
			return
		}
		again := ParseProperty(changed.String(), defaultKey)
		if got, ok := again.Get(key); !ok || got != value {
			t.Errorf("%q with %s=%q is %q, which has %q", s, key, value, changed, got)
		}
		if diff := cmp.Diff(others(p), others(again)); diff != "" {
			t.Errorf("%q with %s=%q is %q:\n%s", s, key, value, changed, diff)
		}
		again.Delete(key)
		if _, ok := again.Get(key); ok {
			t.Errorf("%q without %s is %q", changed, key, again)
		}
		if diff := cmp.Diff(others(p), others(again)); diff != "" {
			t.Errorf("%q without %s is %q:\n%s", changed, key, again, diff)
		}
		if p.String() != s {
			t.Errorf("a change of a copy made %q %q", s, p)
		}
	})
}

// A disk or an interface has every part of its property string, in a field or in the
// rest.
func FuzzViews(f *testing.F) {
	seed(f, propertySeeds...)
	f.Fuzz(func(t *testing.T, s string) {
		for _, kind := range []Kind{QEMU, LXC} {
			d, n := DiskOf(kind, "scsi0", s), NICOf(kind, "net0", s)
			ip, rest := IPConfigOf(s)
			for what, view := range map[string]struct {
				rest   Property
				fields int
			}{
				"disk": {d.Rest, filled(d.Source, d.Size.Set, d.Media, d.Format, d.Cache, d.Discard, d.SSD.Set, d.IOThread.Set, d.Backup.Set,
					d.Replicate.Set, d.ReadOnly.Set, d.Mount)},
				"interface": {n.Rest, filled(n.Name, n.Model, n.MAC, n.Bridge, n.Tag.Set, n.Firewall.Set, n.LinkDown.Set, n.Rate.Set, n.MTU.Set, n.Queues.Set,
					n.IP, n.Gateway, n.IP6, n.Gateway6)},
				"addresses": {rest, filled(ip.IP, ip.Gateway, ip.IP6, ip.Gateway6)},
			} {
				parts := len(ParseProperty(s, "").parts) - len(view.rest.parts)
				together := what == "interface" && kind == QEMU && parts == view.fields-1 // virtio=MAC
				if parts != view.fields && !together {
					t.Errorf("%s %s: %q: %d fields and %q", kind, what, s, view.fields, view.rest)
				}
			}
		}
	})
}

func filled(fields ...any) (n int) {
	for _, f := range fields {
		if f != "" && f != false {
			n++
		}
	}
	return n
}
