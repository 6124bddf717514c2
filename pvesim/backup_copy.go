package pvesim

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// archiveSize is what of a guest's disks is left: compressed, about a third.
func (d *dump) archiveSize(size, used int64) int64 {
	switch {
	case d.storage.Type == "pbs":
		return size
	case strings.Contains(d.format, "."):
		return used/3 + 36<<10
	}
	return used + 36<<10
}

// How fast QEMU reads disks for a backup, in bytes a second: data and zeros.
const (
	dumpSpeed = 160 << 20
	zeroSpeed = 700 << 20
)

// copyVM is QEMU's work, with its progress every 3 s as long as there is some.
func (d *dump) copyVM(j *journal, size, used int64) {
	starts := !d.running
	switch {
	case d.g.template():
		j.info("starting template backup")
		starts = false
	case starts || d.mode == "stop":
		j.info("starting kvm to execute backup task")
		j.pass(time.Second)
	case d.g.agentOn() && d.agentAnswers(d.g):
		j.info("issuing guest-agent 'fs-freeze' command")
		j.info("issuing guest-agent 'fs-thaw' command")
	case d.g.agentOn():
		j.info("skipping guest-agent 'fs-freeze', agent configured but not running?")
	}
	if d.node.version.major >= 9 {
		j.info("starting backup via QMP command")
	}
	j.info("started backup task '%s'", d.uuid("backup"))
	if d.running {
		j.info("resuming VM again")
	}
	seconds := max(3, int64(math.Ceil(float64(used)/dumpSpeed+float64(size-used)/zeroSpeed)))
	if limit := int64(d.number("bwlimit", 0)) << 10; limit > 0 {
		seconds = max(seconds, size/limit)
	}
	j.copying(size, used, seconds)
	if zeros := size - used; zeros > 0 {
		j.info("backup is sparse: %s (%d%%) total zero data", preciseBytes(zeros), zeros*100/max(size, 1))
	}
	j.info("transferred %s in %d seconds (%s/s)", preciseBytes(size), seconds, renderBytes(size/seconds))
	if starts {
		j.info("stopping kvm after backup task")
		j.pass(time.Second)
	}
}

// copying are the lines of a copy that takes some seconds.
func (j *journal) copying(size, used, seconds int64) {
	last, read := int64(-1), int64(0)
	for s := int64(3); ; s += 3 {
		step := int64(3)
		if s >= seconds {
			step, s = seconds-s+3, seconds
		}
		j.pass(time.Duration(step) * time.Second)
		now := size / seconds * s
		if s == seconds {
			now = size
		}
		if percent := now * 100 / max(size, 1); percent != last {
			rate := (now - read) / max(step, 1)
			write := "0 B"
			if used*100 > size {
				write = renderBytes(rate * used / max(size, 1))
			}
			j.info("%3d%% (%s of %s) in %s, read: %s/s, write: %s/s", percent, renderBytes(now), renderBytes(size), shortDuration(s), renderBytes(rate), write)
			last, read = percent, now
		}
		if s == seconds {
			return
		}
	}
}

// copyCT is tar's work, which tells no progress.
func (d *dump) copyCT(j *journal, used int64) {
	j.pass(500*time.Millisecond + time.Duration(float64(used)/dumpSpeed*float64(time.Second)))
	j.info("Total bytes written: %d (%s, %s/s)", used, tarBytes(used), tarBytes(dumpSpeed))
	switch {
	case d.mode == "suspend":
		j.info("resuming guest")
		j.info("guest is online again after <1 seconds")
	case d.mode == "snapshot":
		j.info("cleanup temporary 'vzdump' snapshot")
	}
}

// preciseBytes is renderBytes with two digits.
func preciseBytes(n int64) string {
	number, unit, _ := strings.Cut(renderBytes(n), " ")
	shift := map[string]uint{"KiB": 10, "MiB": 20, "GiB": 30, "TiB": 40}[unit]
	if shift == 0 {
		return number + " " + unit
	}
	return fmt.Sprintf("%.2f %s", float64(n)/float64(uint64(1)<<shift), unit)
}

// tarBytes writes a number of bytes as tar's totals do: 2.4MiB, 155MiB.
func tarBytes(n int64) string {
	number, unit, _ := strings.Cut(renderBytes(n), " ")
	if len(number) > len("9.9") {
		number = number[:len(number)-len(".9")]
	}
	return number + unit
}

// sizeWord writes the size of an archive as PVE does: whole KB and MB, GB with two
// digits.
func sizeWord(n int64) string {
	switch {
	case n < 1<<20:
		return fmt.Sprintf("%dKB", n>>10)
	case n < 1<<30:
		return fmt.Sprintf("%dMB", n>>20)
	}
	return fmt.Sprintf("%.2fGB", float64(n)/float64(gib))
}

// shortDuration writes seconds as 1h 2m 3s, without zeros before.
func shortDuration(seconds int64) string {
	text := fmt.Sprintf("%ds", seconds%60)
	if seconds >= 60 {
		text = fmt.Sprintf("%dm %s", seconds/60%60, text)
	}
	if seconds >= 3600 {
		text = fmt.Sprintf("%dh %s", seconds/3600, text)
	}
	return text
}
