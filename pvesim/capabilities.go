package pvesim

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// cpuModels are some of those that QEMU knows, with their vendors.
var cpuModels = []struct{ name, vendor string }{
	{"EPYC", "AuthenticAMD"}, {"EPYC-Milan", "AuthenticAMD"}, {"EPYC-Rome", "AuthenticAMD"}, {"Haswell", "GenuineIntel"},
	{"Icelake-Server", "GenuineIntel"}, {"SapphireRapids", "GenuineIntel"}, {"Skylake-Server", "GenuineIntel"},
	{"host", "default"}, {"kvm64", "default"}, {"max", "default"}, {"qemu64", "default"},
	{"x86-64-v2", "default"}, {"x86-64-v2-AES", "default"}, {"x86-64-v3", "default"}, {"x86-64-v4", "default"},
}

func listCPUModels(*call) (any, error) {
	out := []any{}
	for _, m := range cpuModels {
		out = append(out, map[string]any{"name": m.name, "vendor": m.vendor, "custom": 0})
	}
	return out, nil
}

// oldMachines are the versions of machine types before QEMU 4.2, from which on each
// version of QEMU has brought one; those up to 2.3 are of i440fx alone.
var oldMachines = map[string][]string{
	"q35": {"4.1+pve2", "4.1+pve1", "4.1", "4.0.1", "4.0", "3.1", "3.0", "2.12", "2.11", "2.10", "2.9", "2.8", "2.7", "2.6", "2.5", "2.4"},
	"i440fx": {
		"4.1+pve2", "4.1+pve1", "4.1", "4.0", "3.1", "3.0", "2.12", "2.11", "2.10", "2.9", "2.8", "2.7", "2.6", "2.5", "2.4", "2.3", "2.2",
		"2.1", "2.0", "1.7", "1.6", "1.5", "1.4",
	},
}

// machineChanges are what versions of PVE's own changed.
var machineChanges = map[string]string{
	"4.1+pve1": "Introduction of pveX versioning, no changes.",
	"4.1+pve2": "Increases the number of SCSI drives supported.",
	"9.2+pve1": "Disables S3/S4 power states by default.",
}

// machines are the versions of a type of machine that a QEMU has, newest first.
func (v version) machines(kind string) []string {
	newest, _ := strconv.Atoi(strings.Replace(v.machine(), ".", "", 1))
	out := slices.Clone(oldMachines[kind])
	for n := 42; n <= newest; n++ {
		if minor := n % 10; minor <= 2 { // three a year
			out = append(out, strconv.Itoa(n/10)+"."+strconv.Itoa(minor))
		}
	}
	if newest >= 92 {
		out = append(out, "9.2+pve1")
	}
	slices.SortFunc(out, func(a, b string) int { return cmp.Compare(b, a) })
	return out
}

func listMachines(c *call) (any, error) {
	out := []any{}
	for _, kind := range []string{"q35", "i440fx"} {
		for _, v := range c.node.version.machines(kind) {
			item := map[string]any{"id": "pc-" + kind + "-" + v, "type": kind, "version": v}
			if text := machineChanges[v]; text != "" {
				item["changes"] = text
			}
			out = append(out, item)
		}
	}
	return out, nil
}
