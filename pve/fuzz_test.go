package pve

import (
	"encoding/json"
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
