package pve

import (
	"slices"
	"strings"
	"time"

	"github.com/pve-mcp/pve-mcp/lazyregexp"
	"github.com/pve-mcp/pve-mcp/proxmox"
	"github.com/pve-mcp/pve-mcp/proxmox/lenient"
)

// Meter reads the progress of a task from its log. It needs the log from the first line on.
// The zero value has read nothing.
type Meter struct {
	now proxmox.Progress

	parts  []part  // of the task, or of the guest that a backup job is at
	expect int     // how many parts there will be; 0 if the log does not say
	next   bool    // what is copied next is a new part
	size   float64 // of what is copied next; 0 if it is unknown
	sizes  float64 // of all disks in an archive
	made   int     // volumes that were made for what is restored

	live   bool // the memory comes after the disks
	memory part

	job    bool // a backup job
	guests []string
	ended  []string // guests of the job whose part is over
	before part     // what was copied of them
}

// part is something that is copied: a disk, the memory, a guest.
type part struct {
	name  string  // of its block job
	done  float64 // bytes
	total float64 // 0 if it is unknown
	share float64 // from 0 to 1
	rate  float64 // bytes a second
	left  float64 // seconds; 0 if it is to be reckoned
}

const (
	// memoryShare is what the memory of a VM that is migrated with its disks counts:
	// how much it is, is not known before they are copied.
	memoryShare = 0.1
	// tiny is the size, in bytes, up to which a disk is one for settings, such as that
	// of EFI: while others may follow, its copy says nothing about the whole.
	tiny = 16 << 20
	// maxParts bounds what is remembered.
	maxParts = 256
	// beforeEnd is the most percent of a task that has not ended.
	beforeEnd = 99
)

// stampRE is the time before each line of a migration.
var stampRE = lazyregexp.New(`^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d `)

// unstamped returns a line of a log without the time before it.
func unstamped(text string) string { return strings.TrimSpace(stampRE.ReplaceAllString(text, "")) }

// Measures reports whether a line of a log says how far the task is, in one of the forms
// that a [Meter] knows.
func Measures(l proxmox.LogLine) bool {
	text := unstamped(l.Text.Value)
	return slices.ContainsFunc(measures, func(r lineRule) bool { return r.re.MatchString(text) })
}

// Read goes on with lines that the log has gained, and returns how far the task is by
// now.
func (m *Meter) Read(lines []proxmox.LogLine) proxmox.Progress {
	for _, l := range lines {
		text := unstamped(l.Text.Value)
		if m.follow(measures, text) || m.follow(frames, text) {
			m.reckon()
		}
		if status, ended := l.End(); ended {
			m.end(!strings.HasPrefix(status, "ERROR"))
		}
	}
	return m.now
}

func (m *Meter) follow(rules []lineRule, text string) bool {
	for _, r := range rules {
		if f := r.re.FindStringSubmatch(text); f != nil {
			r.read(m, f)
			return true
		}
	}
	return false
}

func (m *Meter) end(well bool) {
	m.now.Rate, m.now.Left = 0, 0
	if well {
		m.now.Percent = lenient.Some(100.0)
	}
}

// reckon makes one figure of all parts.
func (m *Meter) reckon() {
	all := m.sum()
	m.now.Rate = int64(all.rate)
	m.now.Left = m.left(all)
	m.now.Done = max(m.now.Done, int64(m.before.done+all.done))
	m.now.Total = 0
	if all.total > 0 {
		m.now.Total = max(m.now.Done, int64(m.before.total+all.total))
	}
	share, known := m.share()
	if m.job {
		over := len(m.ended)
		known = len(m.guests) > 0 && (known || over > 0)
		if slices.Contains(m.ended, m.before.name) {
			share = 0 // it is counted
		}
		share = min((float64(over)+share)/max(float64(len(m.guests)), 1), 1)
	}
	if known {
		m.now.Percent = lenient.Some(min(max(m.now.Percent.Value, 100*share), max(beforeEnd, m.now.Percent.Value)))
	}
}

// sum adds up the parts; total is 0 if that of one is unknown, and the rate that of
// those which are not complete.
func (m *Meter) sum() part {
	parts := m.parts
	if m.memory.total > 0 {
		parts = append(slices.Clone(parts), m.memory)
	}
	var all part
	known := true
	for _, p := range parts {
		all.done += p.done
		all.total += p.total
		known = known && p.total > 0
		if p.share < 1 {
			all.rate += p.rate
			all.left = p.left
		}
	}
	if !known {
		all.total = 0
	}
	return all
}

// share is how much is done of the task, or of the guest that a backup job is at.
func (m *Meter) share() (share float64, known bool) {
	n := len(m.parts)
	switch {
	case n == 0:
		return m.memory.share, m.memory.total > 0
	case n == 1 && m.parts[0].total == 0:
		return m.parts[0].share, m.parts[0].share > 0
	}
	var done, total float64
	for _, p := range m.parts {
		if p.total == 0 {
			return 0, false
		}
		done, total = done+p.share*p.total, total+p.total
	}
	if total < tiny && n != m.expect {
		return 0, false
	}
	if m.expect > n { // the others are thought to be as large
		total *= float64(m.expect) / float64(n)
	}
	share = done / total
	if m.live {
		share = share*(1-memoryShare) + m.memory.share*memoryShare
	}
	return share, true
}

// left is how long the task will take if nothing else is to come.
func (m *Meter) left(all part) time.Duration {
	more := m.expect > len(m.parts) ||
		m.live && m.memory.total == 0 ||
		m.job && len(m.ended)+1 != len(m.guests)
	seconds := 0.0
	switch {
	case more:
	case len(m.parts) == 1 && all.left > 0:
		seconds = all.left
	case all.rate >= 1 && all.total > all.done:
		seconds = (all.total - all.done) / all.rate
	}
	const most = 365 * 24 * time.Hour
	return time.Duration(min(seconds, most.Seconds()) * float64(time.Second)).Round(time.Second)
}

// named returns the part of a block job, of which several go on at once.
func (m *Meter) named(name string) *part {
	i := slices.IndexFunc(m.parts, func(p part) bool { return p.name == name })
	if i >= 0 {
		return &m.parts[i]
	}
	m.next = true
	p := m.current()
	p.name, m.next = name, true
	return p
}

// current returns the part that is copied now, if parts are copied one after the other.
func (m *Meter) current() *part {
	if len(m.parts) == 0 || m.next && len(m.parts) < maxParts {
		m.parts = append(m.parts, part{})
		m.next = false
	}
	return &m.parts[len(m.parts)-1]
}

// complete notes that the part that was copied last is complete, and that another one
// may follow.
func (m *Meter) complete() {
	if len(m.parts) > 0 && !m.next {
		m.parts[len(m.parts)-1].fill()
	}
	m.next, m.size = true, 0
}

func (p *part) fill() {
	p.share, p.done, p.left = 1, max(p.done, p.total), 0
}

// at sets how far the part is. What was copied may be more than there was to copy, if
// it changes meanwhile; a total of 0 is unknown.
func (p *part) at(done, total, share float64) {
	p.done, p.total, p.share = done, total, min(share, 1)
	if total > 0 {
		p.total = max(total, done)
	}
}

// after reckons what follows from the seconds that the part has taken.
func (p *part) after(seconds float64) {
	if seconds <= 0 {
		return
	}
	p.rate = p.done / seconds
	if p.share > 0 && p.share < 1 {
		p.left = seconds * (1 - p.share) / p.share
	}
}
