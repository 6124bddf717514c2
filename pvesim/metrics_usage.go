package pvesim

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/pve/apischema"
	"github.com/pve-mcp/pve-mcp/pvesim/internal/propstring"
)

// usage is what a guest uses at a moment: a function of the model's seed, the guest
// and the time, so that nothing needs to be stored.
type usage struct {
	cpu                                  float64 // share of its CPUs
	mem, disk                            int64
	netIn, netOut, diskRead, diskWritten int64 // since the start
}

// phases are what the seed decides of a guest's usage.
type phases struct{ cpu, burst, mem, disk float64 }

func phasesOf(seed uint64, vmid int) phases {
	phase := func(what string) float64 { return float64(hash(seed, vmid, what)%1000) / 1000 }
	return phases{phase("cpu"), phase("cpu2"), phase("mem"), 0.1 + float64(hash(seed, vmid, "disk")%60)/100}
}

func (s *state) usage(g *guest, st runState, at time.Time) usage {
	if !st.running {
		return usage{}
	}
	up := max(at.Sub(st.since), 0).Seconds()
	noise := func(phase float64, period time.Duration) float64 { // -1 to 1, smooth
		return math.Sin(2 * math.Pi * (float64(at.UnixNano())/float64(period) + phase))
	}
	u := usage{
		cpu:         g.Load * (1 + 0.3*noise(g.phases.cpu, 7*time.Minute) + 0.1*noise(g.phases.burst, 40*time.Second)),
		mem:         int64(float64(g.maxMem()) * (0.35 + 0.4*g.Load + 0.05*noise(g.phases.mem, 3*time.Hour))),
		netIn:       int64(up * (500 + 2e6*g.Load)),
		netOut:      int64(up * (300 + 3e6*g.Load)),
		diskRead:    int64(up*1e5*g.Load) + 300<<20,
		diskWritten: int64(up * (4e3 + 3e5*g.Load)),
	}
	if st.qmp != "" {
		u.cpu = 0
	}
	if g.Kind == "lxc" {
		u.disk = int64(float64(g.maxDisk()) * g.phases.disk)
	}
	return u
}

func (g *guest) intConfig(key string, otherwise int64) int64 {
	text := g.Config[key]
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return otherwise
	}
	return n
}

// cpus is the number of CPUs; of a container without a limit those of its node.
func (s *state) cpus(g *guest) int64 {
	if g.Kind == "lxc" {
		return g.intConfig("cores", int64(s.nodeNamed(g.Node).CPUs))
	}
	return g.intConfig("cores", 1) * g.intConfig("sockets", 1)
}

func (g *guest) maxMem() int64 {
	otherwise := int64(512)
	return g.intConfig("memory", otherwise) << 20
}

// maxDisk is the size of the boot disk of a VM, of the root file system of a CT.
func (g *guest) maxDisk() int64 {
	if g.Kind == "lxc" {
		return propstring.Size(g.Config["rootfs"])
	}
	order, _ := strings.CutPrefix(g.Config["boot"], "order=")
	for _, key := range apischema.SplitList(order) {
		if drive := g.Config[key]; drive != "" && !strings.Contains(drive, "media=cdrom") && !strings.HasPrefix(key, "net") {
			return propstring.Size(drive)
		}
	}
	return 0
}

func (s *state) byNode() map[string][]*guest {
	out := map[string][]*guest{}
	for _, id := range s.order {
		g := s.guests[id]
		out[g.Node] = append(out[g.Node], g)
	}
	return out
}

// load is what a node uses: its guests' part and its own.
func (s *state) load(n *node, guests []*guest, at time.Time) (cpu float64, mem int64) {
	busy, mem := 0.02*float64(n.CPUs), n.Memory/20
	for _, g := range guests {
		u := s.usage(g, g.now, at)
		busy += u.cpu * float64(s.cpus(g))
		mem += u.mem
	}
	return min(max(busy/float64(max(n.CPUs, 1)), n.CPU), 1), min(max(mem, n.MemoryUsed), n.Memory)
}

// ioWait is the share of a node's CPUs that waits for disks.
func (n *node) ioWait(cpu float64) float64 { return max(cpu/50, n.IOWait) }
