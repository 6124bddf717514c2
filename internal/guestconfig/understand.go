package guestconfig

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/render"
	"github.com/pve-mcp/pve-mcp/internal/tool"
	"github.com/pve-mcp/pve-mcp/lazyregexp"
	"github.com/pve-mcp/pve-mcp/pve"
)

const (
	mib = 1 << 20
	gib = 1 << 30
)

// Understand writes settings in the form that PVE takes, if their meaning is clear, and
// returns what it has changed. The error is about the argument set.
func Understand(kind pve.Kind, set tool.Values) (said []string, err error) {
	if named := rename(kind, set); named != "" {
		said = append(said, named)
	}
	for _, key := range slices.Sorted(maps.Keys(set)) {
		value, note, problem := understood(kind, key, set[key])
		if problem != "" {
			return nil, tool.BadArgument("set", fmt.Sprintf("has %q: %s", key, problem))
		}
		if set[key] = value; note != "" {
			said = append(said, fmt.Sprintf("%s %s read as %s", key, render.Text(note, 60), render.Text(value, 60)))
		}
	}
	return said, nil
}

// rename replaces the key for the name of a VM by that of a container, and the reverse.
func rename(kind pve.Kind, set tool.Values) string {
	wrong, right := "hostname", "name"
	if kind == pve.LXC {
		wrong, right = right, wrong
	}
	value, given := set[wrong]
	_, both := set[right]
	if !given || both { // PVE refuses the wrong one
		return ""
	}
	delete(set, wrong)
	set[right] = value
	return fmt.Sprintf("%s read as %s", wrong, right)
}

// mebibytes are the keys whose values PVE counts in MiB.
var mebibytes = map[pve.Kind][]string{pve.QEMU: {"balloon", "memory"}, pve.LXC: {"memory", "swap"}}

var (
	countRE   = lazyregexp.New(`^\d+$`)
	newDiskRE = lazyregexp.New(`^([^:/\s]+):([^:/]+)$`)
)

// understood returns a value as PVE takes it. note is the given value if it was another;
// problem says why it is not valid.
func understood(kind pve.Kind, key, value string) (out, note, problem string) {
	switch {
	case slices.Contains(mebibytes[kind], key):
		return inMiB(value)
	case pve.IsDiskKey(kind, key):
		if sources(value) > 1 {
			return "", "", fmt.Sprintf("%q names two volumes, of which PVE would take one; name one, such as local-lvm:20", render.Text(value, 100))
		}
		return InGiB(kind, key, value)
	}
	return value, "", ""
}

// inMiB writes an amount of memory in MiB, as PVE counts it.
func inMiB(value string) (out, note, problem string) {
	amount, current := strings.CutPrefix(value, "current=")
	if countRE.MatchString(amount) {
		return value, "", ""
	}
	bytes, err := tool.ReadSize(amount)
	switch {
	case err != nil:
		return "", "", fmt.Sprintf("%q is not an amount of memory; give MiB, such as 8192, or a size, such as 8G", render.Text(value, 40))
	case bytes%mib != 0:
		return "", "", fmt.Sprintf("%q is not a whole number of MiB; give MiB, such as 8192, or a size, such as 8G", render.Text(value, 40))
	}
	out = strconv.FormatInt(bytes/mib, 10)
	if current {
		out = "current=" + out
	}
	return out, amount, ""
}

// sources counts how often a disk's value names its volume. For a VM, file and volume are the
// same key, and the last one counts.
func sources(value string) (names int) {
	for key := range pve.ParseProperty(value, "file").All() {
		if key == "file" || key == "volume" {
			names++
		}
	}
	return names
}

// InGiB writes a new disk as PVE takes it: STORAGE:GiB.
func InGiB(kind pve.Kind, key, value string) (out, note, problem string) {
	source := pve.DiskOf(kind, key, value).Source
	if _, err := tool.ReadSize(source); err == nil {
		return "", "", fmt.Sprintf("%q names no storage; a new disk is STORAGE:SIZE in GiB, such as local-lvm:20", render.Text(value, 40))
	}
	m := newDiskRE.FindStringSubmatch(source)
	if m == nil {
		return value, "", ""
	}
	bytes, err := tool.ReadSize(m[2])
	if err != nil { // a volume, or GiB already
		return value, "", ""
	}
	wanted := m[1] + ":" + strconv.FormatFloat(float64(bytes)/gib, 'f', -1, 64)
	return strings.Replace(value, source, wanted, 1), source, ""
}
