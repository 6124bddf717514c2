package pvesim

import (
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"
)

// startGuestTask starts a task about a guest, under the lock on its configuration.
func (c *call) startGuestTask(g *guest, typ string, work func(now time.Time) outcome) (any, error) {
	return c.fork(c.now, c.node, c.caller.User, typ, strconv.Itoa(g.VMID), g.VMID, work), nil
}

// failedBy is how a task ends whose code dies.
func failedBy(err error) outcome {
	return failed(0, "%s", strings.TrimSpace(refusalOf(err).message))
}

// awaitForked answers for the task that the call has started: with nothing, or its
// failure after some words, if it ends within as many seconds as a parameter
// says, and else with its UPID.
func (c *call) awaitForked(delay, words string) (any, error) {
	t, patience := c.forked, c.arrived.Add(time.Duration(c.number(delay, 0))*time.Second)
	switch {
	case c.str(delay) == "":
	case t.over && t.outcome.exit == "OK":
		return nil, nil
	case t.over:
		return nil, die("%s%s", words, t.outcome.exit)
	case c.now.Before(patience):
		return nil, &waitError{min(c.due(t).Sub(c.now), patience.Sub(c.now))}
	}
	return t.upid, nil
}

// journal is the log of a task in the making: what is said, and how much time goes
// by between.
type journal struct {
	began time.Time
	at    time.Duration
	lines []entry
	stamp bool // each line begins with the date and the time
}

// now is when what is said next is said.
func (j *journal) now() time.Time { return j.began.Add(j.at) }

func (j *journal) pass(d time.Duration) { j.at += d }

func (j *journal) say(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	if j.stamp {
		line = j.now().UTC().Format("2006-01-02 15:04:05 ") + line
	}
	j.lines = append(j.lines, entry{j.at, line})
}

// sayUnstamped says something without a stamp, as programs do that PVE runs.
func (j *journal) sayUnstamped(format string, args ...any) {
	j.lines = append(j.lines, entry{j.at, fmt.Sprintf(format, args...)})
}

func (j *journal) done(apply func(end time.Time)) outcome {
	return outcome{took: j.at, log: j.lines, exit: "OK", apply: apply}
}

func (j *journal) fail(err error) outcome {
	o := failedBy(err)
	o.took, o.log = j.at, j.lines
	return o
}

// formatting is what qemu-img says of a new file.
func (j *journal) formatting(st *Storage, v Volume) {
	if !st.traits().files || v.Format == "subvol" {
		return
	}
	_, name, _ := strings.Cut(v.ID, ":")
	if v.Parent != "" {
		name = fmt.Sprintf("%d/%s", v.VMID, v.file())
	}
	file := fmt.Sprintf("%s/images/%s", st.path(), name)
	switch {
	case v.Format == "qcow2" && v.Parent != "":
		_, base, _ := strings.Cut(v.Parent, ":")
		j.say("Formatting '%s', fmt=qcow2 cluster_size=65536 extended_l2=off compression_type=zlib size=%d backing_file=../%s backing_fmt=%s lazy_refcounts=off refcount_bits=16",
			file, v.Size, base, strings.TrimPrefix(path.Ext(base), "."))
	case v.Format == "qcow2":
		j.say("Formatting '%s', fmt=qcow2 cluster_size=65536 extended_l2=off preallocation=metadata compression_type=zlib size=%d lazy_refcounts=off refcount_bits=16", file, v.Size)
	default:
		j.say("Formatting '%s', fmt=%s size=%d preallocation=off", file, v.Format, v.Size)
	}
}

// copySpeed is what disks are copied with, in bytes a second.
const copySpeed = 400 << 20

// transfer is the copy of a volume by qemu-img, with a line a second.
func (j *journal) transfer(size, used int64) {
	takes := time.Duration(float64(used) / copySpeed * float64(time.Second))
	for passed := time.Duration(0); passed < takes; passed += time.Second {
		part := float64(passed) / float64(takes)
		j.say("transferred %s of %s (%.2f%%)", renderBytes(int64(part*float64(size))), renderBytes(size), part*100)
		j.pass(min(time.Second, takes-passed))
	}
	j.say("transferred %s of %s (100.00%%)", renderBytes(size), renderBytes(size))
}

// renderBytes writes a number of bytes as PVE's logs do: 1.5 GiB.
func renderBytes(n int64) string {
	f, unit := float64(n), "B"
	for _, u := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if f < 1024 {
			break
		}
		f, unit = f/1024, u
	}
	return fmt.Sprintf("%.1f %s", f, unit)
}
