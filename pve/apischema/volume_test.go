package apischema_test

import (
	"slices"
	"testing"

	"github.com/pve-mcp/pve-mcp/pve/apischema"
)

// The forms of PVE's storage plugins (PVE/Storage/*.pm, parse_volname and list_images).
func TestVolumeOwner(t *testing.T) {
	const nobody, unknown = 0, -1
	for source, want := range map[string]int{
		"local-zfs:vm-103-disk-0":                                  103,
		"local-zfs:vm-103-cloudinit":                               103,
		"local-zfs:vm-103-state-before":                            103,
		"local-zfs:subvol-103-disk-1":                              103,
		"local-zfs:base-103-disk-0":                                103,
		"local-zfs:basevol-103-disk-0":                             103,
		"local-zfs:base-100-disk-0/vm-101-disk-0":                  101,
		"local-zfs:basevol-100-disk-0/subvol-101-disk-0":           101,
		"local-zfs:base-1-a/base-105-b/vm-103-disk-0":              103, // the last part is the volume
		"local:rootdir/103":                                        103,
		"local:103/vm-103-disk-0.qcow2":                            103,
		"local:103/data.raw":                                       103,
		"local:103/vm-105-disk-0.qcow2":                            103, // the folder counts
		"local:100/base-100-disk-0.qcow2/101/vm-101-disk-0.qcow2":  101,
		"btrfs:103/vm-103-disk-0/disk.raw":                         unknown,
		"btrfs:103/vm-103-disk-0.raw":                              103,
		"btrfs:103/subvol-103-disk-0.subvol":                       103,
		"local:backup/vzdump-qemu-103-2026_01_01-00_00_00.vma.zst": 103,
		"pbs:backup/ct/103/2026-01-01T00:00:00Z":                   103,
		"backup/vm/103/2026-01-01T00:00:00Z":                       103,
		"vm-103-disk-0":                                            103,
		"/dev/zvol/rpool/data/vm-103-disk-0":                       103,
		"/dev/pve/vm-103-disk-0":                                   103,
		"/dev/mapper/pve-vm--103--disk--0":                         103,
		"/dev/rbd-pve/1a/pool/vm-103-disk-0":                       103,
		"/var/lib/vz/images/103/vm-103-disk-0.raw":                 103,
		"/mnt/pve/nfs/images/103/data.raw":                         103,
		"/rpool/data/subvol-103-disk-0/":                           103,
		"/mnt/vm-105-x/images/103/vm-103-disk-0.raw":               unknown,
		"/dev/pve/vm-105-x/../vm-103-disk-0":                       unknown,
		"/dev/zd16":                                                unknown,
		"/dev/disk/by-id/ata-X":                                    unknown,
		"/mnt/data":                                                unknown,
		"iscsi:0.0.0.scsi-36001405":                                unknown,
		"esxi:ha-datacenter/store/a/a.vmdk":                        unknown,
		"local:iso/../images/103/vm-103-disk-0.raw":                unknown,
		"local:iso/debian.iso":                                     nobody,
		"local:vztmpl/debian.tar.zst":                              nobody,
		"local:snippets/user.yaml":                                 nobody,
		"local:import/a.ova/a-disk1.vmdk":                          nobody,
		"local-zfs:8":                                              nobody,
		"local-zfs:0.5":                                            nobody,
		"local-zfs:cloudinit":                                      nobody,
		"8":                                                        nobody,
		"none":                                                     nobody,
		"cdrom":                                                    nobody,
	} {
		got, ok := apischema.VolumeOwner(source)
		if !ok {
			got = unknown
		}
		if got != want {
			t.Errorf("%s: %d, want %d", source, got, want)
		}
	}
}

// PVE::Tools::split_list: at NUL if there is one, else at comma, semicolon and \s. In Perl,
// that is Unicode's white space, since PVE decodes parameters from UTF-8.
func TestSplitList(t *testing.T) {
	for text, want := range map[string][]string{
		"":                       nil,
		"a,b;c d":                {"a", "b", "c", "d"},
		"cores\tunused0":         {"cores", "unused0"},
		",a,,\n\v\f\r b ":        {"a", "b"},
		"a\u00a0b\u2003c\u3000d": {"a", "b", "c", "d"},
		"a\u0085b\u200bc":        {"a", "b\u200bc"},
		"a,b\x00c d\x00":         {"a,b", "c d"},
		"\x00a":                  {"", "a"},
	} {
		if got := apischema.SplitList(text); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
