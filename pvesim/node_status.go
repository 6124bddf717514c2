package pvesim

import (
	"strconv"
)

func getNodeStatus(c *call) (any, error) {
	n := c.node
	cpu, mem := c.load(n, c.byNode()[n.Name], c.now)
	kernel, root := n.runningKernel(), n.rootUsed()
	memory := map[string]any{"total": n.Memory, "used": mem, "free": n.Memory - mem}
	boot := map[string]any{"mode": "efi", "secureboot": 0}
	if n.BIOS {
		boot = map[string]any{"mode": "legacy-bios"}
	}
	cpuinfo := map[string]any{
		"cpus": n.CPUs, "cores": n.CPUs, "sockets": 1, "model": "AMD EPYC 7302P 16-Core Processor",
		"mhz": "3000.000", "hvm": "1", "flags": "fpu vme de pse", "user_hz": 100,
	}
	if n.version.major >= 9 {
		memory["available"] = n.Memory - mem
		cpuinfo["family"], cpuinfo["vendor"] = "6", "GenuineIntel"
	}
	out := map[string]any{
		"uptime": uptime(n.booted, c.now), "idle": 0, "cpu": cpu, "wait": n.ioWait(cpu),
		"loadavg": []string{oneLoad(cpu, n, 1), oneLoad(cpu, n, 0.9), oneLoad(cpu, n, 0.8)},
		"memory":  memory, "swap": map[string]any{"total": n.Swap, "used": n.SwapUsed, "free": n.Swap - n.SwapUsed}, "ksm": map[string]any{"shared": 0},
		"rootfs":     map[string]any{"total": n.Disk, "used": root, "free": n.Disk - root, "avail": max(n.Disk-root-n.Disk/20, 0)},
		"cpuinfo":    cpuinfo,
		"kversion":   "Linux " + kernel + " #1 SMP PREEMPT_DYNAMIC",
		"pveversion": "pve-manager/" + n.version.text + "/" + n.version.repoID(),
	}
	if n.version.atLeast(8, 1) {
		out["current-kernel"] = map[string]any{"release": kernel, "sysname": "Linux", "machine": "x86_64", "version": "#1 SMP PREEMPT_DYNAMIC"}
		out["boot-info"] = boot
	}
	return out, nil
}

func oneLoad(cpu float64, n *node, factor float64) string {
	return strconv.FormatFloat(cpu*float64(n.CPUs)*factor, 'f', 2, 64)
}
