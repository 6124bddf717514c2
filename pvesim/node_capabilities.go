package pvesim

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// cpuModels are those that VMs may have, by vendor, as PVE::QemuServer::CPUConfig
// lists them.
var cpuModels = map[string]string{
	"GenuineIntel": "486 pentium pentium2 pentium3 coreduo core2duo Conroe Penryn Nehalem Nehalem-IBRS Westmere Westmere-IBRS " +
		"SandyBridge SandyBridge-IBRS IvyBridge IvyBridge-IBRS Haswell Haswell-IBRS Haswell-noTSX Haswell-noTSX-IBRS " +
		"Broadwell Broadwell-IBRS Broadwell-noTSX Broadwell-noTSX-IBRS Skylake-Client Skylake-Client-IBRS Skylake-Client-noTSX-IBRS " +
		"Skylake-Client-v4 Skylake-Server Skylake-Server-IBRS Skylake-Server-noTSX-IBRS Skylake-Server-v4 Skylake-Server-v5 " +
		"Cascadelake-Server Cascadelake-Server-v2 Cascadelake-Server-noTSX Cascadelake-Server-v4 Cascadelake-Server-v5 " +
		"Cooperlake Cooperlake-v2 KnightsMill Icelake-Client Icelake-Client-noTSX Icelake-Server Icelake-Server-noTSX " +
		"Icelake-Server-v3 Icelake-Server-v4 Icelake-Server-v5 Icelake-Server-v6 SapphireRapids SapphireRapids-v2 GraniteRapids",
	"AuthenticAMD": "athlon phenom Opteron_G1 Opteron_G2 Opteron_G3 Opteron_G4 Opteron_G5 EPYC EPYC-IBPB EPYC-v3 EPYC-v4 " +
		"EPYC-Rome EPYC-Rome-v2 EPYC-Rome-v3 EPYC-Rome-v4 EPYC-Milan EPYC-Milan-v2 EPYC-Genoa",
	"default": "host kvm32 kvm64 qemu32 qemu64 max x86-64-v2 x86-64-v2-AES x86-64-v3 x86-64-v4",
}

func isCPUModel(name string) bool {
	for _, names := range cpuModels {
		if slices.Contains(strings.Fields(names), name) {
			return true
		}
	}
	return false
}

func listCPUModels(*call) (any, error) {
	out := []any{}
	for _, vendor := range sortedKeys(cpuModels) {
		for _, name := range strings.Fields(cpuModels[vendor]) {
			out = append(out, map[string]any{"name": name, "vendor": vendor, "custom": 0})
		}
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
	"4.1+pve1":  "Introduction of pveX versioning, no changes.",
	"4.1+pve2":  "Increases the number of SCSI drives supported.",
	"9.2+pve1":  "Disables S3/S4 power states by default.",
	"10.0+pve1": "Set host_mtu vNIC option even with default value for migration compat.",
	"11.0+pve1": "Use host_tunnel=off by default for VirtIO NICs.",
	"11.0+pve2": "Enable hv_emcs for Windows 11/2022/2025 to mitigate issues with VBS.",
}

// newestMachine is the version of the newest machine type, PVE's own included.
func (v version) newestMachine() string {
	newest := v.machine()
	for _, own := range sortedKeys(machineChanges) {
		if strings.HasPrefix(own, v.machine()+"+") {
			newest = own
		}
	}
	return newest
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
	for own, since := range map[string]int{"9.2+pve1": 92, "10.0+pve1": 100, "11.0+pve1": 110, "11.0+pve2": 110} {
		if newest >= since {
			out = append(out, own)
		}
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
