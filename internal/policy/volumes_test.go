package policy_test

import (
	"strings"
	"testing"

	"github.com/pve-mcp/pve-mcp/internal/policy"
)

// Without rules, a volume of another guest is not named without consent to that very guest,
// and not at all while that runs.
func TestForeignVolumes(t *testing.T) {
	target := policy.Target{Method: "PUT", Path: "/nodes/*/qemu/*/config", Subject: policy.Guest(100), Also: policy.Guests([]int{103})}
	for request, want := range map[string]string{
		"PUT /nodes/a/qemu/100/config?scsi1=local-zfs:vm-103-disk-0":                               sent,
		"PUT /nodes/a/qemu/100/config?scsi1=local-zfs:vm-100-disk-0":                               sent,
		"PUT /nodes/a/qemu/100/config?scsi1=local-zfs:vm-104-disk-0":                               "the consent was for",
		"PUT /nodes/a/qemu/100/config?scsi1=local-zfs:vm-103-disk-0&scsi2=local-zfs:vm-104-disk-0": "the consent was for",
		"PUT /nodes/a/qemu/100/config?scsi1=local-zfs:vm-102-disk-0":                               "a volume of guest 102 is named, which is running",
		"PUT /nodes/a/qemu/100/config?scsi1=local-zfs:vm-666-disk-0":                               "whether guest 666, whose volume is named, is running is unknown: no answer",
		"PUT /nodes/a/qemu/100/config?scsi1=local-zfs:0,import-from%3Dlocal-zfs:vm-102-disk-0":     "a volume of guest 102 is named, which is running",
	} {
		method, path, _ := strings.Cut(request, " ")
		got := try(consented(t).Grant(t.Context(), target), t, rules(t, "", ""), method, path)
		if !strings.HasPrefix(got, want) || want == "" && got != "" {
			t.Errorf("%s: %q, want %q", request, got, want)
		}
	}
	for query, want := range map[string]string{
		"scsi1=local-zfs:vm-103-disk-0":                 noConsent,
		"scsi1=iscsi:0.0.0.scsi-1":                      noConsent, // whose it is, is not known
		"scsi1=local-zfs:0,import-from%3Desxi:a/b.vmdk": sent,      // a copy
		"scsi1=local-zfs:8":                             sent,
		"ide2=local:iso/x.iso,media%3Dcdrom":            sent,
	} {
		if got := try(t.Context(), t, rules(t, "", ""), "PUT", "/nodes/a/qemu/100/config?"+query); got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
}
