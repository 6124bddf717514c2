package shell

import (
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"github.com/pve-mcp/pve-mcp/pvesim/internal/memfs"
)

// modeText is a mode as ls shows it.
func modeText(m fs.FileMode) string {
	kind := "-"
	switch {
	case m.IsDir():
		kind = "d"
	case m&fs.ModeSymlink != 0:
		kind = "l"
	}
	return kind + m.Perm().String()[1:]
}

func owner(id int) string {
	if id == 0 {
		return "root"
	}
	return strconv.Itoa(id)
}

func list(x *command) int {
	opts := x.flags("")
	long, all, folder := opts.has("l"), opts.has("a", "A"), opts.has("d")
	names := x.args
	if len(names) == 0 {
		names = []string{"."}
	}
	show := func(name string, info memfs.Info) {
		if !long {
			fmt.Fprintln(x.out, name)
			return
		}
		if info.Target != "" {
			name += " -> " + info.Target
		}
		fmt.Fprintf(x.out, "%s %4d %-8s %-8s %9d %s %s\n", modeText(info.Mode()), 1, owner(info.UID), owner(info.GID), info.Size(), info.ModTime().UTC().Format("Jan _2 15:04"), name)
	}
	status := 0
	for _, name := range names {
		info, err := x.p.sys.FS.Stat(x.path(name), !long)
		if err != nil {
			status = x.fail("%s: %v", name, err)
			continue
		}
		if !info.IsDir() || folder {
			show(name, info)
			continue
		}
		if len(names) > 1 {
			fmt.Fprintf(x.out, "%s:\n", name)
		}
		entries, _ := x.p.sys.FS.ReadDir(x.path(name))
		for _, e := range entries {
			if all || !strings.HasPrefix(e.Name(), ".") {
				show(e.Name(), e)
			}
		}
	}
	return status
}

func stat(x *command) int {
	opts := x.flags("c")
	follow := opts.has("L")
	status := 0
	for _, name := range x.args {
		info, err := x.p.sys.FS.Stat(x.path(name), follow)
		if err != nil {
			status = x.fail("can't stat '%s': %v", name, err)
			continue
		}
		format := opts["c"]
		if format == "" {
			format = "  File: %n\n  Size: %s\tBlocks: %b\tIO Block: 4096   %F\nAccess: (%a/%A)  Uid: (%u/%U)   Gid: (%g/%G)\nModify: %y"
		}
		fmt.Fprintln(x.out, formatStat(format, name, info))
	}
	return status
}

// formatStat fills a format of stat and, of those that find has, the like ones.
func formatStat(format, name string, info memfs.Info) string {
	kind := map[bool]string{true: "directory", false: "regular file"}[info.IsDir()]
	letter := map[bool]string{true: "d", false: "f"}[info.IsDir()]
	if info.Mode().IsRegular() && info.Size() == 0 {
		kind = "regular empty file"
	}
	if info.Mode()&fs.ModeSymlink != 0 {
		kind, letter = "symbolic link", "l"
	}
	at := info.ModTime()
	return strings.NewReplacer(
		"%n", name, "%s", strconv.FormatInt(info.Size(), 10), "%b", strconv.FormatInt((info.Size()+4095)/4096*8, 10), "%F", kind,
		"%a", strconv.FormatUint(uint64(memfs.Bits(info.Mode())), 8), "%A", modeText(info.Mode()), "%f", hexMode(info.Mode()),
		"%u", strconv.Itoa(info.UID), "%g", strconv.Itoa(info.GID), "%U", owner(info.UID), "%G", owner(info.GID), "%t", letter,
		"%Y", strconv.FormatInt(at.Unix(), 10), "%X", strconv.FormatInt(at.Unix(), 10), "%Z", strconv.FormatInt(at.Unix(), 10),
		"%y", at.UTC().Format("2006-01-02 15:04:05.000000000 +0000"), "%N", "'"+name+"'", "%h", "1", "%%", "%",
	).Replace(format)
}

// hexMode is a mode with its kind, as the kernel has it.
func hexMode(m fs.FileMode) string {
	kind := uint32(0o100000)
	switch {
	case m.IsDir():
		kind = 0o040000
	case m&fs.ModeSymlink != 0:
		kind = 0o120000
	}
	return strconv.FormatUint(uint64(kind|memfs.Bits(m)), 16)
}

func readLink(x *command) int {
	opts := x.flags("")
	whole := opts.has("f")
	for _, name := range x.args {
		info, err := x.p.sys.FS.Stat(x.path(name), false)
		switch real, realErr := x.p.sys.FS.RealPath(x.path(name)); {
		case whole && realErr != nil:
			return 1
		case whole:
			fmt.Fprintln(x.out, real)
		case err != nil || info.Target == "":
			return 1
		default:
			fmt.Fprintln(x.out, info.Target)
		}
	}
	return 0
}

// search is what find was asked for.
type search struct {
	x        *command
	min, max int
	keep     []func(name string, info memfs.Info) bool
	show     func(name string, info memfs.Info)
}

// find lists what is below folders: -maxdepth, -mindepth, -name, -type, -printf, -print0.
func find(x *command) int {
	s := &search{x: x, max: -1, show: func(name string, _ memfs.Info) { fmt.Fprintln(x.out, name) }}
	var roots []string
	for len(x.args) > 0 && !strings.HasPrefix(x.args[0], "-") {
		roots, x.args = append(roots, x.args[0]), x.args[1:]
	}
	if len(roots) == 0 {
		roots = []string{"."}
	}
	for len(x.args) > 0 {
		if !s.option() {
			return x.fail("unrecognized: %s", x.args[0])
		}
	}
	status := 0
	for _, root := range roots {
		info, err := x.p.sys.FS.Stat(x.path(root), false)
		if err != nil {
			status = x.fail("%s: %v", root, err)
			continue
		}
		s.visit(root, info, 0)
	}
	return status
}

// option takes an option of find.
func (s *search) option() bool {
	x := s.x
	name := x.args[0]
	if name == "-print" {
		x.args = x.args[1:]
		return true
	}
	if name == "-print0" {
		s.show = func(name string, _ memfs.Info) { _, _ = x.out.Write([]byte(name + "\x00")) }
		x.args = x.args[1:]
		return true
	}
	if len(x.args) < 2 {
		return false
	}
	value := x.args[1]
	switch name {
	case "-maxdepth":
		s.max, _ = strconv.Atoi(value)
	case "-mindepth":
		s.min, _ = strconv.Atoi(value)
	case "-name":
		s.keep = append(s.keep, func(name string, _ memfs.Info) bool { return matches(value, path.Base(name)) })
	case "-type":
		s.keep = append(s.keep, func(_ string, info memfs.Info) bool { return formatStat("%t", "", info) == value })
	case "-printf":
		s.show = func(name string, info memfs.Info) {
			format := strings.NewReplacer(`\n`, "\n", `\t`, "\t", `\0`, "\x00", `\\`, `\`).Replace(value)
			format = strings.NewReplacer("%f", path.Base(name), "%p", name, "%y", "%t", "%m", "%a", "%M", "%A", "%T@", "%Y", "%l", info.Target).Replace(format)
			_, _ = x.out.Write([]byte(formatStat(format, name, info)))
		}
	default:
		return false
	}
	x.args = x.args[2:]
	return true
}

func (s *search) visit(name string, info memfs.Info, depth int) {
	wanted := depth >= s.min
	for _, keep := range s.keep {
		wanted = wanted && keep(name, info)
	}
	if wanted {
		s.show(name, info)
	}
	if !info.IsDir() || s.max >= 0 && depth >= s.max || s.x.p.ctx.Err() != nil {
		return
	}
	entries, _ := s.x.p.sys.FS.ReadDir(s.x.path(name))
	for _, e := range entries {
		s.visit(strings.TrimSuffix(name, "/")+"/"+e.Name(), e, depth+1)
	}
}
