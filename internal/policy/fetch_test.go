package policy

import (
	"strings"
	"testing"
)

// Nodes fetch from public hosts, and from those that the setting names.
func TestRefuseFetch(t *testing.T) {
	for _, tt := range []struct{ from, address, says string }{
		{"", "https://cloud-images.ubuntu.com/noble/x.img", ""},
		{"", "https://8.8.8.8/x.img", ""},
		{"", "http://10.0.0.5/x.iso", "private"},
		{"", "http://[::1]:8006/", "private"},
		{"", "http://[::ffff:127.0.0.1]/", "private"},
		{"", "http://169.254.169.254/latest/meta-data", "private"},
		{"", "http://100.64.0.1/", ""},
		{"", "http://nas/x.iso", "private"},
		{"", "http://nas.lan/x.iso", "private"},
		{"", "http://2130706433/", "private"},
		{"", "http://0x7f.0.0.1/", "private"},
		{"", "http://127.1/", "private"},
		{"", "http://localhost./", "private"},
		{"", "https://u:p@example.org/x.iso", "a password"},
		{"", "x", "no host"},
		{"*.debian.org, nas.lan", "https://cloud.debian.org/x.qcow2", ""},
		{"*.debian.org, nas.lan", "http://nas.lan/x.iso", ""},
		{"*.debian.org", "https://debian.org.evil.example/x", "none of those"},
		{"*.debian.org", "https://example.org/x", "none of those"},
	} {
		hosts, err := ParseHosts(tt.from)
		if err != nil {
			t.Fatal(err)
		}
		got := Policy{DownloadFrom: hosts}.RefuseFetch(tt.address)
		if got == "" != (tt.says == "") || !strings.Contains(got, tt.says) {
			t.Errorf("%q from %q: %q, want %q", tt.address, tt.from, got, tt.says)
		}
	}
	if _, err := ParseHosts("https://debian.org/"); err == nil {
		t.Error("a URL is taken for a host")
	}
}
