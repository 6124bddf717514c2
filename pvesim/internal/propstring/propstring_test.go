package propstring

import "testing"

func TestDrive(t *testing.T) {
	const drive = "local-lvm:vm-100-disk-0,iothread=1,size=8G"
	for _, tt := range []struct{ what, got, want string }{
		{"the volume", Volume(drive), "local-lvm:vm-100-disk-0"},
		{"the volume by name", Volume("file=a:b,size=1G"), "a:b"},
		{"the volume behind an option", Volume("media=cdrom,file=a:b"), "a:b"},
		{"an option", Get(drive, "iothread"), "1"},
		{"no such option", Get(drive, "ssd"), ""},
		{"what has no key", Get(drive, ""), "local-lvm:vm-100-disk-0"},
		{"a changed option", Set(drive, "size", "9G"), "local-lvm:vm-100-disk-0,iothread=1,size=9G"},
		{"a removed option", Set(drive, "iothread", ""), "local-lvm:vm-100-disk-0,size=8G"},
		{"another volume", SetVolume(drive, "nfs:1"), "nfs:1,iothread=1,size=8G"},
		{"a size", FormatSize(Size(drive)), "8G"},
		{"a size with a fraction", FormatSize(Size("a:b,size=1.5T")), "1536G"},
		{"no size", FormatSize(Size("a:b")), "0"},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: %q, want %q", tt.what, tt.got, tt.want)
		}
	}
}
