package policy

import (
	"net/url"
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
		{"", "http://100.64.0.1/", "private"},
		{"", "http://100.100.100.200/latest/meta-data", "private"},
		{"", "http://0.1.2.3/", "private"},
		{"", "http://198.18.0.1/", "private"},
		{"", "http://240.0.0.1/", "private"},
		{"", "http://192.0.0.192/", "private"},
		{"", "http://[64:ff9b::a9fe:a9fe]/", "private"},
		{"", "http://[64:ff9b:1::a00:1]/", "private"},
		{"", "http://[2002:a00:1::1]/", "private"},
		{"", "http://[::10.0.0.1]/", "private"},
		{"", "http://[fec0::1]/", "private"},
		{"", "http://[fe80::1%25vmbr0]/", "private"},
		{"", "http://[2606:4700::1111]/", ""},
		{"", "http://127.0.0.1../", "no host that"},
		{"", "http://nas.lan../", "no host that"},
		{"", "http://nas.localdomain/", "private"},
		{"", "http://%EF%BC%91%EF%BC%92%EF%BC%97.0.0.1/", "no host that"},
		{"", "http://nas.%EF%BD%8Can/", "no host that"},
		{"", "http://127.0.0.1;.example.org/", "no host that"},
		{"", `http://127.0.0.1\.example.org/`, "no host"},
		{"", "HTTP://NAS.LAN:8080/x", "private"},
		{"", "https://example.org:8443/x", ""},
		{"10.0.0.*", "http://10.0.0.5/x", ""},
		{"10.0.0.*", "http://10.0.0.evil.example/x", "none of those"},
		{"nas*", "http://nas2/x", ""},
		{"nas*", "http://nas.evil.example/x", "none of those"},
		{"fd00::*", "http://[fd00::5]/x", ""},
		{"*", "http://example.org/x", ""},
		{"*", "http://nas.lan/x", ""},
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

// A reference names its registry as Docker reads it.
func TestRegistryOf(t *testing.T) {
	for reference, want := range map[string]string{
		"nginx": "https://registry-1.docker.io", "library/nginx": "https://registry-1.docker.io", "docker.io/library/nginx": "https://docker.io",
		"ghcr.io/x/y": "https://ghcr.io", "localhost/x": "https://localhost", "nas:5000/x": "https://nas:5000", "NAS/x": "https://NAS", "LOCALHOST/x": "https://LOCALHOST",
		"[fd00::5]/x": "https://[fd00::5]",
	} {
		if got := registryOf(request{params: url.Values{"reference": {reference}}}); got != want {
			t.Errorf("%s: %s, want %s", reference, got, want)
		}
	}
}
