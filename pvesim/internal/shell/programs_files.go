package shell

import (
	"cmp"
	"crypto/md5"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"

	"github.com/pve-mcp/pve-mcp/pvesim/internal/memfs"
)

// fileProgram are programs about files.
func fileProgram(name string) program {
	switch name {
	case "mkdir":
		return mkdir
	case "rmdir":
		return eachFile(func(x *command, name string) error {
			if info, err := x.p.sys.FS.Stat(name, false); err == nil && !info.IsDir() {
				return memfs.ErrNotDir
			}
			return x.p.sys.FS.Remove(name)
		})
	case "rm":
		return remove
	case "mv":
		return move
	case "cp":
		return copyFiles
	case "ln":
		return link
	case "ls":
		return list
	case "stat":
		return stat
	case "chmod":
		return changeMode
	case "chown":
		return changeOwner
	case "touch":
		return eachFile(func(x *command, name string) error {
			if _, err := x.p.sys.FS.Stat(name, true); err != nil {
				return x.p.sys.FS.WriteFile(name, nil, 0o644)
			}
			return x.p.sys.FS.Touch(name, x.p.now())
		})
	case "truncate":
		return truncate
	case "mktemp":
		return makeTemporary
	case "find":
		return find
	case "readlink":
		return readLink
	case "basename":
		return func(x *command) int {
			if len(x.args) == 0 {
				return x.fail("missing operand")
			}
			return wrote(x.out, strings.TrimSuffix(path.Base(x.args[0]), strings.Join(x.args[1:], ""))+"\n")
		}
	case "dirname":
		return func(x *command) int { return wrote(x.out, path.Dir(strings.Join(x.args, " "))+"\n") }
	case "pwd":
		return func(x *command) int { return wrote(x.out, x.dir+"\n") }
	case "sha256sum":
		return sum(sha256.New)
	case "md5sum":
		return sum(md5.New)
	case "sync":
		return func(*command) int { return 0 }
	case "which":
		return func(x *command) int {
			if len(x.args) == 0 || programNamed(x.args[0]) == nil {
				return 1
			}
			return wrote(x.out, "/bin/"+x.args[0]+"\n")
		}
	}
	return nil
}

// eachFile does something with each file that is named.
func eachFile(do func(x *command, name string) error) program {
	return func(x *command) int {
		x.flags("")
		status := 0
		for _, name := range x.args {
			if err := do(x, x.path(name)); err != nil {
				status = x.fail("'%s': %v", name, err)
			}
		}
		return status
	}
}

func mkdir(x *command) int {
	opts := x.flags("m")
	parents := opts.has("p")
	perm, _ := strconv.ParseUint(cmp.Or(opts["m"], "755"), 8, 32)
	status := 0
	for _, name := range x.args {
		var err error
		if parents {
			err = x.p.sys.FS.MkdirAll(x.path(name), 0o755)
		} else {
			err = x.p.sys.FS.Mkdir(x.path(name), fs.FileMode(perm))
		}
		if err != nil {
			status = x.fail("can't create directory '%s': %v", name, err)
		} else if opts["m"] != "" {
			_ = x.p.sys.FS.Chmod(x.path(name), uint32(perm))
		}
	}
	return status
}

func remove(x *command) int {
	opts := x.flags("")
	force, deep := opts.has("f"), opts.has("r", "R")
	status := 0
	for _, name := range x.args {
		info, err := x.p.sys.FS.Stat(x.path(name), false)
		switch {
		case err != nil && force:
			continue
		case err == nil && info.IsDir() && !deep:
			err = memfs.ErrIsDir
		case err == nil:
			err = x.p.sys.FS.RemoveAll(x.path(name))
		}
		if err != nil {
			status = x.fail("can't remove '%s': %v", name, err)
		}
	}
	return status
}

// target is where something goes: into the last argument if that is a folder.
func (x *command) target(from, to string) string {
	to = x.path(to)
	if info, err := x.p.sys.FS.Stat(to, true); err == nil && info.IsDir() {
		return path.Join(to, path.Base(from))
	}
	return to
}

func move(x *command) int {
	onto := x.flags("").has("T")
	if len(x.args) < 2 {
		return x.fail("missing file operand")
	}
	status, last := 0, x.args[len(x.args)-1]
	for _, from := range x.args[:len(x.args)-1] {
		to := x.target(from, last)
		if onto {
			to = x.path(last)
		}
		if err := x.p.sys.FS.Rename(x.path(from), to); err != nil {
			status = x.fail("can't rename '%s': %v", from, err)
		}
	}
	return status
}

func copyFiles(x *command) int {
	opts := x.flags("")
	if len(x.args) < 2 {
		return x.fail("missing file operand")
	}
	deep, kept := opts.has("r", "R", "a"), opts.has("p", "a")
	status, last := 0, x.args[len(x.args)-1]
	for _, from := range x.args[:len(x.args)-1] {
		if err := x.copy(x.path(from), x.target(from, last), deep, kept); err != nil {
			status = x.fail("can't copy '%s': %v", from, err)
		}
	}
	return status
}

// copy copies a file or, if deep, a folder.
func (x *command) copy(from, to string, deep, kept bool) error {
	f := x.p.sys.FS
	info, err := f.Stat(from, true)
	switch {
	case err != nil:
		return err
	case info.IsDir() && !deep:
		return memfs.ErrIsDir
	case info.IsDir():
		if err := f.MkdirAll(to, info.Mode()); err != nil {
			return err
		}
		list, _ := f.ReadDir(from)
		for _, one := range list {
			if err := x.copy(path.Join(from, one.Name()), path.Join(to, one.Name()), deep, kept); err != nil {
				return err
			}
		}
		return nil
	}
	data, err := f.ReadFile(from)
	if err == nil {
		err = f.WriteFile(to, data, info.Mode())
	}
	if err == nil && kept {
		err = f.Chown(to, info.UID, info.GID)
		_ = f.Chmod(to, memfs.Bits(info.Mode()))
	}
	return err
}

func link(x *command) int {
	opts := x.flags("")
	if len(x.args) != 2 {
		return x.fail("missing file operand")
	}
	if opts.has("f") {
		_ = x.p.sys.FS.Remove(x.path(x.args[1]))
	}
	var err error
	if opts.has("s") {
		err = x.p.sys.FS.Symlink(x.args[0], x.path(x.args[1]))
	} else {
		err = x.copy(x.path(x.args[0]), x.path(x.args[1]), false, true)
	}
	if err != nil {
		return x.fail("%s: %v", x.args[1], err)
	}
	return 0
}

// chmodded is what a mode such as 644, u+x or go-w makes of another one.
func chmodded(mode string, old uint32) (uint32, bool) {
	if n, err := strconv.ParseUint(mode, 8, 32); err == nil {
		return uint32(n), true
	}
	for clause := range strings.SplitSeq(mode, ",") {
		at := strings.IndexAny(clause, "+-=")
		if at < 0 {
			return 0, false
		}
		who, bits := uint32(0), uint32(0)
		for _, r := range cmp.Or(clause[:at], "a") {
			who |= map[rune]uint32{'u': 0o700, 'g': 0o070, 'o': 0o007, 'a': 0o777}[r]
		}
		for _, r := range clause[at+1:] {
			bits |= map[rune]uint32{'r': 0o444, 'w': 0o222, 'x': 0o111, 'X': 0o111}[r]
		}
		switch clause[at] {
		case '+':
			old |= who & bits
		case '-':
			old &^= who & bits
		default:
			old = old&^who | who&bits
		}
	}
	return old, true
}

func changeMode(x *command) int {
	if len(x.args) > 0 && x.args[0] == "--" {
		x.args = x.args[1:]
	}
	if len(x.args) < 2 {
		return x.fail("missing operand")
	}
	status := 0
	for _, name := range x.args[1:] {
		info, err := x.p.sys.FS.Stat(x.path(name), true)
		bits, ok := chmodded(x.args[0], memfs.Bits(info.Mode()))
		if reference, by := strings.CutPrefix(x.args[0], "--reference="); by {
			other, otherErr := x.p.sys.FS.Stat(x.path(reference), true)
			bits, ok, err = memfs.Bits(other.Mode()), true, cmp.Or(err, otherErr)
		}
		if !ok {
			return x.fail("invalid mode '%s'", x.args[0])
		}
		if err == nil {
			err = x.p.sys.FS.Chmod(x.path(name), bits)
		}
		if err != nil {
			status = x.fail("%s: %v", name, err)
		}
	}
	return status
}

func changeOwner(x *command) int {
	x.flags("")
	if len(x.args) < 2 {
		return x.fail("missing operand")
	}
	user, group, both := strings.Cut(strings.Replace(x.args[0], ".", ":", 1), ":")
	ids := [2]int{-1, -1}
	for i, who := range []string{user, group} {
		n, err := strconv.Atoi(who)
		switch {
		case who == "root":
			ids[i] = 0
		case who == "" || i == 1 && !both:
		case err != nil:
			return x.fail("unknown user %s", who)
		default:
			ids[i] = n
		}
	}
	status := 0
	for _, name := range x.args[1:] {
		if err := x.p.sys.FS.Chown(x.path(name), ids[0], ids[1]); err != nil {
			status = x.fail("%s: %v", name, err)
		}
	}
	return status
}

func truncate(x *command) int {
	size, err := strconv.ParseInt(x.flags("s")["s"], 10, 64)
	if err != nil || size < 0 {
		return x.fail("invalid number")
	}
	for _, name := range x.args {
		f, err := x.p.sys.FS.Open(x.path(name), os.O_WRONLY|os.O_CREATE, 0o644)
		if err != nil {
			return x.fail("%s: %v", name, err)
		}
		f.Truncate(size)
	}
	return 0
}

func makeTemporary(x *command) int {
	opts := x.flags("p")
	template := "tmp.XXXXXX"
	if len(x.args) > 0 {
		template = x.args[0]
	}
	if opts.has("t") || len(x.args) == 0 || opts["p"] != "" {
		template = path.Join(cmp.Or(opts["p"], x.env["TMPDIR"], "/tmp"), template)
	}
	sh := x.shell()
	base := strings.TrimRight(template, "X")
	if base == template {
		return x.fail("invalid template")
	}
	for {
		n, _ := strconv.Atoi(sh.get("RANDOM"))
		m, _ := strconv.Atoi(sh.get("RANDOM"))
		name := base + strings.ToUpper(fmt.Sprintf("%06s", strconv.FormatInt(int64(n)<<15|int64(m), 36)))
		if _, err := x.p.sys.FS.Stat(x.path(name), false); err == nil {
			continue
		}
		err := x.p.sys.FS.WriteFile(x.path(name), nil, 0o600)
		if opts.has("d") {
			_ = x.p.sys.FS.Remove(x.path(name))
			err = x.p.sys.FS.Mkdir(x.path(name), 0o700)
		}
		if err != nil {
			return x.fail("%s: %v", name, err)
		}
		return wrote(x.out, name+"\n")
	}
}

func sum(algorithm func() hash.Hash) program {
	return func(x *command) int {
		x.flags("")
		return x.each(x.args, func(name string, r io.Reader) {
			h := algorithm()
			_, _ = io.Copy(h, r)
			fmt.Fprintf(x.out, "%x  %s\n", h.Sum(nil), name)
		})
	}
}
