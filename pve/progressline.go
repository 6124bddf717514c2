package pve

import (
	"slices"
	"strconv"
	"strings"

	"github.com/pve-mcp/pve-mcp/lazyregexp"
)

// lineRule is a form of lines, and what they say, by its groups.
type lineRule struct {
	re   *lazyregexp.Regexp
	read func(m *Meter, f []string)
}

// The forms of lines that say how far a task is. PVE writes bytes as 1.5 GiB.
var measures = []lineRule{
	// A VM's backup. What is read makes the percentage; what is written may be less.
	{lazyregexp.New(`^INFO:\s+(\d+)% \(([\d.]+ \w+) of ([\d.]+ \w+)\) in ([^,]+), read: ([\d.]+ \w+)/s, write: `), func(m *Meter, f []string) {
		p := m.current()
		p.at(sizeOf(f[2]), sizeOf(f[3]), numberOf(f[1])/100)
		p.after(secondsOf(f[4]))
		p.rate = sizeOf(f[5])
	}},
	// A container's backup to a backup server.
	{lazyregexp.New(`^INFO: processed ([\d.]+ \w+) in ([^,]+), uploaded `), func(m *Meter, f []string) {
		p := m.current()
		p.at(sizeOf(f[1]), 0, 0)
		p.after(secondsOf(f[2]))
	}},
	// What tar has packed or unpacked.
	{lazyregexp.New(`^(?:INFO: )?Total bytes (?:written|read): (\d+) \([^,]*, (\S+)/s\)`), func(m *Meter, f []string) {
		p := m.current()
		p.at(numberOf(f[1]), 0, 0)
		p.rate = sizeOf(f[2])
	}},
	// What rsync has sent.
	{lazyregexp.New(`^sent ([\d,]+) bytes  received [\d,]+ bytes  ([\d,.]+) bytes/sec$`), func(m *Meter, f []string) {
		p := m.current()
		p.at(numberOf(f[1]), 0, 0)
		p.rate = numberOf(f[2])
	}},
	// A block job: the copy of a running VM's disk. Those of several go on at once.
	{lazyregexp.New(`^(\S+): transferred ([\d.]+ \w+) of ([\d.]+ \w+) \(([\d.]+)%\) in (.+?)(?:, (?:ready|still busy))?$`), func(m *Meter, f []string) {
		p := m.named(f[1])
		p.at(sizeOf(f[2]), sizeOf(f[3]), numberOf(f[4])/100)
		p.after(secondsOf(f[5]))
	}},
	// qemu-img: the copy of a disk that is not in use.
	{lazyregexp.New(`^transferred ([\d.]+ \w+) of ([\d.]+ \w+) \(([\d.]+)%\)`), func(m *Meter, f []string) {
		m.restarted(numberOf(f[3])/100).at(sizeOf(f[1]), sizeOf(f[2]), numberOf(f[3])/100)
	}},
	// The memory of a VM that is migrated. It may be more than there is, because what
	// changes meanwhile is sent again.
	{lazyregexp.New(`^migration active, transferred ([\d.]+ \w+) of ([\d.]+ \w+) VM-state, ([\d.]+ \w+)/s`), func(m *Meter, f []string) {
		done, total := sizeOf(f[1]), sizeOf(f[2])
		m.memory.at(done, total, min(done/max(total, 1), beforeEnd/100.0))
		m.memory.rate = sizeOf(f[3])
	}},
	// A volume that is sent to another node, with dd.
	{lazyregexp.New(`^(\d+) bytes \([^)]*\) copied, [\d.e-]+ s, ([\d.]+ \w+)/s$`), func(m *Meter, f []string) {
		p, done := m.current(), numberOf(f[1])
		p.at(done, m.size, done/max(m.size, 1)*min(m.size, 1))
		p.rate = sizeOf(f[2])
	}},
	// The same, with zfs send.
	{lazyregexp.New(`^\d\d:\d\d:\d\d\s+([\d.]+[BKMGTP]?)\s+\S+@\S+$`), func(m *Meter, f []string) {
		p, done := m.current(), sizeOf(f[1])
		p.at(done, m.size, done/max(m.size, 1)*min(m.size, 1))
	}},
	// The restore of a VM: all disks of an archive, or one of a backup server's.
	{lazyregexp.New(`^progress (\d+)% \(read (\d+) bytes(?:, zeroes = .*)?, duration (\d+) sec\)$`), func(m *Meter, f []string) {
		share, done := numberOf(f[1])/100, numberOf(f[2])
		p, total := m.restarted(share), m.sizes
		if total == 0 && share > 0 {
			total = done / share
		}
		p.at(done, total, share)
		p.after(numberOf(f[3]))
	}},
	// A download, with a dot for each MiB.
	{lazyregexp.New(`^(\d+)K ([ .,]*?)\s*(\d{1,3})% +([\d.]+[BKMGT]?)(?: (\S+)|=\S+)?$`), func(m *Meter, f []string) {
		p := m.current()
		p.at(numberOf(f[1])*1024+float64(strings.Count(f[2], "."))*(1<<20), m.size, numberOf(f[3])/100)
		if m.size > 0 {
			p.done, p.total = min(p.done, m.size), m.size
		}
		p.rate, p.left = sizeOf(f[4]), secondsOf(f[5])
	}},
	// The memory of a VM that is saved with a snapshot.
	{lazyregexp.New(`^([\d.]+ [KMGT]?i?B) in ((?:\d+[dhms] ?)+)$`), func(m *Meter, f []string) {
		p := m.current()
		p.at(sizeOf(f[1]), 0, 0)
		p.after(secondsOf(f[2]))
	}},
}

// The forms of other lines that say what there is to do, or that a part of it is done.
var frames = []lineRule{
	{jobBeginRE, func(m *Meter, f []string) {
		m.job, m.guests = true, strings.Fields(f[1])
	}},
	{jobSkipsRE, func(m *Meter, f []string) {
		skipped := strings.Split(f[1], ", ")
		m.guests = slices.DeleteFunc(m.guests, func(id string) bool { return slices.Contains(skipped, id) })
	}},
	{guestBeginRE, func(m *Meter, f []string) { m.begin(f[1]) }},
	{guestEndRE, func(m *Meter, f []string) {
		if f[1] != "ERROR:" {
			m.complete()
		}
		if !slices.Contains(m.ended, f[2]) && len(m.ended) < maxParts*maxParts {
			m.ended = append(m.ended, f[2])
		}
	}},
	{lazyregexp.New(`^create full clone of (?:drive|mountpoint) `), func(m *Meter, _ []string) { m.complete() }},
	{lazyregexp.New(`^Formatting '.*\bsize=(\d+)\b`), func(m *Meter, f []string) { m.next, m.size = true, numberOf(f[1]) }},
	{lazyregexp.New(`^total estimated size is ([\d.]+[BKMGTP]?)$`), func(m *Meter, f []string) { m.next, m.size = true, sizeOf(f[1]) }},
	{lazyregexp.New(`^Length: (\d+)\b`), func(m *Meter, f []string) { m.size = numberOf(f[1]) }},
	{lazyregexp.New(`^(?:successfully imported '|restore image complete)`), func(m *Meter, _ []string) { m.complete() }},
	{lazyregexp.New(`^found local (?:disk|volume) '`), func(m *Meter, _ []string) { m.expect++ }},
	{lazyregexp.New(`^starting VM \d+ on remote node `), func(m *Meter, _ []string) { m.live = true }},
	{lazyregexp.New(`^migration (?:completed, transferred ([\d.]+ \w+) VM-state|status: completed)`), func(m *Meter, f []string) {
		if done := sizeOf(f[1]); done > 0 {
			m.memory.at(done, done, 1)
		}
		m.memory.share, m.memory.rate = 1, 0
	}},
	{lazyregexp.New(`^completed saving the VM state in .*, saved ([\d.]+ \w+)`), func(m *Meter, f []string) {
		*m.current() = part{done: sizeOf(f[1])}
	}},
	{lazyregexp.New(`^DEV: dev_id=\d+ size: (\d+) devname: `), func(m *Meter, f []string) { m.sizes, m.expect = m.sizes+numberOf(f[1]), 1 }},
	{lazyregexp.New(`^new volume ID is '`), func(m *Meter, _ []string) { m.made++ }},
	{lazyregexp.New(`^restore proxmox backup image: `), func(m *Meter, _ []string) {
		m.complete()
		m.expect = m.made // each has a progress of its own
	}},
}

// restarted returns the part that is copied now: a new one if the share has fallen.
func (m *Meter) restarted(share float64) *part {
	if p := m.current(); share >= p.share {
		return p
	}
	m.complete()
	return m.current()
}

// begin begins with the next guest of a backup job.
func (m *Meter) begin(id string) {
	last := m.sum()
	m.before = part{name: id, done: m.before.done + last.done, total: m.before.total + max(last.total, last.done)}
	m.parts, m.expect, m.next = nil, 1, false
}

// maxSize bounds the sizes that are believed, in bytes.
const maxSize = 1 << 50

// numberOf reads a number, which may have commas between its thousands. It returns 0
// for other text.
func numberOf(s string) float64 {
	n, err := strconv.ParseFloat(strings.ReplaceAll(s, ",", ""), 64)
	if err != nil || !(n >= 0) {
		return 0
	}
	return min(n, maxSize)
}

var byteRE = lazyregexp.New(`^([\d.]+) ?([kKMGTP]?)(i?)(B?)$`)

// sizeOf reads a number of bytes: 1.5 GiB and 1.5G in powers of 1024, 1.5 GB in powers
// of 1000. It returns 0 for other text.
func sizeOf(s string) float64 {
	f := byteRE.FindStringSubmatch(s)
	if f == nil {
		return 0
	}
	base := 1024.0
	if f[3] == "" && f[4] == "B" {
		base = 1000
	}
	n := numberOf(f[1])
	for range max(strings.Index("-KMGTP", strings.ToUpper(f[2])), 0) {
		n *= base
	}
	return min(n, maxSize)
}

var secondsRE = lazyregexp.New(`([\d.]+) ?([dhms])`)

// secondsOf reads a duration: 1h 2m 3s.
func secondsOf(s string) float64 {
	total := 0.0
	for _, f := range secondsRE.FindAllStringSubmatch(s, -1) {
		total += numberOf(f[1]) * map[string]float64{"d": 86400, "h": 3600, "m": 60, "s": 1}[f[2]]
	}
	return total
}
